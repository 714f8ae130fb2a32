"""Learning-rate schedules: pure functions of the step, which is counted from 0. Rates are float64."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from numbers import Real
from typing import Any, final

from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError, real_number, whole_number
from deltarule.flags import settles_fields
from deltarule.tensor.functional import cos, exp, floor, maximum, minimum, where
from deltarule.tensor.tensor import Tensor, tensor

__all__ = [
    "Constant",
    "CosineDecay",
    "ExponentialDecay",
    "InverseTimeDecay",
    "OneCycle",
    "Piecewise",
    "PolynomialDecay",
    "Schedule",
    "StepDecay",
    "WarmUp",
]

_KINDS: dict[str, Callable[..., Schedule]] = {}
_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "int": whole_number,
    "float": real_number,
}


def check_numbers(owner: object) -> None:
    """Raise ArgumentError where a field annotated as int or float (or None) has another type.

    NumPy scalars are converted to Python numbers, so that configurations are plain data.

    >>> import numpy as np
    >>> Constant(np.float64(0.5))
    Constant(learning_rate=0.5)
    """
    for field in fields(owner) if is_dataclass(owner) else ():
        annotation = field.type
        if not isinstance(annotation, str):
            annotation = getattr(annotation, "__name__", "")
        check = _CHECKS.get(annotation.removesuffix(" | None"))
        value = getattr(owner, field.name)
        if check is None or (value is None and annotation.endswith("None")):
            continue
        number = check(value, f"{type(owner).__name__} {field.name}")
        object.__setattr__(owner, field.name, number)


class Schedule(metaclass=NamedArguments):
    """Base class of learning rates that depend on the step, counted from 0.

    A schedule of your own is a frozen dataclass derived from this class with the method ``rate``.

    >>> from deltarule.optim import SGD
    >>> SGD(learning_rate=StepDecay(0.1, factor=0.5, every=2)).rate_at(2)
    0.05
    """

    def __init_subclass__(cls) -> None:
        settles_fields(cls)
        _KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        check_numbers(self)

    @abstractmethod
    def rate(self, step: Tensor) -> Tensor | float:
        """Return the rate at a step (an integer scalar), as a float64 scalar.

        >>> from deltarule.tensor.tensor import tensor
        >>> StepDecay(0.1, factor=0.5, every=10).rate(tensor(25)).item()
        0.025
        """

    def config(self) -> dict[str, Any]:
        """Return the schedule as plain data.

        >>> StepDecay(0.1, factor=0.5, every=10).config()
        {'schedule': 'StepDecay', 'learning_rate': 0.1, 'factor': 0.5, 'every': 10}
        """
        values = {
            k: v.config() if isinstance(v, Schedule) else v
            for k, v in vars(self).items()
        }
        return {"schedule": type(self).__name__, **values}

    def at(self, step: int) -> float:
        """Return the learning rate at a step as a number.

        >>> ExponentialDecay(0.1, decay=0.5, every=10).at(20)
        0.025
        """
        value = self.rate(tensor(step))
        return float(value.item()) if isinstance(value, Tensor) else float(value)

    def _require(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ArgumentError(
                f"{type(self).__name__} {name}",
                expected=expected,
                got=repr(getattr(self, name)),
            )

    def _require_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(
                name, isinstance(value, Schedule) or _positive(value), "a number > 0"
            )


def _positive(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) > 0


def from_config(config: dict[str, Any]) -> Schedule:
    """Return the schedule described by a ``config()``.

    Raises:
        ArgumentError: an unknown schedule.

    >>> from_config(Constant(0.1).config())
    Constant(learning_rate=0.1)
    """
    arguments = dict(config)
    name = arguments.pop("schedule", None)
    kind = _KINDS.get(str(name))
    if kind is None:
        expected = f"one of {', '.join(_KINDS)}"
        raise ArgumentError("schedule", expected=expected, got=repr(name))
    return kind(**{key: _argument(value) for key, value in arguments.items()})


def _argument(value: Any) -> Any:
    """Return a value of a configuration as an argument: a schedule for a dictionary, a tuple for a list."""
    if isinstance(value, dict):
        return from_config(value)
    return tuple(value) if isinstance(value, list) else value


def _time(step: Tensor) -> Tensor:
    return step.astype("float64")


def _part(step: Tensor, steps: int) -> Tensor:
    """Return the fraction of the steps that is completed, at most 1."""
    return minimum(_time(step) / steps, 1.0)


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """Constant learning rate η_t = η.

    >>> [round(Constant(0.1).at(t), 6) for t in (0, 100)]
    [0.1, 0.1]
    """

    learning_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate")

    def rate(self, step: Tensor) -> Tensor | float:
        """Return the same rate at every step."""
        del step
        return self.learning_rate


@final
@dataclass(frozen=True)
class StepDecay(Schedule):
    """Step decay η_t = η·factor^⌊t / every⌋.

    Args:
        learning_rate: η > 0.
        factor: The factor > 0 of each decay.
        every: The number of steps between decays.

    >>> [StepDecay(0.1, factor=0.5, every=2).at(t) for t in range(4)]
    [0.1, 0.1, 0.05, 0.05]
    """

    learning_rate: float
    factor: float
    every: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "factor", "every")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        decays = floor(_time(step) / self.every)
        return exp(decays * math.log(self.factor)) * self.learning_rate


@final
@dataclass(frozen=True)
class Piecewise(Schedule):
    """Piecewise constant learning rate: rates[0], then rates[i] from boundaries[i − 1] on.

    Args:
        rates: The learning rates, one more than boundaries.
        boundaries: The increasing steps at which the rate changes.

    >>> [Piecewise((0.1, 0.01), boundaries=(2,)).at(t) for t in range(4)]
    [0.1, 0.1, 0.01, 0.01]
    """

    rates: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            "rates",
            len(self.rates) == len(self.boundaries) + 1,
            "one rate more than boundaries",
        )
        self._require("rates", all(map(_positive, self.rates)), "numbers > 0")
        for boundary in self.boundaries:
            whole_number(boundary, "Piecewise boundaries")
        self._require(
            "boundaries",
            list(self.boundaries) == sorted(set(self.boundaries)),
            "increasing steps",
        )

    def rate(self, step: Tensor) -> Tensor | float:
        """Return the rate at a step."""
        now: Tensor = _time(step) * 0.0 + self.rates[0]
        for boundary, rate in zip(self.boundaries, self.rates[1:], strict=True):
            now = where(step < boundary, now, rate)
        return now


@final
@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """Exponential decay η_t = η·decay^(t / every).

    Args:
        learning_rate: η > 0.
        decay: The factor > 0 over ``every`` steps.
        every: A number of steps.

    >>> [round(ExponentialDecay(0.1, decay=0.5).at(t), 6) for t in range(3)]
    [0.1, 0.05, 0.025]
    """

    learning_rate: float
    decay: float
    every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "decay", "every")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        return exp(_time(step) / self.every * math.log(self.decay)) * self.learning_rate


@final
@dataclass(frozen=True)
class InverseTimeDecay(Schedule):
    """Inverse-time decay η_t = η / (1 + decay·t), as in stochastic approximation (Robbins and Monro 1951).

    >>> [round(InverseTimeDecay(0.1, decay=1.0).at(t), 6) for t in (0, 1, 9)]
    [0.1, 0.05, 0.01]
    """

    learning_rate: float
    decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate")
        self._require("decay", self.decay >= 0, "a number ≥ 0")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        return self.learning_rate / (_time(step) * self.decay + 1.0)


@final
@dataclass(frozen=True)
class PolynomialDecay(Schedule):
    """Polynomial decay η_t = η_end + (η − η_end)(1 − t/T)^power for t ≤ T, then η_end.

    Args:
        learning_rate: The initial rate η > 0.
        steps: The number T of steps.
        end: The final rate η_end ≥ 0.
        power: The exponent > 0; 1 is linear decay.

    >>> [round(PolynomialDecay(0.1, steps=4).at(t), 6) for t in range(6)]
    [0.1, 0.075, 0.05, 0.025, 0.0, 0.0]
    """

    learning_rate: float
    steps: int
    end: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "steps", "power")
        self._require("end", self.end >= 0, "a number ≥ 0")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        remaining = (1.0 - _part(step, self.steps)) ** self.power
        return remaining * (self.learning_rate - self.end) + self.end


@final
@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Cosine annealing η_t = η_end + ½(η − η_end)(1 + cos(πt/T)) for t ≤ T, then η_end (Loshchilov and Hutter 2017).

    Args:
        learning_rate: The initial rate η > 0.
        steps: The number T of steps.
        end: The final rate η_end ≥ 0.
        restarts: Restart from η every T steps (SGDR with equal periods).

    >>> [round(CosineDecay(0.1, steps=4).at(t), 6) for t in range(6)]
    [0.1, 0.085355, 0.05, 0.014645, 0.0, 0.0]
    """

    learning_rate: float
    steps: int
    end: float = 0.0
    restarts: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "steps")
        self._require("end", self.end >= 0, "a number ≥ 0")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        if self.restarts:
            cycles = _time(step) / self.steps
            part = cycles - floor(cycles)
        else:
            part = _part(step, self.steps)
        amplitude = 0.5 * (self.learning_rate - self.end)
        return (cos(part * math.pi) + 1.0) * amplitude + self.end


