"""t-SNE with sparse P: attraction along the edges, repulsion in blocks or by interpolation on a grid.

"fft" is FIt-SNE (Linderman et al. 2019): polynomial interpolation to a grid, on which
the repulsion is a convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from scipy import fft, sparse

from deltarule.backends.base import Executable
from deltarule.graph import build
from deltarule.graph.program import Program
from deltarule.learners.base import Array
from deltarule.learners.manifold_learning.tsne_step import (
    LEAST_GAIN,
    Schedule,
    diverged,
)
from deltarule.runtime.devices import backend, cores
from deltarule.simplify import simplify
from deltarule.tensor.functional import take
from deltarule.tensor.tensor import Tensor, symbol

_BLOCK = 2**17  # numbers in a block of pairs that stays in the cache
_NODES = 3  # interpolation nodes per interval
_WIDTH = 1.0  # largest width of an interval
_LEAST_INTERVALS = 50
_WIDEST = 2000.0  # embeddings for which a grid is no smaller than all pairs


def exact_repulsion(y: Array) -> tuple[Array, float]:
    """Return Σⱼ (yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²)² (N, d), and Z = Σ_{i≠j} 1/(1 + ‖yᵢ − yⱼ‖²).

    >>> forces, z = exact_repulsion(np.array([[0.0, 0.0], [1.0, 0.0]]))
    >>> forces.tolist(), z
    ([[-0.25, 0.0], [0.25, 0.0]], 1.0)
    """
    squares = np.einsum("nd,nd->n", y, y)
    ones = np.concatenate([y, np.ones((len(y), 1), y.dtype)], axis=1)
    left = np.concatenate(
        [-2 * y, np.ones((len(y), 1), y.dtype), squares[:, None] + 1], axis=1
    )
    right = np.concatenate(
        [y, squares[:, None], np.ones((len(y), 1), y.dtype)], axis=1
    ).T
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


def _interpolation(
    y: Array, low: float, width: float, n_intervals: int
) -> sparse.csr_matrix:
    """Return the matrix (N, nodes²) that interpolates from grid nodes to points of the plane."""
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
    return sparse.csr_matrix(
        (values.ravel(), columns.ravel(), starts), shape=(len(y), n_nodes**2)
    )


def _convolved(grids: Array, kernel: Array) -> Array:
    """Return grids (c, m, m) convolved with a kernel (2m, 2m) around its corner, in float32.

    Half of the input rows are zero, and half of the output rows are not needed: both
    are skipped.
    """
    m, workers = grids.shape[1], cores("cpu")
    waves = fft.rfft(grids.astype(np.float32), 2 * m, axis=2, workers=workers)
    waves = fft.fft(waves, 2 * m, axis=1, overwrite_x=True, workers=workers)
    waves *= fft.rfft2(kernel.astype(np.float32), workers=workers)
    rows = fft.ifft(waves, axis=1, overwrite_x=True, workers=workers)[:, :m]
    return np.asarray(
        fft.irfft(rows, 2 * m, axis=2, workers=workers)[:, :, :m], np.float64
    )


def fft_repulsion(y: Array) -> tuple[Array, float]:
    """Return ``exact_repulsion`` approximately, for two-dimensional embeddings, by interpolation on a grid.

    The charges 1, y and ‖y‖² are spread over the nodes, convolved with 1/(1 + d²)², and
    interpolated at the points; intervals are at most 1 wide. The root mean square error
    relative to the forces is below 10⁻⁴ while the embedding is small, in the first
    phase, and a few per cent at full size, where it no longer matters.
    """
    low, high = float(y.min()), float(y.max())
    if high - low > _WIDEST:
        raise diverged(f"an embedding {high - low:.3g} wide")
    n_intervals = max(_LEAST_INTERVALS, int(np.ceil((high - low) / _WIDTH)))
    while (
        fft.next_fast_len(2 * n_intervals * _NODES, real=True)
        != 2 * n_intervals * _NODES
    ):
        n_intervals += 1
    n_nodes = n_intervals * _NODES
    width = max((high - low) / n_intervals, 1e-12) * (1 + 1e-9)
    spread = _interpolation(y, low, width, n_intervals)
    charges = np.concatenate(
        [np.ones((len(y), 1)), y, (y * y).sum(axis=1, keepdims=True)], axis=1
    )
    grid = np.asarray((spread.T @ charges).T).reshape(4, n_nodes, n_nodes)
    steps = np.arange(2 * n_nodes)
    gap = np.minimum(steps, 2 * n_nodes - steps) * (width / _NODES)
    kernel = 1 / (1 + gap[:, None] ** 2 + gap[None, :] ** 2) ** 2
    field = _convolved(grid, kernel)
    one, first, second, square = np.asarray(spread @ field.reshape(4, -1).T).T
    forces = y * one[:, None] - np.stack([first, second], axis=1)
    squares = charges[:, 3]
    total = float(
        (one * (1 + squares) - 2 * (y[:, 0] * first + y[:, 1] * second) + square).sum()
    ) - len(y)
    return forces, total


def _attraction(n: int, k: int, n_edges: int) -> Executable:
    """Return (axes of y, first ends, second ends, p of the edges) → the attraction along each axis, in float64."""
    y = [symbol("y", (n,), "float64") for _ in range(k)]
    first, second = (symbol(name, (n_edges,), "int64") for name in ("first", "second"))
    p = symbol("p", (n_edges,), "float64")
    gaps = [take(axis, first) - take(axis, second) for axis in y]
    squares = [gap * gap for gap in gaps]
    pull = p / (1.0 + sum(squares[1:], squares[0]))

    def summed(ends: Tensor, values: Tensor) -> Tensor:
        return Tensor(build.scatter_add(ends.node, values.node, 0, n))

    forces = [summed(first, pull * gap) - summed(second, pull * gap) for gap in gaps]
    inputs = (*y, first, second, p)
    return backend("cpu").compile(
        Program(
            tuple(t.node for t in inputs), tuple(simplify([t.node for t in forces]))
        )
    )


@final
class Edges:
    """The pairs i < j with pᵢⱼ > 0 of a symmetric P (N, N)."""

    def __init__(self, p: sparse.csr_matrix) -> None:
        half = sparse.triu(p, 1).tocoo()
        self.n, self.p = p.shape[0], half.data.astype(np.float64)
        self.ends = half.row.astype(np.int64), half.col.astype(np.int64)
        self._run: Executable | None = None

    def attraction(self, y: Array) -> Array:
        """Return Σⱼ pᵢⱼ (yᵢ − yⱼ)/(1 + ‖yᵢ − yⱼ‖²)."""
        if self._run is None:
            self._run = _attraction(self.n, y.shape[1], len(self.p))
        return np.stack(
            self._run(*np.ascontiguousarray(y.T, np.float64), *self.ends, self.p),
            axis=1,
        )

    def divergence(self, y: Array, total: float) -> float:
        """Return KL(P‖Q) = Σ pᵢⱼ log(pᵢⱼ/qᵢⱼ) with the sum Z of 1/(1 + ‖yᵢ − yⱼ‖²)."""
        gap = y[self.ends[0]] - y[self.ends[1]]
        q = 1 / ((1 + (gap * gap).sum(axis=1)) * max(total, 1e-300))
        p = np.maximum(self.p, 1e-300)
        return float(2 * (self.p * np.log(p / np.maximum(q, 1e-300))).sum())


def descend_by_edges(
    edges: Edges,
    y: Array,
    repulsion: Callable[[Array], tuple[Array, float]],
    schedule: Schedule,
) -> tuple[Array, int]:
    """Return the result of ``tsne_step.descend``, from the edges only and in float64."""
    step, gains, number = np.zeros_like(y), np.ones_like(y), 0
    for exaggeration, momentum, tol in zip(*schedule.factors(), strict=True):
        number += 1
        push, total = repulsion(y)
        gradient = 4 * (exaggeration * edges.attraction(y) - push / max(total, 1e-300))
        gains = np.maximum(
            np.where(step * gradient < 0, gains + 0.2, gains * 0.8), LEAST_GAIN
        )
        step = momentum * step - schedule.rate * gains * gradient
        y = y + step
        if not np.isfinite(y).all():
            raise diverged("infinite or NaN coordinates")
        if float(np.linalg.norm(gradient)) < tol:
            break
    return y, number
