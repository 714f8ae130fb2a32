"""Special functions on tensors: ln Γ and its derivatives, ln B, and x ln y with 0·ln 0 = 0."""

from __future__ import annotations

from deltarule import dtypes
from deltarule.arguments import check_calls
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.tensor.functional import TensorLike, log, log1p, where
from deltarule.tensor.tensor import Tensor, operand

__all__ = [
    "digamma",
    "lgamma",
    "log_beta",
    "times_log",
    "times_log1p",
    "trigamma",
]


def _floating(x: TensorLike) -> Node:
    node = build.as_node(operand(x))
    return node if node.dtype.is_float else build.cast(node, dtypes.FLOAT32)


def lgamma(x: TensorLike) -> Tensor:
    """Return the log-gamma function ln Γ(x) for x > 0; its derivative is ψ(x).

    >>> round(lgamma(5.0).item(), 4)  # ln 4! = ln 24
    3.1781
    """
    return Tensor(f.lgamma(_floating(x)))


def digamma(x: TensorLike) -> Tensor:
    """Return the digamma function ψ(x) = (ln Γ)′(x) for x > 0; ψ(1) = −γ with Euler's constant γ.

    >>> round(digamma(1.0).item(), 5)
    -0.57722
    """
    return Tensor(f.digamma(_floating(x)))


def trigamma(x: TensorLike) -> Tensor:
    """Return the trigamma function ψ′(x) for x > 0; ψ′(1) = π²/6.

    >>> round(trigamma(1.0).item(), 4)
    1.6449
    """
    return Tensor(f.trigamma(_floating(x)))


def log_beta(a: TensorLike, b: TensorLike) -> Tensor:
    """Return the log-beta function ln B(a, b) = ln Γ(a) + ln Γ(b) − ln Γ(a + b).

    >>> round(log_beta(2.0, 3.0).item(), 4)  # −ln 12
    -2.4849
    """
    first, second = Tensor(_floating(a)), Tensor(_floating(b))
    return lgamma(first) + lgamma(second) - lgamma(first + second)


def times_log(factor: TensorLike, x: TensorLike) -> Tensor:
    """Return a·ln x with 0·ln 0 = 0; its derivative with respect to x is 0 there, too.

    >>> times_log([0.0, 1.0, 2.0], [0.0, 0.0, 1.0]).tolist()
    [0.0, -inf, 0.0]
    """
    a, value = Tensor(_floating(factor)), Tensor(_floating(x))
    nothing = (a == 0.0) & (value == 0.0)
    return a * log(where(nothing, 1.0, value))


def times_log1p(factor: TensorLike, x: TensorLike) -> Tensor:
    """Return a·ln(1 + x) with 0·ln 0 = 0.

    >>> times_log1p([0.0, 1.0], [-1.0, 0.0]).tolist()
    [0.0, 0.0]
    """
    a, value = Tensor(_floating(factor)), Tensor(_floating(x))
    nothing = (a == 0.0) & (value == -1.0)
    return a * log1p(where(nothing, 0.0, value))


check_calls(__name__)
