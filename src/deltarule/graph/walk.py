"""Graph traversals: topological order, dependents, inputs, users; iterative, so that depth is unlimited."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from deltarule.graph.node import Node
from deltarule.graph.op import Op


def topological(
    outputs: Iterable[Node], frontier: Container[Node] = frozenset()
) -> list[Node]:
    """Return all nodes that ``outputs`` depend on, sources first; sources of ``frontier`` nodes are not visited.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> topological([build.exp(x)])
    [<x (3) float32>, <exp (3) float32>]
    """
    order: list[Node] = []
    done: set[Node] = set()
    stack = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready or not node.sources or node in frontier:
            done.add(node)
            order.append(node)
        else:
            stack.append((node, True))
            stack.extend(
                (source, False)
                for source in reversed(node.sources)
                if source not in done
            )
    return order


def dependents(order: Sequence[Node], leaves: Iterable[Node]) -> set[Node]:
    """Return the nodes of a topological order that depend on one of ``leaves`` (including these).

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> len(dependents([x, build.exp(x)], [x]))
    2
    """
    found = set(leaves)
    for node in order:
        if node not in found and any(source in found for source in node.sources):
            found.add(node)
    return found


def inputs(outputs: Iterable[Node]) -> list[Node]:
    """Return the INPUT nodes that ``outputs`` depend on, in order of creation.

    >>> from deltarule.graph import build
    >>> x, y = build.input_node("x", ()), build.input_node("y", ())
    >>> inputs([build.add(y, x)])
    [<x () float32>, <y () float32>]
    """
    found = [node for node in topological(outputs) if node.op is Op.INPUT]
    return sorted(found, key=lambda node: int(node.attributes["uid"]))


def users(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """Return, for each node of a topological order, the nodes that read it.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> users([x, build.exp(x)])[x]
    [<exp (3) float32>]
    """
    readers: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for source in dict.fromkeys(node.sources):
            if source in readers:
                readers[source].append(node)
    return readers
