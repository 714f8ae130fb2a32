"""Convolution and pooling of tensors, channels last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deltarule import shapes
from deltarule.arguments import check_calls
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.tensor.functional import TensorLike
from deltarule.tensor.tensor import Tensor, operand

__all__ = ["average_pool", "convolve", "max_pool"]


def convolve(
    x: TensorLike,
    weight: TensorLike,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Return the convolution (cross-correlation) of x with a kernel, channels last.

    The size of each spatial axis becomes ⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1.

    Args:
        x: Inputs, shape (N, *spatial, C_in).
        weight: Kernels, shape (C_out, *kernel, C_in / groups).
        stride: Step of the window, for all spatial axes or for each.
        padding: Zeros added on both sides.
        dilation: Distance between the elements of the kernel.
        groups: Number of groups of channels that are convolved separately.

    >>> convolve([[[1.0], [2.0], [3.0]]], [[[1.0], [1.0]]]).tolist()
    [[[3.0], [5.0]]]
    """
    kernel = build.as_node(operand(weight))
    rank = kernel.rank - 2
    borders = shapes.spatial_tuple(padding, rank, "padding")
    return Tensor(
        build.convolve(
            build.as_node(operand(x)),
            kernel,
            shapes.spatial_tuple(stride, rank, "stride", minimum=1),
            [(p, p) for p in borders],
            shapes.spatial_tuple(dilation, rank, "dilation", minimum=1),
            groups,
        )
    )


def _pool(
    make: Callable[..., Node],
    x: TensorLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
) -> Tensor:
    node = build.as_node(operand(x))
    rank = node.rank - 2
    sizes = shapes.spatial_tuple(kernel_size, rank, "kernel_size", minimum=1)
    steps = (
        sizes
        if stride is None
        else shapes.spatial_tuple(stride, rank, "stride", minimum=1)
    )
    borders = tuple((p, p) for p in shapes.spatial_tuple(padding, rank, "padding"))
    return Tensor(make(node, window=sizes, stride=steps, padding=borders))


def max_pool(
    x: TensorLike,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Tensor:
    """Return the maximum of each window; the gradient goes to the first maximum.

    Args:
        x: Inputs, shape (N, *spatial, C).
        kernel_size: Size of the window, for all spatial axes or for each.
        stride: Step of the window; by default its size.
        padding: Elements added on both sides, which are never the maximum.

    >>> max_pool([[[1.0], [3.0], [2.0], [0.0]]], 2).tolist()
    [[[3.0], [2.0]]]
    """
    return _pool(f.max_pool, x, kernel_size, stride, padding)


def average_pool(
    x: TensorLike,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
) -> Tensor:
    """Return the mean of each window; padding counts as zeros.

    Args:
        x: Inputs, shape (N, *spatial, C).
        kernel_size: Size of the window, for all spatial axes or for each.
        stride: Step of the window; by default its size.
        padding: Zeros added on both sides.

    >>> average_pool([[[1.0], [3.0], [2.0], [0.0]]], 2).tolist()
    [[[2.0], [1.0]]]
    """
    return _pool(f.average_pool, x, kernel_size, stride, padding)


check_calls(__name__)
