"""Layers of autoencoders: tied weights, unflattening, unpooling, and conditions as image channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from deltarule import nn
from deltarule.errors import ShapeError
from deltarule.generative.autoencoders.saving import config_of
from deltarule.nn.check import whole_number
from deltarule.nn.layer_cost import LayerCost
from deltarule.shapes import Shape, count, show
from deltarule.tensor.functional import concatenate, pad
from deltarule.tensor.tensor import Tensor, parameter

__all__ = ["ConditionPlanes", "TiedLinear", "Unflatten", "Unpool2d"]


@final
class TiedLinear(nn.Module):
    """Linear layer x = Wᵀh + b with the transposed weight of another Linear layer (tied weights).

    >>> from deltarule import nn
    >>> layer = nn.Linear(4, 2)
    >>> TiedLinear(layer)(np.zeros((3, 2), np.float32)).shape
    (3, 4)
    """

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer
        self.bias = parameter(
            np.zeros(layer.in_features, layer.weight.dtype.name), name="bias"
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return Wᵀh + b."""
        if h.shape[-1] != self.layer.out_features:
            raise ShapeError(
                "TiedLinear",
                expected=f"{self.layer.out_features} features",
                got=show(h.shape),
            )
        return h @ self.layer.weight + self.bias

    def label(self) -> str:
        """Return ``TiedLinear(2→4)``."""
        return f"TiedLinear({self.layer.out_features}→{self.layer.in_features})"


@final
class Unflatten(nn.Module):
    """Reshape vectors (N, size) to (N, *shape), the inverse of ``nn.Flatten``.

    >>> Unflatten((2, 3))(np.zeros((5, 6), np.float32)).shape
    (5, 2, 3)
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    def config(self) -> dict[str, Any] | None:
        """Return the shape."""
        return config_of(self, {"shape": list(self.shape)})

    def forward(self, x: Tensor) -> Tensor:
        """Return the reshaped examples; raises ShapeError if the sizes do not match."""
        if x.shape[-1] != count(self.shape):
            raise ShapeError(
                "Unflatten", expected=f"{count(self.shape)} features", got=show(x.shape)
            )
        return x.reshape(*x.shape[:-1], *self.shape)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic of the sizes."""
        return LayerCost(how=f"{inputs[-1]} = {'·'.join(map(str, output))}")

    def label(self) -> str:
        """Return ``Unflatten(7×7×16)``."""
        return f"Unflatten({'×'.join(map(str, self.shape))})"


@final
class Unpool2d(nn.Module):
    """Unpooling (N, h, w, C) → (N, f·h, f·w, C): each value in the top left of f × f zeros (Dosovitskiy et al. 2015).

    A convolution after it fills the gaps. Where the positions of the maxima are known, use ``nn.MaxUnpool2d``.

    >>> Unpool2d(2)(np.ones((1, 1, 2, 1), np.float32)).numpy()[0, :, :, 0].tolist()
    [[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """

    def __init__(self, factor: int) -> None:
        self.factor = whole_number(factor, "Unpool2d factor", 1)

    def config(self) -> dict[str, Any] | None:
        """Return the factor."""
        return config_of(self, {"factor": self.factor})

    def forward(self, x: Tensor) -> Tensor:
        """Return the unpooled images."""
        if x.ndim != 4:
            raise ShapeError(
                "Unpool2d",
                expected="images (N, height, width, channels)",
                got=show(x.shape),
            )
        n, height, width, channels = x.shape
        f = self.factor
        gap, none = (0, f - 1), (0, 0)
        spread = pad(
            x.reshape(n, height, 1, width, 1, channels),
            [none, none, gap, none, gap, none],
        )
        return spread.reshape(n, height * f, width * f, channels)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic of the sizes."""
        del output
        return LayerCost(how=f"{inputs[0]}·{self.factor} = {inputs[0] * self.factor}")

    def label(self) -> str:
        """Return ``Unpool2d(2)``."""
        return f"Unpool2d({self.factor})"


@final
class ConditionPlanes(nn.Module):
    """Flat rows [x, c] to images with one more, constant channel for each element of the condition c.

    Args:
        image_shape: (height, width, channels) of x.
        condition_size: Number of elements of c.

    >>> ConditionPlanes((2, 2, 1), 3)(np.zeros((5, 7), np.float32)).shape
    (5, 2, 2, 4)
    """

    def __init__(self, image_shape: Sequence[int], condition_size: int) -> None:
        self.image_shape, self.condition_size = tuple(image_shape), condition_size

    def config(self) -> dict[str, Any] | None:
        """Return the shape of an image and the size of the condition."""
        return config_of(
            self,
            {
                "image_shape": list(self.image_shape),
                "condition_size": self.condition_size,
            },
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, height, width, channels + condition_size); raises ShapeError if the sizes do not match."""
        size = count(self.image_shape)
        if x.ndim != 2 or x.shape[1] != size + self.condition_size:
            raise ShapeError(
                "ConditionPlanes",
                expected=f"(N, {size + self.condition_size})",
                got=show(x.shape),
            )
        height, width, _ = self.image_shape
        planes = x[:, size:].reshape(x.shape[0], 1, 1, self.condition_size)
        images = x[:, :size].reshape(x.shape[0], *self.image_shape)
        whole = (x.shape[0], height, width, self.condition_size)
        return concatenate([images, planes.broadcast_to(whole)], axis=3)

    def example_rank(self) -> int | None:
        """Return 1: one example is a vector."""
        return 1

    def label(self) -> str:
        """Return ``ConditionPlanes(10)``."""
        return f"ConditionPlanes({self.condition_size})"

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic of the number of channels."""
        del inputs
        return LayerCost(
            how=f"{self.image_shape[2]} + {self.condition_size} = {output[-1]} planes"
        )
