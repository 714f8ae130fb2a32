"""What a person sees while training: one line an epoch that stays, one live line with a bar and the time left.

In a pipe or a log there are no control characters; with ``verbose=0`` there is nothing.
"""

from __future__ import annotations

import sys
from typing import Protocol, final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from deltarule.render.numbers import rate, seconds


class Progress(Protocol):
    """What the training loop tells."""

    def begin(self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int) -> None:
        """A run begins."""
        ...

    def compiled(self, duration: float) -> None:
        """The step is compiled."""
        ...

    def step(self, epoch: int, steps_done: int, seconds_left: float, samples_per_second: float) -> None:
        """Some steps of an epoch are done."""
        ...

    def epoch(self, epoch: int, logs: dict[str, float], samples_per_second: float) -> None:
        """An epoch is done."""
        ...

    def end(self, note: str = "") -> None:
        """The run is over."""
        ...


@final
class Silent:
    """Say nothing."""

    def begin(self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int) -> None:
        """Say nothing."""

    def compiled(self, duration: float) -> None:
        """Say nothing."""

    def step(self, epoch: int, steps_done: int, seconds_left: float, samples_per_second: float) -> None:
        """Say nothing."""

    def epoch(self, epoch: int, logs: dict[str, float], samples_per_second: float) -> None:
        """Say nothing."""

    def end(self, note: str = "") -> None:
        """Say nothing."""


def epoch_line(epoch: int, epochs: int, logs: dict[str, float], samples_per_second: float) -> str:
    """Return the line of an epoch.

    >>> epoch_line(3, 20, {"loss": 0.25, "accuracy": 0.9, "learning_rate": 0.001, "seconds": 1.0}, 12345.0)
    'epoch  3/20  loss 0.2500  accuracy 0.9000  rate 0.001  12,300 samples/s'
    """
    width = len(str(epochs))
    values = [f"{name} {value:.4f}" for name, value in logs.items() if name not in {"learning_rate", "seconds"}]
    learning_rate = f"rate {logs['learning_rate']:.3g}" if "learning_rate" in logs else ""
    speed = rate(samples_per_second, "samples")
    return "  ".join([f"epoch {epoch:>{width}}/{epochs}", *values, *([learning_rate] if learning_rate else []), speed])


@final
class Terminal:
    """Lines on a terminal (live) or in a pipe (plain)."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._live: Live | None = None
        self._epochs = self._steps = 0
        self._title = ""

    def begin(self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int) -> None:
        """Remember what runs."""
        self._epochs, self._steps = epochs, steps_per_epoch
        self._title = f"engine {engine}" + (f", {threads} thread{'s' * (threads != 1)}" if threads else "")

    def compiled(self, duration: float) -> None:
        """Say what runs and what compiling took."""
        self._console.print(f"{self._title}, step prepared in {seconds(duration)}", markup=False, soft_wrap=True)
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()

    def step(self, epoch: int, steps_done: int, seconds_left: float, samples_per_second: float) -> None:
        """Redraw the live line."""
        if self._live is not None:
            filled = round(24 * steps_done / max(1, self._steps))
            bar = "━" * filled + "─" * (24 - filled)
            speed = rate(samples_per_second, "samples")
            self._live.update(
                Text(f"epoch {epoch}/{self._epochs}  {bar}  {steps_done}/{self._steps} steps  {speed}  "
                     f"{seconds(seconds_left)} left")
            )  # fmt: skip

    def epoch(self, epoch: int, logs: dict[str, float], samples_per_second: float) -> None:
        """Print the line of an epoch."""
        self._console.print(epoch_line(epoch, self._epochs, logs, samples_per_second), markup=False, soft_wrap=True)

    def end(self, note: str = "") -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if note:
            self._console.print(note, markup=False, soft_wrap=True)
