"""Loops of contractions: their axes, and the indices of their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.lower.index import Axis, Index, Quotient, Remainder, of
from deltarule.lower.views import Indices


@dataclass(frozen=True)
class ContractionLoops:
    """The loops of result[at] = Σ over ``reduce`` of left[left_at] · right[right_at], for all points of ``axes``.

    >>> from deltarule.graph.build import input_node, matmul
    >>> loops = contraction_loops(matmul(input_node("A", (2, 3)), input_node("B", (3, 4))))
    >>> [axis.extent for axis in loops.axes], [axis.extent for axis in loops.reduce]
    ([2, 4], [3])
    """

    axes: tuple[Axis, ...]
    reduce: tuple[Axis, ...]
    at: Indices
    left_at: Indices
    right_at: Indices
    column: Axis  # the innermost axis of the result, read from the right operand


def contraction_loops(node: Node) -> ContractionLoops:
    """Return the loops of a contraction (convolutions without padding).

    >>> from deltarule.graph.build import input_node, matmul
    >>> loops = contraction_loops(matmul(input_node("A", (2, 3)), input_node("B", (3, 4))))
    >>> print(*loops.left_at, "·", *loops.right_at)
    i0 k0 · k0 i1
    """
    return {
        Op.MATMUL: _matmul,
        Op.CONVOLVE: _convolve,
        Op.CONVOLVE_WEIGHT: _convolve_weight,
    }[node.op](node)


def _axes(prefix: str, sizes: Sequence[int]) -> tuple[Axis, ...]:
    return tuple(Axis(f"{prefix}{place}", size) for place, size in enumerate(sizes))


def _indices(axes: Sequence[Axis]) -> Indices:
    return tuple(of(axis) for axis in axes)


def _matmul(node: Node) -> ContractionLoops:
    axes = _axes("i", node.shape)
    (reduced,) = _axes("k", (node.sources[0].shape[-1],))
    *batch, row, column = _indices(axes)
    k = of(reduced)
    return ContractionLoops(
        axes,
        (reduced,),
        (*batch, row, column),
        (*batch, row, k),
        (*batch, k, column),
        axes[-1],
    )


def _window_positions(
    node: Node, position: Sequence[Index], offset: Sequence[Index]
) -> Indices:
    a = node.attributes
    return tuple(
        p * s + k * d
        for p, s, k, d in zip(position, a["stride"], offset, a["dilation"], strict=True)
    )


def _convolve(node: Node) -> ContractionLoops:
    _, weight = node.sources
    groups = node.attributes["groups"]
    positions = node.shape[1:-1]
    per_group = weight.shape[0] // groups
    axes = _axes("i", (node.shape[0], *positions, groups, per_group))
    reduce = _axes("k", weight.shape[1:])
    example, *position, group, channel = _indices(axes)
    *offset, inner = _indices(reduce)
    out = group * per_group + channel
    left = (
        example,
        *_window_positions(node, position, offset),
        group * weight.shape[-1] + inner,
    )
    return ContractionLoops(
        axes, reduce, (example, *position, out), left, (out, *offset, inner), axes[-1]
    )


def _convolve_weight(node: Node) -> ContractionLoops:
    _, y = node.sources
    groups = node.attributes["groups"]
    kernel = node.shape[1:-1]
    per_group = node.shape[0] // groups
    axes = _axes("i", (groups, per_group, *kernel, node.shape[-1]))
    reduce = _axes("k", y.shape[:-1])
    group, channel, *offset, inner = _indices(axes)
    example, *position = _indices(reduce)
    out = group * per_group + channel
    image = (
        example,
        *_window_positions(node, position, offset),
        group * node.shape[-1] + inner,
    )
    return ContractionLoops(
        axes, reduce, (out, *offset, inner), image, (example, *position, out), axes[1]
    )


def split_axes(
    axes: Sequence[Axis], indices: Sequence[Index]
) -> tuple[list[Axis], dict[Axis, Index]]:
    """Split axes so that quotients and remainders of them become axes.

    Returns the new axes in order, and each old axis in terms of the new ones.

    >>> i = Axis("i", 6)
    >>> axes, replacements = split_axes([i], [of(i) // 3])
    >>> print(*axes, replacements[i])
    ia ib 3ia + ib
    """
    current = list(axes)
    replacements = {axis: of(axis) for axis in axes}
    current_indices = list(indices)
    while (found := _find_split(current, current_indices)) is not None:
        axis, size = found
        outer, inner = (
            Axis(f"{axis.name}a", axis.extent // size),
            Axis(f"{axis.name}b", size),
        )
        place = current.index(axis)
        current[place : place + 1] = [outer, inner]
        new = {axis: of(outer) * size + of(inner)}
        replacements = {old: index.replace(new) for old, index in replacements.items()}
        current_indices = [index.replace(new) for index in current_indices]
    return current, replacements


def _find_split(
    axes: Sequence[Axis], indices: Sequence[Index]
) -> tuple[Axis, int] | None:
    for index in indices:
        for atom, _ in index.terms:
            if not isinstance(atom, Quotient | Remainder):
                continue
            for axis, coefficient in atom.dividend.terms:
                if (
                    not isinstance(axis, Axis)
                    or axis not in axes
                    or atom.divisor % coefficient
                ):
                    continue
                size = atom.divisor // coefficient
                if 1 < size < axis.extent and axis.extent % size == 0:
                    return axis, size
    return None


def is_affine(index: Index) -> bool:
    """Return whether an index is a sum of multiples of loop variables.

    >>> is_affine(of(Axis("i", 8))), is_affine(of(Axis("i", 8)) // 2)
    (True, False)
    """
    return all(isinstance(atom, Axis) for atom, _ in index.terms)
