"""Linear algebra: norms, linear systems, determinants and matrix decompositions.

``solve``, ``inv``, ``logdet``, ``cholesky``, ``trace`` and the norms are lazy and differentiable. Decompositions
(``eig``, ``eigh``, ``svd``, ``pinv`` …) are computed eagerly by NumPy and are not differentiable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.flags import checks_flags
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.runtime.buffers import Array
from deltarule.tensor.functional import as_tensor
from deltarule.tensor.tensor import Tensor, operand, tensor

__all__ = [
    "Eigendecomposition",
    "cholesky",
    "diagonal",
    "diagonal_matrix",
    "eig",
    "eigh",
    "induced_infinity_norm",
    "inv",
    "is_normal",
    "is_orthogonal",
    "is_positive_definite",
    "is_positive_semidefinite",
    "is_symmetric",
    "logdet",
    "norm",
    "pinv",
    "solve",
    "svd",
    "trace",
    "whiten",
]


def _square(a: Any, where: str) -> Array:
    matrix = as_tensor(a).numpy()
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(where, expected="a square matrix", got=str(matrix.shape))
    return matrix if matrix.dtype.kind == "f" else matrix.astype("float32")


def _node(a: Any) -> Node:
    return build.as_node(operand(a))


def trace(a: Any) -> Tensor:
    """Return the trace Σ aᵢᵢ, the sum of the main diagonal; a scalar is its own trace.

    >>> trace([[1.0, 2.0], [3.0, 4.0]]).item()
    5.0
    """
    return Tensor(algebra.trace(_node(a)))


def diagonal(a: Any) -> Tensor:
    """Return the main diagonal of the last two axes.

    >>> diagonal([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [1.0, 4.0]
    """
    return Tensor(algebra.diagonal(_node(a)))


def diagonal_matrix(x: Any) -> Tensor:
    """Return the diagonal matrix diag(x).

    >>> diagonal_matrix([1.0, 2.0]).tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    return Tensor(algebra.diagonal_matrix(_node(x)))


@checks_flags
def norm(
    x: Any, p: float | str = 2, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """Return the norm (Σ|x|ᵖ)^(1/p) of the entries over axes.

    For a matrix this is the entry-wise norm, with p = 2 the Frobenius norm, and not the operator norm of
    ``numpy.linalg.norm(A, 2)``.

    Args:
        x: A tensor.
        p: A number ≥ 1, infinity (the largest absolute entry) or "fro" (as 2).
        axis: Axes to reduce; all by default.
        keepdims: Keep reduced axes with size 1.

    Raises:
        ArgumentError: p is less than 1.

    >>> norm([3.0, -4.0]).item(), norm([3.0, -4.0], p=1).item()
    (5.0, 7.0)
    """
    return Tensor(algebra.norm(_node(x), p, axis, keepdims))


def induced_infinity_norm(a: Any) -> Tensor:
    """Return the matrix norm induced by ‖·‖∞, the largest absolute row sum maxₖ Σⱼ |Aₖⱼ|.

    >>> induced_infinity_norm([[1.0, -2.0], [3.0, 4.0]]).item()
    7.0
    """
    return Tensor(algebra.induced_infinity_norm(_node(a)))


def solve(a: Any, b: Any) -> Tensor:
    """Return the solution x = A⁻¹b of Ax = b, for a vector or a matrix b.

    >>> solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 2.0]).tolist()
    [0.5, 0.5]
    """
    matrix, right = _node(a), _node(b)
    if right.rank == matrix.rank - 1:
        column = build.expand_dims(right, (right.rank,))
        return Tensor(build.reshape(build.solve(matrix, column), right.shape))
    return Tensor(build.solve(matrix, right))


def inv(a: Any) -> Tensor:
    """Return the inverse A⁻¹; ``solve(A, b)`` is faster and more accurate than ``inv(A) @ b``.

    >>> inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    matrix = _node(a)
    return Tensor(build.solve(matrix, algebra.identity(matrix.shape[-1], matrix.dtype)))


def logdet(a: Any) -> Tensor:
    """Return ln|det A| of a square matrix.

    >>> round(logdet([[2.0, 0.0], [0.0, 4.0]]).item(), 4)
    2.0794
    """
    return Tensor(build.log_determinant(_node(a)))


def cholesky(a: Any) -> Tensor:
    """Return the Cholesky factor L, lower triangular with LLᵀ = A, of a symmetric positive definite matrix.

    >>> cholesky([[4.0, 2.0], [2.0, 5.0]]).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    return Tensor(build.cholesky(_node(a)))


def pinv(a: Any) -> Tensor:
    """Return the Moore–Penrose pseudo-inverse.

    >>> pinv([[2.0], [0.0]]).tolist()
    [[0.5, 0.0]]
    """
    return tensor(np.linalg.pinv(as_tensor(a).numpy()))


@checks_flags
def svd(a: Any, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Return the singular value decomposition A = U Σ Vᵀ as (U, σ, Vᵀ).

    Signs are fixed: the entry of largest magnitude of each column of U is positive.

    Args:
        a: A matrix of shape (m, n).
        full_matrices: Return U (m, m) and Vᵀ (n, n); otherwise (m, k) and (k, n) with k = min(m, n).

    >>> U, s, Vt = svd([[3.0, 0.0], [0.0, -2.0]])
    >>> s.tolist()
    [3.0, 2.0]
    """
    u, s, vt = np.linalg.svd(as_tensor(a).numpy(), full_matrices=full_matrices)
    for i in range(s.shape[-1]):
        if u[np.argmax(np.abs(u[:, i])), i] < 0:
            u[:, i], vt[i] = -u[:, i], -vt[i]
    return tensor(u), tensor(s), tensor(vt)


def eigh(a: Any) -> tuple[Tensor, Tensor]:
    """Return eigenvalues (ascending) and orthonormal eigenvectors (columns) of a symmetric matrix.

    Raises:
        DataError: the matrix is not symmetric.

    >>> values, vectors = eigh([[2.0, 1.0], [1.0, 2.0]])
    >>> [round(v, 4) for v in values.tolist()]
    [1.0, 3.0]
    """
    matrix = _square(a, "eigh")
    scale = max(1.0, float(np.abs(matrix).max(initial=0.0)))
    if not np.allclose(matrix, matrix.T, atol=1e-6 * scale):
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
    """The eigendecomposition A = U Λ U⁻¹.

    Attributes:
        values: Eigenvalues, real or complex.
        vectors: Eigenvectors, the columns of U.
        is_diagonalizable: Whether there are n linearly independent eigenvectors.

    >>> bool(eig([[1.0, 1.0], [0.0, 1.0]]).is_diagonalizable)
    False
    """

    values: Array
    vectors: Array
    is_diagonalizable: bool


def eig(a: Any) -> Eigendecomposition:
    """Return eigenvalues and eigenvectors of a square matrix.

    A matrix of full rank need not be diagonalisable: the shear [[1, 1], [0, 1]] is not.

    >>> eig([[2.0, 0.0], [0.0, 3.0]]).values.tolist()
    [2.0, 3.0]
    """
    matrix = _square(a, "eig").astype("float64")
    values, vectors = np.linalg.eig(matrix)
    smallest = float(np.linalg.svd(vectors, compute_uv=False).min(initial=1.0))
    threshold = len(matrix) * np.sqrt(np.finfo("float64").eps)
    return Eigendecomposition(values, vectors, smallest > threshold)


def is_symmetric(a: Any, tolerance: float = 1e-6) -> bool:
    """Return whether A = Aᵀ, up to a tolerance for each entry.

    >>> is_symmetric([[1.0, 2.0], [2.0, 1.0]])
    True
    """
    matrix = _square(a, "is_symmetric")
    return bool(np.allclose(matrix, matrix.T, atol=tolerance))


def is_orthogonal(a: Any, tolerance: float = 1e-6) -> bool:
    """Return whether AAᵀ = I, up to a tolerance for each entry.

    >>> is_orthogonal([[0.0, -1.0], [1.0, 0.0]])
    True
    """
    matrix = _square(a, "is_orthogonal")
    return bool(np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=tolerance))


def is_normal(a: Any, tolerance: float = 1e-6) -> bool:
    """Return whether AAᵀ = AᵀA: then A has an orthonormal basis of (complex) eigenvectors.

    >>> is_normal([[0.0, -1.0], [1.0, 0.0]])
    True
    """
    matrix = _square(a, "is_normal")
    return bool(np.allclose(matrix @ matrix.T, matrix.T @ matrix, atol=tolerance))


def _smallest_eigenvalue(a: Any, where: str) -> tuple[float, float]:
    matrix = _square(a, where).astype("float64")
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return float(values.min(initial=np.inf)), float(np.abs(values).max(initial=0.0))


def is_positive_definite(a: Any) -> bool:
    """Return whether xᵀAx > 0 for all x ≠ 0: every eigenvalue of (A + Aᵀ)/2 is positive.

    >>> is_positive_definite([[2.0, 1.0], [1.0, 2.0]])
    True
    """
    smallest, largest = _smallest_eigenvalue(a, "is_positive_definite")
    return smallest > 1e-12 * largest


def is_positive_semidefinite(a: Any) -> bool:
    """Return whether xᵀAx ≥ 0 for all x: no eigenvalue of (A + Aᵀ)/2 is negative, up to rounding.

    >>> is_positive_semidefinite([[1.0, 1.0], [1.0, 1.0]])
    True
    """
    smallest, largest = _smallest_eigenvalue(a, "is_positive_semidefinite")
    return smallest >= -1e-12 * largest


def whiten(x: Any, jitter: float = 1e-8) -> Tensor:
    """Return Σ^(−1/2)(x − μ) for the rows of x: zero mean and identity covariance (ZCA whitening).

    Args:
        x: Samples in rows, shape (n, d) with n ≥ 2.
        jitter: Added to the square roots of the eigenvalues of Σ before the division.

    Raises:
        ArgumentError: x has fewer than two rows.

    >>> [round(row[0], 4) for row in whiten([[0.0], [2.0]]).tolist()]
    [-1.0, 1.0]
    """
    rows = as_tensor(x).numpy().astype("float64")
    if rows.ndim != 2 or len(rows) < 2:
        raise ArgumentError("whiten", expected="at least two rows", got=str(rows.shape))
    centred = rows - rows.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
    root = (vectors / np.sqrt(np.maximum(values, 0) + jitter)) @ vectors.T
    return tensor(centred @ root)


check_calls(__name__)
