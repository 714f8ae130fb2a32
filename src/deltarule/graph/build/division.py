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
    fmod,
    less,
    logical_and,
    logical_not,
    multiply,
    stop_gradient,
    subtract,
    where,
)
from deltarule.graph.build.leaves import Operand
from deltarule.graph.node import Node


def floor_divide(x: Operand, y: Operand) -> Node:
    """Return ⌊x / y⌋: a whole number for whole numbers, 0 where such a y is 0; derivative 0.

    Of floats it is NumPy's: (x − r) / y for the exact remainder r, so NaN for infinite x, and x / y where y is 0.
    """
    a, b = aligned("floor_divide", x, y)
    if not a.dtype.is_float:
        return _whole(a, b)[0]
    rest = fmod(a, b)
    quotient = divide(subtract(a, rest), b)
    quotient = subtract(quotient, cast(_leans_away(rest, b), a.dtype))
    below = floor(quotient)
    nearest = add(below, cast(less(0.5, subtract(quotient, below)), a.dtype))
    return stop_gradient(where(equal(b, 0), divide(a, b), nearest))


def remainder(x: Operand, y: Operand) -> Node:
    """Return x − ⌊x / y⌋ · y, exactly, with the sign of y; 0 where y is 0 and both are whole numbers."""
    a, b = aligned("remainder", x, y)
    if not a.dtype.is_float:
        return _whole(a, b)[1]
    rest = fmod(a, b)
    return where(_leans_away(rest, b), add(rest, b), rest)


def _leans_away(rest: Node, y: Node) -> Node:
    """Return where a remainder of the quotient cut towards 0 is not 0 and has not the sign of y."""
    return where(less(y, 0), less(0, rest), less(rest, 0))


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
    quotient = add(
        quotient, _rounded(subtract(a, multiply(quotient, divisor)), divisor)
    )
    rest = subtract(a, multiply(quotient, divisor))
    below = _leans_away(rest, divisor)
    # with both negative, since the least whole number has no counterpart
    beyond = logical_and(
        logical_not(below), logical_not(less(_negative(divisor), _negative(rest)))
    )
    quotient = add(
        subtract(quotient, cast(below, dtypes.INT64)), cast(beyond, dtypes.INT64)
    )
    rest = subtract(a, multiply(quotient, divisor))
    return cast(where(by_zero, 0, quotient), kind), cast(where(by_zero, 0, rest), kind)


def _rounded(x: Node, y: Node) -> Node:
    return cast(
        floor(divide(cast(x, dtypes.FLOAT64), cast(y, dtypes.FLOAT64))), dtypes.INT64
    )


def _negative(x: Node) -> Node:
    return where(less(x, 0), x, subtract(0, x))
