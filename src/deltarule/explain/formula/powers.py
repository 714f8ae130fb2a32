"""Powers and exponentials as terms: x², √x, eˣ, and βᵗ for what is computed as e^(t log β)."""

from __future__ import annotations

import math
from fractions import Fraction

from deltarule.explain.formula.algebra import divide, number, power, subtract, unwrapped
from deltarule.explain.formula.rearrangements import apply
from deltarule.explain.formula.term import (
    Apply,
    Coefficient,
    Product,
    Term,
    matrix_shape,
)
from deltarule.graph import build
from deltarule.graph.node import Node

_ONE = Fraction(1)
_LARGEST_LOGARITHM = 10.0


def power_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return xᵃ, with roots and small powers as those.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x, two = Symbol.of("x", (3, 1)), number(2)
    >>> term_text(power_rule(build.power(x.node, 2), (x, two)))
    'x²'
    """
    base, exponent = arguments
    if isinstance(exponent, Product) and not exponent.factors:
        value = exponent.coefficient
        if isinstance(value, Fraction) and value.denominator <= 4:
            return power(base, value)
    return apply(node, arguments)


def exponential_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return eˣ; e^(t log β) is βᵗ, also of a number β.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(exponential_rule(build.exp(x.node), (x,)))
    'eˣ'
    """
    (x,) = arguments
    parts = x.factors if isinstance(x, Product) else ((x, _ONE),)
    coefficient = x.coefficient if isinstance(x, Product) else _ONE
    for factor, exponent in parts:
        if isinstance(factor, Apply) and factor.name == "log" and exponent == 1:
            return _power_of(node, factor.arguments[0], divide(x, factor))
    base = _base(coefficient)
    if base is not None and parts:
        rest = unwrapped(Product(_ONE, parts, x.shape))
        return _power_of(node, number(base), rest)
    parameter = build.input_node("x", node.shape, node.dtype)
    shape = matrix_shape(node.shape)
    return Apply("exp", arguments, shape, build.exp(parameter), (parameter,))


def _power_of(node: Node, base: Term, exponent: Term) -> Term:
    parameters = tuple(
        build.input_node(name, node.shape if part.shape else (), node.dtype)
        for name, part in (("x", base), ("y", exponent))
    )
    shape = matrix_shape(node.shape)
    return Apply("power", (base, exponent), shape, build.power(*parameters), parameters)


def _base(coefficient: Coefficient) -> float | None:
    """Return the decimal whose logarithm a number is, if it has few digits."""
    if isinstance(coefficient, Fraction) or not abs(coefficient) < _LARGEST_LOGARITHM:
        return None
    base = round(math.exp(coefficient), 6)
    return base if base > 0 and math.log(base) == coefficient else None


def exponential_minus_one_rule(node: Node, arguments: tuple[Term, ...]) -> Term:
    """Return eˣ − 1.

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(exponential_minus_one_rule(build.expm1(x.node), (x,)))
    'eˣ − 1'
    """
    return subtract(
        exponential_rule(node, arguments), number(_ONE, matrix_shape(node.shape))
    )
