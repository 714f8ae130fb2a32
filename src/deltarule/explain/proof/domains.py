"""Domains of random values, from the operations that read an input: a logarithm needs a positive number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import inputs, topological, users


@dataclass(frozen=True)
class Domain:
    """The set that a value is drawn from.

    ``kind``: real, positive, unit (0, 1), distribution (Σ = 1 along the last axis), definite (a positive definite
    matrix), labels (whole numbers below ``size``), truth; and, where they are assumed, one-hot, binary, nonnegative,
    integer, symmetric, orthogonal.

    >>> Domain("labels", 10)
    Domain(kind='labels', size=10)
    """

    kind: str
    size: int = 0


_OWN_NAMES = {"positive definite": "definite"}
_POSITIVE = frozenset({Op.LOG, Op.SQRT, Op.POWER})


def domains(
    loss: Node, assumed: Mapping[Node, str] | None = None
) -> dict[Node, Domain]:
    """Return the domain of every input of a graph; ``assumed`` holds the kinds of some.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> [domain.kind for domain in domains(build.sum_over(build.log(x))).values()]
    ['positive']
    """
    order = topological([loss])
    readers = users(order)
    kinds = assumed or {}
    return {
        node: Domain(_OWN_NAMES.get(kinds[node], kinds[node]))
        if node in kinds
        else _domain(node, readers, order)
        for node in inputs([loss])
    }


def _domain(node: Node, readers: dict[Node, list[Node]], order: list[Node]) -> Domain:
    if not node.dtype.is_float:
        return (
            Domain("truth")
            if node.dtype.kind == "bool"
            else Domain("labels", _classes(node, readers))
        )
    reading = _looked_through(node, readers)
    for reader in reading:
        function = reader.attributes.get("function") if reader.op is Op.CALL else None
        if function in {"lgamma", "digamma", "trigamma"}:
            return Domain("positive")
        if function == "cross_entropy" and _below(node, reader.sources[1]):
            return Domain("distribution")
        if function == "binary_cross_entropy" and _below(node, reader.sources[1]):
            return Domain("unit")
        if function == "cross_entropy_of_probabilities":
            whole = (
                node.rank > 0 and node.shape[-1] == reader.sources[0].shape[-1]
            )  # else a part of the row
            return Domain("distribution" if whole else "unit")
        if function == "binary_cross_entropy_of_probabilities":
            return Domain("unit")
        if reader.op is Op.CHOLESKY:
            return Domain("definite")
    if any(r.op in _POSITIVE and _below(node, r.sources[0]) for r in reading):
        inside = {
            below
            for log in order
            if log.op is Op.LOG
            for below in topological([log.sources[0]])
        }
        both = any(
            r.op is Op.SUBTRACT and _below(node, r.sources[1]) and r in inside
            for r in reading
        )
        return Domain("unit" if both else "positive")
    return Domain("real")


_MOVES = frozenset({Op.RESHAPE, Op.BROADCAST, Op.PERMUTE, Op.CAST, Op.CONCATENATE})


def _moves(node: Node) -> bool:
    """Whether a node only moves its operand, or adds a small positive number or keeps it above."""
    small = any(
        source.op is Op.CONSTANT and 0 < float(source.attributes["value"]) < 1e-2
        for source in map(_peeled, node.sources)
    )
    return node.op in _MOVES or (node.op in {Op.MAXIMUM, Op.ADD} and small)


def _peeled(node: Node) -> Node:
    while node.op in {Op.RESHAPE, Op.BROADCAST, Op.CAST}:
        node = node.sources[0]
    return node


def _below(node: Node, operand: Node) -> bool:
    """Whether an operand is a node, movement looked through."""
    if operand is node:
        return True
    return _moves(operand) and any(_below(node, source) for source in operand.sources)


def _looked_through(node: Node, readers: dict[Node, list[Node]]) -> list[Node]:
    found: list[Node] = []
    for reader in readers[node]:
        found.extend(_looked_through(reader, readers) if _moves(reader) else [reader])
    return found


def _classes(node: Node, readers: dict[Node, list[Node]]) -> int:
    """Return below which number labels or indices must stay."""
    for reader in _looked_through(node, readers):
        if (
            reader.op is Op.CALL
            and reader.sources[0] is not node
            and reader.sources[0].rank
        ):
            size = reader.sources[0].shape[-1]
            return size if isinstance(size, int) else 2
        if reader.op is Op.GATHER:
            size = reader.sources[0].shape[reader.attributes["axis"]]
            return size if isinstance(size, int) else 2
    return 2
