"""Grading of answers to the items of an exam: points, the mistake, and a message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.explain.exam.questions import Item, Question, shown_number
from deltarule.explain.exam.reading import read_numbers
from deltarule.explain.exam.responses import (
    Choice,
    FreeText,
    Gradient,
    Numbers,
    tolerance,
)
from deltarule.explain.grading.grading import grade
from deltarule.explain.grading.lines.grading import grade_derivation
from deltarule.explain.grading.lines.result import DerivationGrade
from deltarule.explain.proof.proof import Draw, Evaluate

_TRUE = frozenset({"true", "t", "yes", "y", "right", "correct", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "wrong", "incorrect", "0"})


@dataclass(frozen=True)
class ItemGrade:
    """The grade of one answer of an exam; true when the answer is correct.

    Attributes:
        points: The points given; None for an answer in words, which a person grades.
        max_points: The points of the item.
        correct: Whether the whole answer is correct.
        readable: Whether the answer could be parsed; an unreadable answer has not been judged.
        mistake: "equal", the name of a mistake, "unreadable" or "ungraded".
        message: The verdict in a sentence.
        understood: The answer as it was parsed.
        position: Where an unreadable answer fails, from 1; None where there is no such place.
        derivation: The lines of a whole derivation with their verdicts; None for any other answer.

    >>> grade = ItemGrade(1.0, 1.0, True, True, "equal", "This is right.")
    >>> bool(grade), grade.points
    (True, 1.0)
    """

    points: float | None
    max_points: float
    correct: bool
    readable: bool
    mistake: str
    message: str
    understood: str = ""
    position: int | None = None
    derivation: DerivationGrade | None = None

    def __bool__(self) -> bool:
        return self.correct

    def __str__(self) -> str:
        mark = "✓" if self.correct else "✗" if self.readable else "?"
        given = "–" if self.points is None else f"{self.points:.4g}"
        return f"{mark}  {given} of {self.max_points:.4g} points. {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Return the grade as a dictionary for JSON; that of a whole derivation has its ``lines``."""
        found = {} if self.derivation is None else self.derivation.to_dict()
        lines = {key: found[key] for key in ("lines",) if key in found}
        return {
            "points": self.points,
            "max_points": self.max_points,
            "correct": self.correct,
            "readable": self.readable,
            "mistake": self.mistake,
            "message": self.message,
            "understood": self.understood,
            "position": self.position,
            **lines,
        }


def mark(item: Item, answer: str, evaluate: Evaluate, draw: Draw) -> ItemGrade:
    """Grade an answer to an item; an answer that cannot be parsed is unreadable and not wrong.

    >>> from deltarule.explain.exam.questions import number_item
    >>> from deltarule.render.mathematics import identifier
    >>> item = number_item(identifier("x"), 2.5)
    >>> print(mark(item, "2.5", evaluate=None, draw=None))  # numbers need no evaluator
    ✓  1 of 1 points. This is right.
    """
    response = item.response
    if isinstance(response, FreeText):
        message = "A person grades this answer against the key."
        return ItemGrade(None, item.points, False, True, "ungraded", message, answer)
    if not answer.strip():
        message = "There is no answer."
        return ItemGrade(0.0, item.points, False, True, "empty", message)
    try:
        if isinstance(response, Numbers):
            return _numbers(item.points, response, answer)
        if isinstance(response, Choice):
            return _choice(item.points, response, answer)
        return _gradient(item.points, response, answer, evaluate, draw)
    except (ArgumentError, DataError) as error:
        return ItemGrade(
            None,
            item.points,
            False,
            False,
            "unreadable",
            str(error),
            position=position(error),
        )


def mark_lines(
    question: Question, answer: str, evaluate: Evaluate, draw: Draw
) -> ItemGrade:
    """Grade a derivation that answers a whole question, with partial credit."""
    lines, maximum = question.lines, question.points
    if lines is None:
        raise ArgumentError(
            "exam item", expected="an item with its letter", got="a question"
        )
    if not answer.strip():
        return ItemGrade(0.0, maximum, False, True, "empty", "There is no answer.")
    try:
        found = grade_derivation(
            lines.loss,
            lines.wrt,
            answer,
            evaluate,
            draw,
            names=lines.names,
            parameters=lines.wrt,
            total=maximum,
        )
    except (ArgumentError, DataError) as error:
        message = str(error)
        return ItemGrade(None, maximum, False, False, "unreadable", message)
    wrong = [line.mistake for line in found.lines if line.verdict == "wrong"]
    mistake = "equal" if found.correct else wrong[0] if wrong else "incomplete"
    return ItemGrade(
        found.points if found.readable else None,
        maximum,
        found.correct,
        found.readable,
        mistake if found.readable else "unreadable",
        found.remarks or "This is right.",
        derivation=found,
    )


