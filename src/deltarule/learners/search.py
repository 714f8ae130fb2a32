"""Exact nearest neighbours by Euclidean distance: blocks of matrix products, then few distances measured anew.

‖q − x‖² = ‖q‖² − 2qᵀx + ‖x‖²: a product of matrices gives all of them for a block, with rounding errors. The k-th
smallest of the minima of groups of columns bounds the k-th smallest distance from above, so that only the groups
below that bound (and an allowance for rounding) are looked into; what they hold is measured again as Σ(q − x)² in
float64 and sorted. Distances are therefore exact, and equal ones are ordered by index.

Numbers whose squares would be infinite or 0 are divided by a power of two, which changes no other bit; queries that
are farther out than the squares reach are measured one by one.

Products and minima of a tile are one program on the native engine where there is enough to do, else NumPy's.
Cost: O(Q·N·d) in products, one more pass over the Q·N values while they are in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.program import Program
from deltarule.learners.base import Array
from deltarule.runtime.devices import compiled

Rows = npt.NDArray[np.int64]
_QUERIES, _COLUMNS, _STRIPES = 512, 4096, 32  # a tile is 512 × 4096; a group is every 128th column of a tile
_GROUPS = _COLUMNS // _STRIPES
_BLOCK_NUMBERS = 2**25  # values of a block of queries
_PAIR_NUMBERS = 2**22  # numbers in a block of differences
_WORTH_COMPILING = 2**31  # products of numbers
_SAFE = {"float32": 40, "float64": 400}  # sizes 2^±these have squares, and sums of them, that are normal numbers

Tile = Callable[[Array, Array, Array], Sequence[Array]]


@dataclass(frozen=True)
class Known:
    """Examples ready for search: centred (which keeps ‖x‖² small, so that little cancels), and their squares."""

    examples: Array
    mean: Array
    centred: Array  # rows of 0 fill the last tile
    squares: Array  # ∞ for these
    exponent: int = 0  # examples are 2^exponent times what is stored

    @staticmethod
    def of(examples: Array) -> Known:
        """Prepare examples (N, d) of float32 or float64, which sets the type of the products."""
        n, width = examples.shape
        examples, exponent = in_reach(examples)
        mean = examples.mean(axis=0, dtype=np.float64).astype(examples.dtype)
        padded = -(-n // _COLUMNS) * _COLUMNS
        centred, squares = np.zeros((padded, width), examples.dtype), np.full(padded, np.inf, examples.dtype)
        np.subtract(examples, mean, out=centred[:n])
        squares[:n] = np.einsum("nd,nd->n", centred[:n], centred[:n])
        return Known(examples, mean, centred, squares, exponent)

    def nearest(self, queries: Array, k: int) -> tuple[npt.NDArray[np.float64], Rows]:
        """Return (distances, indices), both (Q, k), nearest first, of equal ones the earlier."""
        far = _exponents(queries) > self.exponent + _SAFE[str(self.centred.dtype)]
        if not far.any():
            return self._nearest(scaled(queries, -self.exponent), k)
        distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
        for row in np.flatnonzero(far):
            distances[row], indices[row] = self._from_afar(queries[row], k)
        if not far.all():
            distances[~far], indices[~far] = self._nearest(scaled(queries[~far], -self.exponent), k)
        return distances, indices

    def _from_afar(self, query: Array, k: int) -> tuple[Array, Rows]:
        """Return distances and indices of the k nearest of one query, in units of its own size."""
        exponent = int(_exponents(query[None])[0])
        gap = scaled(query.astype(np.float64), -exponent) - scaled(
            self.examples.astype(np.float64), self.exponent - exponent
        )
        squares = np.einsum("nd,nd->n", gap, gap)
        order = np.argsort(squares, kind="stable")[:k]
        return scaled(np.sqrt(squares[order]), exponent), order

    def _nearest(self, queries: Array, k: int) -> tuple[npt.NDArray[np.float64], Rows]:
        """Return the same for queries in the units of what is stored."""
        distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
        centred = queries.astype(self.centred.dtype, copy=False) - self.mean
        padded, width = self.centred.shape
        size = max(1, min(_QUERIES, len(queries), _BLOCK_NUMBERS // padded))
        large = len(queries) * padded * width >= _WORTH_COMPILING
        tile: Tile = _compiled_tile(size, width, str(centred.dtype)) if large else _plain_tile
        values = np.empty((size, padded), centred.dtype)
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            block = centred[rows]
            if len(block) < size and large:  # the program takes whole blocks
                block = np.concatenate([block, np.zeros((size - len(block), width), block.dtype)])
            pairs = self._candidates(block, len(centred[rows]), values, k, tile)
            distances[rows], indices[rows] = self._sorted(queries[rows], pairs, k)
        return distances, indices

    def _candidates(self, block: Array, n: int, values: Array, k: int, tile: Tile) -> tuple[Rows, Rows]:
        """Return (row, column) of all pairs among which the k nearest of the first n rows are, ordered by row."""
        minima = np.empty((len(block), values.shape[1] // _STRIPES), values.dtype)
        for number, start in enumerate(range(0, len(self.centred), _COLUMNS)):
            columns, groups = slice(start, start + _COLUMNS), slice(number * _GROUPS, (number + 1) * _GROUPS)
            values[: len(block), columns], minima[:, groups] = tile(block, self.centred[columns], self.squares[columns])
        queries, values, minima = block[:n], values[:n], minima[:n]
        finite = np.isfinite(minima).sum(axis=1).min()
        pool = minima if k <= finite else values
        bound = np.partition(pool, k - 1, axis=1)[:, k - 1]
        scale = np.einsum("qd,qd->q", queries, queries) + self.squares[: len(self.examples)].max()
        bound = bound + 4 * np.finfo(values.dtype).eps * np.sqrt(queries.shape[1] + 16) * scale
        row, group = np.nonzero(minima <= bound[:, None])
        base = group // _GROUPS * _COLUMNS + group % _GROUPS
        places = base[:, None] + _GROUPS * np.arange(_STRIPES)
        inside = values[row[:, None], places] <= bound[row][:, None]
        return np.repeat(row, inside.sum(axis=1)), places[inside]

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
        return scaled(np.sqrt(squares[chosen]), self.exponent), column[chosen]


def scaled(x: Array, exponent: int) -> Array:
    """Return x·2^exponent; what is too large for the type becomes infinite."""
    if not exponent:
        return x
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(x, exponent))


def _exponents(x: Array) -> Rows:
    """Return for every row of (N, d) the smallest e with |x| < 2^e (0 for a row of 0)."""
    return np.asarray(np.frexp(np.maximum(x.max(axis=1), -x.min(axis=1)))[1], np.int64)


def in_reach(x: Array) -> tuple[Array, int]:
    """Return x·2^−e and e: 0, unless squares of the largest |x| would leave its type.

    >>> [part.tolist() if isinstance(part, np.ndarray) else part for part in in_reach(np.array([[2.0**600, 1.0]]))]
    [[[0.5, 1.2049...e-181]], 601]
    """
    exponent = int(np.frexp(max(float(x.max(initial=0)), -float(x.min(initial=0))))[1])
    exponent = exponent if abs(exponent) > _SAFE[str(x.dtype)] else 0
    return scaled(x, -exponent), exponent


def _plain_tile(queries: Array, examples: Array, squares: Array) -> Sequence[Array]:
    """Return ‖x‖² − 2qᵀx for all pairs of a tile, and its minima over the stripes of every group."""
    values = (-2 * queries) @ examples.T
    values += squares
    return values, values.reshape(len(queries), _STRIPES, _GROUPS).min(axis=1)


@functools.lru_cache(maxsize=8)
def _compiled_tile(n_queries: int, width: int, dtype: str) -> Tile:
    """Return the same for a number of queries as a program of the native engine."""
    kind = dtypes.DTYPES[dtype]
    queries = build.input_node("queries", (n_queries, width), kind)
    examples = build.input_node("examples", (_COLUMNS, width), kind)
    squares = build.input_node("squares", (_COLUMNS,), kind)
    products = build.matmul(queries, build.matrix_transpose(examples))
    values = build.add(build.multiply(products, -2.0), squares)
    striped = build.reshape(values, (n_queries, _STRIPES, _GROUPS))
    minima = build.negate(build.maximum_over(build.negate(striped), 1))
    run = compiled(Program((queries, examples, squares), (values, minima)), "cpu")
    return lambda *arrays: run(*arrays)


def neighbors_of_each(x: Array, k: int) -> tuple[npt.NDArray[np.float64], Rows]:
    """Return (distances, indices) of the k nearest other examples of every example, (N, k)."""
    distances, indices = Known.of(x).nearest(x, k + 1)
    own = indices == np.arange(len(x))[:, None]
    own[~own.any(axis=1), -1] = True  # more than k copies of an example come before it
    return distances[~own].reshape(-1, k), indices[~own].reshape(-1, k)
