"""Mean and variance of a stream, one example or one chunk at a time (Welford 1962)."""

from __future__ import annotations

from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.learners.linear_model.moments import merged

__all__ = ["RunningStatistics"]

Numbers = npt.NDArray[np.float64]


@final
class RunningStatistics:
    """Running mean μ, scatter S = Σ(xᵢ − μ)² and count n of a stream, without storing its examples (Welford 1962).

    ``update``: μₙ = μₙ₋₁ + (xₙ − μₙ₋₁)/n and Sₙ = Sₙ₋₁ + (xₙ − μₙ)(xₙ − μₙ₋₁).
    ``update_many`` and ``merge`` combine parts: S = S₁ + S₂ + (μ₂ − μ₁)² n₁n₂/n (Chan,
    Golub and LeVeque 1979). Unlike Σx²/n − μ², nothing subtracts large squares. Parts
    of a stream can be merged in any order.

    Attributes:
        n: Number of examples.
        mean: μ, of the shape of an example.
        scatter: S.

    >>> statistics = RunningStatistics()
    >>> for x in [2, 4, 4, 4, 5, 5, 7, 9]:
    ...     _ = statistics.update(x)
    >>> float(statistics.mean), float(statistics.variance()), round(float(statistics.variance(correction=1)), 6)
    (5.0, 4.0, 4.571429)
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: Numbers = np.zeros(())
        self.scatter: Numbers = np.zeros(())

    def update(self, x: Any) -> Self:
        """Add one example, a number or an array.

        >>> RunningStatistics().update([1.0, 3.0]).update([3.0, 5.0]).mean.tolist()
        [2.0, 4.0]
        """
        new = self._checked(_numbers(x, "update"))
        self.n += 1
        before = self.mean
        self.mean = before + (new - before) / self.n
        self.scatter = self.scatter + (new - self.mean) * (new - before)
        return self

    def update_many(self, x: Any) -> Self:
        """Add the examples along the first axis.

        >>> float(RunningStatistics().update_many([1.0, 2.0, 6.0]).mean)
        3.0
        """
        chunk = _numbers(x, "update_many")
        if chunk.ndim == 0:
            raise ShapeError(
                "RunningStatistics.update_many",
                expected="examples along the first axis",
                got="one number",
                hint="Write update(x) for a single example.",
            )
        if not len(chunk):
            return self
        part = RunningStatistics()
        part.n, part.mean = len(chunk), np.asarray(chunk.mean(axis=0))
        gap = chunk - part.mean
        part.scatter = np.asarray(
            (gap * gap).sum(axis=0) - gap.sum(axis=0) ** 2 / len(chunk)
        )  # the mean's rounding
        return self.merge(part)

    def merge(self, other: RunningStatistics) -> Self:
        """Add the examples of another object; raise ArgumentError for other types.

        >>> a, b = RunningStatistics().update(1.0), RunningStatistics().update(3.0)
        >>> float(a.merge(b).mean), a.n
        (2.0, 2)
        """
        if not isinstance(other, RunningStatistics):
            raise ArgumentError(
                "RunningStatistics.merge",
                expected="another RunningStatistics",
                got=repr(other),
                hint="Write update(x) for a single example, update_many(x) for examples along the first axis.",
            )
        if other.n == 0:
            return self
        self._checked(other.mean)
        self.mean, self.scatter = merged(
            self.n, self.mean, self.scatter, other.n, other.mean, other.scatter
        )
        self.n += other.n
        return self

    def variance(self, correction: int = 0) -> Numbers:
        """Return S/(n − correction): biased for 0, unbiased for 1; raise DataError for too few examples.

        >>> statistics = RunningStatistics().update_many([1.0, 2.0, 3.0])
        >>> float(statistics.variance(correction=1))
        1.0
        """
        if not isinstance(correction, int | float | np.number):
            raise ArgumentError(
                "variance correction",
                expected="a number such as 0 or 1",
                got=repr(correction),
            )
        if self.n <= correction:
            raise DataError(
                "variance", expected=f"more than {correction} examples", got=str(self.n)
            )
        return np.asarray(self.scatter / (self.n - correction))

    def deviation(self, correction: int = 0) -> Numbers:
        """Return the standard deviation, the square root of the variance.

        >>> float(RunningStatistics().update_many([1.0, 3.0]).deviation())
        1.0
        """
        return np.asarray(np.sqrt(self.variance(correction)))

    def _checked(self, x: Numbers) -> Numbers:
        if self.n == 0:
            self.mean, self.scatter = np.zeros(x.shape), np.zeros(x.shape)
        if x.shape != self.mean.shape:
            raise ShapeError(
                "RunningStatistics",
                expected=f"examples of shape {self.mean.shape}",
                got=str(x.shape),
            )
        return x


def _numbers(x: Any, where: str) -> Numbers:
    try:
        return np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"RunningStatistics.{where}",
            expected="numbers of one shape",
            got=str(error),
        ) from error


check_calls(__name__)
