"""Callbacks: what may happen between steps and after epochs. Their state is part of a checkpoint, so runs resume."""

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

_HIGHER_IS_BETTER = ("accuracy", "r2", "precision", "recall", "f1")


class Session(Protocol):
    """What a callback may see and do."""

    stop: bool
    learning_rate_factor: float
    history: History

    @property
    def step(self) -> int:
        """Steps done since the first epoch."""
        ...

    def weights(self) -> dict[str, Array]:
        """Return copies of parameters and running state by name."""
        ...

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Go on with other weights; after the last step, leave the model with them."""
        ...

    def update_model(self) -> None:
        """Give the model's tensors the current weights, to look at it with ``predict`` or ``evaluate``."""
        ...

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of what is learned, in the order of the optimiser's slots."""
        ...

    def slots(self) -> list[Array]:
        """Return copies of the optimiser's slots."""
        ...


class Callback(metaclass=NamedArguments):
    """Base of callbacks: override what you need; nothing happens by default.

    ``every``: ``on_steps`` runs after each multiple of so many steps. ``adjusts_rate``: the callback changes
    ``session.learning_rate_factor``, a factor on every learning rate. A KeyboardInterrupt raised in a hook ends
    the run as Ctrl-C does, once all callbacks have run. ``reset`` begins anew, ``state`` and ``load_state`` go on.

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
        """Forget what an earlier run left; called before every run, and before ``load_state`` of one that resumes.

        A callback with state of its own overrides it, so that one object serves for run after run (folds, a search)
        as a new one would. What a run found can be read until the next begins.
        """

    def on_train_begin(self, session: Any) -> None:
        """Run before the first step."""

    def on_steps(self, session: Any) -> None:
        """Run after each multiple of ``every`` steps."""

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Run after an epoch (counted from 1) with its values."""

    def on_consistent(self, session: Any, last: bool) -> None:
        """Run when all callbacks have seen an epoch's end, and once more when they have seen the end of the run."""

    def on_train_end(self, session: Any) -> None:
        """Run after the last step, also after an interrupt."""

    def weights_to_keep(
        self, session: Any, weights: dict[str, Array]
    ) -> dict[str, Array]:
        """Return what validation measures and ``fit`` leaves in place of the weights that training goes on with."""
        del session
        return weights

    def on_divergence(self, session: Any, error: DivergenceError) -> bool:
        """Return whether a loss that is not finite is to end the run in peace, not with an error."""
        del session, error
        return False

    def settings(self) -> dict[str, Any]:
        """Return the settings, as plain data, that must be those of the first run when a run is resumed."""
        return {}

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what must be kept to resume: plain data and arrays."""
        return {}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what ``state`` returned."""


def replaces_weights(callback: Callback) -> bool:
    """Whether a callback keeps other weights than training goes on with."""
    return type(callback).weights_to_keep is not Callback.weights_to_keep


def check_every(callback: Callback) -> None:
    """Raise ArgumentError unless ``every`` is None or a whole number of steps."""
    if callback.every is not None:
        whole_number(callback.every, f"{type(callback).__name__} every", least=1)


