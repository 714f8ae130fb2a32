"""Preparation of the operands of contractions: affine views of memory with unit stride along columns.

An operand that is not an affine view of a stored value is materialised. A weight of a step program with strided columns
is stored in panels; other strided operands are packed tile by tile when they are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import rewrite, with_sources
from deltarule.lower.contraction_loops import (
    ContractionLoops,
    contraction_loops,
    is_affine,
    split_axes,
)
from deltarule.lower.depthwise import depthwise_sums
from deltarule.lower.fuse import ROUTINES
from deltarule.lower.index import Axis, Index
from deltarule.lower.memory_layout import MemoryLayout, Panels, RowMajor
from deltarule.lower.views import REMATERIALIZED, VIEWS, Indices, source_indices

PANEL = 16
CONTRACTIONS = frozenset({Op.MATMUL, Op.CONVOLVE, Op.CONVOLVE_WEIGHT})


@dataclass
class Operands:
    """The prepared graph, the nodes that must be stored, and the memory layouts that are not row-major.

    >>> Operands([]).layouts
    {}
    """

    outputs: list[Node] = field(default_factory=list)
    kept: set[Node] = field(default_factory=set)
    layouts: dict[Node, MemoryLayout] = field(default_factory=dict)


def prepare(outputs: Sequence[Node], weights: Collection[Node] = ()) -> Operands:
    """Materialise operands that contractions cannot read.

    Args:
        outputs: The graphs.
        weights: Inputs whose memory layout may be chosen.

    >>> from deltarule.graph.build import input_node, matmul
    >>> product = matmul(input_node("A", (2, 3)), input_node("B", (3, 4)))
    >>> prepare([product]).outputs
    [<matmul (2, 4) float32>]
    """
    result = Operands()

    def prepare_node(node: Node) -> Node | None:
        if node.op in ROUTINES:
            return with_sources(
                node, [_row_major(source, result) for source in node.sources]
            )
        if node.op not in CONTRACTIONS:
            return None
        sums = depthwise_sums(node, lambda source: _stored(source, result))
        if sums is not None:
            return sums
        loops = contraction_loops(node)
        left = _readable(node.sources[0], loops.left_at, loops, result)
        right = _readable(node.sources[1], loops.right_at, loops, result)
        prepared = with_sources(node, (left, right))
        if node.op is not Op.CONVOLVE_WEIGHT:
            prepared = with_sources(
                prepared, (left, _in_columns(prepared, loops, result, weights))
            )
        return prepared

    result.outputs = rewrite(outputs, prepare_node)
    return result


def _resolve_views(
    node: Node, indices: Indices, found: Operands
) -> tuple[Node, Indices]:
    """Follow views to the stored value below them."""
    while node.op in VIEWS and node not in found.kept:
        node, indices = node.sources[0], source_indices(node, indices)
    return node, indices


def position(node: Node, indices: Indices, found: Operands) -> Index:
    """Return the position of an element in memory."""
    base, inner = _resolve_views(node, indices, found)
    return found.layouts.get(base, RowMajor(base.shape)).flat(inner)


def _readable(
    source: Node, at: Indices, loops: ContractionLoops, found: Operands
) -> Node:
    """Return an operand that is an affine view of memory, or a copy."""
    base, _ = _resolve_views(source, at, found)
    flat = position(source, at, found)
    _, replacements = split_axes((*loops.axes, *loops.reduce), [flat])
    if base.op not in REMATERIALIZED and is_affine(flat.replace(replacements)):
        return source
    return _copy(source, found)


def _row_major(source: Node, found: Operands) -> Node:
    """Return an operand that is stored in row-major order."""
    stored = (
        source.op not in VIEWS
        and source.op not in REMATERIALIZED
        and source.op is not Op.INPUT
    )
    return source if stored or source in found.kept else _copy(source, found)


def _stored(source: Node, found: Operands) -> Node:
    """Return an operand with many uses that is stored, or an input or an affine view of one."""
    base = source
    while base.op in {Op.RESHAPE, Op.PERMUTE} and base not in found.kept:
        base = base.sources[0]
    if base.op in VIEWS | REMATERIALIZED | {Op.PAD}:
        return _copy(source, found)
    if base.op is not Op.INPUT:
        found.kept.add(base)
    return source if base is source else _copy(source, found)


def _copy(source: Node, found: Operands) -> Node:
    copy = build.stop_gradient(source)
    found.kept.add(copy)
    return copy


def _stride(source: Node, loops: ContractionLoops, found: Operands) -> int:
    """Return the stride between columns of the right operand."""
    flat = position(source, loops.right_at, found)
    _, replacements = split_axes((*loops.axes, *loops.reduce), [flat])
    column = replacements[loops.column]
    inner = [
        atom
        for atom, coefficient in column.terms
        if coefficient == 1 and isinstance(atom, Axis)
    ]
    return (flat.replace(replacements).coefficient(inner[0]) or 0) if inner else 1


def _in_columns(
    node: Node, loops: ContractionLoops, found: Operands, weights: Collection[Node]
) -> Node:
    """Return the right operand, with unit stride along columns if it is a weight."""
    source = node.sources[1]
    if loops.column.extent == 1 or _stride(source, loops, found) == 1:
        return source
    base, inner = _resolve_views(source, loops.right_at, found)
    width = PANEL if loops.column.extent % PANEL == 0 else loops.column.extent
    if base in weights and base not in found.layouts:
        for axis, index in enumerate(inner):
            if index.coefficient(loops.column) == 1 and base.shape[axis] % width == 0:
                found.layouts[base] = Panels(base.shape, axis, width)
                if _stride(source, loops, found) == 1:
                    return source
                del found.layouts[base]
    return source
