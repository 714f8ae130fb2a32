"""Learning-rate schedules: pure functions of the step (OPT-30). Rates are computed in float64.

The step counts from 0. A schedule whose ``learning_rate`` may be a schedule hands it the steps that remain.
"""

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

_KINDS: dict[str, Callable[..., Schedule]] = {}
_CHECKS: dict[str, Callable[[object, str], Any]] = {
    "int": whole_number,
    "float": real_number,
}


def check_numbers(owner: object) -> None:
    """Raise ArgumentError where a field that is declared as int or float (or None) holds something else.

    Numbers of NumPy become Python's, so that a recipe is plain data.
    """
    for field in fields(owner) if is_dataclass(owner) else ():
        kind = (
            field.type
            if isinstance(field.type, str)
            else getattr(field.type, "__name__", "")
        )
        value, check = (
            getattr(owner, field.name),
            _CHECKS.get(kind.removesuffix(" | None")),
        )
        if check is not None and not (value is None and kind.endswith("None")):
            object.__setattr__(
                owner, field.name, check(value, f"{type(owner).__name__} {field.name}")
            )


class Schedule(metaclass=NamedArguments):
    """A learning rate that depends on the step, counted from 0."""

    def __init_subclass__(cls) -> None:
        settles_fields(cls)
        _KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        check_numbers(self)

    @abstractmethod
    def rate(self, step: Tensor) -> Tensor | float:
        """Return the rate at a step (an integer scalar), as a float64 scalar."""

    def config(self) -> dict[str, Any]:
        """Return the schedule as plain data."""
        values = {
            k: v.config() if isinstance(v, Schedule) else v
            for k, v in vars(self).items()
        }
        return {"schedule": type(self).__name__, **values}

    def at(self, step: int) -> float:
        """Return the rate at one step as a number.

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
    """Return the schedule of a ``config()``."""
    arguments = {
        k: from_config(v) if isinstance(v, dict) else v
        for k, v in config.items()
        if k != "schedule"
    }
    kind = _KINDS.get(str(config.get("schedule")))
    if kind is None:
        raise ArgumentError(
            "schedule",
            expected=f"one of {', '.join(_KINDS)}",
            got=repr(config.get("schedule")),
        )
    return kind(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    )


def _time(step: Tensor) -> Tensor:
    return step.astype("float64")


def _part(step: Tensor, steps: int) -> Tensor:
    """The share of the steps that is over, at most 1."""
    return minimum(_time(step) / steps, 1.0)


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """η_t = η.

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
    """η_t = η·factor^⌊t / every⌋.

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
        return (
            exp(floor(_time(step) / self.every) * math.log(self.factor))
            * self.learning_rate
        )


@final
@dataclass(frozen=True)
class Piecewise(Schedule):
    """rates[i] from the i-th of the increasing boundaries on; rates[0] before the first.

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
    """η_t = η·decay^(t / every).

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
    """η_t = η / (1 + decay·t), the 1/t schedule of stochastic approximation (Robbins and Monro 1951).

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
    """η_t = η_end + (η − η_end)(1 − t/T)^power for t ≤ T, then η_end; power 1 is a straight line.

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
        return (1.0 - _part(step, self.steps)) ** self.power * (
            self.learning_rate - self.end
        ) + self.end


@final
@dataclass(frozen=True)
class CosineDecay(Schedule):
    """η_t = η_end + ½(η − η_end)(1 + cos(πt/T)) for t ≤ T, then η_end (Loshchilov and Hutter 2017).

    ``restarts`` begins again at η after every T steps (SGDR with equal periods).

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
        time = _time(step)
        part = (
            time / self.steps - floor(time / self.steps)
            if self.restarts
            else _part(step, self.steps)
        )
        return (cos(part * math.pi) + 1.0) * (
            0.5 * (self.learning_rate - self.end)
        ) + self.end


@final
@dataclass(frozen=True)
class WarmUp(Schedule):
    """From 0 to η linearly over ``steps``, η_t = η·min(1, (t + 1)/steps), then η or the schedule given for it.

    The schedule starts at its own step 0 when the warm-up ends.

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
    """Cosine from η/25 up to η over the first ``rise`` of the steps, then down to η/25/10⁴ (Smith 2018).

    The peak is at step rise·steps, the lowest rate at step ``steps`` and after it.

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
        up = (1.0 - cos(part * (math.pi / self.rise))) * (
            0.5 * (self.learning_rate - low)
        ) + low
        fall = (part - self.rise) * (math.pi / (1 - self.rise))
        down = (cos(fall) + 1.0) * (0.5 * (self.learning_rate - last)) + last
        return where(part < self.rise, up, down)
