"""Exact nearest neighbours by Euclidean distance: blocks of matrix products, then few distances measured anew.

‖q − x‖² = ‖q‖² − 2qᵀx + ‖x‖²: a product of matrices gives all of them for a block, with rounding errors. The k-th
smallest of the minima of groups of columns bounds the k-th smallest distance from above, so that only the groups
below that bound (and an allowance for rounding) are looked into; what they hold is measured again as Σ(q − x)² in
float64 and sorted. Distances are therefore exact, and equal ones are ordered by index.

Cost: O(Q·N·d) in products, one more pass over the Q·N values while they are in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deltarule.learners.base import Array

Rows = npt.NDArray[np.int64]
_QUERIES, _COLUMNS, _STRIPES = 512, 4096, 32  # a tile is 512 × 4096; a group is every 128th column of a tile
_GROUPS = _COLUMNS // _STRIPES
_BLOCK_NUMBERS = 2**25  # values of a block of queries
_PAIR_NUMBERS = 2**22  # numbers in a block of differences


@dataclass(frozen=True)
class Known:
    """Examples ready for search: centred (which keeps ‖x‖² small, so that little cancels), and their squares."""

    examples: Array
    mean: Array
    centred: Array
    squares: Array

    @staticmethod
    def of(examples: Array) -> Known:
        """Prepare examples (N, d) of float32 or float64, which sets the type of the products."""
        mean = examples.mean(axis=0, dtype=np.float64).astype(examples.dtype)
        centred = examples - mean
        return Known(examples, mean, centred, np.einsum("nd,nd->n", centred, centred))

    def nearest(self, queries: Array, k: int) -> tuple[npt.NDArray[np.float64], Rows]:
        """Return (distances, indices), both (Q, k), nearest first, of equal ones the earlier."""
        distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
        centred = queries.astype(self.centred.dtype, copy=False) - self.mean
        padded = -(-len(self.examples) // _COLUMNS) * _COLUMNS
        size = max(1, min(_QUERIES, len(queries), _BLOCK_NUMBERS // padded))
        values = np.full((size, padded), np.inf, self.centred.dtype)
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            pairs = self._candidates(centred[rows], values[: len(centred[rows])], k)
            distances[rows], indices[rows] = self._sorted(queries[rows], pairs, k)
        return distances, indices

    def _candidates(self, queries: Array, values: Array, k: int) -> tuple[Rows, Rows]:
        """Return (row, column) of all pairs among which the k nearest of every row are, ordered by row."""
        n = len(self.examples)
        doubled = -2 * queries
        minima = np.empty((len(queries), values.shape[1] // _STRIPES), values.dtype)
        for number, start in enumerate(range(0, n, _COLUMNS)):
            stop = min(start + _COLUMNS, n)
            tile = doubled @ self.centred[start:stop].T
            tile += self.squares[start:stop]
            values[:, start:stop] = tile
            grouped = values[:, start : start + _COLUMNS].reshape(len(queries), _STRIPES, _GROUPS)
            np.minimum.reduce(grouped, axis=1, out=minima[:, number * _GROUPS : (number + 1) * _GROUPS])
        finite = np.isfinite(minima).sum(axis=1).min()
        pool = minima if k <= finite else values
        bound = np.partition(pool, k - 1, axis=1)[:, k - 1]
        scale = np.einsum("qd,qd->q", queries, queries) + self.squares.max()
        bound = bound + 4 * np.finfo(values.dtype).eps * np.sqrt(queries.shape[1] + 16) * scale
        row, group = np.nonzero(minima <= bound[:, None])
        base = group // _GROUPS * _COLUMNS + group % _GROUPS
        columns = base[:, None] + _GROUPS * np.arange(_STRIPES)
        inside = values[row[:, None], columns] <= bound[row][:, None]
        return np.repeat(row, inside.sum(axis=1)), columns[inside]

    def _sorted(self, queries: Array, pairs: tuple[Rows, Rows], k: int) -> tuple[Array, Rows]:
        """Measure the candidates and return the k nearest of every row."""
        row, column = pairs
        squares = np.empty(len(row))
        step = max(1, _PAIR_NUMBERS // queries.shape[1])
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            gap = queries[row[part]].astype(np.float64) - self.examples[column[part]]
            squares[part] = np.einsum("pd,pd->p", gap, gap)
        order = np.lexsort((column, squares, row))
        first = np.searchsorted(row, np.arange(len(queries)))  # row is ascending, and stays so in this order
        chosen = order[first[:, None] + np.arange(k)]
        return np.sqrt(squares[chosen]), column[chosen]


def neighbors_of_each(x: Array, k: int) -> tuple[npt.NDArray[np.float64], Rows]:
    """Return (distances, indices) of the k nearest other examples of every example, (N, k)."""
    distances, indices = Known.of(x).nearest(x, k + 1)
    own = indices == np.arange(len(x))[:, None]
    own[~own.any(axis=1), -1] = True  # more than k copies of an example come before it
    return distances[~own].reshape(-1, k), indices[~own].reshape(-1, k)
