"""Pooling of channels-last inputs (N, *spatial, C)."""

from __future__ import annotations

import math

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.function import named
from deltarule.graph.node import Node


def _windows(x: Node, window: tuple[int, ...], stride: tuple[int, ...]) -> Node:
    spatial = tuple(range(1, 1 + len(window)))
    return build.windows(x, spatial, window, stride, (1,) * len(window))


def pad_spatial(x: Node, padding: tuple[tuple[int, int], ...], value: float) -> Node:
    """Pad the spatial axes of (N, *spatial, C) with a constant.

    >>> pad_spatial(build.input_node("x", (1, 4, 3)), ((1, 1),), 0.0)
    <pad (1, 6, 3) float32>
    """
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
    """Return the maximum of each window; padding is −∞, the gradient goes to the first maximum.

    >>> max_pool(build.input_node("x", (1, 4, 3)), window=(2,), stride=(2,), padding=((0, 0),))
    <max_pool (1, 2, 3) float32>
    """
    rank = len(window)
    patches = _windows(pad_spatial(x, padding, -math.inf), window, stride)
    return build.maximum_over(patches, tuple(range(patches.rank - rank, patches.rank)))


@named("mean over each window")
def average_pool(
    x: Node,
    *,
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
) -> Node:
    """Return the mean of each window; padding is 0 and counts in the divisor.

    >>> average_pool(build.input_node("x", (1, 4, 3)), window=(2,), stride=(2,), padding=((0, 0),))
    <average_pool (1, 2, 3) float32>
    """
    rank = len(window)
    patches = _windows(pad_spatial(x, padding, 0), window, stride)
    return build.mean(patches, tuple(range(patches.rank - rank, patches.rank)))
