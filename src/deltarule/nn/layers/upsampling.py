"""Upsampling without weights: nearest-neighbour and linear interpolation, pixel shuffle."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, final

import numpy as np

from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn.check import whole_number
from deltarule.nn.layer_cost import Enlargement, LayerCost, Window, distinct_lines
from deltarule.nn.layers.spatial import (
    Sizes,
    as_batch,
    format_sizes,
    without_batch,
)
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, is_static, show, spatial_tuple
from deltarule.tensor.functional import take
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["PixelShuffle", "PixelUnshuffle", "Upsample1d", "Upsample2d", "Upsample3d"]

Interpolation = Literal["nearest", "linear"]


class Upsampling(Module):
    """Base class of ``Upsample1d``, ``Upsample2d`` and ``Upsample3d``; see ``Upsample2d``.

    >>> Upsample1d(2)([[[1.0], [3.0]]]).tolist()
    [[[1.0], [1.0], [3.0], [3.0]]]
    """

    n_axes: ClassVar[int]

    def __init__(
        self,
        factor: Sizes,
        interpolation: Interpolation = "nearest",
        *,
        align_corners: bool = False,
    ) -> None:
        self.factor = spatial_tuple(factor, self.n_axes, "factor", minimum=1)
        if interpolation not in {"nearest", "linear"}:
            raise ArgumentError(
                "interpolation",
                expected="'nearest' or 'linear'",
                got=repr(interpolation),
            )
        if align_corners and interpolation == "nearest":
            raise ArgumentError(
                "align_corners", expected="interpolation 'linear'", got="'nearest'"
            )
        self.interpolation = interpolation
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Return the upsampled image."""
        batch, single = as_batch(x, self.n_axes, type(self).__name__)
        for axis, factor in enumerate(self.factor, start=1):
            if factor > 1:
                batch = self._resize_axis(batch, axis, factor)
        return without_batch(batch, single)

    def _resize_axis(self, x: Tensor, axis: int, factor: int) -> Tensor:
        if self.interpolation == "nearest":
            repeated = x.expand_dims(axis + 1)
            shape = list(repeated.shape)
            shape[axis + 1] = factor
            return repeated.broadcast_to(tuple(shape)).reshape(
                *x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :]
            )
        if not is_static(x.shape[axis : axis + 1]):
            raise ShapeError(
                type(self).__name__,
                expected="an image of known sizes",
                got=show(x.shape),
            )
        size = int(x.shape[axis])
        places = source_coordinates(size, factor, self.align_corners)
        low = np.minimum(np.floor(places).astype(np.int64), size - 1)
        high = np.minimum(low + 1, size - 1)
        share = (places - low).reshape(-1, *(1,) * (x.ndim - axis - 1))
        weight = tensor(share.astype(x.dtype.name if x.dtype.is_float else "float32"))
        return take(x, low, axis) * (1 - weight) + take(x, high, axis) * weight

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the cost; linear interpolation takes three operations per axis and pixel."""
        sizes = [
            f"{n}·{f} = {n * f}" for n, f in zip(inputs[:-1], self.factor, strict=True)
        ]
        flops = (
            0 if self.interpolation == "nearest" else 3 * self.n_axes * count(output)
        )
        seen = tuple(
            1 if self.interpolation == "nearest" or f == 1 else 2 for f in self.factor
        )
        how = ", ".join(distinct_lines(sizes))
        return LayerCost(
            how=how, flops=flops, enlargement=Enlargement(self.factor, seen)
        )

    def example_rank(self) -> int:
        """One example is (*spatial, channels)."""
        return self.n_axes + 1

    def label(self) -> str:
        """Return ``Upsample2d(2, linear)``."""
        aligned = ", corners aligned" if self.align_corners else ""
        return f"{type(self).__name__}({format_sizes(self.factor)}, {self.interpolation}{aligned})"


def source_coordinates(size: int, factor: int, align_corners: bool) -> Any:
    """Return the coordinates of size·factor new pixels in the original image.

    Pixels are squares with centres at ½, 3/2, …: coordinate (i + ½)/factor − ½, not
    before the first centre. With ``align_corners`` they are points, and the first and
    last points of both images coincide.

    >>> source_coordinates(2, 2, False).tolist(), source_coordinates(2, 2, True).round(3).tolist()
    ([0.0, 0.25, 0.75, 1.25], [0.0, 0.333, 0.667, 1.0])
    """
    i = np.arange(size * factor)
    if align_corners:
        return i * (size - 1) / max(size * factor - 1, 1)
    return np.maximum((i + 0.5) / factor - 0.5, 0.0)


@final
class Upsample1d(Upsampling):
    """``Upsample2d`` over one axis: (N, length, channels).

    >>> Upsample1d(2)([[1.0], [3.0]]).flatten().tolist()
    [1.0, 1.0, 3.0, 3.0]
    """

    n_axes = 1


@final
class Upsample2d(Upsampling):
    """Upsample (N, height, width, C) to (N, factor·height, factor·width, C) by interpolation.

    Args:
        factor: The factor, a number or one per axis.
        interpolation: "nearest" repeats pixels, "linear" interpolates between their centres (bilinear over two axes).
        align_corners: Whether the centres of the corner pixels coincide ("linear" only).

    >>> row = [[[0.0], [4.0]]]
    >>> Upsample2d((1, 2))(row).flatten().tolist(), Upsample2d((1, 2), "linear")(row).flatten().tolist()
    ([0.0, 0.0, 4.0, 4.0], [0.0, 1.0, 3.0, 4.0])
    """

    n_axes = 2


@final
class Upsample3d(Upsampling):
    """``Upsample2d`` over three axes: (N, depth, height, width, channels).

    >>> from deltarule.tensor.functional import ones
    >>> Upsample3d(2)(ones((1, 2, 2, 2, 3))).shape
    (1, 4, 4, 4, 3)
    """

    n_axes = 3


class Shuffle(Module):
    """Base class of ``PixelShuffle`` and ``PixelUnshuffle``.

    >>> from deltarule.tensor.functional import ones
    >>> PixelShuffle(2)(ones((1, 3, 3, 8))).shape, PixelUnshuffle(2)(ones((1, 6, 6, 2))).shape
    ((1, 6, 6, 2), (1, 3, 3, 8))
    """

    def __init__(self, factor: int) -> None:
        self.factor = whole_number(factor, "factor", 1)

    def example_rank(self) -> int:
        """One example is (height, width, channels)."""
        return 3

    def label(self) -> str:
        """Return ``PixelShuffle(2)``."""
        return f"{type(self).__name__}({self.factor})"


@final
class PixelShuffle(Shuffle):
    """(N, height, width, C·r²) → (N, r·height, r·width, C): channels rearranged as pixels (Shi et al. 2016).

    y[n, p·r + i, q·r + j, c] = x[n, p, q, c·r² + i·r + j].

    >>> PixelShuffle(2)([[[1, 2, 3, 4]]])[..., 0].tolist()
    [[1, 2], [3, 4]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the upsampled image; raises ShapeError if r² does not divide the number of channels."""
        batch, single = as_batch(x, 2, "PixelShuffle")
        n, height, width, channels = batch.shape
        r = self.factor
        if channels % r**2:
            raise ShapeError(
                "PixelShuffle",
                expected=f"a multiple of {r}² = {r * r} channels",
                got=show(x.shape),
            )
        c = channels // r**2
        apart = batch.reshape(n, height, width, c, r, r).permute(0, 1, 4, 2, 5, 3)
        return without_batch(apart.reshape(n, height * r, width * r, c), single)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic of the sizes; no operations."""
        r = self.factor
        how = f"{inputs[0]}·{r} = {output[0]}, {inputs[1]}·{r} = {output[1]}, {inputs[2]}/{r * r} = {output[2]}"
        return LayerCost(how=how, enlargement=Enlargement((r, r), (1, 1)))


@final
class PixelUnshuffle(Shuffle):
    """(N, r·height, r·width, C) → (N, height, width, C·r²): the inverse of ``PixelShuffle``.

    >>> PixelUnshuffle(2)([[[1], [2]], [[3], [4]]]).tolist()
    [[[1, 2, 3, 4]]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the downsampled image; raises ShapeError if r does not divide height and width."""
        batch, single = as_batch(x, 2, "PixelUnshuffle")
        n, height, width, channels = batch.shape
        r = self.factor
        if height % r or width % r:
            raise ShapeError(
                "PixelUnshuffle",
                expected=f"sizes that are multiples of {r}",
                got=show(x.shape),
            )
        apart = batch.reshape(n, height // r, r, width // r, r, channels).permute(
            0, 1, 3, 5, 2, 4
        )
        smaller = apart.reshape(n, height // r, width // r, channels * r * r)
        return without_batch(smaller, single)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:
        """Return the arithmetic of the sizes; no operations."""
        r = self.factor
        how = f"{inputs[0]}/{r} = {output[0]}, {inputs[1]}/{r} = {output[1]}, {inputs[2]}·{r * r} = {output[2]}"
        return LayerCost(
            how=how, window=Window((r, r), (r, r), (1, 1), ((0, 0), (0, 0)))
        )
