"""Preparation of the operands of contractions: plain views of memory with unit stride along columns.

An operand that is not a plain view is computed into memory of its own. A weight of a step program whose columns
are strided lies in panels for good; other strided operands are copied tile by tile as they are read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import rewrite, with_sources
from deltarule.lower.contract import Sum, is_affine, split, sum_of
from deltarule.lower.depthwise import side_by_side
from deltarule.lower.fuse import ROUTINES
from deltarule.lower.index import Axis, Index
from deltarule.lower.layout import Layout, Panels, RowMajor
from deltarule.lower.views import FREE, VIEWS, Indices, through

PANEL = 16
CONTRACTIONS = frozenset({Op.MATMUL, Op.CONVOLVE, Op.CONVOLVE_WEIGHT})


@dataclass
class Operands:
    """The prepared graph, the nodes that must be stored, and the layouts that are not row-major."""

    outputs: list[Node] = field(default_factory=list)
    kept: set[Node] = field(default_factory=set)
    layouts: dict[Node, Layout] = field(default_factory=dict)


def prepare(outputs: Sequence[Node], weights: Collection[Node] = ()) -> Operands:
    """Return a graph with operands that contractions can read; the layout of ``weights`` may be chosen."""
    result = Operands()

    def ready(node: Node) -> Node | None:
        if node.op in ROUTINES:
            return with_sources(
                node, [_whole(source, result) for source in node.sources]
            )
        if node.op not in CONTRACTIONS:
            return None
        spread = side_by_side(node, lambda source: _shared(source, result))
        if spread is not None:
            return spread
        loops = sum_of(node)
        left = _in_memory(node.sources[0], loops.left_at, loops, result)
        right = _in_memory(node.sources[1], loops.right_at, loops, result)
        prepared = with_sources(node, (left, right))
        if node.op is not Op.CONVOLVE_WEIGHT:
            prepared = with_sources(
                prepared, (left, _in_columns(prepared, loops, result, weights))
            )
        return prepared

    result.outputs = rewrite(outputs, ready)
    return result


def _below(node: Node, indices: Indices, found: Operands) -> tuple[Node, Indices]:
    """Follow views to the stored value below them."""
    while node.op in VIEWS and node not in found.kept:
        node, indices = node.sources[0], through(node, indices)
    return node, indices


def position(node: Node, indices: Indices, found: Operands) -> Index:
    """Return the position of an element in memory."""
    base, inner = _below(node, indices, found)
    return found.layouts.get(base, RowMajor(base.shape)).flat(inner)


def _in_memory(source: Node, at: Indices, loops: Sum, found: Operands) -> Node:
    base, _ = _below(source, at, found)
    flat = position(source, at, found)
    _, replacements = split((*loops.axes, *loops.reduce), [flat])
    if base.op not in FREE and is_affine(flat.replace(replacements)):
        return source
    return _copy(source, found)


def _whole(source: Node, found: Operands) -> Node:
    """Return an operand that is stored row-major."""
    plain = (
        source.op not in VIEWS and source.op not in FREE and source.op is not Op.INPUT
    )
    return source if plain or source in found.kept else _copy(source, found)


def _shared(source: Node, found: Operands) -> Node:
    """Return an operand with many readers that is stored, or an input or a plain view of one."""
    base = source
    while base.op in {Op.RESHAPE, Op.PERMUTE} and base not in found.kept:
        base = base.sources[0]
    if base.op in VIEWS | FREE | {Op.PAD}:
        return _copy(source, found)
    if base.op is not Op.INPUT:
        found.kept.add(base)
    return source if base is source else _copy(source, found)


def _copy(source: Node, found: Operands) -> Node:
    copy = build.stop_gradient(source)
    found.kept.add(copy)
    return copy


def _stride(source: Node, loops: Sum, found: Operands) -> int:
    """Return the stride between columns of the right operand."""
    flat = position(source, loops.right_at, found)
    _, replacements = split((*loops.axes, *loops.reduce), [flat])
    column = replacements[loops.column]
    inner = [
        atom
        for atom, coefficient in column.terms
        if coefficient == 1 and isinstance(atom, Axis)
    ]
    return (flat.replace(replacements).coefficient(inner[0]) or 0) if inner else 1


def _in_columns(
    node: Node, loops: Sum, found: Operands, weights: Collection[Node]
) -> Node:
    """Return the right operand, with unit stride along columns if it is a weight."""
    source = node.sources[1]
    if loops.column.extent == 1 or _stride(source, loops, found) == 1:
        return source
    base, inner = _below(source, loops.right_at, found)
    width = PANEL if loops.column.extent % PANEL == 0 else loops.column.extent
    if base in weights and base not in found.layouts:
        for axis, index in enumerate(inner):
            if index.coefficient(loops.column) == 1 and base.shape[axis] % width == 0:
                found.layouts[base] = Panels(base.shape, axis, width)
                if _stride(source, loops, found) == 1:
                    return source
                del found.layouts[base]
    return source
