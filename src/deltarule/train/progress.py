"""What a person sees while training: one line an epoch that stays, one live line with a bar and the time left.

In a pipe or a log there are no control characters and no live line; with ``verbose=0`` there is nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol, final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from deltarule.render.ascii import fitted
from deltarule.render.numbers import number, rate, seconds
from deltarule.visible import visible

_BAR = 24
_APART = {"learning_rate", "seconds", "samples_per_second"}


class Progress(Protocol):
    """What the training loop tells."""

    def begin(self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int) -> None:
        """A run begins."""
        ...

    def compiled(self, duration: float) -> None:
        """The step is compiled."""
        ...

    def step(
        self, epoch: int, steps_done: int, seconds_left: float | None, samples_per_second: float, loss: float | None
    ) -> None:
        """Some steps of an epoch are done; ``loss`` is that of a step shortly before."""
        ...

    def epoch(self, epoch: int, logs: Mapping[str, float], samples_per_second: float) -> None:
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

    def step(
        self, epoch: int, steps_done: int, seconds_left: float | None, samples_per_second: float, loss: float | None
    ) -> None:
        """Say nothing."""

    def epoch(self, epoch: int, logs: Mapping[str, float], samples_per_second: float) -> None:
        """Say nothing."""

    def end(self, note: str = "") -> None:
        """Say nothing."""


def epoch_line(epoch: int, epochs: int, logs: Mapping[str, float], samples_per_second: float) -> str:
    """Return the line of an epoch.

    >>> epoch_line(3, 20, {"loss": 0.25, "accuracy": 0.9, "learning_rate": 0.001, "seconds": 1.0}, 12345.0)
    'epoch  3/20  loss 0.2500  accuracy 0.9000  rate 0.001  12,300 samples/s'
    """
    width = len(str(epochs))
    values = [f"{name} {_fixed(value)}" for name, value in logs.items() if name not in _APART]
    learning_rate = [f"rate {logs['learning_rate']:.3g}"] if "learning_rate" in logs else []
    speed = rate(samples_per_second, "samples")
    return "  ".join([f"epoch {epoch:>{width}}/{epochs}", *values, *learning_rate, speed])


def _fixed(value: float) -> str:
    """Return four decimals, or four significant digits where these would say too little or too much.

    >>> _fixed(0.25), _fixed(1.5e-7), _fixed(31234.5)
    ('0.2500', '1.5·10⁻⁷', '31234')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else number(value)


def bar(done: int, total: int) -> str:
    """Return how much is done as a bar.

    >>> bar(1, 3)
    '━━━━━━━━────────────────'
    """
    filled = round(_BAR * done / max(1, total))
    return "━" * filled + "─" * (_BAR - filled)


def live_line(
    epoch: int, epochs: int, done: int, steps: int, left: float | None, samples_per_second: float, loss: float | None
) -> str:
    """Return the live line.

    >>> live_line(2, 9, 5, 10, 75.0, 1000.0, 0.5)
    'epoch 2/9  ━━━━━━━━━━━━────────────  5/10 steps  loss 0.5000  1,000 samples/s  1 min 15 s left'
    """
    parts = [f"epoch {epoch:>{len(str(epochs))}}/{epochs}", bar(done, steps), f"{done}/{steps} steps"]
    if loss is not None:
        parts.append(f"loss {_fixed(loss)}")
    if samples_per_second:
        parts.append(rate(samples_per_second, "samples"))
    if left is not None:
        parts.append(f"{seconds(left)} left")
    return "  ".join(parts)


def printable(text: str, console: Console) -> str:
    """Return a text as a console can print it: hidden characters visible, others spelled that its encoding lacks."""
    return fitted(visible(text), console.encoding)


@final
class Terminal:
    """Lines on a terminal (with a live one below), or plain lines in a pipe."""

    def __init__(self, console: Console | None = None, live: bool = True) -> None:
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._wants_live = live and self._console.is_terminal
        self._live: Live | None = None
        self._epochs = self._steps = 0
        self._title = ""

    def _print(self, text: str) -> None:
        self._console.print(printable(text, self._console), markup=False, highlight=False, soft_wrap=True)

    def begin(self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int) -> None:
        """Remember what runs."""
        self._epochs, self._steps = epochs, steps_per_epoch
        self._title = f"engine {engine}" + (f", {threads} thread{'s' * (threads != 1)}" if threads else "")

    def compiled(self, duration: float) -> None:
        """Say what runs and what compiling took."""
        self._print(f"{self._title}, compiled in {seconds(duration)}")
        if self._wants_live:
            self._live = Live(console=self._console, transient=True, refresh_per_second=8)
            self._live.start()

    def step(
        self, epoch: int, steps_done: int, seconds_left: float | None, samples_per_second: float, loss: float | None
    ) -> None:
        """Redraw the live line."""
        if self._live is not None:
            line = live_line(epoch, self._epochs, steps_done, self._steps, seconds_left, samples_per_second, loss)
            self._live.update(Text(printable(line, self._console), no_wrap=True, overflow="ellipsis"))

    def epoch(self, epoch: int, logs: Mapping[str, float], samples_per_second: float) -> None:
        """Print the line of an epoch."""
        self._print(epoch_line(epoch, self._epochs, logs, samples_per_second))

    def end(self, note: str = "") -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if note:
            self._print(note)


def for_verbosity(verbose: int) -> Progress:
    """Return the teller for fit's ``verbose``: 0 silent, 1 with a live line on a terminal, 2 lines only."""
    return Terminal(live=verbose == 1) if verbose else Silent()
