"""One use of an ONNX operator: its operands as nodes, its attributes as Python values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import as_array, leaf, value_of
from deltarule.runtime.realize import realize

Array = npt.NDArray[Any]
Results = Node | tuple[Node | None, ...]
# TensorProto.DataType → our element types
ELEMENT_TYPES: dict[int, DType] = {
    1: dtypes.FLOAT32, 2: dtypes.UINT8, 6: dtypes.INT32, 7: dtypes.INT64, 9: dtypes.BOOL, 11: dtypes.FLOAT64,
    12: dtypes.UINT32,
}  # fmt: skip


class UnsupportedOperatorError(GraphError):
    """An ONNX operator, or a variant of one, that has no translation."""


def element_type(number: int) -> DType:
    """Return our element type for an ONNX data type."""
    if number not in ELEMENT_TYPES:
        raise UnsupportedOperatorError(
            "onnx element type",
            expected=", ".join(t.name for t in ELEMENT_TYPES.values()),
            got=f"TensorProto data type {number}",
        )
    return ELEMENT_TYPES[number]


def tensor_node(array: Array, name: str = "") -> Node:
    """Return a leaf that holds an array."""
    return leaf(as_array(array), name)


@dataclass
class Call:
    """An operator with its operands (None where an optional one is left out)."""

    kind: str
    operands: list[Node | None]
    attributes: dict[str, Any]
    version: int
    n_outputs: int
    run_subgraph: Callable[[Any, Sequence[Node]], list[Node]]
    outer: dict[str, Node] = field(default_factory=dict)

    def __getitem__(self, index: int) -> Node:
        if index >= len(self.operands) or self.operands[index] is None:
            raise self.unsupported(f"operand {index} is missing")
        operand = self.operands[index]
        if operand is None:
            raise self.unsupported(f"operand {index} is missing")
        return operand

    def optional(self, index: int) -> Node | None:
        """Return an operand, or None where it is left out."""
        return self.operands[index] if index < len(self.operands) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value."""
        return self.attributes.get(name, default)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a word; the helper that makes a model may hold it as bytes or as text."""
        value = self.attribute(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def values(self, index: int) -> Array:
        """Return the value of an operand that must be known while the graph is built (shapes, axes, counts)."""
        node = self[index]
        if any(value_of(source) is None for source in inputs([node])):
            raise self.unsupported(f"{build.describe(node)} depends on the data; it must be a constant")
        return realize([node])[0]

    def numbers(self, index: int) -> list[int]:
        """Return an operand as a list of whole numbers."""
        return [int(v) for v in np.asarray(self.values(index)).ravel()]

    def listed(self, name: str, index: int, default: Any = None) -> Any:
        """Return whole numbers that older opsets give as an attribute and newer ones as an operand."""
        if name in self.attributes:
            return list(self.attributes[name])
        return self.numbers(index) if self.optional(index) is not None else default

    def unsupported(self, reason: str) -> UnsupportedOperatorError:
        """Return the error that this variant has no translation."""
        return UnsupportedOperatorError(
            f"onnx operator {self.kind}", expected="a variant that has a translation", got=reason
        )


Translator = Callable[[Call], Results]
