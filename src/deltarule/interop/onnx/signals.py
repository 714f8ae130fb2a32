"""Window functions, and Col2Im."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Translator, element_type, tensor_node

_HANN, _HAMMING, _BLACKMAN = (0.5, -0.5), (25 / 46, -21 / 46), (0.42, -0.5, 0.08)


def _window(weights: Sequence[float]) -> Translator:
    """Translate a cosine window Σₖ wₖ·cos(2πkn/N), with N − 1 for symmetric windows."""

    def translate(call: Call) -> Node:
        size = int(call.values(0).ravel()[0])
        period = size if call.attribute("periodic", 1) else size - 1
        angles = 2 * math.pi * np.arange(size) / period
        values = sum(weight * np.cos(k * angles) for k, weight in enumerate(weights))
        return tensor_node(
            np.asarray(values).astype(
                element_type(call.attribute("output_datatype", 1)).name
            )
        )

    return translate


def _col2im(call: Call) -> Node:
    """Sum the columns (N, C·taps, places) of windows into an image (N, C, *sizes): the adjoint of im2col."""
    x, sizes, block = call[0], call.numbers(1), call.numbers(2)
    n = len(sizes)
    dilations, strides = (
        list(call.attribute(name, [1] * n)) for name in ("dilations", "strides")
    )
    pads = list(call.attribute("pads", [0] * 2 * n))
    padded = [size + pads[i] + pads[n + i] for i, size in enumerate(sizes)]
    counts = [
        (padded[i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1
        for i in range(n)
    ]
    batch, channels = int(x.shape[0]), int(x.shape[1]) // math.prod(block)
    spread = build.reshape(x, (batch, channels, *block, *counts))
    order = [0, 1, *range(2 + n, 2 + 2 * n), *range(2, 2 + n)]
    axes = tuple(range(2, 2 + n))
    image = build.fold(
        build.permute(spread, order),
        axes,
        tuple(block),
        tuple(strides),
        tuple(dilations),
        (batch, channels, *padded),
    )
    stops = [batch, channels, *(pads[i] + size for i, size in enumerate(sizes))]
    return build.slice_axes(image, [0, 0, *pads[:n]], stops)


OPERATORS: dict[str, Translator] = {
    "BlackmanWindow": _window(_BLACKMAN),
    "Col2Im": _col2im,
    "HammingWindow": _window(_HAMMING),
    "HannWindow": _window(_HANN),
}
