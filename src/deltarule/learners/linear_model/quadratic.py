"""½θᵀGθ − tᵀθ, the quadratic that least squares minimises besides its penalty, in the form that suits the data.

``sums`` are the normal equations G = Σ w xxᵀ and t = Σ w xy of centred data: cheap,
with the squared condition number of the data. ``rows`` are A and b with AᵀA = G and Aᵀb
= t: the data, or R of their running factorisation (``factor``), with the condition
number of the data. ``operator`` multiplies by A without forming either, for sparse data
of many features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, final

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator

from deltarule.cached import cached_property
from deltarule.learners.base import Array
from deltarule.learners.linear_model.design import Design, scaled, units
from deltarule.learners.linear_model.factor import Factor
from deltarule.learners.linear_model.scatter import scatters
from deltarule.learners.linear_model.solutions import expected_error

Pair = tuple[Array, Array]
MOST_FEATURES = 4096  # for which G is formed even if larger than the data
_NEAR = 1e-14  # variance relative to the squared mean, below which the rows are used
_MOST_ERROR = 1e-12  # of θ by QR, above which double-double arithmetic is used
_LARGE, _MOST_ERROR_OF_LARGE = 2**20, 1e-10  # the same for so many numbers
_NUMBERS = 2**17  # numbers in a block of rows


class Quadratic(ABC):
    """J in units that keep squares finite: coefficients in the user's units are θ·unit/target_unit.

    ``mass`` is Σw, ``means`` are those of inputs and targets, 0 without an intercept;
    ``regular`` tells that G is as accurate as its condition number allows.
    """

    mass: float
    regular: bool
    means: Pair
    units: Pair

    @cached_property
    def sums(self) -> Pair:
        """G (d, d) and t (d, outputs)."""
        a, b = self.rows
        return a.T @ a, a.T @ b

    @property
    @abstractmethod
    def rows(self) -> Pair:
        """A (rows, d) and b (rows, outputs)."""

    @property
    def features(self) -> int:
        """The number of features."""
        return len(self.units[0])

    def condition(self, ridge: Array) -> float:
        """Return the condition number of G + ridge with a diagonal of 1; ∞ where it is singular or G inaccurate."""
        if not self.regular:
            return np.inf
        diagonal = self.sums[0].diagonal() + ridge
        if (
            not (diagonal > _NEAR * self.mass * self.means[0] ** 2).all()
            or not (diagonal > 0).all()
        ):
            return np.inf
        size = np.sqrt(diagonal)
        values = linalg.eigvalsh(
            (self.sums[0] + np.diag(ridge)) / np.outer(size, size), check_finite=False
        )
        return float(values[-1] / values[0]) if values[0] > 0 else np.inf


@final
class OfRows(Quadratic):
    """J of examples (N, d) with targets (N, outputs).

    >>> x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])
    >>> rows = OfRows(x, y, np.ones(2), intercept=True)
    >>> rows.mass
    2.0
    """

    def __init__(self, x: Array, y: Array, weights: Array, intercept: bool) -> None:
        self.units = units(x), units(y)
        self._x, self._y = (
            part if (unit == 1).all() else part * unit
            for part, unit in zip((x, y), self.units, strict=True)
        )
        self._weights, self._intercept = weights, intercept
        self.mass, self.regular = float(weights.sum()), len(x) >= x.shape[1]
        self.means = (
            _mean(self._x, weights, intercept),
            _mean(self._y, weights, intercept),
        )

    @cached_property
    def sums(self) -> Pair:
        """G and t in one pass over the data."""
        return scatters(
            self._x,
            self._y,
            self.means,
            None if (self._weights == 1).all() else self._weights,
        )

    @cached_property
    def rows(self) -> Pair:
        """The centred data for fewer rows than features, else R."""
        if len(self._x) < self.features:
            root = np.sqrt(self._weights)[:, None]
            return tuple(
                _from_first(part, self._weights, self._intercept) * root
                for part in (self._x, self._y)
            )  # type: ignore[return-value]  # two parts
        blocks = [
            (self._x[part], self._y[part], self._weights[part])
            for part in _parts(*self._x.shape)
        ]
        found = factored(blocks, doubled=False)
        most = _MOST_ERROR if self._x.size < _LARGE else _MOST_ERROR_OF_LARGE
        if not expected_error(found.rows(self._intercept), self.features) < most:
            found = factored(blocks)
        return _of_factor(found, self.features, self._intercept, found.scale)


@final
class OfSparse(Quadratic):
    """J of sparse examples (CSR) with targets (N, outputs), which are never made dense as a whole."""

    def __init__(self, x: Any, y: Array, weights: Array, intercept: bool) -> None:
        self._design = Design.of(x, weights, intercept)
        self.units = self._design.unit, units(y)
        self._x, self._weights, self._intercept = (
            scaled(x, self.units[0]),
            weights,
            intercept,
        )
        y = y * self.units[1]
        self._gaps = _from_first(y, weights, intercept)
        self._y = y
        self.mass, self.regular = (
            float(weights.sum()),
            x.shape[0] >= x.shape[1] and x.shape[1] <= MOST_FEATURES,
        )
        self.means = self._design.means, _mean(y, weights, intercept)

    @cached_property
    def sums(self) -> Pair:
        """G and t of centred data, by sparse products."""
        d, size = self.features, self._design.size
        ((_, block),) = self._design.blocks()
        gram = self._design.gram(block, self._weights)[:d, :d] * np.outer(size, size)
        return gram, self._against(self._gaps * self._weights[:, None])

    @cached_property
    def rows(self) -> Pair:
        """R, from blocks of rows."""
        blocks = (
            (self._x[part].toarray(), self._y[part], self._weights[part])
            for part in _parts(*self._x.shape)
        )
        found = factored(blocks)
        return _of_factor(found, self.features, self._intercept, found.scale)

    def _against(self, errors: Array) -> Array:
        ((_, block),) = self._design.blocks()
        return (
            self._design.backward(block, errors)[:, : self.features].T
            * self._design.size[:, None]
        )

    def squares(self) -> Array:
        """Return the diagonal of G."""
        return np.asarray(self._design.size**2 * self.mass)

    @property
    def operator(self) -> tuple[LinearOperator, Array]:
        """√w times the centred data as a linear operator, and the targets times √w."""
        ((_, block),), design, root = (
            self._design.blocks(),
            self._design,
            np.sqrt(self._weights)[:, None],
        )

        def forward(v: Array) -> Array:
            phi = v.reshape(self.features, -1).T * design.size
            moved = (
                np.column_stack([phi, np.zeros(len(phi))]) if self._intercept else phi
            )
            return design.forward(block, moved) * root

        shape = (self._x.shape[0], self.features)
        backward = lambda u: self._against(u.reshape(shape[0], -1) * root)  # noqa: E731  # the other half of a map
        return LinearOperator(
            shape, forward, backward, forward, np.float64, backward
        ), self._gaps * root


@final
class OfFactor(Quadratic):
    """J of a running factorisation, with the targets behind ``features``; ``relative``: divided by its scale."""

    def __init__(
        self, seen: Factor, features: int, intercept: bool, relative: bool = False
    ) -> None:
        self.mass, self.regular = seen.weight * seen.scale, False
        mean = seen.mean if intercept else np.zeros(len(seen))
        self.means = mean[:features], mean[features:]
        self.units = seen.unit[:features], seen.unit[features:]
        self._seen, self._intercept = seen, intercept
        self._scale = 1.0 if relative else seen.scale

    @cached_property
    def rows(self) -> Pair:
        """The parts of R of the features and of the targets."""
        return _of_factor(self._seen, self.features, self._intercept, self._scale)


def factored(
    blocks: Iterable[tuple[Array, Array, Array]], doubled: bool = True
) -> Factor:
    """Return the factorisation of blocks of inputs, targets and weights.

    >>> blocks = [(np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]]), np.ones(2))]
    >>> factored(blocks).weight
    2.0
    """
    parts = iter(blocks)
    x, y, weights = next(parts)
    found = Factor(x.shape[1] + y.shape[1], doubled).added(
        np.concatenate([x, y], axis=1), weights
    )
    for x, y, weights in parts:
        found = found.added(np.concatenate([x, y], axis=1), weights)
    return found


def _of_factor(seen: Factor, features: int, intercept: bool, scale: float) -> Pair:
    rows = seen.rows(intercept)
    if not intercept:
        rows = np.asarray(np.linalg.qr(rows, mode="r"))
    rows = rows * np.sqrt(scale)
    return rows[:features, :features], rows[:features, features:]


def _parts(n: int, width: int) -> Iterator[slice]:
    step = max(2 * width, _NUMBERS // max(1, width))
    return (slice(start, start + step) for start in range(0, n, step))


def _mean(x: Array, weights: Array, intercept: bool) -> Array:
    return (
        np.asarray(weights @ x / weights.sum()) if intercept else np.zeros(x.shape[1])
    )


def _from_first(x: Array, weights: Array, intercept: bool) -> Array:
    """Return centred numbers, computed relative to the first, so that constants become exactly 0."""
    if not intercept:
        return x
    moved = x - x[0]
    return np.asarray(moved - weights @ moved / weights.sum())
