"""Callbacks: code that runs between steps and after epochs; their state is part of a checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, final

from deltarule.arguments import NamedArguments
from deltarule.errors import ArgumentError, DivergenceError, real_number, whole_number
from deltarule.flags import check_constructor
from deltarule.render.numbers import counted
from deltarule.runtime.buffers import Array
from deltarule.train.checkpoint import write_atomically
from deltarule.train.monitoring.history import History

__all__ = [
    "Callback",
    "EarlyStopping",
    "JSONLinesLogger",
    "LearningRateFactor",
    "ReduceOnPlateau",
    "TerminateOnNaN",
]

_HIGHER_IS_BETTER = ("accuracy", "r2", "precision", "recall", "f1")


class Session(Protocol):
    """The interface of a run for callbacks: its weights, its history, and how to stop it."""

    stop: bool
    learning_rate_factor: float
    history: History

    @property
    def step(self) -> int:
        """Total steps so far."""
        ...

    def weights(self) -> dict[str, Array]:
        """Return copies of parameters and running state by name."""
        ...

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Continue with these weights; after the last step, leave the model with them."""
        ...

    def update_model(self) -> None:
        """Assign the current weights to the model, so that ``predict`` and ``evaluate`` can be called."""
        ...

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the trainable parameters, in the order of the optimiser state."""
        ...

    def slots(self) -> list[Array]:
        """Return copies of the optimiser state."""
        ...


class Callback(metaclass=NamedArguments):
    """Base class of callbacks: override the hooks you need; by default they do nothing.

    A KeyboardInterrupt raised in a hook ends the run as Ctrl-C does, after all callbacks have run. ``state`` and
    ``load_state`` make a callback with state resumable, ``reset`` makes it reusable.

    Attributes:
        every: Call ``on_steps`` after every multiple of this number of steps; None never calls it.
        adjusts_rate: Whether the callback changes ``session.learning_rate_factor``, which multiplies every
            learning rate.

    >>> class Longest(Callback):
    ...     def reset(self):
    ...         self.epochs = 0
    ...     def on_epoch_end(self, session, epoch, logs):
    ...         self.epochs = epoch
    ...     def state(self):
    ...         return {"epochs": self.epochs}, {}
    ...     def load_state(self, data, arrays):
    ...         self.epochs = data["epochs"]
    """

    every: int | None = None
    adjusts_rate: bool = False

    def __init_subclass__(cls) -> None:
        check_constructor(cls)

    def reset(self) -> None:
        """Reset the state of an earlier run; called before every run, and before ``load_state`` when resuming.

        Override it in a callback with state, so that one object can be used for several runs (cross-validation, a
        search). The results of a run remain readable until the next run begins.
        """

    def on_train_begin(self, session: Any) -> None:
        """Called before the first step."""

    def on_steps(self, session: Any) -> None:
        """Called after every multiple of ``every`` steps."""

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Called after each epoch (counted from 1) with its loss and metrics.

        >>> from deltarule import nn
        >>> class Print(Callback):
        ...     def on_epoch_end(self, session, epoch, logs):
        ...         print(epoch, sorted(logs))
        >>> model = nn.Linear(1, 1)
        >>> options = {"epochs": 2, "device": "reference", "verbose": 0}
        >>> _ = model.fit([[0.0]], [[1.0]], loss="mean_squared_error", callbacks=[Print()], **options)
        1 ['learning_rate', 'loss', 'samples_per_second', 'seconds']
        2 ['learning_rate', 'loss', 'samples_per_second', 'seconds']
        """

    def on_consistent(self, session: Any, last: bool) -> None:
        """Called after ``on_epoch_end`` of all callbacks, and once after ``on_train_end`` of all callbacks."""

    def on_train_end(self, session: Any) -> None:
        """Called after the last step, also after an interrupt."""

    def weights_to_keep(
        self, session: Any, weights: dict[str, Array]
    ) -> dict[str, Array]:
        """Return the weights for validation and for the model, given those that training continues with."""
        del session
        return weights

    def on_divergence(self, session: Any, error: DivergenceError) -> bool:
        """Return True to end the run without an error if the loss becomes NaN or infinite."""
        del session, error
        return False

    def settings(self) -> dict[str, Any]:
        """Return the settings, as plain data, that must be equal when a run is resumed.

        >>> from deltarule.train import EarlyStopping
        >>> EarlyStopping(patience=3).settings()["patience"]
        3
        """
        return {}

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the state to be stored in a checkpoint: plain data and arrays."""
        return {}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Restore the state that ``state`` returned."""


