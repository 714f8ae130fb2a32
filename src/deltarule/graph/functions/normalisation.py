"""Normalisation to zero mean and unit variance, and the Euclidean norm."""

from __future__ import annotations

from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.node import Node


@named("(x − μ)/√(σ² + ε)")
def normalize(x: Node, *, axes: tuple[int, ...], epsilon: float) -> Node:
    """Return (x − μ)/√(σ² + ε), with mean and biased variance over ``axes``.

    >>> normalize(build.input_node("x", (4, 3)), axes=(0,), epsilon=1e-5)
    <normalize (4, 3) float32>
    """
    centred = build.subtract(x, build.mean(x, axes, keepdims=True))
    variance = build.mean(build.multiply(centred, centred), axes, keepdims=True)
    return build.divide(centred, build.sqrt(build.add(variance, epsilon)))


@named("√Σx²")
def euclidean_norm(x: Node, *, axes: tuple[int, ...]) -> Node:
    """Return √Σx² over axes; derivative x/‖x‖, and the subgradient 0 at x = 0.

    >>> euclidean_norm(build.input_node("x", (4, 3)), axes=(1,))
    <euclidean_norm (4) float32>
    """
    return build.sqrt(build.sum_over(build.multiply(x, x), axes))
