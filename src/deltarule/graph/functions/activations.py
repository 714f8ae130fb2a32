"""Activation functions; at a kink the derivative is the left one, so ReLU′(0) = 0."""

from __future__ import annotations

import math

from deltarule.graph import build
from deltarule.graph.activation import (
    Derivative,
    Notation,
    OnnxOperator,
    activation,
    slope,
)
from deltarule.graph.function import named
from deltarule.graph.node import Node

__all__ = [
    "clip",
    "cube",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "leaky_relu",
    "log_cosh",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mish",
    "prelu",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
]

SELU_ALPHA = 1.6732632423543772  # Klambauer et al. 2017, fixed point (0, 1)
SELU_SCALE = 1.0507009873554805


def _positive(y: Node) -> Node:
    return build.less(0, y.sources[0])


def _square(x: Node) -> Node:
    return build.multiply(x, x)


@activation(
    "max(0, x)",
    derivative=Derivative(
        "max gate routes (0 at the kink)", lambda y, g: build.where(_positive(y), g, 0)
    ),
    notation=Notation("ReLU"),
    init="he",
    examples={-2: 0.0, 3: 3.0},
    onnx=OnnxOperator("Relu", 1),
    torch="torch.relu",
)
def relu(x: Node) -> Node:
    """Return max(0, x); derivative 𝟙(x > 0), 0 at the kink.

    >>> relu(build.input_node("x", (3,)))
    <relu (3) float32>
    """
    return build.maximum(build.full(x.shape, 0, x.dtype), x)


@activation(
    "max(0, x) + α min(0, x)",
    derivative=Derivative(
        "leaky max gate",
        lambda y, g: build.where(
            _positive(y), g, build.multiply(g, y.attributes["slope"])
        ),
    ),
    notation=Notation("LeakyReLU"),
    init="he",
    examples={-2: -0.4, 3: 3.0},
    onnx=OnnxOperator("LeakyRelu", 1, {"alpha": ("slope", 0.01)}),
    torch="torch.nn.functional.leaky_relu",
    settings=({"slope": 0.2},),
)
def leaky_relu(x: Node, *, slope: float) -> Node:
    """Return x for x > 0, slope·x otherwise; derivative ``slope`` at the kink (Maas et al. 2013).

    >>> leaky_relu(build.input_node("x", (3,)), slope=0.1)
    <leaky_relu (3) float32>
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


@activation(
    "x for x > 0, α(eˣ − 1) otherwise",
    derivative=Derivative(
        "exponential linear unit",
        lambda y, g: build.where(
            _positive(y), g, build.multiply(g, build.add(y, y.attributes["alpha"]))
        ),
    ),
    notation=Notation("ELU"),
    init="he",
    examples={-1: -0.9482, 2: 2.0},
    onnx=OnnxOperator("Elu", 1, {"alpha": ("alpha", 1.0)}),
    torch="torch.nn.functional.elu",
    settings=({"alpha": 1.5},),
)
def elu(x: Node, *, alpha: float) -> Node:
    """Return x for x > 0, α(eˣ − 1) otherwise; derivative α at the kink (Clevert et al. 2016).

    >>> elu(build.input_node("x", (3,)), alpha=1.0)
    <elu (3) float32>
    """
    return build.where(
        build.less(0, x), x, build.multiply(build.expm1(build.minimum(x, 0)), alpha)
    )


@activation(
    "λ(x for x > 0, α(eˣ − 1) otherwise)",
    derivative=None,
    notation=Notation("SELU"),
    init="lecun",
    examples={-1: -1.1113, 1: 1.0507},
    onnx=OnnxOperator("Selu", 1),
    torch="torch.selu",
)
def selu(x: Node) -> Node:
    """Return λ·ELU(x; α) with the self-normalising constants (Klambauer et al. 2017).

    >>> selu(build.input_node("x", (3,)))
    <selu (3) float32>
    """
    return build.multiply(elu(x, alpha=SELU_ALPHA), SELU_SCALE)


@activation(
    "x Φ(x)",
    derivative=None,
    notation=Notation("GELU"),
    init="he",
    examples={-1: -0.1587, 1: 0.8413},
    onnx=OnnxOperator("Gelu", 20),
    torch="torch.nn.functional.gelu",
    settings=({"approximate": False}, {"approximate": True}),
)
def gelu(x: Node, *, approximate: bool) -> Node:
    """Return x·Φ(x), or its approximation ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016).

    >>> gelu(build.input_node("x", (3,)), approximate=False)
    <gelu (3) float32>
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


