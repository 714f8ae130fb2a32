"""Progress display of ``fit_many``: one line per program, a live line, and a summary.

In pipes and logs there is no live line and there are no control characters.
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
from deltarule.train.monitoring.progress import live_text, printable


@final
@dataclass(frozen=True)
class JointProgress:
    """The progress of a run: finished and all models, epochs done and left, samples, seconds.

    >>> JointProgress(1, 2, 5, 5, 1000, 2.0).speed
    '500 samples/s'
    """

    finished: int
    models: int
    epochs: int
    epochs_left: int
    samples: int
    duration: float

    @staticmethod
    def of(runs: Sequence[ModelRun], duration: float) -> JointProgress:
        """Return the progress of several runs."""
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
        """Samples per second of all models together."""
        return rate(self.samples / max(self.duration, 1e-9), "samples")

    def live_line(self, columns: int | None = None) -> str:
        """Return the live line, shortened to ``columns``.

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
        return live_text(first, self.epochs, total, more, columns)

    def last_line(self, early: int, diverged: int, interrupted: bool) -> str:
        """Return the summary line.

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
    """The progress of ``fit_many``; without output, unless a subclass overrides the methods.

    >>> ManyModelsProgress().end(interrupted=False)
    """

    def compiled(self, engine: str, models: int, duration: float) -> None:
        """Called when a program is compiled."""

    def update(self) -> None:
        """Called periodically."""

    def end(self, interrupted: bool) -> None:
        """Called when the run is over."""


@final
class TerminalProgress(ManyModelsProgress):
    """Progress as lines of text, on a terminal with a live line below."""

    def __init__(
        self, runs: Sequence[ModelRun], console: Console | None = None
    ) -> None:
        self._runs = runs
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._live: Live | None = None
        self._duration = 0.0  # of training, without compiling
        self._seen = time.perf_counter()

    def compiled(self, engine: str, models: int, duration: float) -> None:
        """Print the engine and the duration of compilation."""
        self._print(
            f"engine {engine}, {counted(models, 'model')} side by side, compiled in {seconds(duration)}"
        )
        self._seen = time.perf_counter()
        if self._live is None and self._console.is_terminal:
            self._live = Live(
                console=self._console, transient=True, refresh_per_second=8
            )
            self._live.start()

    def update(self) -> None:
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
        """Remove the live line, and print the summary."""
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
