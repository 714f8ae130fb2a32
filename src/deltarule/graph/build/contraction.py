"""Contractions (matrix products and convolutions), windows, and the linear algebra of square matrices."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule import dtypes, shapes
from deltarule.errors import DTypeError, ShapeError
from deltarule.graph.build.elementwise import cast
from deltarule.graph.build.leaves import describe
from deltarule.graph.build.movement import broadcast_to, reshape
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op
from deltarule.shapes import Shape


def _floats(where: str, *nodes: Node) -> tuple[Node, ...]:
    """Bring operands to one floating-point type."""
    kind = dtypes.promote(*(x.dtype for x in nodes))
    kind = kind if kind.is_float else dtypes.FLOAT32
    if any(x.dtype is dtypes.BOOL for x in nodes):
        raise DTypeError(
            where, expected="numbers", got=" and ".join(describe(x) for x in nodes)
        )
    return tuple(cast(x, kind) for x in nodes)


def matmul(x: Node, y: Node) -> Node:
    """The matrix product of the last two axes; vectors and leading axes as in NumPy."""
    where = f"matmul of {describe(x)} and {describe(y)}"
    left, right = _floats("matmul", x, y)
    if not left.rank or not right.rank:
        raise ShapeError(
            where,
            expected="vectors or matrices",
            got="a scalar",
            hint="Use * for a scalar factor.",
        )
    row, column = left.rank == 1, right.rank == 1
    left = reshape(left, (1, *left.shape)) if row else left
    right = reshape(right, (*right.shape, 1)) if column else right
    if left.shape[-1] != right.shape[-2]:
        raise ShapeError(
            where,
            expected=f"inner sizes to agree ({left.shape[-1]} ≠ {right.shape[-2]})",
            got=f"{shapes.show(x.shape)} @ {shapes.show(y.shape)}",
            hint="Transpose one operand, or change the size of the layer before.",
        )
    batch = shapes.broadcast(left.shape[:-2], right.shape[:-2], where=where)
    left = broadcast_to(left, (*batch, *left.shape[-2:]))
    right = broadcast_to(right, (*batch, *right.shape[-2:]))
    result = intern(
        Op.MATMUL,
        (left, right),
        {},
        shapes.matmul(left.shape, right.shape, where),
        left.dtype,
    )
    if row or column:
        kept = (
            *batch,
            *(() if row else (left.shape[-2],)),
            *(() if column else (right.shape[-1],)),
        )
        result = reshape(result, kept)
    return result


def convolve(
    x: Node,
    weight: Node,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int = 1,
) -> Node:
    """Correlate (N, *spatial, C_in) with (C_out, *kernel, C_in/groups).

    y[n, p, o] = Σ over k and c of x[n, p·stride + k·dilation − low, c]·w[o, k, c].
    """
    image, kernel = _floats("convolve", x, weight)
    where = f"convolve {describe(x)} with {describe(weight)}"
    shape = shapes.convolved(
        image.shape, kernel.shape, stride, padding, dilation, groups, where
    )
    return intern(
        Op.CONVOLVE,
        (image, kernel),
        _geometry(stride, padding, dilation, groups),
        shape,
        image.dtype,
    )


def convolve_transposed(
    y: Node,
    weight: Node,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
    input_shape: Shape,
) -> Node:
    """The adjoint of ``convolve`` in x: from (N, *out, C_out) back to ``input_shape``."""
    signal, kernel = _floats("convolve_transposed", y, weight)
    expected = shapes.convolved(
        tuple(input_shape), kernel.shape, stride, padding, dilation, groups
    )
    if expected != signal.shape:
        raise ShapeError(
            "convolve_transposed", expected=shapes.show(expected), got=describe(y)
        )
    attributes = {
        **_geometry(stride, padding, dilation, groups),
        "input_shape": tuple(input_shape),
    }
    return intern(
        Op.CONVOLVE_TRANSPOSED,
        (signal, kernel),
        attributes,
        tuple(input_shape),
        signal.dtype,
    )


def convolve_weight(
    x: Node,
    y: Node,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
    weight_shape: Shape,
) -> Node:
    """The adjoint of ``convolve`` in the weight: from x and (N, *out, C_out) to ``weight_shape``."""
    image, signal = _floats("convolve_weight", x, y)
    expected = shapes.convolved(
        image.shape, tuple(weight_shape), stride, padding, dilation, groups
    )
    if expected != signal.shape:
        raise ShapeError(
            "convolve_weight", expected=shapes.show(expected), got=describe(y)
        )
    attributes = {
        **_geometry(stride, padding, dilation, groups),
        "weight_shape": tuple(weight_shape),
    }
    return intern(
        Op.CONVOLVE_WEIGHT,
        (image, signal),
        attributes,
        tuple(weight_shape),
        image.dtype,
    )


def _geometry(
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
) -> dict[str, object]:
    low_high = tuple((low, high) for low, high in padding)
    return {
        "stride": tuple(stride),
        "padding": low_high,
        "dilation": tuple(dilation),
        "groups": groups,
    }


def windows(
    x: Node,
    axes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Node:
    """Slide windows over axes, with one trailing axis k for each of them.

    y[…, p, …, k] = x[…, p·stride + k·dilation, …].
    """
    over = tuple(shapes.axis(i, x.rank, "windows") for i in axes)
    shape = list(x.shape)
    for i, width, step, spread in zip(over, window, stride, dilation, strict=True):
        shape[i] = shapes.window_count(x.shape[i], width, step, spread)
        if shape[i] < 1:
            raise ShapeError(
                "windows",
                expected=f"a size that fits a window of {width}",
                got=describe(x),
            )
    geometry = {
        "axes": over,
        "window": tuple(window),
        "stride": tuple(stride),
        "dilation": tuple(dilation),
    }
    return intern(Op.WINDOWS, (x,), geometry, (*shape, *window), x.dtype)


def fold(
    y: Node,
    axes: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    shape: Shape,
) -> Node:
    """The adjoint of ``windows``: add overlapping windows back to ``shape``."""
    expected = list(shape)
    for i, width, step, spread in zip(axes, window, stride, dilation, strict=True):
        expected[i] = shapes.window_count(shape[i], width, step, spread)
    if y.shape != (*expected, *window):
        raise ShapeError(
            "fold", expected=shapes.show((*expected, *window)), got=describe(y)
        )
    geometry = {
        "axes": tuple(axes),
        "window": tuple(window),
        "stride": tuple(stride),
        "dilation": tuple(dilation),
    }
    return intern(
        Op.FOLD, (y,), {**geometry, "shape": tuple(shape)}, tuple(shape), y.dtype
    )


def _square(where: str, a: Node) -> Node:
    (matrix,) = _floats(where, a)
    if matrix.rank < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ShapeError(
            where, expected="a square matrix in the last two axes", got=describe(a)
        )
    return matrix


def solve(a: Node, b: Node) -> Node:
    """A⁻¹B for square A (…, n, n) and B (…, n, k), equal leading sizes."""
    matrix, right = _floats("solve", _square("solve", a), b)
    if right.rank != matrix.rank or right.shape[:-1] != matrix.shape[:-1]:
        raise ShapeError(
            "solve", expected=f"a right side ({matrix.shape[-1]}, k)", got=describe(b)
        )
    return intern(Op.SOLVE, (matrix, right), {}, right.shape, matrix.dtype)


def log_determinant(a: Node) -> Node:
    """ln|det A|."""
    matrix = _square("log_determinant", a)
    return intern(Op.LOG_DETERMINANT, (matrix,), {}, matrix.shape[:-2], matrix.dtype)


def cholesky(a: Node) -> Node:
    """The lower L with LLᵀ = A for symmetric positive definite A."""
    matrix = _square("cholesky", a)
    return intern(Op.CHOLESKY, (matrix,), {}, matrix.shape, matrix.dtype)
