"""What every optimiser offers: its transform, and its hyperparameters as plain data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from deltarule.errors import ArgumentError
from deltarule.optim.schedules import SCHEDULES, Schedule
from deltarule.optim.transform import Transform

_KINDS: dict[str, Callable[..., Optimizer]] = {}


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """A named recipe: hyperparameters that give a transform of gradients.

    ``learning_rate`` is a number > 0 or a schedule; ``clip_norm`` and ``clip_value`` limit gradients first.
    """

    learning_rate: float | Schedule
    clip_norm: float | None = None
    clip_value: float | None = None

    def __init_subclass__(cls) -> None:
        _KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            self._require("learning_rate", self.learning_rate > 0, "a number > 0 or a Schedule")
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            self._require(name, limit is None or limit > 0, "a number > 0 or None")

    def _require(self, name: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ArgumentError(f"{type(self).__name__} {name}", expected=expected, got=repr(getattr(self, name)))

    def _require_decay(self, name: str) -> None:
        self._require(name, 0 <= getattr(self, name) < 1, "a number in [0, 1)")

    @abstractmethod
    def transform(self) -> Transform:
        """Return gradients → steps, clipping excluded."""

    def config(self) -> dict[str, Any]:
        """Return the recipe as plain data; ``from_config`` makes it again."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {key: value.config() if isinstance(value, Schedule) else value for key, value in values.items()}
        return {"optimizer": type(self).__name__, **plain}


def from_config(config: dict[str, Any]) -> Optimizer:
    """Return the optimiser of a ``config()``."""
    arguments = dict(config)
    kind = _KINDS.get(str(arguments.pop("optimizer", "")))
    if kind is None:
        raise ArgumentError("optimizer", expected=f"one of {', '.join(_KINDS)}", got=repr(config.get("optimizer")))
    rate = arguments.get("learning_rate")
    if isinstance(rate, dict):
        schedule = dict(rate)
        arguments["learning_rate"] = SCHEDULES[schedule.pop("schedule")](**schedule)
    return kind(**arguments)


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return an optimiser by name, with its default hyperparameters, or as it is.

    >>> get("adam").config()["beta2"]
    0.999
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    names = {name.lower(): kind for name, kind in _KINDS.items()}
    if str(optimizer).lower() not in names:
        raise ArgumentError("optimizer", expected=f"one of {', '.join(sorted(names))}", got=repr(optimizer))
    return names[str(optimizer).lower()]()