def position(error: Exception) -> int | None:
    """Return the position in an answer that an error names, from 1.

    >>> position(ArgumentError("formula, position 3", expected="a number"))
    3
    """
    found = re.search(r"position (\d+)", str(getattr(error, "where", "")))
    return None if found is None else int(found[1])


def _choice(points: float, response: Choice, answer: str) -> ItemGrade:
    """Compare a chosen option: by its text, its number from 1, or true/false in other words."""
    plain = answer.strip().rstrip(".").casefold()
    options = [option.casefold() for option in response.options]
    if options == ["true", "false"]:
        plain = "true" if plain in _TRUE else "false" if plain in _FALSE else plain
    if plain not in options and plain.isdigit() and 1 <= int(plain) <= len(options):
        plain = options[int(plain) - 1]
    if plain not in options:
        raise ArgumentError(
            "answer", expected=f"one of {', '.join(response.options)}", got=repr(answer)
        )
    chosen = options.index(plain)
    right = chosen == response.correct
    message = "This is right." if right else "This is wrong."
    mistake = "equal" if right else "choice"
    understood = response.options[chosen]
    given = points if right else 0.0
    return ItemGrade(given, points, right, True, mistake, message, understood)


def _numbers(points: float, response: Numbers, answer: str) -> ItemGrade:
    """Compare numbers entry by entry; the points are shared by the entries."""
    rows = read_numbers(answer, response.shape)
    understood = "; ".join("  ".join(map(shown_number, row)) for row in rows)
    wanted = [value for _, value in response.entries()]
    given = [entry for row in rows for entry in row]
    shape, expected = (len(rows), len(rows[0]) if rows else 0), response.shape
    two = len(expected) == 2
    if len(given) != len(wanted) or (two and shape not in {expected, expected[::-1]}):
        if two:
            size, got = "×".join(map(str, expected)), "×".join(map(str, shape))
            message = f"Your matrix is {got}; the matrix asked for is {size}."
        else:
            message = (
                f"Your answer has {len(given)} numbers; {len(wanted)} are asked for."
            )
        return ItemGrade(0.0, points, False, True, "shape", message, understood)
    if two and shape != expected:
        message = "Your answer has the transposed shape."
        return ItemGrade(0.0, points, False, True, "transposed", message, understood)
    right = [_near(a, b) for a, b in zip(given, wanted, strict=True)]
    if all(right):
        return ItemGrade(
            points, points, True, True, "equal", "This is right.", understood
        )
    mistake, message = _numeric_mistake(given, wanted, response)
    share = 0.0 if mistake == "sign" else points * sum(right) / len(right)
    return ItemGrade(share, points, False, True, mistake, message, understood)


def _near(answer: float, value: float) -> bool:
    return abs(answer - value) <= tolerance(value)


def _numeric_mistake(
    given: list[float], wanted: list[float], response: Numbers
) -> tuple[str, str]:
    """Name a wrong sign, a transposed square matrix or a common factor; else count the wrong entries."""
    if all(_near(-a, b) for a, b in zip(given, wanted, strict=True)):
        return "sign", "The sign is wrong."
    shape = response.shape
    if len(shape) == 2 and shape[0] == shape[1]:
        n = shape[0]
        turned = [given[j * n + i] for i in range(n) for j in range(n)]
        if all(_near(a, b) for a, b in zip(turned, wanted, strict=True)):
            return "transposed", "This is the transposed matrix."
    ratios = [a / b for a, b in zip(given, wanted, strict=True) if b != 0 and a != 0]
    if len(ratios) > 1 and len(ratios) == sum(b != 0 for b in wanted):
        first = ratios[0]
        close = all(abs(ratio - first) <= 0.02 * abs(first) for ratio in ratios)
        if close and abs(first - 1) > 0.02:
            return "factor", f"It is {shown_number(first)} times the right answer."
    wrong = sum(not _near(a, b) for a, b in zip(given, wanted, strict=True))
    if len(wanted) == 1:
        return "value", "The number is wrong."
    return "value", f"{wrong} of {len(wanted)} entries are wrong."


def _gradient(
    points: float, response: Gradient, answer: str, evaluate: Evaluate, draw: Draw
) -> ItemGrade:
    """Grade a formula by evaluation."""
    try:
        found = grade(
            response.loss,
            response.wrt,
            answer,
            evaluate,
            draw,
            names=response.names,
            parameters=response.parameters,
            allow=response.allow,
            reveal=response.reveal,
        )
    except ShapeError as error:
        return ItemGrade(0.0, points, False, True, "shape", str(error))
    given = points if found.correct else 0.0
    understood = "" if found.understood is None else str(found.understood)
    return ItemGrade(
        given, points, found.correct, True, found.mistake, found.message, understood
    )