@activation(
    "1/(1 + e⁻ˣ)",
    derivative=slope(
        "σ′ = σ(1 − σ)", lambda y: build.multiply(y, build.subtract(1, y))
    ),
    notation=Notation("σ"),
    init="xavier",
    examples={0: 0.5, 2: 0.8808},
    onnx=OnnxOperator("Sigmoid", 1),
    torch="torch.sigmoid",
)
def sigmoid(x: Node) -> Node:
    """Return 1/(1 + e⁻ˣ); derivative σ(1 − σ).

    Computed with t = e^−|x| as 1/(1 + t) or t/(1 + t), which does not overflow and is accurate in both tails.

    >>> sigmoid(build.input_node("x", (3,)))
    <sigmoid (3) float32>
    """
    tail = build.exp(build.negate(build.absolute(x)))
    return build.divide(build.where(build.less(x, 0), tail, 1), build.add(tail, 1))


@activation(
    "ln(1 + eˣ)",
    derivative=slope("softplus′ = σ", lambda y: sigmoid(y.sources[0])),
    notation=Notation("softplus"),
    init="he",
    examples={0: 0.6931, 2: 2.1269},
    onnx=OnnxOperator("Softplus", 1),
    torch="torch.nn.functional.softplus",
)
def softplus(x: Node) -> Node:
    """Return ln(1 + eˣ), computed as max(x, 0) + ln(1 + e^−|x|); derivative σ(x).

    >>> softplus(build.input_node("x", (3,)))
    <softplus (3) float32>
    """
    return build.add(
        build.maximum(x, 0), build.log1p(build.exp(build.negate(build.absolute(x))))
    )


@activation(
    "ln σ(x)",
    derivative=slope("(ln σ)′ = 1 − σ", lambda y: sigmoid(build.negate(y.sources[0]))),
    notation=Notation("σ", logarithm=True),
    init="xavier",
    examples={0: -0.6931, 2: -0.1269},
    torch="torch.nn.functional.logsigmoid",
)
def log_sigmoid(x: Node) -> Node:
    """Return ln σ(x) = −softplus(−x); derivative σ(−x).

    >>> log_sigmoid(build.input_node("x", (3,)))
    <log_sigmoid (3) float32>
    """
    return build.negate(softplus(build.negate(x)))


@activation(
    "x σ(x)",
    derivative=None,
    notation=Notation("SiLU"),
    init="he",
    examples={0: 0.0, 2: 1.7616},
    torch="torch.nn.functional.silu",
)
def silu(x: Node) -> Node:
    """Return x·σ(x), also known as Swish (Ramachandran et al. 2017).

    >>> silu(build.input_node("x", (3,)))
    <silu (3) float32>
    """
    return build.multiply(x, sigmoid(x))


def _mish_slope(y: Node) -> Node:
    """Return tanh ζ + x·σ(x)·(1 − tanh² ζ) with ζ = softplus(x)."""
    x = y.sources[0]
    gate = build.tanh(softplus(x))
    steepness = build.multiply(
        sigmoid(x), build.subtract(1, build.multiply(gate, gate))
    )
    return build.add(gate, build.multiply(x, steepness))


@activation(
    "x tanh(ln(1 + eˣ))",
    derivative=slope("mish′ = tanh ζ + xσ(1 − tanh² ζ)", _mish_slope),
    notation=Notation("Mish"),
    init="he",
    examples={0: 0.0, 2: 1.944},
    onnx=OnnxOperator("Mish", 18),
    torch="torch.nn.functional.mish",
)
def mish(x: Node) -> Node:
    """Return x·tanh(softplus(x)) (Misra 2020).

    >>> mish(build.input_node("x", (3,)))
    <mish (3) float32>
    """
    return build.multiply(x, build.tanh(softplus(x)))


@activation(
    "x³",
    derivative=slope("(x³)′ = 3x²", lambda y: build.multiply(_square(y.sources[0]), 3)),
    notation=Notation(power="3"),
    init="xavier",
    examples={-2: -8.0, 3: 27.0},
)
def cube(x: Node) -> Node:
    """Return x³; the derivative 3x² vanishes near 0 and explodes for large |x|.

    >>> cube(build.input_node("x", (3,)))
    <cube (3) float32>
    """
    return build.multiply(build.multiply(x, x), x)


