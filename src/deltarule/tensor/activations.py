"""Activation functions of tensors; their formulas and derivatives are in ``deltarule.graph.functions.activations``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from deltarule import dtypes, shapes
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.flags import flag
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.activation import declared
from deltarule.graph.node import Node
from deltarule.tensor.tensor import Tensor, TensorLike, operand

__all__ = [
    "clip",
    "cube",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_swish",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
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


def floating(x: TensorLike) -> Node:
    """Return the node of a tensor; integers become float32.

    >>> floating([1, 2])
    <cast (2) float32>
    """
    node = build.as_node(operand(x))
    return node if node.dtype.is_float else build.cast(node, dtypes.FLOAT32)


def activation(make: Callable[..., Node]) -> Callable[[TensorLike], Tensor]:
    """Return the function of tensors for a declared activation, documented by its declaration.

    >>> activation(f.relu)([-2, 3]).tolist()
    [0.0, 3.0]
    """

    def function(x: TensorLike) -> Tensor:
        return Tensor(make(floating(x)))

    name = function.__name__ = function.__qualname__ = make.__name__
    known = declared(make)
    function.__doc__ = f"{known.summary}\n\n    {known.example(name)}\n    "
    return function


relu = activation(f.relu)
selu = activation(f.selu)
sigmoid = activation(f.sigmoid)
silu = activation(f.silu)
softplus = activation(f.softplus)
log_sigmoid = activation(f.log_sigmoid)
log_cosh = activation(f.log_cosh)
mish = activation(f.mish)
cube = activation(f.cube)
hard_swish = activation(f.hard_swish)
softsign = activation(f.softsign)


def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """Return x for x > 0, negative_slope·x otherwise; derivative ``negative_slope`` at 0 (Maas et al. 2013).

    >>> leaky_relu([-2.0, 3.0], negative_slope=0.1).tolist()
    [-0.20000000298023224, 3.0]
    """
    return Tensor(f.leaky_relu(floating(x), slope=negative_slope))


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """Return x for x > 0, α(eˣ − 1) otherwise; derivative α at 0 (Clevert et al. 2016).

    >>> [round(y, 4) for y in elu([-1.0, 2.0]).tolist()]
    [-0.6321, 2.0]
    """
    return Tensor(f.elu(floating(x), alpha=alpha))


Approximation = bool | Literal["none", "tanh"]


def is_approximate(approximate: Approximation, where: str) -> bool:
    """Return whether to compute a GELU by the tanh approximation; raise ArgumentError for an invalid option.

    >>> is_approximate("tanh", "gelu approximate")
    True
    """
    if isinstance(approximate, str) and approximate in {"none", "tanh"}:
        return approximate == "tanh"
    try:
        return flag(approximate, where)
    except ArgumentError:
        raise ArgumentError(
            where, expected="'none', 'tanh', True or False", got=repr(approximate)
        ) from None


def gelu(x: TensorLike, approximate: Approximation = "none") -> Tensor:
    """Return x·Φ(x), or with "tanh" (or True) ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016).

    >>> round(gelu(1.0).item(), 6), round(gelu(1.0, "tanh").item(), 6)
    (0.841345, 0.841192)
    """
    by_tanh = is_approximate(approximate, "gelu approximate")
    return Tensor(f.gelu(floating(x), approximate=by_tanh))


def prelu(x: TensorLike, alpha: TensorLike) -> Tensor:
    """Return x for x > 0, αx otherwise, with learnable α (He et al. 2015).

    α is a scalar, or one number for each channel of the last axis.

    >>> prelu([-2.0, 3.0], 0.25).tolist()
    [-0.5, 3.0]
    """
    return Tensor(f.prelu(floating(x), build.as_node(operand(alpha))))


def clip(x: TensorLike, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return x limited to [low, high]; derivative 𝟙(low < x ≤ high).

    Args:
        x: A tensor.
        low: The lower limit.
        high: The upper limit.

    >>> clip([-2.0, 0.5, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return Tensor(f.clip(floating(x), low=low, high=high))


def hard_sigmoid(x: TensorLike, slope: float = 1 / 6, offset: float = 0.5) -> Tensor:
    """Return slope·x + offset, limited to [0, 1].

    Args:
        x: A tensor.
        slope: The slope of the linear part.
        offset: The value at 0.

    >>> hard_sigmoid([-4.0, 0.0, 4.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return Tensor(f.hard_sigmoid(floating(x), slope=slope, offset=offset))


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """Return eˣ / Σ eˣ along an axis, computed without overflow.

    >>> softmax([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    node = floating(x)
    return Tensor(f.softmax(node, axis=shapes.axis(axis, node.rank, "axis")))


def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """Return the logarithm of the softmax, (x − m) − ln Σ e^(x − m) with m = max x, along an axis.

    >>> log_softmax([1e6, 1e6]).tolist()
    [-0.6931471824645996, -0.6931471824645996]
    """
    node = floating(x)
    return Tensor(f.log_softmax(node, axis=shapes.axis(axis, node.rank, "axis")))


check_calls(__name__)
