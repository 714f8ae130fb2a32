"""Element-wise nodes. Operands are cast to one type and broadcast to one shape here, and nowhere else."""

from __future__ import annotations

from deltarule import dtypes, shapes
from deltarule.dtypes import DType
from deltarule.errors import DTypeError, ShapeError
from deltarule.graph.build.leaves import Operand, as_node, describe
from deltarule.graph.build.movement import broadcast_to
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op


def cast(x: Node, dtype: DType) -> Node:
    """Convert the element type (floats to integers: towards zero)."""
    return (
        x
        if x.dtype is dtype
        else intern(Op.CAST, (x,), {"dtype": dtype}, x.shape, dtype)
    )


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
            expected="numbers with a sign",
            got=describe(node),
            hint="Convert with .astype('int64').",
        )
    elif op not in {Op.NEGATE, Op.ABS, Op.SIGN} and not node.dtype.is_float:
        node = cast(node, dtypes.FLOAT32)
    return intern(op, (node,), {}, node.shape, node.dtype)


def aligned(where: str, *operands: Operand) -> tuple[Node, ...]:
    """Bring operands to one element type and one shape."""
    tensors = [x for x in operands if isinstance(x, Node)]
    beside = dtypes.promote(*(x.dtype for x in tensors)) if tensors else None
    nodes = [as_node(x, beside) for x in operands]
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
    """Return whole numbers in int64 where the Python number that they are compared with is none of their type."""
    if (
        not isinstance(x, Node)
        or not x.dtype.is_integer
        or isinstance(other, (Node, float))
    ):
        return x
    low, high = x.dtype.bounds
    return x if low <= other <= high else cast(x, dtypes.INT64)


def negate(x: Operand) -> Node:
    """−x."""
    return _unary(Op.NEGATE, x)


def absolute(x: Operand) -> Node:
    """|x|, with derivative 0 at 0."""
    return _unary(Op.ABS, x)


def sign(x: Operand) -> Node:
    """−1, 0 or 1; derivative 0."""
    return _unary(Op.SIGN, x)


def floor(x: Operand) -> Node:
    """The largest whole number ≤ x; derivative 0."""
    return _unary(Op.FLOOR, x)


def exp(x: Operand) -> Node:
    """eˣ."""
    return _unary(Op.EXP, x)


def expm1(x: Operand) -> Node:
    """eˣ − 1, exact near 0."""
    return _unary(Op.EXPM1, x)


def log(x: Operand) -> Node:
    """The natural logarithm ln x."""
    return _unary(Op.LOG, x)


def log1p(x: Operand) -> Node:
    """ln(1 + x), exact near 0."""
    return _unary(Op.LOG1P, x)


def sqrt(x: Operand) -> Node:
    """√x."""
    return _unary(Op.SQRT, x)


def sin(x: Operand) -> Node:
    """The sine of x in radians."""
    return _unary(Op.SIN, x)


def cos(x: Operand) -> Node:
    """The cosine of x in radians."""
    return _unary(Op.COS, x)


def tanh(x: Operand) -> Node:
    """The hyperbolic tangent."""
    return _unary(Op.TANH, x)


def erf(x: Operand) -> Node:
    """The error function, (2/√π)∫₀ˣ exp(−t²)dt."""
    return _unary(Op.ERF, x)


def logical_not(x: Operand) -> Node:
    """Not x."""
    return _unary(Op.NOT, x)


def stop_gradient(x: Operand) -> Node:
    """Return x; derivatives do not pass."""
    return _unary(Op.STOP_GRADIENT, x)


def add(x: Operand, y: Operand) -> Node:
    """The sum x + y."""
    return _binary(Op.ADD, x, y)


def subtract(x: Operand, y: Operand) -> Node:
    """The difference x − y."""
    return _binary(Op.SUBTRACT, x, y)


def multiply(x: Operand, y: Operand) -> Node:
    """The product x ⊙ y, element by element."""
    return _binary(Op.MULTIPLY, x, y)


def divide(x: Operand, y: Operand) -> Node:
    """The quotient x / y in floats (integers become float32)."""
    return _binary(Op.DIVIDE, x, y)


def fmod(x: Operand, y: Operand) -> Node:
    """The remainder of x / y cut towards 0, in floats: exact at every size, with the sign of x."""
    return _binary(Op.FMOD, x, y)


def power(x: Operand, y: Operand) -> Node:
    """xʸ in floats."""
    return _binary(Op.POWER, x, y)


def maximum(x: Operand, y: Operand) -> Node:
    """The larger of x and y; at a tie the gradient goes to x."""
    return _binary(Op.MAXIMUM, x, y)


def minimum(x: Operand, y: Operand) -> Node:
    """The smaller of x and y; at a tie the gradient goes to x."""
    return _binary(Op.MINIMUM, x, y)


def equal(x: Operand, y: Operand) -> Node:
    """Whether x = y."""
    return _binary(Op.EQUAL, x, y)


def less(x: Operand, y: Operand) -> Node:
    """Whether x < y."""
    return _binary(Op.LESS, x, y)


def logical_and(x: Operand, y: Operand) -> Node:
    """Whether both are true."""
    return _binary(Op.AND, x, y)


def logical_or(x: Operand, y: Operand) -> Node:
    """Whether one of both is true."""
    return _binary(Op.OR, x, y)


def where(condition: Operand, x: Operand, y: Operand) -> Node:
    """x where the condition holds, y elsewhere."""
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
    """Return x, and let the run end with DataError where the condition does not hold.

    The error says ``where``, what was ``expected``, which value of ``shown`` (x itself without it) came, and ``hint``.
    Only what is used of a graph is run: the check is made where the result is needed.
    """
    value = x if shown is None else as_node(shown)
    parts = (x, cast(as_node(condition), dtypes.BOOL), cast(value, dtypes.FLOAT64))
    sources = tuple(
        part if part.shape == x.shape else broadcast_to(part, x.shape) for part in parts
    )
    message = (where, expected, hint, value.dtype.is_integer)
    return intern(Op.CHECK, sources, {"message": message}, x.shape, x.dtype)
