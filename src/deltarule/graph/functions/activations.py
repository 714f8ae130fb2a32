"""Activations. Conventions at kinks: the derivative at the kink is the one from the left (ReLU′(0) = 0)."""

from __future__ import annotations

import math

from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.node import Node

SELU_ALPHA = 1.6732632423543772  # Klambauer et al. 2017, fixed point (0, 1)
SELU_SCALE = 1.0507009873554805


@named("max(0, x)")
def relu(x: Node) -> Node:
    """max(0, x); derivative 𝟙(x > 0), 0 at the kink (ACT-07)."""
    return build.maximum(build.full(x.shape, 0, x.dtype), x)


@named("max(0, x) + α min(0, x)")
def leaky_relu(x: Node, *, slope: float) -> Node:
    """x for x > 0, slope·x otherwise; derivative ``slope`` at the kink (ACT-09)."""
    return build.where(build.less(0, x), x, build.multiply(x, slope))


@named("x for x > 0, αx otherwise", elementwise=True)
def prelu(x: Node, alpha: Node) -> Node:
    """x for x > 0, αx otherwise, α learned; derivative α at the kink, Σ 𝟙(x ≤ 0)·x·∂L/∂f in α (ACT-10)."""
    return build.where(build.less(0, x), x, build.multiply(x, alpha))


@named("x for x > 0, α(eˣ − 1) otherwise")
def elu(x: Node, *, alpha: float) -> Node:
    """x for x > 0, α(eˣ − 1) otherwise; derivative α at the kink (Clevert et al. 2016)."""
    return build.where(
        build.less(0, x), x, build.multiply(build.expm1(build.minimum(x, 0)), alpha)
    )


@named("λ(x for x > 0, α(eˣ − 1) otherwise)")
def selu(x: Node) -> Node:
    """λ·ELU(x; α) with the self-normalising constants (Klambauer et al. 2017)."""
    return build.multiply(elu(x, alpha=SELU_ALPHA), SELU_SCALE)


@named("x Φ(x)")
def gelu(x: Node, *, approximate: bool) -> Node:
    """x·Φ(x) exactly, or ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016)."""
    if approximate:
        cube = build.multiply(build.multiply(x, x), x)
        inner = build.multiply(
            build.add(x, build.multiply(cube, 0.044715)), math.sqrt(2 / math.pi)
        )
        phi = build.multiply(build.add(build.tanh(inner), 1), 0.5)
    else:
        phi = build.multiply(
            build.add(build.erf(build.multiply(x, math.sqrt(0.5))), 1), 0.5
        )
    return build.multiply(x, phi)


@named("1/(1 + e⁻ˣ)")
def sigmoid(x: Node) -> Node:
    """1/(1 + e⁻ˣ), exact in both tails: with e = e^−|x| it is 1/(1 + e) or e/(1 + e); derivative σ(1 − σ)."""
    small = build.exp(build.negate(build.absolute(x)))
    return build.divide(build.where(build.less(x, 0), small, 1), build.add(small, 1))


@named("ln(1 + eˣ)")
def softplus(x: Node) -> Node:
    """ln(1 + eˣ) as max(x, 0) + ln(1 + e^−|x|); derivative σ(x)."""
    return build.add(
        build.maximum(x, 0), build.log1p(build.exp(build.negate(build.absolute(x))))
    )


@named("ln σ(x)")
def log_sigmoid(x: Node) -> Node:
    """The logarithm ln σ(x) = −softplus(−x); derivative σ(−x)."""
    return build.negate(softplus(build.negate(x)))


@named("x σ(x)")
def silu(x: Node) -> Node:
    """x·σ(x), also called Swish."""
    return build.multiply(x, sigmoid(x))


@named("x tanh(ln(1 + eˣ))")
def mish(x: Node) -> Node:
    """x·tanh(softplus(x)) (Misra 2020)."""
    return build.multiply(x, build.tanh(softplus(x)))


@named("x³")
def cube(x: Node) -> Node:
    """x³: its derivative 3x² vanishes near 0 and explodes far away (ACT-17)."""
    return build.multiply(build.multiply(x, x), x)


@named("min(max(x, a), b)")
def clip(x: Node, *, low: float, high: float) -> Node:
    """The nearest number in [low, high]; derivative 𝟙(low < x ≤ high), so nothing learns outside (ACT-18)."""
    inside = build.maximum(build.full(x.shape, low, x.dtype), x)
    return build.minimum(inside, high)


@named("min(max(ax + b, 0), 1)")
def hard_sigmoid(x: Node, *, slope: float, offset: float) -> Node:
    """slope·x + offset kept within [0, 1]: a sigmoid of three straight pieces."""
    return clip(build.add(build.multiply(x, slope), offset), low=0.0, high=1.0)


@named("x min(max(x/6 + ½, 0), 1)")
def hard_swish(x: Node) -> Node:
    """x·hard_sigmoid(x) with slope 1/6 and offset ½ (Howard et al. 2019)."""
    return build.multiply(x, hard_sigmoid(x, slope=1 / 6, offset=0.5))


@named("x/(1 + |x|)")
def softsign(x: Node) -> Node:
    """The bounded x/(1 + |x|); derivative 1/(1 + |x|)²."""
    return build.divide(x, build.add(build.absolute(x), 1))


def largest(x: Node, axis: int) -> Node:
    """Return max x along an axis, which keeps size 1, without a derivative; 0 where that is not finite."""
    top = build.stop_gradient(build.maximum_over(x, axis, keepdims=True))
    return build.where(build.less(build.absolute(top), math.inf), top, 0)


@named("ln Σ eˣ")
def logsumexp(x: Node, *, axis: int) -> Node:
    """The logarithm ln Σ eˣ along an axis without overflow; the gradient is the softmax (LA-26)."""
    top = largest(x, axis)
    total = build.sum_over(build.exp(build.subtract(x, top)), axis)
    return build.add(build.log(total), build.reshape(top, total.shape))


@named("eˣ / Σ eˣ")
def softmax(x: Node, *, axis: int) -> Node:
    """eˣ / Σ eˣ along an axis, shifted by the maximum."""
    shifted = build.subtract(
        x, build.stop_gradient(build.maximum_over(x, axis, keepdims=True))
    )
    exponentials = build.exp(shifted)
    return build.divide(exponentials, build.sum_over(exponentials, axis, keepdims=True))


@named("x − ln Σ eˣ")
def log_softmax(x: Node, *, axis: int) -> Node:
    """The logarithm of the softmax, (x − m) − ln Σ e^(x − m) along an axis with m the maximum: exact far from 0."""
    shifted = build.subtract(x, largest(x, axis))
    return build.subtract(
        shifted, build.log(build.sum_over(build.exp(shifted), axis, keepdims=True))
    )


@named("ln cosh x")
def log_cosh(x: Node) -> Node:
    """−½ ln(1 − tanh² x) near 0, |x| + ln(1 + e^−2|x|) − ln 2 beyond 1; derivative tanh x."""
    size = build.absolute(x)
    slope = build.tanh(build.minimum(size, 1.0))
    near = build.multiply(build.log1p(build.negate(build.multiply(slope, slope))), -0.5)
    far = build.add(
        build.subtract(size, math.log(2.0)),
        build.log1p(build.exp(build.multiply(size, -2.0))),
    )
    return build.where(build.less(size, 1.0), near, far)
