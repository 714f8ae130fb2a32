"""Division with a whole quotient: towards −∞, exact for whole numbers of every size."""

from __future__ import annotations

from deltarule import dtypes
from deltarule.graph.build.elementwise import (
    add,
    aligned,
    cast,
    divide,
    equal,
    floor,
    less,
    logical_and,
    logical_not,
    multiply,
    subtract,
    where,
)
from deltarule.graph.build.leaves import Operand
from deltarule.graph.node import Node


def floor_divide(x: Operand, y: Operand) -> Node:
    """Return ⌊x / y⌋: a whole number for whole numbers, 0 where such a y is 0."""
    a, b = aligned("floor_divide", x, y)
    return _whole(a, b)[0] if not a.dtype.is_float else floor(divide(a, b))


def remainder(x: Operand, y: Operand) -> Node:
    """Return x − ⌊x / y⌋ · y, with the sign of y; 0 where y is 0 and both are whole numbers."""
    a, b = aligned("remainder", x, y)
    return _whole(a, b)[1] if not a.dtype.is_float else subtract(a, multiply(floor(divide(a, b)), b))


def _whole(x: Node, y: Node) -> tuple[Node, Node]:
    """Return quotient and remainder of whole numbers.

    A quotient in float64 errs by up to 2⁻⁵³ of itself; the quotient of what remains repairs that, and a last
    comparison the one unit that rounding may still be off.
    """
    kind = dtypes.INT64 if x.dtype is dtypes.BOOL else x.dtype
    a, b = cast(x, dtypes.INT64), cast(y, dtypes.INT64)
    by_zero = equal(b, 0)
    divisor = where(by_zero, 1, b)
    quotient = _rounded(a, divisor)
    quotient = add(quotient, _rounded(subtract(a, multiply(quotient, divisor)), divisor))
    rest = subtract(a, multiply(quotient, divisor))
    below = less(multiply(rest, where(less(divisor, 0), -1, 1)), 0)
    beyond = logical_and(logical_not(below), logical_not(less(_magnitude(rest), _magnitude(divisor))))
    quotient = add(subtract(quotient, cast(below, dtypes.INT64)), cast(beyond, dtypes.INT64))
    rest = subtract(a, multiply(quotient, divisor))
    return cast(where(by_zero, 0, quotient), kind), cast(where(by_zero, 0, rest), kind)


def _rounded(x: Node, y: Node) -> Node:
    return cast(floor(divide(cast(x, dtypes.FLOAT64), cast(y, dtypes.FLOAT64))), dtypes.INT64)


def _magnitude(x: Node) -> Node:
    return where(less(x, 0), subtract(0, x), x)
