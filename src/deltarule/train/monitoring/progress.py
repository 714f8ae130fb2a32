"""Progress display: one line per epoch and, on a terminal, a live line with a bar and the remaining time.

In pipes and logs there is no live line and there are no control characters.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Protocol, final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from deltarule.errors import ArgumentError
from deltarule.render.ascii import fitted
from deltarule.render.numbers import counted, named, number, rate, seconds
from deltarule.render.table import width
from deltarule.visible import visible

_BAR, _SHORTEST_BAR = 24, 6  # cells
_EXCLUDED = {"learning_rate", "seconds", "samples_per_second"}


class Progress(Protocol):
    """The interface of progress displays: what the training loop reports.

    >>> display: Progress = Silent()
    >>> display.begin("cpu", None, epochs=3, steps_per_epoch=10)
    """

    def begin(
        self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int
    ) -> None:
        """Called when a run begins."""
        ...

    def compiled(self, duration: float) -> None:
        """Called when the training step is compiled."""
        ...

    def step(
        self,
        epoch: int,
        steps_done: int,
        seconds_left: float | None,
        samples_per_second: float,
        loss: float | None,
    ) -> None:
        """Called several times per epoch; ``loss`` is that of a recent step."""
        ...

    def epoch(
        self, epoch: int, logs: Mapping[str, float], samples_per_second: float
    ) -> None:
        """Called after every epoch."""
        ...

    def end(self, note: str = "") -> None:
        """Called when the run is over."""
        ...


@final
class Silent:
    """No output.

    >>> Silent().end("done")
    """

    def begin(
        self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int
    ) -> None:
        """Do nothing."""

    def compiled(self, duration: float) -> None:
        """Do nothing."""

    def step(
        self,
        epoch: int,
        steps_done: int,
        seconds_left: float | None,
        samples_per_second: float,
        loss: float | None,
    ) -> None:
        """Do nothing."""

    def epoch(
        self, epoch: int, logs: Mapping[str, float], samples_per_second: float
    ) -> None:
        """Do nothing."""

    def end(self, note: str = "") -> None:
        """Do nothing."""


def epoch_line(
    epoch: int,
    epochs: int,
    logs: Mapping[str, float],
    samples_per_second: float,
    columns: int | None = None,
) -> str:
    """Return the line of an epoch, shortened to ``columns``.

    If the line is too long, validation values move beside their training values, then speed and learning rate are
    left out, then the line is broken between values.

    >>> logs = {"loss": 0.25, "val_loss": 0.5, "learning_rate": 0.001, "seconds": 1.0}
    >>> epoch_line(3, 20, logs, 12345.0)
    'epoch  3/20  loss 0.2500  val_loss 0.5000  rate 0.001  12,300 samples/s'
    >>> epoch_line(3, 20, logs, 12345.0, columns=50)
    'epoch  3/20  loss 0.2500 val 0.5000  rate 0.001'
    """
    head = f"epoch {epoch:>{len(str(epochs))}}/{epochs}"
    values = {
        name: _format_value(value)
        for name, value in logs.items()
        if name not in _EXCLUDED
    }
    learning_rate = (
        [f"rate {logs['learning_rate']:.3g}"] if "learning_rate" in logs else []
    )
    speed = [rate(samples_per_second, "samples")]
    full = [f"{name} {value}" for name, value in values.items()]
    paired = [
        f"{name} {value}"
        + (f" val {values[f'val_{name}']}" if f"val_{name}" in values else "")
        for name, value in values.items()
        if name.removeprefix("val_") == name or name.removeprefix("val_") not in values
    ]
    for parts in (
        [head, *full, *learning_rate, *speed],
        [head, *paired, *learning_rate, *speed],
        [head, *paired, *learning_rate],
        [head, *paired],
    ):
        line = "  ".join(parts)
        if columns is None or width(line) <= columns:
            return line
    return _wrapped([head, *paired], columns or 0)


def _wrapped(parts: Sequence[str], columns: int) -> str:
    """Return the parts joined to lines of at most ``columns``, indented after the first."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = f"{lines[-1]}  {part}"
        lines[-1:] = (
            [longer] if width(longer) <= columns else [lines[-1], f"    {part}"]
        )
    return "\n".join(lines)


def _format_value(value: float) -> str:
    """Return a number with four decimals, or with four significant digits if it is very small or large.

    >>> _format_value(0.25), _format_value(1.5e-7), _format_value(31234.5)
    ('0.2500', '1.5·10⁻⁷', '31234')
    """
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else number(value)


def bar(done: int, total: int, cells: int = _BAR) -> str:
    """Return a progress bar.

    >>> bar(1, 3)
    '━━━━━━━━────────────────'
    """
    filled = round(cells * done / max(1, total))
    return "━" * filled + "─" * (cells - filled)


