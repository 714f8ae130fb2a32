"""Losses on numbers. Outputs of an example are summed or averaged as the name says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from deltarule.losses.loss import Loss
from deltarule.tensor.functional import where
from deltarule.tensor.tensor import Tensor


def _outputs(x: Tensor) -> tuple[int, ...]:
    return tuple(range(1, x.ndim))


@final
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(Loss):
    """mean (ŷ − y)² over the outputs of an example and over examples (OUT-07).

    >>> MeanSquaredError()([1.0, 3.0], [0.0, 1.0]).item()
    2.5
    """

    name: ClassVar[str] = "mean_squared_error"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return mean (ŷ − y)² over the outputs."""
        error = prediction - target.astype(prediction.dtype)
        return (error * error).mean(_outputs(error)) if error.ndim > 1 else error * error


@final
@dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    """scale·Σ(ŷ − y)² over the outputs of an example: ``scale=1`` is ‖ŷ − y‖² (OUT-05), ½ its half (OUT-04, OUT-06).

    >>> SquaredError(scale=0.5, reduction="sum")([1.0, 3.0], [0.0, 1.0]).item()
    2.5
    """

    scale: float = 1.0
    name: ClassVar[str] = "squared_error"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return scale·‖ŷ − y‖²."""
        error = prediction - target.astype(prediction.dtype)
        squares = error * error * self.scale
        return squares.sum(_outputs(error)) if error.ndim > 1 else squares


@final
@dataclass(frozen=True, kw_only=True)
class MeanAbsoluteError(Loss):
    """mean |ŷ − y|; subgradient 0 where ŷ = y."""

    name: ClassVar[str] = "mean_absolute_error"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return mean |ŷ − y| over the outputs."""
        error = abs(prediction - target.astype(prediction.dtype))
        return error.mean(_outputs(error)) if error.ndim > 1 else error


@final
@dataclass(frozen=True, kw_only=True)
class Huber(Loss):
    """½e² for |e| ≤ δ, δ(|e| − ½δ) beyond, averaged over outputs (Huber 1964)."""

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("delta", self.delta > 0, "a number > 0")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean Huber loss over the outputs."""
        error = prediction - target.astype(prediction.dtype)
        size = abs(error)
        values = where(size <= self.delta, error * error * 0.5, (size - 0.5 * self.delta) * self.delta)
        return values.mean(_outputs(values)) if values.ndim > 1 else values
