"""The points at which an answer is compared: ordinary ones, large and small ones, and ones beside every kink."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deltarule.explain.proof.proof import Precise
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import inputs, topological

Point = Mapping[Node, Any]
Extra = Callable[[Mapping[Node, Any]], dict[Node, Any]]

ORDINARY: Final = 12  # so many that an indicator cannot be 1 at all of them by chance
_SCALES: Final = (1 / 16, 1.0, 16.0, 64.0)
_MIXED: Final = 4
_DISTANCES: Final = (1e-5, -1e-5, 0.03, -0.03)  # from a kink, relative to its operands
_MOST_KINKS: Final = 4
_STEPS: Final = 10
_ORDERS: Final = frozenset({Op.LESS, Op.MAXIMUM, Op.MINIMUM})


@dataclass(frozen=True)
class Place:
    """A point and where it lies: "" (ordinary), "large", "small" or "kink"."""

    given: Point
    where: str = ""


class Points:
    """Random points of a problem, drawn when they are needed; ``extra`` adds values that follow from a point."""

    def __init__(self, precise: Precise, extra: Extra | None = None) -> None:
        self._precise = precise
        self._extra = extra
        self.ordinary = [self._place() for _ in range(ORDINARY)]
        self._extreme: list[Place] | None = None

    def _place(
        self, where: str = "", stretch: Callable[[int, Any], Any] | None = None
    ) -> Place:
        return self._finished(self._precise.draw(stretch), where)

    def _finished(self, given: Point, where: str) -> Place:
        extra = self._extra(given) if self._extra else {}
        return Place({**given, **extra}, where)

    @property
    def extreme(self) -> list[Place]:
        """Points with large and small values: heavy tails, one scale for all inputs, a scale for each."""
        if self._extreme is None:
            found = [self._place("large", lambda _, v: v * v * v) for _ in range(3)]
            found += [self._place("large", _scaled(scale)) for scale in (8.0, 32.0)]
            found += [self._place("small", _scaled(scale)) for scale in (1e-2, 1e-3)]
            for first in range(_MIXED):
                found.append(self._place("large", _mixed(first)))
            self._extreme = found
        return self._extreme

    def beside_kinks(self, answer: Node, truth: Node) -> Iterator[Place]:
        """Yield points on both sides of kinks, those of one graph alone first."""
        own, true = kinks(answer), kinks(truth)
        alone = [kink for kink in own if kink not in true]
        alone += [kink for kink in true if kink not in own]
        shared = [kink for kink in own if kink in true][:1]
        for turn, kink in enumerate((*alone[: _MOST_KINKS - 1], *shared)):
            base = self.ordinary[turn].given
            for point in self._around(kink, base):
                yield self._finished(point, "kink")

    def _around(self, kink: Node, base: Point) -> Iterator[Point]:
        """Yield points at which an entry of a difference is small, of either sign."""
        for leaf in self._precise.movable(inputs([kink])):
            found = self._crossing(kink, base, leaf)
            if found is None:
                continue
            step, slope, along = found
            for distance in _DISTANCES:
                moved = base[leaf] + (step + distance / slope) * along
                yield {**base, leaf: moved}
            return

    def _crossing(
        self, kink: Node, base: Point, leaf: Node
    ) -> tuple[float, float, Any] | None:
        """Return s, the slope at s, and v with kink(leaf + s·v) = 0 in one entry, by the secant method."""
        along = self._precise.direction(leaf)

        def value(step: float) -> list[float]:
            moved = {**base, leaf: base[leaf] + step * along}
            (found,) = self._precise.values([kink], moved)
            return [float(entry) for entry in found.reshape(-1)]

        start, beside = value(0.0), value(0.1)
        crossing = [
            entry
            for entry, (a, b) in enumerate(zip(start, beside, strict=True))
            if a != b and math.isfinite(a) and math.isfinite(b)
        ]
        if not crossing:
            return None
        at = min(crossing, key=lambda entry: abs(start[entry]))
        (s, f), (t, g) = (0.0, start[at]), (0.1, beside[at])
        slope = (g - f) / (t - s)
        for _ in range(_STEPS):
            s, f, t = t, g, t - g / slope
            g = value(t)[at]
            if not math.isfinite(g) or abs(t) > 1e6:
                return None
            if g == f or abs(g) < 1e-12:
                break
            slope = (g - f) / (t - s)
        return (t, slope, along) if abs(g) < 1e-7 and slope else None


def _scaled(scale: float) -> Callable[[int, Any], Any]:
    return lambda _, value: scale * value


def _mixed(first: int) -> Callable[[int, Any], Any]:
    return lambda leaf, value: _SCALES[(first + leaf) % len(_SCALES)] * value


def kinks(root: Node) -> list[Node]:
    """Return the differences of which a graph asks for the sign: a − b of a < b, of max(a, b), x of |x|.

    >>> x = build.input_node("x", (2,))
    >>> kinks(build.maximum(x, 0.0)), kinks(build.exp(x))
    ([<subtract (2) float32>], [])
    """
    found: dict[Node, None] = {}
    for node in topological(expand_calls([root])):
        operands: Sequence[Node] = ()
        if node.op in _ORDERS:
            operands = node.sources
        elif node.op in {Op.ABS, Op.SIGN}:
            operands = (node.sources[0], build.constant(0.0, node.sources[0].dtype))
        if operands and operands[0].dtype.is_float:
            gap = build.subtract(*operands)
            if inputs([gap]):
                found.setdefault(gap)
    return list(found)
