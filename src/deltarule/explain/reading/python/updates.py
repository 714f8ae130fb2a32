"""Assignments to parts of arrays: x[i, j] = 0, dz[z <= 0] = 0."""

from __future__ import annotations

from typing import Any

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.node import Node


def updated(base: Node, key: tuple[Any, ...], value: Node) -> Node:
    """Return an array with a value in some places.

    The key holds whole numbers and full ranges for the axes, or one array of truth values.

    Raises:
        TypeError: another key.
        ValueError: a place outside of the array, or a value that does not fit.

    >>> updated(build.input_node("x", (3,)), (1,), build.constant(0.0)).shape
    (3,)
    """
    if len(key) == 1 and isinstance(key[0], Node):
        mask = key[0]
        if mask.dtype is not dtypes.BOOL or value.shape:
            raise TypeError("mask")
        held = build.reshape(mask, (*mask.shape, *(1,) * (base.rank - mask.rank)))
        return build.where(held, value, base)
    items = [item for item in key if item is not Ellipsis]
    if len(items) > base.rank:
        raise ValueError("axes")
    places: Node | None = None
    shape: list[Any] = []
    for axis, size in enumerate(base.shape):
        item = items[axis] if axis < len(items) else slice(None)
        if item == slice(None):
            shape.append(size)
            continue
        if not isinstance(item, int) or not isinstance(size, int):
            raise TypeError("index")
        if not -size <= item < size:
            raise ValueError("index")
        here = build.equal(build.iota(base.shape, axis), item % size)
        places = here if places is None else build.logical_and(places, here)
        shape.append(1)
    if places is None:
        return build.broadcast_to(value, base.shape)
    kept = [size for size, item in zip(base.shape, shape, strict=True) if item != 1]
    if value.shape:
        value = build.reshape(build.broadcast_to(value, tuple(kept)), shape)
    return build.where(places, value, base)
