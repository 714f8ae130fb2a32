"""Activation functions; at a kink the derivative is the left one, so ReLU′(0) = 0."""

from __future__ import annotations

import math

from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.node import Node

SELU_ALPHA = 1.6732632423543772  # Klambauer et al. 2017, fixed point (0, 1)
SELU_SCALE = 1.0507009873554805


@named("max(0, x)")
def relu(x: Node) -> Node:
    """Return max(0, x); derivative 𝟙(x > 0), 0 at the kink.

    >>> relu(build.constant(2.0))
    <relu () float32>
    """
    return build.maximum(build.full(x.shape, 0, x.dtype), x)


@named("max(0, x) + α min(0, x)")
def leaky_relu(x: Node, *, slope: float) -> Node:
    """Return x for x > 0, slope·x otherwise; derivative ``slope`` at the kink (Maas et al. 2013).

    >>> leaky_relu(build.constant(2.0), slope=0.1)
    <leaky_relu () float32>
    """
    return build.where(build.less(0, x), x, build.multiply(x, slope))


@named("x for x > 0, αx otherwise", elementwise=True)
def prelu(x: Node, alpha: Node) -> Node:
    """Return x for x > 0, αx otherwise, with learnable α (He et al. 2015).

    The derivative at the kink is α; ∂L/∂α = Σ 𝟙(x ≤ 0)·x·∂L/∂f.

    >>> prelu(build.constant(2.0), build.constant(0.25))
    <prelu () float32>
    """
    return build.where(build.less(0, x), x, build.multiply(x, alpha))


@named("x for x > 0, α(eˣ − 1) otherwise")
def elu(x: Node, *, alpha: float) -> Node:
    """Return x for x > 0, α(eˣ − 1) otherwise; derivative α at the kink (Clevert et al. 2016).

    >>> elu(build.constant(2.0), alpha=1.0)
    <elu () float32>
    """
    return build.where(
        build.less(0, x), x, build.multiply(build.expm1(build.minimum(x, 0)), alpha)
    )


@named("λ(x for x > 0, α(eˣ − 1) otherwise)")
def selu(x: Node) -> Node:
    """Return λ·ELU(x; α) with the self-normalising constants (Klambauer et al. 2017).

    >>> selu(build.constant(2.0))
    <selu () float32>
    """
    return build.multiply(elu(x, alpha=SELU_ALPHA), SELU_SCALE)


@named("x Φ(x)")
def gelu(x: Node, *, approximate: bool) -> Node:
    """Return x·Φ(x), or its approximation ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016).

    >>> gelu(build.constant(2.0), approximate=False)
    <gelu () float32>
    """
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
    """Return 1/(1 + e⁻ˣ); derivative σ(1 − σ).

    Computed with t = e^−|x| as 1/(1 + t) or t/(1 + t), which does not overflow and is accurate in both tails.

    >>> sigmoid(build.constant(2.0))
    <sigmoid () float32>
    """
    tail = build.exp(build.negate(build.absolute(x)))
    return build.divide(build.where(build.less(x, 0), tail, 1), build.add(tail, 1))


@named("ln(1 + eˣ)")
def softplus(x: Node) -> Node:
    """Return ln(1 + eˣ), computed as max(x, 0) + ln(1 + e^−|x|); derivative σ(x).

    >>> softplus(build.constant(2.0))
    <softplus () float32>
    """
    return build.add(
        build.maximum(x, 0), build.log1p(build.exp(build.negate(build.absolute(x))))
    )


@named("ln σ(x)")
def log_sigmoid(x: Node) -> Node:
    """Return ln σ(x) = −softplus(−x); derivative σ(−x).

    >>> log_sigmoid(build.constant(2.0))
    <log_sigmoid () float32>
    """
    return build.negate(softplus(build.negate(x)))


@named("x σ(x)")
def silu(x: Node) -> Node:
    """Return x·σ(x), also known as Swish (Ramachandran et al. 2017).

    >>> silu(build.constant(2.0))
    <silu () float32>
    """
    return build.multiply(x, sigmoid(x))


@named("x tanh(ln(1 + eˣ))")
def mish(x: Node) -> Node:
    """Return x·tanh(softplus(x)) (Misra 2020).

    >>> mish(build.constant(2.0))
    <mish () float32>
    """
    return build.multiply(x, build.tanh(softplus(x)))


