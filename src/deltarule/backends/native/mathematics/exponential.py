"""exp, expm1, log, log1p and tanh of vectors: range reduction by powers of two, and a polynomial."""

from __future__ import annotations

import math

from deltarule.backends.native.mathematics.vector import Vector, polynomial, where

LN2_HIGH = {
    "float32": float.fromhex("0x1.62e400p-1"),
    "float64": float.fromhex("0x1.62e42fee00000p-1"),
}
LN2_LOW = {
    "float32": float.fromhex("0x1.7f7d1cp-20"),
    "float64": float.fromhex("0x1.a39ef35793c76p-33"),
}
_ROUNDER = {
    "float32": 1.5 * 2.0**23,
    "float64": 1.5 * 2.0**52,
}  # adding it rounds to an integer
_MANTISSA_BITS = {"float32": 23, "float64": 52}
_BIAS = {"float32": 127, "float64": 1023}
_EXP_LIMITS = {"float32": (-104.0, 89.0), "float64": (-746.0, 710.0)}
_EXPM1_LOWEST = {"float32": -20.0, "float64": -40.0}
_EXP_TAIL = {  # (eʳ − 1 − r)/r² for |r| ≤ 0.35, interpolated at Chebyshev nodes
    "float32": (
        0.5,
        0.166665733819,
        0.0416665501103,
        0.00836377387441,
        0.0013926926614,
    ),
    "float64": (
        0.5000000000000001128,
        0.16666666666666667534,
        0.041666666666620638584,
        0.0083333333333297934996,
        0.0013888888918939167785,
        0.00019841269864380513295,
        0.000024801518641395993583,
        2.7557266418612303703e-6,
        2.76213386691429238e-7,
        2.5101346928350340198e-8,
    ),
}
_TANH_ONE = 9.02  # tanh is 1 from here on in float32
_EXP_TWICE = (
    1.0,
    2.00000008,
    2.00000002,
    1.33331323,
    0.66666164,
    0.26800431,
    0.08922316,
)  # e²ʳ for |r| ≤ ln 2 / 4
_TANH_SERIES = (
    -0.33333330333,
    0.13332915367,
    -0.053873948849,
    0.02111095905,
    -0.0062691197196,
)  # |x| ≤ 0.6
_LOG_SERIES = {  # fdlibm: (log(1+f) − log(1−f))/s − 2 in powers of s², s = f/(2+f)
    "float32": (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841),
    "float64": (
        6.666666666666735130e-01,
        3.999999999940941908e-01,
        2.857142874366239149e-01,
        2.222219843214978396e-01,
        1.818357216161805012e-01,
        1.531383769920937332e-01,
        1.479819860511658591e-01,
    ),
}


def power_of_two(n: Vector, dtype: str) -> Vector:
    """Return 2ⁿ for integer lanes in the range of normal exponents."""
    return ((n + _BIAS[dtype]) << _MANTISSA_BITS[dtype]).bits()


def split_exponent(x: Vector) -> tuple[Vector, Vector]:
    """Return n (integers) and r with x = n·ln 2 + r and |r| ≤ ln 2 / 2."""
    shifted = x.times_plus(1.0 / math.log(2.0), _ROUNDER[x.dtype])
    count = shifted - _ROUNDER[x.dtype]
    n = shifted.bits() - x.constant(_ROUNDER[x.dtype]).bits()
    r = count.times_plus(-LN2_HIGH[x.dtype], x)
    return n, count.times_plus(-LN2_LOW[x.dtype], r)


def exponential(x: Vector, correction: Vector | None = None) -> Vector:
    """Return exp(x + correction), for a correction far below one ulp of x."""
    low, high = _EXP_LIMITS[x.dtype]
    bounded = where(x > high, high, where(x < low, low, x))  # NaN is kept
    n, r = split_exponent(bounded)
    if correction is not None:
        r = r + correction
    tail = polynomial(r, _EXP_TAIL[x.dtype])
    return scaled((r * r).times_plus(tail, r) + 1.0, n)


def scaled(value: Vector, n: Vector) -> Vector:
    """Return value · 2ⁿ in two factors, so that denormal results are rounded once and no factor overflows early."""
    half = n.arithmetic_shift(1)
    return value * power_of_two(half, value.dtype) * power_of_two(n - half, value.dtype)


