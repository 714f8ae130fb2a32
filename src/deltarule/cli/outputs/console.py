"""What a command says: text for people, or one JSON object for programs and nothing else."""

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

_MIN_COLUMNS, _MAX_COLUMNS = 40, 100  # columns of running text


def columns() -> int:
    """Return how many columns texts may take: those of the terminal, 100 at most; 80 where there is none."""
    return min(
        max(shutil.get_terminal_size((80, 24)).columns, _MIN_COLUMNS), _MAX_COLUMNS
    )


def width() -> int | None:
    """Return how many columns tables may take: those of the terminal; None where there is none."""
    return (
        shutil.get_terminal_size().columns
        if sys.stdout.isatty() or "COLUMNS" in os.environ
        else None
    )


@dataclass(frozen=True)
class Console:
    """Standard output of one command; with ``json`` only ``finish`` writes to it."""

    json: bool = False

    @property
    def verbose(self) -> int:
        """How much ``fit`` may print: 1, or 0 when a program reads the output."""
        return 0 if self.json else 1

    def say(self, text: str = "", *, whole: bool = False) -> None:
        """Print text for people; on a terminal long lines break between words, unless they are to be copied whole."""
        if not self.json:
            room = None if whole else width()
            echo(
                text
                if room is None
                else "\n".join(
                    part for line in text.split("\n") for part in wrap(line, room)
                )
            )

    def rows(
        self, title: str, rows: Sequence[tuple[str, str]], width: int | None = None
    ) -> None:
        """Print a title and aligned pairs; long values go on below themselves, in the terminal's width by default."""
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
        """Write the command's answer as one JSON object, if that was asked for."""
        if self.json:
            echo_json(record)
