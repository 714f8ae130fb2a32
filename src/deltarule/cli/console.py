"""What a command says: text for people, or one JSON object for programs and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from deltarule.cli.output import echo, echo_json
from deltarule.visible import shown


@dataclass(frozen=True)
class Console:
    """Standard output of one command; with ``json`` only ``finish`` writes to it."""

    json: bool = False

    @property
    def verbose(self) -> int:
        """How much ``fit`` may print: 1, or 0 when a program reads the output."""
        return 0 if self.json else 1

    def say(self, text: str = "") -> None:
        """Print text for people."""
        if not self.json:
            echo(text)

    def rows(self, title: str, rows: Sequence[tuple[str, str]], width: int = 100) -> None:
        """Print a title and aligned pairs; long values go on below themselves."""
        self.say(shown(title))
        indent = max(len(label) for label, _ in rows) + 4
        for label, text in rows:
            start = f"  {label}".ljust(indent)
            lines = click.wrap_text(shown(text), width, initial_indent=start, subsequent_indent=" " * indent)
            self.say(lines)
        self.say()

    def finish(self, record: Mapping[str, Any]) -> None:
        """Write the command's answer as one JSON object, if that was asked for."""
        if self.json:
            echo_json(record)