def exponential_minus_one(x: Vector) -> Vector:
    """Return eˣ − 1, exact where eˣ is close to 1."""
    high = _EXP_LIMITS[x.dtype][1]
    low = _EXPM1_LOWEST[x.dtype]
    bounded = where(x > high, high, where(x < low, low, x))
    n, r = split_exponent(bounded)
    small = (r * r).times_plus(polynomial(r, _EXP_TAIL[x.dtype]), r)  # eʳ − 1
    half_scale = power_of_two(n - 1, x.dtype)
    large = small.times_plus(half_scale, half_scale - 0.5) * 2.0
    return where(x.equals(0.0), x, where(n.equals(0), small, large))


def mantissa(x: Vector) -> tuple[Vector, Vector]:
    """Return k (floating) and m with x = 2ᵏ·m and m in [√½, √2), for normal x > 0."""
    shift = _MANTISSA_BITS[x.dtype]
    offset = x.constant(math.sqrt(0.5)).bits()
    distance = x.bits() - offset
    k = distance.arithmetic_shift(shift)
    m = (x.bits() - (k << shift)).bits()
    return k.convert(x.dtype), m


def _log_of(f: Vector, k: Vector, correction: Vector | None) -> Vector:
    """Return k·ln 2 + log(1 + f) + correction."""
    s = f / (f + 2.0)
    square = s * s
    series = square * polynomial(square, _LOG_SERIES[f.dtype])
    half_square = f * f * 0.5
    low = (
        k * LN2_LOW[f.dtype]
        if correction is None
        else k.times_plus(LN2_LOW[f.dtype], correction)
    )
    inner = s.times_plus(half_square + series, low)
    return k.times_plus(LN2_HIGH[f.dtype], f - (half_square - inner))


def logarithm(x: Vector) -> Vector:
    """Return the natural logarithm of x."""
    up, smallest = _MANTISSA_BITS[x.dtype] + 2, 2.0 ** (1 - _BIAS[x.dtype])
    denormal = x < smallest
    k, m = mantissa(where(denormal, x * 2.0**up, x))
    k = where(denormal, k - float(up), k)
    return _log_limits(x, _log_of(m - 1.0, k, None), x)


def _log_limits(x: Vector, value: Vector, positive: Vector) -> Vector:
    """Apply the limits of the logarithm: NaN below 0, −∞ at 0, x at ∞ and NaN."""
    value = where(x.equals(math.inf), math.inf, value)
    value = where(positive.equals(0.0), -math.inf, value)
    return where(positive >= 0.0, value, math.nan)


def logarithm_plus_one(x: Vector) -> Vector:
    """Return log(1 + x), exact where x is small."""
    u = x + 1.0
    k, m = mantissa(u)
    near = k.equals(0.0)
    lost = where(k >= 2.0, 1.0 - (u - x), x - (u - 1.0)) / u
    f = where(near, x, m - 1.0)
    value = _log_of(f, k, where(near, 0.0, lost))
    return where(x.equals(0.0), x, _log_limits(x, value, u))


def hyperbolic_tangent(x: Vector) -> Vector:
    """Return tanh(x)."""
    if x.dtype == "float32":
        return _tanh_of_float32(x)
    t = exponential_minus_one(x.absolute() * 2.0)
    far = x.absolute() > 0.55
    quotient = where(far, -2.0, t) / (t + 2.0)
    return where(far, quotient + 1.0, quotient).with_sign_of(x)


def _tanh_of_float32(x: Vector) -> Vector:
    """Return a series near 0 and 1 − 2/(e²ˣ + 1) elsewhere, where errors of e²ˣ are damped."""
    size, rounder = x.absolute(), _ROUNDER[x.dtype]
    bounded = where(size > _TANH_ONE, _TANH_ONE, size)  # NaN is kept
    shifted = bounded.times_plus(2.0 / math.log(2.0), rounder)
    r = (shifted - rounder).times_plus(-math.log(2.0) / 2.0, bounded)
    power = (
        (shifted.bits() << 23) + (_BIAS[x.dtype] << 23)
    ).bits()  # the shift keeps the bits of n
    far = 1.0 - 2.0 / (polynomial(r, _EXP_TWICE) * power + 1.0)
    square = x * x
    near = (square * polynomial(square, _TANH_SERIES)).times_plus(size, size)
    return where(size > 0.6, far, near).with_sign_of(x)
