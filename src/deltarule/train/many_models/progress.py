"""What a person sees while many models are trained: a line a program that stays, one live line, a last line.

As in ``progress``: no control characters and no live line in a pipe or a log, nothing with ``verbose=0``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from deltarule.render.numbers import count, counted, named, rate, seconds
from deltarule.train.many_models.model_run import ModelRun
from deltarule.train.monitoring.progress import fitting, printable


@final
@dataclass(frozen=True)
class JointProgress:
    """How far a joint run is: models that have ended and all of them, epochs done and to come, samples and seconds."""

    finished: int
    models: int
    epochs: int
    epochs_left: int
    samples: int
    duration: float

    @staticmethod
    def of(runs: Sequence[ModelRun], duration: float) -> JointProgress:
        """Count."""
        working = [run for run in runs if run.is_running]
        return JointProgress(
            len(runs) - len(working),
            len(runs),
            sum(len(run.history.epochs) for run in runs),
            sum(run.epochs_left for run in working),
            sum(run.history.samples for run in runs),
            duration,
        )

    @property
    def speed(self) -> str:
        """Samples a second, of all models together."""
        return rate(self.samples / max(self.duration, 1e-9), "samples")

    def live_line(self, columns: int | None = None) -> str:
        """Return the live line, what is waited for first, in a terminal of so many columns.

        >>> JointProgress(3, 8, 60, 20, 60_000, 6.0).live_line()
        '3/8 models finished  2.0 s left  ━━━━━━━━━━━━━━━━━━──────  60/80 epochs  10,000 samples/s'
        """
        total = self.epochs + self.epochs_left
        left = (
            [f"{seconds(self.duration * self.epochs_left / self.epochs)} left"]
            if self.epochs
            else []
        )
        more = [
            f"{count(self.epochs)}/{count(total)} {named(total, 'epoch')}",
            *[self.speed] * bool(self.epochs),
        ]
        first = [
            f"{self.finished}/{self.models} {named(self.models, 'model')} finished",
            *left,
        ]
        return fitting(first, self.epochs, total, more, columns)

    def last_line(self, early: int, diverged: int, interrupted: bool) -> str:
        """Return the line that stays.

        >>> JointProgress(8, 8, 70, 0, 70_000, 7.0).last_line(early=3, diverged=1, interrupted=False)
        '8/8 models finished  70 epochs  10,000 samples/s  7.0 s  3 stopped early  1 diverged'
        """
        models = f"{self.finished}/{self.models} {named(self.models, 'model')} finished"
        epochs = counted(self.epochs, "epoch")
        parts = [models, epochs, self.speed, seconds(self.duration)]
        parts += [
            f"{number} {what}"
            for number, what in ((early, "stopped early"), (diverged, "diverged"))
            if number
        ]
        return "  ".join(
            [*parts, *["interrupted: the models keep what was learned"] * interrupted]
        )


class ManyModelsProgress:
    """What a joint run tells; nothing, unless a subclass prints."""

    def compiled(self, engine: str, models: int, duration: float) -> None:
        """A program for some of the models is compiled."""

    def look(self) -> None:
        """Some time has passed."""

    def end(self, interrupted: bool) -> None:
        """The run is over."""


@final
class TerminalProgress(ManyModelsProgress):
    """Lines on a terminal (with a live one below), or plain lines in a pipe."""

    def __init__(
        self, runs: Sequence[ModelRun], console: Console | None = None
    ) -> None:
        self._runs = runs
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._live: Live | None = None
        self._duration = 0.0  # of training, without compiling
        self._seen = time.perf_counter()

    def compiled(self, engine: str, models: int, duration: float) -> None:
        """Say what runs and what compiling took."""
        self._print(
            f"engine {engine}, {counted(models, 'model')} side by side, compiled in {seconds(duration)}"
        )
        self._seen = time.perf_counter()
        if self._live is None and self._console.is_terminal:
            self._live = Live(
                console=self._console, transient=True, refresh_per_second=8
            )
            self._live.start()

    def look(self) -> None:
        """Redraw the live line."""
        now = time.perf_counter()
        self._duration, self._seen = self._duration + now - self._seen, now
        if self._live is not None:
            line = JointProgress.of(self._runs, self._duration).live_line(
                self._console.width
            )
            self._live.update(
                Text(printable(line, self._console), no_wrap=True, overflow="ellipsis")
            )

    def end(self, interrupted: bool) -> None:
        """Take the live line away, and say what there was."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        histories = [run.history for run in self._runs]
        diverged = sum(history.diverged for history in histories)
        early = sum(history.stopped_early for history in histories) - diverged
        standing = JointProgress.of(self._runs, self._duration)
        if standing.samples:
            self._print(standing.last_line(early, diverged, interrupted))

    def _print(self, text: str) -> None:
        self._console.print(
            printable(text, self._console),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
