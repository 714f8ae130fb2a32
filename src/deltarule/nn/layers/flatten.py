"""Flattening of examples into vectors."""

from __future__ import annotations

from typing import final

from deltarule.nn.context import require
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape
from deltarule.tensor.tensor import Tensor

__all__ = ["Flatten"]


@final
class Flatten(Module):
    """Join all axes of an example into one: (N, height, width, C) → (N, height·width·C), C varying fastest.

    The first axis is the batch, unless a layer before it in the same network has
    received a single example.

    >>> from deltarule.tensor.functional import ones
    >>> Flatten()(ones((2, 5, 5, 16))).shape
    (2, 400)
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return one vector per example."""
        return x.flatten(0 if require("Flatten").batched is False else 1)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost: no operations, and the product of the sizes."""
        return LayerCost(
            how=f"{'·'.join(map(str, inputs))} = {output[0]}" if len(inputs) > 1 else ""
        )
