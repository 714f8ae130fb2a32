"""Pooling layers, channels last: no parameters, each channel separately."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, final

from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import build, functions
from deltarule.graph.functions.pooling import pad_spatial
from deltarule.graph.node import Node
from deltarule.nn.layer_cost import LayerCost, Window, windows_arithmetic
from deltarule.nn.layers.spatial import (
    Sizes,
    as_batch,
    format_product,
    without_batch,
)
from deltarule.nn.layers.window_positions import (
    pooling_window,
    window_label,
    window_positions,
)
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, is_static, show
from deltarule.tensor.functional import take
from deltarule.tensor.tensor import Tensor

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LpPool1d",
    "LpPool2d",
    "LpPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]

Borders = tuple[tuple[int, int], ...]


class Pooling(Module):
    """Base class of pooling over windows; see ``MaxPool2d``.

    >>> from deltarule.tensor.functional import ones
    >>> MaxPool2d(2, stride=2, padding=1)(ones((1, 6, 6, 3))).shape
    (1, 4, 4, 3)
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
        ceil_mode: bool = False,
    ) -> None:
        self.window = pooling_window(kernel_size, stride, padding, self.n_axes)
        kernel = self.window.kernel
        borders = tuple(before for before, _ in self.window.padding)
        if any(2 * p > k for p, k in zip(borders, kernel, strict=True)):
            raise ArgumentError(
                "padding",
                expected="at most half of the window",
                got=f"{borders} for {kernel}",
            )
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        """Return one value per window; raises ShapeError if no window fits."""
        name, w = type(self).__name__, self.window
        batch, single = as_batch(x, self.n_axes, name)
        sizes = batch.shape[1:-1]
        if is_static(sizes) and any(
            s + sum(p) < k for s, p, k in zip(sizes, w.padding, w.kernel, strict=True)
        ):
            raise ShapeError(
                name,
                expected=f"an image of at least {format_product(w.kernel)}",
                got=show(sizes),
                hint="Pool less before this layer, or use a smaller window.",
            )
        return without_batch(Tensor(self.pool(batch.node, self.borders(sizes))), single)

    @abstractmethod
    def pool(self, x: Node, borders: Borders) -> Node:
        """Return one value per window of a batch that is padded by ``borders``."""

    def borders(self, sizes: Shape) -> Borders:
        """Return the padding (before, after) per axis; with ``ceil_mode`` the last window may extend beyond the end.

        A window that would begin in the padding after the end is omitted, as in
        PyTorch.
        """
        if not self.ceil_mode:
            return self.window.padding
        if not is_static(sizes):
            raise ShapeError(
                type(self).__name__,
                expected="known sizes for ceil_mode=True",
                got=show(sizes),
            )
        w = self.window
        per_axis = zip(sizes, w.kernel, w.stride, w.padding, strict=True)
        return tuple(
            (p, p + _overhang(int(n), k, s, p)) for n, k, s, (p, _) in per_axis
        )

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost: about k operations per output."""
        w = self.window
        fitted = Window(w.kernel, w.stride, w.dilation, self.borders(inputs[:-1]))
        return LayerCost(
            how=windows_arithmetic(inputs[:-1], fitted, show_padding=False),
            flops=count(output) * self.operations(math.prod(w.kernel)),
            window=fitted,
        )

    def operations(self, taps: int) -> int:
        """Return the number of operations for a window of the given number of elements."""
        return taps

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``MaxPool2d(2)``, ``MaxPool2d(3×2, stride 2)``."""
        parts = window_label(self.window)
        parts += ["ceil"] if self.ceil_mode else []
        return f"{type(self).__name__}({', '.join(parts)})"


