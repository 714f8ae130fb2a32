"""Layer: what summaries, error messages and the context of a call require of a module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deltarule.nn.layer_cost import LayerCost
from deltarule.shapes import Shape
from deltarule.tensor.tensor import Tensor


class Layer(Protocol):
    """A module with a label, a cost and parameters; every ``Module`` is one."""

    def label(self) -> str:
        """Return the short form of the layer in summaries and errors."""
        ...

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost of this layer for one example."""
        ...

    def named_children(self) -> Sequence[tuple[str, object]]:
        """Return the direct submodules by name."""
        ...

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """Return the trainable parameters by name."""
        ...

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of this module's own parameters."""
        ...
