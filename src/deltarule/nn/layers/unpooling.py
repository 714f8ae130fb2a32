"""Unpooling: pooled values back at the places that they came from (POOL-06)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

from deltarule.errors import ShapeError
from deltarule.graph import build
from deltarule.nn.layer_cost import Enlargement, LayerCost, Window
from deltarule.nn.layers.spatial import Sizes, as_batch, plain, short, without_batch
from deltarule.nn.layers.window_positions import window_positions
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, is_static, show, spatial_tuple, window_count
from deltarule.tensor.functional import maximum, where
from deltarule.tensor.tensor import Tensor


class MaxUnpooling(Module):
    """What MaxUnpool1d, MaxUnpool2d and MaxUnpool3d share; see ``MaxUnpool2d``."""

    n_axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        output_size: Sequence[int] | None = None,
    ) -> None:
        kernel = spatial_tuple(kernel_size, self.n_axes, "kernel_size", minimum=1)
        steps = (
            kernel
            if stride is None
            else spatial_tuple(stride, self.n_axes, "stride", minimum=1)
        )
        borders = spatial_tuple(padding, self.n_axes, "padding")
        self.window = Window(
            kernel, steps, (1,) * self.n_axes, tuple((p, p) for p in borders)
        )
        self.output_size = (
            None
            if output_size is None
            else spatial_tuple(output_size, self.n_axes, "output_size", 1)
        )

    def sizes_for(self, pooled: Shape) -> tuple[int, ...]:
        """Return the sizes of the image: those asked for, or (n − 1)·stride + window − 2·padding."""
        if self.output_size is not None:
            return self.output_size
        w = self.window
        per_axis = zip(pooled, w.kernel, w.stride, w.padding, strict=True)
        return tuple((int(n) - 1) * s + k - 2 * p for n, k, s, (p, _) in per_axis)

    def forward(self, x: Tensor, indices: Tensor) -> Tensor:
        """Return the image; raises ShapeError if indices are not as many as values, or sizes do not belong together."""
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
        image = self._laid(where(hit, batch.expand_dims(-1), 0), padded, borders)
        if any(s < k for s, k in zip(w.stride, w.kernel, strict=True)):
            image = image / maximum(self._laid(hit.astype(x.dtype), padded, borders), 1)
        return without_batch(image, single)

    def _laid(
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

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        w = self.window
        return {
            "kernel_size": plain(w.kernel),
            "stride": plain(w.stride),
            "padding": plain(tuple(p for p, _ in w.padding)),
            "output_size": None if self.output_size is None else list(self.output_size),
        }

    def account(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic: each value is compared with the places of its window."""
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
        how = (
            ""
            if self.output_size is not None
            else lines[0]
            if len(set(lines)) == 1
            else ", ".join(lines)
        )
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
        w = self.window
        parts = [short(w.kernel)]
        parts += [f"stride {short(w.stride)}"] if w.stride != w.kernel else []
        parts += (
            [f"padding {short([p for p, _ in w.padding])}"]
            if any(map(any, w.padding))
            else []
        )
        return f"{type(self).__name__}({', '.join(parts)})"


@final
class MaxUnpool1d(MaxUnpooling):
    """As ``MaxUnpool2d`` over one axis: (N, length, channels)."""

    n_axes = 1


@final
class MaxUnpool2d(MaxUnpooling):
    """Pooled values at the indices that ``MaxPool2d(…, return_indices=True)`` gave, zeros elsewhere (POOL-06).

    The arguments are those of the pooling; ``output_size`` says the image's sizes where several have the same
    pooled size (default (n − 1)·stride + window − 2·padding). A value goes to a place in its own window; where
    windows overlap and send values to one place, it gets their mean, which for pooled values is the value itself.

    >>> from deltarule import nn
    >>> from deltarule.tensor.tensor import tensor
    >>> image = tensor([[[1.0], [3.0]], [[5.0], [6.0]]])
    >>> MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(image))[..., 0].tolist()
    [[0.0, 0.0], [0.0, 6.0]]
    """

    n_axes = 2


@final
class MaxUnpool3d(MaxUnpooling):
    """As ``MaxUnpool2d`` over three axes: (N, depth, height, width, channels)."""

    n_axes = 3