class _Monitor:
    """Whether a watched value is the best so far; lower is better, unless it is an accuracy, R² or the like."""

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
        """Return what is watched and how, as plain data."""
        return {
            "monitor": self._name,
            "min_delta": self._min_delta,
            "mode": "min" if self._sign > 0 else "max",
        }

    def improved(self, logs: Mapping[str, float]) -> bool:
        """Take note of an epoch's value; return whether it is the best by more than ``min_delta``."""
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
    """Stop when a value has not improved for ``patience`` epochs; leave the model with its best weights (REG-14).

    ``monitor`` is a key of the epoch's values. An improvement is one by more than ``min_delta``; values named
    accuracy, r2, precision, recall or f1 are to grow, others to shrink, unless ``mode`` is "min" or "max".
    ``restore_best`` takes effect at the end of every run, also of one that was not stopped early.

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
        self.monitor, self.patience = (
            monitor,
            whole_number(patience, "EarlyStopping patience", least=1),
        )
        self.restore_best = restore_best
        self._monitor = _Monitor("EarlyStopping", monitor, mode, min_delta)
        self.reset()

    def reset(self) -> None:
        """Forget the best value, its epoch and its weights."""
        self._monitor.best, self.best_epoch, self._waited = None, 0, 0
        self._weights: dict[str, Array] = {}

    @property
    def best(self) -> float | None:
        """The best value so far; after a run, that of this run."""
        return self._monitor.best

    def on_epoch_end(
        self, session: Session, epoch: int, logs: dict[str, float]
    ) -> None:
        """Compare with the best epoch so far."""
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
                else "never a number"
            )
            waited = counted(self._waited, "epoch")
            session.history.stop_reason = (
                f"{self.monitor} has not improved for {waited} ({best})"
            )

    def on_train_end(self, session: Session) -> None:
        """Leave the model with the best weights."""
        if self._weights:
            session.set_weights(self._weights)

    def settings(self) -> dict[str, Any]:
        """Return what is watched, patience, and whether the best weights are restored."""
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
        """Take back what ``state`` returned."""
        best = data["best"]
        self._monitor.best, self._weights = (
            None if best is None else float(best),
            dict(arrays),
        )
        self.best_epoch, self._waited = int(data["best_epoch"]), int(data["waited"])


@final
class ReduceOnPlateau(Callback):
    """Multiply every learning rate by ``factor`` when a value has not improved for ``patience`` epochs (OPT-30)."""

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
        """Forget the best value and how long it has stood."""
        self._monitor.best, self._waited = None, 0

    def on_epoch_end(
        self, session: Session, epoch: int, logs: dict[str, float]
    ) -> None:
        """Compare with the best value so far."""
        del epoch
        self._waited = 0 if self._monitor.improved(logs) else self._waited + 1
        if self._waited >= self.patience:
            session.learning_rate_factor = max(
                self.min_factor, session.learning_rate_factor * self.factor
            )
            self._waited = 0

    def settings(self) -> dict[str, Any]:
        """Return what is watched, patience, factor and the smallest factor."""
        rule = {
            "patience": self.patience,
            "factor": self.factor,
            "min_factor": self.min_factor,
        }
        return {**self._monitor.settings(), **rule}

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the best value and how long it has stood."""
        return {"best": self._monitor.best, "waited": self._waited}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what ``state`` returned."""
        del arrays
        best = data["best"]
        self._monitor.best, self._waited = (
            None if best is None else float(best),
            int(data["waited"]),
        )


@final
class JSONLinesLogger(Callback):
    """Append one JSON object an epoch to a file; a value that is not finite is written as null.

    Objects hold epoch, step, and the epoch's values. A run that resumes goes on in the same file: the lines at its
    end that tell of epochs after the checkpoint, which are run again, are taken away. Another run with the same file
    adds its lines to those of the runs before.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.reset()

    def reset(self) -> None:
        """Forget how many lines the file has."""
        self._lines: int | None = None  # in the file, known once a run has begun
        self._resumed = False

    def on_train_begin(self, session: Session) -> None:
        """Take away the lines of epochs that will be run again; lines of earlier runs stay."""
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
        """Write the epoch's values."""
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
        """Return how many lines the file has."""
        return {"lines": self._lines}, {}

    def load_state(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Take back what ``state`` returned."""
        del arrays
        self._lines, self._resumed = data.get("lines"), True


def _epoch_of(line: str) -> int:
    """Return the epoch of a line; 0 for a line that is not ours."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return 0


@final
class TerminateOnNaN(Callback):
    """Let a run whose loss became NaN or infinite end without an error; the model keeps the weights before it."""

    def on_divergence(self, session: Any, error: DivergenceError) -> bool:
        """Say that the run is to end in peace."""
        del session, error
        return True


@final
class LearningRateFactor(Callback):
    """Set the factor on every learning rate for each epoch by a function of its number (from 1).

    A schedule of the optimiser, which counts steps and is compiled into the step, is the usual way; this one is
    for what only the host can decide.
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
        """Set the factor of the epoch that begins."""
        session.learning_rate_factor = float(
            self._factor(len(session.history.epochs) + 1)
        )

    def on_epoch_end(self, session: Any, epoch: int, logs: dict[str, float]) -> None:
        """Set the factor of the epoch that follows."""
        del logs
        session.learning_rate_factor = float(self._factor(epoch + 1))
