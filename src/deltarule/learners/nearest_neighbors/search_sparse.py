"""Exact Euclidean nearest neighbours of sparse rows: sparse products, then the candidates measured directly.

As in ``search``, but without centring, since centred rows would be dense: ‖q‖² − 2qᵀx +
‖x‖² from sparse products gives all distances of a block with rounding errors, and those
within rounding of the k-th are recomputed as Σ(q − x)².
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltarule.learners.base import Array
from deltarule.learners.nearest_neighbors.search import Rows, scaled

_VALUES = 2**21  # of a block of queries
_PAIRS = 2**14  # measured at a time
_SAFE = 400  # sizes 2^±this have squares that are normal numbers


@dataclass(frozen=True)
class SparseKnown:
    """Rows (CSR, float64) prepared for search."""

    examples: Any
    squares: Array
    exponent: int = 0  # examples are 2^exponent times what is stored

    @staticmethod
    def of(examples: Any) -> SparseKnown:
        """Prepare rows (N, d)."""
        rows = examples.astype(np.float64)
        size = int(np.frexp(np.abs(rows.data).max(initial=0.0))[1])
        exponent = size if abs(size) > _SAFE else 0
        rows = _times(rows, -exponent)
        return SparseKnown(rows, _squares(rows), exponent)

    def nearest(self, queries: Any, k: int) -> tuple[Array, Rows]:
        """Return (distances, indices), both (Q, k), nearest first; of ties the earlier."""
        rows = _times(queries.astype(np.float64), -self.exponent)
        distances, indices = (
            np.empty((rows.shape[0], k)),
            np.empty((rows.shape[0], k), np.int64),
        )
        for part in _blocks(
            rows.shape[0], max(1, _VALUES // max(1, self.examples.shape[0]))
        ):
            distances[part], indices[part] = self._nearest(rows[part], k)
        return distances, indices

    def _nearest(self, queries: Any, k: int) -> tuple[Array, Rows]:
        with np.errstate(over="ignore", invalid="ignore"):
            own = _squares(queries)
            values = self.squares - 2 * (queries @ self.examples.T).toarray()
            kth = np.partition(values, k - 1, axis=1)[:, k - 1]
            allowance = (
                4
                * np.finfo(np.float64).eps
                * np.sqrt(queries.shape[1] + 16)
                * (own + self.squares.max())
            )
        far = ~np.isfinite(
            allowance + kth
        )  # a query far out of the examples' reach: all are measured
        row, column = np.nonzero((values <= (kth + allowance)[:, None]) | far[:, None])
        measured = np.empty(len(row))
        for part in _blocks(len(row), _PAIRS):
            measured[part] = self._measured(queries[row[part]], column[part])
        order = np.lexsort((column, measured, row))
        chosen = order[
            np.searchsorted(row, np.arange(queries.shape[0]))[:, None] + np.arange(k)
        ]
        return scaled(measured[chosen], self.exponent), column[chosen]

    def _measured(self, queries: Any, columns: Rows) -> Array:
        """Return the distance of each query from one example."""
        gap = (queries - self.examples[columns]).tocsr()
        exponents = np.frexp(abs(gap).max(axis=1).toarray().ravel())[1]
        gap.data = np.ldexp(gap.data, -np.repeat(exponents, np.diff(gap.indptr)))
        return np.asarray(np.ldexp(np.sqrt(_squares(gap)), exponents))


def _squares(rows: Any) -> Array:
    """Return ‖x‖² of every row."""
    return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()


def _times(rows: Any, exponent: int) -> Any:
    """Return rows·2^exponent."""
    if not exponent:
        return rows
    found = rows.copy()
    found.data = scaled(found.data, exponent)
    return found


def _blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
