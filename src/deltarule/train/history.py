"""History: what happened in a training run, as plain data, plots and a one-file report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class History:
    """Values per epoch and per step, and how the run went.

    ``epochs`` holds one dictionary an epoch (loss, metrics, ``val_`` values, learning_rate, seconds);
    ``step_losses`` the training loss of every step.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    steps: int = 0
    interrupted: bool = False
    stopped_early: bool = False
    best_epoch: int | None = None
    engine: str = ""
    threads: int | None = None
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    samples: int = 0

    @property
    def samples_per_second(self) -> float:
        """Training throughput, compilation and validation excluded."""
        return self.samples / self.train_seconds if self.train_seconds > 0 else 0.0

    def series(self, name: str) -> list[float]:
        """Return one value for every epoch that has it.

        >>> History(epochs=[{"loss": 2.0}, {"loss": 1.0}]).series("loss")
        [2.0, 1.0]
        """
        return [epoch[name] for epoch in self.epochs if name in epoch]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; ``from_dict`` makes it again."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> History:
        """Return the history of a ``to_dict``."""
        return History(**data)
