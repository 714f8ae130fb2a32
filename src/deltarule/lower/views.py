"""Views, the operations that rearrange elements, as index arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.lower.index import ZERO, Index, flatten, number, unflatten
from deltarule.lower.loops import Condition

VIEWS = frozenset({Op.RESHAPE, Op.PERMUTE, Op.BROADCAST, Op.SLICE, Op.FLIP, Op.WINDOWS})
REMATERIALIZED = frozenset({Op.CONSTANT, Op.IOTA, Op.DIMENSION})

Indices = tuple[Index, ...]


def source_indices(node: Node, indices: Indices) -> Indices:
    """Return the indices in the source of an element of a view.

    >>> from deltarule.graph.build import input_node, permute
    >>> from deltarule.lower.index import Axis, of
    >>> i, j = of(Axis("i", 3)), of(Axis("j", 2))
    >>> print(*source_indices(permute(input_node("x", (2, 3)), (1, 0)), (i, j)))
    j i
    """
    (source,) = node.sources
    if node.op is Op.RESHAPE:
        return _reshaped(indices, node.shape, source.shape)
    if node.op is Op.PERMUTE:
        by_axis = dict(zip(node.attributes["order"], indices, strict=True))
        return tuple(by_axis[axis] for axis in range(source.rank))
    if node.op is Op.BROADCAST:
        n_new_axes = node.rank - source.rank
        return tuple(
            ZERO if size == 1 else index
            for size, index in zip(source.shape, indices[n_new_axes:], strict=True)
        )
    if node.op is Op.SLICE:
        starts, steps = node.attributes["starts"], node.attributes["steps"]
        return tuple(
            index * step + start
            for index, start, step in zip(indices, starts, steps, strict=True)
        )
    if node.op is Op.FLIP:
        flipped = node.attributes["axes"]
        return tuple(
            number(size - 1) + index * -1 if axis in flipped else index
            for axis, (index, size) in enumerate(
                zip(indices, source.shape, strict=True)
            )
        )
    return _windows(node, indices, source.rank)


def _reshaped(indices: Indices, shape: Sequence[int], target: Sequence[int]) -> Indices:
    """Return the indices in the target shape; axes of size 1 need no arithmetic."""
    long = [
        (index, size) for index, size in zip(indices, shape, strict=True) if size != 1
    ]
    if [size for _, size in long] == [size for size in target if size != 1]:
        rest = iter(index for index, _ in long)
        return tuple(ZERO if size == 1 else next(rest) for size in target)
    return unflatten(flatten(indices, shape), target)


def _windows(node: Node, indices: Indices, rank: int) -> Indices:
    a = node.attributes
    result = list(indices[:rank])
    for place, (axis, stride, dilation) in enumerate(
        zip(a["axes"], a["stride"], a["dilation"], strict=True)
    ):
        result[axis] = result[axis] * stride + indices[rank + place] * dilation
    return tuple(result)


def inside_padding(
    node: Node, indices: Indices
) -> tuple[tuple[Condition, ...], Indices]:
    """Return the condition under which an element of PAD is from the source, and its indices there.

    >>> from deltarule.graph.build import input_node, pad
    >>> from deltarule.lower.index import Axis, of
    >>> (condition,), (index,) = inside_padding(pad(input_node("x", (5,)), [1], [2]), (of(Axis("i", 8)),))
    >>> print(index, "if", condition)
    i - 1 if 0 ≤ i - 1 < 5
    """
    a = node.attributes
    conditions, result = [], []
    for index, low, inner, size in zip(
        indices, a["low"], a["interior"], node.sources[0].shape, strict=True
    ):
        shifted, step = index + -low, inner + 1
        condition = Condition(shifted, (size - 1) * step + 1, step)
        if not is_implied(condition):
            conditions.append(condition)
        result.append(shifted // step)
    return tuple(conditions), tuple(result)


def is_implied(condition: Condition) -> bool:
    """Return whether a condition is implied by the range of its index.

    >>> from deltarule.lower.index import Axis, of
    >>> is_implied(Condition(of(Axis("i", 5)), 5)), is_implied(Condition(of(Axis("i", 8)), 5))
    (True, False)
    """
    low, high = condition.index.bounds
    return low >= 0 and high < condition.size and condition.step == 1


def windows_are_disjoint(node: Node) -> bool:
    """Return whether the windows of a FOLD do not overlap, so that each element comes from at most one.

    >>> from deltarule.graph.build import fold, input_node
    >>> windows_are_disjoint(fold(input_node("y", (2, 2)), [0], [2], [2], [1], (4,)))
    True
    """
    a = node.attributes
    return all(
        stride >= width and (dilation == 1 or width == 1)
        for width, stride, dilation in zip(
            a["window"], a["stride"], a["dilation"], strict=True
        )
    )


def inside_window(
    node: Node, indices: Indices
) -> tuple[tuple[Condition, ...], Indices]:
    """Return when an element of a FOLD without overlaps is from a window, and its indices there.

    >>> from deltarule.graph.build import fold, input_node
    >>> from deltarule.lower.index import Axis, of
    >>> node = fold(input_node("y", (2, 2)), [0], [2], [2], [1], (4,))
    >>> conditions, indices = inside_window(node, (of(Axis("i", 4)),))
    >>> print(*indices)
    (i)/2 (i)%2
    """
    a = node.attributes
    source = node.sources[0]
    result, offsets, conditions = list(indices), [], []
    for axis, width, stride in zip(a["axes"], a["window"], a["stride"], strict=True):
        position, offset = indices[axis] // stride, indices[axis] % stride
        for condition in (
            Condition(position, source.shape[axis]),
            Condition(offset, width),
        ):
            if not is_implied(condition):
                conditions.append(condition)
        result[axis] = position
        offsets.append(offset)
    return tuple(conditions), (*result, *offsets)


def over_windows(
    node: Node, indices: Indices, offsets: Indices
) -> tuple[tuple[Condition, ...], Indices]:
    """Return the condition under which window ``offsets`` of a FOLD covers an element, and its indices there."""
    a = node.attributes
    source = node.sources[0]
    result, conditions = list(indices), []
    for axis, stride, dilation, offset in zip(
        a["axes"], a["stride"], a["dilation"], offsets, strict=True
    ):
        start = indices[axis] + offset * -dilation
        condition = Condition(start, (source.shape[axis] - 1) * stride + 1, stride)
        if not is_implied(condition):
            conditions.append(condition)
        result[axis] = start // stride
    return tuple(conditions), (*result, *offsets)
