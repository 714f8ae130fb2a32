"""Constructors of nodes that rearrange values: reshape, permute, slice, pad, concatenate, gather and others."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from deltarule import dtypes, shapes
from deltarule.errors import ArgumentError, DTypeError, ShapeError
from deltarule.graph.build.leaves import describe
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op
from deltarule.shapes import Shape, Size


def reshape(x: Node, shape: Sequence[Size]) -> Node:
    """Return the same values in row-major order in another shape; one size may be -1 (inferred).

    >>> from deltarule.graph.build import input_node
    >>> reshape(input_node("x", (2, 3)), (-1,))
    <reshape (6) float32>
    """
    target = shapes.reshaped(x.shape, tuple(shape), where=f"reshape of {describe(x)}")
    if target == x.shape:
        return x
    return intern(Op.RESHAPE, (x,), {"shape": target}, target, x.dtype)


def expand_dims(x: Node, axes: Sequence[int]) -> Node:
    """Insert axes of size 1 at these positions of the result.

    >>> from deltarule.graph.build import input_node
    >>> expand_dims(input_node("x", (2, 3)), (0,))
    <reshape (1, 2, 3) float32>
    """
    rank = x.rank + len(axes)
    where = shapes.axes(tuple(axes), rank, "expand_dims")
    rest = iter(x.shape)
    return reshape(x, tuple(1 if i in where else next(rest) for i in range(rank)))


def permute(x: Node, order: Sequence[int]) -> Node:
    """Permute axes: axis i of the result is axis ``order[i]`` of ``x``.

    >>> from deltarule.graph.build import input_node
    >>> permute(input_node("x", (2, 3)), (1, 0))
    <permute (3, 2) float32>
    """
    normal = tuple(shapes.axis(i, x.rank, "permute") for i in order)
    if sorted(normal) != list(range(x.rank)):
        raise ShapeError(
            "permute", expected=f"each of {x.rank} axes once", got=str(tuple(order))
        )
    if normal == tuple(range(x.rank)):
        return x
    return intern(
        Op.PERMUTE, (x,), {"order": normal}, tuple(x.shape[i] for i in normal), x.dtype
    )


def matrix_transpose(x: Node) -> Node:
    """Transpose the last two axes.

    >>> from deltarule.graph.build import input_node
    >>> matrix_transpose(input_node("A", (2, 3)))
    <permute (3, 2) float32>
    """
    if x.rank < 2:
        raise ShapeError("transpose", expected="at least two axes", got=describe(x))
    return permute(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def broadcast_to(x: Node, shape: Shape) -> Node:
    """Broadcast to a shape by NumPy's rules.

    >>> from deltarule.graph.build import input_node
    >>> broadcast_to(input_node("x", (3,)), (2, 3))
    <broadcast (2, 3) float32>
    """
    target = shapes.sizes(shape, f"broadcast of {describe(x)}")
    if x.shape == target:
        return x
    if shapes.broadcast(x.shape, target, where=f"broadcast of {describe(x)}") != target:
        raise ShapeError(
            f"broadcast of {describe(x)}",
            expected="a shape that it broadcasts to",
            got=shapes.show(target),
        )
    return intern(Op.BROADCAST, (x,), {"shape": target}, target, x.dtype)


def slice_axes(
    x: Node,
    starts: Sequence[int],
    stops: Sequence[Size],
    steps: Sequence[int] | None = None,
) -> Node:
    """Return x[start:stop:step, …] with 0 ≤ start ≤ stop ≤ size and step ≥ 1, one triple per axis.

    >>> from deltarule.graph.build import input_node
    >>> slice_axes(input_node("x", (5,)), [1], [5], [2])
    <slice (2) float32>
    """
    strides = tuple(steps) if steps is not None else (1,) * x.rank
    if not len(starts) == len(stops) == len(strides) == x.rank:
        raise ShapeError(
            "slice", expected=f"{x.rank} ranges", got=f"{len(starts)} for {describe(x)}"
        )
    result: list[Size] = []
    for start, stop, step, size in zip(starts, stops, strides, x.shape, strict=True):
        if stop == size and start == 0 and step == 1:
            result.append(size)
        elif isinstance(size, int) and 0 <= start <= stop <= size and step >= 1:
            result.append(-(-(stop - start) // step))
        else:
            raise ShapeError(
                f"slice of {describe(x)}",
                expected="ranges inside the shape",
                got=f"{start}:{stop}:{step}",
            )
    if tuple(result) == x.shape and all(step == 1 for step in strides):
        return x
    ranges = {"starts": tuple(starts), "stops": tuple(stops), "steps": strides}
    return intern(Op.SLICE, (x,), ranges, tuple(result), x.dtype)


def pad(
    x: Node,
    low: Sequence[int],
    high: Sequence[int],
    interior: Sequence[int] | None = None,
) -> Node:
    """Pad with zeros: per axis ``low`` before, ``high`` after and ``interior`` between neighbouring elements.

    >>> from deltarule.graph.build import input_node
    >>> pad(input_node("x", (5,)), [1], [2])
    <pad (8) float32>
    """
    inner = tuple(interior) if interior is not None else (0,) * x.rank
    fits = len(low) == len(high) == len(inner) == x.rank
    whole = all(isinstance(n, Integral) for n in (*low, *high, *inner))
    if not fits or not whole or min((*low, *high, *inner), default=0) < 0:
        raise ShapeError(
            f"pad of {describe(x)}",
            expected=f"{x.rank} widths on each side that are whole numbers ≥ 0",
            got=f"{low}, {high}",
        )
    if not any((*low, *high, *inner)):
        return x
    result = tuple(
        size if (a, b, c) == (0, 0, 0) else a + b + size + max(size - 1, 0) * c
        for size, a, b, c in zip(x.shape, low, high, inner, strict=True)
    )
    widths = {"low": tuple(low), "high": tuple(high), "interior": inner}
    return intern(Op.PAD, (x,), widths, result, x.dtype)


def flip(x: Node, axes: Sequence[int]) -> Node:
    """Reverse the order of elements along axes.

    >>> from deltarule.graph.build import input_node
    >>> flip(input_node("x", (3,)), [0])
    <flip (3) float32>
    """
    over = shapes.axes(tuple(axes), x.rank, "flip")
    return intern(Op.FLIP, (x,), {"axes": over}, x.shape, x.dtype) if over else x


def concatenate(parts: Sequence[Node], axis: int) -> Node:
    """Concatenate along an axis; all other sizes must agree.

    >>> from deltarule.graph.build import input_node
    >>> concatenate([input_node("x", (5,)), input_node("y", (2,))], 0)
    <concatenate (7) float32>
    """
    if not parts:
        raise ArgumentError("concatenate", expected="at least one tensor", got="none")
    where = shapes.axis(axis, parts[0].rank, "concatenate")
    kind = dtypes.promote(*(part.dtype for part in parts))
    other_sizes = shapes.reduced(parts[0].shape, (where,))
    total = 0
    for part in parts:
        if (
            part.rank != parts[0].rank
            or not isinstance(part.shape[where], int)
            or shapes.reduced(part.shape, (where,)) != other_sizes
        ):
            raise ShapeError(
                "concatenate",
                expected=f"equal sizes except on axis {where}",
                got=" and ".join(describe(p) for p in parts),
            )
        if part.dtype is not kind:
            raise DTypeError(
                "concatenate", expected=f"one element type ({kind})", got=describe(part)
            )
        total += part.shape[where]
    if len(parts) == 1:
        return parts[0]
    result = (*parts[0].shape[:where], total, *parts[0].shape[where + 1 :])
    return intern(Op.CONCATENATE, tuple(parts), {"axis": where}, result, kind)


def gather(x: Node, indices: Node, axis: int = 0) -> Node:
    """Return slices of ``x`` along an axis, of shape x.shape[:axis] + indices.shape + x.shape[axis + 1:].

    Indices are ≥ 0 and are checked when the graph is run.

    >>> from deltarule.graph.build import iota, input_node
    >>> gather(input_node("x", (5, 2)), iota((3,), 0))
    <gather (3, 2) float32>
    """
    where = shapes.axis(axis, x.rank, "gather")
    if not indices.dtype.is_integer:
        raise DTypeError(
            "gather", expected="whole-number indices", got=describe(indices)
        )
    result = (*x.shape[:where], *indices.shape, *x.shape[where + 1 :])
    return intern(Op.GATHER, (x, indices), {"axis": where}, result, x.dtype)


def scatter_add(indices: Node, updates: Node, axis: int, size: int) -> Node:
    """Return zeros of length ``size`` along ``axis`` to which each update is added at its index.

    Args:
        indices: Integers in [0, size).
        updates: Values, with the axes of ``indices`` from ``axis`` on.
        axis: The axis of the result.
        size: Its size.

    >>> from deltarule.graph.build import iota, input_node
    >>> scatter_add(iota((3,), 0), input_node("u", (3, 2)), axis=0, size=5)
    <scatter_add (5, 2) float32>
    """
    if not indices.dtype.is_integer:
        raise DTypeError(
            "scatter_add", expected="whole-number indices", got=describe(indices)
        )
    if updates.shape[axis : axis + indices.rank] != indices.shape:
        raise ShapeError(
            "scatter_add",
            expected=f"updates whose shape contains that of the indices, {shapes.show(indices.shape)}",
            got=describe(updates),
        )
    result = (*updates.shape[:axis], size, *updates.shape[axis + indices.rank :])
    return intern(
        Op.SCATTER_ADD,
        (indices, updates),
        {"axis": axis, "size": size},
        result,
        updates.dtype,
    )


def argsort(x: Node, axis: int = -1) -> Node:
    """Return the indices that sort along an axis in ascending order (stable).

    >>> from deltarule.graph.build import input_node
    >>> argsort(input_node("x", (3,)))
    <argsort (3) int64>
    """
    where = shapes.axis(axis, x.rank, "argsort")
    return intern(Op.ARGSORT, (x,), {"axis": where}, x.shape, dtypes.INT64)
