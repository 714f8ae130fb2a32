"""Sums of products in double-double arithmetic by BLAS: what least squares stores of chunks of few columns.

Each column is split into slices of 20 bits and a remainder. Products of the first
slices, summed over a block of 4096 rows, are integers below 2⁵³ in their own units, and
so exact; the rounding errors of the others are 2⁻¹¹³ of the largest (Ozaki, Ogita,
Oishi and Rump 2012). Blocks are added as pairs of floats, high and low (Dekker 1971),
and so is the LDLᵀ factorisation, of which R = D^½Lᵀ is rounded once. Its rows replace
the data: their products have the squared condition number of the data, but twice the
digits.
"""

from __future__ import annotations

from typing import final

import numpy as np

from deltarule.learners.base import Array

_ROWS = 2**12
_BITS, _SLICES = 20, 4
_SPLITTER = 2.0**27 + 1
_NOTHING = 1e-26  # relative residual square of a linearly dependent column

Pair = tuple[Array, Array]  # high and low


@final
class DoubledSums:
    """Σ zzᵀ of rows z as pairs of floats.

    >>> rows = np.array([[3.0, 0.0], [4.0, 1.0]])
    >>> DoubledSums(2).added(rows, np.ones(2)).triangle().round(6).tolist()
    [[5.0, 0.8], [0.0, 0.6]]
    """

    def __init__(self, width: int) -> None:
        self.sums: Pair = np.zeros((width, width)), np.zeros((width, width))

    def added(self, rows: Array, weights: Array) -> DoubledSums:
        """Return the sums with rows (N, width) of weights ≥ 0 added, w·z as exact pairs of floats."""
        made, width = DoubledSums(rows.shape[1]), rows.shape[1]
        made.sums = self.sums
        plain = bool((weights == 1).all())
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            slices = left = _sliced(block)
            if not plain:
                part = weights[start : start + _ROWS, None]
                zero = np.zeros(())
                left = _sliced(*_times((part, zero), (block, zero)))
            products = (left.T @ slices).reshape(_SLICES, width, _SLICES, width)
            for i in reversed(range(_SLICES)):
                for j in reversed(range(_SLICES)):
                    made.sums = _plus(made.sums, (products[i, :, j], np.zeros(())))
        return made

    def triangle(self) -> Array:
        """Return the upper triangular R with RᵀR = Σ w zzᵀ; rows of linearly dependent columns are 0."""
        high, low = (part.copy() for part in self.sums)
        least = _NOTHING * high.diagonal()
        found = np.zeros_like(high)
        for k in range(len(high)):
            pivot = high[k, k]
            if not pivot > least[k]:
                continue
            found[k, k:] = high[k, k:] / np.sqrt(pivot)
            row = high[k, k + 1 :], low[k, k + 1 :]
            share = _over(row, (pivot, low[k, k]))
            product = _times((row[0][:, None], row[1][:, None]), share)
            rest = slice(k + 1, None)
            high[rest, rest], low[rest, rest] = _plus(
                (high[rest, rest], low[rest, rest]), (-product[0], -product[1])
            )
        return found


def _sliced(rows: Array, low: Array | float = 0.0) -> Array:
    """Return the slices of the columns side by side, (N, slices·width), the last with ``low`` added."""
    largest = np.abs(rows).max(axis=0)
    left, parts = rows, []
    for number in range(1, _SLICES):
        size = np.ldexp(0.75, np.frexp(largest)[1] + 53 - _BITS * number)
        part = (left + size) - size
        parts.append(part)
        left = left - part
    return np.concatenate([*parts, left + low], axis=1)


def _sum(a: Array, b: Array) -> Pair:
    """Return a + b and its rounding error, exactly (Knuth's two-sum)."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _plus(a: Pair, b: Pair) -> Pair:
    high, low = _sum(a[0], b[0])
    low = low + (a[1] + b[1])
    total = high + low
    return total, low - (total - high)


def _halves(a: Array) -> Pair:
    scaled = a * _SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def _times(a: Pair, b: Pair) -> Pair:
    product = a[0] * b[0]
    (a1, a2), (b1, b2) = _halves(a[0]), _halves(b[0])
    error = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    return product, error + (a[0] * b[1] + a[1] * b[0])


def _over(a: Pair, b: Pair) -> Pair:
    first = a[0] / b[0]
    taken = _times(b, (first, np.zeros(())))
    rest = _plus(a, (-taken[0], -taken[1]))
    return _plus((first, np.zeros(())), (rest[0] / b[0], np.zeros(())))
