"""Constructors of matrix products, convolutions, windows, and linear algebra of square matrices."""

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
    """Cast operands to a common floating-point type."""
    kind = dtypes.promote(*(x.dtype for x in nodes))
    kind = kind if kind.is_float else dtypes.FLOAT32
    if any(x.dtype is dtypes.BOOL for x in nodes):
        raise DTypeError(
            where, expected="numbers", got=" and ".join(describe(x) for x in nodes)
        )
    return tuple(cast(x, kind) for x in nodes)


def matmul(x: Node, y: Node) -> Node:
    """Return the matrix product of the last two axes; vectors and leading axes are treated as in NumPy.

    >>> from deltarule.graph.build import input_node
    >>> matmul(input_node("A", (2, 3)), input_node("x", (3,)))
    <reshape (2) float32>
    """
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
    shape = shapes.matmul(left.shape, right.shape, where)
    result = intern(Op.MATMUL, (left, right), {}, shape, left.dtype)
    if row or column:
        rows = () if row else (left.shape[-2],)
        columns = () if column else (right.shape[-1],)
        result = reshape(result, (*batch, *rows, *columns))
    return result


def convolve(
    x: Node,
    weight: Node,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int = 1,
) -> Node:
    """Return the convolution (cross-correlation) of x with a kernel, channels last.

    y[n, p, o] = Σ over k and c of x[n, p·stride + k·dilation − low, c]·w[o, k, c].

    Args:
        x: Inputs, shape (N, *spatial, C_in).
        weight: Kernels, shape (C_out, *kernel, C_in / groups).
        stride: Step of the window along each spatial axis.
        padding: Zeros (low, high) added along each spatial axis.
        dilation: Distance between the elements of the kernel along each spatial axis.
        groups: Number of groups of channels that are convolved separately.

    >>> from deltarule.graph.build import input_node
    >>> x, w = input_node("x", (1, 5, 2)), input_node("w", (4, 3, 2))
    >>> convolve(x, w, stride=[1], padding=[(1, 1)], dilation=[1])
    <convolve (1, 5, 4) float32>
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
    """Return the adjoint of ``convolve`` with respect to x, from (N, *out, C_out) to ``input_shape``.

    Args:
        y: Signals, shape (N, *out, C_out).
        weight: Kernels, shape (C_out, *kernel, C_in / groups).
        stride: Step of the window along each spatial axis.
        padding: Zeros (low, high) added along each spatial axis.
        dilation: Distance between the elements of the kernel along each spatial axis.
        groups: Number of groups of channels that are convolved separately.
        input_shape: Shape (N, *spatial, C_in) of the result.

    >>> from deltarule.graph.build import input_node
    >>> y, w = input_node("y", (1, 5, 4)), input_node("w", (4, 3, 2))
    >>> convolve_transposed(y, w, [1], [(1, 1)], [1], groups=1, input_shape=(1, 5, 2))
    <convolve_transposed (1, 5, 2) float32>
    """
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
    """Return the adjoint of ``convolve`` with respect to the weight, of shape ``weight_shape``.

    Args:
        x: Inputs, shape (N, *spatial, C_in).
        y: Signals, shape (N, *out, C_out).
        stride: Step of the window along each spatial axis.
        padding: Zeros (low, high) added along each spatial axis.
        dilation: Distance between the elements of the kernel along each spatial axis.
        groups: Number of groups of channels that are convolved separately.
        weight_shape: Shape (C_out, *kernel, C_in / groups) of the result.

    >>> from deltarule.graph.build import input_node
    >>> x, y = input_node("x", (1, 5, 2)), input_node("y", (1, 5, 4))
    >>> convolve_weight(x, y, [1], [(1, 1)], [1], groups=1, weight_shape=(4, 3, 2))
    <convolve_weight (4, 3, 2) float32>
    """
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
    """Return sliding windows over axes, with a trailing axis k for each.

    y[…, p, …, k] = x[…, p·stride + k·dilation, …].

    >>> from deltarule.graph.build import input_node
    >>> windows(input_node("x", (5,)), [0], [2], [1], [1])
    <windows (4, 2) float32>
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
    """Return the adjoint of ``windows``: overlapping windows are added up to ``shape`` (col2im, overlap-add).

    Args:
        y: Windows, with a trailing axis for each of ``axes``.
        axes: Axes of the window positions.
        window: Size of the window along each axis.
        stride: Step of the window along each axis.
        dilation: Distance between the elements of the window along each axis.
        shape: Shape of the result.

    >>> from deltarule.graph.build import input_node
    >>> fold(input_node("y", (4, 2)), [0], [2], [1], [1], shape=(5,))
    <fold (5) float32>
    """
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
    """Return A⁻¹B for A (…, n, n) and B (…, n, k) with equal leading sizes.

    >>> from deltarule.graph.build import input_node
    >>> solve(input_node("A", (3, 3)), input_node("B", (3, 2)))
    <solve (3, 2) float32>
    """
    matrix, right = _floats("solve", _square("solve", a), b)
    if right.rank != matrix.rank or right.shape[:-1] != matrix.shape[:-1]:
        raise ShapeError(
            "solve",
            expected=f"a right-hand side ({matrix.shape[-1]}, k)",
            got=describe(b),
        )
    return intern(Op.SOLVE, (matrix, right), {}, right.shape, matrix.dtype)


def log_determinant(a: Node) -> Node:
    """Return ln|det A| of square matrices in the last two axes.

    >>> from deltarule.graph.build import input_node
    >>> log_determinant(input_node("A", (3, 3)))
    <log_determinant () float32>
    """
    matrix = _square("log_determinant", a)
    return intern(Op.LOG_DETERMINANT, (matrix,), {}, matrix.shape[:-2], matrix.dtype)


def cholesky(a: Node) -> Node:
    """Return the lower triangular L with LLᵀ = A for symmetric positive definite A.

    >>> from deltarule.graph.build import input_node
    >>> cholesky(input_node("A", (3, 3)))
    <cholesky (3, 3) float32>
    """
    matrix = _square("cholesky", a)
    return intern(Op.CHOLESKY, (matrix,), {}, matrix.shape, matrix.dtype)
