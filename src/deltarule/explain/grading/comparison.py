"""Comparison of graphs at random points: equal, proportional, or how many entries differ.

Values are equal if ‖a − b‖ ≤ 10⁻⁸‖b‖. Where the difference is larger, both graphs are evaluated again with noise after
each operation; a difference that rounding alone may cause decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltarule import dtypes
from deltarule.errors import DataError
from deltarule.explain.formula.term import is_number
from deltarule.explain.grading.points import ORDINARY, Extra, Place, Points
from deltarule.explain.proof.proof import Precise
from deltarule.explain.proof.rounding import UNIT, Noisy
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import Shape

EQUAL = 1e-8  # relative to the norm
_ROUNDINGS = 200.0  # rounding errors of this many standard deviations decide nothing
_WITHOUT_NOISE = (
    1e-6  # relative, where an operand is a function that cannot be run with noise
)
_PROPORTIONAL = 1e-12  # of the squared norm


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

    def first_sizes(self, nodes: set[Node]) -> set[int]:
        """Return the numbers of examples in data."""
        return {
            int(self._precise[node].shape[0]) for node in nodes if node in self._precise
        }

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
        """Return how far rounding moves a − b, about: the root of the mean square over evaluations with noise."""
        if (a, b) not in self._noisy:
            self._noisy[a, b] = Noisy([a, b])
        noisy = self._noisy[a, b]
        total = 0.0
        exact = self._precise.values([a, b], place.given)
        for _ in range(3):
            for value, kept in zip(
                self._precise.noisy(noisy, place.given), exact, strict=True
            ):
                moved = float(((value - kept) ** 2).sum())
                if not math.isfinite(moved):
                    return math.inf
                total += moved / 3
        return UNIT * math.sqrt(total)

    # ---------------------------------------------------------------- proportional

    def ratio(self, left: Node, right: Node) -> float | None:
        """Return r with left = r·right at every ordinary point, or None.

        Raises:
            DataError: the right graph is finite and not 0 at fewer than two points.
        """
        if not same_shape(left.shape, right.shape):
            return None
        a, b = self._pair(left, right)
        first: float | None = None
        usable = zeros = 0
        for place in self._points.ordinary:
            found = self._ratio_at(a, [b], place)[0]
            if found is None:
                continue
            if math.isnan(found):
                return None
            if math.isinf(found):
                zeros += 1
                continue
            usable += 1
            if first is None:
                first = found
            elif abs(found - first) > EQUAL * max(1.0, abs(first)):
                return None
        if not usable and zeros >= 2:
            return 1.0
        if usable < 2:
            raise _no_points(usable)
        return first

    def proportional_at_first(self, left: Node, rights: Sequence[Node]) -> list[bool]:
        """Return which graphs a graph may be a multiple of, judged at the first ordinary point alone."""
        fitting = [right for right in rights if same_shape(left.shape, right.shape)]
        a = self._precise.twin(left)
        nodes = [build.reshape(self._precise.twin(right), a.shape) for right in fitting]
        ratios = self._ratio_at(a, nodes, self._points.ordinary[0]) if nodes else []
        kept = {
            right
            for right, ratio in zip(fitting, ratios, strict=True)
            if ratio is None or not math.isnan(ratio)
        }
        return [right in kept for right in rights]

    def _ratio_at(
        self, a: Node, rights: Sequence[Node], place: Place
    ) -> list[float | None]:
        """Return a/b at a point, for each b: NaN if not proportional, infinite if both are 0, None if not finite."""
        squares = [build.sum_over(build.multiply(a, a))]
        for b in rights:
            squares += [
                build.sum_over(build.multiply(a, b)),
                build.sum_over(build.multiply(b, b)),
            ]
        own, *rest = self._precise.numbers(squares, place.given)
        found: list[float | None] = []
        for along, size in zip(rest[::2], rest[1::2], strict=True):
            if not all(map(math.isfinite, (along, size, own))):
                found.append(None)
            elif size < 1e-24:
                found.append(math.nan if own > 1e-16 else math.inf)
            else:
                ratio = along / size
                apart = abs(own - ratio * along) > _PROPORTIONAL * max(own, size)
                found.append(math.nan if apart else ratio)
        return found

    def share_of_wrong(self, left: Node, right: Node) -> str:
        """Say how many entries differ at the first ordinary point at which some do."""
        a, b = self._pair(left, right)
        apart = build.absolute(build.subtract(a, b))
        differs = build.less(build.multiply(EQUAL, build.absolute(b)), apart)
        count = build.sum_over(build.cast(differs, dtypes.FLOAT64))
        wrong = next((found for (found,) in self.at_ordinary([count]) if found), 0.0)
        whole = math.prod(int(part) for part in a.shape)
        return f"{int(wrong)} of {whole} entries differ at a random point."


def _no_points(usable: int) -> DataError:
    return DataError(
        "grade",
        expected="finite, non-zero gradients at random points",
        got=f"{usable} of {ORDINARY}",
    )


def same_shape(left: Shape, right: Shape) -> bool:
    """Whether shapes are equal, those of numbers taken as one."""
    return left == right or (is_number(left) and is_number(right))
