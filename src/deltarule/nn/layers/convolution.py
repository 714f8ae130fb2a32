"""Convolutional layers (cross-correlations, channels last)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

from deltarule.dtypes import BOOL
from deltarule.errors import ArgumentError, ShapeError
from deltarule.graph import build
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost, Window, windows_arithmetic
from deltarule.nn.layers.spatial import (
    Padding,
    Sizes,
    as_batch,
    format_product,
    format_sizes,
    resolve_padding,
    without_batch,
)
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, show, spatial_tuple
from deltarule.tensor.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d"]


class Convolution(Module):
    """Base class of ``Conv1d``, ``Conv2d`` and ``Conv3d``; see ``Conv2d``.

    >>> layer = Conv2d(3, 8, kernel_size=3, padding=1)
    >>> layer.weight.shape, layer.bias.shape
    ((8, 3, 3, 3), (8,))
    """

    n_axes: ClassVar[int]
    weight: Tensor
    bias: Tensor
    argument_attributes: ClassVar[Mapping[str, str | None]] = {
        "kernel_size": "window.kernel",
        "stride": "window.stride",
        "dilation": "window.dilation",
    }

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: str | dict[str, Any] | Initializer = "auto",
        bias_init: str | dict[str, Any] | Initializer = "zeros",
        seed: int | None = None,
    ) -> None:
        self.in_channels = whole_number(in_channels, "in_channels", 1)
        self.out_channels = whole_number(out_channels, "out_channels", 1)
        self.groups = whole_number(groups, "groups", 1)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                "groups",
                expected=f"a divisor of {in_channels} and {out_channels} channels",
                got=str(groups),
            )
        kernel = spatial_tuple(kernel_size, self.n_axes, "kernel_size", minimum=1)
        dilations = spatial_tuple(dilation, self.n_axes, "dilation", minimum=1)
        self.padding = padding if isinstance(padding, (int, str)) else list(padding)
        self.window = Window(
            kernel,
            spatial_tuple(stride, self.n_axes, "stride", minimum=1),
            dilations,
            resolve_padding(padding, kernel, dilations, "padding"),
        )
        self.has_bias = bias
        self.init = initialisers.get(init)
        self.bias_init = initialisers.get(bias_init) or initialisers.zeros()
        self._own.seed = seed
        self.declare(
            "weight", (out_channels, *kernel, in_channels // groups), self.init, groups
        )
        if bias:
            self.declare("bias", (out_channels,), self.bias_init)

    def forward(self, x: Tensor) -> Tensor:
        """Return the cross-correlation plus bias; raises ShapeError if channels or sizes do not fit."""
        name = type(self).__name__
        batch, single = as_batch(x, self.n_axes, name, self.in_channels)
        if batch.shape[-1] != self.in_channels:
            raise ShapeError(
                name,
                expected=_channels(self.in_channels),
                got=f"{batch.shape[-1]} in {show(x.shape)}",
                hint=self._hint(batch.shape),
            )
        w = self.window
        image = batch.node
        if batch.dtype is BOOL:
            image = build.cast(image, self.weight.dtype)
        node = build.convolve(
            image, self.weight.node, w.stride, w.padding, w.dilation, self.groups
        )
        output = Tensor(node) + self.bias if self.has_bias else Tensor(node)
        return without_batch(output, single)

    def _hint(self, shape: Shape) -> str:
        """Return a hint for a wrong input: channels first, no channel axis, or another number of channels."""
        _, first, *rest = shape
        if first == self.in_channels:
            moved = show((*rest, first))
            return f"Channels come last: pass examples {moved}, for example np.moveaxis(X, 1, -1)."
        if self.in_channels == 1:
            return "Add the channel axis, for example X[..., None]."
        name = type(self).__name__
        wanted = _channels(self.in_channels)
        return f"Write {name}({shape[-1]}, {self.out_channels}, …), or give it {wanted} (last axis)."

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost: (kernel·channels + 1)·filters parameters."""
        depth = self.in_channels // self.groups
        taps = "·".join(map(str, (*self.window.kernel, depth)))
        n_taps = math.prod(self.window.kernel) * depth
        return LayerCost(
            how=windows_arithmetic(inputs[:-1], self.window, show_padding=True),
            parameters=f"({taps} + 1)·{self.out_channels}"
            if self.has_bias
            else f"{taps}·{self.out_channels}",
            flops=count(output) * (2 * n_taps - (not self.has_bias)),
            window=self.window,
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``Conv2d(3→8, 5×5, stride 2)``."""
        w = self.window
        parts = [f"{self.in_channels}→{self.out_channels}", format_product(w.kernel)]
        parts += [f"stride {format_sizes(w.stride)}"] if set(w.stride) != {1} else []
        padding = self.padding
        if not isinstance(padding, (int, str)):
            padding = format_sizes(padding)
        parts += [f"padding {padding}"] if padding not in {0, "valid"} else []
        parts += (
            [f"dilation {format_sizes(w.dilation)}"] if set(w.dilation) != {1} else []
        )
        parts += [f"{self.groups} groups"] if self.groups > 1 else []
        return f"{type(self).__name__}({', '.join(parts)})"


@final
class Conv1d(Convolution):
    """``Conv2d`` over one axis: (N, length, channels); the weight is (out, k, in/groups).

    >>> from deltarule.tensor.functional import ones
    >>> Conv1d(3, 8, kernel_size=5)(ones((1, 32, 3))).shape
    (1, 28, 8)
    """

    n_axes = 1


@final
class Conv2d(Convolution):
    """y[n, p, q, o] = b[o] + Σ_{i,j,c} x[n, p·s + i − P, q·s + j − P, c]·w[o, i, j, c].

    A cross-correlation, channels last (Goodfellow et al. 2016, section 9.1): the input
    is (N, height, width, in_channels) or one example, ``weight`` is (out_channels,
    kernel height, kernel width, in_channels/groups). Each size becomes ⌊(size −
    dilation·(kernel − 1) − 1 + padding)/stride⌋ + 1.

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of filters.
        kernel_size: Size of the kernel, a number or one per axis.
        stride: Stride, a number or one per axis.
        padding: Zero padding on both sides, a number or one per axis; "same" gives ⌈size/stride⌉ (an odd remainder is
            added after), "valid" is none.
        dilation: Spacing of the kernel elements, a number or one per axis.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a bias per filter.
        init: Initialiser of the weights; "auto" is He before a rectifier and Xavier elsewhere.
        bias_init: Initialiser of the biases.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> from deltarule.tensor.functional import ones
    >>> Conv2d(3, 8, kernel_size=5)(ones((1, 32, 32, 3))).shape
    (1, 28, 28, 8)
    """

    n_axes = 2


@final
class Conv3d(Convolution):
    """``Conv2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule.tensor.functional import ones
    >>> Conv3d(3, 8, kernel_size=3)(ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 8)
    """

    n_axes = 3


def _channels(n: int) -> str:
    return "1 channel" if n == 1 else f"{n} channels"
