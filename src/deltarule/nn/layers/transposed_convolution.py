"""Transposed convolutions: the adjoints of convolutions, used for upsampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, final

from deltarule.dtypes import BOOL
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import Enlargement, LayerCost, distinct_lines
from deltarule.nn.layers.spatial import (
    Sizes,
    as_batch,
    format_product,
    format_sizes,
    without_batch,
)
from deltarule.nn.module.module import Module
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape, count, is_static, spatial_tuple
from deltarule.tensor.tensor import Tensor

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class TransposedConvolution(Module):
    """Base class of ``ConvTranspose1d``, ``ConvTranspose2d`` and ``ConvTranspose3d``; see ``ConvTranspose2d``.

    >>> from deltarule.tensor.functional import ones
    >>> ConvTranspose2d(3, 8, kernel_size=4, stride=2, padding=1)(ones((1, 5, 5, 3))).shape
    (1, 10, 10, 8)
    """

    n_axes: ClassVar[int]
    weight: Tensor
    bias: Tensor
    argument_attributes: ClassVar[Mapping[str, str | None]] = {"kernel_size": "kernel"}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
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
        self.kernel = spatial_tuple(kernel_size, self.n_axes, "kernel_size", minimum=1)
        self.stride = spatial_tuple(stride, self.n_axes, "stride", minimum=1)
        self.padding = spatial_tuple(padding, self.n_axes, "padding")
        self.output_padding = spatial_tuple(
            output_padding, self.n_axes, "output_padding"
        )
        self.dilation = spatial_tuple(dilation, self.n_axes, "dilation", minimum=1)
        per_axis = zip(self.output_padding, self.stride, self.dilation, strict=True)
        if any(o >= max(s, d) for o, s, d in per_axis):
            limits = f"less than the stride {format_sizes(self.stride)} or the dilation {format_sizes(self.dilation)}"
            raise ArgumentError(
                "output_padding", expected=limits, got=format_sizes(self.output_padding)
            )
        self.has_bias = bias
        self.init = initialisers.get(init)
        self.bias_init = initialisers.get(bias_init) or initialisers.zeros()
        self._own.seed = seed
        shape = (in_channels, *self.kernel, out_channels // groups)
        # drawn like the weight of a convolution from in to out channels
        drawn = (out_channels, *self.kernel, in_channels // groups)
        self.declare(
            "weight", shape, self.init, groups, drawn=drawn, place=self._turned
        )
        if bias:
            self.declare("bias", (out_channels,), self.bias_init)

    def _turned(self, drawn: Array) -> Array:
        """Swap the channel axes (out, *kernel, in/groups) → (in, *kernel, out/groups), group by group."""
        grouped = drawn.reshape(
            self.groups, self.out_channels // self.groups, *drawn.shape[1:]
        )
        return grouped.swapaxes(1, -1).reshape(
            self.in_channels, *self.kernel, self.out_channels // self.groups
        )

    def output_size(self, sizes: Shape) -> tuple[int, ...]:
        """Return s(n − 1) + d(k − 1) + 1 − 2p + o for each axis.

        >>> ConvTranspose2d(1, 1, kernel_size=4, stride=2, padding=1).output_size((7, 7))
        (14, 14)
        """
        return tuple(
            s * (int(n) - 1) + d * (k - 1) + 1 - 2 * p + o
            for n, k, s, p, o, d in zip(
                sizes,
                self.kernel,
                self.stride,
                self.padding,
                self.output_padding,
                self.dilation,
                strict=True,
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the upsampled image plus bias; raises ShapeError if channels or axes do not fit."""
        name = type(self).__name__
        batch, single = as_batch(x, self.n_axes, name, required=self.in_channels)
        sizes = batch.shape[1:-1]
        if not is_static(sizes) or min(self.output_size(sizes)) < 1:
            raise ArgumentError(
                name,
                expected="known sizes that give an image of at least 1",
                got=str(sizes),
            )
        # beyond the stride, output padding first undoes the cropping by padding at the end, then adds zeros
        cut = [max(0, p - o) if o >= s else p for o, s, p in self._paddings()]
        zeros = [
            o - (p - high) if o >= s else 0
            for (o, s, p), high in zip(self._paddings(), cut, strict=True)
        ]
        inner = (
            n - zero for n, zero in zip(self.output_size(sizes), zeros, strict=True)
        )
        signal = batch.node
        if batch.dtype is BOOL:
            signal = build.cast(signal, self.weight.dtype)
        node = build.convolve_transposed(
            signal,
            self.weight.node,
            self.stride,
            list(zip(self.padding, cut, strict=True)),
            self.dilation,
            self.groups,
            (batch.shape[0], *inner, self.out_channels),
        )
        if any(zeros):
            node = build.pad(node, (0,) * node.rank, (0, *zeros, 0))
        output = Tensor(node) + self.bias if self.has_bias else Tensor(node)
        return without_batch(output, single)

    def _paddings(self) -> list[tuple[int, int, int]]:
        """Return (output padding, stride, padding) of each axis."""
        return list(zip(self.output_padding, self.stride, self.padding, strict=True))

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost; every input is multiplied by a whole kernel."""
        depth = self.out_channels // self.groups
        taps = "·".join(map(str, (*self.kernel, self.in_channels, depth)))
        n_products = count(inputs) * math.prod(self.kernel) * depth
        per_axis = zip(self.kernel, self.dilation, self.stride, strict=True)
        seen = tuple(-(-(d * (k - 1) + 1) // s) for k, d, s in per_axis)
        return LayerCost(
            how=self._how(inputs[:-1]),
            parameters=f"{taps} + {self.out_channels}" if self.has_bias else taps,
            flops=2 * n_products + (count(output) if self.has_bias else 0),
            enlargement=Enlargement(self.stride, seen),
        )

    def _how(self, sizes: Shape) -> str:
        lines = []
        per_axis = zip(
            sizes,
            self.kernel,
            self.stride,
            self.padding,
            self.output_padding,
            self.dilation,
            self.output_size(sizes),
            strict=True,
        )
        for n, k, s, p, o, d, size in per_axis:
            span = f"{k}" if d == 1 else f"({d}·({k} − 1) + 1)"
            lines.append(
                f"{s}·({n} − 1) + {span} − 2·{p}{f' + {o}' if o else ''} = {size}"
            )
        return ", ".join(distinct_lines(lines))

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``ConvTranspose2d(8→3, 4×4, stride 2)``."""
        parts = [f"{self.in_channels}→{self.out_channels}", format_product(self.kernel)]
        parts += (
            [f"stride {format_sizes(self.stride)}"] if set(self.stride) != {1} else []
        )
        parts += [f"padding {format_sizes(self.padding)}"] if any(self.padding) else []
        if any(self.output_padding):
            parts.append(f"output padding {format_sizes(self.output_padding)}")
        parts += (
            [f"dilation {format_sizes(self.dilation)}"]
            if set(self.dilation) != {1}
            else []
        )
        parts += [f"{self.groups} groups"] if self.groups > 1 else []
        return f"{type(self).__name__}({', '.join(parts)})"


