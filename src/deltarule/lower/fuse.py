"""Fusion: groups operations into statements, and decides which values are stored in memory.

A *group* becomes one statement: at most one producer (a contraction, or reductions over the same points)
and the element-wise operations on its results. Groups form greedily in topological order: an operation joins the
latest group among its operands that no other operand depends on. Every value that another group reads is stored in
memory, except for those that are cheaper to recompute where they are read (rematerialisation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deltarule.graph.node import Node
from deltarule.graph.op import CONTRACTIONS, ELEMENTWISE, REDUCTIONS, Op
from deltarule.graph.walk import topological
from deltarule.lower.views import REMATERIALIZED, VIEWS, windows_are_disjoint
from deltarule.shapes import count

ROUTINES = frozenset(
    {Op.ARGSORT, Op.CUMULATIVE_SUM, Op.SOLVE, Op.LOG_DETERMINANT, Op.CHOLESKY}
)
_EXPENSIVE = {
    Op.DIVIDE: 4,
    Op.SQRT: 4,
    Op.RANDOM: 14,
    Op.FMOD: 20,
    Op.POWER: 20,
    Op.GATHER: 4,
} | dict.fromkeys(
    (Op.EXP, Op.EXPM1, Op.LOG, Op.LOG1P, Op.SIN, Op.COS, Op.TANH, Op.ERF), 10
)
_MAX_WORK, _MAX_LOADS = 4, 2  # of a value that is recomputed


@dataclass(frozen=True)
class Use:
    """How an operation reads a value: the ``same`` element, a ``smaller`` (broadcast) value, or elements ``apart``.

    >>> from deltarule.graph.build import exp, input_node
    >>> Use(exp(input_node("x", (3,))), "same").kind
    'same'
    """

    reader: Node
    kind: str


@dataclass(eq=False)
class Group:
    """Operations fused into one statement.

    >>> from deltarule.graph.build import exp, input_node
    >>> Group(0, 3, [exp(input_node("x", (3,)))]).is_elementwise
    True
    """

    number: int
    size: int
    nodes: list[Node] = field(default_factory=list)
    producers: list[Node] = field(default_factory=list)
    before: set[Group] = field(default_factory=set)  # transitive dependencies

    @property
    def is_elementwise(self) -> bool:
        """Return whether the group has element-wise operations only."""
        return not self.producers


def is_elementwise(node: Node) -> bool:
    """Return whether each element of a node is computed from few elements of its operands.

    >>> from deltarule.graph.build import exp, input_node
    >>> is_elementwise(exp(input_node("x", (3,))))
    True
    """
    if node.op is Op.FOLD:
        return windows_are_disjoint(node)
    return node.op in ELEMENTWISE or node.op in {
        Op.PAD,
        Op.CONCATENATE,
        Op.GATHER,
        Op.RANDOM,
    }


class Fusion:
    """The groups of a graph in execution order, and the values stored in memory.

    ``kept`` are values that must be stored (results, and operands of contractions that are not views of a stored
    value).

    >>> from deltarule.graph.build import exp, input_node, sin
    >>> fusion = Fusion([sin(exp(input_node("x", (3,))))], [])
    >>> [len(group.nodes) for group in fusion.groups]
    [2]
    """

    def __init__(self, outputs: Sequence[Node], kept: Iterable[Node] = ()) -> None:
        self.order = topological(outputs)
        self.of: dict[Node, Group] = {}
        self.groups: list[Group] = []
        self._forced = set(outputs) | set(kept)
        self.uses: dict[Node, list[Use]] = {node: [] for node in self.order}
        self._positions = {node: place for place, node in enumerate(self.order)}
        for node in self.order:
            if self._computes(node):
                for operand, kind in self.operands(node):
                    self.uses[operand].append(Use(node, kind))
        self._unfused: set[Node] = set()  # operations that are not fused with others
        # for each group a bit set of its transitive dependencies
        self._reachable: list[int] = []
        while cyclic := self._grouped():
            self._unfused.update(node for group in cyclic for node in group.nodes)
        self.stored = self._stored()
        self.groups = self._execution_order()

    def _grouped(self) -> list[Group]:
        """Form the groups; return those in a dependency cycle."""
        self.of, self.groups = {}, []
        for node in self.order:
            if self._computes(node):
                self._assign(node)
        self._join_scalars()
        self._reachable = self._dependencies()
        return [
            group
            for place, group in enumerate(self.groups)
            if self._reachable[place] >> place & 1
        ]

    def _dependencies(self) -> list[int]:
        """Return the transitive dependencies of each group as bit sets, from the operands of its operations."""
        places = {group: place for place, group in enumerate(self.groups)}
        direct: list[list[int]] = []
        for group in self.groups:
            read = {
                self.of.get(operand)
                for node in group.nodes
                for operand, _ in self.operands(node)
            }
            direct.append(
                [
                    places[other]
                    for other in read
                    if other is not None and other is not group
                ]
            )
        reachable = [sum(1 << other for other in others) for others in direct]
        order = sorted(
            places.values(), key=lambda place: self._first(self.groups[place])
        )
        changed = True
        while changed:
            changed = False
            for place in order:
                found = reachable[place]
                for other in direct[place]:
                    found |= reachable[other]
                if found != reachable[place]:
                    reachable[place], changed = found, True
        return reachable

    def _first(self, group: Group) -> int:
        return min(map(self._positions.__getitem__, group.nodes))

    def _computes(self, node: Node) -> bool:
        """Return whether a node belongs to a group: it is not a view, or a view that is stored."""
        if node.op is Op.INPUT:
            return False
        return node in self._forced or not (
            node.op in VIEWS or node.op in REMATERIALIZED
        )

    def operands(self, node: Node) -> list[tuple[Node, str]]:
        """Return the values that a node is computed from, each with the kind of its use."""
        if node.op in VIEWS or node.op in REMATERIALIZED:
            found = [self.base(source) for source in node.sources]
            own = ["apart" if node.op in VIEWS else kind for _, kind in found]
            return [
                (operand, kind) for (operand, _), kind in zip(found, own, strict=True)
            ]
        is_pointwise = node.op in ELEMENTWISE or (node.op is Op.RANDOM)
        result = []
        for source in node.sources:
            operand, kind = self.base(source)
            if operand.op in REMATERIALIZED:
                continue
            if node.op is Op.RANDOM:
                kind = "smaller"
            result.append((operand, kind if is_pointwise else "apart"))
        return result

    def base(self, node: Node) -> tuple[Node, str]:
        """Follow views to the value below them, but not beyond a stored value."""
        kind = "same"
        while node.op in VIEWS and node not in self._forced:
            below, step = node.sources[0], node
            if step.op is Op.BROADCAST:
                smaller = count(step.shape) != count(below.shape)
                kind = "smaller" if smaller and kind == "same" else kind
            elif step.op is not Op.RESHAPE:
                kind = "apart"
            node = below
        return node, kind

    # ------------------------------------------------------------------ groups

    def _new(self, node: Node, producer: bool) -> Group:
        group = Group(len(self.groups), count(node.shape))
        self.groups.append(group)
        self._add(group, node)
        if producer:
            group.producers.append(node)
        return group

    def _add(self, group: Group, node: Node) -> None:
        group.nodes.append(node)
        self.of[node] = group
        for operand, _ in self.operands(node):
            self._depend(group, self.of.get(operand))

    def _depend(self, group: Group, earlier: Group | None) -> None:
        if earlier is None or earlier is group:
            return
        added = ({earlier} | earlier.before) - group.before
        if not added:
            return
        group.before |= added
        for other in self.groups:
            if group in other.before:
                other.before |= added

    def _assign(self, node: Node) -> None:
        if node in self._unfused:
            self._new(node, producer=not self._is_fusible(node))
        elif node.op in REDUCTIONS:
            self._assign_reduction(node)
        elif self._is_fusible(node):
            self._assign_elementwise(node)
        else:
            self._new(node, producer=True)

    def _is_fusible(self, node: Node) -> bool:
        return is_elementwise(node) or node.op in VIEWS or node.op in REMATERIALIZED

    def _assign_reduction(self, node: Node) -> None:
        """Join a group of independent reductions of the same shape over the same axes."""
        needed = [self.of.get(operand) for operand, _ in self.operands(node)]
        for group in self.groups:
            first = group.producers[0] if group.producers else None
            if (
                first is not None
                and first not in self._unfused
                and first.op in REDUCTIONS
                and _reduced_axes(first) == _reduced_axes(node)
                and first.sources[0].shape == node.sources[0].shape
                and all(
                    g is None or (g is not group and group not in g.before)
                    for g in needed
                )
            ):
                group.producers.append(node)
                self._add(group, node)
                return
        self._new(node, producer=True)

    def _assign_elementwise(self, node: Node) -> None:
        operands = [
            (self.of.get(operand), kind) for operand, kind in self.operands(node)
        ]
        candidates = [
            group
            for group, kind in operands
            if group is not None
            and kind == "same"
            and self._may_join(node, group, operands)
        ]
        if not candidates:
            self._new(node, producer=False)
            return
        group = max(candidates, key=lambda g: (bool(g.producers), g.number))
        for other in dict.fromkeys(candidates):
            if (
                other is not group
                and other.is_elementwise
                and self._may_merge(other, group)
            ):
                self._merge(other, group)
        self._add(group, node)

    def _may_join(
        self, node: Node, group: Group, operands: list[tuple[Group | None, str]]
    ) -> bool:
        if self._unfused and not self._unfused.isdisjoint(group.nodes):
            return False
        if group.size != count(node.shape) or (
            group.producers and not _takes_epilogue(group.producers[0])
        ):
            return False
        for other, kind in operands:
            if other is group and kind != "same":
                return False
            if other is not None and other is not group and group in other.before:
                return False
        return True

    def _may_merge(self, earlier: Group, later: Group) -> bool:
        if earlier.size != later.size or later in earlier.before:
            return False
        if self._unfused and not self._unfused.isdisjoint(
            [*earlier.nodes, *later.nodes]
        ):
            return False
        between = any(earlier in other.before for other in later.before)
        apart = any(
            kind != "same" and self.of.get(operand) is earlier
            for node in later.nodes
            for operand, kind in self.operands(node)
        )
        return not between and not apart

    def _merge(self, earlier: Group, later: Group) -> None:
        later.nodes = sorted(
            [*earlier.nodes, *later.nodes], key=self._positions.__getitem__
        )
        for node in earlier.nodes:
            self.of[node] = later
        later.before |= earlier.before
        later.before.discard(earlier)
        for other in self.groups:  # users of either depend on both
            if earlier in other.before or later in other.before:
                other.before.discard(earlier)
                other.before |= {later} | later.before
        self.groups.remove(earlier)

    def _join_scalars(self) -> None:
        """Merge groups of scalars (learning rates, bias corrections) into one statement."""
        scalars = [
            group for group in self.groups if group.is_elementwise and group.size == 1
        ]
        for group in scalars[1:]:
            first = scalars[0]
            if (
                first not in group.before
                and group not in first.before
                and self._may_merge(first, group)
            ):
                self._merge(first, group)
                scalars[0] = group

    # ------------------------------------------------------------------ memory

    def _stored(self) -> dict[Node, None]:
        """Return the values that are stored in memory."""
        stored: dict[Node, None] = {}
        for node in self.order:
            if node not in self.of:
                continue
            outside = any(
                self.of[use.reader] is not self.of[node] for use in self.uses[node]
            )
            if node in self._forced or outside:
                stored[node] = None
        for node in list(stored):
            if node not in self._forced and self._recomputes(node, stored):
                del stored[node]
        for group in self.groups:  # register tiles store values of the type of the sum
            kept = [node for node in group.nodes if node in stored]
            producer = group.producers[0] if group.producers else None
            if producer is None or producer.op not in CONTRACTIONS:
                continue
            if kept and all(node.dtype is not producer.dtype for node in kept):
                stored[producer] = None
        return stored

    def _recomputes(self, node: Node, stored: dict[Node, None]) -> bool:
        """Return whether every reader of a stored value may recompute it from other stored values."""
        if not is_elementwise(node) or node in self.of[node].producers:
            return False
        readers = [
            use for use in self.uses[node] if self.of[use.reader] is not self.of[node]
        ]
        for use in readers:
            reader = use.reader
            reads_points = (
                is_elementwise(reader) or reader.op in REDUCTIONS or reader.op in VIEWS
            )
            if (
                not reads_points
                or reader.op in {Op.GATHER, Op.RANDOM}
                or use.kind == "smaller"
            ):
                return False
            source = (
                reader.sources[0].shape if reader.op in REDUCTIONS else reader.shape
            )
            if count(source) > count(node.shape):
                return False
        cost = self._cost(node, stored)
        if cost is None:
            return False
        work, loads = cost
        if len(readers) == 1 and loads <= _MAX_LOADS and self._is_last(node):
            return True
        return work <= _MAX_WORK and loads <= (1 if len(readers) > 1 else _MAX_LOADS)

    def _is_last(self, node: Node) -> bool:
        """Return whether no operation of the same group reads the value."""
        return all(self.of[use.reader] is not self.of[node] for use in self.uses[node])

    def _cost(self, node: Node, stored: dict[Node, None]) -> tuple[int, int] | None:
        """Return (operations, full-size loads) to compute a value from stored ones, or None if impossible."""
        work, loads = 0, set()
        stack, seen = [node], {node}
        while stack:
            current = stack.pop()
            if (
                current.op is Op.GATHER
            ):  # its indices must be checked once, for all reads
                return None
            work += _EXPENSIVE.get(current.op, 1)
            if work > 60:
                return None
            for source in current.sources:
                operand, _ = self.base(source)
                if operand in seen or operand.op in REMATERIALIZED:
                    continue
                seen.add(operand)
                if operand.op is Op.INPUT or operand in stored:
                    if count(operand.shape) * 2 > count(node.shape):
                        loads.add(operand)
                elif is_elementwise(operand) and operand not in self._forced:
                    stack.append(operand)
                else:
                    return None
        return work, len(loads)

    def _execution_order(self) -> list[Group]:
        """Return the groups that store a value, in topological order."""
        needed = [
            place
            for place, group in enumerate(self.groups)
            if any(node in self.stored for node in group.nodes)
        ]
        waiting = sum(1 << place for place in needed)
        done: list[Group] = []
        for first in sorted(needed, key=lambda place: self._first(self.groups[place])):
            stack = [first]
            while stack:
                missing = self._reachable[stack[-1]] & waiting
                if missing:
                    stack.append((missing & -missing).bit_length() - 1)
                    continue
                place = stack.pop()
                if waiting >> place & 1:
                    waiting &= ~(1 << place)
                    done.append(self.groups[place])
        return done


def _reduced_axes(node: Node) -> tuple[int, ...]:
    axes = node.attributes.get("axes")
    return (node.attributes["axis"],) if axes is None else tuple(axes)


def _takes_epilogue(node: Node) -> bool:
    """Return whether element-wise operations may be fused after a producer (an epilogue)."""
    return node.op in CONTRACTIONS or node.op in REDUCTIONS
