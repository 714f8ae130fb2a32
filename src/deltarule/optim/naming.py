"""Names of intermediate values of a rule: what its explanation calls them; nothing happens where none is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from deltarule.graph.build.quantity import Quantity
from deltarule.graph.node import Node
from deltarule.tensor.tensor import Tensor

Names = dict[Node, str]
Value = TypeVar("Value", bound=Tensor | float)
_names: ContextVar[Names | None] = ContextVar("names", default=None)


def named(value: Value, name: str) -> Value:
    """Return the value itself; an explanation gives it a line of its own, under this name.

    >>> named(0.5, "mu")
    0.5
    """
    names = _names.get()
    if names is not None and isinstance(value, (Tensor, Quantity)):
        names.setdefault(value.node, name)
    return value


@contextmanager
def naming() -> Iterator[Names]:
    """Collect the names that rules give to nodes meanwhile."""
    names: Names = {}
    token = _names.set(names)
    try:
        yield names
    finally:
        _names.reset(token)
