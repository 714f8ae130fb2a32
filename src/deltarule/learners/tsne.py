"""t-SNE: a map on which near examples stay near (AE-10; van der Maaten and Hinton 2008).

pᵢⱼ = (p(j|i) + p(i|j))/2N with Gaussian p(j|i) of a width that gives ``perplexity``, kept for the 3·perplexity
nearest neighbours; qᵢⱼ ∝ 1/(1 + ‖yᵢ − yⱼ‖²); minimise KL(P‖Q) by gradient descent with momentum and gains:
∂KL/∂yᵢ = 4 Σⱼ (pᵢⱼ − qᵢⱼ)(yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²).

Cost of an iteration: O(N²) on the native engine ("exact", see ``tsne_step``); or attraction O(N·perplexity) and
repulsion O(N + G log G) on a grid of G nodes ("fft": Linderman et al. 2019, polynomial interpolation, convolution).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
from scipy import fft, sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from deltarule.learners.base import Array, above, at_least, generator, require, whole
from deltarule.learners.manifold import bisected, neighborhood_graph, principal_start
from deltarule.learners.search import neighbors_of_each
from deltarule.learners.tsne_step import LEAST_GAIN, Schedule, descend

_EXACT_UP_TO = 5000  # examples; P takes 100 MB there
_BLOCK = 2**17  # numbers in a block of pairs, which stay in the cache
_NODES = 3  # of interpolation an interval
_WIDTH = 1.0  # of an interval at most
_LEAST_INTERVALS = 50


def conditional(distances: Array, perplexity: float) -> Array:
    """Return p(j|i) over the given neighbours (N, k) with entropy log(perplexity) in every row."""
    squares = distances**2 - distances[:, :1] ** 2

    def weights(precision: Array) -> Array:
        p = np.exp(-squares * precision[:, None])
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    def too_narrow(precision: Array) -> Array:
        p = weights(precision)
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
        return np.asarray(entropy < np.log(perplexity))

    n = len(distances)
    scale = 1.0 / max(float(np.median(squares[:, -1])), 1e-300)
    squares = squares * scale
    return weights(bisected(too_narrow, np.zeros(n), np.full(n, np.inf)))


def joint(x: Array, perplexity: float) -> sparse.csr_matrix:
    """Return P (N, N) with sum 1, symmetric, and not 0 only for neighbours."""
    k = min(len(x) - 1, int(3 * perplexity + 1))
    distances, indices = neighbors_of_each(x, k)
    one_way = neighborhood_graph(indices, conditional(distances, perplexity))
    both = one_way + one_way.T
    return (both / both.sum()).tocsr()


def exact_repulsion(y: Array) -> tuple[Array, float]:
    """Return Σⱼ (yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²)² (N, d), and Z = Σ_{i≠j} 1/(1 + ‖yᵢ − yⱼ‖²)."""
    squares = np.einsum("nd,nd->n", y, y)
    ones = np.concatenate([y, np.ones((len(y), 1), y.dtype)], axis=1)
    left = np.concatenate([-2 * y, np.ones((len(y), 1), y.dtype), squares[:, None] + 1], axis=1)
    right = np.concatenate([y, squares[:, None], np.ones((len(y), 1), y.dtype)], axis=1).T
    forces, total = np.empty_like(y), 0.0
    step = max(1, _BLOCK // len(y))
    for start in range(0, len(y), step):
        part = slice(start, start + step)
        near = left[part] @ right  # 1 + ‖yᵢ − yⱼ‖²
        np.maximum(near, 1, out=near)
        np.reciprocal(near, out=near)
        total += float(near.sum(dtype=np.float64))
        near *= near
        sums = near @ ones
        forces[part] = y[part] * sums[:, -1:] - sums[:, :-1]
    return forces, total - len(y)


def _interpolation(y: Array, low: float, width: float, n_intervals: int) -> sparse.csr_matrix:
    """Return the matrix (N, nodes²) that interpolates from grid nodes to the points of the plane."""
    place = (y - low) / width
    interval = np.clip(place.astype(np.int64), 0, n_intervals - 1)
    inner = place - interval
    at = (np.arange(_NODES) + 0.5) / _NODES
    weights = np.ones((*y.shape, _NODES))
    for a in range(_NODES):
        for b in range(_NODES):
            if a != b:
                weights[:, :, a] *= (inner - at[b]) / (at[a] - at[b])
    n_nodes = n_intervals * _NODES
    node = interval[:, :, None] * _NODES + np.arange(_NODES)
    columns = (node[:, 0, :, None] * n_nodes + node[:, 1, None, :]).reshape(len(y), -1)
    values = (weights[:, 0, :, None] * weights[:, 1, None, :]).reshape(len(y), -1)
    starts = np.arange(len(y) + 1) * _NODES**2
    return sparse.csr_matrix((values.ravel(), columns.ravel(), starts), shape=(len(y), n_nodes**2))


def fft_repulsion(y: Array) -> tuple[Array, float]:
    """Return what ``exact_repulsion`` does, for maps of two dimensions, by interpolation on a grid.

    The charges 1, y and ‖y‖² are spread over the nodes, convolved with 1/(1 + d²)², and read off at the points;
    intervals are at most 1 wide. The error (root mean square, of the forces') is below 10⁻⁴ while the map is as
    small as in its first phase, and a few parts in a hundred at its full size, where it no longer changes the map.
    """
    low, high = float(y.min()), float(y.max())
    n_intervals = max(_LEAST_INTERVALS, int(np.ceil((high - low) / _WIDTH)))
    n_nodes = fft.next_fast_len(2 * n_intervals * _NODES, real=True) // 2
    n_intervals = max(n_intervals, n_nodes // _NODES)
    n_nodes = n_intervals * _NODES
    width = max((high - low) / n_intervals, 1e-12) * (1 + 1e-9)
    spread = _interpolation(y, low, width, n_intervals)
    charges = np.concatenate([np.ones((len(y), 1)), y, (y * y).sum(axis=1, keepdims=True)], axis=1)
    grid = np.asarray((spread.T @ charges).T).reshape(4, n_nodes, n_nodes)
    steps = np.arange(2 * n_nodes)
    gap = np.minimum(steps, 2 * n_nodes - steps) * (width / _NODES)
    kernel = 1 / (1 + gap[:, None] ** 2 + gap[None, :] ** 2) ** 2
    size = (2 * n_nodes, 2 * n_nodes)
    field = fft.irfft2(fft.rfft2(grid, size) * fft.rfft2(kernel), size)[:, :n_nodes, :n_nodes]
    one, first, second, square = np.asarray(spread @ field.reshape(4, -1).T).T
    forces = y * one[:, None] - np.stack([first, second], axis=1)
    squares = charges[:, 3]
    total = float((one * (1 + squares) - 2 * (y[:, 0] * first + y[:, 1] * second) + square).sum()) - len(y)
    return forces, total


def attraction(p: sparse.csr_matrix, rows: Array, y: Array) -> Array:
    """Return Σⱼ pᵢⱼ (yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²)."""
    square = np.ones(len(rows))
    for column in np.ascontiguousarray(y.T):  # axis by axis: taking single numbers is quicker than taking rows
        gap = column.take(rows) - column.take(p.indices)
        square += gap * gap
    pull = sparse.csr_matrix((p.data / square, p.indices, p.indptr), shape=p.shape)
    sums = pull @ np.concatenate([y, np.ones((len(y), 1))], axis=1)
    return np.asarray(y * sums[:, -1:] - sums[:, :-1])


def _descend_by_edges(
    p: sparse.csr_matrix, rows: Array, y: Array, repulsion: Callable[[Array], tuple[Array, float]], schedule: Schedule
) -> tuple[Array, int]:
    """Return what ``tsne_step.descend`` does, for maps too large for a dense P."""
    step, gains, number = np.zeros_like(y), np.ones_like(y), 0
    for exaggeration, momentum, tol in zip(*schedule.factors(), strict=True):
        number += 1
        push, total = repulsion(y)
        gradient = 4 * (exaggeration * attraction(p, rows, y) - push / max(total, 1e-300))
        gains = np.maximum(np.where(step * gradient < 0, gains + 0.2, gains * 0.8), LEAST_GAIN)
        step = momentum * step - schedule.rate * gains * gradient
        y = y + step
        if float(np.linalg.norm(gradient)) < tol:
            break
    return y, number


@final
class TSNE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """A map of the data by t-SNE (AE-10). Distances between far groups and sizes of groups mean nothing.

    ``perplexity`` is about the number of neighbours that count; more than (N − 1)/3 is cut to that.
    ``method``: "exact", "fft" (two dimensions), or "auto": exact up to 5000 examples.
    After ``fit``: ``embedding_``, ``kl_divergence_``, ``n_iter_``, ``perplexity_``. The start is principal
    components and a little noise: the same data give the same map with the same ``random_state``. New points cannot
    be placed (use ``UMAP`` for that).
    """

    def __init__(
        self, n_components: int = 2, *, perplexity: float = 30.0, early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto", max_iter: int = 1000, method: str = "auto", tol: float = 1e-7,
        random_state: Any = None,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.method = method
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Lay the examples out."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Lay the examples out and return their places (N, n_components)."""
        del y
        x = np.asarray(validate_data(self, X, dtype=(np.float64, np.float32), ensure_min_samples=2))
        k = require(self, "n_components", whole(1), "a whole number ≥ 1")
        require(self, "perplexity", at_least(1), "a number ≥ 1")
        require(self, "early_exaggeration", at_least(1), "a number ≥ 1")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "method", {"auto", "exact", "fft"}.__contains__, "'auto', 'exact' or 'fft'")
        if self.method == "fft" and k != 2:
            raise ValueError(f"method='fft' lays out in 2 dimensions, got n_components={k}")
        random = generator(self.random_state)
        self.perplexity_ = float(max(1.0, min(self.perplexity, (len(x) - 1) / 3)))
        p = joint(x, self.perplexity_)
        start = principal_start(np.asarray(x, np.float64), k, 1e-4, random)
        self.embedding_ = self._layout(p, start)
        return self.embedding_

    def _rate(self, n: int) -> float:
        if self.learning_rate == "auto":
            return max(n / self.early_exaggeration / 4, 50.0)
        return float(require(self, "learning_rate", above(0), "a number > 0 or 'auto'"))

    def _layout(self, p: sparse.csr_matrix, y: Array) -> Array:
        """Descend from ``y``, centre the map and measure its divergence."""
        n, k = y.shape
        grid = self.method == "fft" or (self.method == "auto" and n > _EXACT_UP_TO and k == 2)
        schedule = Schedule(
            float(self.early_exaggeration), min(250, self.max_iter // 4 + 1), self.max_iter, self._rate(n), self.tol
        )
        rows = np.repeat(np.arange(n), np.diff(p.indptr))
        if grid or n > _EXACT_UP_TO:
            repulsion = fft_repulsion if grid else exact_repulsion
            y, self.n_iter_ = _descend_by_edges(p, rows, y, repulsion, schedule)
        else:
            y, self.n_iter_ = descend(p.astype(np.float32).toarray(), y, schedule)
        y = np.asarray(y - y.mean(axis=0, dtype=np.float64))
        total = (fft_repulsion(y) if grid else exact_repulsion(y))[1]
        gap = y[rows] - y[p.indices]
        q = 1 / ((1 + (gap * gap).sum(axis=1)) * max(total, 1e-300))
        self.kl_divergence_ = float((p.data * np.log(np.maximum(p.data, 1e-300) / np.maximum(q, 1e-300))).sum())
        return y

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])
