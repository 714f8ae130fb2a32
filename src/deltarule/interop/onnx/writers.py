"""How each primitive is exported to ONNX: one function per operation, and the table of them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.interop.onnx.emitter import TENSOR_TYPES, ExportContext
from deltarule.runtime.buffers import Array, value_of

TO_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
TO_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
Writer = Callable[[ExportContext, Node], str]


def _op(kind: str, **attributes: Any) -> Writer:
    return lambda x, n: x.emitter.operator(
        kind, *(x.plain(s) for s in n.sources), **attributes
    )


def _reduce(kind: str) -> Writer:
    def write(x: ExportContext, n: Node) -> str:
        axes = x.emitter.constant(list(n.attributes["axes"]))
        return x.emitter.operator(kind, x.plain(n.sources[0]), axes, keepdims=0)

    return write


def _argmax(x: ExportContext, n: Node) -> str:
    return x.emitter.operator(
        "ArgMax", x.plain(n.sources[0]), axis=n.attributes["axis"], keepdims=0
    )


def _reshape(x: ExportContext, n: Node) -> str:
    unknown = [size for size in n.shape if not isinstance(size, int)]
    if len(unknown) <= 1:
        target = x.emitter.constant(
            [size if isinstance(size, int) else -1 for size in n.shape]
        )
    else:
        target = x.shape_of(n)
    return x.emitter.operator("Reshape", x.plain(n.sources[0]), target)


def _broadcast(x: ExportContext, n: Node) -> str:
    return x.emitter.operator("Expand", x.plain(n.sources[0]), x.shape_of(n))


def _slice(x: ExportContext, n: Node) -> str:
    a, shape = n.attributes, n.sources[0].shape
    cut = [
        i
        for i, (start, stop, step) in enumerate(
            zip(a["starts"], a["stops"], a["steps"], strict=True)
        )
        if (start, stop, step) != (0, shape[i], 1)
    ]
    ranges = [
        x.emitter.constant([a[name][i] for i in cut]) for name in ("starts", "stops")
    ]
    steps = x.emitter.constant([a["steps"][i] for i in cut])
    return x.emitter.operator(
        "Slice", x.plain(n.sources[0]), *ranges, x.emitter.constant(cut), steps
    )


def _pad(x: ExportContext, n: Node) -> str:
    a = n.attributes
    if any(a["interior"]):
        return _spread_pad(x, n)
    zero = x.emitter.constant(0, n.dtype)
    return x.emitter.operator(
        "Pad", x.plain(n.sources[0]), x.emitter.constant([*a["low"], *a["high"]]), zero
    )


def _spread_pad(x: ExportContext, n: Node) -> str:
    """Insert zeros between elements: multiply each axis by a selection matrix."""
    name, source = x.plain(n.sources[0]), n.sources[0]
    shape = list(source.shape)
    a = n.attributes
    for axis, (low, inner) in enumerate(zip(a["low"], a["interior"], strict=True)):
        if (low, a["high"][axis], inner) == (0, 0, 0):
            continue
        rows = low + np.arange(shape[axis]) * (inner + 1)
        selector = np.zeros((n.shape[axis], shape[axis]))
        selector[rows, np.arange(shape[axis])] = 1
        order = [*(i for i in range(len(shape)) if i != axis), axis]
        moved = x.emitter.operator("Transpose", name, perm=order)
        placed = x.emitter.operator(
            "MatMul", moved, x.emitter.constant(selector.T, n.dtype)
        )
        name = x.emitter.operator(
            "Transpose", placed, perm=[order.index(i) for i in range(len(shape))]
        )
        shape[axis] = n.shape[axis]
    return name


def _flip(x: ExportContext, n: Node) -> str:
    axes = list(n.attributes["axes"])
    ends = [x.emitter.constant([value] * len(axes)) for value in (-1, -(2**31))]
    return x.emitter.operator(
        "Slice",
        x.plain(n.sources[0]),
        *ends,
        x.emitter.constant(axes),
        x.emitter.constant([-1] * len(axes)),
    )


def _scatter_add(x: ExportContext, n: Node) -> str:
    """Add rows, whose number may be unknown, to zeros along one axis."""
    indices, updates = n.sources
    axis = n.attributes["axis"]
    known = value_of(indices)
    if known is not None:
        return _added_at(x, n, known.ravel())
    if not all(isinstance(size, int) for size in n.shape):
        raise GraphError(
            "onnx export", expected="rows added to a known shape", got=build.describe(n)
        )
    inner = (*updates.shape[:axis], -1, *updates.shape[axis + indices.rank :])
    flat = x.emitter.operator(
        "Reshape", x.plain(updates), x.emitter.constant(list(inner))
    )
    column = [-1 if i == axis else 1 for i in range(n.rank)]
    rows = x.emitter.operator("Reshape", x.plain(indices), x.emitter.constant(column))
    spread = x.emitter.operator("Expand", rows, x.emitter.operator("Shape", flat))
    spread = x.emitter.operator("Cast", spread, to=TENSOR_TYPES["int64"])
    start = x.emitter.constant(np.zeros(n.shape), n.dtype)
    return x.emitter.operator(
        "ScatterElements", start, spread, flat, axis=axis, reduction="add"
    )


def _added_at(x: ExportContext, n: Node, places: Array) -> str:
    """Add rows at known positions: multiply the last axis by a selection matrix."""
    indices, updates = n.sources
    axis = n.attributes["axis"]
    inner = [*([0] * axis), -1, *updates.shape[axis + indices.rank :]]  # 0: as it is
    flat = x.emitter.operator("Reshape", x.plain(updates), x.emitter.constant(inner))
    order = [*(i for i in range(n.rank) if i != axis), axis]
    selector = np.asarray(places[:, None] == np.arange(n.attributes["size"]))
    moved = x.emitter.operator("Transpose", flat, perm=order)
    added = x.emitter.operator("MatMul", moved, x.emitter.constant(selector, n.dtype))
    return x.emitter.operator(
        "Transpose", added, perm=[order.index(i) for i in range(n.rank)]
    )


def _argsort(x: ExportContext, n: Node) -> str:
    axis = n.attributes["axis"]
    size = x.emitter.constant([n.shape[axis]])
    return x.emitter.operators(
        "TopK", 2, x.plain(n.sources[0]), size, axis=axis, largest=0
    )[1]


def _cumulative_sum(x: ExportContext, n: Node) -> str:
    return x.emitter.operator(
        "CumSum", x.plain(n.sources[0]), x.emitter.constant(n.attributes["axis"])
    )


def _iota(x: ExportContext, n: Node) -> str:
    axis, shape = n.attributes["axis"], n.shape
    if not isinstance(shape[axis], int):
        raise GraphError(
            "onnx export", expected="an index along a known size", got=str(shape[axis])
        )
    ramp = np.arange(shape[axis]).reshape(
        [-1 if i == axis else 1 for i in range(len(shape))]
    )
    return x.emitter.operator(
        "Expand", x.emitter.constant(ramp, n.dtype), x.shape_of(n)
    )


def _dimension(x: ExportContext, n: Node) -> str:
    size = x.emitter.operator(
        "Squeeze", x.size(n.attributes["dimension"]), x.emitter.constant([0])
    )
    return x.emitter.operator("Cast", size, to=TENSOR_TYPES[n.dtype.name])


def _geometry(n: Node) -> dict[str, Any]:
    a = n.attributes
    pads = [*(low for low, _ in a["padding"]), *(high for _, high in a["padding"])]
    return {
        "strides": list(a["stride"]),
        "pads": pads,
        "dilations": list(a["dilation"]),
        "group": a["groups"],
    }


def _first(x: ExportContext, node: Node) -> str:
    return x.emitter.in_order(x.held(node), TO_FIRST[node.rank])


def _convolve(x: ExportContext, n: Node) -> str:
    image, weight = n.sources
    name = x.emitter.operator(
        "Conv", _first(x, image), _first(x, weight), **_geometry(n)
    )
    return x.emitter.operator("Transpose", name, perm=list(TO_LAST[n.rank]))


def _convolve_transposed(x: ExportContext, n: Node) -> str:
    signal, weight = n.sources
    g = _geometry(n)
    rank = n.rank - 2
    extra = []
    for i in range(rank):
        kernel = g["dilations"][i] * (weight.shape[1 + i] - 1) + 1
        natural = (
            (signal.shape[1 + i] - 1) * g["strides"][i]
            + kernel
            - g["pads"][i]
            - g["pads"][rank + i]
        )
        extra.append(n.shape[1 + i] - natural)
    name = x.emitter.operator(
        "ConvTranspose", _first(x, signal), _first(x, weight), output_padding=extra, **g
    )
    return x.emitter.operator("Transpose", name, perm=list(TO_LAST[n.rank]))


def _convolve_weight(x: ExportContext, n: Node) -> str:
    """Correlate the image with the signal: batch and channels are swapped, stride becomes dilation."""
    image, signal = n.sources
    g, rank = _geometry(n), n.rank - 2
    swap = (image.rank - 1, 0, *range(1, image.rank - 1))
    images, signals = (
        x.emitter.in_order(x.held(source), swap) for source in (image, signal)
    )
    groups = g["group"]
    parts = []
    for k in range(groups):  # channels are the first axis now
        pair = [
            name
            if groups == 1
            else _rows(x, name, k * size // groups, (k + 1) * size // groups)
            for name, size in ((images, image.shape[-1]), (signals, signal.shape[-1]))
        ]
        parts.append(
            x.emitter.operator(
                "Conv",
                *pair,
                strides=g["dilations"],
                dilations=g["strides"],
                pads=g["pads"],
            )
        )
    turned = [
        x.emitter.operator("Transpose", part, perm=[1, *range(2, rank + 2), 0])
        for part in parts
    ]
    last = turned[0] if groups == 1 else x.emitter.operator("Concat", *turned, axis=0)
    stops = x.emitter.constant(list(n.shape[1:-1]))
    axes = x.emitter.constant(list(range(1, 1 + rank)))
    return x.emitter.operator(
        "Slice", last, x.emitter.constant([0] * rank), stops, axes
    )


def _rows(x: ExportContext, name: str, start: int, stop: int) -> str:
    ends = [x.emitter.constant([place]) for place in (start, stop, 0)]
    return x.emitter.operator("Slice", name, *ends)


def _windows(x: ExportContext, n: Node) -> str:
    """Gather the positions of the windows along each axis, then move the window axes to the end."""
    a, name = n.attributes, x.plain(n.sources[0])
    axes = list(a["axes"])
    for axis, width, step, spread in sorted(
        zip(axes, a["window"], a["stride"], a["dilation"], strict=True), reverse=True
    ):
        rows = np.arange(n.shape[axis])[:, None] * step + np.arange(width) * spread
        name = x.emitter.operator("Gather", name, x.emitter.constant(rows), axis=axis)
    place = {
        axis: axis + sum(other < axis for other in axes)
        for axis in range(n.sources[0].rank)
    }
    order = [*place.values(), *(place[axis] + 1 for axis in axes)]
    return x.emitter.operator("Transpose", name, perm=order)


def _fold(x: ExportContext, n: Node) -> str:
    """Sum overlapping windows: multiply each window axis by a selection matrix."""
    a, y = n.attributes, n.sources[0]
    name, rank = x.plain(y), n.rank
    for k in reversed(range(len(a["axes"]))):
        axis, step, spread, width = (
            a["axes"][k],
            a["stride"][k],
            a["dilation"][k],
            a["window"][k],
        )
        count = y.shape[axis]
        selector = np.zeros((count * width, n.shape[axis]))
        rows = (np.arange(count)[:, None] * step + np.arange(width) * spread).ravel()
        selector[np.arange(count * width), rows] = 1
        now = rank + k + 1  # the axes of the result, and window axes up to k
        order = [*(i for i in range(now - 1) if i != axis), axis, now - 1]
        moved = x.emitter.operator("Transpose", name, perm=order)
        joined = x.emitter.operator(
            "Reshape", moved, x.emitter.constant([*([0] * (now - 2)), count * width])
        )
        added = x.emitter.operator(
            "MatMul", joined, x.emitter.constant(selector, n.dtype)
        )
        rest = [i for i in order[:-2]]
        back = [rest.index(i) if i != axis else len(rest) for i in range(now - 1)]
        name = x.emitter.operator("Transpose", added, perm=back)
    return name


PRIMITIVES: dict[Op, Writer] = {
    Op.CONSTANT: lambda x, n: x.emitter.constant(n.attributes["value"], n.dtype),
    Op.DIMENSION: _dimension,
    Op.IOTA: _iota,
    Op.EXPM1: lambda x, n: x.emitter.operator(
        "Sub",
        x.emitter.operator("Exp", x.plain(n.sources[0])),
        x.emitter.constant(1, n.dtype),
    ),
    Op.LOG1P: lambda x, n: x.emitter.operator(
        "Log",
        x.emitter.operator(
            "Add", x.plain(n.sources[0]), x.emitter.constant(1, n.dtype)
        ),
    ),
    Op.FMOD: _op("Mod", fmod=1),
    Op.CHECK: lambda x, n: x.emitter.operator("Identity", x.plain(n.sources[0])),
    Op.SUM: _reduce("ReduceSum"),
    Op.MAX: _reduce("ReduceMax"),
    Op.ARGMAX: _argmax,
    Op.CUMULATIVE_SUM: _cumulative_sum,
    Op.RESHAPE: _reshape,
    Op.BROADCAST: _broadcast,
    Op.SLICE: _slice,
    Op.PAD: _pad,
    Op.FLIP: _flip,
    Op.CONCATENATE: lambda x, n: x.emitter.operator(
        "Concat", *(x.plain(s) for s in n.sources), axis=n.attributes["axis"]
    ),
    Op.GATHER: lambda x, n: x.emitter.operator(
        "Gather", *(x.plain(s) for s in n.sources), axis=n.attributes["axis"]
    ),
    Op.SCATTER_ADD: _scatter_add,
    Op.ARGSORT: _argsort,
    Op.MATMUL: _op("MatMul"),
    Op.CONVOLVE: _convolve,
    Op.CONVOLVE_TRANSPOSED: _convolve_transposed,
    Op.CONVOLVE_WEIGHT: _convolve_weight,
    Op.WINDOWS: _windows,
    Op.FOLD: _fold,
}
