"""Comparison of graphs at random points.

Values are equal if ‖a − b‖ ≤ 10⁻⁸‖b‖. Where the difference is larger, both graphs are evaluated again with noise after
each operation; a difference that rounding alone may cause decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltarule.errors import DataError
from deltarule.explain.formula.term import is_number
from deltarule.explain.grading.points import ORDINARY, Extra, Place, Points
from deltarule.explain.proof.proof import Precise
from deltarule.explain.proof.rounding import Noisy
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import Shape

EQUAL = 1e-8  # relative to the norm
_ROUNDINGS = 200.0  # rounding errors of this many standard deviations decide nothing
_WITHOUT_NOISE = (
    1e-6  # relative, where an operand is a function that cannot be run with noise
)


@dataclass(frozen=True)
class Comparison:
    """What is known of two graphs.

    ``where`` is the kind of point at which they differ first: "ordinary", "large", "small", "kink"; "undefined" where
    the left one is not finite at ``undefined`` of ``points`` ordinary points, and "shape" where the shapes differ.
    """

    where: str = ""
    undefined: int = 0
    points: int = 0

    @property
    def equal(self) -> bool:
        """Whether no point tells them apart."""
        return not self.where


class Sample:
    """Random points, and comparisons of graphs at all of them."""

    def __init__(
        self,
        precise: Precise,
        extra: Extra | None = None,
        stand_in: Node | None = None,
    ) -> None:
        self._precise = precise
        self._stand_in = stand_in
        self._points = Points(precise, extra)
        self._noisy: dict[tuple[Node, Node], Noisy] = {}

    def twin(self, node: Node) -> Node:
        """Return the twin of a node in float64; one that has none is its own."""
        return self._precise.twin(node)

    def at_ordinary(self, nodes: Sequence[Node]) -> Iterator[list[float]]:
        """Yield the values of numbers at each ordinary point."""
        for place in self._points.ordinary:
            yield self._precise.numbers(nodes, place.given)

    def _pair(self, left: Node, right: Node) -> tuple[Node, Node]:
        a = self._precise.twin(left)
        return a, build.reshape(self._precise.twin(right), a.shape)

    # ---------------------------------------------------------------- equal

    def agrees(self, left: Node, right: Node) -> bool:
        """Whether two graphs have the same value at every point where both are finite."""
        return self.compare(left, right).equal

    def compare(self, left: Node, right: Node) -> Comparison:
        """Compare two graphs at ordinary, extreme and kink points, up to the first difference.

        Raises:
            DataError: the right graph is not finite at two ordinary points at least.
        """
        if not same_shape(left.shape, right.shape):
            return Comparison("shape")
        a, b = self._pair(left, right)
        undefined = finite = settled = 0
        for place in self._points.ordinary:
            found = self._at(a, b, place)
            finite += found is not None
            undefined += found == "undefined"
            settled += found == "equal"
            if found == "different":
                return Comparison("ordinary")
        if finite < 2:
            raise _no_points(finite)
        if undefined:
            return Comparison("undefined", undefined, finite)
        if not settled:
            return Comparison("ordinary")
        for place in self._points.beside_kinks(a, b):
            if self._at(a, b, place) == "different":
                return Comparison(place.where)
        for place in self._points.extreme:
            if self._at(a, b, place) == "different":
                return Comparison(place.where)
        return Comparison()

    def _at(self, a: Node, b: Node, place: Place) -> str | None:
        """Return "equal", "different", "rounding" or "undefined" at a point; None where the right one is not finite."""
        gap, size = self._norms(a, b, place)
        if not math.isfinite(size):
            return None
        if not math.isfinite(gap):
            return "undefined"
        if gap <= EQUAL * size:
            return "equal"
        if self._stand_in is not None and place.where:
            near = gap <= _WITHOUT_NOISE * size
        else:
            near = gap <= _ROUNDINGS * self._rounding(a, b, place)
        return "rounding" if near and size else "equal" if near else "different"

    def _norms(self, a: Node, b: Node, place: Place) -> list[float]:
        """Return ‖a − b‖ and ‖b‖."""
        gap = build.subtract(a, b)
        squares = [build.sum_over(build.multiply(x, x)) for x in (gap, b)]
        return [
            math.sqrt(value) if value >= 0 else math.nan
            for value in self._precise.numbers(squares, place.given)
        ]

    def _rounding(self, a: Node, b: Node, place: Place) -> float:
        """Return how far rounding moves a and b, about."""
        if (a, b) not in self._noisy:
            self._noisy[a, b] = Noisy([a, b])
        return self._precise.rounding(self._noisy[a, b], [a, b], place.given)


def _no_points(usable: int) -> DataError:
    return DataError(
        "grade",
        expected="finite, non-zero gradients at random points",
        got=f"{usable} of {ORDINARY}",
    )


def same_shape(left: Shape, right: Shape) -> bool:
    """Whether shapes are equal, those of numbers taken as one."""
    return left == right or (is_number(left) and is_number(right))
