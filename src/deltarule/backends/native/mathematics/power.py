"""Powers of vectors, with the limits of IEEE 754: pow(x, 0) = pow(1, y) = 1, odd integer powers keep the sign."""

from __future__ import annotations

import math

from deltarule.backends.native.mathematics.exponential import (
    LN2_HIGH,
    LN2_LOW,
    exponential,
    logarithm,
    mantissa,
)
from deltarule.backends.native.mathematics.vector import (
    Vector,
    polynomial,
    two_product,
    two_sum,
    where,
)

_THIRDS = (
    float.fromhex("0x1.5555555555555p-1"),
    float.fromhex("0x1.5555555555555p-55"),
)  # 2/3 as a double-double number
_SERIES = tuple(
    2.0 / (2 * j + 5) for j in range(11)
)  # log((1+s)/(1−s)) = 2s + 2s³/3 + s⁵·(2/5 + 2s²/7 + …)


def power(x: Vector, y: Vector) -> Vector:
    """Return xʸ; NaN for negative finite x with y not an integer."""
    if x.dtype == "float32":
        wide_x, wide_y = x.convert("float64"), y.convert("float64")
        size = wide_x.absolute()
        return _with_limits(
            wide_x, wide_y, exponential(wide_y * logarithm(size))
        ).convert("float32")
    return _with_limits(x, y, _of_positive(x.absolute(), y))


def _with_limits(x: Vector, y: Vector, value: Vector) -> Vector:
    """Apply signs, zeros, infinities and NaN; ``value`` is |x|ʸ for finite x ≠ 0."""
    size = x.absolute()
    value = where(size.equals(0.0), where(y < 0.0, math.inf, y.constant(0.0)), value)
    value = where(
        size.equals(math.inf), where(y < 0.0, 0.0, y.constant(math.inf)), value
    )
    value = where(size.equals(1.0), 1.0, value)
    integral, odd = _parity(y)
    negative = x.bits().compare("lt", 0)
    flipped = negative & odd
    value = where(flipped, -value, value)
    undefined = (x < 0.0) & (x > -math.inf) & (integral ^ 1)
    value = where(undefined, math.nan, value)
    value = where(x.is_nan(), x, where(y.is_nan(), y, value))
    return where(y.equals(0.0), 1.0, where(x.equals(1.0), 1.0, value))


def _parity(y: Vector) -> tuple[Vector, Vector]:
    """Return whether y is an integer (or infinite), and whether it is an odd integer."""
    rounder = 1.5 * 2.0**52
    size = y.absolute()
    large = size >= 2.0**51
    small = where(large, 0.0, size)
    shifted = small + rounder
    exact = (shifted - rounder).equals(small)
    low_bit = (shifted.bits() & 1).equals(1)
    odd_large = (size < 2.0**53) & ((size.bits() & 1).equals(1)) & (size >= 2.0**52)
    half = (size < 2.0**52) & ((size.bits() & 1).equals(1)) & large
    odd_between = (size < 2.0**52) & large & ((size.bits() & 3).equals(2))
    integral = (large & (half ^ 1)) | ((large ^ 1) & exact)
    return integral, odd_large | odd_between | ((large ^ 1) & exact & low_bit)


def _of_positive(x: Vector, y: Vector) -> Vector:
    """Return xʸ for finite x > 0 as exp(y·log x), with a double-double logarithm."""
    high, low = _long_logarithm(x)
    product, error = two_product(y, high)
    large = product.absolute() > 800.0
    bounded = where(product > 800.0, 800.0, where(product < -800.0, -800.0, product))
    correction = where(large, 0.0, y.times_plus(low, error))
    return exponential(bounded, correction)


def _long_logarithm(x: Vector) -> tuple[Vector, Vector]:
    """Return log x for finite x > 0 as an unevaluated sum of two numbers, with a relative error of about 2⁻⁶⁵."""
    denormal = x < 2.0**-1022
    k, m = mantissa(where(denormal, x * 2.0**54, x))
    k = where(denormal, k - 54.0, k)
    f = m - 1.0
    divisor, divisor_low = two_sum(m, m.constant(1.0))
    s = f / divisor
    product, error = two_product(s, divisor)
    s_low = ((f - product) - error - s * divisor_low) / divisor
    square, square_low = two_product(s, s)
    square_low = square_low + s * s_low * 2.0
    third, third_low = two_product(square, _THIRDS[0])
    third_low = third_low + (square * _THIRDS[1] + square_low * _THIRDS[0])
    cube, cube_low = two_product(s, third)
    cube_low = cube_low + (s * third_low + s_low * third)
    rest = s * square * square * polynomial(square, _SERIES)
    first, first_low = two_sum(k * LN2_HIGH[x.dtype], s * 2.0)
    second, second_low = two_sum(first, cube)
    low = (
        (rest + k * LN2_LOW[x.dtype])
        + (first_low + second_low)
        + (s_low * 2.0 + cube_low)
    )
    return two_sum(second, low)
