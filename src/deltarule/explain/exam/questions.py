"""Exam questions as plain data: a text, blanks to fill, hints, and a key that has been verified."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deltarule.errors import GraphError
from deltarule.render import mathematics as m


@dataclass(frozen=True)
class Item:
    """Something to find: what is asked, the answer, and a hint."""

    asked: m.Formula
    answer: m.Formula
    hint: str = ""


@dataclass(frozen=True)
class Question:
    """A question: its text, the given formulas, the items to find; ``verified`` tells how the key was checked."""

    text: str
    given: tuple[m.Formula, ...]
    items: tuple[Item, ...]
    verified: str


def value(number: float | int | str) -> m.Formula:
    """Return a number as a formula; raise GraphError for NaN and infinities, which are no answer to anything."""
    if isinstance(number, str):
        return m.Number(number)
    if not math.isfinite(number):
        raise GraphError("exam", expected="finite numbers to ask for", got=str(number))
    shown = str(number) if isinstance(number, int) else f"{number:.6g}"
    return m.Number(shown.replace("-", "−"))


def equation(left: m.Formula, right: m.Formula) -> m.Formula:
    """Return left = right."""
    return m.row(left, m.Operator("=", spaced=True), right)


def vector(numbers: list[float] | list[int]) -> m.Formula:
    """Return a column written as a row in parentheses."""
    return m.Fenced(m.join([value(number) for number in numbers], m.Operator(", ")))


def matrix(rows: list[list[float]] | list[list[int]]) -> m.Formula:
    """Return a matrix."""
    return m.Grid(tuple(tuple(value(number) for number in row) for row in rows))


def name(text: str) -> m.Formula:
    """Return a name as a formula."""
    return m.identifier(text)


def words(text: str) -> m.Formula:
    """Return words as a formula."""
    return m.Text(text)
