"""Kernels for images (KER), and how one is applied: correlation as networks compute it, or convolution.

All kernels are matrices of float64, read as they stand: ``apply_kernel`` correlates unless told to flip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import checks_flags
from deltarule.graph import build
from deltarule.nn.layers.spatial import Padding, padding_of
from deltarule.shapes import show
from deltarule.tensor.functional import TensorLike, as_tensor, flip
from deltarule.tensor.tensor import Tensor

Kernel = npt.NDArray[np.float64]


def _odd(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ArgumentError(
            "size",
            expected="an odd whole number ≥ 1, so that there is a centre",
            got=repr(size),
        )
    return size


def identity(size: int = 3) -> Kernel:
    """1 in the centre: the image stays as it is (KER-05)."""
    kernel = np.zeros((_odd(size), size))
    kernel[size // 2, size // 2] = 1
    return kernel


def edge_vertical() -> Kernel:
    """Left minus right: large at vertical edges (KER-01)."""
    return np.array([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]])


def edge_horizontal() -> Kernel:
    """Above minus below: large at horizontal edges; the transpose of ``edge_vertical`` (KER-02)."""
    return edge_vertical().T.copy()


def blur(size: int = 3) -> Kernel:
    """The mean of size × size pixels (KER-03)."""
    return np.full((_odd(size), size), 1 / size**2)


def sharpen(size: int = 3) -> Kernel:
    """2·identity − blur: what a blur would take away is added once more (KER-04).

    Its entries sum to 1, so brightness stays; 2·identity alone, as some notes print it, doubles it (E002-03).

    >>> float(sharpen().sum().round(12)), float(sharpen()[1, 1].round(4))
    (1.0, 1.8889)
    """
    return 2 * identity(size) - blur(size)


def shift(rows: int = 0, columns: int = 1) -> Kernel:
    """Move the content down by ``rows`` and right by ``columns`` under correlation; the other way under convolution.

    The default is the kernel of the notes, a 1 left of the centre (KER-06).

    >>> shift().tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    reach = max(abs(rows), abs(columns))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    kernel[reach - rows, reach - columns] = 1
    return kernel


def pad(image: TensorLike, border: int, value: float = 0.0) -> Tensor:
    """Surround (height, width), (height, width, C) or (N, height, width, C) with a border of one value (KER-08).

    >>> pad([[5.0]], 1, value=1.0).tolist()
    [[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]
    """
    x = as_tensor(image)
    first = 1 if x.ndim == 4 else 0
    if x.ndim not in {2, 3, 4} or border < 0:
        raise ArgumentError(
            "pad",
            expected="an image and a border ≥ 0",
            got=f"{show(x.shape)} and {border}",
        )
    widths = [border if first <= axis < first + 2 else 0 for axis in range(x.ndim)]
    moved = x - value if value else x
    padded = Tensor(build.pad(moved.node, widths, widths))
    return padded + value if value else padded


@checks_flags
def apply_kernel(
    image: TensorLike,
    kernel: Any,
    *,
    padding: Padding = "valid",
    flip_kernel: bool = False,
) -> Tensor:
    """Slide a kernel (k, l) over each channel of an image: y[p, q] = Σ_{i,j} x[p + i, q + j]·K[i, j] (KER-07).

    Grey (height, width), colour (height, width, C) or a batch (N, height, width, C) keeps its axes; "valid" loses
    k − 1 rows, "same" keeps the size with zeros around. ``flip_kernel`` turns the correlation into a convolution,
    the same with K rotated by 180° (CNN-02, CNN-03). The kernel may be a tensor to be learned.

    >>> apply_kernel([[1.0, 2, 0], [0, 1, 3], [4, 0, 1]], [[1.0, 0], [2, -1]]).tolist()
    [[0.0, 1.0], [8.0, 0.0]]
    """
    x, window = as_tensor(image), as_tensor(kernel)
    x = x if x.dtype.is_float else x.astype("float32")
    if x.ndim not in {2, 3, 4} or window.ndim != 2:
        raise ShapeError(
            "apply_kernel",
            expected="an image (height, width), (height, width, C) or a batch, and a matrix",
            got=f"{show(x.shape)} and {show(window.shape)}",
        )
    grey, single = x.ndim == 2, x.ndim < 4
    batch = x.expand_dims((0, 3)) if grey else x.expand_dims(0) if single else x
    turned = flip(window, (0, 1)) if flip_kernel else window
    sizes = tuple(int(size) for size in window.shape)
    filters = (
        turned.astype(x.dtype)
        .reshape(1, *sizes, 1)
        .broadcast_to((int(batch.shape[-1]), *sizes, 1))
    )
    borders = padding_of(padding, sizes, (1, 1), "padding")
    node = build.convolve(
        batch.node, filters.node, (1, 1), borders, (1, 1), int(batch.shape[-1])
    )
    result = Tensor(node)
    if grey:
        return result.reshape(*result.shape[1:-1])
    return result.reshape(*result.shape[1:]) if single else result
