"""Constructors of element-wise nodes, which cast operands to one type and broadcast them to one shape."""

from __future__ import annotations

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import DTypeError, ShapeError
from deltarule.graph.build.leaves import Operand, as_node, describe
from deltarule.graph.build.movement import broadcast_to
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op


def cast(x: Node, dtype: DType) -> Node:
    """Convert the element type; floats are truncated towards zero to integers.

    >>> cast(as_node(2.5), dtypes.INT64)
    <cast () int64>
    """
    if x.dtype is dtype:
        return x
    return intern(Op.CAST, (x,), {"dtype": dtype}, x.shape, dtype)


def _unary(op: Op, x: Operand) -> Node:
    node = as_node(x)
    if op is Op.STOP_GRADIENT:
        return intern(op, (node,), {}, node.shape, node.dtype)
    if op is Op.NOT:
        node = cast(node, dtypes.BOOL)
    elif node.dtype is dtypes.BOOL:
        raise DTypeError(op.name.lower(), expected="numbers", got=describe(node))
    elif op is Op.NEGATE and node.dtype.kind == "uint":
        raise DTypeError(
            "negate",
            expected="numbers of a signed type",
            got=describe(node),
            hint="Convert with .astype('int64').",
        )
    elif op not in {Op.NEGATE, Op.ABS, Op.SIGN} and not node.dtype.is_float:
        node = cast(node, dtypes.FLOAT32)
    return intern(op, (node,), {}, node.shape, node.dtype)


def aligned(where: str, *operands: Operand) -> tuple[Node, ...]:
    """Return operands cast to a common element type and broadcast to a common shape.

    >>> aligned("add", 1, 2.5)
    (<cast () float32>, <constant () float32>)
    """
    tensors = [x for x in operands if isinstance(x, Node)]
    tensor_dtype = dtypes.promote(*(x.dtype for x in tensors)) if tensors else None
    nodes = [as_node(x, tensor_dtype) for x in operands]
    kind = dtypes.promote(*(x.dtype for x in nodes))
    try:
        shape = shapes.broadcast(*(x.shape for x in nodes))
    except ShapeError as error:
        raise ShapeError(
            where,
            expected="shapes that broadcast (aligned right, sizes equal or 1)",
            got=" and ".join(describe(x) for x in nodes),
        ) from error
    return tuple(broadcast_to(cast(x, kind), shape) for x in nodes)


def _binary(op: Op, x: Operand, y: Operand) -> Node:
    if op in {Op.EQUAL, Op.LESS}:
        x, y = _comparable(x, y), _comparable(y, x)
    left, right = aligned(op.name.lower(), x, y)
    if op in {Op.AND, Op.OR}:
        left, right = cast(left, dtypes.BOOL), cast(right, dtypes.BOOL)
    elif op in {Op.DIVIDE, Op.FMOD, Op.POWER} and not left.dtype.is_float:
        left, right = cast(left, dtypes.FLOAT32), cast(right, dtypes.FLOAT32)
    elif op not in {Op.EQUAL, Op.LESS} and left.dtype is dtypes.BOOL:
        left, right = cast(left, dtypes.INT64), cast(right, dtypes.INT64)
    result = dtypes.BOOL if op in {Op.EQUAL, Op.LESS} else left.dtype
    return intern(op, (left, right), {}, left.shape, result)


def _comparable(x: Operand, other: Operand) -> Operand:
    """Return integers cast to int64 if the Python number to compare with exceeds the range of their type."""
    if not isinstance(x, Node) or isinstance(other, (Node, float)):
        return x
    if not x.dtype.is_integer:
        return x
    low, high = x.dtype.bounds
    return x if low <= other <= high else cast(x, dtypes.INT64)


def negate(x: Operand) -> Node:
    """Return −x.

    >>> negate(2.0)
    <negate () float32>
    """
    return _unary(Op.NEGATE, x)


def absolute(x: Operand) -> Node:
    """Return the absolute value |x|; derivative 0 at 0.

    >>> absolute(-2.0)
    <abs () float32>
    """
    return _unary(Op.ABS, x)


def sign(x: Operand) -> Node:
    """Return the sign of x, −1, 0 or 1; derivative 0.

    >>> sign(-2.0)
    <sign () float32>
    """
    return _unary(Op.SIGN, x)


def floor(x: Operand) -> Node:
    """Return the largest integer ≤ x; derivative 0.

    >>> floor(2.5)
    <floor () float32>
    """
    return _unary(Op.FLOOR, x)


def exp(x: Operand) -> Node:
    """Return the exponential eˣ.

    >>> exp(2.0)
    <exp () float32>
    """
    return _unary(Op.EXP, x)


def expm1(x: Operand) -> Node:
    """Return eˣ − 1, accurate near 0.

    >>> expm1(2.0)
    <expm1 () float32>
    """
    return _unary(Op.EXPM1, x)


def log(x: Operand) -> Node:
    """Return the natural logarithm ln x.

    >>> log(2.0)
    <log () float32>
    """
    return _unary(Op.LOG, x)


def log1p(x: Operand) -> Node:
    """Return ln(1 + x), accurate near 0.

    >>> log1p(2.0)
    <log1p () float32>
    """
    return _unary(Op.LOG1P, x)


def sqrt(x: Operand) -> Node:
    """Return the square root √x.

    >>> sqrt(2.0)
    <sqrt () float32>
    """
    return _unary(Op.SQRT, x)


