"""Evaluation at the prompt: the reference backend at once; nobody waits for a compiler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deltarule.backends import reference
from deltarule.graph.node import Node
from deltarule.runtime.buffers import Array, bind, known_below, value_of
from deltarule.simplify import simplify


def realize(nodes: Sequence[Node]) -> list[Array]:
    """Return the values of nodes and remember them."""
    missing = [node for node in dict.fromkeys(nodes) if value_of(node) is None]
    if missing:
        known = known_below(missing)
        smaller = simplify_above(missing, known)
        for node, value in zip(
            missing, reference.evaluate(smaller, known), strict=True
        ):
            bind(node, np.array(value))
    return [held for node in nodes if (held := value_of(node)) is not None]


def look(node: Node) -> Array:
    """Return the value of a node, which is not to be written to; one that is not known yet is not remembered.

    One number everywhere takes no memory:

    >>> from deltarule import dtypes
    >>> from deltarule.graph.build import full
    >>> look(full((300, 200), 1.0, dtypes.FLOAT32)).strides
    (0, 0)
    """
    found = value_of(node)
    if found is None:
        known = known_below([node])
        (found,) = reference.evaluate(simplify_above([node], known), known)
    return found


def simplify_above(outputs: Sequence[Node], known: dict[Node, Array]) -> list[Node]:
    """Simplify ``outputs`` when none of the known values is an interior node (which rewriting could miss)."""
    return (
        list(outputs)
        if any(node.sources for node in known)
        else simplify(outputs, exact=True)
    )
