"""Stacking: several graphs of equal structure as one graph, along a new first axis.

Graphs have equal structure if they differ only in their inputs and in the values of constants. Constants that
differ become a vector input; subgraphs that all graphs share are computed once. Models with different weights,
learning rates and weight decays thus become one program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deltarule.dtypes import Scalar
from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.function import expansion
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.vectorize import Operand, vectorize

Row = tuple[Node, ...]  # corresponding nodes, one of each graph


def dependencies(node: Node) -> Row:
    """Return the sources of a node, or the expansion of a named function.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> dependencies(build.exp(x))
    (<x (3) float32>,)
    """
    return (expansion(node),) if node.op is Op.CALL else node.sources


def _corresponds(a: Node, b: Node) -> bool:
    if a.op is not b.op or len(a.sources) != len(b.sources):
        return False
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    return a.op in {Op.CONSTANT, Op.INPUT} or a.attributes == b.attributes


def same_structure(first: Sequence[Node], second: Sequence[Node]) -> bool:
    """Return whether two graphs have equal structure.

    >>> from deltarule.graph import build
    >>> x, y = build.input_node("x", (3,)), build.input_node("y", (3,))
    >>> same_structure([build.multiply(x, 2.0)], [build.multiply(y, 3.0)])
    True
    >>> same_structure([build.exp(x)], [build.sin(x)])
    False
    """
    stack, seen = list(zip(first, second, strict=True)), set()
    while stack:
        pair = stack.pop()
        if pair in seen or pair[0] is pair[1]:
            continue
        seen.add(pair)
        if not _corresponds(*pair):
            return False
        stack.extend(zip(*map(dependencies, pair), strict=True))
    return True


@dataclass
class Stacked:
    """The joint graph of ``stack_graphs``.

    Attributes:
        outputs: Nodes of shape (n, …).
        constants: New inputs (n, …), each with the constants of the graphs that it replaces.
        leaves: New inputs (n, …), each with the leaves of the graphs that it replaces.

    >>> from deltarule.graph import build
    >>> x, xs = build.input_node("x", (3,)), build.input_node("xs", (5, 3))
    >>> stack_graphs([[build.exp(x)]], {(x,): xs}, 5).constants
    {}
    """

    outputs: list[Node]
    constants: dict[Node, tuple[Scalar, ...]] = field(default_factory=dict)
    leaves: dict[Node, Row] = field(default_factory=dict)


def stack_graphs(
    graphs: Sequence[Sequence[Node]], known: Mapping[Row, Node], n: int
) -> Stacked:
    """Return graphs of equal structure as one graph with a first axis of size n.

    Args:
        graphs: The outputs of each graph. There may be fewer than n: graphs that differ in the values of ``known``
            leaves only need be given once.
        known: For corresponding leaves of the graphs, the node (n, …) that holds their values.
        n: The size of the new first axis.

    Raises:
        GraphError: the graphs differ in structure.

    >>> x, xs = build.input_node("x", (3,)), build.input_node("xs", (5, 3))
    >>> stack_graphs([[build.exp(x)]], {(x,): xs}, 5).outputs
    [<exp (5, 3) float32>]
    """
    return _Stacking(n, known).run(list(zip(*graphs, strict=True)))


class _Stacking:
    def __init__(self, n: int, known: Mapping[Row, Node]) -> None:
        self._n = n
        self._done = {row: Operand(node, batched=True) for row, node in known.items()}
        self._result = Stacked([])

    def run(self, rows: Sequence[Row]) -> Stacked:
        """Stack the outputs."""
        stack = list(rows)
        while stack:
            row = stack[-1]
            if row in self._done:
                stack.pop()
                continue
            self._check(row)
            needed = list(zip(*map(dependencies, row), strict=True))
            missing = [part for part in needed if part not in self._done]
            if missing:
                stack.extend(missing)
                continue
            operands = [self._done[part] for part in needed]
            self._done[stack.pop()] = self._stacked(row, operands)
        outputs = [self._done[row].with_batch_axis(self._n) for row in rows]
        self._result.outputs = outputs
        return self._result

    def _check(self, row: Row) -> None:
        other = next((node for node in row if not _corresponds(row[0], node)), None)
        if other is not None:
            raise GraphError(
                "stacking",
                expected=f"graphs of equal structure, with {row[0]!r} in each",
                got=repr(other),
            )

    def _stacked(self, row: Row, operands: Sequence[Operand]) -> Operand:
        first = row[0]
        if first.op is Op.CALL:
            return operands[0]
        if not operands:
            return self._leaf(row)
        if any(operand.batched for operand in operands):
            return Operand(vectorize(first, operands, self._n), batched=True)
        return Operand(first, batched=False)

    def _leaf(self, row: Row) -> Operand:
        first = row[0]
        if all(node is first for node in row):
            return Operand(first, batched=False)
        name = str(first.attributes.get("name", "")) or first.op.name.lower()
        node = build.input_node(name, (self._n, *first.shape), first.dtype)
        if first.op is Op.CONSTANT:
            self._result.constants[node] = tuple(
                other.attributes["value"] for other in row
            )
        else:
            self._result.leaves[node] = row
        return Operand(node, batched=True)
