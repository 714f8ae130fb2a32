"""Floor division and remainder, exact for integers of any size."""

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
    """Return ⌊x / y⌋; derivative 0.

    The quotient of integers is an integer, and 0 if y is 0. For floats the result is NumPy's: (x − r) / y with the
    exact remainder r, so NaN for infinite x, and x / y if y is 0.

    >>> floor_divide(7.0, 2.0)
    <stop_gradient () float32>
    """
    a, b = aligned("floor_divide", x, y)
    if not a.dtype.is_float:
        return _integer_divmod(a, b)[0]
    rest = fmod(a, b)
    quotient = divide(subtract(a, rest), b)
    quotient = subtract(quotient, cast(_has_wrong_sign(rest, b), a.dtype))
    below = floor(quotient)
    nearest = add(below, cast(less(0.5, subtract(quotient, below)), a.dtype))
    return stop_gradient(where(equal(b, 0), divide(a, b), nearest))


def remainder(x: Operand, y: Operand) -> Node:
    """Return the exact remainder x − ⌊x / y⌋ · y, with the sign of y; 0 for integers if y is 0.

    >>> remainder(7.0, 2.0)
    <where () float32>
    """
    a, b = aligned("remainder", x, y)
    if not a.dtype.is_float:
        return _integer_divmod(a, b)[1]
    rest = fmod(a, b)
    return where(_has_wrong_sign(rest, b), add(rest, b), rest)


def _has_wrong_sign(rest: Node, y: Node) -> Node:
    """Return whether a remainder of truncated division is non-zero with a sign other than that of y."""
    return where(less(y, 0), less(0, rest), less(rest, 0))


def _integer_divmod(x: Node, y: Node) -> tuple[Node, Node]:
    """Return quotient and remainder of integers.

    The relative error of a quotient in float64 is up to 2⁻⁵³; dividing the remainder once more corrects it, and a
    last comparison corrects rounding by one unit.
    """
    kind = dtypes.INT64 if x.dtype is dtypes.BOOL else x.dtype
    a, b = cast(x, dtypes.INT64), cast(y, dtypes.INT64)
    by_zero = equal(b, 0)
    divisor = where(by_zero, 1, b)
    quotient = _float_quotient(a, divisor)
    rest = subtract(a, multiply(quotient, divisor))
    quotient = add(quotient, _float_quotient(rest, divisor))
    rest = subtract(a, multiply(quotient, divisor))
    too_large = _has_wrong_sign(rest, divisor)
    # compare −|·|, since the smallest integer has no positive counterpart
    fits = less(_negative_magnitude(divisor), _negative_magnitude(rest))
    too_small = logical_and(logical_not(too_large), logical_not(fits))
    quotient = subtract(quotient, cast(too_large, dtypes.INT64))
    quotient = add(quotient, cast(too_small, dtypes.INT64))
    rest = subtract(a, multiply(quotient, divisor))
    return cast(where(by_zero, 0, quotient), kind), cast(where(by_zero, 0, rest), kind)


def _float_quotient(x: Node, y: Node) -> Node:
    quotient = divide(cast(x, dtypes.FLOAT64), cast(y, dtypes.FLOAT64))
    return cast(floor(quotient), dtypes.INT64)


def _negative_magnitude(x: Node) -> Node:
    return where(less(x, 0), x, subtract(0, x))
