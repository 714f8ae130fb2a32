"""Callbacks: what may happen at the end of every epoch. Each keeps its state as plain data, so runs resume exactly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError

Array = npt.NDArray[Any]


class Session(Protocol):
    """What a callback may see and do."""

    stop: bool
    learning_rate_factor: float

    def weights(self) -> list[Array]:
        """Return copies of the current state (parameters, slots, running statistics)."""
        ...

    def set_weights(self, state: list[Array]) -> None:
        """Go on with another state."""
        ...


class Callback:
    """Base of callbacks: override what you need; nothing happens by default."""

    def on_train_begin(self, session: Session) -> None:
        """Run before the first step."""

    def on_epoch_end(self, session: Session, epoch: int, logs: dict[str, float]) -> None:
        """Run after an epoch (counted from 1) with its values."""

    def on_train_end(self, session: Session) -> None:
        """Run after the last step, also after an interrupt."""

    def state(self) -> tuple[dict[str, Any], list[Array]]:
        """Return what must be kept to resume: plain data and arrays."""
        return {}, []

    def load_state(self, data: dict[str, Any], arrays: list[Array]) -> None:
        """Take back what ``state`` returned."""


@final
class EarlyStopping(Callback):
    """Stop when a value has not improved for ``patience`` epochs, and take back the best weights (REG).

    ``monitor`` is a key of the epoch's values; values named …accuracy or r2 are to grow, others to shrink.
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        if patience < 1:
            raise ArgumentError("EarlyStopping patience", expected="a whole number ≥ 1", got=repr(patience))
        self.monitor, self.patience, self.min_delta, self.restore_best = monitor, patience, min_delta, restore_best
        self._sign = -1.0 if monitor.endswith(("accuracy", "r2")) else 1.0
        self.best: float = math.inf
        self.best_epoch = 0
        self._best_weights: list[Array] = []

    def on_epoch_end(self, session: Session, epoch: int, logs: dict[str, float]) -> None:
        """Compare with the best epoch so far."""
        if self.monitor not in logs:
            raise ArgumentError(
                "EarlyStopping monitor",
                expected=f"one of {', '.join(logs)}",
                got=repr(self.monitor),
                hint="val_… values need validation_data or validation_split.",
            )
        value = self._sign * logs[self.monitor]
        if value < self.best - self.min_delta:
            self.best, self.best_epoch = value, epoch
            self._best_weights = session.weights() if self.restore_best else []
        elif epoch - self.best_epoch >= self.patience:
            session.stop = True

    def on_train_end(self, session: Session) -> None:
        """Take back the best weights."""
        if self.restore_best and self._best_weights:
            session.set_weights(self._best_weights)

    def state(self) -> tuple[dict[str, Any], list[Array]]:
        """Return the best value, its epoch and its weights."""
        best = None if math.isinf(self.best) else self.best
        return {"best": best, "best_epoch": self.best_epoch}, self._best_weights

    def load_state(self, data: dict[str, Any], arrays: list[Array]) -> None:
        """Take back what ``state`` returned."""
        self.best = math.inf if data["best"] is None else float(data["best"])
        self.best_epoch, self._best_weights = int(data["best_epoch"]), [np.array(a) for a in arrays]


@final
class ReduceOnPlateau(Callback):
    """Multiply the learning rate by ``factor`` when a value has not improved for ``patience`` epochs."""

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.5, patience: int = 3, min_factor: float = 1e-4
    ) -> None:
        if not 0 < factor < 1:
            raise ArgumentError("ReduceOnPlateau factor", expected="a number in (0, 1)", got=repr(factor))
        self.monitor, self.factor, self.patience, self.min_factor = monitor, factor, patience, min_factor
        self._sign = -1.0 if monitor.endswith(("accuracy", "r2")) else 1.0
        self._best, self._waited = math.inf, 0

    def on_epoch_end(self, session: Session, epoch: int, logs: dict[str, float]) -> None:
        """Compare with the best value so far."""
        del epoch
        if self.monitor not in logs:
            raise ArgumentError("ReduceOnPlateau monitor", expected=f"one of {', '.join(logs)}", got=repr(self.monitor))
        value = self._sign * logs[self.monitor]
        self._waited = 0 if value < self._best else self._waited + 1
        self._best = min(self._best, value)
        if self._waited >= self.patience:
            session.learning_rate_factor = max(self.min_factor, session.learning_rate_factor * self.factor)
            self._waited = 0

    def state(self) -> tuple[dict[str, Any], list[Array]]:
        """Return the best value and how long it has stood."""
        return {"best": None if math.isinf(self._best) else self._best, "waited": self._waited}, []

    def load_state(self, data: dict[str, Any], arrays: list[Array]) -> None:
        """Take back what ``state`` returned."""
        del arrays
        self._best = math.inf if data["best"] is None else float(data["best"])
        self._waited = int(data["waited"])


@final
class JSONLinesLogger(Callback):
    """Append one JSON object an epoch to a file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_epoch_end(self, session: Session, epoch: int, logs: dict[str, float]) -> None:
        """Write the epoch's values."""
        del session
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"epoch": epoch, **logs}) + "\n")
