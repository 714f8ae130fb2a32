"""History: what happened in a training run, as plain data, a plot and a one-file report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from deltarule.errors import ArgumentError
from deltarule.render.numbers import counted
from deltarule.train.checkpoint import write_atomically
from deltarule.train.monitoring.curves import curves, draw_on, history_page

_CLOCK = ("learning_rate", "seconds", "samples_per_second")


@dataclass
class History:
    """Values per epoch and per step, and how the run went.

    ``epochs`` holds one dictionary an epoch: loss (the data loss), penalty where there is one, metrics, ``val_``
    values, learning_rate, seconds, samples_per_second. ``step_losses`` is the training loss of every step.
    ``diverged`` says that one of many models ended because its loss was no longer finite (``fit`` raises instead).
    ``best_epoch`` (from 1) is that of the weights that the model was left with, where a callback chose.
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
        """Return the run in a line; ``to_dict`` gives all of it.

        >>> History(epochs=[{"loss": 2.0, "seconds": 1.0}], steps=7, best_epoch=1)
        History(1 epoch, 7 steps: loss 2; best epoch 1)
        """
        last = self.epochs[-1] if self.epochs else {}
        values = ", ".join(
            f"{name} {value:.4g}" for name, value in last.items() if name not in _CLOCK
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
        """Training throughput, compilation and validation excluded."""
        return self.samples / self.train_seconds if self.train_seconds > 0 else 0.0

    @property
    def names(self) -> list[str]:
        """Names of the values that some epoch has."""
        return list(dict.fromkeys(name for epoch in self.epochs for name in epoch))

    def series(self, name: str) -> list[float]:
        """Return one value for every epoch that has it.

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
        """Return learning curves that a notebook shows (``.save(path)`` writes them, ``.svgs`` holds them).

        With matplotlib ``axes`` draw the curve of ``name`` there instead, and return the axes.
        """
        if axes is None:
            return curves(self.epochs, self.step_losses, self.best_epoch)
        self.series(name)
        return draw_on(axes, self.epochs, name, self.best_epoch)

    def report(self, path: str | Path, title: str = "Training run") -> Path:
        """Write curves, the epochs' values and times as one HTML file that needs no network; return its path."""
        write_atomically(path, history_page(self.to_dict(), title).encode())
        return Path(path)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; ``from_dict`` makes it again."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> History:
        """Return the history of a ``to_dict``.

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
            if not _FITS[name](value):
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
    """Tell whether something is the values of an epoch."""
    return isinstance(value, dict) and all(
        isinstance(key, str) and _number(item) for key, item in value.items()
    )


_FITS: dict[str, Callable[[Any], bool]] = {
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
