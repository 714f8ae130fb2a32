"""Names of intermediate values of an update rule, recorded while it is explained."""

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
    """Return the value unchanged; an explanation shows it on a separate line under this name.

    >>> named(0.5, "mu")
    0.5
    """
    names = _names.get()
    if names is not None and isinstance(value, (Tensor, Quantity)):
        names.setdefault(value.node, name)
    return value


@contextmanager
def naming() -> Iterator[Names]:
    """Record the names that update rules give to nodes within the context.

    >>> from deltarule.tensor.tensor import tensor
    >>> with naming() as names:
    ...     _ = named(tensor(1.0), "mu")
    >>> list(names.values())
    ['mu']
    """
    names: Names = {}
    token = _names.set(names)
    try:
        yield names
    finally:
        _names.reset(token)
