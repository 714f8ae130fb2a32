"""Reductions and scans: sums, maxima, running sums, and the mean built on them."""

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
    result = (
        intern(op, (x,), {"axes": over}, shapes.reduced(x.shape, over), x.dtype)
        if over
        else x
    )
    return (
        reshape(result, shapes.reduced(x.shape, over, keepdims=True))
        if keepdims
        else result
    )


def sum_over(
    x: Node, axes: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """Σ over axes (all of them by default); whole numbers are summed in int64."""
    return _reduce(
        Op.SUM, x if x.dtype.is_float else cast(x, dtypes.INT64), axes, keepdims
    )


def cumulative_sum(x: Node, axis: int) -> Node:
    """Sums of all elements up to and including each one along an axis; whole numbers are summed in int64."""
    where = shapes.axis(axis, x.rank, "cumsum")
    values = x if x.dtype.is_float else cast(x, dtypes.INT64)
    return intern(
        Op.CUMULATIVE_SUM, (values,), {"axis": where}, values.shape, values.dtype
    )


def maximum_over(
    x: Node, axes: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """The maximum over axes; at a tie the gradient goes to the first one in row-major order."""
    over = shapes.axes(axes, x.rank, "max")
    if any(x.shape[i] == 0 for i in over):
        raise ShapeError("max", expected="at least one element", got=describe(x))
    return _reduce(Op.MAX, x, over, keepdims)


def argmax(x: Node, axis: int = -1) -> Node:
    """The index of the first maximum along an axis, int64."""
    where = shapes.axis(axis, x.rank, "argmax")
    if x.shape[where] == 0:
        raise ShapeError("argmax", expected="at least one element", got=describe(x))
    return intern(
        Op.ARGMAX,
        (x,),
        {"axis": where},
        shapes.reduced(x.shape, (where,)),
        dtypes.INT64,
    )


def mean(
    x: Node, axes: int | Sequence[int] | None = None, keepdims: bool = False
) -> Node:
    """Σ / n over axes, also where n is not known yet; whole numbers are added exactly, their mean is float32."""
    over = shapes.axes(axes, x.rank, "mean")
    if any(x.shape[i] == 0 for i in over):
        raise ShapeError("mean", expected="at least one element", got=describe(x))
    values = x if x.dtype.is_float else cast(x, dtypes.FLOAT32)
    if x.dtype.is_integer:
        total = cast(
            _reduce(Op.SUM, cast(x, dtypes.INT64), over, keepdims), dtypes.FLOAT64
        )
        return cast(divide(total, size(x.shape, over, dtypes.FLOAT64)), dtypes.FLOAT32)
    return divide(
        _reduce(Op.SUM, values, over, keepdims), size(x.shape, over, values.dtype)
    )