@final
class ConvTranspose1d(TransposedConvolution):
    """``ConvTranspose2d`` over one axis: (N, length, channels); the weight is (in, k, out/groups).

    >>> from deltarule.tensor.functional import ones
    >>> ConvTranspose1d(8, 3, kernel_size=4, stride=2, padding=1)(ones((1, 16, 8))).shape
    (1, 32, 3)
    """

    n_axes = 1


@final
class ConvTranspose2d(TransposedConvolution):
    """The adjoint of ``Conv2d``: every input pixel adds its value times the kernel to the output.

    y[n, p·s + i − P, q·s + j − P, o] += x[n, p, q, c]·w[c, i, j, o], and the bias. Each
    size becomes s(n − 1) + d(k − 1) + 1 − 2·padding + output_padding (Dumoulin and
    Visin 2016). ``weight`` is (in_channels, kernel height, kernel width,
    out_channels/groups): that of the convolution whose adjoint it is. It inverts the
    convolution's sizes, not its values ("deconvolution" is a misnomer).

    Args:
        in_channels: Number of channels of the input.
        out_channels: Number of channels of the output.
        kernel_size: Size of the kernel, a number or one per axis.
        stride: Stride of the convolution, a number or one per axis.
        padding: Padding of the convolution, a number or one per axis.
        output_padding: Extra size at the end, less than the stride or the dilation: it selects among the image sizes
            that a convolution with this stride maps to the same size.
        dilation: Spacing of the kernel elements, a number or one per axis.
        groups: Number of groups of channels that are convolved separately.
        bias: Whether to add a bias per output channel.
        init: Initialiser of the weights; "auto" is He before a rectifier and Xavier elsewhere.
        bias_init: Initialiser of the biases.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> from deltarule.tensor.functional import ones
    >>> ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)(ones((1, 16, 16, 8))).shape
    (1, 32, 32, 3)
    """

    n_axes = 2


@final
class ConvTranspose3d(TransposedConvolution):
    """``ConvTranspose2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule.tensor.functional import ones
    >>> ConvTranspose3d(8, 3, kernel_size=2, stride=2)(ones((1, 4, 4, 4, 8))).shape
    (1, 8, 8, 8, 3)
    """

    n_axes = 3
