"""Expressions of graph nodes at one point: views become index arithmetic, other nodes operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deltarule.graph.node import Node
from deltarule.graph.op import ELEMENTWISE, Op
from deltarule.lower.index import Index, Lookup, flatten
from deltarule.lower.loops import (
    Apply,
    Buffer,
    Check,
    Condition,
    Expr,
    Guard,
    Load,
    Number,
    Position,
    Random,
    zero,
)
from deltarule.lower.memory_layout import MemoryLayout
from deltarule.lower.views import (
    REMATERIALIZED,
    VIEWS,
    Indices,
    inside_padding,
    inside_window,
    source_indices,
)
from deltarule.shapes import count


class ElementExpressions:
    """Builder of the expressions of nodes at given indices within one statement; equal expressions are shared.

    Constants and positions are rematerialised where they are read, even if they are results and have a buffer.

    Args:
        buffers: Buffers of the stored nodes.
        layouts: Memory layouts of the stored nodes.
        computed: Nodes that the statement computes.
        results: Expressions of the producers of the statement.

    >>> from deltarule.graph.build import exp, input_node, multiply
    >>> from deltarule.lower.index import Axis, of
    >>> from deltarule.lower.memory_layout import RowMajor
    >>> x = input_node("x", (4,))
    >>> points = ElementExpressions({x: Buffer("x", x.dtype, 4)}, {x: RowMajor((4,))}, [], {})
    >>> type(points.value(x, (of(Axis("i", 4)),))).__name__
    'Load'
    """

    def __init__(
        self,
        buffers: Mapping[Node, Buffer],
        layouts: Mapping[Node, MemoryLayout],
        computed: frozenset[Node] = frozenset(),
        results: Mapping[Node, Expr] | None = None,
    ) -> None:
        self.buffers, self.layouts = buffers, layouts
        self._computed = computed
        self._results = results or {}
        self._known: dict[tuple[Node, Indices], Expr] = {}
        self._rules: dict[Op, Callable[[Node, Indices], Expr]] = {
            Op.CONSTANT: lambda node, at: Number(node.dtype, node.attributes["value"]),
            Op.IOTA: lambda node, at: Position(node.dtype, at[node.attributes["axis"]]),
            Op.RANDOM: self._random,
            Op.CHECK: self._check,
            Op.PAD: self._pad,
            Op.CONCATENATE: self._concatenate,
            Op.GATHER: self._gather,
            Op.FOLD: self._fold,
        }

    def value(self, node: Node, indices: Indices) -> Expr:
        """Return the element of a node at these indices."""
        key = (node, indices)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._value(node, indices)
            _ = (
                found.axes
            )  # built in topological order, which bounds the depth of recursion
        return found

    def load(self, node: Node, indices: Indices) -> Load:
        """Return the load of an element of a stored node."""
        return Load(node.dtype, self.buffers[node], self.layouts[node].flat(indices))

    def _value(self, node: Node, indices: Indices) -> Expr:
        if node in self._results:
            return self._results[node]
        if (
            node.op not in REMATERIALIZED
            and node in self.buffers
            and node not in self._computed
        ):
            return self.load(node, indices)
        if node.op in VIEWS:
            return self.value(node.sources[0], source_indices(node, indices))
        if node.op in ELEMENTWISE and node.op is not Op.CHECK:
            operands = tuple(self.value(source, indices) for source in node.sources)
            return (
                operands[0]
                if node.op is Op.STOP_GRADIENT
                else Apply(node.dtype, node.op, operands)
            )
        return self._rules[node.op](node, indices)

    def _random(self, node: Node, indices: Indices) -> Expr:
        lead = node.sources[0].rank
        seed, step = (self.value(source, indices[:lead]) for source in node.sources)
        return Random(
            node.dtype,
            seed,
            step,
            node.attributes["stream"],
            flatten(indices[lead:], node.shape[lead:]),
        )

    def _check(self, node: Node, indices: Indices) -> Expr:
        value, condition, shown = (
            self.value(source, indices) for source in node.sources
        )
        return Check(node.dtype, value, condition, shown, node.attributes["message"])

    def _guarded(
        self,
        node: Node,
        conditions: tuple[Condition, ...],
        inside: Indices,
        outside: Expr,
    ) -> Expr:
        source = node.sources[0]
        if not count(source.shape):
            return outside
        value = self.value(source, inside)
        return Guard(node.dtype, conditions, value, outside) if conditions else value

    def _pad(self, node: Node, indices: Indices) -> Expr:
        conditions, inside = inside_padding(node, indices)
        return self._guarded(node, conditions, inside, zero(node.dtype))

    def _fold(self, node: Node, indices: Indices) -> Expr:
        conditions, inside = inside_window(node, indices)
        return self._guarded(node, conditions, inside, zero(node.dtype))

    def _concatenate(self, node: Node, indices: Indices) -> Expr:
        axis = node.attributes["axis"]
        result: Expr = zero(node.dtype)
        start = 0
        for part in node.sources:
            size = part.shape[axis]
            shifted = indices[axis] + -start
            start += size
            if size:
                inside = (*indices[:axis], shifted, *indices[axis + 1 :])
                result = Guard(
                    node.dtype,
                    (Condition(shifted, size),),
                    self.value(part, inside),
                    result,
                )
        return result

    def _gather(self, node: Node, indices: Indices) -> Expr:
        x, places = node.sources
        axis = node.attributes["axis"]
        end = axis + places.rank
        place = self.indirect_index(places, indices[axis:end], x.shape[axis], "gather")
        return self.value(x, (*indices[:axis], place, *indices[end:]))

    def indirect_index(
        self, places: Node, indices: Indices, size: int, label: str
    ) -> Index:
        """Return an indirect index, loaded from a node of indices."""
        return Index(((Lookup(self.value(places, indices), size, label), 1),))
