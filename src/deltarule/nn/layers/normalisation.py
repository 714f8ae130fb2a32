"""Batch and layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final

import numpy as np

from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn import init as initialisers
from deltarule.nn.check import number, whole_number
from deltarule.nn.context import ForwardContext, require
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.spatial import format_product
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, is_static, show
from deltarule.tensor.functional import normalize, sqrt
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["BatchNorm", "LayerNorm"]


@final
class BatchNorm(Module):
    """y = γ(x − μ)/√(σ² + ε) + β per channel, the last axis (Ioffe and Szegedy 2015).

    In training μ and σ² (biased) are computed over the batch and all positions; at
    inference the running averages are used. The input is (N, C) or (N, *spatial, C);
    ``scale`` (γ) and ``shift`` (β) are (C,), as are the state tensors ``running_mean``
    and ``running_variance``. A layer whose parameters are all frozen uses its running
    averages in training, too, and does not update them.

    Args:
        n_channels: Number of channels C.
        momentum: Weight m of the old value in the running averages, r ← m·r + (1 − m)·batch.
        epsilon: The constant ε.
        momentum_weighs: "old", or "new" for momentum as the weight of the new value (as in PyTorch).
        running_variance_kind: The batch variance that is averaged: "biased" (Σ/m) or "unbiased" (Σ/(m − 1), as in
            PyTorch).
        scale_and_shift: Whether to learn γ and β.

    >>> layer = BatchNorm(1, epsilon=1e-12)
    >>> layer([[1.0], [3.0]], mode="training").tolist(), round(layer.running_mean.item(), 6)
    ([[-1.0], [1.0]], 0.2)
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        n_channels: int,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        *,
        momentum_weighs: Literal["old", "new"] = "old",
        running_variance_kind: Literal["biased", "unbiased"] = "biased",
        scale_and_shift: bool = True,
    ) -> None:
        self.n_channels = whole_number(n_channels, "n_channels", 1)
        self.momentum = float(momentum)
        self.epsilon = number(epsilon, "epsilon", 0.0, np.inf)
        self.momentum_weighs = _one_of(
            momentum_weighs, ("old", "new"), "momentum_weighs"
        )
        self.running_variance_kind = _one_of(
            running_variance_kind, ("biased", "unbiased"), "running_variance_kind"
        )
        self.scale_and_shift = scale_and_shift
        if not 0 <= self.momentum <= 1:
            raise ArgumentError(
                "momentum", expected="a number in [0, 1]", got=repr(momentum)
            )
        if scale_and_shift:
            self.declare("scale", (n_channels,), initialisers.constant(1))
            self.declare("shift", (n_channels,), initialisers.zeros())
        self.running_mean = tensor(
            np.zeros(n_channels, np.float32), name="running_mean"
        )
        self.running_variance = tensor(
            np.ones(n_channels, np.float32), name="running_variance"
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input; raises ShapeError for other channels, or a batch without a variance."""
        context = require("BatchNorm")
        if x.ndim == 0 or x.shape[-1] != self.n_channels:
            raise ShapeError(
                "BatchNorm",
                expected=f"{self.n_channels} channels (last axis)",
                got=show(x.shape),
                hint=f"Write BatchNorm({x.shape[-1] if x.ndim else 1}).",
            )
        if context.mode == "training" and not self._all_frozen():
            normal = self._in_training(x, context)
            return normal * self.scale + self.shift if self.scale_and_shift else normal
        mean, variance = (
            context.current(self.running_mean),
            context.current(self.running_variance),
        )
        factor = 1 / sqrt(variance + self.epsilon)
        if not self.scale_and_shift:
            return (x - mean) * factor
        return (x - mean) * (self.scale * factor) + self.shift

    def _in_training(self, x: Tensor, context: ForwardContext) -> Tensor:
        """Normalise by the statistics of the batch and record the new running averages."""
        over = tuple(range(x.ndim - 1))
        single_value = is_static(x.shape[:-1]) and count(x.shape[:-1]) < 2
        if context.batched is False or not over or single_value:
            raise ShapeError(
                "BatchNorm in training",
                expected="more than one value per channel",
                got=show(x.shape),
                hint="Choose a batch size that leaves no batch of one example, or use LayerNorm.",
            )
        correction = 1 if self.running_variance_kind == "unbiased" else 0
        kept = self.momentum if self.momentum_weighs == "old" else 1 - self.momentum
        batch = {
            self.running_mean: x.mean(over),
            self.running_variance: x.var(over, correction=correction),
        }
        for running, value in batch.items():
            new = context.current(running) * kept + value.detach() * (1 - kept)
            context.update(running, new.astype(running.dtype))
        return normalize(x, over, self.epsilon)

    def _all_frozen(self) -> bool:
        return bool(self._own.declared) and self._own.frozen >= set(self._own.declared)

    def restart(self) -> None:
        """Initialize γ and β again; reset the running averages to 0 and 1."""
        super().restart()
        self.running_mean.assign(np.zeros(self.n_channels))
        self.running_variance.assign(np.ones(self.n_channels))

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost at inference: a difference, a product and a sum per element."""
        return LayerCost(
            parameters=f"2·{self.n_channels}" if self.scale_and_shift else "",
            flops=3 * count(output),
        )

    def label(self) -> str:
        """Return ``BatchNorm(8)``."""
        return f"BatchNorm({self.n_channels})"


@final
class LayerNorm(Module):
    """y = γ ⊙ (x − μ)/√(σ² + ε) + β with μ and σ² (biased) per example (Ba et al. 2016).

    Nothing depends on the batch, and training does not differ from inference.

    Args:
        shape: The last axes, which are normalised together: a number for vectors, (height, width, C) for images.
        epsilon: The constant ε.

    >>> [f"{value:.4f}" for value in LayerNorm(4)([1.0, 2.0, 3.0, 6.0]).tolist()]
    ['-1.0690', '-0.5345', '0.0000', '1.6036']
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, shape: int | Sequence[int], epsilon: float = 1e-5) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        for size in self.shape:
            whole_number(size, "shape", 1)
        self.epsilon = number(epsilon, "epsilon", 0.0, np.inf)
        self.declare("scale", self.shape, initialisers.constant(1))
        self.declare("shift", self.shape, initialisers.zeros())

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input; raises ShapeError if the last axes are not ``shape``."""
        rank = len(self.shape)
        if x.shape[-rank:] != self.shape:
            raise ShapeError(
                "LayerNorm", expected=f"last axes {show(self.shape)}", got=show(x.shape)
            )
        return (
            normalize(x, tuple(range(-rank, 0)), self.epsilon) * self.scale + self.shift
        )

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: mean, variance and the affine map, eight operations per element."""
        return LayerCost(
            parameters=f"2·{'·'.join(map(str, self.shape))}",
            flops=8 * count(output),
            whole_input=True,
        )

    def label(self) -> str:
        """Return ``LayerNorm(8×8)``."""
        return f"LayerNorm({format_product(self.shape)})"


def _one_of(value: str, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise ArgumentError(
            where, expected=" or ".join(map(repr, allowed)), got=repr(value)
        )
    return value
