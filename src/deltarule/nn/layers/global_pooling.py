"""Global pooling: from (N, *spatial, C) to (N, C) for images of any size."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.spatial import as_batch, format_product, without_batch
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count
from deltarule.tensor.tensor import Tensor

__all__ = [
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
]


class GlobalPooling(Module):
    """Base class of global pooling; see ``GlobalAvgPool2d``.

    >>> from deltarule.tensor.functional import ones
    >>> GlobalMaxPool2d()(ones((2, 5, 5, 3))).shape
    (2, 3)
    """

    n_axes: ClassVar[int]
    word: ClassVar[str]

    def forward(self, x: Tensor) -> Tensor:
        """Return one value per channel."""
        batch, single = as_batch(x, self.n_axes, type(self).__name__)
        return without_batch(self.over(batch, tuple(range(1, self.n_axes + 1))), single)

    @abstractmethod
    def over(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Reduce over the given axes."""

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: one mean or maximum per channel."""
        return LayerCost(
            how=f"{self.word} over {format_product(inputs[:-1])}",
            flops=count(inputs),
            whole_input=True,
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1


class GlobalAveragePooling(GlobalPooling):
    """Base class of global average pooling; see ``GlobalAvgPool2d``.

    >>> GlobalAvgPool1d()([[[1.0], [3.0]]]).tolist()
    [[2.0]]
    """

    word = "mean"

    def over(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return the mean over the given axes."""
        return x.mean(axis=axes)


class GlobalMaxPooling(GlobalPooling):
    """Base class of global max pooling; see ``GlobalMaxPool2d``.

    >>> GlobalMaxPool1d()([[[1.0], [3.0]]]).tolist()
    [[3.0]]
    """

    word = "maximum"

    def over(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return the maximum over the given axes."""
        return x.max(axis=axes)


@final
class GlobalAvgPool1d(GlobalAveragePooling):
    """The mean of each channel: (N, length, C) → (N, C).

    >>> GlobalAvgPool1d()([[1.0], [3.0]]).tolist()
    [2.0]
    """

    n_axes = 1


@final
class GlobalAvgPool2d(GlobalAveragePooling):
    """The mean of each channel: (N, height, width, C) → (N, C), for images of any size (Lin et al. 2014).

    >>> from deltarule.tensor.functional import ones
    >>> GlobalAvgPool2d()(ones((4, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 2


@final
class GlobalAvgPool3d(GlobalAveragePooling):
    """The mean of each channel: (N, depth, height, width, C) → (N, C).

    >>> from deltarule.tensor.functional import ones
    >>> GlobalAvgPool3d()(ones((4, 2, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 3


@final
class GlobalMaxPool1d(GlobalMaxPooling):
    """The maximum of each channel: (N, length, C) → (N, C).

    >>> GlobalMaxPool1d()([[1.0], [3.0]]).tolist()
    [3.0]
    """

    n_axes = 1


@final
class GlobalMaxPool2d(GlobalMaxPooling):
    """The maximum of each channel: (N, height, width, C) → (N, C); the gradient goes to the first one at a tie.

    >>> from deltarule.tensor.functional import ones
    >>> GlobalMaxPool2d()(ones((4, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 2


@final
class GlobalMaxPool3d(GlobalMaxPooling):
    """The maximum of each channel: (N, depth, height, width, C) → (N, C).

    >>> from deltarule.tensor.functional import ones
    >>> GlobalMaxPool3d()(ones((4, 2, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 3
