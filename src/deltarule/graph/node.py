"""Node: an immutable, hash-consed operation of the graph; equal expressions are the same object.

A node has an operation, sources, attributes, and the shape and element type that follow from these.
Nodes are created by the checked constructors of ``graph/build/`` and ``graph/function.py``, which call ``intern``.
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
    """One operation of an expression graph; compare with ``is``, use as a dictionary key.

    Attributes:
        op: The primitive operation.
        sources: The operands.
        attributes: The parameters of the operation, such as axes.
        shape: Sizes of the axes.
        dtype: The element type.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (3,))
    >>> exp(x) is exp(x), exp(x).sources
    (True, (<x (3) float32>,))
    """

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


def attributes_key(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return attributes as a hashable key: ``1``, ``1.0`` and ``True`` differ, as do ``0.0`` and ``-0.0``.

    >>> attributes_key({"axis": 1}) == attributes_key({"axis": True})
    False
    """
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
    """Return the unique node with these parts, creating it if it does not exist.

    Sources are compared by identity, attributes by value and type.

    >>> from deltarule.graph.build import input_node
    >>> x = input_node("x", (3,))
    >>> intern(Op.EXP, (x,), {}, (3,), x.dtype) is intern(Op.EXP, (x,), {}, (3,), x.dtype)
    True
    """
    key = (op, sources, attributes_key(attributes), shape, dtype)
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
