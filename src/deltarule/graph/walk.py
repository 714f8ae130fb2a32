"""Walks over graphs: topological order, users, inputs. All iterative, so that depth has no limit."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from deltarule.graph.node import Node
from deltarule.graph.op import Op


def topological(
    outputs: Iterable[Node], frontier: Container[Node] = frozenset()
) -> list[Node]:
    """Return every node below ``outputs``, sources first; the walk does not go past ``frontier``."""
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
    """Return the nodes of a topological order that depend on one of ``leaves`` (these included)."""
    found = set(leaves)
    for node in order:
        if node not in found and any(source in found for source in node.sources):
            found.add(node)
    return found


def inputs(outputs: Iterable[Node]) -> list[Node]:
    """Return the INPUT nodes that ``outputs`` need, in order of their creation."""
    found = [node for node in topological(outputs) if node.op is Op.INPUT]
    return sorted(found, key=lambda node: int(node.attributes["uid"]))


def users(order: Sequence[Node]) -> dict[Node, list[Node]]:
    """Return, for each node of a topological order, the nodes that read it."""
    readers: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for source in dict.fromkeys(node.sources):
            if source in readers:
                readers[source].append(node)
    return readers
