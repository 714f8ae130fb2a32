"""Resize and Upsample: one interpolation matrix per axis, since interpolation is separable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import Call, Translator, tensor_node

Array = npt.NDArray[Any]
_FIRST_WITH_REGION = (
    11  # opset from which Resize has regions and coordinate transformation modes
)


@dataclass(frozen=True)
class _Axis:
    """A resized axis: its length before and after, the factor, the region [low, high] of a crop."""

    before: int
    after: int
    factor: float
    region: tuple[float, float]


def _places(axis: _Axis, mode: str) -> Array:
    """Return the coordinate of each output position in the input."""
    y, length = np.arange(axis.after, dtype=np.float64), axis.factor * axis.before
    if mode == "align_corners":
        return (
            y * (axis.before - 1) / (length - 1)
            if length != 1
            else np.zeros(axis.after)
        )
    if mode == "asymmetric":
        return y / axis.factor
    if mode == "tf_crop_and_resize":
        low, high = axis.region
        step = (high - low) * (axis.before - 1)
        return low * (axis.before - 1) + (
            y * step / (length - 1) if length != 1 else np.full(axis.after, step / 2)
        )
    if mode == "pytorch_half_pixel" and length == 1:
        return np.full(axis.after, -0.5)
    shift = (
        axis.before / 2 * (1 - axis.after / length)
        if mode == "half_pixel_symmetric"
        else 0.0
    )
    return shift + (y + 0.5) / axis.factor - 0.5


def _cubic(distance: Array, a: float) -> Array:
    """Return the cubic convolution kernel with parameter a (Keys 1981)."""
    x = np.abs(distance)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _nearest(places: Array, rule: str) -> Array:
    low = np.floor(places)
    rest = places - low
    up = {
        "round_prefer_floor": rest > 0.5,
        "round_prefer_ceil": rest >= 0.5,
        "floor": rest < 0,
        "ceil": rest > 0,
    }[rule]
    return (low + up).astype(np.int64)


def _weights(call: Call, axis: _Axis, mode: str, places: Array) -> Array:
    """Return the interpolation matrix (after, before) of one axis; positions outside are clamped to the ends."""
    if mode == "nearest":
        rule = call.text("nearest_mode", "round_prefer_floor")
        hit = np.clip(_nearest(places, rule), 0, axis.before - 1)
        return np.asarray(hit[:, None] == np.arange(axis.before), np.float64)
    stretch = min(axis.factor, 1.0) if call.attribute("antialias", 0) else 1.0
    reach = (2 if mode == "cubic" else 1) / stretch
    start, stop = math.floor(places.min() - reach), math.ceil(places.max() + reach) + 1
    positions = np.arange(start, stop)
    distance = (positions[None] - places[:, None]) * stretch
    a = call.attribute("cubic_coeff_a", -0.75)
    wide = (
        _cubic(distance, a)
        if mode == "cubic"
        else np.clip(1 - np.abs(distance), 0, None)
    )
    if call.attribute("exclude_outside", 0):
        wide = np.where((positions >= 0) & (positions < axis.before), wide, 0.0)
    total = wide.sum(axis=1, keepdims=True)
    wide = wide / np.where(total == 0, 1.0, total)
    matrix = np.zeros((axis.after, axis.before))
    np.add.at(matrix.T, np.clip(positions, 0, axis.before - 1), wide.T)
    return matrix


def _along(x: Node, axis: int, matrix: Array) -> Node:
    """Multiply one axis by a matrix; a selection matrix becomes a gather."""
    if ((matrix == 0) | (matrix == 1)).all() and (matrix.sum(axis=1) == 1).all():
        return build.gather(
            x, tensor_node(matrix.argmax(axis=1).astype(np.int64)), axis
        )
    order = [*(i for i in range(x.rank) if i != axis), axis]
    weights = tensor_node(np.ascontiguousarray(matrix.T).astype(x.dtype.name))
    product = build.matmul(build.permute(x, order), weights)
    return build.permute(product, [order.index(i) for i in range(x.rank)])


def _resized(call: Call, axes: dict[int, _Axis], mode: str, places_by: str) -> Node:
    x = (
        call[0]
        if call[0].dtype.is_float or mode == "nearest"
        else build.cast(call[0], dtypes.FLOAT64)
    )
    outside: Node | None = None
    call.fits([axes[i].after if i in axes else size for i, size in enumerate(x.shape)])
    call.fits([max(axis.before * axis.after for axis in axes.values())])
    for i, axis in axes.items():
        if axis.before == axis.after and axis.factor == 1 and axis.region == (0.0, 1.0):
            continue
        places = _places(axis, places_by)
        x = _along(x, i, _weights(call, axis, mode, places))
        if places_by == "tf_crop_and_resize":
            beyond = (places < 0) | (places > axis.before - 1)
            mask = tensor_node(
                beyond.reshape([-1 if j == i else 1 for j in range(x.rank)])
            )
            outside = mask if outside is None else build.logical_or(outside, mask)
    if outside is not None:
        x = build.where(outside, call.attribute("extrapolation_value", 0.0), x)
    return build.cast(x, call[0].dtype)


def _resize(call: Call) -> Node:
    """Resize of opset 10 (asymmetric coordinates, rounded down) and of opset 11 and later."""
    x, mode = call[0], call.text("mode", "nearest")
    if call.version < _FIRST_WITH_REGION:
        return _scaled(call, call.values(1).ravel().tolist(), mode)
    places_by = call.text("coordinate_transformation_mode", "half_pixel")
    chosen = [
        call.counted(axis, x.rank) for axis in call.attribute("axes", range(x.rank))
    ]
    region = call.values(1).ravel().tolist() if call.optional(1) is not None else []
    region = region or [0.0] * len(chosen) + [1.0] * len(chosen)
    scales = call.values(2).ravel().tolist() if call.optional(2) is not None else []
    sizes = (
        [int(size) for size in call.numbers(3)] if call.optional(3) is not None else []
    )
    before = [int(x.shape[axis]) for axis in chosen]
    if sizes:
        scales = [size / length for size, length in zip(sizes, before, strict=True)]
        policy = call.text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            scales = [min(scales) if policy == "not_larger" else max(scales)] * len(
                chosen
            )
            sizes = [int(scales[0] * length + 0.5) for length in before]
    after = sizes or [
        int(np.float32(scale) * length)
        for scale, length in zip(scales, before, strict=True)
    ]
    n = len(chosen)
    axes = {
        chosen[k]: _Axis(
            before[k],
            after[k],
            float(scales[k]),
            (float(region[k]), float(region[n + k])),
        )
        for k in range(n)
    }
    return _resized(call, axes, mode, places_by)


def _scaled(call: Call, scales: list[float], mode: str) -> Node:
    """Resize and Upsample of older opsets: asymmetric coordinates y/scale, rounded down."""
    shape = [int(size) for size in call[0].shape]
    axes = {
        i: _Axis(n, math.floor(n * s), s, (0.0, 1.0))
        for i, (n, s) in enumerate(zip(shape, scales, strict=True))
    }
    call.attributes.setdefault("nearest_mode", "floor")
    return _resized(call, axes, "linear" if mode == "bilinear" else mode, "asymmetric")


def _upsample(call: Call) -> Node:
    scales = call.attributes.get("scales")
    given = list(scales) if scales is not None else call.values(1).ravel().tolist()
    return _scaled(
        call, [float(scale) for scale in given], call.text("mode", "nearest")
    )


OPERATORS: dict[str, Translator] = {"Resize": _resize, "Upsample": _upsample}
