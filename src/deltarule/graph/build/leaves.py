"""Leaves: inputs, constants, unknown sizes, index ramps, random numbers."""

from __future__ import annotations

import math
from itertools import count as counter

from deltarule import dtypes, shapes
from deltarule.dtypes import DType, Scalar
from deltarule.errors import ArgumentError, DTypeError, ShapeError
from deltarule.graph.build.quantity import Quantity
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op
from deltarule.shapes import Dimension, Shape

Operand = Node | Scalar
_next_uid = counter(1)


def describe(node: Node) -> str:
    """Name a node in an error message: its own name if it has one, else its operation, with its shape."""
    label = (
        node.attributes.get("name")
        or node.attributes.get("function")
        or node.op.name.lower()
    )
    return f"{label} {shapes.show(node.shape)}"


def input_node(name: str, shape: Shape, dtype: DType = dtypes.FLOAT32) -> Node:
    """Return a new leaf whose value is given when the graph is run; two calls never give the same node."""
    for size in shape:
        if (
            isinstance(size, bool)
            or not isinstance(size, (int, Dimension))
            or (isinstance(size, int) and size < 0)
        ):
            raise ShapeError(
                f"input {name!r}",
                expected="sizes that are whole numbers ≥ 0",
                got=repr(shape),
            )
    return intern(
        Op.INPUT, (), {"name": name, "uid": next(_next_uid)}, tuple(shape), dtype
    )


def constant(value: Scalar, dtype: DType | None = None) -> Node:
    """Return a scalar constant, of the weak type of ``value`` unless ``dtype`` is given."""
    if not isinstance(value, (bool, int, float)):
        raise DTypeError(
            "constant",
            expected="a Python number",
            got=f"{type(value).__name__} {value!r}",
        )
    kind = dtype or dtypes.of_scalar(value)
    return intern(Op.CONSTANT, (), {"value": _exact(value, kind)}, (), kind)


def _exact(value: Scalar, kind: DType) -> Scalar:
    """Return a Python number as a value of an element type; one that the type cannot hold is refused."""
    if kind is dtypes.BOOL:
        return bool(value)
    try:
        exact = float(value) if kind.is_float else int(value)
    except (
        OverflowError,
        ValueError,
    ):  # too large for float64; infinity or NaN as a whole number
        exact = None
    low, high = kind.bounds if kind.is_integer else (-math.inf, math.inf)
    if exact is None or (kind.is_integer and not low <= exact <= high):
        expected = (
            f"a whole number from {low} to {high} ({kind})"
            if kind.is_integer
            else f"a number of {kind}"
        )
        raise ArgumentError(
            f"number as {kind}",
            expected=expected,
            got=_shown(value),
            hint="A Python number takes the type of the tensor beside it: convert the tensor with .astype('int64').",
        )
    return exact


def _shown(value: Scalar) -> str:
    """Write a number of any size."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def as_node(value: Operand, beside: DType | None = None) -> Node:
    """Return ``value`` as a node; a Python number takes the type of the tensor that it meets."""
    if isinstance(value, Node):
        return value
    if not isinstance(value, (bool, int, float)):
        raise DTypeError(
            "operand", expected="a tensor or a Python number", got=type(value).__name__
        )
    kind = dtypes.of_scalar(value, beside)
    return value.as_type(kind) if isinstance(value, Quantity) else constant(value, kind)


def dimension(unknown: Dimension, dtype: DType = dtypes.FLOAT32) -> Node:
    """Return an unknown size as a scalar."""
    return intern(Op.DIMENSION, (), {"dimension": unknown}, (), dtype)


def size(shape: Shape, axes: tuple[int, ...], dtype: DType) -> Node:
    """Return the number of elements along ``axes`` as a scalar, also where sizes are unknown."""
    known = 1
    unknown = []
    for i in axes:
        if isinstance(shape[i], int):
            known *= shape[i]
        else:
            unknown.append(dimension(shape[i], dtype))
    result = constant(known, dtype)
    for factor in unknown:
        product = (
            (result, factor) if known != 1 or result.op is not Op.CONSTANT else None
        )
        result = intern(Op.MULTIPLY, product, {}, (), dtype) if product else factor
    return result


def full(shape: Shape, value: Scalar, dtype: DType) -> Node:
    """Return a tensor that holds one number everywhere."""
    scalar = constant(value, dtype)
    return (
        scalar
        if shape == ()
        else intern(
            Op.BROADCAST, (scalar,), {"shape": tuple(shape)}, tuple(shape), dtype
        )
    )


def iota(shape: Shape, axis: int, dtype: DType = dtypes.INT64) -> Node:
    """Return the index along ``axis`` at every position."""
    where = shapes.axis(axis, len(shape), "iota")
    return intern(
        Op.IOTA, (), {"shape": tuple(shape), "axis": where}, tuple(shape), dtype
    )


def random_uniform(
    shape: Shape, seed: Node, step: Node, stream: int, dtype: DType = dtypes.FLOAT32
) -> Node:
    """Return numbers uniform in [0, 1) that depend only on (seed, step, stream, position).

    Threefry-2x32 with 20 rounds (Salmon et al. 2011); the key is (seed, stream), the counter (step, position).
    ``seed`` and ``step`` are scalars, or have the leading axes of ``shape``: each entry gives its part the numbers
    that it would have by itself.
    """
    if not dtype.is_float:
        raise DTypeError(
            "random_uniform", expected="float32 or float64", got=str(dtype)
        )
    for name, value in (("seed", seed), ("step", step)):
        leads = value.shape == tuple(shape)[: value.rank] and value.rank == seed.rank
        if not leads or value.dtype is not dtypes.INT64:
            expected = (
                "an int64 scalar"
                if value.rank == 0
                else f"int64 of leading axes of {shapes.show(shape)}"
            )
            raise ArgumentError(
                f"random_uniform {name}", expected=expected, got=describe(value)
            )
    return intern(
        Op.RANDOM,
        (seed, step),
        {"shape": tuple(shape), "stream": stream},
        tuple(shape),
        dtype,
    )
