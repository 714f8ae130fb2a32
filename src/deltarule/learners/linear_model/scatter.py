"""Scatter matrices Σ w(x − μ)(x − μ)ᵀ, the dominant cost of least squares and principal components.

Rows are centred and multiplied block by block, without a centred copy of the data;
products have the type of the data, and blocks are summed in float64.

The product of a matrix with its own transpose is symmetric: BLAS computes one triangle
(syrk), and so does the native engine by groups of rows of the triangle, as matrix
products whose operands are centred and weighted as they are packed. Above 64 features
and for large data this takes 0.65 (float64) or 0.85 (float32) of the time of BLAS on
two cores; smaller data, and remainders of blocks, are computed by NumPy.
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

_ROWS = 2048  # rows of a native block
_NUMBERS = 2**17  # numbers in a block of NumPy, if that is more rows
_GROUPS, _NARROWEST = 8, 32  # groups of columns, and the fewest columns of a group
_WORTH_COMPILING = 2**34  # products of numbers

Block = Callable[[Sequence[Array], Sequence[Array]], Sequence[Array]]


def scatter(x: Array, mean: Array, weights: Array | None = None) -> Array:
    """Return Σ w(x − μ)(x − μ)ᵀ, (d, d) float64, for examples (N, d) about μ, (d,), and weights (N,) ≥ 0 (None: 1).

    The result is exactly symmetric; that of the native engine does not depend on the
    number of threads.

    >>> scatter(np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([2.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    sums, _ = _sums([x], [mean], weights)
    return sums


def scatters(
    x: Array, y: Array, means: tuple[Array, Array], weights: Array | None = None
) -> tuple[Array, Array]:
    """Return Σ w(x − μ)(x − μ)ᵀ and Σ w(x − μ)(y − ν)ᵀ, (d, d) and (d, m), for x (N, d) and y (N, m) in one pass.

    >>> x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    >>> [part.tolist() for part in scatters(x, y, (np.array([1.0]), np.array([3.0])))]
    [[[2.0]], [[4.0]]]
    """
    return _sums([x, y], means, weights)


def _sums(
    columns: Sequence[Array], means: Sequence[Array], weights: Array | None
) -> tuple[Array, Array]:
    """Return the scatter of the first columns, and their cross scatter with the second columns, if there are any."""
    n, width = columns[0].shape
    dtype = columns[0].dtype
    centers = [mean.astype(dtype, copy=False) for mean in means]
    rows = (
        [*columns] if weights is None else [*columns, weights.astype(dtype, copy=False)]
    )
    large = n >= _ROWS and n * width * width >= _WORTH_COMPILING
    edges, size = (
        (_edges(width), _ROWS) if large else ((0, width), max(_ROWS, _NUMBERS // width))
    )
    others = sum(part.shape[1] for part in columns[1:])
    shapes = [
        (after - before, width - before) for before, after in itertools.pairwise(edges)
    ]
    sums = [np.zeros(shape) for shape in (*shapes, (width, others))]
    whole = (
        _compiled_block(width, others, str(dtype), weights is not None)
        if large
        else _plain_block
    )
    for start in range(0, n, size):
        block = [part[start : start + size] for part in rows]
        if len(block[0]) == size:
            pieces = whole(centers, block)
        else:
            full, *cross = _plain_block(centers, block)
            pieces = [
                *(
                    full[before:after, before:]
                    for before, after in itertools.pairwise(edges)
                ),
                *cross,
            ]
        for total, piece in zip(
            sums, pieces, strict=False
        ):  # no last piece without second columns
            total += piece
    return _mirrored(sums[:-1], width), sums[-1]


def squares(x: Array, mean: Array, weights: Array | None = None) -> Array:
    """Return Σ w(x − μ)² of each feature, (d,) float64; weights None are 1.

    By NumPy: in blocks that stay in the cache it is bound by memory.

    >>> squares(np.array([[1.0], [3.0]]), np.array([2.0])).tolist()
    [2.0]
    """
    total = np.zeros(x.shape[1])
    size = max(_ROWS, _NUMBERS // x.shape[1])
    for start in range(0, len(x), size):
        gap = x[start : start + size] - mean
        gap *= gap
        total += (
            gap.sum(axis=0) if weights is None else weights[start : start + size] @ gap
        )
    return total


def _edges(width: int) -> tuple[int, ...]:
    """Return the boundaries of the groups of columns."""
    groups = min(_GROUPS, max(1, width // _NARROWEST))
    return tuple(width * i // groups for i in range(groups + 1))


def _mirrored(sums: Sequence[Array], width: int) -> Array:
    """Return the symmetric matrix from the rows of its upper triangle, group by group."""
    matrix = np.zeros((width, width))
    place = 0
    for rows in sums:
        matrix[place : place + len(rows), place:] = rows
        place += len(rows)
    upper = np.triu(matrix)
    return np.asarray(upper + np.triu(upper, 1).T)


def _plain_block(means: Sequence[Array], rows: Sequence[Array]) -> Sequence[Array]:
    """Return the sums of a block, the scatter whole; ``rows`` are columns with these means, and weights, if any."""
    gaps = [part - mean for part, mean in zip(rows, means, strict=False)]
    if len(rows) > len(means):
        root = np.sqrt(rows[-1])[:, None]
        for gap in gaps:
            gap *= root
    return [gaps[0].T @ gap for gap in gaps]


@functools.lru_cache(maxsize=8)
def _compiled_block(width: int, others: int, dtype: str, weighted: bool) -> Block:
    """Return the native program for the groups of rows of the upper triangle and the cross scatter."""
    widths = [width, others] if others else [width]
    means = [symbol("mean", (d,), dtype) for d in widths]
    rows = [symbol("x", (_ROWS, d), dtype) for d in widths]
    gap, *other = (part - mean for part, mean in zip(rows, means, strict=True))
    left = gap
    if weighted:
        rows.append(symbol("w", (_ROWS,), dtype))
        left = gap * rows[-1].expand_dims(1)
    pieces = [
        left[:, before:after].T @ gap[:, before:]
        for before, after in itertools.pairwise(_edges(width))
    ]
    pieces += [left.T @ part for part in other]
    run = compiled(
        Program(tuple(t.node for t in (*means, *rows)), tuple(t.node for t in pieces)),
        "cpu",
    )
    return lambda centers, block: run(*centers, *block)