@final
@dataclass(frozen=True)
class WarmUp(Schedule):
    """Linear warm-up η_t = η·min(1, (t + 1)/steps), where η is a number or a schedule.

    The schedule starts at its step 0 when the warm-up ends.

    >>> [WarmUp(0.4, steps=4).at(t) for t in range(5)]
    [0.1, 0.2, 0.30000000000000004, 0.4, 0.4]
    """

    learning_rate: float | Schedule
    steps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "steps")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        rise = minimum((_time(step) + 1.0) / self.steps, 1.0)
        if not isinstance(self.learning_rate, Schedule):
            return rise * self.learning_rate
        return rise * self.learning_rate.rate(maximum(step - self.steps, 0))


@final
@dataclass(frozen=True)
class OneCycle(Schedule):
    """One-cycle policy with cosine annealing: from η/25 up to η, then down to η/25/10⁴ (Smith 2018).

    The maximum is at step rise·steps, the minimum at step ``steps`` and after it.

    Args:
        learning_rate: The largest rate η > 0.
        steps: The number of steps of the cycle.
        rise: The fraction of the steps with an increasing rate, in (0, 1).
        start_divisor: η divided by the initial rate.
        end_divisor: The initial rate divided by the final rate.

    >>> [round(OneCycle(1.0, steps=100).at(t), 6) for t in (0, 15, 30, 100)]
    [0.04, 0.52, 1.0, 4e-06]
    """

    learning_rate: float
    steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "steps", "start_divisor", "end_divisor")
        self._require("rise", 0 < self.rise < 1, "a number in (0, 1)")

    def rate(self, step: Tensor) -> Tensor:
        """Return the rate at a step."""
        part = _part(step, self.steps)
        low = self.learning_rate / self.start_divisor
        last = low / self.end_divisor
        rising = 1.0 - cos(part * (math.pi / self.rise))
        up = rising * (0.5 * (self.learning_rate - low)) + low
        fall = (part - self.rise) * (math.pi / (1 - self.rise))
        down = (cos(fall) + 1.0) * (0.5 * (self.learning_rate - last)) + last
        return where(part < self.rise, up, down)
