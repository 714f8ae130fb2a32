"""The ONNX graph under construction: names, constants, operators, and transposes that are delayed until needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from onnx import helper, numpy_helper

from deltarule.dtypes import DType
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import ELEMENT_TYPES
from deltarule.shapes import Dimension, Shape

STATE = "deltarule.state"  # the model property that lists, one a line, the floating-point tensors that are not trained
TENSOR_TYPES = {ours.name: theirs for theirs, ours in ELEMENT_TYPES.items()}


@dataclass(frozen=True)
class Stored:
    """A value: the transpose by ``order`` of the tensor ``name``.

    >>> Stored("x", (0, 1)).is_plain, Stored("x", (1, 0)).is_plain
    (True, False)
    """

    name: str
    order: tuple[int, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the order is the identity."""
        return self.order == tuple(range(len(self.order)))


@dataclass
class Emitter:
    """The operators and constants of an ONNX graph under construction.

    >>> emitter = Emitter()
    >>> emitter.operator("Relu", "x"), len(emitter.nodes)
    ('relu_1', 1)
    """

    nodes: list[Any] = field(default_factory=list)
    initializers: dict[str, Any] = field(default_factory=dict)
    _count: int = 0
    _constants: dict[tuple[str, bytes, tuple[int, ...]], str] = field(
        default_factory=dict
    )

    def fresh(self, hint: str) -> str:
        """Return an unused name."""
        self._count += 1
        return f"{hint}_{self._count}"

    def operator(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output, and return the name of the output."""
        return self.operators(kind, 1, *inputs, **attributes)[0]

    def operators(
        self, kind: str, n_outputs: int, *inputs: str, **attributes: Any
    ) -> list[str]:
        """Add an operator with several outputs, and return their names."""
        outputs = [self.fresh(kind.lower()) for _ in range(n_outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **given))
        return outputs

    def constant(self, value: Any, dtype: DType | str = "int64") -> str:
        """Return the name of a constant; equal constants are stored once."""
        array = np.asarray(value, dtype if isinstance(dtype, str) else dtype.name)
        key = (array.dtype.name, array.tobytes(), array.shape)
        if key not in self._constants:
            name = self.fresh("constant")
            self._constants[key] = name
            self.initializers[name] = numpy_helper.from_array(array, name)
        return self._constants[key]

    def weight(self, name: str, array: Any) -> str:
        """Store a weight under its own name, made unique, and return it."""
        unique = (
            name
            if name and name not in self.initializers
            else self.fresh(name or "weight")
        )
        self.initializers[unique] = numpy_helper.from_array(
            np.ascontiguousarray(array), unique
        )
        return unique

    def plain(self, value: Stored) -> str:
        """Return the name of a value in the order of its axes, transposed if necessary."""
        return (
            value.name
            if value.is_plain
            else self.operator("Transpose", value.name, perm=list(value.order))
        )

    def in_order(self, value: Stored, order: Sequence[int]) -> str:
        """Return the name of a value's transpose by ``order``; transposes that cancel are dropped."""
        combined = tuple(value.order[i] for i in order)
        return self.plain(Stored(value.name, combined))


class ExportContext(Protocol):
    """The interface of the exporter for the functions that export one operation."""

    emitter: Emitter

    def held(self, node: Node) -> Stored:
        """Return where a node's value is stored."""

    def plain(self, node: Node) -> str:
        """Return the name of a node's value in its own order of axes."""

    def shape_of(self, node: Node) -> str:
        """Return the name of a node's shape as an int64 vector."""

    def size(self, size: Any) -> str:
        """Return the name of one size as a vector of one number."""


def shape_proto(shape: Shape) -> list[int | str]:
    """Return a shape with the names of unknown sizes.

    >>> shape_proto((Dimension("N"), 3))
    ['N', 3]
    """
    return [str(size) if isinstance(size, Dimension) else int(size) for size in shape]
