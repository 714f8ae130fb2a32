"""The base class of optimisers: the gradient transform, and hyperparameters as plain data."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from inspect import signature
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

from deltarule.arguments import NamedArguments, check_calls, former_attribute, restore
from deltarule.arguments import with_current_names as with_current_arguments
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

__all__ = ["Optimizer", "ParameterNames", "from_config", "get"]

Epsilon = Literal["inside", "outside"]
_KINDS: dict[str, type[Optimizer]] = {}
RENAMED = {
    "Accumulated": "GradientAccumulation",
    "Averaged": "EMA",
    "Groups": "ParamGroups",
}  # names of earlier releases, which saved configurations contain


@final
class ParameterNames(tuple[str, ...]):
    """The names of the trainable parameters, in order; those of the frozen ones are in ``frozen``.

    A pattern of an optimiser may match frozen parameters only, so that the same optimiser can be
    used at every stage of unfreezing.

    Args:
        names: The names of the trainable parameters.
        frozen: The names of the frozen parameters.

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
    """Return the names of the frozen parameters, or () for plain names.

    >>> frozen_among(ParameterNames(["1.weight"], frozen=["0.weight"]))
    ('0.weight',)
    """
    return names.frozen if isinstance(names, ParameterNames) else ()


@dataclass(frozen=True, kw_only=True)
class Optimizer(metaclass=NamedArguments):
    """Base class of optimisers: hyperparameters that define a transform of gradients into steps.

    An optimiser of your own is a frozen dataclass derived from this class with the method
    ``steps``. Fields of type int, float and bool are checked by their annotations.

    Args:
        learning_rate: A number > 0, or a schedule.
        clip_norm: The largest norm of all gradients together; applied after ``clip_value``.
        clip_value: The largest absolute value of an entry of a gradient.

    >>> get("sgd").config()["learning_rate"]
    0.01
    """

    learning_rate: float | Schedule = 0.01
    clip_norm: float | None = None
    clip_value: float | None = None
    stands_alone: ClassVar[bool] = True  # whether it can be constructed by name alone

    def __init_subclass__(cls) -> None:
        settles_fields(cls)
        if not cls.__name__.startswith("_"):
            _KINDS[cls.__name__] = cls

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, state)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return former_attribute(self, name)

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
        """Return the transform of gradients into steps, including clipping.

        ``names`` are the names of the parameters in order, needed by optimisers that depend on
        them (``ParamGroups``); ``ParameterNames`` contain those of frozen parameters too.
        """
        clips = [] if self.clip_value is None else [clip_by_value(self.clip_value)]
        clips += [] if self.clip_norm is None else [clip_by_global_norm(self.clip_norm)]
        return chain(*clips, self.steps(names))

    def rates(
        self, count: int, clock: Clock, names: Sequence[str] | None = None
    ) -> list[Tensor | float]:
        """Return the learning rate of each of ``count`` parameters at the current step, 0 if they are not updated."""
        del names
        return [clock.rate(self.learning_rate)] * count

    def rate_at(self, step: int) -> float:
        """Return the learning rate at a step, counted from 0; that of the default for ``ParamGroups``.

        >>> from deltarule import optim
        >>> optim.SGD(learning_rate=optim.StepDecay(0.1, factor=0.5, every=10)).rate_at(25)
        0.025
        """
        rate = self.learning_rate
        return rate.at(step) if isinstance(rate, Schedule) else float(rate)

    @abstractmethod
    def steps(self, names: Sequence[str] | None = None) -> Transform:
        """Return the transform of gradients into steps, without clipping."""

    def config(self) -> dict[str, Any]:
        """Return the optimiser as plain data; ``from_config`` is the inverse.

        >>> from deltarule import optim
        >>> optim.Lion(learning_rate=0.001).config()["beta2"]
        0.99
        """
        names = [f.name for f in fields(self) if f.init]
        values = {name: _serialized(getattr(self, name)) for name in names}
        return {"optimizer": type(self).__name__, **values}


def _serialized(value: Any) -> Any:
    """Return a value with the configurations of the optimisers and schedules inside it."""
    if isinstance(value, (Optimizer, Schedule)):
        return value.config()
    if isinstance(value, dict):
        return {key: _serialized(item) for key, item in value.items()}
    return value


def _deserialized(value: Any) -> Any:
    """Return a value with optimisers and schedules for the configurations inside it."""
    if isinstance(value, dict):
        if "optimizer" in value:
            return from_config(value)
        if "schedule" in value:
            return schedule_from_config(value)
        return {key: _deserialized(item) for key, item in value.items()}
    return value


def from_config(config: dict[str, Any]) -> Optimizer:
    """Return the optimiser described by a ``config()``.

    Raises:
        ArgumentError: an unknown optimiser.

    >>> config = get("adam").config()
    >>> from_config(config) == get("adam")
    True
    """
    arguments = dict(config)
    name = str(arguments.pop("optimizer", ""))
    kind = _KINDS.get(RENAMED.get(name, name))
    if kind is None:
        raise ArgumentError(
            "optimizer",
            expected=f"one of {', '.join(_KINDS)}",
            got=repr(config.get("optimizer")),
        )
    current = with_current_arguments(signature(kind).parameters, arguments)
    return kind(**{key: _deserialized(value) for key, value in current.items()})


def with_current_names(config: Any) -> Any:
    """Return a saved configuration with the current names of optimisers.

    >>> with_current_names({"optimizer": "Averaged", "decay": 0.9})
    {'optimizer': 'EMA', 'decay': 0.9}
    """
    if not isinstance(config, dict):
        return config
    updated = {key: with_current_names(value) for key, value in config.items()}
    name = updated.get("optimizer")
    if isinstance(name, str):
        updated["optimizer"] = RENAMED.get(name, name)
    return updated


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimiser of a name, with default hyperparameters, or an optimiser unchanged.

    Raises:
        ArgumentError: an unknown name.

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
    """Return √(s + ε) for the place "inside", √s + ε for "outside".

    >>> from deltarule.tensor.tensor import tensor
    >>> root(tensor(4.0), 1.0, "outside").item(), root(tensor(3.0), 1.0, "inside").item()
    (3.0, 2.0)
    """
    return sqrt(second + epsilon) if place == "inside" else sqrt(second) + epsilon


check_calls(__name__)
