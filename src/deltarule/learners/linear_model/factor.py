"""A running QR factorisation: R of all rows so far, which keeps the digits that least squares loses in products.

RᵀR = Σ w(x − μ)(x − μ)ᵀ has the squared condition number of the rows, R has their own.
Up to 128 columns R comes from sums of products in double-double arithmetic
(``doubled``); more are merged by the formula of Chan, Golub and LeVeque (1979) for
scatters, with rows in place of their products:

    R ← R of QR[R₁; √w(x − μ₂); √(w₁w₂/w)·(μ₂ − μ₁)],  w = w₁ + w₂

The first row is subtracted from all rows, so that a mean of 10⁹ costs no digit of a
spread of 1, and columns whose squares would overflow or underflow are scaled by powers
of two.
"""

from __future__ import annotations

from typing import final

import numpy as np

from deltarule.errors import DataError
from deltarule.learners.base import Array
from deltarule.learners.linear_model.design import units
from deltarule.learners.linear_model.doubled import DoubledSums

_NUMBERS = 2**17  # numbers in the rows of one factorisation
_MOST_DOUBLED = 128  # columns, for double-double arithmetic


@final
class Factor:
    """Weight, mean and R of the rows (n_columns,) added; R is that of the rows times ``unit``.

    >>> x = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> factor = Factor(2).added(x, np.ones(2))
    >>> factor.weight
    2.0
    """

    def __init__(self, n_columns: int, doubled: bool = True) -> None:
        self.weight, self.scale = 0.0, 1.0
        self.unit: Array = np.ones(n_columns)
        self._origin: Array = np.zeros(n_columns)
        self._mean: Array = np.zeros(n_columns)
        self._triangle: Array = np.zeros((0, n_columns))
        self._sums = (
            DoubledSums(n_columns + 1)
            if doubled and n_columns <= _MOST_DOUBLED
            else None
        )

    def __len__(self) -> int:
        return len(self.unit)

    def added(self, x: Array, weights: Array) -> Factor:
        """Return a factorisation with rows (N, n_columns) of weights > 0 added; this one is unchanged."""
        made = Factor(len(self))
        made.__dict__.update(self.__dict__)
        if not made.weight:
            made.unit = units(x)
            made._origin = x[0] * made.unit
            same = (weights == weights[0]).all()
            half = np.frexp(weights.max())[1] // 2
            made.scale = float(weights[0] if same else np.ldexp(1.0, 2 * half))
        weights = weights / made.scale
        step = max(2 * len(self), _NUMBERS // len(self))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(x), step):
                rows = x[start : start + step] * made.unit - made._origin
                part = weights[start : start + step]
                if made._sums is None:
                    made._merge(rows, part)
                else:
                    made._sums = made._sums.added(
                        np.column_stack([np.ones(len(rows)), rows]), part
                    )
                    made.weight += float(part.sum())
            finite = np.isfinite(
                made._triangle if made._sums is None else made._sums.sums[0]
            ).all()
        if not finite:
            raise DataError(
                "partial_fit",
                expected="numbers of about the size of those of the first chunk",
                got="far larger ones",
                hint="Scale the features and targets, for instance by StandardScaler().",
            )
        return made

    def _merge(self, rows: Array, weights: Array) -> None:
        mass = float(weights.sum())
        mean = weights @ rows / mass
        rows = (rows - mean) * np.sqrt(weights)[:, None]
        total = self.weight + mass
        between = np.sqrt(self.weight * mass / total) * (mean - self._mean)
        self._triangle = np.asarray(
            np.linalg.qr(np.vstack([self._triangle, rows, between]), mode="r")
        )
        self._mean = self._mean + (mean - self._mean) * (mass / total)
        self.weight = total

    @property
    def mean(self) -> Array:
        """The mean of the rows, in their units."""
        if self._sums is None:
            return np.asarray(self._origin + self._mean)
        return np.asarray(
            self._origin + self._sums.sums[0][0, 1:] / self._sums.sums[0][0, 0]
        )

    def rows(self, centred: bool) -> Array:
        """Return rows A with AᵀA = Σ w(x − μ)(x − μ)ᵀ, or Σ w xxᵀ, in the units and w in ``scale``."""
        triangle = (
            self._triangle if self._sums is None else self._sums.triangle()[1:, 1:]
        )
        return (
            triangle
            if centred
            else np.vstack([triangle, np.sqrt(self.weight) * self.mean])
        )
