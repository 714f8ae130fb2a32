"""Several graphs of one form as one graph: their values side by side along a new first axis.

Graphs have one form if they differ only in their leaves: in inputs, and in the values of constants. Where the
constants differ, the joint graph reads a vector; what is the same in all graphs is computed once. So models with
their own weights, learning rates and decays become one program.
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
from deltarule.graph.vectorize import Operand, vectorized

Row = tuple[Node, ...]  # what stands at one place of every graph


def below(node: Node) -> Row:
    """Return the nodes that a node is computed from, a named function through its expansion."""
    return (expansion(node),) if node.op is Op.CALL else node.sources


def _same(a: Node, b: Node) -> bool:
    if (a.op, a.shape, a.dtype, len(a.sources)) != (
        b.op,
        b.shape,
        b.dtype,
        len(b.sources),
    ):
        return False
    return a.op in {Op.CONSTANT, Op.INPUT} or a.attributes == b.attributes


def alike(first: Sequence[Node], second: Sequence[Node]) -> bool:
    """Return whether two graphs have one form.

    >>> from deltarule.graph import build
    >>> x, y = build.input_node("x", (3,)), build.input_node("y", (3,))
    >>> alike([build.multiply(x, 2.0)], [build.multiply(y, 3.0)]), alike([build.exp(x)], [build.sin(x)])
    (True, False)
    """
    stack, seen = list(zip(first, second, strict=True)), set()
    while stack:
        pair = stack.pop()
        if pair in seen or pair[0] is pair[1]:
            continue
        seen.add(pair)
        if not _same(*pair):
            return False
        stack.extend(zip(*map(below, pair), strict=True))
    return True


@dataclass
class Stacked:
    """The joint graph: ``outputs`` (n, …), and the leaves that stacking has made.

    ``constants`` are inputs (n,) with the number of every graph that they stand for; ``leaves`` are inputs (n, …) with
    the leaf of every graph that they stand for.
    """

    outputs: list[Node]
    constants: dict[Node, tuple[Scalar, ...]] = field(default_factory=dict)
    leaves: dict[Node, Row] = field(default_factory=dict)


def stack_graphs(
    graphs: Sequence[Sequence[Node]], known: Mapping[Row, Node], n: int
) -> Stacked:
    """Return the graphs as one, for n cases.

    Args:
        graphs: The outputs of each graph; all are ``alike``. Cases that differ in the values of known leaves only may
            share a graph, so there may be fewer of them than cases.
        known: For leaves of the graphs, one of each, the node (n, …) that holds their values.
        n: How many cases.

    Raises:
        GraphError: for graphs that are not alike.
    """
    return _Stacking(n, known).run(list(zip(*graphs, strict=True)))


class _Stacking:
    def __init__(self, n: int, known: Mapping[Row, Node]) -> None:
        self._n = n
        self._done = {row: Operand(node, varies=True) for row, node in known.items()}
        self._result = Stacked([])

    def run(self, rows: Sequence[Row]) -> Stacked:
        """Stack what stands at the outputs."""
        stack = list(rows)
        while stack:
            row = stack[-1]
            if row in self._done:
                stack.pop()
                continue
            self._check(row)
            needed = list(zip(*map(below, row), strict=True))
            missing = [part for part in needed if part not in self._done]
            if missing:
                stack.extend(missing)
                continue
            self._done[stack.pop()] = self._made(
                row, [self._done[part] for part in needed]
            )
        self._result.outputs = [self._done[row].lifted(self._n) for row in rows]
        return self._result

    def _check(self, row: Row) -> None:
        other = next((node for node in row if not _same(row[0], node)), None)
        if other is not None:
            raise GraphError(
                "stacking",
                expected=f"graphs of one form, with {row[0]!r} in each",
                got=repr(other),
            )

    def _made(self, row: Row, operands: Sequence[Operand]) -> Operand:
        first = row[0]
        if first.op is Op.CALL:
            return operands[0]
        if not operands:
            return self._leaf(row)
        if any(operand.varies for operand in operands):
            return Operand(vectorized(first, operands, self._n), varies=True)
        return Operand(first, varies=False)

    def _leaf(self, row: Row) -> Operand:
        first = row[0]
        if all(node is first for node in row):
            return Operand(first, varies=False)
        name = str(first.attributes.get("name", "")) or first.op.name.lower()
        node = build.input_node(name, (self._n, *first.shape), first.dtype)
        if first.op is Op.CONSTANT:
            self._result.constants[node] = tuple(
                other.attributes["value"] for other in row
            )
        else:
            self._result.leaves[node] = row
        return Operand(node, varies=True)
