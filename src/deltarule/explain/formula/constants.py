"""Numbers that have a short exact form: multiples of square roots, of π and of logarithms."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from deltarule import dtypes
from deltarule.explain.formula.coefficients import (
    exact,
    is_constant,
    number,
    split,
    unwrapped,
)
from deltarule.explain.formula.term import Apply, Coefficient, Product, Symbol, Term
from deltarule.graph import build
from deltarule.shapes import Shape

PI: Final = Symbol("pi", (), build.constant(math.pi, dtypes.FLOAT64))
_ONE, _HALF = Fraction(1), Fraction(1, 2)
_ROUNDING = 4  # units in the last place between a number and its exact form
_RADICAND = 1000
_DIVISORS = 60
_SMALLEST, _LARGEST = 1e-4, 1e4


def constant(value: float) -> Term:
    """Return a number, exact where it has a short form: c, c√n, cπ, √(cπ), c log n or c log(2π) with a fraction c.

    >>> from deltarule.explain.formula.typeset import typeset
    >>> from deltarule.render.mathematics import to_text
    >>> [to_text(typeset(constant(value))) for value in (0.25, 0.5**0.5, math.pi / 2, 0.123456)]
    ['1/4', '1/√2', '½π', '0.123456']
    """
    plain = exact(value)
    if isinstance(plain, Fraction) or not _SMALLEST < abs(value) < _LARGEST:
        return number(plain)
    sign = _ONE if value > 0 else -_ONE
    size = abs(value)
    found = _root(size) or _multiple_of_pi(size) or _logarithm(size)
    if found is None:
        return number(plain)
    front, factor, exponent = found
    return unwrapped(Product(sign * front, ((factor, exponent),), ()))


def root_of(square: Fraction) -> tuple[Fraction, Fraction, Fraction] | None:
    """Return c, n, e with √square = c nᵉ, where n is a whole number without square factors and e is ½ or −½.

    None where the numbers are large.

    >>> [str(part) for part in root_of(Fraction(8))], [str(part) for part in root_of(Fraction(1, 2))]
    (['2', '2', '1/2'], ['1', '2', '-1/2'])
    """
    inside = square.numerator * square.denominator
    if inside > _RADICAND**2:
        return None
    outside, n = 1, inside
    for factor in range(2, math.isqrt(inside) + 1):
        while n % factor**2 == 0:
            outside, n = outside * factor, n // factor**2
    front = Fraction(outside, square.denominator)
    if n > 1 and front.denominator % n == 0:  # ½√2 = 1/√2
        return front * n, Fraction(n), -_HALF
    return front, Fraction(n), _HALF


def is_numeric(term: Term) -> bool:
    """Whether a term holds no symbol but π.

    >>> from deltarule.explain.formula.term import Symbol
    >>> is_numeric(constant(math.pi / 2)), is_numeric(Symbol.of("x"))
    (True, False)
    """
    if isinstance(term, Product):
        return all(is_numeric(factor) for factor, _ in term.factors)
    return term is PI


def _equal(value: float, other: float) -> bool:
    return abs(value - other) <= _ROUNDING * math.ulp(value)


def _root(value: float) -> tuple[Fraction, Term, Fraction] | None:
    square = Fraction(value * value).limit_denominator(_RADICAND)
    if not square or not _equal(value, math.sqrt(square)):
        return None
    found = root_of(square)
    if found is None or found[1] > _RADICAND:
        return None
    front, n, exponent = found
    return front, number(n), exponent


def _multiple_of_pi(value: float) -> tuple[Fraction, Term, Fraction] | None:
    ratio = Fraction(value / math.pi).limit_denominator(_DIVISORS)
    if ratio and _equal(value, float(ratio) * math.pi):
        return ratio, PI, _ONE
    inverse = Fraction(value * math.pi).limit_denominator(_DIVISORS)
    if inverse and _equal(value, float(inverse) / math.pi):
        return inverse, PI, -_ONE
    for exponent in (_HALF, -_HALF):  # √(2π) and 1/√(2π)
        inside = (value * value if exponent > 0 else 1 / (value * value)) / math.pi
        ratio = Fraction(inside).limit_denominator(_DIVISORS)
        if ratio and _equal(value, (float(ratio) * math.pi) ** float(exponent)):
            under = unwrapped(Product(ratio, ((PI, _ONE),), ()))
            return _ONE, under, exponent
    return None


def _logarithm(value: float) -> tuple[Fraction, Term, Fraction] | None:
    """Return c log b for b = 2, 3, 10, π or 2π and a fraction c with a denominator of at most 4."""
    two_pi = unwrapped(Product(Fraction(2), ((PI, _ONE),), ()))
    bases: dict[float, Term] = {float(n): number(Fraction(n)) for n in (2, 3, 10)}
    bases |= {math.pi: PI, 2 * math.pi: two_pi}
    for base, term in bases.items():
        ratio = Fraction(value / math.log(base)).limit_denominator(4)
        if ratio and _equal(value, float(ratio) * math.log(base)):
            parameter = build.input_node("x", (), dtypes.FLOAT64)
            body = build.log(parameter)
            return ratio, Apply("log", (term,), (), body, (parameter,)), _ONE
    return None


def with_one_root(
    coefficient: Coefficient, exponents: dict[Term, Fraction]
) -> tuple[Coefficient, dict[Term, Fraction]]:
    """Join the square roots of numbers: √2·√2 = 2, √2·√3 = √6, 2/√2 = √2."""
    roots = {
        factor: exponent
        for factor, exponent in exponents.items()
        if is_constant(factor) and factor.shape == ()
    }
    if not roots or not isinstance(coefficient, Fraction):
        return coefficient, exponents
    square = _ONE
    for factor, exponent in roots.items():
        value = split(factor)[0]
        if not isinstance(value, Fraction) or value <= 0 or (2 * exponent) % 1:
            return coefficient, exponents
        square *= value ** int(2 * exponent)
    sign = 1 if coefficient >= 0 else -1
    found = root_of(square * coefficient**2)
    if found is None:
        return coefficient, exponents
    front, n, half = found
    rest = {f: e for f, e in exponents.items() if f not in roots}
    return sign * front, rest if n == 1 else {number(n): half, **rest}


def root_of_number(
    coefficient: Coefficient, exponent: Fraction, shape: Shape
) -> Term | None:
    """Return √q of a fraction as c·nᵉ with the smallest n.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> term_text(root_of_number(Fraction(8), Fraction(1, 2), ()))
    '2√2'
    """
    if not isinstance(coefficient, Fraction) or coefficient <= 0:
        return None
    found = root_of(coefficient if exponent > 0 else 1 / coefficient)
    if found is None:
        return None
    front, n, half = found
    factors = () if n == 1 else ((number(n), half),)
    return Product(front, factors, shape)