@named("x³")
def cube(x: Node) -> Node:
    """Return x³; the derivative 3x² vanishes near 0 and explodes for large |x|.

    >>> cube(build.constant(2.0))
    <cube () float32>
    """
    return build.multiply(build.multiply(x, x), x)


@named("min(max(x, a), b)")
def clip(x: Node, *, low: float, high: float) -> Node:
    """Return x limited to [low, high]; derivative 𝟙(low < x ≤ high).

    >>> clip(build.constant(2.0), low=0.0, high=1.0)
    <clip () float32>
    """
    inside = build.maximum(build.full(x.shape, low, x.dtype), x)
    return build.minimum(inside, high)


@named("min(max(ax + b, 0), 1)")
def hard_sigmoid(x: Node, *, slope: float, offset: float) -> Node:
    """Return slope·x + offset limited to [0, 1], a piecewise linear sigmoid.

    >>> hard_sigmoid(build.constant(2.0), slope=0.2, offset=0.5)
    <hard_sigmoid () float32>
    """
    return clip(build.add(build.multiply(x, slope), offset), low=0.0, high=1.0)


@named("x min(max(x/6 + ½, 0), 1)")
def hard_swish(x: Node) -> Node:
    """Return x·hard_sigmoid(x) with slope 1/6 and offset ½ (Howard et al. 2019).

    >>> hard_swish(build.constant(2.0))
    <hard_swish () float32>
    """
    return build.multiply(x, hard_sigmoid(x, slope=1 / 6, offset=0.5))


@named("x/(1 + |x|)")
def softsign(x: Node) -> Node:
    """Return x/(1 + |x|), bounded by ±1; derivative 1/(1 + |x|)².

    >>> softsign(build.constant(2.0))
    <softsign () float32>
    """
    return build.divide(x, build.add(build.absolute(x), 1))


def finite_maximum(x: Node, axis: int) -> Node:
    """Return max x along an axis (kept with size 1), without a gradient; 0 if it is not finite."""
    top = build.stop_gradient(build.maximum_over(x, axis, keepdims=True))
    return build.where(build.less(build.absolute(top), math.inf), top, 0)


@named("ln Σ eˣ")
def logsumexp(x: Node, *, axis: int) -> Node:
    """Return ln Σ eˣ along an axis, computed without overflow; the gradient is the softmax.

    >>> logsumexp(build.input_node("z", (4, 3)), axis=1)
    <logsumexp (4) float32>
    """
    top = finite_maximum(x, axis)
    total = build.sum_over(build.exp(build.subtract(x, top)), axis)
    return build.add(build.log(total), build.reshape(top, total.shape))


@named("eˣ / Σ eˣ")
def softmax(x: Node, *, axis: int) -> Node:
    """Return eˣ / Σ eˣ along an axis, with x shifted by its maximum against overflow.

    >>> softmax(build.input_node("z", (4, 3)), axis=1)
    <softmax (4, 3) float32>
    """
    shifted = build.subtract(
        x, build.stop_gradient(build.maximum_over(x, axis, keepdims=True))
    )
    exponentials = build.exp(shifted)
    return build.divide(exponentials, build.sum_over(exponentials, axis, keepdims=True))


@named("x − ln Σ eˣ")
def log_softmax(x: Node, *, axis: int) -> Node:
    """Return the logarithm of the softmax, (x − m) − ln Σ e^(x − m) with m = max x, along an axis.

    >>> log_softmax(build.input_node("z", (4, 3)), axis=1)
    <log_softmax (4, 3) float32>
    """
    shifted = build.subtract(x, finite_maximum(x, axis))
    return build.subtract(
        shifted, build.log(build.sum_over(build.exp(shifted), axis, keepdims=True))
    )


@named("ln cosh x")
def log_cosh(x: Node) -> Node:
    """Return ln cosh x; derivative tanh x.

    Computed as −½ ln(1 − tanh² x) for |x| < 1 and |x| + ln(1 + e^−2|x|) − ln 2 otherwise.

    >>> log_cosh(build.constant(2.0))
    <log_cosh () float32>
    """
    size = build.absolute(x)
    slope = build.tanh(build.minimum(size, 1.0))
    near = build.multiply(build.log1p(build.negate(build.multiply(slope, slope))), -0.5)
    far = build.add(
        build.subtract(size, math.log(2.0)),
        build.log1p(build.exp(build.multiply(size, -2.0))),
    )
    return build.where(build.less(size, 1.0), near, far)
