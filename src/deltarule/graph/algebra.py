"""Operations of NumPy composed of primitives: minimum, variance, product, sort, norm and others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deltarule import dtypes, shapes
from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import build
from deltarule.graph.functions import euclidean_norm
from deltarule.graph.node import Node

Axes = int | Sequence[int] | None


def _order_reversed(x: Node) -> Node:
    """Reverse the order of values without overflow: −x for floats, −1 − x for int, maximum − x for uint."""
    if x.dtype.is_float:
        return build.negate(x)
    return build.subtract(-1 if x.dtype.kind == "int" else 2**x.dtype.bits - 1, x)


def less_equal(x: build.Operand, y: build.Operand) -> Node:
    """Return whether x ≤ y, element by element.

    >>> less_equal(1, 2)
    <or () bool>
    """
    return build.logical_or(build.less(x, y), build.equal(x, y))


def minimum_over(x: Node, axes: Axes = None, keepdims: bool = False) -> Node:
    """Return the minimum over axes; at a tie the gradient goes to the first.

    >>> minimum_over(build.input_node("x", (2, 3)), 1)
    <negate (2) float32>
    """
    return _order_reversed(build.maximum_over(_order_reversed(x), axes, keepdims))


def argmin(x: Node, axis: int = -1) -> Node:
    """Return the index of the first minimum along an axis.

    >>> argmin(build.input_node("x", (2, 3)))
    <argmax (2) int64>
    """
    return build.argmax(_order_reversed(x), axis)


def variance(
    x: Node, axes: Axes = None, keepdims: bool = False, correction: int = 0
) -> Node:
    """Return the variance Σ(x − mean)² / (n − correction) over axes.

    >>> variance(build.input_node("x", (2, 3)), 0)
    <divide (3) float32>
    """
    over = shapes.axes(axes, x.rank, "var")
    centred = build.subtract(x, build.mean(x, over, keepdims=True))
    total = build.sum_over(build.multiply(centred, centred), over, keepdims)
    return build.divide(
        total, build.subtract(build.size(x.shape, over, total.dtype), correction)
    )


def product_over(x: Node, axis: int, keepdims: bool = False) -> Node:
    """Return the product along an axis, by pairwise halving; integers multiply in int64.

    >>> product_over(build.input_node("x", (2, 3)), 1).shape
    (2,)
    """
    where = shapes.axis(axis, x.rank, "prod")
    kept = x.shape[:where] + ((1,) if keepdims else ()) + x.shape[where + 1 :]
    x = x if x.dtype.is_float else build.cast(x, dtypes.INT64)
    if x.shape[where] == 0:
        return build.full(kept, 1, x.dtype)
    while x.shape[where] > 1:
        half, odd = divmod(x.shape[where], 2)
        product = build.multiply(
            part(x, where, 0, half), part(x, where, half, 2 * half)
        )
        rest = [part(x, where, 2 * half, 2 * half + 1)] if odd else []
        x = build.concatenate([product, *rest], where)
    return build.reshape(x, kept)


def part(x: Node, axis: int, start: int, stop: int) -> Node:
    """Return x[start:stop] along one axis.

    >>> part(build.input_node("x", (2, 3)), 1, 0, 2)
    <slice (2, 2) float32>
    """
    starts = [start if i == axis else 0 for i in range(x.rank)]
    stops = [stop if i == axis else size for i, size in enumerate(x.shape)]
    return build.slice_axes(x, starts, stops)


def stack(parts: Sequence[Node], axis: int = 0) -> Node:
    """Stack along a new axis.

    >>> stack([build.input_node("x", (3,)), build.input_node("y", (3,))]).shape
    (2, 3)
    """
    if not parts:
        raise ArgumentError("stack", expected="at least one tensor", got="none")
    where = shapes.axis(axis, parts[0].rank + 1, "stack")
    return build.concatenate([build.expand_dims(x, (where,)) for x in parts], where)


def swap_axes(x: Node, first: int, second: int) -> Node:
    """Swap two axes.

    >>> swap_axes(build.input_node("x", (2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    order = list(range(x.rank))
    a = shapes.axis(first, x.rank, "swapaxes")
    b = shapes.axis(second, x.rank, "swapaxes")
    order[a], order[b] = b, a
    return build.permute(x, order)


def identity(n: int, dtype: dtypes.DType, batch: shapes.Shape = ()) -> Node:
    """Return the n × n identity matrix, repeated over leading axes.

    >>> identity(3, dtypes.FLOAT32).shape
    (3, 3)
    """
    shape = (*batch, n, n)
    rows, columns = build.iota(shape, len(batch)), build.iota(shape, len(batch) + 1)
    return build.cast(build.equal(rows, columns), dtype)


def triangle(x: Node, lower: bool, diagonal: int = 0) -> Node:
    """Set all but the lower (or upper) triangle of the last two axes to zero.

    >>> triangle(build.input_node("A", (3, 3)), lower=True)
    <where (3, 3) float32>
    """
    rows, columns = build.iota(x.shape, x.rank - 2), build.iota(x.shape, x.rank - 1)
    beyond = build.less(build.add(rows, diagonal), columns)
    before = build.less(columns, build.add(rows, diagonal))
    return build.where(beyond if lower else before, 0, x)


def diagonal(x: Node) -> Node:
    """Return the main diagonal of the last two axes.

    >>> diagonal(build.input_node("A", (3, 3))).shape
    (3,)
    """
    if x.rank < 2:
        raise ShapeError(
            "diagonal", expected="a matrix in the last two axes", got=build.describe(x)
        )
    n = min(x.shape[-2], x.shape[-1])
    square = part(part(x, x.rank - 2, 0, n), x.rank - 1, 0, n)
    on = build.equal(
        build.iota(square.shape, x.rank - 2), build.iota(square.shape, x.rank - 1)
    )
    return build.sum_over(build.where(on, square, 0), -1)


def diagonal_matrix(x: Node) -> Node:
    """Return the diagonal matrix of the last axis.

    >>> diagonal_matrix(build.input_node("x", (3,))).shape
    (3, 3)
    """
    shape = (*x.shape, x.shape[-1])
    on = build.equal(build.iota(shape, x.rank - 1), build.iota(shape, x.rank))
    return build.where(on, build.expand_dims(x, (x.rank,)), 0)


def trace(x: Node) -> Node:
    """Return the sum of the main diagonal; a scalar is its own trace.

    >>> trace(build.input_node("A", (3, 3))).shape
    ()
    """
    return x if x.rank == 0 else build.sum_over(diagonal(x), -1)


def outer(x: Node, y: Node) -> Node:
    """Return the outer product x yᵀ of two vectors.

    >>> outer(build.input_node("x", (3,)), build.input_node("y", (2,))).shape
    (3, 2)
    """
    if x.rank != 1 or y.rank != 1:
        raise ShapeError(
            "outer",
            expected="two vectors",
            got=f"{build.describe(x)} and {build.describe(y)}",
        )
    return build.multiply(build.expand_dims(x, (1,)), build.expand_dims(y, (0,)))


def norm(
    x: Node, p: float | str = 2, axes: Axes = None, keepdims: bool = False
) -> Node:
    """Return the norm (Σ|x|ᵖ)^(1/p) of the entries over axes; p ≥ 1, infinity or "fro".

    >>> norm(build.input_node("x", (3, 2)), axes=1)
    <euclidean_norm (3) float32>
    """
    over = shapes.axes(axes, x.rank, "norm")
    x = x if x.dtype.is_float else build.cast(x, dtypes.FLOAT32)
    if p in {2, "fro"}:
        result = euclidean_norm(x, axes=over)
    elif isinstance(p, str) or not p >= 1:
        raise ArgumentError("norm", expected="p ≥ 1, infinity or 'fro'", got=repr(p))
    elif p == math.inf:
        result = build.maximum_over(build.absolute(x), over)
    elif p == 1:
        result = build.sum_over(build.absolute(x), over)
    else:
        result = build.power(
            build.sum_over(build.power(build.absolute(x), p), over), 1 / p
        )
    if not keepdims:
        return result
    return build.reshape(result, shapes.reduced(x.shape, over, keepdims=True))


def induced_infinity_norm(a: Node) -> Node:
    """Return the largest absolute row sum, maxₖ Σⱼ |Aₖⱼ|.

    >>> induced_infinity_norm(build.input_node("A", (3, 3)))
    <max () float32>
    """
    return build.maximum_over(build.sum_over(build.absolute(a), -1), -1)


def cumulative_product(x: Node, axis: int) -> Node:
    """Return the cumulative product along an axis; integers multiply in int64.

    A parallel prefix scan in log₂ n steps (Hillis and Steele 1986).

    >>> cumulative_product(build.input_node("x", (3,)), 0).shape
    (3,)
    """
    where = shapes.axis(axis, x.rank, "cumprod")
    x = x if x.dtype.is_float else build.cast(x, dtypes.INT64)
    n, reach = x.shape[where], 1
    while reach < n:
        later = build.multiply(part(x, where, reach, n), part(x, where, 0, n - reach))
        x = build.concatenate([part(x, where, 0, reach), later], where)
        reach *= 2
    return x


def take_along_axis(x: Node, indices: Node, axis: int) -> Node:
    """Return x[…, indices[…, i, …], …] along an axis; the other sizes must agree.

    >>> take_along_axis(build.input_node("x", (4, 3)), build.iota((4, 1), 0), 1).shape
    (4, 1)
    """
    where = shapes.axis(axis, x.rank, "take_along_axis")
    if shapes.reduced(x.shape, (where,)) != shapes.reduced(indices.shape, (where,)):
        raise ShapeError(
            "take_along_axis", expected=build.describe(x), got=build.describe(indices)
        )
    chosen = build.cast(indices, dtypes.INT64)
    wrapped = build.where(
        build.less(chosen, 0), build.add(chosen, x.shape[where]), chosen
    )
    inside = build.logical_and(
        build.less(-1, wrapped), build.less(wrapped, x.shape[where])
    )
    linear = wrapped
    stride = 1
    offset = build.full(indices.shape, 0, dtypes.INT64)
    for i in reversed(range(x.rank)):
        position = linear if i == where else build.iota(indices.shape, i)
        offset = build.add(offset, build.multiply(position, stride))
        stride *= x.shape[i]
    # an index out of range must not address another row: −1 raises an error at run time
    return build.gather(build.reshape(x, (stride,)), build.where(inside, offset, -1), 0)


def sort(x: Node, axis: int = -1) -> Node:
    """Sort along an axis in ascending order; the gradient is permuted accordingly.

    >>> sort(build.input_node("x", (3,))).shape
    (3,)
    """
    return take_along_axis(x, build.argsort(x, axis), axis)
