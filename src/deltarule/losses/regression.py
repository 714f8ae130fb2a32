"""Losses on numbers. Outputs of an example are summed or averaged as the name says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from deltarule.graph import functions as f
from deltarule.losses.loss import Loss, over_examples
from deltarule.tensor.functional import log_cosh
from deltarule.tensor.tensor import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Loss):
    """Mean of (ŷ − y)² over the outputs of an example and over examples (OUT-07).

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
    """scale·Σ(ŷ − y)² over the outputs of an example, the notes' other scalings (X-07).

    ============================================  =========================================
    ½Σ over data (OUT-04, CM-01)                  ``SquaredError(scale=0.5, reduction="sum")``
    ‖ŷ − y‖² per example, mean (OUT-05)           ``SquaredError()``
    ½‖ŷ − y‖² per example, mean (OUT-06)          ``SquaredError(scale=0.5)``
    mean over data and outputs (OUT-07)           ``MeanSquaredError()``
    ============================================  =========================================

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
            return over_examples(
                Tensor(f.squared_error(prediction.node, y.node)), "sum"
            )
        error = prediction - y
        return over_examples(error * error * self.scale, "sum")


@final
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Loss):
    """Mean of |ŷ − y| over outputs; subgradient 0 where ŷ = y.

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
    """½e² for |e| ≤ δ, δ(|e| − ½δ) beyond, e = ŷ − y, averaged over outputs (Huber 1964).

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
    """Mean of ln cosh(ŷ − y) over outputs: ½e² near 0, |e| − ln 2 far away; derivative tanh(ŷ − y).

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
    """Mean of max(τ(y − ŷ), (τ − 1)(y − ŷ)) over outputs: its minimum is the τ-quantile (Koenker, Bassett 1978).

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
