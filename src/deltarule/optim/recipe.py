"""What every optimiser offers: its transform, and its hyperparameters as plain data."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, ClassVar, Literal, Self, final

from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError
from deltarule.flags import settles_fields
from deltarule.optim.schedules import Schedule, check_numbers
from deltarule.optim.schedules import from_config as schedule_from_config
from deltarule.optim.transform import (
    Clock,
    Transform,
    chain,
    clip_by_global_norm,
    clip_by_value,
)
from deltarule.tensor.functional import sqrt
from deltarule.tensor.tensor import Tensor

Epsilon = Literal["inside", "outside"]
_KINDS: dict[str, type[Optimizer]] = {}


@final
class ParameterNames(tuple[str, ...]):
    """The names of the parameters that are learned, in their order; ``frozen`` are those of the others.

    A pattern of a recipe may name a frozen parameter: it stays as it is, and the recipe serves for every stage of
    unfreezing.

    >>> names = ParameterNames(["1.weight"], frozen=["0.weight"])
    >>> list(names), names.frozen
    (['1.weight'], ('0.weight',))
    """

    frozen: tuple[str, ...]

    def __new__(cls, names: Sequence[str], frozen: Sequence[str] = ()) -> Self:
        """Make the names."""
        made = super().__new__(cls, names)
        made.frozen = tuple(frozen)
        return made


def frozen_among(names: Sequence[str]) -> tuple[str, ...]:
    """Return the frozen parameters' names that come with those of the learned ones, if any."""
    return names.frozen if isinstance(names, ParameterNames) else ()


@dataclass(frozen=True, kw_only=True)
class Optimizer(metaclass=NamedArguments):
    """A named recipe: hyperparameters that give a transform of gradients.

    Whole numbers, truth values and numbers are checked by the types of the fields, in subclasses too.

    ``learning_rate`` is a number > 0 or a schedule. ``clip_value`` limits every entry of the gradient first,
    then ``clip_norm`` the norm of all of them together.
    """

    learning_rate: float | Schedule = 0.01
    clip_norm: float | None = None
    clip_value: float | None = None
    stands_alone: ClassVar[bool] = True  # whether its name alone is enough to make one

    def __init_subclass__(cls) -> None:
        settles_fields(cls)
        if not cls.__name__.startswith("_"):
            _KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        check_numbers(self)
        rate = self.learning_rate
        if not isinstance(rate, Schedule):
            number = isinstance(rate, Real) and not isinstance(rate, bool) and rate > 0
            self._require("learning_rate", number, "a number > 0 or a Schedule")
            object.__setattr__(self, "learning_rate", float(rate))
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            self._require(name, limit is None or limit > 0, "a number > 0 or None")

    def _require(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ArgumentError(
                f"{type(self).__name__} {name}",
                expected=expected,
                got=repr(getattr(self, name)),
            )

    def _require_decay(self, *names: str) -> None:
        for name in names:
            self._require(name, 0 <= getattr(self, name) < 1, "a number in [0, 1)")

    def _require_nonnegative(self, *names: str) -> None:
        for name in names:
            self._require(name, getattr(self, name) >= 0, "a number ≥ 0")

    def transform(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps, clipping first.

        ``names`` of the parameters, in their order, are needed by recipes that treat them by name (``Groups``);
        ``ParameterNames`` tell of frozen ones too.
        """
        clips = [] if self.clip_value is None else [clip_by_value(self.clip_value)]
        clips += [] if self.clip_norm is None else [clip_by_global_norm(self.clip_norm)]
        return chain(*clips, self.steps(names))

    def rates(
        self, count: int, clock: Clock, names: Sequence[str] | None = None
    ) -> list[Tensor | float]:
        """Return the learning rate of each of ``count`` parameters in the step that the clock is at, 0 for no step."""
        del names
        return [clock.rate(self.learning_rate)] * count

    def rate_at(self, step: int) -> float:
        """Return the learning rate at a step, counted from 0, as a number; that of the default for ``Groups``."""
        rate = self.learning_rate
        return rate.at(step) if isinstance(rate, Schedule) else float(rate)

    @abstractmethod
    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return gradients → steps, clipping excluded."""

    def config(self) -> dict[str, Any]:
        """Return the recipe as plain data; ``from_config`` makes it again."""
        given = [f.name for f in fields(self) if f.init]
        return {
            "optimizer": type(self).__name__,
            **{name: _plain(getattr(self, name)) for name in given},
        }


def _plain(value: Any) -> Any:
    if isinstance(value, (Optimizer, Schedule)):
        return value.config()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _living(value: Any) -> Any:
    if isinstance(value, dict):
        if "optimizer" in value:
            return from_config(value)
        if "schedule" in value:
            return schedule_from_config(value)
        return {key: _living(item) for key, item in value.items()}
    return value


def from_config(config: dict[str, Any]) -> Optimizer:
    """Return the optimiser of a ``config()``."""
    arguments = dict(config)
    kind = _KINDS.get(str(arguments.pop("optimizer", "")))
    if kind is None:
        raise ArgumentError(
            "optimizer",
            expected=f"one of {', '.join(_KINDS)}",
            got=repr(config.get("optimizer")),
        )
    return kind(**{key: _living(value) for key, value in arguments.items()})


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return an optimiser by name, with its default hyperparameters, or as it is.

    >>> get("adam").config()["beta2"]
    0.999
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    names = {name.lower(): kind for name, kind in _KINDS.items() if kind.stands_alone}
    if str(optimizer).lower() not in names:
        near = difflib.get_close_matches(str(optimizer).lower(), names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        if isinstance(optimizer, type):
            hint = f"Write optim.{optimizer.__name__}(), with parentheses."
        raise ArgumentError(
            "optimizer",
            expected=f"one of {', '.join(sorted(names))}",
            got=repr(optimizer),
            hint=hint,
        )
    return names[str(optimizer).lower()]()


def root(second: Tensor, epsilon: float, place: Epsilon) -> Tensor:
    """√(s + ε) (inside) or √s + ε (outside); the notes use both (X-03)."""
    return sqrt(second + epsilon) if place == "inside" else sqrt(second) + epsilon
