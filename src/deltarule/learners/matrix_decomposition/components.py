"""Principal components as a probabilistic model, and the choice of their number.

Probabilistic PCA (Tipping and Bishop 1999): x ~ N(μ, Σ), Σ = Σⱼ (λⱼ − σ²) wⱼwⱼᵀ + σ²I
with the retained directions wⱼ of variance λⱼ, and σ² the mean variance of the others.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator
from scipy.special import gammaln

from deltarule.learners.base import Array


@final
class Centred(LinearOperator):  # type: ignore[misc]  # SciPy has no types
    """X − 1μᵀ of a sparse X (N, d) as a linear operator, without forming the dense matrix.

    >>> centred = Centred(sparse.csr_matrix([[1.0], [3.0]]), np.array([2.0]))
    >>> centred.scatter().tolist(), centred.total()
    ([[2.0]], 2.0)
    """

    def __init__(self, x: Any, mean: Array) -> None:
        self.x, self.mean = x, mean
        super().__init__(x.dtype, x.shape)

    def _matmat(self, v: Array) -> Array:
        return np.asarray(self.x @ v - self.mean @ v)

    def _rmatmat(self, v: Array) -> Array:
        return np.asarray(self.x.T @ v - np.outer(self.mean, v.sum(axis=0)))

    def scatter(self) -> Array:
        """Return (X − 1μᵀ)ᵀ(X − 1μᵀ), (d, d)."""
        products = self.x.T @ self.x
        dense = products.toarray() if sparse.issparse(products) else products
        return np.asarray(dense - self.x.shape[0] * np.outer(self.mean, self.mean))

    def total(self) -> float:
        """Return the sum of the squares of X − 1μᵀ."""
        squares = float((self.x.data.astype(np.float64) ** 2).sum())
        return max(0.0, float(squares - self.x.shape[0] * float(self.mean @ self.mean)))


def share(spectrum: Array, wanted: float) -> int:
    """Return the smallest number of variances, largest first, whose fraction of the sum exceeds ``wanted``.

    >>> [share(np.array([6.0, 3.0, 1.0]), part) for part in (0.5, 0.6, 0.95)]
    [1, 2, 3]
    """
    total = spectrum.sum()
    if not total > 0:
        return 1
    return min(
        len(spectrum),
        int(np.searchsorted(np.cumsum(spectrum / total), wanted, side="right")) + 1,
    )


def most_likely(spectrum: Array, n: int) -> int:
    """Return the number of components of largest evidence, 1 … d − 1, for n examples of d features (Minka 2000).

    >>> most_likely(np.array([10.0, 9.0, 0.11, 0.1, 0.09]), 1000)
    2
    """
    d = len(spectrum)
    return (
        1 + int(np.argmax([_evidence(spectrum, k, n) for k in range(1, d)]))
        if d > 1
        else 1
    )


def _evidence(spectrum: Array, k: int, n: int) -> float:
    """Return Laplace's approximation of ln p(data | k), up to a constant in k."""
    d, tiny = len(spectrum), 1e-15
    if spectrum[k - 1] < tiny:
        return -np.inf
    ranks = np.arange(1, k + 1)
    prior = (
        -k * np.log(2.0)
        + (gammaln((d - ranks + 1) / 2) - np.log(np.pi) * (d - ranks + 1) / 2).sum()
    )
    noise = max(tiny, float(spectrum[k:].sum()) / (d - k))
    fit = -0.5 * n * (np.log(spectrum[:k]).sum() + (d - k) * np.log(noise))
    m = d * k - k * (k + 1) / 2
    smooth = np.concatenate([spectrum[:k], np.full(d - k, noise)])
    rows, columns = np.triu_indices(d, 1)
    rows, columns = rows[rows < k], columns[rows < k]
    with np.errstate(divide="ignore", invalid="ignore"):
        bends = np.log(
            (spectrum[rows] - spectrum[columns])
            * (1 / smooth[columns] - 1 / smooth[rows])
        ) + np.log(n)
    return float(
        prior
        + fit
        + np.log(2 * np.pi) * (m + k) / 2
        - 0.5 * bends.sum()
        - 0.5 * k * np.log(n)
    )
