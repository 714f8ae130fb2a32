"""Solutions of least squares in columns scaled to equal norms, so that units of features cost no digits.

The error of the normal equations G = XᵀX grows with the square of the condition number
of X, that of a QR factorisation with the condition number; for columns of norm 1 this
is within √d of its minimum over all scalings (van der Sluis 1969).
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from deltarule.learners.base import Array

_EPS = float(np.finfo(np.float64).eps)


def by_sums(gram: Array, target: Array, ridge: Array) -> Array:
    """Solve the normal equations (G + ridge)θ = t for a positive definite matrix.

    >>> by_sums(np.array([[2.0]]), np.array([[6.0]]), np.array([1.0])).round(6).tolist()
    [[2.0]]
    """
    size = np.sqrt(gram.diagonal() + ridge)
    matrix = (gram + np.diag(ridge)) / np.outer(size, size)
    found = linalg.solve(
        matrix, target / size[:, None], assume_a="pos", check_finite=False
    )
    return np.asarray(found / size[:, None])


def by_rows(a: Array, b: Array, ridge: Array, unit: Array) -> Array:
    """Return arg min ‖Aθ − b‖² + Σ ridge·θ², of several the one of smallest ‖unit·θ‖; A (rows, d) may be wide.

    >>> a, b = np.array([[1.0], [1.0]]), np.array([[2.0], [4.0]])
    >>> by_rows(a, b, np.zeros(1), np.ones(1)).round(6).tolist()
    [[3.0]]
    """
    d, unit = a.shape[1], np.maximum(unit / unit.max(initial=1.0), 1e-150)
    if (ridge > 0).all() and len(a) < d:
        return _shrunk(a, b, ridge)
    if len(a) < d:
        return np.asarray(np.linalg.lstsq(a / unit, b, rcond=None)[0] / unit[:, None])
    if (ridge > 0).any():
        a = np.vstack([a, np.diag(np.sqrt(ridge))])
        b = np.vstack([b, np.zeros((d, b.shape[1]))])
    size = np.linalg.norm(a, axis=0)
    size = np.where(size > 0, size, 1.0)
    q, r, order = linalg.qr(
        a / size, mode="economic", pivoting=True, check_finite=False
    )
    diagonal = np.abs(r.diagonal())
    rank = int((diagonal > max(a.shape) * _EPS * diagonal[0]).sum()) if d else 0
    found = np.zeros((d, b.shape[1]))
    basic = linalg.solve_triangular(r[:rank, :rank], q.T[:rank] @ b, check_finite=False)
    found[order[:rank]] = basic
    found /= size[:, None]
    if rank == d:
        return found
    free = np.zeros((d, d - rank))  # columns that A maps to 0
    free[order[:rank]] = -linalg.solve_triangular(
        r[:rank, :rank], r[:rank, rank:], check_finite=False
    )
    free[order[rank:]] = np.eye(d - rank)
    free *= (unit / size)[:, None]
    free /= np.linalg.norm(free, axis=0)
    found *= unit[:, None]
    return np.asarray(
        (found - free @ np.linalg.lstsq(free, found, rcond=None)[0]) / unit[:, None]
    )


def expected_error(triangle: Array, d: int) -> float:
    """Return the expected relative error of θ from R of rows (x, y) rounded by QR: ε(κ + κ²·‖r‖/‖Xθ‖).

    κ is the condition number of X with columns of norm 1, ‖r‖ the norm of the residuals
    (Higham 2002, section 20.1).
    """
    a, b, residual = (
        triangle[:d, :d],
        triangle[:d, d:],
        np.linalg.norm(triangle[d:, d:], axis=0),
    )
    size = np.linalg.norm(a, axis=0)
    if len(a) < d or not (size > 0).all():
        return np.inf
    u, s, _ = linalg.svd(a / size, check_finite=False)
    if s[-1] <= d * _EPS * s[0]:
        return np.inf
    length = np.linalg.norm((u.T @ b) / s[:, None], axis=0) * s[0]
    worst = float(
        np.divide(residual, length, out=np.zeros_like(residual), where=length > 0).max(
            initial=0.0
        )
    )
    condition = float(s[0] / s[-1])
    return _EPS * (condition + condition**2 * worst)


def _shrunk(a: Array, b: Array, ridge: Array) -> Array:
    """Return the ridge solution for fewer rows than columns, by the singular values s of A·ridge^−½: s/(s² + 1)."""
    root = np.sqrt(ridge)
    u, s, vt = np.linalg.svd(a / root, full_matrices=False)
    s = np.where(s > _EPS * s.max(initial=0.0), s, np.inf)
    return np.asarray(vt.T @ ((u.T @ b) / (s + 1 / s)[:, None]) / root[:, None])
