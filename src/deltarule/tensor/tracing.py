"""Tracing: what a function did with tensors while its graph was built (for ``jit`` and training steps).

A trace notes the tensors that were used without being arguments, those that were assigned, and those whose value
was asked for: a function that saw a number is traced again when the number is another. Asking for the value of what
depends on a traced argument is an error with a way out. So no number is frozen silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.node import Node

if TYPE_CHECKING:
    from deltarule.tensor.tensor import Tensor


@dataclass
class Trace:
    """Tensors used (with the node that each had at first use), assigned, and looked at, by identity."""

    used: dict[int, tuple[Tensor, Node]] = field(default_factory=dict)
    assigned: dict[int, tuple[Tensor, Node]] = field(default_factory=dict)
    looked_at: dict[int, tuple[Tensor, Node]] = field(default_factory=dict)


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def trace() -> Iterator[Trace]:
    """Record the uses and assignments of tensors; afterwards assigned tensors have their old nodes back."""
    record = Trace()
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


@contextmanager
def inner_trace() -> Iterator[Trace]:
    """Record as ``trace`` does, within another trace too: what is used and looked at is noted there as well."""
    outer = _current.get()
    with trace() as record:
        try:
            yield record
        finally:
            if outer is not None:
                outer.used.update(
                    {
                        key: seen
                        for key, seen in record.used.items()
                        if key not in outer.used
                    }
                )
                looked_at = record.looked_at.items()
                outer.looked_at.update(
                    {key: seen for key, seen in looked_at if key not in outer.looked_at}
                )


def active() -> bool:
    """Whether a function is being traced."""
    return _current.get() is not None


def note_use(tensor: Tensor) -> None:
    """Record that a tensor entered the graph."""
    record = _current.get()
    if record is not None:
        record.used.setdefault(id(tensor), (tensor, tensor._node))


def note_assignment(tensor: Tensor) -> None:
    """Record that a tensor gets another value, with the node that it had before."""
    record = _current.get()
    if record is not None:
        record.assigned.setdefault(id(tensor), (tensor, tensor._node))


def note_value(tensor: Tensor) -> None:
    """Record that the function saw a number of a tensor: it holds while the tensor keeps it."""
    record = _current.get()
    if record is not None:
        record.looked_at.setdefault(id(tensor), (tensor, tensor._node))


def refuse_value(tensor: Tensor) -> None:
    """Refuse to give the value of a tensor that depends on a traced argument."""
    if active() and tensor._is_symbolic():
        raise GraphError(
            f"value of {build.describe(tensor._node)} while tracing",
            expected="a function whose course does not depend on values",
            got="a request for a number (numpy(), item(), float(), if, print of a value)",
            hint="Use dr.where for choices, return the tensor to look at it, or call it outside dr.jit and fit.",
        )