def _overhang(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return how far the last of ⌈(size − kernel + 2·padding)/stride⌉ + 1 windows extends beyond the end."""
    windows = -(-(size + 2 * padding - kernel) // stride) + 1
    if (windows - 1) * stride >= size + padding:
        windows -= 1
    return max(0, (windows - 1) * stride + kernel - size - 2 * padding)


class MaxPooling(Pooling):
    """Base class of ``MaxPool1d``, ``MaxPool2d`` and ``MaxPool3d``; see ``MaxPool2d``.

    >>> MaxPool1d(2)([[[1.0], [3.0], [2.0], [0.0]]]).tolist()
    [[[3.0], [2.0]]]
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> Any:
        """Return the maxima, with ``return_indices`` also their positions; raises ShapeError if no window fits."""
        values = super().forward(x)
        if not self.return_indices:
            return values
        batch, single = as_batch(x, self.n_axes, type(self).__name__)
        sizes, w = batch.shape[1:-1], self.window
        borders = self.borders(sizes)
        spatial = tuple(range(1, self.n_axes + 1))
        patches = build.windows(
            pad_spatial(batch.node, borders, -math.inf),
            spatial,
            w.kernel,
            w.stride,
            w.dilation,
        )
        flat = build.reshape(
            patches, (*patches.shape[: -self.n_axes], math.prod(w.kernel))
        )
        starts, offsets = window_positions(sizes, w, borders)
        indices = starts.expand_dims(-1) + take(offsets, Tensor(flat).argmax(-1))
        return values, without_batch(indices, single)

    def pool(self, x: Node, borders: Borders) -> Node:
        """Return the maxima; padding counts as −∞."""
        return functions.max_pool(
            x, window=self.window.kernel, stride=self.window.stride, padding=borders
        )

    def operations(self, taps: int) -> int:
        """Return taps − 1 comparisons."""
        return taps - 1


@final
class MaxPool1d(MaxPooling):
    """``MaxPool2d`` over one axis: (N, length, channels).

    >>> MaxPool1d(2)([[1.0], [3.0], [6.0], [5.0]]).flatten().tolist()
    [3.0, 6.0]
    """

    n_axes = 1


@final
class MaxPool2d(MaxPooling):
    """The maximum of each window of (N, height, width, channels) or of one example.

    Each size becomes ⌊(size − window + 2·padding)/stride⌋ + 1. At a tie the gradient
    goes to the first maximum in row-major order.

    Args:
        kernel_size: Size of the window, a number or one per axis.
        stride: Stride, a number or one per axis; the window by default.
        padding: Padding on both sides, counted as −∞.
        ceil_mode: Whether to round up, to ⌈…⌉ + 1 windows, of which the last may extend beyond the end.
        return_indices: Whether to return (maxima, indices), where an index is row·width + column in the image, as
            ``MaxUnpool2d`` takes it.

    >>> MaxPool2d(2)([[[1.0], [3.0]], [[5.0], [6.0]]]).tolist()
    [[[6.0]]]
    """

    n_axes = 2


@final
class MaxPool3d(MaxPooling):
    """``MaxPool2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule.tensor.functional import ones
    >>> MaxPool3d(2)(ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    n_axes = 3


class AveragePooling(Pooling):
    """Base class of ``AvgPool1d``, ``AvgPool2d`` and ``AvgPool3d``; see ``AvgPool2d``.

    >>> AvgPool1d(2)([[[1.0], [3.0], [2.0], [0.0]]]).tolist()
    [[[2.0], [1.0]]]
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        self.count_include_pad = count_include_pad

    def pool(self, x: Node, borders: Borders) -> Node:
        """Return the means; positions beyond the declared padding never count in the divisor."""
        w = self.window
        mean = functions.average_pool(
            x, window=w.kernel, stride=w.stride, padding=borders
        )
        counted = (
            w.padding if self.count_include_pad else tuple((0, 0) for _ in borders)
        )
        if borders == counted:
            return mean
        sizes = [n + sum(p) for n, p in zip(x.shape[1:-1], counted, strict=True)]
        rest = tuple(
            (a - c, b - d) for (a, b), (c, d) in zip(borders, counted, strict=True)
        )
        ones = build.full((1, *sizes, 1), 1, x.dtype)
        share = functions.average_pool(
            ones, window=w.kernel, stride=w.stride, padding=rest
        )
        return build.divide(mean, share)


@final
class AvgPool1d(AveragePooling):
    """``AvgPool2d`` over one axis: (N, length, channels).

    >>> AvgPool1d(2)([[1.0], [3.0], [6.0], [5.0]]).flatten().tolist()
    [2.0, 5.5]
    """

    n_axes = 1


@final
class AvgPool2d(AveragePooling):
    """The mean of each window of (N, height, width, channels) or of one example.

    Sizes are those of ``MaxPool2d``.

    Args:
        kernel_size: Size of the window, a number or one per axis.
        stride: Stride, a number or one per axis; the window by default.
        padding: Zero padding on both sides.
        ceil_mode: Whether to round sizes up, as in ``MaxPool2d``.
        count_include_pad: Whether padding counts in the divisor; if not, the divisor is the number of pixels of the
            image in the window.

    >>> AvgPool2d(2)([[[1.0], [3.0]], [[5.0], [6.0]]]).tolist()
    [[[3.75]]]
    """

    n_axes = 2


@final
class AvgPool3d(AveragePooling):
    """``AvgPool2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule.tensor.functional import ones
    >>> AvgPool3d(2)(ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    n_axes = 3


class LpPooling(Pooling):
    """Base class of ``LpPool1d``, ``LpPool2d`` and ``LpPool3d``; see ``LpPool2d``.

    >>> LpPool1d(2, kernel_size=2)([[[3.0], [4.0]]]).tolist()
    [[[5.0]]]
    """

    def __init__(
        self,
        p: float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode=ceil_mode)
        if not 1 <= p < math.inf:
            raise ArgumentError(
                "p", expected="a number ≥ 1 (for ∞ use MaxPool)", got=repr(p)
            )
        self.p = float(p)

    def pool(self, x: Node, borders: Borders) -> Node:
        """Return (Σ|x|ᵖ)^(1/p) of each window; derivative 0 where a window is all zeros."""
        w = self.window
        powers = build.power(build.absolute(x), self.p)
        mean = functions.average_pool(
            powers, window=w.kernel, stride=w.stride, padding=borders
        )
        total = build.multiply(mean, math.prod(w.kernel))
        at_zero = build.equal(total, 0)
        return build.where(
            at_zero, 0, build.power(build.where(at_zero, 1, total), 1 / self.p)
        )

    def operations(self, taps: int) -> int:
        """Return taps powers, taps − 1 sums and a root."""
        return 2 * taps


@final
class LpPool1d(LpPooling):
    """``LpPool2d`` over one axis: (N, length, channels).

    >>> LpPool1d(2, kernel_size=2)([[3.0], [4.0]]).tolist()
    [[5.0]]
    """

    n_axes = 1


@final
class LpPool2d(LpPooling):
    """(Σ|x|ᵖ)^(1/p) over each window of (N, height, width, channels): p = 1 is the sum, p → ∞ the maximum.

    Sizes are those of ``MaxPool2d``. The derivative is 0 where all of a window is 0.

    Args:
        p: The exponent, ≥ 1.
        kernel_size: Size of the window, a number or one per axis.
        stride: Stride, a number or one per axis; the window by default.
        padding: Zero padding on both sides.
        ceil_mode: Whether to round sizes up, as in ``MaxPool2d``.

    >>> LpPool2d(2, kernel_size=(1, 2))([[[3.0], [4.0]]]).tolist()
    [[[5.0]]]
    """

    n_axes = 2


@final
class LpPool3d(LpPooling):
    """``LpPool2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule.tensor.functional import ones
    >>> LpPool3d(1, kernel_size=2)(ones((1, 2, 2, 2, 1))).item()
    8.0
    """

    n_axes = 3
