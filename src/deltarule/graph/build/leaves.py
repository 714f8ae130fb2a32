"""Constructors of leaves: inputs, constants, unknown sizes, index ramps, random numbers."""

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
    """Return the name (or operation) and the shape of a node, for error messages.

    >>> describe(input_node("x", (3, 2)))
    'x (3, 2)'
    """
    label = (
        node.attributes.get("name")
        or node.attributes.get("function")
        or node.op.name.lower()
    )
    return f"{label} {shapes.show(node.shape)}"


def input_node(name: str, shape: Shape, dtype: DType = dtypes.FLOAT32) -> Node:
    """Return a new input, whose value is given when the graph is run; every call returns another node.

    >>> input_node("x", (3, 2))
    <x (3, 2) float32>
    """
    for size in shape:
        is_size = isinstance(size, (int, Dimension)) and not isinstance(size, bool)
        if not is_size or (isinstance(size, int) and size < 0):
            raise ShapeError(
                f"input {name!r}",
                expected="sizes that are whole numbers ≥ 0",
                got=repr(shape),
            )
    return intern(
        Op.INPUT, (), {"name": name, "uid": next(_next_uid)}, tuple(shape), dtype
    )


def constant(value: Scalar, dtype: DType | None = None) -> Node:
    """Return a scalar constant, by default of the element type of a Python number (int64, float32 or bool).

    >>> constant(2.0), constant(2)
    (<constant () float32>, <constant () int64>)
    """
    if not isinstance(value, (bool, int, float)):
        raise DTypeError(
            "constant",
            expected="a Python number",
            got=f"{type(value).__name__} {value!r}",
        )
    kind = dtype or dtypes.of_scalar(value)
    return intern(Op.CONSTANT, (), {"value": _exact(value, kind)}, (), kind)


def _exact(value: Scalar, kind: DType) -> Scalar:
    """Return a Python number as a value of an element type; raise ArgumentError if it is out of range."""
    if kind is dtypes.BOOL:
        return bool(value)
    try:
        exact = float(value) if kind.is_float else int(value)
    except (OverflowError, ValueError):  # too large, or not finite as an integer
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
            hint="A Python number takes the type of the tensor operand: convert the tensor with .astype('int64').",
        )
    return exact


def _shown(value: Scalar) -> str:
    """Return the text of a number, abbreviated if it is huge."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def as_node(value: Operand, tensor_dtype: DType | None = None) -> Node:
    """Return ``value`` as a node; a Python number takes the element type of the tensor operand, if any.

    >>> as_node(2.0)
    <constant () float32>
    """
    if isinstance(value, Node):
        return value
    if not isinstance(value, (bool, int, float)):
        raise DTypeError(
            "operand", expected="a tensor or a Python number", got=type(value).__name__
        )
    kind = dtypes.of_scalar(value, tensor_dtype)
    return value.as_type(kind) if isinstance(value, Quantity) else constant(value, kind)


def dimension(unknown: Dimension, dtype: DType = dtypes.FLOAT32) -> Node:
    """Return an unknown size as a scalar.

    >>> size = dimension("N")
    >>> size
    <dimension () float32>
    """
    return intern(Op.DIMENSION, (), {"dimension": unknown}, (), dtype)


def size(shape: Shape, axes: tuple[int, ...], dtype: DType) -> Node:
    """Return the number of elements along ``axes`` as a scalar node; sizes may be unknown.

    >>> size((3, 4), (0, 1), dtypes.INT64).attributes["value"]
    12
    """
    known = 1
    unknown = []
    for i in axes:
        if isinstance(shape[i], int):
            known *= shape[i]
        else:
            unknown.append(dimension(shape[i], dtype))
    factors = unknown if unknown and known == 1 else [constant(known, dtype), *unknown]
    result = factors[0]
    for factor in factors[1:]:
        result = intern(Op.MULTIPLY, (result, factor), {}, (), dtype)
    return result


def full(shape: Shape, value: Scalar, dtype: DType) -> Node:
    """Return a tensor filled with one number.

    >>> full((2, 3), 0.5, dtypes.FLOAT32)
    <broadcast (2, 3) float32>
    """
    scalar = constant(value, dtype)
    target = tuple(shape)
    if target == ():
        return scalar
    return intern(Op.BROADCAST, (scalar,), {"shape": target}, target, dtype)


def iota(shape: Shape, axis: int, dtype: DType = dtypes.INT64) -> Node:
    """Return the index along ``axis`` at every position.

    >>> iota((3,), 0)
    <iota (3) int64>
    """
    where = shapes.axis(axis, len(shape), "iota")
    return intern(
        Op.IOTA, (), {"shape": tuple(shape), "axis": where}, tuple(shape), dtype
    )


def random_uniform(
    shape: Shape, seed: Node, step: Node, stream: int, dtype: DType = dtypes.FLOAT32
) -> Node:
    """Return numbers uniform in [0, 1) that depend on (seed, step, stream, position) only.

    The generator is Threefry-2x32 with 20 rounds (Salmon et al. 2011), with key (seed, stream) and counter
    (step, position).

    Args:
        shape: Sizes of the axes.
        seed: An int64 scalar, or one seed for each index of leading axes of ``shape``: each slice then has the
            numbers that it would have with its own scalar seed.
        step: The counter, of the shape of ``seed``.
        stream: Distinguishes draws of one seed and step.
        dtype: A floating-point type.

    >>> seed, step = constant(0), constant(1)
    >>> random_uniform((2, 3), seed, step, stream=1)
    <random (2, 3) float32>
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
