"""Forward mode: the derivative of many outputs along one direction.

A pullback is linear in its cotangent, so the pushforward is the transpose of the pullback: reverse mode applied
to the reverse sweep (Townsend 2017). Every rule of the derivative table thereby serves both modes, and the
cotangent that the first sweep introduces does not occur in the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.grad.reverse import backpropagate
from deltarule.graph import build
from deltarule.graph.node import Node


def pushforward(
    outputs: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Node]
) -> list[Node]:
    """Return J·v for each output, v the tangents of ``wrt``: Σ ∂output/∂w · tangent."""
    results = []
    for output in outputs:
        cotangent = build.input_node("cotangent", output.shape, output.dtype)
        total = None
        found = backpropagate(output, wrt, cotangent).cotangents
        for node, tangent in zip(wrt, tangents, strict=True):
            if node not in found:
                continue
            share = backpropagate(found[node], [cotangent], tangent).cotangents.get(
                cotangent
            )
            if share is not None:
                total = share if total is None else build.add(total, share)
        results.append(
            build.full(output.shape, 0.0, output.dtype) if total is None else total
        )
    return results
