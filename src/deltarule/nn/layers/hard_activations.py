"""Piecewise linear and polynomial activations, Mish, and activations that differ from neuron to neuron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, final

from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import functions as f
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.activation import DeclaredActivation
from deltarule.nn.layers.containers import shares_parameters
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, show
from deltarule.tensor import functional
from deltarule.tensor.tensor import Tensor

__all__ = [
    "Clip",
    "Cubic",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Mish",
    "PerNeuron",
    "Softsign",
]


@final
class Mish(DeclaredActivation, function=f.mish):
    """x·tanh(softplus(x)) (Misra 2020)."""


@final
class Cubic(DeclaredActivation, function=f.cube):
    """x³; its derivative 3x² vanishes near 0 and explodes far from it."""


@final
class Softsign(DeclaredActivation, function=f.softsign):
    """x/(1 + |x|); derivative 1/(1 + |x|)²."""


class Limited(DeclaredActivation, function=f.clip):
    """Base class of ``Clip`` and ``HardTanh``."""

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise ArgumentError(
                type(self).__name__, expected="low < high", got=f"{low} and {high}"
            )
        self.low, self.high = float(low), float(high)


@final
class Clip(Limited):
    """max(low, min(high, x)), with bounds [0, 1] by default; derivative 𝟙(low < x ≤ high).

    The gradient is 0 outside the bounds, so a linear score clipped to [0, 1] is a poor
    model of a probability (Goodfellow et al. 2016, section 6.2.2.2).

    >>> Clip(0, 6)([-1.0, 2.0, 9.0]).tolist()
    [0.0, 2.0, 6.0]
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(low, high)


@final
class HardTanh(Limited):
    """max(low, min(high, x)) with bounds [−1, 1]: a piecewise linear tanh; derivative 𝟙(low < x ≤ high).

    >>> HardTanh()([-2.0, 0.5]).tolist()
    [-1.0, 0.5]
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        super().__init__(low, high)


@final
class HardSigmoid(DeclaredActivation, function=f.hard_sigmoid):
    """max(0, min(1, slope·x + offset)); derivative ``slope`` inside, 0 outside.

    The default slope 1/6 and offset ½ are those of PyTorch; ONNX uses the slope 0.2.

    >>> HardSigmoid()([-4.0, 0.0, 4.0]).tolist()
    [0.0, 0.5, 1.0]
    """

    def __init__(self, slope: float = 1 / 6, offset: float = 0.5) -> None:
        self.slope, self.offset = float(slope), float(offset)


@final
class HardSwish(DeclaredActivation, function=f.hard_swish):
    """x·max(0, min(1, x/6 + ½)): SiLU with a hard sigmoid (Howard et al. 2019)."""


@final
class PerNeuron(Module):
    """A different activation for each neuron: y_j = G_j(x_j) along the last axis.

    >>> from deltarule import nn
    >>> nn.PerNeuron([nn.ReLU(), nn.Identity(), nn.Identity()])([-1.0, -1.0, 2.0]).tolist()
    [0.0, -1.0, 2.0]
    """

    def __init__(self, activations: Sequence[Module]) -> None:
        if not activations or not all(
            isinstance(activation, Module) for activation in activations
        ):
            raise ArgumentError(
                "PerNeuron",
                expected="one activation for each neuron",
                got=repr(activations),
            )
        self.activations = list(activations)

    def forward(self, x: Tensor) -> Tensor:
        """Return G_j(x_j) for each neuron j; raises ShapeError for another number of neurons."""
        n = len(self.activations)
        if x.ndim == 0 or x.shape[-1] != n:
            raise ShapeError(
                "PerNeuron", expected=f"{n} neurons (last axis)", got=show(x.shape)
            )
        parts, start = [], 0
        # adjacent neurons with the same function are computed at once
        for _, alike in groupby(self.activations, key=_function_key):
            run = list(alike)
            parts.append(run[0](x[..., start : start + len(run)]))
            start += len(run)
        return functional.concatenate(parts, axis=-1)

    def config(self) -> dict[str, Any] | None:
        """Return the configs of all activations; None if one is user-defined, or has weights and is shared."""
        configs = [activation.config() for activation in self.activations]
        if None in configs or shares_parameters(self.activations):
            return None
        return {
            "class": "PerNeuron",
            "children": {f"activations.{i}": c for i, c in enumerate(configs)},
        }

    @classmethod
    def from_config(
        cls,
        children: dict[str, Any],
        arguments: dict[str, Any],
    ) -> PerNeuron:
        """Return the layer with the activations of a ``config``."""
        return cls([*children.values()], **arguments)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: one evaluation per element."""
        return LayerCost(flops=count(output))


def _function_key(activation: Module) -> object:
    """Return a key that is equal for activations that compute the same function without weights of their own."""
    config = activation.config()
    distinct = config is None or activation.parameter_shapes()
    return id(activation) if distinct else repr(config)
