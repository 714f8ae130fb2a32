"""Construction of the statement of each group: loops, reductions, stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deltarule.dtypes import FLOAT32, FLOAT64, INT64, SHORT_SUM, DType
from deltarule.errors import GraphError
from deltarule.graph.node import Node
from deltarule.graph.op import CONTRACTIONS, REDUCTIONS, Op
from deltarule.lower.contraction_loops import contraction_loops, is_affine, split_axes
from deltarule.lower.element_expressions import ElementExpressions
from deltarule.lower.fuse import ROUTINES, Fusion, Group
from deltarule.lower.index import Axis, Index, flatten, merged, of, unflatten
from deltarule.lower.loops import (
    Apply,
    Buffer,
    Contraction,
    Expr,
    Guard,
    Load,
    Nest,
    Reduction,
    Result,
    Routine,
    Scatter,
    Statement,
    Store,
    replace_all,
    subexpressions,
    zero,
)
from deltarule.lower.memory_layout import MemoryLayout, RowMajor
from deltarule.lower.views import Indices, over_windows
from deltarule.shapes import count

_MAX_DOT_PRODUCTS = 4  # up to this number of rows or columns, dot products are faster than packing the other operand


class StatementBuilder:
    """Builder of the statements of a fused graph.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (3,))
    >>> y = exp(x)
    >>> fusion = Fusion([y], [])
    >>> buffers = {x: Buffer("x", x.dtype, 3), y: Buffer("y", y.dtype, 3)}
    >>> StatementBuilder(fusion, buffers, {}).of(fusion.groups[0]).label
    'exp'
    """

    def __init__(
        self,
        fusion: Fusion,
        buffers: Mapping[Node, Buffer],
        layouts: Mapping[Node, MemoryLayout],
    ) -> None:
        self._fusion = fusion
        self._buffers = buffers
        self._layouts = {
            node: layouts.get(node, RowMajor(node.shape)) for node in buffers
        }

    def of(self, group: Group) -> Statement:
        """Return the statement of a group."""
        producer = group.producers[0] if group.producers else None
        if producer is None:
            return self._elementwise(group)
        if producer.op in REDUCTIONS:
            return self._reductions(group)
        if producer.op in CONTRACTIONS:
            return self._contraction(group, producer)
        if producer.op is Op.FOLD:
            return self._fold(group, producer)
        if producer.op is Op.SCATTER_ADD:
            return self._scatter(producer)
        if producer.op in ROUTINES:
            return self._routine(producer)
        raise GraphError(
            "lowering",
            expected="a primitive that makes a statement",
            got=producer.op.name,
        )

    def _label(self, group: Group) -> str:
        needed, members = set[Node](), set(group.nodes)
        stack = [node for node in group.nodes if node in self._fusion.stored]
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack.extend(
                    self._fusion.base(s)[0]
                    for s in node.sources
                    if self._fusion.base(s)[0] in members
                )
        names = [
            n.op.name.lower()
            for n in group.nodes
            if n in needed and n.op is not Op.STOP_GRADIENT
        ]
        shown = names if len(names) <= 4 else [*names[:2], "…", names[-1]]
        return " ".join(shown) or "copy"

    def _expressions(
        self, group: Group, results: Mapping[Node, Expr] | None = None
    ) -> ElementExpressions:
        return ElementExpressions(
            self._buffers, self._layouts, frozenset(group.nodes), results
        )

    def _stores(
        self, group: Group, points: ElementExpressions, flat: Index
    ) -> tuple[Store, ...]:
        """Return the stores of a group at the row-major position ``flat`` of its points."""
        stores = []
        for node in group.nodes:
            indices = unflatten(flat, node.shape)
            if node not in self._fusion.stored:
                continue
            for inner in self._predecessors(node, group):
                points.value(inner, unflatten(flat, inner.shape))
            value = points.value(node, indices)
            stores.append(
                Store(self._buffers[node], self._layouts[node].flat(indices), value)
            )
        return tuple(stores)

    def _predecessors(self, node: Node, group: Group) -> list[Node]:
        """Return the operations of a large group before a node, to be built in order with bounded recursion."""
        return group.nodes[: group.nodes.index(node)] if len(group.nodes) > 200 else []

    def _elementwise(self, group: Group) -> Statement:
        stored = [node for node in group.nodes if node in self._fusion.stored]
        panelled = [
            node for node in stored if not isinstance(self._layouts[node], RowMajor)
        ]
        pattern = (
            panelled[0] if panelled else max(group.nodes, key=lambda node: node.rank)
        )
        layout = self._layouts[pattern] if panelled else RowMajor(pattern.shape)
        axes, indices = layout.walk("i")
        stores = self._stores(
            group, self._expressions(group), flatten(indices, pattern.shape)
        )
        return _simplified(Nest(self._label(group), axes, stores))

    def _reductions(self, group: Group) -> Statement:
        first = group.producers[0]
        source = first.sources[0].shape
        over = first.attributes.get("axes", (first.attributes.get("axis"),))
        free = tuple(
            Axis(f"i{place}", size)
            for place, size in enumerate(source)
            if place not in over
        )
        reduce = tuple(
            Axis(f"k{place}", size)
            for place, size in enumerate(source)
            if place in over
        )
        by_place = {int(axis.name[1:]): of(axis) for axis in (*free, *reduce)}
        at = tuple(by_place[place] for place in range(len(source)))
        length = count(axis.extent for axis in reduce)
        inside = ElementExpressions(self._buffers, self._layouts)
        reductions, results = [], {}
        for node in group.producers:
            value = inside.value(node.sources[0], at)
            kind = node.op.name.lower()
            reductions.append(
                Reduction(kind, value, _accumulator(node, length), node.dtype)
            )
            results[node] = Result(node.dtype, len(reductions) - 1)
        flat = flatten(
            tuple(of(axis) for axis in free), tuple(axis.extent for axis in free)
        )
        stores = self._stores(group, self._expressions(group, results), flat)
        nest = Nest(self._label(group), free, stores, reduce, tuple(reductions))
        return _simplified(
            nest, keep_reduce=any(r.kind == "argmax" for r in reductions)
        )

    def _contraction(self, group: Group, node: Node) -> Statement:
        loops = contraction_loops(node)
        operands = ElementExpressions(self._buffers, self._layouts)
        left = operands.value(node.sources[0], loops.left_at)
        right = operands.value(node.sources[1], loops.right_at)
        results = {node: Result(node.dtype, 0)}
        stores = self._stores(
            group, self._expressions(group, results), flatten(loops.at, node.shape)
        )
        if not isinstance(left, Load) or not isinstance(right, Load):
            return self._as_nest(group, node)
        indices = [left.index, right.index, *(store.index for store in stores)]
        _, replacements = split_axes((*loops.axes, *loops.reduce), indices)
        axes = _replaced_axes(loops.axes, replacements)
        reduce = _replaced_axes(loops.reduce, replacements)
        statement = Contraction(
            self._label(group), axes, stores, reduce, left=left, right=right
        )
        _substitute(statement, replacements)
        if not all(is_affine(load.index) for load in (statement.left, statement.right)):
            return self._as_nest(group, node)
        if _reads_along_reduction(statement) or not any(
            _is_storable(s, statement) for s in statement.stores
        ):
            return self._as_nest(group, node)
        _merge_axes(statement)
        return statement

    def _as_nest(self, group: Group, node: Node) -> Statement:
        """Return a contraction as a reduction of products."""
        loops = contraction_loops(node)
        inside = ElementExpressions(self._buffers, self._layouts)
        factors = tuple(
            inside.value(source, at)
            for source, at in zip(
                node.sources, (loops.left_at, loops.right_at), strict=True
            )
        )
        product = Apply(node.dtype, Op.MULTIPLY, factors)
        sums = Reduction("sum", product, node.dtype, node.dtype)
        results = {node: Result(node.dtype, 0)}
        stores = self._stores(
            group, self._expressions(group, results), flatten(loops.at, node.shape)
        )
        return _simplified(
            Nest(self._label(group), loops.axes, stores, loops.reduce, (sums,))
        )

    def _fold(self, group: Group, node: Node) -> Statement:
        axes, indices = RowMajor(node.shape).walk("i")
        window = tuple(
            Axis(f"k{place}", size)
            for place, size in enumerate(node.attributes["window"])
        )
        conditions, at = over_windows(node, indices, tuple(of(axis) for axis in window))
        inside = ElementExpressions(self._buffers, self._layouts).value(
            node.sources[0], at
        )
        value = (
            Guard(node.dtype, conditions, inside, zero(node.dtype))
            if conditions
            else inside
        )
        sums = Reduction("sum", value, node.dtype, node.dtype)
        stores = self._stores(
            group,
            self._expressions(group, {node: Result(node.dtype, 0)}),
            flatten(indices, node.shape),
        )
        return _simplified(Nest(self._label(group), axes, stores, window, (sums,)))

    def _scatter(self, node: Node) -> Statement:
        places, updates = node.sources
        axis, end = node.attributes["axis"], node.attributes["axis"] + places.rank
        axes = tuple(
            Axis(f"i{place}", size) for place, size in enumerate(updates.shape)
        )
        at = tuple(of(a) for a in axes)
        points = ElementExpressions(self._buffers, self._layouts)
        place = points.indirect_index(
            places, at[axis:end], node.attributes["size"], "scatter_add"
        )
        target = self._layouts[node].flat((*at[:axis], place, *at[end:]))
        store = Store(self._buffers[node], target, points.value(updates, at))
        ordered = (*axes[axis:end], *axes[:axis], *axes[end:])
        return Scatter("scatter_add", ordered, (store,), sequential=places.rank)

    def _routine(self, node: Node) -> Statement:
        arguments = tuple(self._buffers[source] for source in node.sources)
        shape = node.sources[0].shape
        if "axis" in node.attributes:
            axis = node.attributes["axis"]
            sizes = (count(shape[:axis]), shape[axis], count(shape[axis + 1 :]))
        else:
            columns = node.sources[1].shape[-1] if node.op is Op.SOLVE else 0
            sizes = (count(shape[:-2]), shape[-1], columns)
        kind = node.op.name.lower()
        results = [self._buffers[node]]
        extra = {Op.ARGSORT: (INT64, 2 * sizes[0] * sizes[1] * sizes[2])}.get(
            node.op, (node.dtype, sizes[0] * sizes[1] * sizes[1])
        )
        if node.op not in {Op.CHOLESKY, Op.CUMULATIVE_SUM}:
            results.append(Buffer(f"{results[0].name}_work", *extra))
        return Routine(kind, (), (), kind, arguments, tuple(results), sizes)


def _accumulator(node: Node, length: int) -> DType:
    if node.op is Op.ARGMAX:
        return INT64
    long = length > SHORT_SUM and node.op in {Op.SUM}
    return FLOAT64 if long and node.dtype is FLOAT32 else node.dtype


def _replaced_axes(
    axes: Sequence[Axis], replacements: Mapping[Axis, Index]
) -> tuple[Axis, ...]:
    found: list[Axis] = []
    for axis in axes:
        parts = [
            atom
            for atom, _ in replacements.get(axis, of(axis)).terms
            if isinstance(atom, Axis)
        ]
        parts.sort(key=lambda part: part.name)
        found.extend(parts or [axis])
    return tuple(found)


def _substitute(statement: Statement, replacements: Mapping[Axis, Index]) -> None:
    """Replace loop variables everywhere in a statement."""
    known: dict[Expr, Expr] = {}

    def new(expr: Expr) -> Expr:
        for part in subexpressions([expr]):
            replace_all(part, replacements, known)
        return known[expr]

    statement.stores = tuple(
        Store(s.buffer, s.index.replace(replacements), new(s.value))
        for s in statement.stores
    )
    if isinstance(statement, Nest):
        statement.reductions = tuple(
            Reduction(r.kind, new(r.value), r.accumulator, r.dtype)
            for r in statement.reductions
        )
    if isinstance(statement, Contraction):
        left, right = new(statement.left), new(statement.right)
        if isinstance(left, Load) and isinstance(right, Load):
            statement.left, statement.right = left, right


def all_indices(statement: Statement) -> list[Index]:
    """Return all indices of a statement, including those of indirect loads.

    >>> i = Axis("i", 8)
    >>> fill = Nest("fill", (i,), (Store(Buffer("y", FLOAT32, 8), of(i) + 0, zero(FLOAT32)),))
    >>> [str(index) for index in all_indices(fill)]
    ['i']
    """
    found = [store.index for store in statement.stores]
    for expr in subexpressions(statement.roots()):
        found.extend(expr.indices)
    return found


def _simplified(nest: Nest, keep_reduce: bool = False) -> Nest:
    """Split and merge loops so that indices become affine and loops few and long."""
    indices = all_indices(nest)
    _, replacements = split_axes((*nest.axes, *nest.reduce), indices)
    nest.axes = _replaced_axes(nest.axes, replacements)
    nest.reduce = _replaced_axes(nest.reduce, replacements)
    _substitute(nest, replacements)
    _merge_axes(nest, keep_reduce)
    return nest


def _merge_axes(statement: Nest | Contraction, keep_reduce: bool = False) -> None:
    """Merge adjacent loops where all indices allow it, and remove loops of extent 1."""
    indices = all_indices(statement)
    replacements: dict[Axis, Index] = {}
    new: list[tuple[Axis, ...]] = []
    for prefix, axes in (("i", statement.axes), ("k", statement.reduce)):
        if prefix == "k" and keep_reduce:
            new.append(axes)
            continue
        made: list[Axis] = []

        def rename(
            place: int, extent: int, prefix: str = prefix, made: list[Axis] = made
        ) -> Axis:
            made.append(Axis(f"{prefix}{place}x", extent))
            return made[-1]

        replacements |= merged(axes, indices, rename)
        new.append(tuple(made))
    if any(
        is_affine(index) and not is_affine(index.replace(replacements))
        for index in indices
    ):
        return
    statement.axes, statement.reduce = new
    _substitute(statement, replacements)


def _reads_along_reduction(statement: Contraction) -> bool:
    """Return whether a contraction is a few dot products: both operands are contiguous along the reduction."""
    if not statement.reduce:
        return True
    inner, sides = statement.reduce[-1], (statement.left, statement.right)
    along = all(load.index.coefficient(inner) == 1 for load in sides)
    least = min(
        count(axis.extent for axis in statement.axes if load.index.coefficient(axis))
        for load in sides
    )
    return along and least <= _MAX_DOT_PRODUCTS


def _is_storable(store: Store, statement: Contraction) -> bool:
    """Return whether a contraction can write to a store: same element type, affine index."""
    return store.value.dtype is statement.left.dtype and is_affine(store.index)


__all__ = ["Indices", "StatementBuilder", "all_indices"]
