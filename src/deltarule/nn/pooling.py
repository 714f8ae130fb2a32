"""Pooling layers, channels last: no parameters, each channel by itself (POOL-01 … POOL-05)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, final

from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import functions
from deltarule.nn.account import Account, Window, windows_arithmetic
from deltarule.nn.module import Module
from deltarule.nn.spatial import Sizes, as_batch, plain, short, times, without_batch
from deltarule.shapes import Shape, count, is_static, show, spatial_tuple
from deltarule.tensor.tensor import Tensor


class Pooling(Module):
    """What all window pooling shares; see ``MaxPool2d``."""

    n_axes: ClassVar[int]
    largest: ClassVar[bool]

    def __init__(self, window: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        kernel = spatial_tuple(window, self.n_axes, "window", minimum=1)
        steps = kernel if stride is None else spatial_tuple(stride, self.n_axes, "stride", minimum=1)
        borders = spatial_tuple(padding, self.n_axes, "padding")
        if any(2 * p > k for p, k in zip(borders, kernel, strict=True)):
            raise ArgumentError("padding", expected="at most half of the window", got=f"{borders} for {kernel}")
        self.window = Window(kernel, steps, (1,) * self.n_axes, tuple((p, p) for p in borders))

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima or means of the windows; raises ShapeError if no window fits."""
        name, w = type(self).__name__, self.window
        batch, single = as_batch(x, self.n_axes, name)
        sizes = batch.shape[1:-1]
        if is_static(sizes) and any(s + sum(p) < k for s, p, k in zip(sizes, w.padding, w.kernel, strict=True)):
            raise ShapeError(name, expected=f"an image of at least {times(w.kernel)}", got=show(sizes),
                             hint="Pool less before this layer, or use a smaller window.")  # fmt: skip
        pool = functions.max_pool if self.largest else functions.average_pool
        node = pool(batch.node, window=w.kernel, stride=w.stride, padding=w.padding)
        return without_batch(Tensor(node), single)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        w = self.window
        return {
            "window": plain(w.kernel), "stride": plain(w.stride), "padding": plain(tuple(p for p, _ in w.padding)),
        }  # fmt: skip

    def account(self, inputs: Shape, output: Shape) -> Account:
        """Return the arithmetic: k − 1 comparisons (or sums, and a division) per output."""
        taps = math.prod(self.window.kernel)
        return Account(
            how=windows_arithmetic(inputs[:-1], self.window, show_padding=False),
            flops=count(output) * (taps - self.largest),
            window=self.window,
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``MaxPool2d(2)``, ``MaxPool2d(3×2, stride 2)``."""
        w = self.window
        parts = [short(w.kernel)]
        parts += [f"stride {short(w.stride)}"] if w.stride != w.kernel else []
        parts += [f"padding {short([p for p, _ in w.padding])}"] if any(map(any, w.padding)) else []
        return f"{type(self).__name__}({', '.join(parts)})"


@final
class MaxPool1d(Pooling):
    """As ``MaxPool2d`` over one axis: (N, length, channels)."""

    n_axes, largest = 1, True


@final
class MaxPool2d(Pooling):
    """The maximum of each window of (N, height, width, channels) or of one example (POOL-01).

    Each size becomes ⌊(size − window + 2·padding)/stride⌋ + 1; ``stride`` is the window unless given. Padding
    counts as −∞; at a tie the gradient goes to the first maximum in row-major order.

    >>> from deltarule.tensor.tensor import tensor
    >>> MaxPool2d(2)(tensor([[[1], [3]], [[5], [6]]])).tolist()
    [[[6]]]
    """

    n_axes, largest = 2, True


@final
class MaxPool3d(Pooling):
    """As ``MaxPool2d`` over three axes: (N, depth, height, width, channels)."""

    n_axes, largest = 3, True


@final
class AvgPool1d(Pooling):
    """As ``AvgPool2d`` over one axis: (N, length, channels)."""

    n_axes, largest = 1, False


@final
class AvgPool2d(Pooling):
    """The mean of each window of (N, height, width, channels) or of one example; padding counts as zeros (POOL-02).

    >>> from deltarule.tensor.tensor import tensor
    >>> AvgPool2d(2)(tensor([[[1], [3]], [[5], [6]]])).tolist()
    [[[3.75]]]
    """

    n_axes, largest = 2, False


@final
class AvgPool3d(Pooling):
    """As ``AvgPool2d`` over three axes: (N, depth, height, width, channels)."""

    n_axes, largest = 3, False


class GlobalAveragePooling(Module):
    """What global pooling shares; see ``GlobalAvgPool2d``."""

    n_axes: ClassVar[int]

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over the spatial axes."""
        batch, single = as_batch(x, self.n_axes, type(self).__name__)
        return without_batch(batch.mean(axis=tuple(range(1, self.n_axes + 1))), single)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again: none."""
        return {}

    def account(self, inputs: Shape, output: Shape) -> Account:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: one mean per channel."""
        return Account(how=f"mean over {times(inputs[:-1])}", flops=count(inputs), whole_input=True)

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1


@final
class GlobalAvgPool1d(GlobalAveragePooling):
    """The mean of each channel: (N, length, C) → (N, C)."""

    n_axes = 1


@final
class GlobalAvgPool2d(GlobalAveragePooling):
    """The mean of each channel: (N, height, width, C) → (N, C), so that images of any size fit (CNN-15, POOL-02).

    >>> from deltarule.tensor.functional import ones
    >>> GlobalAvgPool2d()(ones((4, 7, 5, 3))).shape
    (4, 3)
    """

    n_axes = 2


@final
class GlobalAvgPool3d(GlobalAveragePooling):
    """The mean of each channel: (N, depth, height, width, C) → (N, C)."""

    n_axes = 3