def replaces_weights(callback: Callback) -> bool:
    """Return whether a callback replaces the training weights for validation and for the model.

    >>> replaces_weights(EarlyStopping())
    False
    """
    return type(callback).weights_to_keep is not Callback.weights_to_keep


def check_every(callback: Callback) -> None:
    """Raise ArgumentError unless ``every`` is None or a whole number of steps.

    >>> callback = Callback()
    >>> callback.every = 0
    >>> check_every(callback)
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: Callback every: expected a whole number ≥ 1, got 0.
    """
    if callback.every is not None:
        whole_number(callback.every, f"{type(callback).__name__} every", least=1)


class _Monitor:
    """Tracks the best value of a metric; lower is better, except for accuracy, R², precision, recall and F₁."""

    def __init__(self, owner: str, name: str, mode: str, min_delta: float) -> None:
        if mode not in {"auto", "min", "max"}:
            raise ArgumentError(
                f"{owner} mode", expected="'auto', 'min' or 'max'", got=repr(mode)
            )
        if not isinstance(name, str):
            raise ArgumentError(
                f"{owner} monitor",
                expected="the name of a value, such as 'val_loss'",
                got=repr(name),
            )
        if not real_number(min_delta, f"{owner} min_delta") >= 0:
            raise ArgumentError(
                f"{owner} min_delta", expected="a number ≥ 0", got=repr(min_delta)
            )
        self._owner, self._name, self._min_delta = owner, name, min_delta
        self._sign = (
            -1.0
            if mode == "max" or (mode == "auto" and name.endswith(_HIGHER_IS_BETTER))
            else 1.0
        )
        self.best: float | None = None  # of this run

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return {
            "monitor": self._name,
            "min_delta": self._min_delta,
            "mode": "min" if self._sign > 0 else "max",
        }

    def improved(self, logs: Mapping[str, float]) -> bool:
        """Record an epoch's value; return whether it improves on the best one by more than ``min_delta``."""
        if self._name not in logs:
            held_out = self._name.startswith("val_") and self._name[4:] in logs
            raise ArgumentError(
                f"{self._owner} monitor",
                expected=f"one of {', '.join(logs)}",
                got=repr(self._name),
                hint="val_… values need validation_data or validation_split."
                if held_out
                else "",
            )
        value = logs[self._name]
        better = (
            self.best is None
            or self._sign * value < self._sign * self.best - self._min_delta
        )
        if better and not math.isnan(value):
            self.best = value
            return True
        return False