def live_text(
    first: Sequence[str],
    done: int,
    total: int,
    more: Sequence[str],
    columns: int | None,
) -> str:
    """Return a live line that fits into ``columns``: the first parts, a bar, and as many further parts as fit.

    >>> live_text(["epoch 1/2"], 1, 2, ["1/2 steps"], columns=40)
    'epoch 1/2  ━━━━━━━━━─────────  1/2 steps'
    """
    for kept in range(len(more), -1, -1):
        rest = "  ".join([*first, *more[:kept]])
        room = _BAR if columns is None else min(_BAR, columns - width(rest) - 2)
        if room >= _SHORTEST_BAR:
            return "  ".join([*first, bar(done, total, room), *more[:kept]])
    return "  ".join(first)


def live_line(
    epoch: int,
    epochs: int,
    done: int,
    steps: int,
    left: float | None,
    samples_per_second: float,
    loss: float | None,
    columns: int | None = None,
) -> str:
    """Return the live line of an epoch, shortened to ``columns``.

    >>> live_line(2, 9, 5, 10, 75.0, 1000.0, 0.5)
    'epoch 2/9  1 min 15 s left  ━━━━━━━━━━━━────────────  5/10 steps  loss 0.5000  1,000 samples/s'
    >>> live_line(2, 9, 5, 10, 75.0, 1000.0, 0.5, columns=70)
    'epoch 2/9  1 min 15 s left  ━━━━━━━━─────────  5/10 steps  loss 0.5000'
    """
    first = [f"epoch {epoch:>{len(str(epochs))}}/{epochs}"] + (
        [] if left is None else [f"{seconds(left)} left"]
    )
    more = [f"{done}/{steps} {named(steps, 'step')}"] + (
        [] if loss is None else [f"loss {_format_value(loss)}"]
    )
    more += [rate(samples_per_second, "samples")] if samples_per_second else []
    return live_text(first, done, steps, more, columns)


def printable(text: str, console: Console) -> str:
    """Return a text with hidden characters made visible and unencodable ones transliterated.

    >>> import io
    >>> from rich.console import Console
    >>> printable("loss 0.5", Console(file=io.StringIO()))
    'loss 0.5'
    """
    return fitted(visible(text), console.encoding)


@final
class Terminal:
    """Progress as lines of text, on a terminal with a live line below.

    >>> import io
    >>> display = Terminal(Console(file=io.StringIO()))
    >>> display.begin("cpu", None, epochs=3, steps_per_epoch=10)
    """

    def __init__(self, console: Console | None = None, live: bool = True) -> None:
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._wants_live = live and self._console.is_terminal
        self._live: Live | None = None
        self._epochs = self._steps = 0
        self._title = ""

    def _print(self, text: str) -> None:
        self._console.print(
            printable(text, self._console),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def begin(
        self, engine: str, threads: int | None, epochs: int, steps_per_epoch: int
    ) -> None:
        """Store the engine, the epochs and the steps."""
        self._epochs, self._steps = epochs, steps_per_epoch
        self._title = f"engine {engine}" + (
            f", {counted(threads, 'thread')}" if threads else ""
        )

    def compiled(self, duration: float) -> None:
        """Print the engine and the duration of compilation."""
        self._print(f"{self._title}, compiled in {seconds(duration)}")
        if self._wants_live:
            self._live = Live(
                console=self._console, transient=True, refresh_per_second=8
            )
            self._live.start()

    def step(
        self,
        epoch: int,
        steps_done: int,
        seconds_left: float | None,
        samples_per_second: float,
        loss: float | None,
    ) -> None:
        """Redraw the live line."""
        if self._live is not None:
            line = live_line(
                epoch,
                self._epochs,
                steps_done,
                self._steps,
                seconds_left,
                samples_per_second,
                loss,
                self._console.width,
            )
            self._live.update(
                Text(printable(line, self._console), no_wrap=True, overflow="ellipsis")
            )

    def epoch(
        self, epoch: int, logs: Mapping[str, float], samples_per_second: float
    ) -> None:
        """Print the line of an epoch."""
        columns = self._console.width if self._console.is_terminal else None
        self._print(epoch_line(epoch, self._epochs, logs, samples_per_second, columns))

    def end(self, note: str = "") -> None:
        """Remove the live line; print the note."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if note:
            self._print(note)


def progress_for(verbose: int) -> Progress:
    """Return the display for ``verbose`` of ``fit``: 0 silent, 1 with a live line on a terminal, 2 lines only.

    >>> progress_for(0).__class__.__name__
    'Silent'
    """
    if isinstance(verbose, str) or verbose not in {0, 1, 2}:
        raise ArgumentError("fit verbose", expected="0, 1 or 2", got=repr(verbose))
    return Terminal(live=verbose == 1) if verbose else Silent()
