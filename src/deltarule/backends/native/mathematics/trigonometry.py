"""Sine and cosine of vectors, for all finite arguments.

x is reduced to n·π/2 + r with |r| ≤ π/4: up to 2¹⁹ with π/2 in three parts of 33 bits (Cody and Waite); beyond, lane by
lane with the relevant bits of 2/π (Payne and Hanek). Float32 is computed in float64.
"""

from __future__ import annotations

import math
from fractions import Fraction

from deltarule.backends.native.llvm.emitter import Emitter, Module, type_of
from deltarule.backends.native.mathematics.vector import (
    Vector,
    polynomial,
    two_product,
    two_sum,
    where,
)

_LARGE = 2.0**19
_ROUNDER = 1.5 * 2.0**52
# π/2 in parts of 33 bits, and the remainder (fdlibm)
_PARTS = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
)
_REST = 8.47842766036889956997e-32
_HALF_PI = (
    float.fromhex("0x1.921fb54442d18p+0"),
    float.fromhex("0x1.1a62633145c07p-54"),
)
_SINE = (  # fdlibm's k_sin.c from the fifth power on
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
_SINE_CUBIC = -1.66666666666666324348e-01
_COSINE = (  # fdlibm's k_cos.c from the fourth power on
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)
_TABLE_WORDS = 21
_REDUCE = "math.reduce.large"


def sine(x: Vector) -> Vector:
    """Return sin(x); NaN for infinities."""
    return _shifted_sine(x, 0)


def cosine(x: Vector) -> Vector:
    """Return cos(x); NaN for infinities."""
    return _shifted_sine(x, 1)


def _shifted_sine(x: Vector, quarter: int) -> Vector:
    """Return sin(x + quarter·π/2)."""
    if x.dtype == "float32":
        return _evaluate(x.convert("float64"), quarter, short=True).convert("float32")
    return _evaluate(x, quarter, short=False)


def _evaluate(x: Vector, quarter: int, short: bool) -> Vector:
    """Return sin(x + quarter·π/2) in float64; with ``short`` to 30 bits, as float32 results need."""
    n, r, tail = _reduce(x, short)
    n = n + quarter
    of_sine, of_cosine = _short_series(r) if short else _series(r, tail)
    value = where((n & 1).equals(0), of_sine, of_cosine)
    value = where((n & 2).equals(0), value, -value)
    if quarter == 0:
        value = where(x.absolute() < 2.0**-27, x, value)
    return where(x.absolute() < math.inf, value, math.nan)


def _series(r: Vector, tail: Vector) -> tuple[Vector, Vector]:
    """Return sin(r + tail) and cos(r + tail) for |r| ≤ π/4."""
    square = r * r
    cube = square * r
    sine_rest = square * (tail * 0.5 - cube * polynomial(square, _SINE)) - tail
    of_sine = r - (sine_rest - cube * _SINE_CUBIC)
    half = square * 0.5
    rounded = 1.0 - half
    of_cosine = rounded + (
        ((1.0 - rounded) - half)
        + (square * square * polynomial(square, _COSINE) - r * tail)
    )
    return of_sine, of_cosine


def _short_series(r: Vector) -> tuple[Vector, Vector]:
    """Return sin(r) and cos(r) to 30 bits."""
    square = r * r
    of_sine = (square * r).times_plus(polynomial(square, (_SINE_CUBIC, *_SINE[:3])), r)
    of_cosine = (square * square).times_plus(
        polynomial(square, _COSINE[:4]), 1.0 - square * 0.5
    )
    return of_sine, of_cosine


def _reduce(x: Vector, short: bool) -> tuple[Vector, Vector, Vector]:
    """Return the integer n, r, and its rounding error, with x = n·π/2 + r + error."""
    e = x.emitter
    n, r, tail = _reduce_small(x, short)
    large = x.absolute() >= _LARGE
    some = large.text
    if x.width > 1:
        some = e.assign(
            f"call i1 @llvm.vector.reduce.or.v{x.width}i1(<{x.width} x i1> {large.text})"
        )
    before, single, done = e.block, e.fresh_label("large"), e.fresh_label("reduced")
    e.branch_if(some, single, done)
    e.label(single)
    slow = _reduce_lanes(x)
    chosen = [
        where(large, large_lanes, small)
        for large_lanes, small in zip(slow, (n, r, tail), strict=True)
    ]
    last = e.block
    e.branch(done)
    e.label(done)
    merged = [
        small.like(
            e.assign(
                f"phi {type_of(small.dtype, x.width)} [ {small.text}, %{before} ], [ {large_lanes.text}, %{last} ]"
            )
        )
        for small, large_lanes in zip((n, r, tail), chosen, strict=True)
    ]
    return merged[0], merged[1], merged[2]


def _reduce_small(x: Vector, short: bool) -> tuple[Vector, Vector, Vector]:
    shifted = x * (2.0 / math.pi) + _ROUNDER
    count = shifted - _ROUNDER
    n = shifted.bits() - x.constant(_ROUNDER).bits()
    first = x - count * _PARTS[0]
    if short:
        return n, first - count * (_PARTS[1] + _PARTS[2]), x.constant(0.0)
    second, second_lost = two_sum(first, -(count * _PARTS[1]))
    third, third_lost = two_sum(second, -(count * _PARTS[2]))
    lost = (second_lost + third_lost) - count * _REST
    r = third + lost
    return n, r, (third - r) + lost


def _reduce_lanes(x: Vector) -> tuple[Vector, Vector, Vector]:
    """Reduce lane by lane in memory; large arguments are rare, so that small code is preferred to speed."""
    e = x.emitter
    _add_large_reduction(e.module)
    kinds = ("float64", "int64", "float64", "float64")
    slots = [e.stack(type_of(kind, x.width)) for kind in kinds]
    e.emit(f"store {type_of('float64', x.width)} {x.text}, ptr {slots[0]}, align 64")
    with e.loop(0, x.width) as lane:
        places = [
            e.assign(f"getelementptr i64, ptr {slot}, i64 {lane}") for slot in slots
        ]
        value = e.assign(f"load double, ptr {places[0]}")
        outputs = ", ".join(f"ptr {place}" for place in places[1:])
        e.emit(f"call void @{_REDUCE}(double {value}, {outputs})")
    n, r, tail = (
        x.like(e.assign(f"load {type_of(kind, x.width)}, ptr {slot}, align 64"), kind)
        for kind, slot in zip(kinds[1:], slots[1:], strict=True)
    )
    return n, r, tail


def _add_large_reduction(module: Module) -> None:
    """Add the reduction of one float64 with |x| ≥ 2¹⁹.

    Let x = m·2ˢ with an integer m of 53 bits. Only the 192 bits of 2ˢ·2/π from weight 2 downwards are relevant to
    m·2ˢ·2/π mod 4; the product mod 2¹⁹² in units of 2⁻¹⁹⁰ has n in its two upper bits.
    """
    if _REDUCE in module:
        return
    module.add("math.two_over_pi", _two_over_pi_table())
    e = Emitter(module)
    bits = e.assign("bitcast double %x to i64")
    exponent = e.assign(f"and i64 {e.assign(f'lshr i64 {bits}, 52')}, 2047")
    whole = e.assign(f"or i64 {e.assign(f'and i64 {bits}, {2**52 - 1}')}, {2**52}")
    position = e.minimum(
        e.add(exponent, 62 - 1075), 64 * (_TABLE_WORDS - 4)
    )  # clamped for infinities
    position = e.assign(f"call i64 @llvm.smax.i64(i64 {position}, i64 0)")
    word, shift = e.divide(position, 64), e.modulo(position, 64)
    words = []
    for i in range(4):
        address = e.assign(
            f"getelementptr i64, ptr @math.two_over_pi, i64 {e.add(word, i)}"
        )
        words.append(e.assign(f"load i64, ptr {address}"))
    window = [
        e.assign(
            f"call i64 @llvm.fshl.i64(i64 {words[i]}, i64 {words[i + 1]}, i64 {shift})"
        )
        for i in range(3)
    ]
    upper = _product_upper(e, whole, window)
    n, distance = _nearest(e, upper)
    negative = e.assign("fcmp olt double %x, 0.0")
    high, low = _to_double_length(e, distance)
    r, r_low = two_product(Vector(e, high, "float64", 1), _HALF_PI[0])
    r_low = r_low + (
        Vector(e, high, "float64", 1) * _HALF_PI[1]
        + Vector(e, low, "float64", 1) * _HALF_PI[0]
    )
    total = r + r_low
    lost = (r - total) + r_low
    signed_n = e.assign(
        f"select i1 {negative}, i64 {e.assign(f'sub i64 0, {n}')}, i64 {n}"
    )
    e.emit(f"store i64 {signed_n}, ptr %n")
    for value, place in ((total, "%r"), (lost, "%tail")):
        signed = e.assign(
            f"select i1 {negative}, double {(-value).text}, double {value.text}"
        )
        e.emit(f"store double {signed}, ptr {place}")
    e.emit("ret void")
    module.add(
        _REDUCE,
        e.function(f"internal void @{_REDUCE}(double %x, ptr %n, ptr %r, ptr %tail)"),
    )


def _product_upper(e: Emitter, whole: str, window: list[str]) -> str:
    """Return the upper 128 of the lower 192 bits of ``whole`` times the window of three words."""
    long_whole = e.assign(f"zext i64 {whole} to i128")
    low, middle, top = (
        e.assign(f"mul i128 {e.assign(f'zext i64 {word} to i128')}, {long_whole}")
        for word in reversed(window)
    )
    carry = e.assign(f"lshr i128 {low}, 64")
    raised = e.assign(f"shl i128 {top}, 64")
    return e.assign(f"add i128 {e.assign(f'add i128 {middle}, {carry}')}, {raised}")


def _nearest(e: Emitter, value: str) -> tuple[str, str]:
    """Return the integer nearest to a fixed-point number with 126 fraction bits, and the difference."""
    half = 1 << 125
    above = e.assign(f"lshr i128 {e.assign(f'add i128 {value}, {half}')}, 126")
    n = e.assign(f"trunc i128 {above} to i64")
    whole = e.assign(f"shl i128 {e.assign(f'zext i64 {n} to i128')}, 126")
    return n, e.assign(f"sub i128 {value}, {whole}")


def _to_double_length(e: Emitter, distance: str) -> tuple[str, str]:
    """Return a signed fixed-point number with 126 fraction bits as an unevaluated sum of two float64."""
    negative = e.assign(f"icmp slt i128 {distance}, 0")
    opposite = e.assign(f"sub i128 0, {distance}")
    size = e.assign(f"select i1 {negative}, i128 {opposite}, i128 {distance}")
    zeros = e.assign(f"call i128 @llvm.ctlz.i128(i128 {size}, i1 false)")
    shift = e.assign(f"call i128 @llvm.umin.i128(i128 {zeros}, i128 127)")
    normal = e.assign(f"shl i128 {size}, {shift}")
    top = e.assign(
        f"trunc i128 {e.assign(f'lshr i128 {normal}, 75')} to i64"
    )  # 53 bits
    rest = e.assign(f"trunc i128 {e.assign(f'lshr i128 {normal}, 22')} to i64")
    below = e.assign(f"and i64 {rest}, {2**53 - 1}")
    exponent = e.assign(f"trunc i128 {shift} to i64")
    # the upper 53 bits are in units of 2^(75 − 126 − shift), the next 53 in units of 2^(22 − 126 − shift)
    found = []
    for mantissa, unit in ((top, 75 - 126), (below, 22 - 126)):
        biased = e.assign(f"sub i64 {1023 + unit}, {exponent}")
        scale = e.assign(f"bitcast i64 {e.assign(f'shl i64 {biased}, 52')} to double")
        value = e.assign(
            f"fmul double {e.assign(f'sitofp i64 {mantissa} to double')}, {scale}"
        )
        found.append(
            e.assign(
                f"select i1 {negative}, double {e.assign(f'fneg double {value}')}, double {value}"
            )
        )
    return found[0], found[1]


def _two_over_pi_table() -> str:
    """Return a table of the bits of 2/π after 64 zeros, as i64 words, most significant first."""
    bits = 64 * (_TABLE_WORDS - 1)
    scaled = int(Fraction(2) / _pi(bits + 32) * 2**bits)
    words = [
        0,
        *(
            scaled >> (bits - 64 * (i + 1)) & (2**64 - 1)
            for i in range(_TABLE_WORDS - 1)
        ),
    ]
    listed = ", ".join(f"i64 {word}" for word in words)
    return f"@math.two_over_pi = private unnamed_addr constant [{len(words)} x i64] [{listed}]"


def _pi(bits: int) -> Fraction:
    """Return π to a number of bits, by Machin's formula π = 16·arctan(1/5) − 4·arctan(1/239)."""
    unit = 1 << (bits + 32)

    def arctangent_of_inverse(x: int) -> int:
        power, total, k = unit // x, 0, 0
        while power:
            total += (-1) ** k * (power // (2 * k + 1))
            power //= x * x
            k += 1
        return total

    return Fraction(
        16 * arctangent_of_inverse(5) - 4 * arctangent_of_inverse(239), unit
    )
