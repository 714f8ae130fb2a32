"""Exact nearest neighbours by Euclidean distance: blocks of matrix products, then few distances measured anew.

‖q − x‖² = ‖q‖² − 2qᵀx + ‖x‖²: a product of matrices gives all of them for a block, with rounding errors. The k-th
smallest of the minima of groups of columns bounds the k-th smallest distance from above, so that only the groups
below that bound (and an allowance for rounding) are looked into; what they hold is measured again as Σ(q − x)² in
float64 and sorted. Distances are therefore exact, and equal ones are ordered by index.

The products are in float32, whatever the examples are: that finds the few to be measured in half the time. Where
groups of examples lie so close together that single precision does not tell them apart, float64 takes its place.

Numbers whose squares would be infinite or 0 are divided by a power of two, which changes no other bit; queries that
are farther out than the squares reach are measured one by one.

Products and minima of a tile are one program on the native engine where there is enough to do, else NumPy's.
Cost: O(Q·N·d) in products, one more pass over the Q·N values while they are in the cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.program import Program
from deltarule.learners.base import Array
from deltarule.runtime.devices import compiled

Rows = npt.NDArray[np.int64]
_QUERIES, _COLUMNS, _STRIPES = (
    512,
    4096,
    32,
)  # a native tile is 512 × 4096; a group is every 128th column of a tile
_GROUPS, _FEWEST_STRIPES = _COLUMNS // _STRIPES, 4  # of few examples groups are smaller
_WORTH_TILES = 2**14  # examples: tiles of fewer would be filled up too much
_BLOCK_NUMBERS = 2**25  # values of a block of queries
_PLAIN_NUMBERS, _FEWEST = 2**18, 32  # the same in NumPy, but not less than 32 queries
_PAIR_NUMBERS = 2**18  # numbers in a block of differences
_WORTH_COMPILING = 2**29  # products of numbers
_SAFE = {
    "float32": 40,
    "float64": 400,
}  # sizes 2^±these have squares, and sums of them, that are normal numbers
_NOTHING = -5000  # the exponent of 0
_ROUNDING = 6  # of products, in units of ε√d; float64 that becomes float32 is in it

Tile = Callable[[Array, Array, Array], Sequence[Array]]
Measure = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Filter:
    """Examples of one type for the products: centred (which keeps ‖x‖² small, so that little cancels), and squares."""

    centred: Array  # rows of 0 fill the last tile
    squares: Array  # ∞ for these
    n: int
    columns: int  # of a tile
    groups: int  # of these

    @staticmethod
    def of(examples: Array, mean: Array, dtype: str) -> Filter:
        """Prepare examples (N, d)."""
        n, width = examples.shape
        # more groups take longer to part, larger ones to look into
        stripes = min(_STRIPES, max(_FEWEST_STRIPES, 1 << (n // 16).bit_length() // 2))
        columns = -(-n // stripes) * stripes
        if n >= _WORTH_TILES:
            stripes, columns = _STRIPES, _COLUMNS
        padded = -(-n // columns) * columns
        centred, squares = (
            np.zeros((padded, width), dtype),
            np.full(padded, np.inf, dtype),
        )
        np.subtract(examples, mean, out=centred[:n], casting="same_kind")
        squares[:n] = np.einsum("nd,nd->n", centred[:n], centred[:n])
        return Filter(centred, squares, n, columns, columns // stripes)

    @functools.cached_property
    def largest(self) -> float:
        """The largest square."""
        return float(self.squares[: self.n].max())

    def blocks(self, queries: Array, k: int) -> Iterator[tuple[slice, Rows, Rows]]:
        """Yield rows of queries, and (row, column) of all pairs among which their k nearest are, in order."""
        padded, width = self.centred.shape
        native = (
            self.columns == _COLUMNS
            and len(queries) * padded * width >= _WORTH_COMPILING
        )
        numbers = _BLOCK_NUMBERS if native else max(_PLAIN_NUMBERS, _FEWEST * padded)
        size = max(1, min(_QUERIES, len(queries), numbers // padded))
        measure = self._by_engine if native else self._by_numpy
        values = np.empty((size, padded), self.centred.dtype)
        for start in range(0, len(queries), size):
            rows = slice(start, min(start + size, len(queries)))
            block = queries[rows]
            count = len(block)
            if count < size and native:  # the program takes whole blocks
                block = np.concatenate(
                    [block, np.zeros((size - count, width), block.dtype)]
                )
            yield rows, *self._candidates(block, count, values, k, measure)

    @functools.cached_property
    def _with_squares(self) -> Array:
        """Examples with their squares as a last feature, so that one product of matrices adds them too."""
        return np.concatenate([self.centred, self.squares[:, None]], axis=1)

    def _by_numpy(self, queries: Array, values: Array) -> Array:
        """Write ‖x‖² − 2qᵀx of all examples into ``values``; return the minima over the stripes of each group."""
        left = np.ones((len(queries), queries.shape[1] + 1), queries.dtype)
        np.multiply(queries, -2, out=left[:, :-1])
        np.matmul(left, self._with_squares.T, out=values)
        tiles = values.reshape(
            len(queries), -1, self.columns // self.groups, self.groups
        )
        return np.asarray(tiles.min(axis=2).reshape(len(queries), -1))

    def _by_engine(self, queries: Array, values: Array) -> Array:
        """Do the same, tile by tile, on the native engine."""
        tile = _compiled_tile(*queries.shape, str(values.dtype))
        minima = np.empty((len(queries), values.shape[1] // _STRIPES), values.dtype)
        for number, start in enumerate(range(0, len(self.centred), _COLUMNS)):
            columns = slice(start, start + _COLUMNS)
            own = slice(number * _GROUPS, (number + 1) * _GROUPS)
            values[:, columns], minima[:, own] = tile(
                queries, self.centred[columns], self.squares[columns]
            )
        return minima

    def _candidates(
        self, block: Array, n: int, values: Array, k: int, measure: Measure
    ) -> tuple[Rows, Rows]:
        """Return (row, column) of all pairs among which the k nearest of the first n rows are, in order."""
        groups, stripes = self.groups, self.columns // self.groups
        minima = measure(block, values[: len(block)])[:n]
        queries, values = block[:n], values[:n]
        before = len(self.centred) - self.columns  # the last tile
        finite = before // stripes + min(groups, self.n - before)
        pool = minima if k <= finite else values
        bound = np.partition(pool, k - 1, axis=1)[:, k - 1]
        scale = np.einsum("qd,qd->q", queries, queries) + self.largest
        bound = (
            bound
            + _ROUNDING
            * np.finfo(values.dtype).eps
            * np.sqrt(queries.shape[1] + 16)
            * scale
        )
        row, group = np.nonzero(minima <= bound[:, None])
        base = group // groups * self.columns + group % groups
        cells = (row * values.shape[1] + base)[:, None] + groups * np.arange(stripes)
        found = values.ravel().take(cells)
        near = np.sort(cells[found <= bound[row][:, None]])
        row = near // values.shape[1]
        return row, near - row * values.shape[1]


@dataclass(frozen=True)
class Known:
    """Examples prepared for search.

    >>> Known.of(np.array([[1.0], [3.0]])).mean.tolist()
    [2.0]
    """

    examples: Array
    mean: Array
    exponent: int = 0  # examples are 2^exponent times what is stored

    @staticmethod
    def of(examples: Array) -> Known:
        """Prepare examples (N, d) of float32 or float64."""
        examples, exponent = in_reach(examples)
        mean = examples.mean(axis=0, dtype=np.float64).astype(examples.dtype)
        return Known(examples, mean, exponent)

    @functools.cached_property
    def coarse(self) -> tuple[Filter, int]:
        """Examples in float32, divided by 2^exponent: 0 unless squares would leave the type."""
        centred, exponent = self.examples - self.mean, 0
        if self.examples.dtype == np.float64:
            centred, exponent = _reduced(centred, "float32")
        return Filter.of(centred, np.zeros_like(self.mean), "float32"), exponent

    @functools.cached_property
    def fine(self) -> Filter:
        """Examples in float64."""
        return Filter.of(self.examples, self.mean, "float64")

    def __getstate__(self) -> dict[str, Any]:
        """Omit what can be recomputed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def nearest(self, queries: Array, k: int) -> tuple[npt.NDArray[np.float64], Rows]:
        """Return (distances, indices), both (Q, k), nearest first, of equal ones the earlier."""
        far = _exponents(queries) > self.exponent + _SAFE[str(self.examples.dtype)]
        if not far.any():
            return self._nearest(scaled(queries, -self.exponent), k)
        distances, indices = (
            np.empty((len(queries), k)),
            np.empty((len(queries), k), np.int64),
        )
        for row in np.flatnonzero(far):
            distances[row], indices[row] = self._from_afar(queries[row], k)
        if not far.all():
            distances[~far], indices[~far] = self._nearest(
                scaled(queries[~far], -self.exponent), k
            )
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
        distances, indices = (
            np.empty((len(queries), k)),
            np.empty((len(queries), k), np.int64),
        )
        done = 0
        for rows, pairs in self._coarse_pairs(queries, k):
            distances[rows], indices[rows] = self._sorted(queries[rows], pairs, k)
            done = rows.stop
        if done < len(queries):
            rest = queries[done:]
            for rows, *fine in self.fine.blocks(
                rest.astype(np.float64, copy=False) - self.mean, k
            ):
                place = slice(done + rows.start, done + rows.stop)
                distances[place], indices[place] = self._sorted(
                    rest[rows], (fine[0], fine[1]), k
                )
        return distances, indices

    def _coarse_pairs(
        self, queries: Array, k: int
    ) -> Iterator[tuple[slice, tuple[Rows, Rows]]]:
        """Yield rows of queries with pairs by float32, until these are too many, or there is a query out of reach."""
        coarse, exponent = self.coarse
        centred = scaled(queries - self.mean, -exponent)
        if _exponents(centred).max(initial=0) > _SAFE["float32"]:
            return
        most = 2 * k + _STRIPES + len(coarse.centred) // 64
        for rows, row, column in coarse.blocks(
            centred.astype(np.float32, copy=False), k
        ):
            if (
                len(row) > most * (rows.stop - rows.start)
                and self.examples.dtype == np.float64
            ):
                return
            yield rows, (row, column)

    def _sorted(
        self, queries: Array, pairs: tuple[Rows, Rows], k: int
    ) -> tuple[Array, Rows]:
        """Measure the candidates, pairs in order, and return the k nearest of every row."""
        row, column = pairs
        squares = np.empty(len(row))
        step = max(1, _PAIR_NUMBERS // queries.shape[1])
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            gap = (
                queries[row[part]].astype(np.float64, copy=False)
                - self.examples[column[part]]
            )
            squares[part] = np.einsum("pd,pd->p", gap, gap)
        order = np.argsort(squares, kind="stable")  # of equal ones the earlier
        small = row.astype(np.uint16)  # a block has at most _QUERIES; sorted by digits
        order = order[np.argsort(small[order], kind="stable")]
        first = np.searchsorted(
            row, np.arange(len(queries))
        )  # row is ascending, and stays so in this order
        chosen = order[first[:, None] + np.arange(k)]
        return scaled(np.sqrt(squares[chosen]), self.exponent), column[chosen]


def scaled(x: Array, exponent: int) -> Array:
    """Return x·2^exponent; what is too large for the type becomes infinite.

    >>> scaled(np.array([1.5]), 2).tolist()
    [6.0]
    """
    if not exponent:
        return x
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(x, exponent))


