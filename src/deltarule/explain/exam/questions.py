"""Exam questions as plain data: a text, the given formulas, and items with points and a verified key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deltarule.errors import GraphError
from deltarule.explain.exam.responses import FreeText, Lines, Numbers, Response
from deltarule.render import mathematics as m
from deltarule.render.numbers import two_decimals


@dataclass(frozen=True)
class Item:
    """One thing to find.

    Attributes:
        asked: What is asked for.
        answer: The key.
        hint: A hint.
        points: Points for a right answer.
        response: What kind of answer is expected.

    >>> item = number_item(m.identifier("x"), 2.5)
    >>> m.to_text(item.answer), item.points
    ('2.5', 1.0)
    """

    asked: m.Formula
    answer: m.Formula
    hint: str = ""
    points: float = 1.0
    response: Response = field(default_factory=FreeText)


@dataclass(frozen=True)
class Question:
    """A question: its text, the given formulas, the items to find; ``verified`` states how the key was checked.

    ``lines`` is the derivation that may be given in place of the items.

    >>> question = Question("What is 1 + 1?", (), (number_item(m.identifier("x"), 2),), "by counting")
    >>> question.points, question.worth(3).points
    (1.0, 3.0)
    """

    text: str
    given: tuple[m.Formula, ...]
    items: tuple[Item, ...]
    verified: str
    lines: Lines | None = None

    @property
    def points(self) -> float:
        """The points of all items."""
        return sum(item.points for item in self.items)

    def worth(self, points: float) -> Question:
        """Return the question with the given points, distributed evenly over its items."""
        each = points / len(self.items)
        items = tuple(replace(item, points=each) for item in self.items)
        return replace(self, items=items)


def number_item(
    asked: m.Formula, number: float, hint: str = "", answer: m.Formula | None = None
) -> Item:
    """Return an item that asks for one number.

    >>> m.to_text(number_item(m.identifier("x"), 2.5).answer)
    '2.5'
    """
    shown = value(number) if answer is None else answer
    return Item(asked, shown, hint, response=Numbers(float(number)))


def vector_item(asked: m.Formula, numbers: Sequence[float], hint: str = "") -> Item:
    """Return an item that asks for a vector.

    >>> m.to_text(vector_item(m.identifier("x"), [1, -2]).answer)
    '(1, −2)'
    """
    found = Numbers(tuple(float(number) for number in numbers))
    return Item(asked, vector(numbers), hint, response=found)


def matrix_item(
    asked: m.Formula, rows: Sequence[Sequence[float]], hint: str = ""
) -> Item:
    """Return an item that asks for a matrix.

    >>> m.to_text(matrix_item(m.identifier("A"), [[1, 0], [0, 2]]).answer)
    '[1  0; 0  2]'
    """
    found = Numbers(tuple(tuple(float(number) for number in row) for row in rows))
    return Item(asked, matrix(rows), hint, response=found)


def shown_number(number: float) -> str:
    """Write a number with six significant digits, whole numbers without a decimal point.

    >>> shown_number(2.0), shown_number(-1 / 3)
    ('2', '−0.333333')
    """
    return f"{number:.6g}".replace("-", "−")


def points_text(points: float) -> str:
    """Write a number of points.

    >>> points_text(1), points_text(2.5), points_text(1 / 3)
    ('1 point', '2.5 points', '0.33 points')
    """
    shown = two_decimals(points)
    return f"{shown} point" + ("" if shown == "1" else "s")


def value(number: float | int | str) -> m.Formula:
    """Return a number as a formula; raise GraphError for NaN and infinities, which are no answer to anything.

    >>> m.to_text(value(0.5))
    '0.5'
    """
    if isinstance(number, str):
        return m.Number(number)
    if not math.isfinite(number):
        raise GraphError("exam", expected="finite numbers to ask for", got=str(number))
    shown = str(number).replace("-", "−")
    return m.Number(shown if isinstance(number, int) else shown_number(number))


def equation(left: m.Formula, right: m.Formula) -> m.Formula:
    """Return left = right.

    >>> m.to_text(equation(m.identifier("x"), m.Number("2")))
    'x = 2'
    """
    return m.row(left, m.Operator("=", spaced=True), right)


def is_data(formula: m.Formula) -> bool:
    """Whether a formula gives the numbers of a variable, as equation(name, numbers) does.

    >>> is_data(equation(name("x"), vector([1, 2]))), is_data(equation(name("z"), name("x")))
    (True, False)
    """
    if not isinstance(formula, m.Row) or len(formula.items) != 3:
        return False
    numbers = formula.items[2]
    if isinstance(numbers, m.Fenced):
        numbers = numbers.body
    parts = numbers.items if isinstance(numbers, m.Row) else (numbers,)
    return all(isinstance(part, (m.Number, m.Operator, m.Grid)) for part in parts)


def vector(numbers: Sequence[float]) -> m.Formula:
    """Return a column written as a row in parentheses.

    >>> m.to_text(vector([1.0, 2.0]))
    '(1, 2)'
    """
    return m.Fenced(m.join([value(number) for number in numbers], m.Operator(", ")))


def matrix(rows: Sequence[Sequence[float]]) -> m.Formula:
    """Return a matrix.

    >>> m.to_text(matrix([[1.0, 2.0]]))
    '[1  2]'
    """
    return m.Grid(tuple(tuple(value(number) for number in row) for row in rows))


def name(text: str) -> m.Formula:
    """Return a name as a formula.

    >>> m.to_text(name("W_1"))
    'W₁'
    """
    return m.identifier(text)


def words(text: str) -> m.Formula:
    """Return words as a formula.

    >>> m.to_text(words("a penalty"))
    'a penalty'
    """
    return m.Text(text)
