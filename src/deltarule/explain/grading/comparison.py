"""Comparison of graphs at random points: equal, proportional, or how many entries differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from deltarule import dtypes
from deltarule.errors import DataError
from deltarule.explain.formula.term import is_number
from deltarule.explain.proof.proof import Precise
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import Shape

_POINTS = 32  # so many that an indicator cannot be 1 at all of them by chance
EQUAL = 1e-8  # relative to the largest entry


class Sample:
    """Random points, and comparisons of graphs at all of them."""

    def __init__(
        self,
        precise: Precise,
        extra: Callable[[Mapping[Node, Any]], dict[Node, Any]] | None = None,
        stand_in: Node | None = None,
    ) -> None:
        self._precise = precise
        self._stand_in = stand_in
        self._points = []
        for _ in range(_POINTS):
            given = precise.draw()
            self._points.append({**given, **(extra(given) if extra else {})})

    def first_sizes(self, nodes: set[Node]) -> set[int]:
        """Return the numbers of examples in data."""
        return {
            int(self._precise[node].shape[0]) for node in nodes if node in self._precise
        }

    def _twin(self, node: Node) -> Node:
        if node is self._stand_in or (
            node.sources and node.sources[0] is self._stand_in
        ):
            return node
        return self._precise[node]

    def agrees(self, left: Node, right: Node) -> bool:
        """Whether two graphs have the same value at every point where both are finite (at two at least)."""
        ratio = self._ratio(left, right)
        return ratio is not None and all(abs(value - 1) < EQUAL for value in ratio)

    def ratio(self, left: Node, right: Node) -> float | None:
        """Return r with left = r·right at every point, or None."""
        ratios = self._ratio(left, right)
        if ratios is None or not ratios:
            return None
        first = ratios[0]
        return (
            first
            if all(
                abs(value - first) < EQUAL * max(1.0, abs(first)) for value in ratios
            )
            else None
        )

    def _ratio(self, left: Node, right: Node) -> list[float] | None:
        """Return left/right at each point if they are proportional there."""
        if not same_shape(left.shape, right.shape):
            return None
        a, b = (
            self._twin(left),
            build.reshape(self._twin(right), self._twin(left).shape),
        )
        dot = build.sum_over(build.multiply(a, b))
        square, own = (
            build.sum_over(build.multiply(b, b)),
            build.sum_over(build.multiply(a, a)),
        )
        ratios: list[float] = []
        usable = zeros = 0
        for given in self._points:
            along, size_, mine = self._precise.numbers([dot, square, own], given)
            if not all(map(math.isfinite, (along, size_, mine))):
                continue
            if size_ < 1e-24:
                if mine > 1e-16:
                    return None
                zeros += 1
                continue
            usable += 1
            ratio = along / size_
            if abs(mine - ratio * along) > EQUAL**2 * 1e4 * max(mine, size_):
                return None
            ratios.append(ratio)
        if not usable and zeros >= 2:
            return [1.0]
        if usable < 2:
            raise DataError(
                "grade",
                expected="finite, non-zero gradients at random points",
                got=f"{usable} of {_POINTS}",
            )
        return ratios

    def share_of_wrong(self, left: Node, right: Node) -> str:
        """Say how many entries differ at the first point."""
        a, b = (
            self._twin(left),
            build.reshape(self._twin(right), self._twin(left).shape),
        )
        differs = build.less(1e-8, build.absolute(build.subtract(a, b)))
        count = build.sum_over(build.cast(differs, dtypes.FLOAT64))
        (wrong,) = self._precise.numbers([count], self._points[0])
        whole = math.prod(int(part) for part in a.shape)
        return f"{int(wrong)} of {whole} entries differ at a random point."


def same_shape(left: Shape, right: Shape) -> bool:
    """Whether shapes are equal, those of numbers taken as one."""
    return left == right or (is_number(left) and is_number(right))
