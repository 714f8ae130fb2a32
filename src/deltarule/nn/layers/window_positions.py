"""Where the elements of pooling windows lie in the image."""

from __future__ import annotations

import numpy as np

from deltarule.errors import ShapeError
from deltarule.nn.layer_cost import Window
from deltarule.shapes import Shape, is_static, show, window_count
from deltarule.tensor.tensor import Tensor, tensor


def window_positions(
    sizes: Shape, window: Window, borders: tuple[tuple[int, int], ...]
) -> tuple[Tensor, Tensor]:
    """Return the row-major index of each window's first element (*out) and the offsets of its elements (taps,).

    An element of window p has the index starts[p] + offsets[element]; starts in the padding are negative or lie in
    a row before, which does no harm, for an element in the image has its own index all the same.

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
