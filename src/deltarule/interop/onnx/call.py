"""A call of an ONNX operator: its operands as nodes, its attributes as Python values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.walk import inputs, topological
from deltarule.runtime.buffers import as_array, leaf, value_of
from deltarule.runtime.realize import realize

Array = npt.NDArray[Any]
Results = Node | tuple[Node | None, ...]
# TensorProto.DataType → our element types
ELEMENT_TYPES: dict[int, DType] = {
    1: dtypes.FLOAT32,
    2: dtypes.UINT8,
    6: dtypes.INT32,
    7: dtypes.INT64,
    9: dtypes.BOOL,
    11: dtypes.FLOAT64,
    12: dtypes.UINT32,
}
_AT_LEAST_ONE = ("kernel_shape", "strides", "dilations", "group", "blocksize")
_WINDOWS = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"})
_PADDINGS = frozenset({"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"})
MOST_ELEMENTS = 2**30  # of one result: 4 GiB of float32
MOST_TURNS = 10_000  # of a loop, which is unrolled
MOST_OPERATORS = 200_000  # of a model with unrolled loops


class UnsupportedOperatorError(GraphError):
    """An ONNX operator, or a variant of one, that is not supported.

    >>> issubclass(UnsupportedOperatorError, GraphError)
    True
    """


def type_name(number: int) -> str:
    """Return the name of an ONNX data type.

    >>> type_name(10)
    'float16'
    """
    known = onnx.TensorProto.DataType
    return (
        str(known.Name(number)).lower()
        if number in known.values()
        else f"data type {number}"
    )


def element_type(number: int) -> DType:
    """Return the element type of an ONNX data type.

    >>> element_type(1).name
    'float32'
    """
    if number not in ELEMENT_TYPES:
        raise UnsupportedOperatorError(
            "onnx element type",
            expected=", ".join(t.name for t in ELEMENT_TYPES.values()),
            got=type_name(number),
        )
    return ELEMENT_TYPES[number]


def tensor_node(array: Array, name: str = "") -> Node:
    """Return a leaf node with the value of an array.

    >>> tensor_node(np.zeros((2, 3))).shape
    (2, 3)
    """
    return leaf(as_array(array), name)


@dataclass
class Call:
    """A call of an operator.

    Attributes:
        kind: Name of the operator.
        operands: The operands, None for omitted optional ones.
        attributes: The attributes by name.
        version: Version of the operator set.
        n_outputs: Number of outputs.
        run_subgraph: Translates a subgraph for given arguments, as one of so many turns (1 by default;
            None: in some turns of the loops around).
        outer: Nodes of the surrounding graph by name.
        name: Name of the ONNX node.
        times: How often the loops around the operator translate it.
        turning: Nodes that other turns of these loops replace.
    """

    kind: str
    operands: list[Node | None]
    attributes: dict[str, Any]
    version: int
    n_outputs: int
    run_subgraph: Callable[..., list[Node]]
    outer: dict[str, Node] = field(default_factory=dict)
    name: str = ""
    times: int = 1
    turning: frozenset[Node] = frozenset()

    def check_sizes(self) -> None:
        """Raise UnsupportedOperatorError for invalid sizes, strides and groups."""
        for name in _AT_LEAST_ONE:
            if name in self.attributes and np.min(self.attributes[name], initial=1) < 1:
                raise self.unsupported(f"{name} {self.attributes[name]}")
        if self.kind in _WINDOWS and self.optional(0) is not None:
            self._check_windows(self[0].rank - 2)

    def _check_windows(self, n: int) -> None:
        for name, count in (
            ("kernel_shape", n),
            ("strides", n),
            ("dilations", n),
            ("pads", 2 * n),
        ):
            if name in self.attributes and len(self.attributes[name]) != count:
                raise self.unsupported(
                    f"{name} {list(self.attributes[name])} for {n} spatial axes"
                )
        if self.text("auto_pad", "NOTSET") not in _PADDINGS:
            raise self.unsupported(f"auto_pad {self.text('auto_pad', '')!r}")
        kernel = self.attribute("kernel_shape")
        if kernel is None:
            return
        if self.kind.startswith("Conv"):
            weight = self.optional(1)
            if weight is not None and tuple(weight.shape[2:]) != tuple(kernel):
                raise self.unsupported(
                    f"kernel_shape {list(kernel)} beside a kernel of shape {weight.shape}"
                )
            return
        reach = [
            d * (k - 1)
            for k, d in zip(kernel, self.attribute("dilations", [1] * n), strict=True)
        ]
        pads = self.attribute("pads", [0] * 2 * n)
        if any(not 0 <= pad <= most for pad, most in zip(pads, reach * 2, strict=True)):
            raise self.unsupported(
                f"pads {list(pads)} around windows of {list(kernel)}"
            )

    @property
    def title(self) -> str:
        """The operator and the name of its node, as in ``onnx operator Conv (conv_1)``."""
        return f"onnx operator {self.kind}" + (f" ({self.name})" if self.name else "")

    def __getitem__(self, index: int) -> Node:
        if index >= len(self.operands) or self.operands[index] is None:
            raise self.unsupported(f"operand {index} is missing")
        operand = self.operands[index]
        if operand is None:
            raise self.unsupported(f"operand {index} is missing")
        return operand

    def optional(self, index: int) -> Node | None:
        """Return an operand, or None if it is omitted."""
        return self.operands[index] if index < len(self.operands) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute."""
        return self.attributes.get(name, default)

    def text(self, name: str, default: str) -> str:
        """Return a string attribute, which ONNX stores as bytes or as text."""
        value = self.attribute(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def values(self, index: int) -> Array:
        """Return the value of an operand that must be constant (shapes, axes, counts)."""
        node = self[index]
        if any(value_of(source) is None for source in inputs([node])):
            raise self.unsupported(
                f"{build.describe(node)} depends on the data; it must be a constant"
            )
        return realize([node])[0]

    def varies(self, index: int) -> bool:
        """Return whether an operand may have another value in other turns of the loops around the operator."""
        return not self.turning.isdisjoint(topological([self[index]], self.turning))

    def numbers(self, index: int) -> list[int]:
        """Return a constant operand as a list of integers."""
        return [int(v) for v in np.asarray(self.values(index)).ravel()]

    def sizes(self, index: int) -> list[int]:
        """Return a constant operand as sizes ≥ 0 of a result with at most ``MOST_ELEMENTS`` elements."""
        found = self.numbers(index)
        if min(found, default=0) < 0:
            raise self.unsupported(f"sizes {found}, of which some are negative")
        self.fits(found)
        return found

    def listed(self, name: str, index: int, default: Any = None) -> Any:
        """Return integers that are an attribute in older opsets and an operand in newer ones."""
        if name in self.attributes:
            return list(self.attributes[name])
        return self.numbers(index) if self.optional(index) is not None else default

    def axis(self, rank: int, default: int = 0) -> int:
        """Return the attribute ``axis`` as a non-negative index."""
        return self.counted(self.attribute("axis", default), rank)

    def counted(self, axis: int, rank: int) -> int:
        """Return an axis as a non-negative index; raises UnsupportedOperatorError if it is out of range."""
        if not isinstance(axis, (int, np.integer)) or not -rank <= axis < rank:
            raise self.unsupported(f"axis {axis} of a tensor with {rank} axes")
        return int(axis) % rank

    def fits(self, sizes: Sequence[Any]) -> None:
        """Raise UnsupportedOperatorError if a result would have too many elements."""
        known = (int(size) for size in sizes if isinstance(size, (int, np.integer)))
        if math.prod(known) > MOST_ELEMENTS:
            shown = "×".join(str(size) for size in sizes)
            raise self.unsupported(
                f"a result of {shown} elements, of which {MOST_ELEMENTS:,} are the most"
            )

    def unrolled(self, turns: int, operators: int = 1) -> None:
        """Raise UnsupportedOperatorError if an operator would be unrolled too often.

        Args:
            turns: Number of turns.
            operators: Least number of operators in a turn.
        """
        if turns > MOST_TURNS:
            raise self.unsupported(
                f"{turns:,} turns, of which {MOST_TURNS:,} are the most: each becomes nodes of the graph"
            )
        if self.times * turns * operators > MOST_OPERATORS:
            raise self.too_many()

    def too_many(self) -> UnsupportedOperatorError:
        """Return the error that the loops of a model become too many operators."""
        return self.unsupported(
            f"loops that become more than {MOST_OPERATORS:,} operators"
        )

    def unsupported(self, reason: str) -> UnsupportedOperatorError:
        """Return the error that this variant is not supported."""
        return UnsupportedOperatorError(
            self.title, expected="a variant that has a translation", got=reason
        )


Translator = Callable[[Call], Results]
