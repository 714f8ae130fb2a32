"""Receptive fields: how much of the input one output of a layer depends on (Araujo et al. 2019).

Through a layer with kernel k, dilation d and stride s, the field grows from r to r +
d(k − 1)·j, where j, the distance in the input between adjacent outputs, becomes j·s. A
layer that enlarges images by s and whose outputs depend on e inputs lets it grow to r +
(e − 1)·j, and j becomes j/s; fractions of pixels are rounded up. Where paths join, the
larger field counts.
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

# pixels per spatial axis, the whole input, or None without spatial axes
ReceptiveField = tuple[int, ...] | Literal["all"] | None


@dataclass(frozen=True)
class _Reach:
    extent: tuple[Fraction, ...]
    jump: tuple[Fraction, ...]
    whole: bool = False

    def grown(self, spans: Sequence[int], strides: Sequence[Fraction]) -> _Reach:
        """Return the reach after a layer whose outputs depend on so many inputs, with strides."""
        growth = zip(self.extent, spans, self.jump, strict=True)
        steps = zip(self.jump, strides, strict=True)
        return _Reach(
            tuple(r + (e - 1) * j for r, e, j in growth),
            tuple(j * s for j, s in steps),
        )


class ReceptiveFields:
    """Receptive fields of layer outputs, found by walking the graph between layers."""

    def __init__(self, inputs: Sequence[Tensor], example: Shape) -> None:
        n_spatial = len(example) - 1
        self._known: dict[Node, _Reach] = {}
        if n_spatial > 0:
            start = _Reach((Fraction(1),) * n_spatial, (Fraction(1),) * n_spatial)
            self._known = {x.node: start for x in inputs}

    def after(self, call: LayerCall, cost: LayerCost) -> ReceptiveField:
        """Return the receptive field of a layer's outputs."""
        before = self._before([x.node for x in call.inputs])
        if before is None:
            return None
        reach, n_axes = before, len(before.extent)
        window, larger = cost.window, cost.enlargement
        if cost.whole_input:
            reach = _Reach(before.extent, before.jump, whole=True)
        elif before.whole:
            reach = before
        elif window is not None and len(window.kernel) == n_axes:
            reach = before.grown(window.extent, [Fraction(s) for s in window.stride])
        elif larger is not None and len(larger.factor) == n_axes:
            reach = before.grown(larger.seen, [Fraction(1, s) for s in larger.factor])
        self._known[call.output.node] = reach
        return "all" if reach.whole else tuple(math.ceil(r) for r in reach.extent)

    def _before(self, nodes: list[Node]) -> _Reach | None:
        """Return the largest field among the known nodes that ``nodes`` depend on."""
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
