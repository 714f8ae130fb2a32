"""History: the losses and metrics of a training run, as data, as curves and as an HTML report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.render.numbers import counted
from deltarule.train.checkpoint import write_atomically
from deltarule.train.monitoring.curves import curves, draw_on, history_page

__all__ = ["History"]

_TIMING = ("learning_rate", "seconds", "samples_per_second")


@dataclass
class History:
    """The record of a training run: values per epoch and per step, and how the run ended.

    Attributes:
        epochs: One dictionary per epoch: loss (without penalties), penalty if there is one, metrics, ``val_`` values,
            learning_rate, seconds, samples_per_second.
        step_losses: The training loss of every step.
        steps: Number of steps.
        interrupted: Whether Ctrl-C ended the run.
        stopped_early: Whether a callback ended the run.
        stop_reason: Why a callback ended the run.
        diverged: Whether the loss or a weight of this model became NaN or infinite (``fit_many``; ``fit`` raises).
        best_epoch: The epoch (from 1) whose weights a callback restored; None if none did.
        engine: Name of the engine.
        threads: Number of threads asked for; None if the engine chose.
        compile_seconds: Duration of compilation.
        train_seconds: Duration of training steps.
        samples: Number of examples processed.

    >>> history = History(epochs=[{"loss": 2.0}, {"loss": 1.0}], steps=8)
    >>> history["loss"]
    [2.0, 1.0]
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    steps: int = 0
    interrupted: bool = False
    stopped_early: bool = False
    stop_reason: str = ""
    diverged: bool = False
    best_epoch: int | None = None
    engine: str = ""
    threads: int | None = None
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    samples: int = 0

    def __repr__(self) -> str:
        """Return a one-line summary of the run.

        >>> History(epochs=[{"loss": 2.0, "seconds": 1.0}], steps=7, best_epoch=1)
        History(1 epoch, 7 steps: loss 2; best epoch 1)
        """
        last = self.epochs[-1] if self.epochs else {}
        values = ", ".join(
            f"{name} {value:.4g}" for name, value in last.items() if name not in _TIMING
        )
        summary = f"{counted(len(self.epochs), 'epoch')}, {counted(self.steps, 'step')}"
        summary += f": {values}" if values else ""
        notes = [f"best epoch {self.best_epoch}"] if self.best_epoch is not None else []
        notes += [
            name
            for name in ("interrupted", "stopped_early", "diverged")
            if getattr(self, name)
        ]
        return f"History({'; '.join([summary, *notes])})".replace(
            "stopped_early", "stopped early"
        )

    @property
    def samples_per_second(self) -> float:
        """Training throughput, without compilation and validation."""
        return self.samples / self.train_seconds if self.train_seconds > 0 else 0.0

    @property
    def names(self) -> list[str]:
        """Names of the values in ``epochs``."""
        return list(dict.fromkeys(name for epoch in self.epochs for name in epoch))

    def series(self, name: str) -> list[float]:
        """Return the values of one quantity, one per epoch.

        >>> History(epochs=[{"loss": 2.0}, {"loss": 1.0}]).series("loss")
        [2.0, 1.0]
        """
        if self.epochs and name not in self.names:
            raise ArgumentError(
                "history", expected=f"one of {', '.join(self.names)}", got=repr(name)
            )
        return [epoch[name] for epoch in self.epochs if name in epoch]

    def __getitem__(self, name: str) -> list[float]:
        return self.series(name)

    def plot(self, axes: Any = None, name: str = "loss") -> Any:
        """Plot the learning curves.

        Args:
            axes: Matplotlib axes to draw on; None returns figures that a notebook displays (``.save(path)`` writes
                them, ``.svgs`` holds them).
            name: The quantity to draw on ``axes``.

        >>> sorted(History(epochs=[{"loss": 2.0}, {"loss": 1.0}]).plot().svgs)
        ['loss']
        """
        if axes is None:
            return curves(self.epochs, self.step_losses, self.best_epoch)
        self.series(name)
        return draw_on(axes, self.epochs, name, self.best_epoch)

    def report(self, path: str | Path, title: str = "Training run") -> Path:
        """Write an HTML report with curves, values and times to one self-contained file; return its path.

        >>> import tempfile
        >>> from deltarule import nn
        >>> model = nn.Linear(1, 1)
        >>> _ = model.fit([[0.0], [1.0]], [[1.0], [3.0]], loss="mean_squared_error", device="reference", verbose=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.last_history.report(f"{folder}/run.html").name
        'run.html'
        """
        write_atomically(path, history_page(self.to_dict(), title).encode())
        return Path(path)

    def to_dict(self) -> dict[str, Any]:
        """Return the history as plain data; ``from_dict`` is the inverse.

        >>> history = History()
        >>> History.from_dict(history.to_dict()) == history
        True
        """
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> History:
        """Return the history from the result of ``to_dict``.

        >>> History.from_dict(History(steps=3).to_dict()).steps
        3
        """
        unknown = set(data) - {f.name for f in fields(History)}
        if unknown:
            raise ArgumentError(
                "History.from_dict",
                expected="what to_dict returned",
                got=", ".join(sorted(unknown)),
            )
        for name, value in data.items():
            if not _IS_VALID[name](value):
                raise ArgumentError(
                    f"History.from_dict {name}",
                    expected="what to_dict returned",
                    got=repr(value),
                )
        return History(**data)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _values(value: Any) -> bool:
    """Return whether a value is a dictionary of numbers by name."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and _number(item) for key, item in value.items()
    )


_IS_VALID: dict[str, Callable[[Any], bool]] = {
    "epochs": lambda value: isinstance(value, list) and all(map(_values, value)),
    "step_losses": lambda value: isinstance(value, list) and all(map(_number, value)),
    "steps": _count,
    "interrupted": lambda value: isinstance(value, bool),
    "stopped_early": lambda value: isinstance(value, bool),
    "stop_reason": lambda value: isinstance(value, str),
    "diverged": lambda value: isinstance(value, bool),
    "best_epoch": lambda value: value is None or _count(value),
    "engine": lambda value: isinstance(value, str),
    "threads": lambda value: value is None or _count(value),
    "compile_seconds": _number,
    "train_seconds": _number,
    "samples": _count,
}


check_calls(__name__)
