"""Contractions as loops: their axes, and the indices of their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.lower.index import Axis, Index, Quotient, Remainder, of
from deltarule.lower.views import Indices


@dataclass(frozen=True)
class Sum:
    """result[at] = Σ over ``reduce`` of left[left_at] · right[right_at], for all points of ``axes``."""

    axes: tuple[Axis, ...]
    reduce: tuple[Axis, ...]
    at: Indices
    left_at: Indices
    right_at: Indices
    column: Axis  # the innermost axis of the result, read from the right operand


def sum_of(node: Node) -> Sum:
    """Return the loops of a contraction (convolutions without padding)."""
    return {
        Op.MATMUL: _matmul,
        Op.CONVOLVE: _convolve,
        Op.CONVOLVE_WEIGHT: _convolve_weight,
    }[node.op](node)


def _axes(prefix: str, sizes: Sequence[int]) -> tuple[Axis, ...]:
    return tuple(Axis(f"{prefix}{place}", size) for place, size in enumerate(sizes))


def _indices(axes: Sequence[Axis]) -> Indices:
    return tuple(of(axis) for axis in axes)


def _matmul(node: Node) -> Sum:
    axes = _axes("i", node.shape)
    (reduced,) = _axes("k", (node.sources[0].shape[-1],))
    *batch, row, column = _indices(axes)
    k = of(reduced)
    return Sum(
        axes,
        (reduced,),
        (*batch, row, column),
        (*batch, row, k),
        (*batch, k, column),
        axes[-1],
    )


def _spots(node: Node, position: Sequence[Index], offset: Sequence[Index]) -> Indices:
    a = node.attributes
    return tuple(
        p * s + k * d
        for p, s, k, d in zip(position, a["stride"], offset, a["dilation"], strict=True)
    )


def _convolve(node: Node) -> Sum:
    _, weight = node.sources
    groups = node.attributes["groups"]
    positions = node.shape[1:-1]
    per_group = weight.shape[0] // groups
    axes = _axes("i", (node.shape[0], *positions, groups, per_group))
    reduce = _axes("k", weight.shape[1:])
    example, *position, group, channel = _indices(axes)
    *offset, inner = _indices(reduce)
    out = group * per_group + channel
    left = (example, *_spots(node, position, offset), group * weight.shape[-1] + inner)
    return Sum(
        axes, reduce, (example, *position, out), left, (out, *offset, inner), axes[-1]
    )


def _convolve_weight(node: Node) -> Sum:
    _, y = node.sources
    groups = node.attributes["groups"]
    kernel = node.shape[1:-1]
    per_group = node.shape[0] // groups
    axes = _axes("i", (groups, per_group, *kernel, node.shape[-1]))
    reduce = _axes("k", y.shape[:-1])
    group, channel, *offset, inner = _indices(axes)
    example, *position = _indices(reduce)
    out = group * per_group + channel
    image = (example, *_spots(node, position, offset), group * node.shape[-1] + inner)
    return Sum(
        axes, reduce, (out, *offset, inner), image, (example, *position, out), axes[1]
    )


def split(
    axes: Sequence[Axis], indices: Sequence[Index]
) -> tuple[list[Axis], dict[Axis, Index]]:
    """Split axes so that quotients and remainders of them become axes; return the new axes in order.

    The second result says what each old axis is in terms of the new ones.
    """
    current = list(axes)
    replacements = {axis: of(axis) for axis in axes}
    shown = list(indices)
    while (found := _cut(current, shown)) is not None:
        axis, size = found
        outer, inner = (
            Axis(f"{axis.name}a", axis.extent // size),
            Axis(f"{axis.name}b", size),
        )
        place = current.index(axis)
        current[place : place + 1] = [outer, inner]
        new = {axis: of(outer) * size + of(inner)}
        replacements = {old: index.replace(new) for old, index in replacements.items()}
        shown = [index.replace(new) for index in shown]
    return current, replacements


def _cut(axes: Sequence[Axis], indices: Sequence[Index]) -> tuple[Axis, int] | None:
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
