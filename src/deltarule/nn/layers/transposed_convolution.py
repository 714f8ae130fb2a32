"""Transposed convolutions: the adjoints of convolutions, which make images larger."""

from __future__ import annotations

import math
from typing import Any, ClassVar, final

from deltarule.dtypes import BOOL
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import Enlargement, LayerCost
from deltarule.nn.layers.spatial import (
    Sizes,
    as_batch,
    plain,
    short,
    times,
    without_batch,
)
from deltarule.nn.module.module import Module
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape, count, is_static, spatial_tuple
from deltarule.tensor.tensor import Tensor


class TransposedConvolution(Module):
    """What ConvTranspose1d, ConvTranspose2d and ConvTranspose3d share; see ``ConvTranspose2d``."""

    n_axes: ClassVar[int]
    weight: Tensor
    bias: Tensor

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
        if any(
            o >= max(s, d)
            for o, s, d in zip(
                self.output_padding, self.stride, self.dilation, strict=True
            )
        ):
            limits = f"less than the stride {short(self.stride)} or the dilation {short(self.dilation)}"
            raise ArgumentError(
                "output_padding", expected=limits, got=short(self.output_padding)
            )
        self.has_bias = bias
        self.init = initialisers.get(init)
        self.bias_init = initialisers.get(bias_init) or initialisers.zeros()
        self._own.seed = seed
        shape = (in_channels, *self.kernel, out_channels // groups)
        drawn = (
            out_channels,
            *self.kernel,
            in_channels // groups,
        )  # of a convolution from in to out channels
        self.declare(
            "weight", shape, self.init, groups, drawn=drawn, place=self._turned
        )
        if bias:
            self.declare("bias", (out_channels,), self.bias_init)

    def _turned(self, drawn: Array) -> Array:
        """Exchange the channel axes (out, *kernel, in/groups) → (in, *kernel, out/groups), group by group."""
        grouped = drawn.reshape(
            self.groups, self.out_channels // self.groups, *drawn.shape[1:]
        )
        return grouped.swapaxes(1, -1).reshape(
            self.in_channels, *self.kernel, self.out_channels // self.groups
        )

    def output_size(self, sizes: Shape) -> tuple[int, ...]:
        """Return s(n − 1) + d(k − 1) + 1 − 2p + o for each axis (POOL-07)."""
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
        """Return the larger image plus bias; raises ShapeError if channels or axes do not fit."""
        name = type(self).__name__
        batch, single = as_batch(x, self.n_axes, name, required=self.in_channels)
        sizes = batch.shape[1:-1]
        if not is_static(sizes) or min(self.output_size(sizes)) < 1:
            raise ArgumentError(
                name,
                expected="known sizes that give an image of at least 1",
                got=str(sizes),
            )
        # beyond the stride, output padding first takes back what padding cut off at the end, then adds zeros
        cut = [max(0, p - o) if o >= s else p for o, s, p in self._paddings()]
        zeros = [
            o - (p - high) if o >= s else 0
            for (o, s, p), high in zip(self._paddings(), cut, strict=True)
        ]
        inner = (
            n - zero for n, zero in zip(self.output_size(sizes), zeros, strict=True)
        )
        signal = (
            build.cast(batch.node, self.weight.dtype)
            if batch.dtype is BOOL
            else batch.node
        )
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

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "kernel_size": plain(self.kernel),
            "stride": plain(self.stride),
            "padding": plain(self.padding),
            "output_padding": plain(self.output_padding),
            "dilation": plain(self.dilation),
            "groups": self.groups,
            "bias": self.has_bias,
            "init": "auto" if self.init is None else self.init.config(),
            "bias_init": self.bias_init.config(),
        }

    def account(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic of sizes and parameters; every input is multiplied with a whole kernel."""
        depth = self.out_channels // self.groups
        taps = "·".join(map(str, (*self.kernel, self.in_channels, depth)))
        n_products = count(inputs) * math.prod(self.kernel) * depth
        return LayerCost(
            how=self._how(inputs[:-1]),
            parameters=f"{taps} + {self.out_channels}" if self.has_bias else taps,
            flops=2 * n_products + (count(output) if self.has_bias else 0),
            enlargement=Enlargement(
                self.stride,
                tuple(
                    -(-(d * (k - 1) + 1) // s)
                    for k, d, s in zip(
                        self.kernel, self.dilation, self.stride, strict=True
                    )
                ),
            ),
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
        return lines[0] if len(set(lines)) == 1 else ", ".join(lines)

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``ConvTranspose2d(8→3, 4×4, stride 2)``."""
        parts = [f"{self.in_channels}→{self.out_channels}", times(self.kernel)]
        parts += [f"stride {short(self.stride)}"] if set(self.stride) != {1} else []
        parts += [f"padding {short(self.padding)}"] if any(self.padding) else []
        parts += (
            [f"output padding {short(self.output_padding)}"]
            if any(self.output_padding)
            else []
        )
        parts += (
            [f"dilation {short(self.dilation)}"] if set(self.dilation) != {1} else []
        )
        parts += [f"{self.groups} groups"] if self.groups > 1 else []
        return f"{type(self).__name__}({', '.join(parts)})"


@final
class ConvTranspose1d(TransposedConvolution):
    """As ``ConvTranspose2d`` over one axis: (N, length, channels); weight (in, k, out/groups)."""

    n_axes = 1


@final
class ConvTranspose2d(TransposedConvolution):
    """The adjoint of ``Conv2d``: every input pixel adds its value times the kernel to the output (POOL-07, POOL-08).

    y[n, p·s + i − P, q·s + j − P, o] += x[n, p, q, c]·w[c, i, j, o], and the bias. Each size becomes
    s(n − 1) + d(k − 1) + 1 − 2·padding + output_padding. Several sizes of an image have the same size after a
    convolution with stride s; ``output_padding`` (< s, or < d) says which of them to give back. ``weight`` is
    (in_channels, kernel height, kernel width, out_channels/groups): that of the convolution whose adjoint it is.
    It undoes the convolution's sizes, not its values ("deconvolution" is a misnomer).

    >>> from deltarule.tensor.functional import ones
    >>> ConvTranspose2d(8, 3, kernel_size=4, stride=2, padding=1)(ones((1, 16, 16, 8))).shape
    (1, 32, 32, 3)
    """

    n_axes = 2


@final
class ConvTranspose3d(TransposedConvolution):
    """As ``ConvTranspose2d`` over three axes: (N, depth, height, width, channels)."""

    n_axes = 3
