"""Sliding windows and convolutions in NumPy: a convolution is a contraction of windows with the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.graph.node import Node

Array = npt.NDArray[Any]
Sizes = tuple[int, ...]


def slide(
    x: Array, axes: Sizes, window: Sizes, stride: Sizes, dilation: Sizes
) -> Array:
    """Return a read-only view of the sliding windows, with one trailing axis per window axis.

    Args:
        x: The array.
        axes: Axes along which windows slide.
        window: Size of the window along each axis.
        stride: Step of the window along each axis.
        dilation: Distance between the elements of the window along each axis.

    >>> slide(np.arange(4), (0,), (2,), (1,), (1,)).tolist()
    [[0, 1], [1, 2], [2, 3]]
    """
    shape, strides = list(x.shape), list(x.strides)
    tail_strides = []
    for axis, width, step, spread in zip(axes, window, stride, dilation, strict=True):
        shape[axis] = (x.shape[axis] - spread * (width - 1) - 1) // step + 1
        strides[axis] = x.strides[axis] * step
        tail_strides.append(x.strides[axis] * spread)
    return np.lib.stride_tricks.as_strided(
        x, (*shape, *window), (*strides, *tail_strides), writeable=False
    )


def add_back(
    y: Array, axes: Sizes, window: Sizes, stride: Sizes, dilation: Sizes, shape: Sizes
) -> Array:
    """Return the adjoint of ``slide``: overlapping windows are added up to ``shape``.

    Args:
        y: Windows, as returned by ``slide``.
        axes: Axes along which windows slide.
        window: Size of the window along each axis.
        stride: Step of the window along each axis.
        dilation: Distance between the elements of the window along each axis.
        shape: Shape of the result.

    >>> add_back(np.ones((3, 2)), (0,), (2,), (1,), (1,), (4,)).tolist()
    [1.0, 2.0, 2.0, 1.0]
    """
    result = np.zeros(shape, y.dtype)
    for offset in np.ndindex(*window):
        place: list[slice] = [slice(None)] * len(shape)
        for axis, start, step, spread in zip(
            axes, offset, stride, dilation, strict=True
        ):
            first = start * spread
            place[axis] = slice(first, first + (y.shape[axis] - 1) * step + 1, step)
        result[tuple(place)] += y[(..., *offset)]
    return result


def windows(node: Node, x: Array) -> Array:
    """Evaluate WINDOWS."""
    a = node.attributes
    return np.array(slide(x, a["axes"], a["window"], a["stride"], a["dilation"]))


def fold(node: Node, y: Array) -> Array:
    """Evaluate FOLD."""
    a = node.attributes
    return add_back(y, a["axes"], a["window"], a["stride"], a["dilation"], a["shape"])


def _patches(node: Node, x: Array, kernel: Sizes) -> Array:
    """Return the windows of the padded image for each group: (N, *out, groups, C/groups, *kernel)."""
    a = node.attributes
    padded = np.pad(x, ((0, 0), *a["padding"], (0, 0)))
    spatial = tuple(range(1, 1 + len(kernel)))
    view = slide(padded, spatial, kernel, a["stride"], a["dilation"])
    grouped = (
        *view.shape[: len(kernel) + 1],
        a["groups"],
        x.shape[-1] // a["groups"],
        *kernel,
    )
    return view.reshape(grouped)


def _letters(rank: int) -> tuple[str, str]:
    return "xyz"[:rank], "uvw"[:rank]  # output positions, kernel positions


def _by_group(weight: Array, groups: int) -> Array:
    """Return the weight as (groups, C_out/groups, *kernel, C_in/groups)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def _signal_by_group(y: Array, groups: int) -> Array:
    return y.reshape(*y.shape[:-1], groups, y.shape[-1] // groups)


def convolve(node: Node, x: Array, weight: Array) -> Array:
    """Evaluate CONVOLVE: y = Σ over kernel and channels of window ⊙ weight."""
    out, inner = _letters(weight.ndim - 2)
    patches = _patches(node, x, weight.shape[1:-1])
    grouped = _by_group(weight, node.attributes["groups"])
    result = np.einsum(
        f"n{out}gc{inner},go{inner}c->n{out}go", patches, grouped, optimize=True
    )
    return np.asarray(result).reshape(node.shape)


def convolve_weight(node: Node, x: Array, y: Array) -> Array:
    """Evaluate CONVOLVE_WEIGHT: Σ over examples and positions of signal ⊗ window."""
    kernel = node.shape[1:-1]
    out, inner = _letters(len(kernel))
    signal = _signal_by_group(y, node.attributes["groups"])
    result = np.einsum(
        f"n{out}gc{inner},n{out}go->go{inner}c",
        _patches(node, x, kernel),
        signal,
        optimize=True,
    )
    return np.asarray(result).reshape(node.shape)


def convolve_transposed(node: Node, y: Array, weight: Array) -> Array:
    """Evaluate CONVOLVE_TRANSPOSED: the overlap-add of windows, each a signal times the kernel."""
    a = node.attributes
    kernel = weight.shape[1:-1]
    out, inner = _letters(len(kernel))
    signal = _signal_by_group(y, a["groups"])
    spread = np.einsum(
        f"n{out}go,go{inner}c->n{out}gc{inner}",
        signal,
        _by_group(weight, a["groups"]),
        optimize=True,
    )
    spread = spread.reshape(*y.shape[:-1], node.shape[-1], *kernel)
    padded = tuple(
        size + low + high
        for size, (low, high) in zip(node.shape[1:-1], a["padding"], strict=True)
    )
    spatial = tuple(range(1, 1 + len(kernel)))
    whole = (node.shape[0], *padded, node.shape[-1])
    result = add_back(spread, spatial, kernel, a["stride"], a["dilation"], whole)
    inside = tuple(
        slice(low, low + size)
        for size, (low, _) in zip(node.shape[1:-1], a["padding"], strict=True)
    )
    return result[(slice(None), *inside)]
