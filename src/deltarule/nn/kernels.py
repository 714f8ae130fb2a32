"""Image filter kernels, and how one is applied: by cross-correlation (as networks do) or by convolution.

All kernels are float64 matrices. ``apply_kernel`` computes a cross-correlation unless
``flip_kernel`` is set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import checks_flags
from deltarule.graph import build
from deltarule.nn.layers.spatial import Padding, resolve_padding
from deltarule.shapes import show
from deltarule.tensor.functional import TensorLike, as_tensor, flip
from deltarule.tensor.tensor import Tensor

__all__ = [
    "apply_kernel",
    "blur",
    "edge_horizontal",
    "edge_vertical",
    "identity",
    "pad",
    "sharpen",
    "shift",
]

Kernel = npt.NDArray[np.float64]


def _odd(size: int) -> int:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ArgumentError(
            "size",
            expected="an odd whole number ≥ 1, so that it has a centre",
            got=repr(size),
        )
    return size


def identity(size: int = 3) -> Kernel:
    """Return the identity kernel: 1 in the centre, so the image is unchanged.

    >>> identity().tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    kernel = np.zeros((_odd(size), size))
    kernel[size // 2, size // 2] = 1
    return kernel


def edge_vertical() -> Kernel:
    """Return the Prewitt kernel for vertical edges: left column minus right column.

    >>> edge_vertical().tolist()
    [[1.0, 0.0, -1.0], [1.0, 0.0, -1.0], [1.0, 0.0, -1.0]]
    """
    return np.array([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]])


def edge_horizontal() -> Kernel:
    """Return the Prewitt kernel for horizontal edges, the transpose of ``edge_vertical``: upper row minus lower row.

    >>> edge_horizontal().tolist()
    [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]]
    """
    return edge_vertical().T.copy()


def blur(size: int = 3) -> Kernel:
    """Return the box blur: the mean of size × size pixels.

    >>> float(blur(3).sum().round(12))
    1.0
    """
    return np.full((_odd(size), size), 1 / size**2)


def sharpen(size: int = 3) -> Kernel:
    """Return 2·identity − blur (unsharp masking): the detail that a blur removes is added once more.

    The entries sum to 1, so brightness is preserved; 2·identity alone would double it.

    >>> float(sharpen().sum().round(12)), float(sharpen()[1, 1].round(4))
    (1.0, 1.8889)
    """
    return 2 * identity(size) - blur(size)


def shift(rows: int = 0, columns: int = 1) -> Kernel:
    """Return a kernel whose cross-correlation moves the content down by ``rows`` and right by ``columns``.

    A convolution with it moves the content the other way. The default has its 1 left of
    the centre.

    >>> shift().tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    reach = max(abs(rows), abs(columns))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    kernel[reach - rows, reach - columns] = 1
    return kernel


def pad(image: TensorLike, border: int, value: float = 0.0) -> Tensor:
    """Pad the spatial axes of an image with a constant border.

    Args:
        image: Of shape (height, width), (height, width, C) or (N, height, width, C).
        border: Number of pixels added on every side, ≥ 0.
        value: Value of the added pixels.

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
    shifted = x - value if value else x
    padded = Tensor(build.pad(shifted.node, widths, widths))
    return padded + value if value else padded


@checks_flags
def apply_kernel(
    image: TensorLike,
    kernel: Any,
    *,
    padding: Padding = "valid",
    flip_kernel: bool = False,
) -> Tensor:
    """Slide a kernel (k, l) over each channel of an image: y[p, q] = Σ_{i,j} x[p + i, q + j]·K[i, j].

    Args:
        image: Greyscale (height, width), colour (height, width, C) or a batch (N, height, width, C); the result
            has the same axes.
        kernel: A matrix, or a tensor whose gradient is wanted.
        padding: "valid" removes k − 1 rows, "same" keeps the size by zero padding; or a number of pixels per side.
        flip_kernel: Whether to rotate K by 180°, which turns the cross-correlation into a convolution
            (Goodfellow et al. 2016, section 9.1).

    Raises:
        ShapeError: If the image or the kernel has another number of axes.

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
    rotated = flip(window, (0, 1)) if flip_kernel else window
    sizes = tuple(int(size) for size in window.shape)
    filters = (
        rotated.astype(x.dtype)
        .reshape(1, *sizes, 1)
        .broadcast_to((int(batch.shape[-1]), *sizes, 1))
    )
    borders = resolve_padding(padding, sizes, (1, 1), "padding")
    node = build.convolve(
        batch.node, filters.node, (1, 1), borders, (1, 1), int(batch.shape[-1])
    )
    result = Tensor(node)
    if grey:
        return result.reshape(*result.shape[1:-1])
    return result.reshape(*result.shape[1:]) if single else result


check_calls(__name__)
