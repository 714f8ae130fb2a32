"""Receptive fields: how much of the input one output of a layer sees (CNN-14).

Through a layer with kernel k, dilation d and stride s, the field grows from r to r + d(k − 1)·j, where j, the
distance in the input between neighbouring outputs, becomes j·s. A layer that makes images s times larger and
whose outputs see e inputs lets it grow to r + (e − 1)·j, and j becomes j/s; parts of pixels count as whole ones.
Where paths join, the larger field counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from deltarule.graph.node import Node
from deltarule.graph.walk import topological
from deltarule.nn.context import LayerCall
from deltarule.nn.layer_cost import LayerCost
from deltarule.shapes import Shape
from deltarule.tensor.tensor import Tensor

Field = (
    tuple[int, ...] | Literal["all"] | None
)  # pixels per spatial axis, the whole input, or no such thing


@dataclass(frozen=True)
class _Reach:
    extent: tuple[Fraction, ...]
    jump: tuple[Fraction, ...]
    whole: bool = False


class Fields:
    """Receptive fields of the nodes that layers gave, found by walking the graph between layers."""

    def __init__(self, inputs: Sequence[Tensor], example: Shape) -> None:
        n_spatial = len(example) - 1
        self._known: dict[Node, _Reach] = {}
        if n_spatial > 0:
            start = _Reach((Fraction(1),) * n_spatial, (Fraction(1),) * n_spatial)
            self._known = {x.node: start for x in inputs}

    def after(self, visit: LayerCall, account: LayerCost) -> Field:
        """Return the field of a layer's outputs."""
        before = self._before([x.node for x in visit.inputs])
        if before is None:
            return None
        reach = before
        window, larger = account.window, account.enlargement
        if account.whole_input:
            reach = _Reach(before.extent, before.jump, whole=True)
        elif (
            window is not None
            and not before.whole
            and len(window.kernel) == len(before.extent)
        ):
            growth = zip(before.extent, window.extent, before.jump, strict=True)
            steps = zip(before.jump, window.stride, strict=True)
            reach = _Reach(
                tuple(r + (e - 1) * j for r, e, j in growth),
                tuple(j * s for j, s in steps),
            )
        elif (
            larger is not None
            and not before.whole
            and len(larger.factor) == len(before.extent)
        ):
            growth = zip(before.extent, larger.seen, before.jump, strict=True)
            steps = zip(before.jump, larger.factor, strict=True)
            reach = _Reach(
                tuple(r + (e - 1) * j for r, e, j in growth),
                tuple(j / s for j, s in steps),
            )
        self._known[visit.output.node] = reach
        return "all" if reach.whole else tuple(math.ceil(r) for r in reach.extent)

    def _before(self, nodes: list[Node]) -> _Reach | None:
        """Return the largest field among the known nodes that ``nodes`` come from."""
        found = [
            self._known[n]
            for n in topological(nodes, frozenset(self._known))
            if n in self._known
        ]
        if not found:
            return None
        axes = range(len(found[0].extent))
        return _Reach(
            tuple(max(r.extent[i] for r in found) for i in axes),
            tuple(max(r.jump[i] for r in found) for i in axes),
            any(r.whole for r in found),
        )