def sin(x: Operand) -> Node:
    """Return the sine of x in radians.

    >>> sin(2.0)
    <sin () float32>
    """
    return _unary(Op.SIN, x)


def cos(x: Operand) -> Node:
    """Return the cosine of x in radians.

    >>> cos(2.0)
    <cos () float32>
    """
    return _unary(Op.COS, x)


def tanh(x: Operand) -> Node:
    """Return the hyperbolic tangent of x.

    >>> tanh(2.0)
    <tanh () float32>
    """
    return _unary(Op.TANH, x)


def erf(x: Operand) -> Node:
    """Return the error function (2/√π)∫₀ˣ exp(−t²)dt.

    >>> erf(2.0)
    <erf () float32>
    """
    return _unary(Op.ERF, x)


def logical_not(x: Operand) -> Node:
    """Return the logical negation of x.

    >>> logical_not(True)
    <not () bool>
    """
    return _unary(Op.NOT, x)


def stop_gradient(x: Operand) -> Node:
    """Return x with derivative 0: no gradient flows through it.

    >>> stop_gradient(2.0)
    <stop_gradient () float32>
    """
    return _unary(Op.STOP_GRADIENT, x)


def add(x: Operand, y: Operand) -> Node:
    """Return the sum x + y.

    >>> add(1, 2.5)
    <add () float32>
    """
    return _binary(Op.ADD, x, y)


def subtract(x: Operand, y: Operand) -> Node:
    """Return the difference x − y.

    >>> subtract(1, 2)
    <subtract () int64>
    """
    return _binary(Op.SUBTRACT, x, y)


def multiply(x: Operand, y: Operand) -> Node:
    """Return the element-wise product x ⊙ y.

    >>> multiply(1, 2.5)
    <multiply () float32>
    """
    return _binary(Op.MULTIPLY, x, y)


def divide(x: Operand, y: Operand) -> Node:
    """Return the quotient x / y; integers are converted to float32.

    >>> divide(1, 2)
    <divide () float32>
    """
    return _binary(Op.DIVIDE, x, y)


def fmod(x: Operand, y: Operand) -> Node:
    """Return the remainder of x / y truncated towards 0, with the sign of x; it is exact, as C's ``fmod``.

    >>> fmod(5.0, 3.0)
    <fmod () float32>
    """
    return _binary(Op.FMOD, x, y)


def power(x: Operand, y: Operand) -> Node:
    """Return the power xʸ; integers are converted to float32.

    >>> power(2.0, 3.0)
    <power () float32>
    """
    return _binary(Op.POWER, x, y)


def maximum(x: Operand, y: Operand) -> Node:
    """Return the larger of x and y; at a tie the gradient goes to x.

    >>> maximum(1.0, 2.0)
    <maximum () float32>
    """
    return _binary(Op.MAXIMUM, x, y)


def minimum(x: Operand, y: Operand) -> Node:
    """Return the smaller of x and y; at a tie the gradient goes to x.

    >>> minimum(1.0, 2.0)
    <minimum () float32>
    """
    return _binary(Op.MINIMUM, x, y)


def equal(x: Operand, y: Operand) -> Node:
    """Return whether x = y.

    >>> equal(1, 2)
    <equal () bool>
    """
    return _binary(Op.EQUAL, x, y)


def less(x: Operand, y: Operand) -> Node:
    """Return whether x < y.

    >>> less(1, 2)
    <less () bool>
    """
    return _binary(Op.LESS, x, y)


def logical_and(x: Operand, y: Operand) -> Node:
    """Return whether both x and y are true.

    >>> logical_and(True, False)
    <and () bool>
    """
    return _binary(Op.AND, x, y)


def logical_or(x: Operand, y: Operand) -> Node:
    """Return whether x or y is true.

    >>> logical_or(True, False)
    <or () bool>
    """
    return _binary(Op.OR, x, y)


def where(condition: Operand, x: Operand, y: Operand) -> Node:
    """Return x where the condition holds, y elsewhere.

    >>> where(True, 1.0, 2.0)
    <where () float32>
    """
    test = cast(as_node(condition), dtypes.BOOL)
    left, right = aligned("where", x, y)
    try:
        shape = shapes.broadcast(test.shape, left.shape)
    except ShapeError as error:
        raise ShapeError(
            "where",
            expected="a condition that broadcasts with both values",
            got=f"{describe(test)} with {describe(left)}",
        ) from error
    parts = tuple(broadcast_to(part, shape) for part in (test, left, right))
    return intern(Op.WHERE, parts, {}, shape, left.dtype)


def check(
    x: Node,
    condition: Operand,
    shown: Operand | None = None,
    *,
    where: str,
    expected: str,
    hint: str = "",
) -> Node:
    """Return x; running the graph raises DataError where the condition does not hold.

    The condition is checked only if the result is used.

    Args:
        x: The value to return.
        condition: What must hold for every element.
        shown: Values to report in the error; x by default.
        where: The operation in the error message.
        expected: What was expected.
        hint: How to fix it.

    >>> x = as_node(2.0)
    >>> check(x, less(0.0, x), where="log", expected="numbers > 0")
    <check () float32>
    """
    value = x if shown is None else as_node(shown)
    parts = (x, cast(as_node(condition), dtypes.BOOL), cast(value, dtypes.FLOAT64))
    sources = tuple(
        part if part.shape == x.shape else broadcast_to(part, x.shape) for part in parts
    )
    message = (where, expected, hint, value.dtype.is_integer)
    return intern(Op.CHECK, sources, {"message": message}, x.shape, x.dtype)
