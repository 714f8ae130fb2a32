"""Forward-mode differentiation: the derivative of several outputs along one direction.

A pullback is linear in its cotangent, so the pushforward is the transpose of the pullback: reverse mode applied
to the backward pass (Townsend 2017). So every rule of the derivative table serves both modes, and the cotangent
that the first pass introduces does not occur in the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.grad.reverse import backpropagate
from deltarule.graph import build
from deltarule.graph.node import Node


def pushforward(
    outputs: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Node]
) -> list[Node]:
    """Return the Jacobian-vector product Σ ∂output/∂w · tangent for each output.

    Args:
        outputs: The nodes to differentiate.
        wrt: The variables.
        tangents: The direction, one node for each variable.

    >>> x, v = build.input_node("x", (3,)), build.input_node("v", (3,))
    >>> pushforward([build.exp(x)], [x], [v])
    [<multiply (3) float32>]
    """
    results = []
    for output in outputs:
        cotangent = build.input_node("cotangent", output.shape, output.dtype)
        total = None
        found = backpropagate(output, wrt, cotangent).cotangents
        for node, tangent in zip(wrt, tangents, strict=True):
            if node not in found:
                continue
            transposed = backpropagate(found[node], [cotangent], tangent).cotangents
            share = transposed.get(cotangent)
            if share is not None:
                total = share if total is None else build.add(total, share)
        if total is None:
            total = build.full(output.shape, 0.0, output.dtype)
        results.append(total)
    return results
