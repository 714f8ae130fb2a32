"""Max unpooling: pooled values are written back to the positions that they came from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from deltarule.errors import ShapeError
from deltarule.graph import build
from deltarule.nn.layer_cost import Enlargement, LayerCost, distinct_lines
from deltarule.nn.layers.spatial import (
    Sizes,
    as_batch,
    without_batch,
)
from deltarule.nn.layers.window_positions import (
    pooling_window,
    window_label,
    window_positions,
)
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, is_static, show, spatial_tuple, window_count
from deltarule.tensor.functional import maximum, where
from deltarule.tensor.tensor import Tensor

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]


class MaxUnpooling(Module):
    """Base class of ``MaxUnpool1d``, ``MaxUnpool2d`` and ``MaxUnpool3d``; see ``MaxUnpool2d``.

    >>> from deltarule.nn import MaxPool1d
    >>> from deltarule.tensor.tensor import tensor
    >>> values, indices = MaxPool1d(2, return_indices=True)(tensor([[[1.0], [3.0], [2.0], [0.0]]]))
    >>> MaxUnpool1d(2)(values, indices).tolist()
    [[[0.0], [3.0], [2.0], [0.0]]]
    """

    n_axes: ClassVar[int]
    argument_attributes: ClassVar[Mapping[str, str | None]] = {
        "kernel_size": "window.kernel",
        "stride": "window.stride",
        "padding": "window.before",
    }

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        output_size: Sequence[int] | None = None,
    ) -> None:
        self.window = pooling_window(kernel_size, stride, padding, self.n_axes)
        self.output_size = (
            None
            if output_size is None
            else spatial_tuple(output_size, self.n_axes, "output_size", 1)
        )

    def sizes_for(self, pooled: Shape) -> tuple[int, ...]:
        """Return the sizes of the output: ``output_size``, or (n − 1)·stride + window − 2·padding.

        >>> MaxUnpool2d(2).sizes_for((3, 3))
        (6, 6)
        """
        if self.output_size is not None:
            return self.output_size
        w = self.window
        per_axis = zip(pooled, w.kernel, w.stride, w.padding, strict=True)
        return tuple((int(n) - 1) * s + k - 2 * p for n, k, s, (p, _) in per_axis)

    def forward(self, x: Tensor, indices: Tensor) -> Tensor:
        """Return the unpooled image; raises ShapeError if the indices or the sizes do not match the values."""
        name, w = type(self).__name__, self.window
        if indices.shape != x.shape or not indices.dtype.is_integer:
            raise ShapeError(
                name,
                expected=f"an index for each value, {show(x.shape)}",
                got=show(indices.shape),
            )
        batch, single = as_batch(x, self.n_axes, name)
        places, _ = as_batch(indices, self.n_axes, name)
        pooled = batch.shape[1:-1]
        if not is_static(pooled):
            raise ShapeError(name, expected="an image of known sizes", got=show(pooled))
        sizes = self.sizes_for(pooled)
        borders = tuple(
            (p, p + max(0, (int(n) - 1) * s + k - size - 2 * p))
            for n, size, k, s, (p, _) in zip(
                pooled, sizes, w.kernel, w.stride, w.padding, strict=True
            )
        )
        padded = [size + a + b for size, (a, b) in zip(sizes, borders, strict=True)]
        counts = tuple(
            window_count(n, k, s)
            for n, k, s in zip(padded, w.kernel, w.stride, strict=True)
        )
        if counts != tuple(pooled):
            raise ShapeError(
                name,
                expected=f"sizes whose pooling gives {show(pooled)}",
                got=show(sizes),
            )
        starts, offsets = window_positions(sizes, w, borders)
        hit = places.expand_dims(-1) == starts.expand_dims((-2, -1)) + offsets
        image = self._fold_windows(
            where(hit, batch.expand_dims(-1), 0), padded, borders
        )
        if any(s < k for s, k in zip(w.stride, w.kernel, strict=True)):
            image = image / maximum(
                self._fold_windows(hit.astype(x.dtype), padded, borders), 1
            )
        return without_batch(image, single)

    def _fold_windows(
        self, parts: Tensor, padded: Sequence[int], borders: tuple[tuple[int, int], ...]
    ) -> Tensor:
        """Add windows (N, *out, C, taps) to the image (N, *sizes, C)."""
        w, n, channels = self.window, parts.shape[0], parts.shape[-2]
        spatial = tuple(range(1, self.n_axes + 1))
        windows = parts.reshape(*parts.shape[:-1], *w.kernel)
        whole = Tensor(
            build.fold(
                windows.node,
                spatial,
                w.kernel,
                w.stride,
                w.dilation,
                (n, *padded, channels),
            )
        )
        inner = (
            slice(a, size - b) for size, (a, b) in zip(padded, borders, strict=True)
        )
        return whole[(slice(None), *inner)]

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost: each value is compared with the positions of its window."""
        lines = [
            f"({n} − 1)·{s} + {k} − 2·{p} = {size}"
            for n, s, k, (p, _), size in zip(
                inputs[:-1],
                self.window.stride,
                self.window.kernel,
                self.window.padding,
                output[:-1],
                strict=True,
            )
        ]
        how = "" if self.output_size is not None else ", ".join(distinct_lines(lines))
        kernel, stride = self.window.kernel, self.window.stride
        seen = tuple(-(-k // s) for k, s in zip(kernel, stride, strict=True))
        return LayerCost(
            how=how,
            flops=count(inputs) * math.prod(kernel),
            enlargement=Enlargement(stride, seen),
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``MaxUnpool2d(2)``."""
        return f"{type(self).__name__}({', '.join(window_label(self.window))})"


@final
class MaxUnpool1d(MaxUnpooling):
    """``MaxUnpool2d`` over one axis: (N, length, channels).

    >>> from deltarule import nn
    >>> signal = [[1.0], [3.0], [6.0], [5.0]]
    >>> MaxUnpool1d(2)(*nn.MaxPool1d(2, return_indices=True)(signal)).flatten().tolist()
    [0.0, 3.0, 6.0, 0.0]
    """

    n_axes = 1


@final
class MaxUnpool2d(MaxUnpooling):
    """Pooled values at the indices that ``MaxPool2d(…, return_indices=True)`` returned, zeros elsewhere.

    A value is written to a position in its own window; where overlapping windows write
    to one position, it gets their mean, which for pooled values is the value itself
    (Zeiler and Fergus 2014).

    Args:
        kernel_size: Size of the window, a number or one per axis, as in the pooling layer.
        stride: Stride; the window by default.
        padding: Padding on both sides.
        output_size: Sizes of the output, if several have the same pooled size; (n − 1)·stride + window − 2·padding
            by default.

    >>> from deltarule import nn
    >>> image = [[[1.0], [3.0]], [[5.0], [6.0]]]
    >>> MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(image))[..., 0].tolist()
    [[0.0, 0.0], [0.0, 6.0]]
    """

    n_axes = 2


@final
class MaxUnpool3d(MaxUnpooling):
    """``MaxUnpool2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule import nn
    >>> from deltarule.tensor.functional import ones
    >>> MaxUnpool3d(2)(*nn.MaxPool3d(2, return_indices=True)(ones((1, 4, 4, 4, 3)))).shape
    (1, 4, 4, 4, 3)
    """

    n_axes = 3