def _clip_pullback(y: Node, g: Node) -> Node:
    """Return g·𝟙(low < x ≤ high)."""
    x = y.sources[0]
    above = build.less(y.attributes["low"], x)
    inside = build.logical_and(
        above, build.logical_not(build.less(y.attributes["high"], x))
    )
    return build.where(inside, g, 0)


@activation(
    "min(max(x, a), b)",
    derivative=Derivative("clip routes between its bounds", _clip_pullback),
    notation=Notation("clip", ("low", "high")),
    init="xavier",
    examples={-2: -0.5, 3: 0.8},
    torch="torch.clamp",
    settings=({"low": -0.5, "high": 0.8},),
)
def clip(x: Node, *, low: float, high: float) -> Node:
    """Return x limited to [low, high]; derivative 𝟙(low < x ≤ high).

    >>> clip(build.input_node("x", (3,)), low=0.0, high=1.0)
    <clip (3) float32>
    """
    inside = build.maximum(build.full(x.shape, low, x.dtype), x)
    return build.minimum(inside, high)


@activation(
    "min(max(ax + b, 0), 1)",
    derivative=None,
    notation=Notation("HardSigmoid", ("slope", "offset")),
    init="xavier",
    examples={-4: 0.0, 0: 0.5},
    onnx=OnnxOperator(
        "HardSigmoid", 1, {"alpha": ("slope", 0.2), "beta": ("offset", 0.5)}
    ),
    torch="torch.nn.functional.hardsigmoid",
    settings=({"slope": 1 / 6, "offset": 0.5},),
)
def hard_sigmoid(x: Node, *, slope: float, offset: float) -> Node:
    """Return slope·x + offset limited to [0, 1], a piecewise linear sigmoid.

    >>> hard_sigmoid(build.input_node("x", (3,)), slope=1 / 6, offset=0.5)
    <hard_sigmoid (3) float32>
    """
    return clip(build.add(build.multiply(x, slope), offset), low=0.0, high=1.0)


@activation(
    "x min(max(x/6 + ½, 0), 1)",
    derivative=None,
    notation=Notation("HardSwish"),
    init="he",
    examples={1: 0.6667, 4: 4.0},
    onnx=OnnxOperator("HardSwish", 14),
    torch="torch.nn.functional.hardswish",
)
def hard_swish(x: Node) -> Node:
    """Return x·hard_sigmoid(x) with slope 1/6 and offset ½ (Howard et al. 2019).

    >>> hard_swish(build.input_node("x", (3,)))
    <hard_swish (3) float32>
    """
    return build.multiply(x, hard_sigmoid(x, slope=1 / 6, offset=0.5))


def _softsign_pullback(y: Node, g: Node) -> Node:
    spread = build.add(build.absolute(y.sources[0]), 1)
    return build.divide(g, build.multiply(spread, spread))


@activation(
    "x/(1 + |x|)",
    derivative=Derivative("1/(1 + |x|)²", _softsign_pullback),
    notation=Notation("softsign"),
    init="xavier",
    examples={-1: -0.5, 3: 0.75},
    onnx=OnnxOperator("Softsign", 1),
    torch="torch.nn.functional.softsign",
)
def softsign(x: Node) -> Node:
    """Return x/(1 + |x|), bounded by ±1; derivative 1/(1 + |x|)².

    >>> softsign(build.input_node("x", (3,)))
    <softsign (3) float32>
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


@activation(
    "ln cosh x",
    derivative=slope("(ln cosh)′ = tanh", lambda y: build.tanh(y.sources[0])),
    notation=Notation("cosh", logarithm=True),
    init="xavier",
    examples={0: 0.0, 2: 1.325},
)
def log_cosh(x: Node) -> Node:
    """Return ln cosh x; derivative tanh x.

    Computed as −½ ln(1 − tanh² x) for |x| < 1 and |x| + ln(1 + e^−2|x|) − ln 2 otherwise.

    >>> log_cosh(build.input_node("x", (3,)))
    <log_cosh (3) float32>
    """
    size = build.absolute(x)
    slope = build.tanh(build.minimum(size, 1.0))
    near = build.multiply(build.log1p(build.negate(build.multiply(slope, slope))), -0.5)
    far = build.add(
        build.subtract(size, math.log(2.0)),
        build.log1p(build.exp(build.multiply(size, -2.0))),
    )
    return build.where(build.less(size, 1.0), near, far)
