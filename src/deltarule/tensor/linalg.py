"""Linear algebra: products and norms (differentiable), solve, determinants, and decompositions.

Decompositions (``eig``, ``eigh``, ``svd``, ``pinv`` …) are computed at once in NumPy and carry no gradient;
``solve``, ``inv``, ``logdet``, ``cholesky``, ``trace`` and the norms are part of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.flags import checks_flags
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.runtime.buffers import Array
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor, operand, tensor


def _square(a: Any, where: str) -> Array:
    matrix = as_tensor(a).numpy()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(where, expected="a square matrix", got=str(matrix.shape))
    return matrix if matrix.dtype.kind == "f" else matrix.astype("float32")


def _node(a: Any) -> Node:
    return build.as_node(operand(a))


def trace(a: Any) -> Tensor:
    """Σ of the main diagonal; a scalar is its own trace (LA-01, LA-02).

    >>> trace([[1.0, 2.0], [3.0, 4.0]]).item()
    5.0
    """
    return Tensor(algebra.trace(_node(a)))


def diagonal(a: Any) -> Tensor:
    """The main diagonal."""
    return Tensor(algebra.diagonal(_node(a)))


def diagonal_matrix(x: Any) -> Tensor:
    """The matrix with ``x`` on its diagonal."""
    return Tensor(algebra.diagonal_matrix(_node(x)))


@checks_flags
def norm(
    x: Any, p: float | str = 2, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """(Σ|x|^p)^(1/p) of the entries; p ≥ 1, infinity or "fro" (LA-04, LA-05, LA-09).

    >>> norm([3.0, -4.0]).item(), norm([3.0, -4.0], p=1).item()
    (5.0, 7.0)
    """
    return Tensor(algebra.norm(_node(x), p, axis, keepdims))


def induced_infinity_norm(a: Any) -> Tensor:
    """The largest absolute row sum, max_k Σ_j |A_kj| (LA-11).

    >>> induced_infinity_norm([[1.0, -2.0], [3.0, 4.0]]).item()
    7.0
    """
    return Tensor(algebra.induced_infinity_norm(_node(a)))


def solve(a: Any, b: Any) -> Tensor:
    """A⁻¹b for a vector or a matrix b."""
    matrix, right = _node(a), _node(b)
    if right.rank == matrix.rank - 1:
        column = build.expand_dims(right, (right.rank,))
        return Tensor(build.reshape(build.solve(matrix, column), right.shape))
    return Tensor(build.solve(matrix, right))


def inv(a: Any) -> Tensor:
    """A⁻¹ (solve with the identity; prefer ``solve``)."""
    matrix = _node(a)
    return Tensor(build.solve(matrix, algebra.identity(matrix.shape[-1], matrix.dtype)))


def logdet(a: Any) -> Tensor:
    """ln|det A|."""
    return Tensor(build.log_determinant(_node(a)))


def cholesky(a: Any) -> Tensor:
    """The lower L with LLᵀ = A for symmetric positive definite A."""
    return Tensor(build.cholesky(_node(a)))


def pinv(a: Any) -> Tensor:
    """The Moore–Penrose pseudo-inverse."""
    return tensor(np.linalg.pinv(as_tensor(a).numpy()))


@checks_flags
def svd(a: Any, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """U, σ, Vᵀ with A = U Σ Vᵀ; exists for every matrix (LA-08).

    Signs are fixed: the entry of largest magnitude of each column of U is positive.
    """
    u, s, vt = np.linalg.svd(as_tensor(a).numpy(), full_matrices=full_matrices)
    for i in range(s.shape[-1]):
        if u[np.argmax(np.abs(u[:, i])), i] < 0:
            u[:, i], vt[i] = -u[:, i], -vt[i]
    return tensor(u), tensor(s), tensor(vt)


def eigh(a: Any) -> tuple[Tensor, Tensor]:
    """Eigenvalues (ascending) and orthonormal eigenvectors (columns) of a symmetric matrix (LA-07)."""
    matrix = _square(a, "eigh")
    if not np.allclose(
        matrix, matrix.T, atol=1e-6 * max(1.0, float(np.abs(matrix).max(initial=0.0)))
    ):
        raise DataError(
            "eigh",
            expected="a symmetric matrix",
            got="A ≠ Aᵀ",
            hint="Use eig, or eigh((A + A.T) / 2).",
        )
    values, vectors = np.linalg.eigh(matrix)
    return tensor(values), tensor(vectors)


@dataclass(frozen=True)
class Eigendecomposition:
    """A = U Λ U⁻¹: complex arrays of eigenvalues and eigenvectors, and whether A is diagonalisable (LA-06)."""

    values: Array
    vectors: Array
    is_diagonalizable: bool


def eig(a: Any) -> Eigendecomposition:
    """Eigenvalues and eigenvectors of any square matrix.

    A matrix of full rank need not be diagonalisable (the shear [[1, 1], [0, 1]] is not): the flag says whether
    n independent eigenvectors exist. Source: LA-06, with the notes' condition corrected (E000-05).
    """
    matrix = _square(a, "eig").astype("float64")
    values, vectors = np.linalg.eig(matrix)
    smallest = float(np.linalg.svd(vectors, compute_uv=False).min(initial=1.0))
    return Eigendecomposition(
        values, vectors, smallest > len(matrix) * np.sqrt(np.finfo("float64").eps)
    )


def is_symmetric(a: Any, tolerance: float = 1e-6) -> bool:
    """Whether A = Aᵀ."""
    matrix = _square(a, "is_symmetric")
    return bool(np.allclose(matrix, matrix.T, atol=tolerance))


def is_orthogonal(a: Any, tolerance: float = 1e-6) -> bool:
    """Whether AAᵀ = I."""
    matrix = _square(a, "is_orthogonal")
    return bool(np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=tolerance))


def is_normal(a: Any, tolerance: float = 1e-6) -> bool:
    """Whether AAᵀ = AᵀA (then eigenvectors are orthonormal; LA-07 with E000-04 corrected)."""
    matrix = _square(a, "is_normal")
    return bool(np.allclose(matrix @ matrix.T, matrix.T @ matrix, atol=tolerance))


def _smallest_eigenvalue(a: Any, where: str) -> tuple[float, float]:
    matrix = _square(a, where).astype("float64")
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return float(values.min(initial=np.inf)), float(np.abs(values).max(initial=0.0))


def is_positive_definite(a: Any) -> bool:
    """Whether xᵀAx > 0 for all x ≠ 0: every eigenvalue of the symmetric part is positive (LA-10, E000-06).

    >>> is_positive_definite([[2.0, 1.0], [1.0, 2.0]])
    True
    """
    smallest, largest = _smallest_eigenvalue(a, "is_positive_definite")
    return smallest > 1e-12 * largest


def is_positive_semidefinite(a: Any) -> bool:
    """Whether xᵀAx ≥ 0 for all x: no eigenvalue of the symmetric part is negative, up to rounding (LA-10)."""
    smallest, largest = _smallest_eigenvalue(a, "is_positive_semidefinite")
    return smallest >= -1e-12 * largest


def whiten(x: Any, jitter: float = 1e-8) -> Tensor:
    """Σ^(−1/2)(x − μ) for the rows of x, by the symmetric inverse root of the covariance (LA-29, NRM-05)."""
    rows = as_tensor(x).numpy().astype("float64")
    if rows.ndim != 2 or len(rows) < 2:
        raise ArgumentError("whiten", expected="at least two rows", got=str(rows.shape))
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    root = (vectors / np.sqrt(np.maximum(values, 0) + jitter)) @ vectors.T
    return tensor(centred @ root)
