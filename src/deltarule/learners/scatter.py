"""Scatter matrices Σ w(x − μ)(x − μ)ᵀ, the only work of least squares and components that grows with the data.

Rows are centred and multiplied block by block, so that no centred copy of the data is made; products are of the
data's type, and blocks are added up in float64.

The product of a matrix with its own transpose is symmetric: BLAS computes one triangle (syrk), the engine likewise
groups of rows of the triangle, as products of matrices whose operands are centred and weighted on their way in.
Above 64 features and much data that takes 0.65 (float64) or 0.85 (float32) of BLAS's time on two cores; what is
smaller, or left over from whole blocks, is NumPy's.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np

from deltarule.graph.program import Program
from deltarule.learners.base import Array
from deltarule.runtime.devices import compiled
from deltarule.tensor.tensor import symbol

_ROWS = 2048  # of a block of the engine's
_NUMBERS = 2**17  # in a block of NumPy's, if that are more rows
_GROUPS, _NARROWEST = 8, 32  # groups of columns, and the fewest columns of a group
_WORTH_COMPILING = 2**34  # products of numbers

Block = Callable[[Array, Array, Array | None], Sequence[Array]]


def scatter(parts: Sequence[Array], means: Sequence[Array], weights: Array | None = None) -> Array:
    """Return Σ w(x − μ)(x − μ)ᵀ, (d, d) float64, for examples whose d features are the columns of all parts together.

    Parts are (N, d₁), (N, d₂) …, their means (d₁,) …, and weights (N,) ≥ 0 (None: 1). The result is symmetric to
    the bit; the engine's is the same for any number of threads.

    >>> scatter([np.array([[1.0, 2.0], [3.0, 2.0]])], [np.array([2.0, 2.0])]).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    dtype = np.result_type(*parts)
    mean = np.concatenate(means).astype(dtype)
    mass = None if weights is None else weights.astype(dtype, copy=False)
    n, width = len(parts[0]), len(mean)
    large = n >= _ROWS and n * width * width >= _WORTH_COMPILING
    edges, size = (_edges(width), _ROWS) if large else ((0, width), max(_ROWS, _NUMBERS // width))
    whole = _compiled_block(width, str(dtype), mass is not None) if large else _plain_block
    sums = [np.zeros((after - before, width - before)) for before, after in itertools.pairwise(edges)]
    for start in range(0, n, size):
        rows = slice(start, start + size)
        block = parts[0][rows] if len(parts) == 1 else np.concatenate([part[rows] for part in parts], axis=1)
        share = None if mass is None else mass[rows]
        if len(block) == size:
            pieces = whole(block, mean, share)
        else:
            full = _plain_block(block, mean, share)[0]
            pieces = [full[before:after, before:] for before, after in itertools.pairwise(edges)]
        for total, piece in zip(sums, pieces, strict=True):
            total += piece
    return _mirrored(sums, width)


def squares(x: Array, mean: Array, weights: Array | None = None) -> Array:
    """Return Σ w(x − μ)² of every feature, (d,) float64; weights None are 1.

    NumPy's: within blocks that stay in the cache this waits for memory, with any engine.
    """
    total = np.zeros(x.shape[1])
    size = max(_ROWS, _NUMBERS // x.shape[1])
    for start in range(0, len(x), size):
        gap = x[start : start + size] - mean
        gap *= gap
        total += gap.sum(axis=0) if weights is None else weights[start : start + size] @ gap
    return total


def _edges(width: int) -> tuple[int, ...]:
    """Return where groups of columns begin and end."""
    groups = min(_GROUPS, max(1, width // _NARROWEST))
    return tuple(width * i // groups for i in range(groups + 1))


def _mirrored(sums: Sequence[Array], width: int) -> Array:
    """Return the symmetric matrix of the rows of its upper triangle, group by group."""
    matrix = np.zeros((width, width))
    place = 0
    for rows in sums:
        matrix[place : place + len(rows), place:] = rows
        place += len(rows)
    upper = np.triu(matrix)
    return np.asarray(upper + np.triu(upper, 1).T)


def _plain_block(x: Array, mean: Array, weights: Array | None) -> Sequence[Array]:
    """Return the scatter of a block, whole."""
    gap = x - mean
    if weights is not None:
        gap *= np.sqrt(weights)[:, None]
    return [gap.T @ gap]


@functools.lru_cache(maxsize=8)
def _compiled_block(width: int, dtype: str, weighted: bool) -> Block:
    """Return the groups of rows of the upper triangle, each from its first column on, as a native program."""
    x, mean, weights = symbol("x", (_ROWS, width), dtype), symbol("mean", (width,), dtype), symbol("w", (_ROWS,), dtype)
    gap = x - mean
    left = gap * weights.expand_dims(1) if weighted else gap
    edges = _edges(width)
    pieces = [left[:, before:after].T @ gap[:, before:] for before, after in itertools.pairwise(edges)]
    inputs = (x, mean, weights) if weighted else (x, mean)
    run = compiled(Program(tuple(t.node for t in inputs), tuple(t.node for t in pieces)), "cpu")
    return lambda block, center, mass: run(block, center, *(() if mass is None else (mass,)))
