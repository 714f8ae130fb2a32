"""Node: the one central abstraction. Immutable, and hash-consed: equal expressions are the same object.

A node is an operation, its sources, its attributes, and the shape and element type that follow from them.
Only the checked constructors of ``graph/build/`` and ``graph/function.py`` may call ``intern``.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, final

from deltarule.dtypes import DType
from deltarule.graph.op import Op
from deltarule.shapes import Shape, show


@final
class Node:
    """One operation of an expression graph; compare with ``is``, use as a dictionary key."""

    __slots__ = ("__weakref__", "attributes", "dtype", "op", "shape", "sources")

    op: Op
    sources: tuple[Node, ...]
    attributes: Mapping[str, Any]
    shape: Shape
    dtype: DType

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Node is immutable: cannot set {name}")

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        label = (
            self.attributes.get("name")
            or self.attributes.get("function")
            or self.op.name.lower()
        )
        return f"<{label} {show(self.shape)} {self.dtype}>"


def identity(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return attributes as a key, by value and type: ``1``, ``1.0`` and ``True`` differ, and ``0.0`` and ``-0.0``."""
    return tuple(
        (key, type(value), repr(value) if isinstance(value, float) else value)
        for key, value in sorted(attributes.items())
    )


_table: weakref.WeakValueDictionary[tuple[Any, ...], Node] = (
    weakref.WeakValueDictionary()
)


def intern(
    op: Op,
    sources: tuple[Node, ...],
    attributes: dict[str, Any],
    shape: Shape,
    dtype: DType,
) -> Node:
    """Return the node with these parts, made once.

    Sources are compared by identity, attributes by value and type.
    """
    key = (op, sources, identity(attributes), shape, dtype)
    node = _table.get(key)
    if node is None:
        node = object.__new__(Node)
        fields = {
            "op": op,
            "sources": sources,
            "attributes": MappingProxyType(attributes),
            "shape": shape,
            "dtype": dtype,
        }
        for name, value in fields.items():
            object.__setattr__(node, name, value)
        node = _table.setdefault(key, node)
    return node