def _exponents(x: Array) -> Rows:
    """Return for every row of (N, d) the smallest e with |x| < 2^e (less than that of any number for a row of 0)."""
    size = np.maximum(x.max(axis=1), -x.min(axis=1))
    return np.where(size > 0, np.frexp(size)[1], _NOTHING).astype(np.int64)


def in_reach(x: Array) -> tuple[Array, int]:
    """Return x·2^−e and e: 0, unless squares of the largest |x| would leave its type.

    >>> [part.tolist() if isinstance(part, np.ndarray) else part for part in in_reach(np.array([[2.0**600, 1.0]]))]
    [[[0.5, 1.2049...e-181]], 601]
    """
    return _reduced(x, str(x.dtype))


def _reduced(x: Array, dtype: str) -> tuple[Array, int]:
    """Return the same for squares in another type."""
    exponent = int(np.frexp(max(float(x.max(initial=0)), -float(x.min(initial=0))))[1])
    exponent = exponent if abs(exponent) > _SAFE[dtype] else 0
    return scaled(x, -exponent), exponent


@functools.lru_cache(maxsize=8)
def _compiled_tile(n_queries: int, width: int, dtype: str) -> Tile:
    """Return the program that gives ‖x‖² − 2qᵀx for a tile, and its minima over the stripes of each group."""
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
    """Return (distances, indices) of the k nearest other examples of every example, (N, k).

    >>> distances, indices = neighbors_of_each(np.array([[0.0], [1.0], [5.0]]), 1)
    >>> distances.tolist(), indices.tolist()
    ([[1.0], [1.0], [4.0]], [[1], [0], [1]])
    """
    return without_own(*Known.of(x).nearest(x, k + 1))


def without_own(
    distances: Array, indices: Rows
) -> tuple[npt.NDArray[np.float64], Rows]:
    """Return neighbours (N, k) of every example without itself, from k + 1 of them.

    >>> distances, indices = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[0, 1], [1, 0]])
    >>> without_own(distances, indices)[1].tolist()
    [[1], [0]]
    """
    own = indices == np.arange(len(indices))[:, None]
    own[~own.any(axis=1), -1] = True  # more than k copies of an example come before it
    return distances[~own].reshape(len(own), -1), indices[~own].reshape(len(own), -1)
