"""Responses to the items of an exam: numbers, a choice, a gradient as a formula, or free text.

The kind of response decides how an item is graded and which question type of a learning platform it becomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deltarule.explain.grading.allowed import Allow
from deltarule.graph.node import Node

Entries = float | tuple[float, ...] | tuple[tuple[float, ...], ...]
RELATIVE_TOLERANCE = 0.01  # three significant digits, and rounding on the way to them
WHOLE_TOLERANCE = 1e-3  # of whole numbers, which are exact


@dataclass(frozen=True)
class Numbers:
    """A number, a vector or a matrix.

    >>> Numbers((1.0, 0.25)).shape, Numbers(((1.0,), (2.0,))).entries()
    ((2,), (('1,1', 1.0), ('2,1', 2.0)))
    """

    values: Entries

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape: () for a number, (n,) for a vector, (m, n) for a matrix."""
        if not isinstance(self.values, tuple):
            return ()
        first = self.values[0]
        return (len(self.values),) + ((len(first),) if isinstance(first, tuple) else ())

    def entries(self) -> tuple[tuple[str, float], ...]:
        """Return the entries by rows, each with its indices from 1; those of a number are empty."""
        if not isinstance(self.values, tuple):
            return (("", self.values),)
        found: list[tuple[str, float]] = []
        parts: Sequence[float | tuple[float, ...]] = self.values
        for i, part in enumerate(parts, start=1):
            if not isinstance(part, tuple):
                found.append((str(i), part))
                continue
            for j, entry in enumerate(part, start=1):
                found.append((f"{i},{j}", entry))
        return tuple(found)


@dataclass(frozen=True)
class Choice:
    """One of several options; ``correct`` is the index of the right one.

    >>> Choice(("true", "false"), 1).options[1]
    'false'
    """

    options: tuple[str, ...]
    correct: int


@dataclass(frozen=True)
class Gradient:
    """The gradient of a loss with respect to a variable as a formula, graded by evaluation.

    ``allow`` are the symbols that an answer may use; with ``reveal`` the message of a wrong answer shows the line.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> Gradient(build.sum_over(build.exp(x)), x, (x,)).wrt
    <x (3) float32>
    """

    loss: Node
    wrt: Node
    parameters: tuple[Node, ...]
    names: Mapping[Node, str] = field(default_factory=dict)
    allow: Allow = None
    reveal: bool = False


@dataclass(frozen=True)
class Lines:
    """The derivation of gradients as a whole, graded line by line; the answer to all items of a question at once."""

    loss: Node
    wrt: tuple[Node, ...]
    names: Mapping[Node, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FreeText:
    """An answer in words, graded by a person who compares it with the key.

    >>> FreeText()
    FreeText()
    """


Response = Numbers | Choice | Gradient | FreeText


def tolerance(value: float) -> float:
    """Return how far an answer may be from a value: 0.001 from a whole number, 1 % of any other number.

    >>> tolerance(12.0), tolerance(0.25)
    (0.001, 0.0025)
    """
    return WHOLE_TOLERANCE if value == int(value) else RELATIVE_TOLERANCE * abs(value)
