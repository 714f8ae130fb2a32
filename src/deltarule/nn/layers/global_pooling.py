"""Pooling over whole images: from (N, *spatial, C) to (N, C), whatever the sizes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.spatial import as_batch, times, without_batch
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count
from deltarule.tensor.tensor import Tensor


class GlobalPooling(Module):
    """What global pooling shares; see ``GlobalAvgPool2d``."""

    n_axes: ClassVar[int]
    word: ClassVar[str]

    def forward(self, x: Tensor) -> Tensor:
        """Return one number for each channel, over the spatial axes."""
        batch, single = as_batch(x, self.n_axes, type(self).__name__)
        return without_batch(self.over(batch, tuple(range(1, self.n_axes + 1))), single)

    @abstractmethod
    def over(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return one number for these axes."""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again: none."""
        return {}

    def account(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: one mean or maximum per channel."""
        return LayerCost(
            how=f"{self.word} over {times(inputs[:-1])}",
            flops=count(inputs),
            whole_input=True,
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1


class GlobalAveragePooling(GlobalPooling):
    """What global average pooling shares; see ``GlobalAvgPool2d``."""

    word = "mean"

    def over(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return the mean over these axes."""
        return x.mean(axis=axes)


class GlobalMaxPooling(GlobalPooling):
    """What global max pooling shares; see ``GlobalMaxPool2d``."""

    word = "maximum"

    def over(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return the maximum over these axes."""
        return x.max(axis=axes)


@final
class GlobalAvgPool1d(GlobalAveragePooling):
    """The mean of each channel: (N, length, C) → (N, C)."""

    n_axes = 1


@final
class GlobalAvgPool2d(GlobalAveragePooling):
    """The mean of each channel: (N, height, width, C) → (N, C), so that images of any size fit (CNN-15, POOL-02).

    >>> from deltarule.tensor.functional import ones
    >>> GlobalAvgPool2d()(ones((4, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 2


@final
class GlobalAvgPool3d(GlobalAveragePooling):
    """The mean of each channel: (N, depth, height, width, C) → (N, C)."""

    n_axes = 3


@final
class GlobalMaxPool1d(GlobalMaxPooling):
    """The maximum of each channel: (N, length, C) → (N, C)."""

    n_axes = 1


@final
class GlobalMaxPool2d(GlobalMaxPooling):
    """The maximum of each channel: (N, height, width, C) → (N, C), the first one at a tie.

    >>> from deltarule.tensor.functional import ones
    >>> GlobalMaxPool2d()(ones((4, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 2


@final
class GlobalMaxPool3d(GlobalMaxPooling):
    """The maximum of each channel: (N, depth, height, width, C) → (N, C)."""

    n_axes = 3
