"""Indexing as in NumPy: integers, slices, None, Ellipsis and tensors of indices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from deltarule import dtypes, shapes
from deltarule.errors import ShapeError
from deltarule.graph import build
from deltarule.graph.node import Node

Key = Any  # int | slice | None | Ellipsis | Node, or a tuple of them


def _without_ellipsis(key: Sequence[Key], rank: int, shown: str) -> list[Key]:
    """Replace the Ellipsis (or missing trailing indices) by full slices."""
    used = sum(1 for item in key if item is not None and item is not Ellipsis)
    if used > rank:
        raise ShapeError(
            f"index of {shown}", expected=f"at most {rank} indices", got=str(used)
        )
    fill = [slice(None)] * (rank - used)
    dots = [i for i, item in enumerate(key) if item is Ellipsis]
    if len(dots) > 1:
        raise ShapeError(
            f"index of {shown}", expected="one Ellipsis", got=str(len(dots))
        )
    at = dots[0] if dots else len(key)
    return [*key[:at], *fill, *key[at + 1 :]]


def index(x: Node, key: Key) -> Node:
    """Return x[key].

    >>> index(build.input_node("x", (4, 3)), (slice(1, 3), 0))
    <reshape (2) float32>
    """
    given = key if isinstance(key, tuple) else (key,)
    items = _without_ellipsis(given, x.rank, build.describe(x))
    sliced, items = _slice(x, items)
    arrays = [i for i, item in enumerate(items) if isinstance(item, Node)]
    if arrays:
        sliced, items = _take(sliced, items, arrays)
    shape = []
    sizes = iter(sliced.shape)
    for item in items:
        if item is None:
            shape.append(1)
        else:
            size = next(sizes)
            if not isinstance(item, int):
                shape.append(size)
    return build.reshape(sliced, shape)


def _slice(x: Node, items: list[Key]) -> tuple[Node, list[Key]]:
    """Apply slices, and integers as slices of length 1; None and tensors are handled later."""
    starts, stops, steps, flipped = [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            continue
        size = x.shape[axis]
        start, stop, step = 0, size, 1
        if isinstance(item, int):
            if not -size <= item < size:
                raise ShapeError(
                    f"index of {build.describe(x)}",
                    expected=f"an index in [{-size}, {size})",
                    got=str(item),
                )
            start, stop = item % size, item % size + 1
        elif isinstance(item, slice) and item != slice(None):
            if item.step == 0:
                raise ShapeError(
                    f"index of {build.describe(x)}",
                    expected="a step other than 0",
                    got=f"{item.start}:{item.stop}:0".replace("None", ""),
                )
            start, stop, step = item.indices(size)
            if step < 0:  # slice forwards, then flip
                length = len(range(start, stop, step))
                first = start + (length - 1) * step
                forward = (first, start + 1, -step)
                start, stop, step = forward if length else (0, 0, 1)
                flipped.append(axis)
            stop = max(start, stop)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    result = build.slice_axes(x, starts, stops, steps)
    return (build.flip(result, flipped) if flipped else result), items


def _take(x: Node, items: list[Key], arrays: list[int]) -> tuple[Node, list[Key]]:
    """Gather along the axes indexed by tensors; the new axes replace them in place."""
    axes = [sum(1 for item in items[:i] if item is not None) for i in arrays]
    if any(b - a != 1 for a, b in pairwise(axes)):
        raise ShapeError(
            f"index of {build.describe(x)}",
            expected="index tensors on adjacent axes",
            got=f"axes {axes}",
            hint="Index in two steps, or permute the axes first.",
        )
    linear, inside = None, None
    common = shapes.broadcast(*(items[i].shape for i in arrays), where="index tensors")
    for i, axis in zip(arrays, axes, strict=True):
        position = build.broadcast_to(build.cast(items[i], dtypes.INT64), common)
        wrapped = build.where(
            build.less(position, 0), build.add(position, x.shape[axis]), position
        )
        fits = build.logical_and(
            build.less(-1, wrapped), build.less(wrapped, x.shape[axis])
        )
        inside = fits if inside is None else build.logical_and(inside, fits)
        linear = (
            wrapped
            if linear is None
            else build.add(build.multiply(linear, x.shape[axis]), wrapped)
        )
    if linear is None or inside is None:
        return x, items
    if len(arrays) > 1:
        # an index out of range must not address another row: −1 raises at run time
        linear = build.where(inside, linear, -1)
    first = axes[0]
    merged = (
        *x.shape[:first],
        shapes.count(x.shape[axis] for axis in axes),
        *x.shape[axes[-1] + 1 :],
    )
    result = build.gather(build.reshape(x, merged), linear, first)
    rest = [
        *items[: arrays[0]],
        *([slice(None)] * len(common)),
        *items[arrays[-1] + 1 :],
    ]
    return result, rest
