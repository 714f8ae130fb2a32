"""Learning-rate schedules: pure functions of the step (OPT-30). Rates are computed in float64."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

from deltarule.tensor.functional import cos, exp, minimum, where
from deltarule.tensor.tensor import Tensor, tensor


class Schedule(ABC):
    """A learning rate that depends on the step, counted from 0."""

    @abstractmethod
    def rate(self, step: Tensor) -> Tensor | float:
        """Return the rate at a step (a float64 scalar tensor)."""

    def config(self) -> dict[str, Any]:
        """Return the schedule as plain data."""
        return {"schedule": type(self).__name__, **vars(self)}

    def at(self, step: int) -> float:
        """Return the rate at one step as a number.

        >>> ExponentialDecay(0.1, decay=0.5, every=10).at(20)
        0.025
        """
        value = self.rate(tensor(step))
        return value.item() if isinstance(value, Tensor) else float(value)


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """η_t = η."""

    learning_rate: float

    def rate(self, step: Tensor) -> Tensor | float:
        """Return the same rate at every step."""
        del step
        return self.learning_rate


@final
@dataclass(frozen=True)
class StepDecay(Schedule):
    """η_t = η·factor^⌊t / every⌋."""

    learning_rate: float
    factor: float
    every: int

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        whole = (step.astype("float64") / self.every) // 1.0
        return exp(whole * math.log(self.factor)) * self.learning_rate


@final
@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """η_t = η·decay^(t / every)."""

    learning_rate: float
    decay: float
    every: int = 1

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        return exp(step.astype("float64") / self.every * math.log(self.decay)) * self.learning_rate


@final
@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """η_t = η / (1 + decay·t)."""

    learning_rate: float
    decay: float

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        return self.learning_rate / (step.astype("float64") * self.decay + 1.0)


@final
@dataclass(frozen=True)
class CosineDecay(Schedule):
    """η_t = η_end + ½(η − η_end)(1 + cos(πt/T)) for t ≤ T, then η_end (Loshchilov and Hutter 2017)."""

    learning_rate: float
    steps: int
    end: float = 0.0

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        part = minimum(step.astype("float64") / self.steps, 1.0)
        return (cos(part * math.pi) + 1.0) * (0.5 * (self.learning_rate - self.end)) + self.end


@final
@dataclass(frozen=True)
class WarmUp(Schedule):
    """From 0 to η linearly over ``steps``, then η: η_t = η·min(1, (t + 1)/steps)."""

    learning_rate: float
    steps: int

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        return minimum((step.astype("float64") + 1.0) / self.steps, 1.0) * self.learning_rate


@final
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Cosine from η/25 up to η over the first ``rise`` of the steps, then down to η/10⁴ (Smith 2018)."""

    learning_rate: float
    steps: int
    rise: float = 0.3

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        part = minimum(step.astype("float64") / self.steps, 1.0)
        low, last = self.learning_rate / 25, self.learning_rate / 1e4
        up = (1.0 - cos(part * (math.pi / self.rise))) * (0.5 * (self.learning_rate - low)) + low
        fall = (part - self.rise) * (math.pi / (1 - self.rise))
        down = (cos(fall) + 1.0) * (0.5 * (self.learning_rate - last)) + last
        return where(part < self.rise, up, down)


SCHEDULES: dict[str, type[Schedule]] = {
    kind.__name__: kind
    for kind in (Constant, StepDecay, ExponentialDecay, InverseTimeDecay, CosineDecay, WarmUp, OneCycle)
}
