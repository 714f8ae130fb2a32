"""Operators for shapes, slices, padding, repetition and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deltarule import dtypes, shapes
from deltarule.graph import algebra, build
from deltarule.graph.node import Node
from deltarule.interop.onnx.call import (
    Call,
    Results,
    Translator,
    element_type,
    tensor_node,
)
from deltarule.interop.onnx.indexing import wrapped


def _shape(call: Call) -> Node:
    shape = call[0].shape
    start, end = call.attribute("start", 0), call.attribute("end", len(shape))
    return tensor_node(np.array(shape[slice(start, end)], np.int64))


def _reshape(call: Call) -> Node:
    x = call[0]
    target = call.listed("shape", 1)
    if not call.attribute("allowzero", 0):
        target = [x.shape[i] if size == 0 else size for i, size in enumerate(target)]
    return build.reshape(x, target)


def _flatten(call: Call) -> Node:
    x = call[0]
    axis = call.attribute("axis", 1)
    axis = x.rank if axis == x.rank else call.counted(axis, x.rank)
    return build.reshape(
        x, (shapes.count(x.shape[:axis]), shapes.count(x.shape[axis:]))
    )


def _squeeze(call: Call) -> Node:
    x = call[0]
    axes = call.listed("axes", 1)
    drop = (
        [i for i, size in enumerate(x.shape) if size == 1]
        if axes is None
        else [call.counted(a, x.rank) for a in axes]
    )
    return build.reshape(x, shapes.reduced(x.shape, drop))


def _unsqueeze(call: Call) -> Node:
    axes = call.listed("axes", 1)
    rank = call[0].rank + len(axes)
    return build.expand_dims(call[0], [call.counted(a, rank) for a in axes])


def _expand(call: Call) -> Node:
    target = shapes.broadcast(call[0].shape, tuple(call.sizes(1)))
    return build.broadcast_to(call[0], target)


def _transpose(call: Call) -> Node:
    return build.permute(
        call[0], call.attribute("perm", tuple(reversed(range(call[0].rank))))
    )


def _slice(call: Call) -> Node:
    x = call[0]
    starts, ends = call.listed("starts", 1), call.listed("ends", 2)
    axes = call.listed("axes", 3, list(range(len(starts))))
    steps = call.numbers(4) if call.optional(4) is not None else [1] * len(starts)
    low, high, stride, flipped = [0] * x.rank, list(x.shape), [1] * x.rank, []
    if 0 in steps:
        raise call.unsupported("a slice with step 0")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        i = call.counted(axis, x.rank)
        span = range(
            *slice(
                start, end if step > 0 or end >= -x.shape[i] else None, step
            ).indices(x.shape[i])
        )
        if step < 0:
            flipped.append(i)
            span = span[::-1] if len(span) else range(0)
        low[i], stride[i] = (span.start, span.step) if len(span) else (0, 1)
        high[i] = (
            min(x.shape[i], span.start + (len(span) - 1) * span.step + 1)
            if len(span)
            else 0
        )
    result = build.slice_axes(x, low, high, stride)
    return build.flip(result, flipped) if flipped else result


def _split(call: Call) -> Results:
    x = call[0]
    axis = call.axis(x.rank)
    sizes = call.listed("split", 1)
    if sizes is None:
        parts = call.attribute("num_outputs", call.n_outputs)
        width = -(-x.shape[axis] // parts)
        sizes = [min(width, x.shape[axis] - i * width) for i in range(parts)]
    ends = np.cumsum(sizes).tolist()
    return tuple(
        algebra.part(x, axis, end - size, end)
        for size, end in zip(sizes, ends, strict=True)
    )


def _pad(call: Call) -> Node:
    x = call[0]
    widths = call.listed("pads", 1)
    mode = call.text("mode", "constant")
    axes = (
        [call.counted(a, x.rank) for a in call.numbers(3)]
        if call.optional(3) is not None
        else list(range(x.rank))
    )
    low, high = [0] * x.rank, [0] * x.rank
    for k, axis in enumerate(axes):
        low[axis], high[axis] = widths[k], widths[len(axes) + k]
    call.fits(
        [max(0, size + a + b) for size, a, b in zip(x.shape, low, high, strict=True)]
    )
    if min((*low, *high), default=0) < 0:
        x = build.slice_axes(
            x,
            [max(0, -a) for a in low],
            [s - max(0, -b) for s, b in zip(x.shape, high, strict=True)],
        )
        low, high = [max(0, a) for a in low], [max(0, b) for b in high]
    if mode != "constant":
        for axis in range(x.rank):
            modes: Any = {"mode": mode}  # ONNX and NumPy name them alike
            span = np.pad(np.arange(x.shape[axis]), (low[axis], high[axis]), **modes)
            x = (
                build.gather(x, tensor_node(span), axis)
                if low[axis] or high[axis]
                else x
            )
        return x
    value = call.optional(2)
    inside = build.pad(build.full(x.shape, True, dtypes.BOOL), low, high)
    filler: Any = value if value is not None else call.attribute("value", 0.0)
    if isinstance(filler, Node):
        filler = build.reshape(filler, ())
    return build.cast(build.where(inside, build.pad(x, low, high), filler), x.dtype)


def _tile(call: Call) -> Node:
    x, times = call[0], call.numbers(1)
    if len(times) != x.rank or min(times, default=0) < 0:
        raise call.unsupported(f"repeats {times} of a tensor with {x.rank} axes")
    call.fits([size * n for size, n in zip(x.shape, times, strict=True)])
    pairs = [1] * (2 * x.rank)  # every axis after one for its repetitions
    pairs[1::2] = x.shape
    wide = list(pairs)
    wide[::2] = times
    repeated = build.broadcast_to(build.reshape(x, pairs), tuple(wide))
    return build.reshape(
        repeated, [size * n for size, n in zip(x.shape, times, strict=True)]
    )


def _constant(call: Call) -> Node:
    for name, kind in (
        ("value_float", np.float32),
        ("value_int", np.int64),
        ("value_floats", np.float32),
        ("value_ints", np.int64),
    ):
        if name in call.attributes:
            return tensor_node(np.array(call.attributes[name], kind))
    if "value" not in call.attributes:
        raise call.unsupported("a constant that is no tensor of numbers")
    return tensor_node(np.asarray(call.attributes["value"]))


def _constant_of_shape(call: Call) -> Node:
    value = np.asarray(call.attribute("value", np.zeros(1, np.float32)))
    scalar = tensor_node(value.reshape(()))
    return build.broadcast_to(scalar, tuple(call.sizes(0)))


def _range(call: Call) -> Node:
    start, limit, delta = (call.values(i).reshape(()).item() for i in range(3))
    if delta == 0 or not math.isfinite((limit - start) / delta):
        raise call.unsupported(f"a range from {start} to {limit} in steps of {delta}")
    count = max(0, math.ceil((limit - start) / delta))
    call.fits((count,))
    return tensor_node((start + np.arange(count) * delta).astype(call[0].dtype.name))


def _eye_like(call: Call) -> Node:
    x = call[0]
    kind = (
        element_type(call.attribute("dtype")) if "dtype" in call.attributes else x.dtype
    )
    rows, columns = build.iota(x.shape, 0), build.iota(x.shape, 1)
    return build.cast(
        build.equal(build.add(rows, call.attribute("k", 0)), columns), kind
    )


def _trilu(call: Call) -> Node:
    x = call[0]
    k = int(call.values(1)) if call.optional(1) is not None else 0
    rows, columns = build.iota(x.shape, x.rank - 2), build.iota(x.shape, x.rank - 1)
    diagonal = build.add(rows, k)
    outside = (
        build.less(columns, diagonal)
        if call.attribute("upper", 1)
        else build.less(diagonal, columns)
    )
    return build.cast(build.where(outside, build.full(x.shape, 0, x.dtype), x), x.dtype)


def _one_hot(call: Call) -> Node:
    indices, depth = build.cast(call[0], dtypes.INT64), int(call.values(1).ravel()[0])
    axis = call.axis(indices.rank + 1, -1)
    places = wrapped(indices, depth)
    shape = (*indices.shape[:axis], depth, *indices.shape[axis:])
    call.fits(shape)
    hit = build.equal(build.iota(shape, axis), build.expand_dims(places, (axis,)))
    values = call[2]
    return build.where(
        hit,
        build.reshape(algebra.part(values, 0, 1, 2), ()),
        build.reshape(algebra.part(values, 0, 0, 1), ()),
    )


def _depth_to_space(call: Call) -> Node:
    x, b = call[0], call.attribute("blocksize")
    n, c, h, w = x.shape
    if call.text("mode", "DCR") == "DCR":
        moved = build.permute(
            build.reshape(x, (n, b, b, c // (b * b), h, w)), (0, 3, 4, 1, 5, 2)
        )
    else:
        moved = build.permute(
            build.reshape(x, (n, c // (b * b), b, b, h, w)), (0, 1, 4, 2, 5, 3)
        )
    return build.reshape(moved, (n, c // (b * b), h * b, w * b))


def _space_to_depth(call: Call) -> Node:
    x, b = call[0], call.attribute("blocksize")
    n, c, h, w = x.shape
    order = (
        (0, 3, 5, 1, 2, 4) if call.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    )
    moved = build.permute(build.reshape(x, (n, c, h // b, b, w // b, b)), order)
    return build.reshape(moved, (n, c * b * b, h // b, w // b))


def _center_crop_pad(call: Call) -> Node:
    x = call[0]
    axes = [call.counted(a, x.rank) for a in call.attribute("axes", range(x.rank))]
    for axis, size in zip(axes, call.sizes(1), strict=True):
        if size < x.shape[axis]:
            start = (x.shape[axis] - size) // 2
            x = algebra.part(x, axis, start, start + size)
        elif size > x.shape[axis]:
            before = (size - x.shape[axis]) // 2
            low = [before if i == axis else 0 for i in range(x.rank)]
            high = [
                size - x.shape[axis] - before if i == axis else 0 for i in range(x.rank)
            ]
            x = build.pad(x, low, high)
    return x


def _reverse_sequence(call: Call) -> Node:
    x, lengths = call[0], call[1]
    batch, time = call.attribute("batch_axis", 1), call.attribute("time_axis", 0)
    shape = [1] * x.rank
    shape[batch] = x.shape[batch]
    length = build.reshape(build.cast(lengths, dtypes.INT64), shape)
    position = build.iota(x.shape, time)
    mirrored = build.subtract(build.subtract(length, 1), position)
    return algebra.take_along_axis(
        x, build.where(build.less(position, length), mirrored, position), time
    )


def _compress(call: Call) -> Node:
    kept = np.flatnonzero(call.values(1))
    axis = call.attribute("axis")
    if axis is None:
        return build.gather(build.reshape(call[0], (-1,)), tensor_node(kept), 0)
    return build.gather(call[0], tensor_node(kept), call.axis(call[0].rank))


def _unique(call: Call) -> Results:
    found = np.unique(
        call.values(0),
        return_index=True,
        return_inverse=True,
        return_counts=True,
        axis=call.attribute("axis"),
    )
    values, first, inverse, counts = found
    axis = call.attribute("axis", 0) or 0
    if not call.attribute("sorted", 1):
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        values, first, counts = (
            np.take(values, order, axis),
            first[order],
            counts[order],
        )
        inverse = rank[inverse]
    return tuple(
        tensor_node(np.asarray(a)) for a in (values, first, np.ravel(inverse), counts)
    )


OPERATORS: dict[str, Translator] = {
    "CenterCropPad": _center_crop_pad,
    "Compress": _compress,
    "Concat": lambda call: build.concatenate(
        [call[i] for i in range(len(call.operands))], call.attribute("axis", 1)
    ),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "EyeLike": _eye_like,
    "Flatten": _flatten,
    "NonZero": lambda call: tensor_node(np.array(np.nonzero(call.values(0)), np.int64)),
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Shape": _shape,
    "Size": lambda call: tensor_node(np.array(shapes.count(call[0].shape), np.int64)),
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unique": _unique,
    "Unsqueeze": _unsqueeze,
}
