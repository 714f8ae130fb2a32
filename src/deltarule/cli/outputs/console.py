"""The output of a command: text, or one JSON object."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltarule.cli.outputs.output import echo, echo_json
from deltarule.render.table import wrap
from deltarule.visible import shown

_MIN_COLUMNS, _MAX_COLUMNS = 40, 100  # columns of text


def columns() -> int:
    """Return the width of text: that of the terminal, at most 100 columns; 80 without a terminal."""
    return min(
        max(shutil.get_terminal_size((80, 24)).columns, _MIN_COLUMNS), _MAX_COLUMNS
    )


def width() -> int | None:
    """Return the width of tables: that of the terminal; None without a terminal."""
    return (
        shutil.get_terminal_size().columns
        if sys.stdout.isatty() or "COLUMNS" in os.environ
        else None
    )


def fitted(text: str, room: int | None) -> str:
    """Return a text with lines that are longer than ``room`` wrapped.

    >>> fitted("one two three", 9).split(chr(10))
    ['one two', '    three']
    """
    if room is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in wrap(line, room))


def echo_error(text: str) -> None:
    """Print a message to standard error, on a terminal with long lines wrapped."""
    room = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    echo(fitted(text, room), err=True)


@dataclass(frozen=True)
class Console:
    """The standard output of a command; with ``json=True`` only ``finish`` writes to it.

    >>> console = Console(json=True)
    >>> console.say("not printed")
    >>> console.finish({"accuracy": 1.0})
    {"accuracy": 1.0}
    """

    json: bool = False

    @property
    def verbose(self) -> int:
        """The ``verbose`` argument of ``fit``: 0 for JSON output, else 1."""
        return 0 if self.json else 1

    def say(self, text: str = "", *, whole: bool = False) -> None:
        """Print text, on a terminal with long lines wrapped unless ``whole`` is true; nothing for JSON output."""
        if not self.json:
            echo(text if whole else fitted(text, width()))

    def rows(
        self, title: str, rows: Sequence[tuple[str, str]], width: int | None = None
    ) -> None:
        """Print a title and aligned labels and values, with long values wrapped to ``width``."""
        self.say(shown(title))
        indent = max(len(label) for label, _ in rows) + 4
        for label, text in rows:
            start = f"  {label}".ljust(indent)
            for number, part in enumerate(
                wrap(shown(text), (width or columns()) - indent, "")
            ):
                self.say((start if number == 0 else " " * indent) + part)
        self.say()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Print the result as one JSON object if JSON output was requested."""
        if self.json:
            echo_json(record)
