"""Pooling of channels-last images (N, *spatial, C)."""

from __future__ import annotations

import math

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.node import Node


def _windows(x: Node, window: tuple[int, ...], stride: tuple[int, ...]) -> Node:
    spatial = tuple(range(1, 1 + len(window)))
    return build.windows(x, spatial, window, stride, (1,) * len(window))


def padded_with(x: Node, padding: tuple[tuple[int, int], ...], value: float) -> Node:
    """Surround the spatial axes of (N, *spatial, C) with a constant."""
    if not any(low or high for low, high in padding):
        return x
    low = (0, *(a for a, _ in padding), 0)
    high = (0, *(b for _, b in padding), 0)
    inner = build.pad(x, low, high)
    if value == 0:
        return inner
    inside = build.pad(build.full(x.shape, True, dtypes.BOOL), low, high)
    return build.where(inside, inner, value)


@named("max over each window")
def max_pool(
    x: Node,
    *,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> Node:
    """The maximum of each window (padding counts as −∞); the gradient goes to the first maximum (POOL)."""
    rank = len(window)
    patches = _windows(padded_with(x, padding, -math.inf), window, stride)
    return build.maximum_over(patches, tuple(range(patches.rank - rank, patches.rank)))


@named("mean over each window")
def average_pool(
    x: Node,
    *,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> Node:
    """The mean of each window; padding counts as zeros (and in the divisor)."""
    rank = len(window)
    patches = _windows(padded_with(x, padding, 0), window, stride)
    return build.mean(patches, tuple(range(patches.rank - rank, patches.rank)))
