"""Pooling windows: their settings, and the positions of their elements in the image."""

from __future__ import annotations

import numpy as np

from deltarule.errors import ShapeError
from deltarule.nn.layer_cost import Window
from deltarule.nn.layers.spatial import Sizes, format_sizes
from deltarule.shapes import Shape, is_static, show, spatial_tuple, window_count
from deltarule.tensor.tensor import Tensor, tensor


def pooling_window(
    kernel_size: Sizes, stride: Sizes | None, padding: Sizes, n_axes: int
) -> Window:
    """Return the window of a pooling layer; the stride is the window by default.

    >>> pooling_window(2, None, 0, n_axes=1)
    Window(kernel=(2,), stride=(2,), dilation=(1,), padding=((0, 0),))
    """
    kernel = spatial_tuple(kernel_size, n_axes, "kernel_size", minimum=1)
    steps = kernel
    if stride is not None:
        steps = spatial_tuple(stride, n_axes, "stride", minimum=1)
    borders = spatial_tuple(padding, n_axes, "padding")
    return Window(kernel, steps, (1,) * n_axes, tuple((p, p) for p in borders))


def window_label(window: Window) -> list[str]:
    """Return the settings of a pooling window for the label of its layer.

    >>> window_label(pooling_window(3, 2, 1, n_axes=2))
    ['3', 'stride 2', 'padding 1']
    """
    parts = [format_sizes(window.kernel)]
    if window.stride != window.kernel:
        parts.append(f"stride {format_sizes(window.stride)}")
    if any(map(any, window.padding)):
        parts.append(f"padding {format_sizes([p for p, _ in window.padding])}")
    return parts


def window_positions(
    sizes: Shape, window: Window, borders: tuple[tuple[int, int], ...]
) -> tuple[Tensor, Tensor]:
    """Return the row-major index of each window's first element (*out) and the offsets of its elements (taps,).

    An element of window p has the index starts[p] + offsets[element]. Starts in the
    padding are negative or lie in the previous row, which is harmless: the indices of
    elements inside the image are right.

    >>> starts, offsets = window_positions((4, 4), Window((2, 2), (2, 2), (1, 1), ((0, 0),) * 2), ((0, 0),) * 2)
    >>> starts.tolist(), offsets.tolist()
    ([[0, 2], [8, 10]], [0, 1, 4, 5])
    """
    if not is_static(sizes):
        raise ShapeError(
            "indices of pooling", expected="an image of known sizes", got=show(sizes)
        )
    pitch = [int(np.prod([int(n) for n in sizes[i + 1 :]])) for i in range(len(sizes))]
    starts, offsets = np.zeros((), np.int64), np.zeros((), np.int64)
    for size, kernel, stride, (low, high), step in zip(
        sizes, window.kernel, window.stride, borders, pitch, strict=True
    ):
        n_windows = window_count(int(size) + low + high, kernel, stride)
        starts = starts[..., None] + (np.arange(n_windows) * stride - low) * step
        offsets = offsets[..., None] + np.arange(kernel) * step
    return tensor(starts), tensor(offsets.ravel())
