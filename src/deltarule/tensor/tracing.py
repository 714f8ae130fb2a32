"""Tracing: records how a function uses tensors while its graph is built (for ``jit`` and training steps).

A trace records the tensors that a function captures (uses without their being arguments), those that it assigns,
and those whose value it reads: a function that read a value is traced again when the value changes. Reading a value
that depends on a traced argument raises GraphError. So no value is baked silently into a compiled program.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.node import Node


class Traceable(Protocol):
    """A handle on a node of the graph, as the tracer sees a tensor."""

    _node: Node

    def _is_symbolic(self) -> bool:
        """Return whether the value depends on a symbol."""
        ...


T = TypeVar("T", bound=Traceable)


@dataclass
class Trace(Generic[T]):
    """The tensors that a function used, assigned and read, by identity.

    Attributes:
        used: Tensors used, each with its node at first use.
        assigned: Tensors assigned, each with its node before the first assignment.
        read: Tensors whose value was read, each with its node at that time.

    >>> from deltarule.tensor.tensor import tensor
    >>> w = tensor([2.0], name="w")
    >>> with record_trace() as record:
    ...     y = w * 3
    >>> len(record.used), len(record.assigned)
    (1, 0)
    """

    used: dict[int, tuple[T, Node]] = field(default_factory=dict)
    assigned: dict[int, tuple[T, Node]] = field(default_factory=dict)
    read: dict[int, tuple[T, Node]] = field(default_factory=dict)


_current: ContextVar[Trace[Any] | None] = ContextVar("trace", default=None)


@contextmanager
def record_trace() -> Iterator[Trace[Any]]:
    """Record the uses, assignments and reads of tensors within the ``with`` block.

    >>> from deltarule.tensor.tensor import tensor
    >>> w = tensor([2.0], name="w")
    >>> with record_trace() as record:
    ...     y = w * 3
    >>> [used.name for used, _ in record.used.values()]
    ['w']
    """
    record: Trace[Any] = Trace()
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


@contextmanager
def record_inner_trace() -> Iterator[Trace[Any]]:
    """Record as ``record_trace`` does; uses and reads are recorded in an enclosing trace too."""
    outer = _current.get()
    with record_trace() as record:
        try:
            yield record
        finally:
            if outer is not None:
                for key, use in record.used.items():
                    outer.used.setdefault(key, use)
                for key, read in record.read.items():
                    outer.read.setdefault(key, read)


def active() -> bool:
    """Whether a function is being traced.

    >>> active()
    False
    """
    return _current.get() is not None


def record_use(tensor: Traceable) -> None:
    """Record that a tensor entered the graph."""
    record = _current.get()
    if record is not None:
        record.used.setdefault(id(tensor), (tensor, tensor._node))


def record_assignment(tensor: Traceable) -> None:
    """Record that a tensor is assigned, with the node that it had before."""
    record = _current.get()
    if record is not None:
        record.assigned.setdefault(id(tensor), (tensor, tensor._node))


def record_read(tensor: Traceable) -> None:
    """Record that the value of a tensor was read: the trace is valid while the tensor keeps it."""
    record = _current.get()
    if record is not None:
        record.read.setdefault(id(tensor), (tensor, tensor._node))


def check_readable(tensor: Traceable) -> None:
    """Raise GraphError if the value of a tensor depends on a traced argument."""
    if active() and tensor._is_symbolic():
        raise GraphError(
            f"value of {build.describe(tensor._node)} while tracing",
            expected="a function whose control flow does not depend on values",
            got="a read of a value (numpy(), item(), float(), if, print)",
            hint="Use dr.where for choices, return the tensor to inspect it, or call it outside dr.jit and fit.",
        )
