"""Numbers in formulas: exponents, and powers of entries."""

from __future__ import annotations

from fractions import Fraction

from deltarule.explain.reading.syntax import Expression, Literal, Negative, Quotient
from deltarule.graph import build
from deltarule.graph.node import Node


def number_of(tree: Expression) -> Fraction | None:
    """Return the number that an exponent is."""
    if isinstance(tree, Literal) and not isinstance(tree.value, float):
        return tree.value
    if isinstance(tree, Literal):
        return Fraction(tree.value).limit_denominator(10**6)
    if isinstance(tree, Negative):
        inner = number_of(tree.body)
        return None if inner is None else -inner
    if isinstance(tree, Quotient):
        over, under = number_of(tree.over), number_of(tree.under)
        return over / under if over is not None and under else None
    return None


def raised(node: Node, exponent: Fraction) -> Node:
    """Return a power of each entry."""
    if exponent == Fraction(1, 2):
        return build.sqrt(node)
    if exponent.denominator == 1 and 0 < abs(exponent) <= 4:
        result = node
        for _ in range(abs(int(exponent)) - 1):
            result = build.multiply(result, node)
        return result if exponent > 0 else build.divide(1.0, result)
    return build.power(node, float(exponent))
