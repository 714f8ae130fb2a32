"""What the parts of the evaluation see of it."""

from __future__ import annotations

from typing import Protocol

from deltarule.dtypes import DType
from deltarule.explain.reading.meaning.values import Value
from deltarule.explain.reading.syntax import Called, Expression, Index, Named
from deltarule.explain.reading.vocabulary import Vocabulary
from deltarule.shapes import Size


class Context(Protocol):
    """The evaluation of a formula: its vocabulary, the sizes of its indices, and the values of its parts."""

    vocabulary: Vocabulary
    dtype: DType
    sizes: dict[str, Size]

    def value(self, tree: Expression) -> Value:
        """Return the value of a tree."""
        ...

    def inside(self, tree: Expression) -> Value:
        """Return the value of an array whose entry is taken; letters that do not index in it are those of its axes."""
        ...

    def symbol(self, tree: Named) -> Value:
        """Return the value of a symbol."""
        ...

    def index(self, letter: str) -> str:
        """Return the index that a letter stands for at this place."""
        ...

    def placed(self, tree: Called, indices: tuple[Index, ...]) -> Value:
        """Return an array of zeros with another array at some places."""
        ...
