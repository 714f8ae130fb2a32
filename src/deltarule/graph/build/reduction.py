"""Constructors of reductions and scans: sum, maximum, argmax, cumulative sum, mean."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule import dtypes, shapes
from deltarule.errors import ShapeError
from deltarule.graph.build.elementwise import cast, divide
from deltarule.graph.build.leaves import describe, size
from deltarule.graph.build.movement import reshape
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op


def _reduce(op: Op, x: Node, axes: int | Sequence[int] | None, keepdims: bool) -> Node:
    over = shapes.axes(axes, x.rank, op.name.lower())
    result = x
    if over:
        shape = shapes.reduced(x.shape, over)
        result = intern(op, (x,), {"axes": over}, shape, x.dtype)
    if not keepdims:
        return result
    return reshape(result, shapes.reduced(x.shape, over, keepdims=True))


def sum_over(
    x: Node, axes: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """Return the sum over axes (all by default); integers are summed in int64.

    >>> from deltarule.graph.build import input_node
    >>> sum_over(input_node("x", (2, 3)), 1)
    <sum (2) float32>
    """
    values = x if x.dtype.is_float else cast(x, dtypes.INT64)
    return _reduce(Op.SUM, values, axes, keepdims)


def cumulative_sum(x: Node, axis: int) -> Node:
    """Return the cumulative sum along an axis; integers are summed in int64.

    >>> from deltarule.graph.build import input_node
    >>> cumulative_sum(input_node("x", (2, 3)), 1)
    <cumulative_sum (2, 3) float32>
    """
    where = shapes.axis(axis, x.rank, "cumsum")
    values = x if x.dtype.is_float else cast(x, dtypes.INT64)
    return intern(
        Op.CUMULATIVE_SUM, (values,), {"axis": where}, values.shape, values.dtype
    )


def maximum_over(
    x: Node, axes: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """Return the maximum over axes; at a tie the gradient goes to the first in row-major order.

    >>> from deltarule.graph.build import input_node
    >>> maximum_over(input_node("x", (2, 3)), 1)
    <max (2) float32>
    """
    over = shapes.axes(axes, x.rank, "max")
    if any(x.shape[i] == 0 for i in over):
        raise ShapeError("max", expected="at least one element", got=describe(x))
    return _reduce(Op.MAX, x, over, keepdims)


def argmax(x: Node, axis: int = -1) -> Node:
    """Return the index of the first maximum along an axis, in int64.

    >>> from deltarule.graph.build import input_node
    >>> argmax(input_node("x", (2, 3)), 1)
    <argmax (2) int64>
    """
    where = shapes.axis(axis, x.rank, "argmax")
    if x.shape[where] == 0:
        raise ShapeError("argmax", expected="at least one element", got=describe(x))
    shape = shapes.reduced(x.shape, (where,))
    return intern(Op.ARGMAX, (x,), {"axis": where}, shape, dtypes.INT64)


def mean(
    x: Node, axes: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """Return the mean Σ / n over axes; n may be unknown. Integers are summed exactly, their mean is float32.

    >>> from deltarule.graph.build import input_node
    >>> mean(input_node("x", (2, 3)), 1)
    <divide (2) float32>
    """
    over = shapes.axes(axes, x.rank, "mean")
    if any(x.shape[i] == 0 for i in over):
        raise ShapeError("mean", expected="at least one element", got=describe(x))
    values = x if x.dtype.is_float else cast(x, dtypes.FLOAT32)
    if x.dtype.is_integer:
        total = _reduce(Op.SUM, cast(x, dtypes.INT64), over, keepdims)
        n = size(x.shape, over, dtypes.FLOAT64)
        return cast(divide(cast(total, dtypes.FLOAT64), n), dtypes.FLOAT32)
    total = _reduce(Op.SUM, values, over, keepdims)
    return divide(total, size(x.shape, over, values.dtype))
