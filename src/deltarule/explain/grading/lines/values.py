"""The values of graphs at random points, all evaluated together, and comparisons of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deltarule.explain.formula.term import is_number
from deltarule.explain.proof.proof import Precise
from deltarule.graph import build
from deltarule.graph.node import Node

_POINTS = 24  # so many that an indicator cannot be 1 at all of them by chance
_FEWEST = 2
_TOLERANCE = 1e-6  # relative to the largest entry
_ZERO = 1e-12  # what rounding leaves of a gradient that is 0


class Values:
    """Values of nodes at random points."""

    def __init__(self, precise: Precise, nodes: Sequence[Node]) -> None:
        self._places = {node: place for place, node in enumerate(nodes)}
        flat = [build.reshape(precise[n], (_entries(precise[n]),)) for n in nodes]
        self._points = [precise.values(flat, precise.draw()) for _ in range(_POINTS)]
        self._shapes = [precise[node].shape for node in nodes]

    def _pairs(self, left: Node, right: Node) -> list[tuple[Any, Any]]:
        a, b = self._places[left], self._places[right]
        return [(point[a], point[b]) for point in self._points]

    def same_shape(self, left: Node, right: Node) -> bool:
        """Whether two arrays have the same shape, those of numbers taken as one."""
        a = self._shapes[self._places[left]]
        b = self._shapes[self._places[right]]
        return a == b or (is_number(a) and is_number(b))

    def equal(self, left: Node, right: Node, factor: float = 1.0) -> bool:
        """Whether left = factor·right at every point where both are finite, at two at least."""
        if left is right and factor == 1.0:
            return True
        if not self.same_shape(left, right):
            return False
        usable = 0
        for a, b in self._pairs(left, right):
            if a.size == 0:
                return True
            largest = max(float(abs(a).max()), abs(factor) * float(abs(b).max()))
            if not math.isfinite(largest):
                continue
            usable += 1
            if float(abs(a - factor * b).max()) > max(_TOLERANCE * largest, _ZERO):
                return False
        return usable >= _FEWEST

    def is_zero(self, node: Node) -> bool:
        """Whether an array is 0 at every point."""
        return all(not abs(a).max() > 0 for a, _ in self._pairs(node, node) if a.size)


def _entries(node: Node) -> int:
    return math.prod(int(size) for size in node.shape)
