"""Weights in panels, and the contractions of dense and convolution layers over them.

A weight with ``outputs`` rows and ``inputs`` columns lies in memory as ``[outputs/16][inputs][16]``, the last
panel filled up with zeros (a weight of at most 8 or 4 outputs: one panel of 8 or 4). Vectors of outputs are
contiguous and so are consecutive inputs, so that the forward pass (columns of outputs), the gradient of the inputs
(columns of inputs, transposed blocks) and the gradient of the weights (written straight into panels) all run at
full speed without repacking the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.backends.native.contraction.specification import (
    ContractionIndex,
    ContractionSpec,
)
from deltarule.errors import ShapeError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PanelLayout:
    """The panel layout of a weight (outputs, inputs).

    >>> layout = PanelLayout(outputs=20, inputs=3)
    >>> layout.padded_outputs, layout.size
    (32, 96)
    >>> bool((layout.unpack(layout.pack(np.ones((20, 3)))) == 1).all())
    True
    """

    outputs: int
    inputs: int

    @property
    def lanes(self) -> int:
        """Return the number of outputs in one panel."""
        return next((size for size in (4, 8) if self.outputs <= size), 16)

    @property
    def panels(self) -> int:
        """Return the number of panels."""
        return -(-self.outputs // self.lanes)

    @property
    def panel_size(self) -> int:
        """Return the number of elements of one panel."""
        return self.inputs * self.lanes

    @property
    def padded_outputs(self) -> int:
        """Return the number of outputs with the padding of the last panel."""
        return self.panels * self.lanes

    @property
    def size(self) -> int:
        """Return the number of elements in memory."""
        return self.padded_outputs * self.inputs

    def offset(self, output: int, input_: int) -> int:
        """Return where one weight lies."""
        panel, lane = divmod(output, self.lanes)
        return panel * self.panel_size + input_ * self.lanes + lane

    def pack(self, weight: Array) -> Array:
        """Return the weight (outputs, inputs) in panels, flat; ShapeError for another shape."""
        if weight.shape != (self.outputs, self.inputs):
            expected = f"shape {(self.outputs, self.inputs)}"
            raise ShapeError("panel layout", expected=expected, got=str(weight.shape))
        padded = np.zeros((self.padded_outputs, self.inputs), weight.dtype)
        padded[: self.outputs] = weight
        blocks = padded.reshape(self.panels, self.lanes, self.inputs).transpose(0, 2, 1)
        return np.ascontiguousarray(blocks).reshape(-1)

    def unpack(self, panels: Array) -> Array:
        """Return the weight (outputs, inputs) from its panels; ShapeError for another size."""
        if panels.size != self.size:
            raise ShapeError(
                "panel layout", expected=f"{self.size} elements", got=str(panels.size)
            )
        blocks = panels.reshape(self.panels, self.inputs, self.lanes).transpose(0, 2, 1)
        return blocks.reshape(self.padded_outputs, self.inputs)[: self.outputs].copy()


def dense_forward(
    rows: int, layout: PanelLayout, x_stride: int, y_stride: int, dtype: str = "float32"
) -> ContractionSpec:
    """Return Y = X·Wᵀ: A = X (rows, inputs), B = W in panels, C = Y (rows, padded outputs).

    Padding outputs come out as zero; ``y_stride`` must leave room for them.
    """
    return ContractionSpec(
        (
            ContractionIndex("row", rows, x_stride, 0, y_stride),
            ContractionIndex(
                "panel", layout.panels, 0, layout.panel_size, layout.lanes
            ),
            ContractionIndex("lane", layout.lanes, 0, 1, 1),
            ContractionIndex("input", layout.inputs, 1, layout.lanes, 0),
        ),
        free_m=("row",),
        free_n=("panel", "lane"),
        reduce=("input",),
        dtype=dtype,
    )


def dense_input_gradient(
    rows: int,
    layout: PanelLayout,
    dy_stride: int,
    dx_stride: int,
    dtype: str = "float32",
) -> ContractionSpec:
    """Return dX = dY·W: A = dY (rows, padded outputs), B = W in panels, C = dX (rows, inputs). Needs scratch."""
    return ContractionSpec(
        (
            ContractionIndex("row", rows, dy_stride, 0, dx_stride),
            ContractionIndex("input", layout.inputs, 0, layout.lanes, 1),
            ContractionIndex(
                "panel", layout.panels, layout.lanes, layout.panel_size, 0
            ),
            ContractionIndex("lane", layout.lanes, 1, 1, 0),
        ),
        free_m=("row",),
        free_n=("input",),
        reduce=("panel", "lane"),
        dtype=dtype,
    )


def dense_weight_gradient(
    rows: int,
    layout: PanelLayout,
    x_stride: int,
    dy_stride: int,
    dtype: str = "float32",
) -> ContractionSpec:
    """Return dW = dYᵀ·X in panels: A = X (rows, inputs), B = dY (rows, padded outputs), C = dW.

    An epilogue here may update the weight: its ``emitter.offset`` is the place in every array in panels.
    """
    return ContractionSpec(
        (
            ContractionIndex("input", layout.inputs, 1, 0, layout.lanes),
            ContractionIndex(
                "panel", layout.panels, 0, layout.lanes, layout.panel_size
            ),
            ContractionIndex("lane", layout.lanes, 0, 1, 1),
            ContractionIndex("row", rows, x_stride, dy_stride, 0),
        ),
        free_m=("input",),
        free_n=("panel", "lane"),
        reduce=("row",),
        dtype=dtype,
    )


@dataclass(frozen=True)
class Images:
    """How a batch of images, channels last, lies in memory: strides in elements, and where the first pixel is.

    A border of zeros is part of the memory: ``offset`` skips it.
    """

    image: int
    row: int
    pixel: int
    offset: int = 0


@dataclass(frozen=True)
class Convolution:
    """A convolution with weights in panels, inputs of the weight in the order (ky, kx, channel).

    ``height`` and ``width`` are those of the output; reading starts at ``x.offset`` (the upper left of the window
    of the first output, border included).
    """

    images: int
    height: int
    width: int
    kernel: tuple[int, int]
    channels: int
    filters: int
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    dtype: str = "float32"

    @property
    def layout(self) -> PanelLayout:
        """Return the layout of the weight."""
        return PanelLayout(
            self.filters, self.kernel[0] * self.kernel[1] * self.channels
        )

    def forward(self, x: Images, y: Images) -> ContractionSpec:
        """Return y = x ∗ w: A = x, B = w in panels, C = y (padded filters)."""
        layout = self.layout
        return ContractionSpec(
            (
                ContractionIndex("image", self.images, x.image, 0, y.image),
                ContractionIndex("y", self.height, x.row * self.stride[0], 0, y.row),
                ContractionIndex("x", self.width, x.pixel * self.stride[1], 0, y.pixel),
                ContractionIndex(
                    "panel", layout.panels, 0, layout.panel_size, layout.lanes
                ),
                ContractionIndex("lane", layout.lanes, 0, 1, 1),
                *self._window(x, layout.lanes, 0),
            ),
            free_m=("image", "y", "x"),
            free_n=("panel", "lane"),
            reduce=("ky", "kx", "channel"),
            dtype=self.dtype,
            a_offset=x.offset,
            c_offset=y.offset,
        )

    def weight_gradient(self, x: Images, dy: Images) -> ContractionSpec:
        """Return dw in panels: A = x, B = dy (padded filters), C = dw."""
        layout = self.layout
        return ContractionSpec(
            (
                *self._window(x, 0, layout.lanes),
                ContractionIndex(
                    "panel", layout.panels, 0, layout.lanes, layout.panel_size
                ),
                ContractionIndex("lane", layout.lanes, 0, 1, 1),
                ContractionIndex("image", self.images, x.image, dy.image, 0),
                ContractionIndex("y", self.height, x.row * self.stride[0], dy.row, 0),
                ContractionIndex(
                    "x", self.width, x.pixel * self.stride[1], dy.pixel, 0
                ),
            ),
            free_m=("ky", "kx", "channel"),
            free_n=("panel", "lane"),
            reduce=("image", "y", "x"),
            dtype=self.dtype,
            a_offset=x.offset,
            b_offset=dy.offset,
        )

    def input_gradient(
        self, dy: Images, dx: Images, height: int, width: int
    ) -> ContractionSpec:
        """Return dx (height, width), for stride 1: A = dy, B = w in panels, C = dx. Needs scratch.

        dx[i, j] = Σ dy[i − ky·dilation, j − kx·dilation]·w[ky, kx]: ``dy.offset`` is the position of dy[0, 0] for
        dx[0, 0], and dy needs a border of zeros of (kernel − 1)·dilation on all sides that dx reaches.
        """
        if self.stride != (1, 1):
            raise ShapeError(
                "input gradient of a convolution",
                expected="stride (1, 1)",
                got=str(self.stride),
                hint="use phase_input_gradients, one contraction for each phase of the stride",
            )
        return self._input_gradient(
            dy, dx, (height, width), (0, 0), self.kernel, self.dilation
        )

    def phase_input_gradients(
        self, dy: Images, dx: Images, height: int, width: int
    ) -> list[ContractionSpec]:
        """Return dx for any stride (dilation 1) as one contraction for each phase (i mod stride) of its pixels.

        Pixels of phase p receive from the taps ky ≡ p: dx[p + stride·q] = Σ dy[q − t]·w[p + stride·t]. Phases
        without taps sum over nothing and write zeros. ``dy`` needs a border of zeros as for stride 1.
        """
        if self.dilation != (1, 1):
            raise ShapeError(
                "input gradient by phases",
                expected="dilation (1, 1)",
                got=str(self.dilation),
            )
        (sy, sx), (ky, kx) = self.stride, self.kernel
        return [
            self._input_gradient(
                dy,
                Images(
                    dx.image,
                    dx.row * sy,
                    dx.pixel * sx,
                    dx.offset + py * dx.row + px * dx.pixel,
                ),
                (
                    -(-(height - py) // sy) if py < height else 0,
                    -(-(width - px) // sx) if px < width else 0,
                ),
                (py, px),
                (
                    -(-(ky - py) // sy) if py < ky else 0,
                    -(-(kx - px) // sx) if px < kx else 0,
                ),
                (1, 1),
            )
            for py in range(sy)
            for px in range(sx)
        ]

    def _input_gradient(
        self,
        dy: Images,
        dx: Images,
        size: tuple[int, int],
        first_tap: tuple[int, int],
        taps: tuple[int, int],
        steps: tuple[int, int],
    ) -> ContractionSpec:
        layout = self.layout
        tap_row, tap_pixel = (
            self.kernel[1] * self.channels * layout.lanes,
            self.channels * layout.lanes,
        )
        sy, sx = self.stride
        return ContractionSpec(
            (
                ContractionIndex("image", self.images, dy.image, 0, dx.image),
                ContractionIndex("y", size[0], dy.row, 0, dx.row),
                ContractionIndex("x", size[1], dy.pixel, 0, dx.pixel),
                ContractionIndex("channel", self.channels, 0, layout.lanes, 1),
                ContractionIndex("ky", taps[0], -dy.row * steps[0], tap_row * sy, 0),
                ContractionIndex(
                    "kx", taps[1], -dy.pixel * steps[1], tap_pixel * sx, 0
                ),
                ContractionIndex(
                    "panel", layout.panels, layout.lanes, layout.panel_size, 0
                ),
                ContractionIndex("lane", layout.lanes, 1, 1, 0),
            ),
            free_m=("image", "y", "x"),
            free_n=("channel",),
            reduce=("ky", "kx", "panel", "lane"),
            dtype=self.dtype,
            a_offset=dy.offset,
            b_offset=first_tap[0] * tap_row + first_tap[1] * tap_pixel,
            c_offset=dx.offset,
        )

    def _window(
        self, x: Images, b: int, c: int
    ) -> tuple[ContractionIndex, ContractionIndex, ContractionIndex]:
        """Return the indices over the window, with strides ``b`` or ``c`` per input of the weight."""
        row, pixel = self.kernel[1] * self.channels, self.channels
        (dilate_y, dilate_x), (ky, kx) = self.dilation, self.kernel
        return (
            ContractionIndex("ky", ky, x.row * dilate_y, row * b, row * c),
            ContractionIndex("kx", kx, x.pixel * dilate_x, pixel * b, pixel * c),
            ContractionIndex("channel", self.channels, 1, b, c),
        )
