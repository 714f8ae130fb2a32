"""Eager evaluation by the reference backend, without compilation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deltarule.backends import reference
from deltarule.graph.node import Node
from deltarule.runtime.buffers import Array, bind, known_values, value_of
from deltarule.simplify import simplify


def realize(nodes: Sequence[Node]) -> list[Array]:
    """Return the values of nodes and cache them.

    >>> from deltarule.graph.build import constant, exp
    >>> realize([exp(constant(0.0))])[0].item()
    1.0
    """
    missing = [node for node in dict.fromkeys(nodes) if value_of(node) is None]
    if missing:
        known = known_values(missing)
        smaller = simplify_above(missing, known)
        values = reference.evaluate(smaller, known)
        for node, value in zip(missing, values, strict=True):
            bind(node, np.array(value))
    return [found for node in nodes if (found := value_of(node)) is not None]


def peek(node: Node) -> Array:
    """Return the value of a node, read-only, without caching it.

    A broadcast number takes no memory:

    >>> from deltarule import dtypes
    >>> from deltarule.graph.build import full
    >>> peek(full((300, 200), 1.0, dtypes.FLOAT32)).strides
    (0, 0)
    """
    found = value_of(node)
    if found is None:
        known = known_values([node])
        (found,) = reference.evaluate(simplify_above([node], known), known)
    return found


def simplify_above(outputs: Sequence[Node], known: dict[Node, Array]) -> list[Node]:
    """Simplify ``outputs`` unless a known value is that of an interior node, which rewriting could remove.

    >>> from deltarule.graph.build import add, input_node
    >>> x = input_node("x", (3,))
    >>> simplify_above([add(x, 0.0)], {}) == [x]
    True
    """
    if any(node.sources for node in known):
        return list(outputs)
    return simplify(outputs, exact=True)