@final
class EarlyStopping(Callback):
    """Stop training when a monitored value has stopped improving, and restore the best weights.

    Early stopping acts as regularisation (Goodfellow et al. 2016, section 7.8).

    Args:
        monitor: Name of the value to monitor: "val_loss", "val_accuracy", "loss" …
        patience: Number of epochs without improvement after which training stops.
        min_delta: Smallest change that counts as an improvement.
        restore_best: Whether to restore the weights of the best epoch at the end, also if the run was not stopped.
        mode: "min" if lower is better, "max" if higher is better, "auto" to decide by the name (higher is better for
            accuracy, r2, precision, recall and f1).

    Attributes:
        best: The best value so far.
        best_epoch: Its epoch, from 1.

    >>> EarlyStopping("val_loss", patience=3).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str = "auto",
    ) -> None:
        self.monitor = monitor
        self.patience = whole_number(patience, "EarlyStopping patience", least=1)
        self.restore_best = restore_best
        self._monitor = _Monitor("EarlyStopping", monitor, mode, min_delta)
        self.reset()

    def reset(self) -> None:
        """Reset the best value, its epoch and its weights."""
        self._monitor.best, self.best_epoch, self._waited = None, 0, 0
        self._weights: dict[str, Array] = {}

    @property
    def best(self) -> float | None:
        """The best value so far; None before the first epoch."""
        return self._monitor.best

    def on_epoch_end(
        self, session: Session, epoch: int, logs: dict[str, float]
    ) -> None:
        """Compare the epoch's value with the best one; stop if patience is exhausted."""
        if self._monitor.improved(logs):
            self.best_epoch, self._waited = epoch, 0
            self._weights = session.weights() if self.restore_best else {}
            session.history.best_epoch = epoch
            return
        self._waited += 1
        if self._waited >= self.patience:
            session.stop = True
            best = (
                f"best {self.best:.6g} in epoch {self.best_epoch}"
                if self.best is not None
                else "always NaN"
            )
            waited = counted(self._waited, "epoch")
            session.history.stop_reason = (
                f"{self.monitor} has not improved for {waited} ({best})"
            )

    def on_train_end(self, session: Session) -> None:
        """Restore the best weights."""
        if self._weights:
            session.set_weights(self._weights)

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return {
            **self._monitor.settings(),
            "patience": self.patience,
            "restore_best": self.restore_best,
        }

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the best value, its epoch and its weights."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self._waited,
        }, self._weights

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Restore the state that ``state`` returned."""
        best = data["best"]
        self._monitor.best = None if best is None else float(best)
        self._weights = dict(arrays)
        self.best_epoch, self._waited = int(data["best_epoch"]), int(data["waited"])


@final
class ReduceOnPlateau(Callback):
    """Reduce the learning rate when a monitored value has stopped improving.

    After ``patience`` epochs without improvement, every learning rate is multiplied by ``factor``.

    Args:
        monitor: Name of the value to monitor.
        factor: Factor of a reduction, in (0, 1).
        patience: Number of epochs without improvement before a reduction.
        min_factor: Lower bound of the product of all reductions.
        min_delta: Smallest change that counts as an improvement.
        mode: "min", "max" or "auto", as for ``EarlyStopping``.

    >>> plateau = ReduceOnPlateau("loss", factor=0.5, patience=1)
    >>> plateau.factor, plateau.adjusts_rate
    (0.5, True)
    """

    adjusts_rate = True

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.5,
        patience: int = 3,
        min_factor: float = 1e-4,
        min_delta: float = 0.0,
        mode: str = "auto",
    ) -> None:
        if not 0 < real_number(factor, "ReduceOnPlateau factor") < 1:
            raise ArgumentError(
                "ReduceOnPlateau factor",
                expected="a number in (0, 1)",
                got=repr(factor),
            )
        if not 0 <= real_number(min_factor, "ReduceOnPlateau min_factor") <= 1:
            raise ArgumentError(
                "ReduceOnPlateau min_factor",
                expected="a number in [0, 1]",
                got=repr(min_factor),
            )
        self.factor, self.min_factor = factor, min_factor
        self.patience = whole_number(patience, "ReduceOnPlateau patience", least=1)
        self._monitor = _Monitor("ReduceOnPlateau", monitor, mode, min_delta)
        self.reset()

    def reset(self) -> None:
        """Reset the best value and the epochs since."""
        self._monitor.best, self._waited = None, 0

    def on_epoch_end(
        self, session: Session, epoch: int, logs: dict[str, float]
    ) -> None:
        """Compare the epoch's value with the best one; reduce the rate if patience is exhausted."""
        del epoch
        self._waited = 0 if self._monitor.improved(logs) else self._waited + 1
        if self._waited >= self.patience:
            session.learning_rate_factor = max(
                self.min_factor, session.learning_rate_factor * self.factor
            )
            self._waited = 0

    def settings(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        rule = {
            "patience": self.patience,
            "factor": self.factor,
            "min_factor": self.min_factor,
        }
        return {**self._monitor.settings(), **rule}

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the best value and the number of epochs since."""
        return {"best": self._monitor.best, "waited": self._waited}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Restore the state that ``state`` returned."""
        del arrays
        best = data["best"]
        self._monitor.best = None if best is None else float(best)
        self._waited = int(data["waited"])


@final
class JSONLinesLogger(Callback):
    """Append one JSON object per epoch to a file: epoch, step, loss and metrics; NaN and infinity become null.

    A resumed run continues the same file: lines of epochs after the checkpoint, which are run again, are removed.
    Other runs append their lines to those of earlier runs.

    >>> JSONLinesLogger("log.jsonl").path.name
    'log.jsonl'
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.reset()

    def reset(self) -> None:
        """Reset the line count."""
        self._lines: int | None = None  # in the file; None before the run begins
        self._resumed = False

    def on_train_begin(self, session: Session) -> None:
        """Remove the lines of epochs that will be run again; keep those of earlier runs."""
        lines = (
            self.path.read_text(encoding="utf-8").splitlines()
            if self.path.is_file()
            else []
        )
        if self._resumed and lines:
            least = self._lines or 0
            while len(lines) > least and _epoch_of(lines[-1]) > len(
                session.history.epochs
            ):
                lines.pop()
            write_atomically(self.path, "".join(f"{line}\n" for line in lines).encode())
        self._lines = len(lines)

    def on_epoch_end(
        self, session: Session, epoch: int, logs: dict[str, float]
    ) -> None:
        """Write the line of an epoch."""
        plain = {
            name: value if math.isfinite(value) else None
            for name, value in logs.items()
        }
        line = json.dumps(
            {"epoch": epoch, "step": session.step, **plain}, allow_nan=False
        )
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise ArgumentError(
                "JSONLinesLogger path", expected="a file to write to", got=str(error)
            ) from error
        self._lines = (self._lines or 0) + 1

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the number of lines in the file."""
        return {"lines": self._lines}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Restore the state that ``state`` returned."""
        del arrays
        self._lines, self._resumed = data.get("lines"), True


def _epoch_of(line: str) -> int:
    """Return the epoch of a line; 0 for a line in another format."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return 0


@final
class TerminateOnNaN(Callback):
    """End a run whose loss becomes NaN or infinite without raising; the model keeps the last finite weights.

    >>> from deltarule import nn
    >>> model = nn.Sequential(nn.Linear(1, 1, seed=0))
    >>> given = {"loss": "mean_squared_error", "optimizer": "sgd", "callbacks": [TerminateOnNaN()], "verbose": 0}
    >>> history = model.fit([[1e20]], [[1.0]], epochs=5, **given)
    >>> history.stopped_early
    True
    """

    def on_divergence(self, session: Any, error: DivergenceError) -> bool:
        """Return True: the run ends without an error."""
        del session, error
        return True


@final
class LearningRateFactor(Callback):
    """Multiply every learning rate by a function of the epoch (from 1).

    Prefer a schedule of the optimiser, which is compiled into the training step; this callback is for factors that
    are only known at run time.

    >>> LearningRateFactor(lambda epoch: 0.5**epoch).adjusts_rate
    True
    """

    adjusts_rate = True

    def __init__(self, factor: Callable[[int], float]) -> None:
        if not callable(factor):
            hint = "Write LearningRateFactor(lambda epoch: 0.5)."
            raise ArgumentError(
                "LearningRateFactor",
                expected="a function of the epoch",
                got=repr(factor),
                hint=hint,
            )
        self._factor = factor

    def on_train_begin(self, session: Any) -> None:
        """Set the factor of the first epoch."""
        session.learning_rate_factor = float(
            self._factor(len(session.history.epochs) + 1)
        )

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Set the factor of the next epoch."""
        del logs
        session.learning_rate_factor = float(self._factor(epoch + 1))
