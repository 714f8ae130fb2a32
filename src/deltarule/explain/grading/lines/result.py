"""The grade of a derivation: a marked sheet."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

from deltarule.explain.grading.verdict import Grade
from deltarule.explain.page.page import columns
from deltarule.explain.reading.understood import Understood
from deltarule.render.numbers import two_decimals

MARKS = {
    "correct": "✓",
    "follows": "~",
    "wrong": "✗",
    "redundant": "=",
    "not read": "?",
}
_WIDTH = 80


@dataclass(frozen=True)
class GradedLine:
    """A line of a derivation with its verdict.

    Attributes:
        number: The number of the line in the text, from 1.
        text: The line as typed.
        verdict: "correct", "follows" (right, given an earlier error), "wrong", "redundant" (the same stands above) or
            "not read" (words, or a formula that cannot be parsed).
        message: What there is to say about it.
        mistake: "equal", the name of the mistake, or "".
        states: What the line states, such as "∂L/∂z₁"; "" for nothing that is asked for.
        points: The points that it earns; None where it has none to earn.
        understood: The line as it was read, typeset; None if it was not read.
    """

    number: int
    text: str
    verdict: str
    message: str = ""
    mistake: str = ""
    states: str = ""
    points: float | None = None
    understood: Understood | None = None

    @property
    def mark(self) -> str:
        """The sign of the verdict: ✓, ~, ✗, =, or ? for a line that was not read."""
        return MARKS[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return the line as a dictionary for JSON."""
        shown = self.understood
        return {
            "number": self.number,
            "text": self.text,
            "verdict": self.verdict,
            "message": self.message,
            "mistake": self.mistake,
            "states": self.states,
            "points": self.points,
            "understood": None
            if shown is None
            else {"text": str(shown), "latex": shown.latex()},
        }


@dataclass(frozen=True)
class DerivationGrade:
    """The grade of a derivation, line by line; true when it earns all points without an error.

    Attributes:
        correct: Whether all points are earned and no line is wrong.
        points: The points earned.
        maximum: The points of a whole derivation.
        lines: The lines with their verdicts.
        first_wrong: The number of the first wrong line in the text; None if none is wrong.
        final: The verdict on the last gradient asked for; None if no line states it.
        missing: The quantities without points because no line states them.
        readable: Whether every gradient asked for was found, or all formulas could be parsed.
    """

    correct: bool
    points: float
    maximum: float
    lines: tuple[GradedLine, ...]
    first_wrong: int | None = None
    final: Grade | None = None
    missing: tuple[str, ...] = ()
    readable: bool = True

    def __bool__(self) -> bool:
        return self.correct

    @property
    def summary(self) -> str:
        """The points, the first wrong line and what is missing, in a sentence or two."""
        earned = f"{two_decimals(self.points)} of {two_decimals(self.maximum)} points."
        return f"{earned} {self.remarks}".strip()

    @property
    def remarks(self) -> str:
        """The first wrong line and what is missing; empty where there is nothing to say."""
        parts = []
        if self.first_wrong is not None:
            parts.append(f"The first wrong line is line {self.first_wrong}.")
        if self.missing:
            parts.append(f"Missing: {', '.join(self.missing)}.")
        return " ".join(parts)

    def __str__(self) -> str:
        digits = max((len(str(line.number)) for line in self.lines), default=1)
        rows = [row for line in self.lines for row in _rows(line, digits)]
        return "\n".join([*rows, *textwrap.wrap(self.summary, _WIDTH)])

    def _repr_html_(self) -> str:
        rows = "".join(map(_html_row, self.lines))
        return f"<table>{rows}</table><p>{escape(self.summary)}</p>"

    def to_dict(self) -> dict[str, Any]:
        """Return the grade as a dictionary for JSON."""
        return {
            "correct": self.correct,
            "readable": self.readable,
            "points": self.points,
            "max_points": self.maximum,
            "first_wrong": self.first_wrong,
            "missing": list(self.missing),
            "message": self.summary,
            "lines": [line.to_dict() for line in self.lines],
        }


def _rows(line: GradedLine, digits: int) -> list[str]:
    """Write a line of the sheet: number, mark, text, points, and the message below."""
    head = f"{line.number:>{digits}} {line.mark}  "
    earned = "" if line.points is None else two_decimals(line.points)
    room = _WIDTH - len(head) - 6
    pieces = [p for part in line.text.split("\n") for p in _wrapped(part, room)]
    rows = []
    for place, piece in enumerate(pieces or [""]):
        start = head if place == 0 else " " * len(head)
        end = earned if place == 0 else ""
        gap = " " * (room - columns(piece)) if end else ""
        rows.append(f"{start}{piece}{gap}{end:>6}".rstrip())
    message = " ".join(line.message.split())
    indent = " " * len(head)
    return rows + [
        indent + piece for piece in textwrap.wrap(message, _WIDTH - len(head))
    ]


def _wrapped(text: str, width: int) -> list[str]:
    pieces = textwrap.wrap(" ".join(text.split()), width - 1)
    return [pieces[0], *(f" {piece}" for piece in pieces[1:])] if pieces else [""]


def _html_row(line: GradedLine) -> str:
    shown = line.understood
    formula = escape(line.text) if shown is None else shown.mathml()
    earned = "" if line.points is None else two_decimals(line.points)
    cells = [str(line.number), line.mark, formula, escape(line.message), earned]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
