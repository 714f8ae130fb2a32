"""Group and instance normalisation."""

from __future__ import annotations

from typing import final

from deltarule.errors import ArgumentError
from deltarule.nn import init as initialisers
from deltarule.nn.check import number, whole_number
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.spatial import as_batch, without_batch
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count
from deltarule.tensor.functional import normalize
from deltarule.tensor.tensor import Tensor

__all__ = ["GroupNorm", "InstanceNorm"]


class GroupedNormalisation(Module):
    """Base class of ``GroupNorm`` and ``InstanceNorm``: μ and σ² over the positions and channels of each group.

    >>> from deltarule.tensor.functional import ones
    >>> GroupNorm(2, 4)(ones((2, 5, 5, 4))).shape
    (2, 5, 5, 4)
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        n_groups: int,
        n_channels: int,
        epsilon: float,
        n_axes: int,
        scale_and_shift: bool,
    ) -> None:
        self.n_groups = whole_number(n_groups, "n_groups", 1)
        self.n_channels = whole_number(n_channels, "n_channels", 1)
        if n_channels % n_groups:
            raise ArgumentError(
                "n_groups",
                expected=f"a divisor of {n_channels} channels",
                got=str(n_groups),
            )
        self.epsilon = number(epsilon, "epsilon", 0.0, float("inf"))
        self.n_axes = whole_number(n_axes, "n_axes", 1)
        self.scale_and_shift = scale_and_shift
        if scale_and_shift:
            self.declare("scale", (n_channels,), initialisers.constant(1))
            self.declare("shift", (n_channels,), initialisers.zeros())

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input; raises ShapeError for another number of channels or axes."""
        batch, single = as_batch(
            x, self.n_axes, type(self).__name__, self.n_channels, self.n_channels
        )
        grouped = batch.reshape(
            *batch.shape[:-1], self.n_groups, self.n_channels // self.n_groups
        )
        over = (*range(1, self.n_axes + 1), self.n_axes + 2)
        normal = normalize(grouped, over, self.epsilon).reshape(*batch.shape)
        if self.scale_and_shift:
            normal = normal * self.scale + self.shift
        return without_batch(normal, single)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: mean, variance and the affine map, eight operations per element."""
        parameters = f"2·{self.n_channels}" if self.scale_and_shift else ""
        return LayerCost(
            parameters=parameters,
            flops=(8 if self.scale_and_shift else 6) * count(output),
            whole_input=True,
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1


@final
class GroupNorm(GroupedNormalisation):
    """y = γ ⊙ (x − μ)/√(σ² + ε) + β with μ and σ² (biased) of each example and group of channels (Wu and He 2018).

    The input is (N, *spatial, C) or one example; adjacent channels form a group. γ
    (``scale``) and β (``shift``) are (C,). One group is layer normalisation over the
    whole image, C groups are ``InstanceNorm``. Nothing depends on the batch, so it
    works with a batch of one.

    Args:
        n_groups: Number of groups, a divisor of n_channels.
        n_channels: Number of channels C.
        epsilon: The constant ε.
        n_axes: Number of spatial axes.
        scale_and_shift: Whether to learn γ and β.

    >>> from deltarule.tensor.functional import ones
    >>> GroupNorm(2, 6)(ones((1, 4, 4, 6))).shape
    (1, 4, 4, 6)
    """

    def __init__(
        self,
        n_groups: int,
        n_channels: int,
        epsilon: float = 1e-5,
        *,
        n_axes: int = 2,
        scale_and_shift: bool = True,
    ) -> None:
        super().__init__(n_groups, n_channels, epsilon, n_axes, scale_and_shift)

    def label(self) -> str:
        """Return ``GroupNorm(6 in 2 groups)``."""
        return f"GroupNorm({self.n_channels} in {self.n_groups} groups)"


@final
class InstanceNorm(GroupedNormalisation):
    """(x − μ)/√(σ² + ε) with μ and σ² (biased) of each example and channel over its positions (Ulyanov et al. 2016).

    The input is (N, *spatial, C) or one example. There are no running statistics:
    training does not differ from inference.

    Args:
        n_channels: Number of channels C.
        epsilon: The constant ε.
        n_axes: Number of spatial axes.
        scale_and_shift: Whether to learn γ and β per channel.

    >>> layer = InstanceNorm(1, epsilon=0.0, n_axes=1)
    >>> layer([[[1.0], [3.0]]]).tolist()
    [[[-1.0], [1.0]]]
    """

    def __init__(
        self,
        n_channels: int,
        epsilon: float = 1e-5,
        *,
        n_axes: int = 2,
        scale_and_shift: bool = False,
    ) -> None:
        super().__init__(n_channels, n_channels, epsilon, n_axes, scale_and_shift)

    def label(self) -> str:
        """Return ``InstanceNorm(8)``."""
        return f"InstanceNorm({self.n_channels})"
