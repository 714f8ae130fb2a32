"""The logarithm of the gamma function and its derivatives, for densities of counts and of positive numbers.

For x ≥ 8 Stirling's series with eight terms is used; below, the recurrence Γ(x + 1) = xΓ(x) first raises the argument
by 8. The truncation error is below 10⁻¹⁵ (Abramowitz and Stegun 1964, 6.1.40, 6.3.18, 6.4.12).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.node import Node

LIFT: Final = 8
_BERNOULLI: Final = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
)  # B₂, B₄, …, B₁₆
_FOR_LGAMMA: Final = tuple(
    b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1)
)
_FOR_DIGAMMA: Final = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))
_HALF_LOG_TWO_PI: Final = 0.5 * math.log(2 * math.pi)


def _polynomial(coefficients: Sequence[float], x: Node) -> Node:
    """Return Σ cₖxᵏ by Horner's rule."""
    result = build.full(x.shape, coefficients[-1], x.dtype)
    for coefficient in reversed(coefficients[:-1]):
        result = build.add(build.multiply(result, x), coefficient)
    return result


def _lifted(x: Node) -> tuple[Node, Node, Node]:
    """Return whether x < 8, the argument raised to 8 or more, and min(x, 8) for the recurrence."""
    small = build.less(x, LIFT)
    return small, build.where(small, build.add(x, LIFT), x), build.minimum(x, LIFT)


@named("ln Γ(x)")
def lgamma(x: Node) -> Node:
    """Return ln Γ(x) for x > 0; derivative ψ(x).

    Computed as (y − ½) ln y − y + ½ ln 2π + Σ B₂ₖ/(2k(2k − 1)y²ᵏ⁻¹), minus ln x(x + 1)…(x + 7) if x < 8 was raised to
    y = x + 8. The absolute error near 1 and 2 is below 10⁻¹³ in float64.

    >>> lgamma(build.constant(2.0))
    <lgamma () float32>
    """
    small, y, low = _lifted(x)
    inverse = build.divide(1, y)
    series = build.multiply(
        inverse, _polynomial(_FOR_LGAMMA, build.multiply(inverse, inverse))
    )
    main = build.subtract(build.multiply(build.subtract(y, 0.5), build.log(y)), y)
    product = low
    for i in range(1, LIFT):
        product = build.multiply(product, build.add(low, i))
    lifted = build.where(small, build.log(product), 0)
    return build.subtract(build.add(build.add(main, _HALF_LOG_TWO_PI), series), lifted)


@named("ψ(x)")
def digamma(x: Node) -> Node:
    """Return ψ(x) = (ln Γ)′(x) for x > 0; absolute error below 10⁻¹³ in float64 where |ψ| < 10.

    >>> digamma(build.constant(2.0))
    <digamma () float32>
    """
    small, y, low = _lifted(x)
    inverse = build.divide(1, y)
    square = build.multiply(inverse, inverse)
    series = build.multiply(square, _polynomial(_FOR_DIGAMMA, square))
    main = build.subtract(
        build.subtract(build.log(y), build.multiply(inverse, 0.5)), series
    )
    return build.subtract(main, build.where(small, _sum_of_inverses(low, 1), 0))


@named("ψ′(x)")
def trigamma(x: Node) -> Node:
    """Return ψ′(x) = (ln Γ)″(x) for x > 0; relative error below 10⁻¹³ in float64.

    >>> trigamma(build.constant(2.0))
    <trigamma () float32>
    """
    small, y, low = _lifted(x)
    inverse = build.divide(1, y)
    square = build.multiply(inverse, inverse)
    series = build.multiply(
        build.multiply(square, inverse), _polynomial(_BERNOULLI, square)
    )
    main = build.add(build.add(inverse, build.multiply(square, 0.5)), series)
    return build.add(main, build.where(small, _sum_of_inverses(low, 2), 0))


def _sum_of_inverses(x: Node, power: int) -> Node:
    """Return Σ 1/(x + i)ᵖ for i = 0 … 7."""
    total = None
    for i in range(LIFT):
        inverse = build.divide(1, build.add(x, i) if i else x)
        term = build.multiply(inverse, inverse) if power == 2 else inverse
        total = term if total is None else build.add(total, term)
    return total if total is not None else x
