"""Regression losses. Outputs of an example are averaged, or summed by ``SquaredError``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from deltarule.graph import functions as f
from deltarule.losses.loss import Loss, over_examples
from deltarule.tensor.activations import log_cosh
from deltarule.tensor.tensor import Tensor

__all__ = [
    "Huber",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Quantile",
    "SquaredError",
]


@final
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Loss):
    """Mean squared error: (ŷ − y)² averaged over outputs and examples.

    Shapes: predictions and targets both (N,) or (N, outputs), here and in the other losses of
    this module. The derivative for one output is 2(ŷ − y).

    >>> MeanSquaredError()([1.0, 3.0], [0.0, 1.0]).item()
    2.5
    """

    name: ClassVar[str] = "mean_squared_error"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return mean (ŷ − y)² over the outputs."""
        error = prediction - target.astype(prediction.dtype)
        return over_examples(error * error)


@final
@dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    """Squared error scale·Σ(ŷ − y)², summed over the outputs of an example.

    Textbooks scale the squared error in different ways:

    ===================================  ============================================
    ½‖ŷ − y‖², summed over examples      ``SquaredError(scale=0.5, reduction="sum")``
    ‖ŷ − y‖², averaged over examples     ``SquaredError()``
    ½‖ŷ − y‖², averaged over examples    ``SquaredError(scale=0.5)``
    averaged over examples and outputs   ``MeanSquaredError()``
    ===================================  ============================================

    The derivative is 2·scale·(ŷ − y).

    >>> SquaredError(scale=0.5, reduction="sum")([1.0, 3.0], [0.0, 1.0]).item()
    2.5
    """

    scale: float = 1.0
    name: ClassVar[str] = "squared_error"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("scale", 0 < self.scale < math.inf, "a number > 0")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return scale·‖ŷ − y‖²."""
        y = target.astype(prediction.dtype)
        if self.scale == 0.5:
            values = Tensor(f.squared_error(prediction.node, y.node))
            return over_examples(values, "sum")
        error = prediction - y
        return over_examples(error * error * self.scale, "sum")


@final
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Loss):
    """Mean absolute error: |ŷ − y| averaged over outputs, with subgradient 0 where ŷ = y.

    >>> MeanAbsoluteError()([1.0, 3.0], [0.0, 1.0]).item()
    1.5
    """

    name: ClassVar[str] = "mean_absolute_error"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return mean |ŷ − y| over the outputs."""
        return over_examples(abs(prediction - target.astype(prediction.dtype)))


@final
@dataclass(frozen=True, kw_only=True)
class Huber(Loss):
    """Huber loss: ½e² for |e| ≤ δ, else δ(|e| − ½δ), with e = ŷ − y, averaged over outputs (Huber 1964).

    >>> Huber(delta=1.0, reduction="none")([0.5, 3.0], [0.0, 0.0]).tolist()
    [0.125, 2.5]
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("delta", 0 < self.delta < math.inf, "a number > 0")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean Huber loss over the outputs."""
        y = target.astype(prediction.dtype)
        return over_examples(Tensor(f.huber(prediction.node, y.node, delta=self.delta)))


@final
@dataclass(frozen=True, kw_only=True)
class LogCosh(Loss):
    """Log-cosh loss ln cosh e, e = ŷ − y, averaged over outputs.

    It is about ½e² near 0 and |e| − ln 2 far from it; the derivative is tanh e.

    >>> round(LogCosh()([1.0], [0.0]).item(), 6)
    0.433781
    """

    name: ClassVar[str] = "log_cosh"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return mean ln cosh(ŷ − y) over the outputs."""
        return over_examples(log_cosh(prediction - target.astype(prediction.dtype)))


@final
@dataclass(frozen=True, kw_only=True)
class Quantile(Loss):
    """Quantile (pinball) loss max(τ(y − ŷ), (τ − 1)(y − ŷ)), averaged over outputs (Koenker and Bassett 1978).

    Its minimum is the conditional ``quantile`` τ ∈ (0, 1) of the targets.

    >>> Quantile(quantile=0.75, reduction="none")([0.0, 0.0], [1.0, -1.0]).tolist()
    [0.75, 0.25]
    """

    quantile: float = 0.5
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("quantile", 0 < self.quantile < 1, "a number in (0, 1)")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean pinball loss over the outputs."""
        error = target.astype(prediction.dtype) - prediction
        return over_examples(abs(error) * 0.5 + error * (self.quantile - 0.5))
