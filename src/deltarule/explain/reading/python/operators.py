"""The operators of Python, of arrays and of plain numbers."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from deltarule import dtypes
from deltarule.explain.reading.python.arrays import Value, as_array
from deltarule.graph import build
from deltarule.graph.node import Node

BINARY: dict[type[ast.operator], Callable[[Node, Node], Node]] = {
    ast.Add: build.add,
    ast.Sub: build.subtract,
    ast.Mult: build.multiply,
    ast.Div: build.divide,
    ast.Pow: build.power,
}
OF_TRUTH: dict[type[ast.operator], Callable[[Node, Node], Node]] = {
    ast.Add: build.logical_or,
    ast.Mult: build.logical_and,
}  # of two comparisons, as in NumPy
NO_MINUS = "numbers: NumPy has no minus for True and False, multiply them by 1.0"
NUMBERS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda x, y: x + y,
    ast.Sub: lambda x, y: x - y,
    ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: x / y,
    ast.FloorDiv: lambda x, y: x // y,
    ast.Pow: lambda x, y: (
        math.pow(x, y) if y < 0 or isinstance(x + y, float) else x ** min(int(y), 64)
    ),
}
COMPARE: dict[type[ast.cmpop], Callable[[Node, Node], Node]] = {
    ast.Gt: lambda x, y: build.less(y, x),
    ast.Lt: build.less,
    ast.GtE: lambda x, y: build.logical_not(build.less(x, y)),
    ast.LtE: lambda x, y: build.logical_not(build.less(y, x)),
    ast.Eq: build.equal,
    ast.NotEq: lambda x, y: build.logical_not(build.equal(x, y)),
}
COMPARE_NUMBERS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: lambda x, y: x > y,
    ast.Lt: lambda x, y: x < y,
    ast.GtE: lambda x, y: x >= y,
    ast.LtE: lambda x, y: x <= y,
    ast.Eq: lambda x, y: x == y,
    ast.NotEq: lambda x, y: x != y,
}


def numeric(node: Node) -> Node:
    """Return truth values as numbers."""
    return build.cast(node, dtypes.FLOAT64) if node.dtype is dtypes.BOOL else node


def truth(value: Value) -> Node:
    """Return a value as truth values."""
    node = value if isinstance(value, Node) else as_array(float(value))
    if node.dtype is dtypes.BOOL:
        return node
    return build.logical_not(build.equal(node, 0.0))


def sizes(node: Node) -> tuple[Value, ...]:
    """Return the shape of an array; sizes that are not known are nodes."""
    return tuple(
        size
        if isinstance(size, int)
        else build.size(node.shape, (axis,), dtypes.FLOAT64)
        for axis, size in enumerate(node.shape)
    )
