"""From a graph to an ONNX model: one table of primitives, one of named functions that ONNX knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from deltarule import dtypes, nn, shapes
from deltarule.errors import ArgumentError, GraphError
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import topological
from deltarule.interop.onnx.emitter import TENSOR_TYPES, Emitter, Stored, shape_proto
from deltarule.losses import Loss
from deltarule.losses import get as get_loss
from deltarule.runtime.buffers import value_of
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.checkpoint import write_atomically
from deltarule.train.prepare import model_dtype

OPSET = 20
OUTPUT = "output"
_UNARY = {
    Op.NEGATE: "Neg", Op.ABS: "Abs", Op.SIGN: "Sign", Op.FLOOR: "Floor", Op.EXP: "Exp", Op.LOG: "Log",
    Op.SQRT: "Sqrt", Op.SIN: "Sin", Op.COS: "Cos", Op.TANH: "Tanh", Op.ERF: "Erf", Op.NOT: "Not",
    Op.STOP_GRADIENT: "Identity",
}  # fmt: skip
_BINARY = {
    Op.ADD: "Add", Op.SUBTRACT: "Sub", Op.MULTIPLY: "Mul", Op.DIVIDE: "Div", Op.POWER: "Pow", Op.MAXIMUM: "Max",
    Op.MINIMUM: "Min", Op.EQUAL: "Equal", Op.LESS: "Less", Op.AND: "And", Op.OR: "Or", Op.WHERE: "Where",
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Node], tuple[str, dict[str, Any]]]] = {
    "relu": lambda n: ("Relu", {}),
    "sigmoid": lambda n: ("Sigmoid", {}),
    "softplus": lambda n: ("Softplus", {}),
    "selu": lambda n: ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "elu": lambda n: ("Elu", {"alpha": float(n.attributes["alpha"])}),
    "leaky_relu": lambda n: ("LeakyRelu", {"alpha": float(n.attributes["slope"])}),
    "gelu": lambda n: ("Gelu", {"approximate": "tanh" if n.attributes["approximate"] else "none"}),
}
_ALONG_AXIS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
_POOLS = {"max_pool": "MaxPool", "average_pool": "AveragePool"}
_TO_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
_TO_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


class Exporter:
    """Writes the nodes below some outputs, sources first."""

    def __init__(self, inputs: Sequence[tuple[Node, str]]) -> None:
        self.emitter = Emitter()
        self.known: dict[Node, Stored] = {}
        self._inputs = list(inputs)
        for node, name in inputs:
            self.known[node] = Stored(name, tuple(range(node.rank)))

    def write(self, outputs: Sequence[Node], image_order: Sequence[bool]) -> list[str]:
        """Return the names of the outputs, channels first where asked."""
        keep = {*_FUNCTIONS, *_ALONG_AXIS, *_POOLS}
        smaller = simplify(outputs)
        roots = expand_calls(smaller, keep=keep)
        for node in topological(roots):
            if node.op is not Op.BROADCAST:  # written only where an operator does not broadcast by itself
                self.held(node)
        return [
            self.emitter.in_order(self.held(node), _TO_FIRST[node.rank]) if first else self._plain(node)
            for node, first in zip(roots, image_order, strict=True)
        ]

    def held(self, node: Node) -> Stored:
        """Return where a node's value is stored; write it first if need be."""
        if node not in self.known:
            self.known[node] = self._node(node)
        return self.known[node]

    # ---------------------------------------------------------------- one node

    def _plain(self, node: Node) -> str:
        return self.emitter.plain(self.held(node))

    def _stored(self, name: str, node: Node) -> Stored:
        return Stored(name, tuple(range(node.rank)))

    def _node(self, node: Node) -> Stored:
        if node.op is Op.INPUT:
            value = value_of(node)
            if value is None:
                raise GraphError("onnx export", expected="inputs and tensors with values", got=build.describe(node))
            return self._stored(self.emitter.weight(node.attributes["name"], value), node)
        if node.op is Op.CALL:
            return self._function(node)
        if node.op in _UNARY or node.op in _BINARY or node.op is Op.CAST:
            return self._elementwise(node)
        if node.op is Op.PERMUTE:
            source = self.held(node.sources[0])
            return Stored(source.name, tuple(source.order[i] for i in node.attributes["order"]))
        if node.op not in PRIMITIVES:
            raise GraphError(
                "onnx export", expected="operations that ONNX can express", got=node.op.name.lower(),
                hint="Random numbers and training-mode dropout stay behind: export in inference mode.",
            )  # fmt: skip
        return self._stored(PRIMITIVES[node.op](self, node), node)

    def _elementwise(self, node: Node) -> Stored:
        """Keep a waiting transpose where all operands share it (or are broadcast scalars)."""
        operands = self._unexpanded(node)
        orders = {self.held(s).order for s in operands}
        order = orders.pop() if len(orders) == 1 else tuple(range(node.rank))
        names = [self.held(s).name if self.held(s).order == order else self._plain(s) for s in operands]
        if node.op is Op.CAST:
            return Stored(self.emitter.operator("Cast", *names, to=TENSOR_TYPES[node.dtype.name]), order)
        kind = _UNARY.get(node.op) or _BINARY[node.op]
        return Stored(self.emitter.operator(kind, *names), order)

    def _unexpanded(self, node: Node) -> Sequence[Node]:
        """Return the operands, repeated ones before their repetition where another one has the whole shape."""
        whole = [s for s in node.sources if s.op is not Op.BROADCAST]
        if not any(self.held(s).is_plain for s in whole) or node.op is Op.CAST:
            return node.sources
        return [s.sources[0] if s.op is Op.BROADCAST else s for s in node.sources]

    def _function(self, node: Node) -> Stored:
        name = node.attributes["function"]
        source = node.sources[0]
        if name in _FUNCTIONS:
            kind, attributes = _FUNCTIONS[name](node)
            held = self.held(source)
            return Stored(self.emitter.operator(kind, held.name, **attributes), held.order)
        if name in _ALONG_AXIS:
            axis = node.attributes["axis"]
            return self._stored(self.emitter.operator(_ALONG_AXIS[name], self._plain(source), axis=axis), node)
        padding = node.attributes["padding"]
        first = self.emitter.in_order(self.held(source), _TO_FIRST[source.rank])
        extra = {"count_include_pad": 1} if name == "average_pool" else {}
        result = self.emitter.operator(
            _POOLS[name], first, kernel_shape=list(node.attributes["window"]), strides=list(node.attributes["stride"]),
            pads=[*(low for low, _ in padding), *(high for _, high in padding)], **extra,
        )  # fmt: skip
        return Stored(result, _TO_LAST[node.rank])

    def shape_of(self, node: Node) -> str:
        """Return the name of a shape as an int64 vector, with unknown sizes read off the inputs."""
        if all(isinstance(size, int) for size in node.shape):
            return self.emitter.constant(list(node.shape))
        parts = [self._size(size) for size in node.shape]
        return self.emitter.operator("Concat", *parts, axis=0)

    def _size(self, size: Any) -> str:
        if isinstance(size, int):
            return self.emitter.constant([size])
        for node, name in self._inputs:
            if size in node.shape:
                axis = node.shape.index(size)
                return self.emitter.operator("Shape", name, start=axis, end=axis + 1)
        raise GraphError("onnx export", expected="sizes of the inputs", got=f"unknown size {size}")


Writer = Callable[[Exporter, Node], str]


def _op(kind: str, **attributes: Any) -> Writer:
    return lambda x, n: x.emitter.operator(kind, *(x._plain(s) for s in n.sources), **attributes)


def _reduce(kind: str) -> Writer:
    def write(x: Exporter, n: Node) -> str:
        axes = x.emitter.constant(list(n.attributes["axes"]))
        return x.emitter.operator(kind, x._plain(n.sources[0]), axes, keepdims=0)

    return write


def _argmax(x: Exporter, n: Node) -> str:
    return x.emitter.operator("ArgMax", x._plain(n.sources[0]), axis=n.attributes["axis"], keepdims=0)


def _reshape(x: Exporter, n: Node) -> str:
    unknown = [size for size in n.shape if not isinstance(size, int)]
    if len(unknown) <= 1:
        target = x.emitter.constant([size if isinstance(size, int) else -1 for size in n.shape])
    else:
        target = x.shape_of(n)
    return x.emitter.operator("Reshape", x._plain(n.sources[0]), target)


def _broadcast(x: Exporter, n: Node) -> str:
    return x.emitter.operator("Expand", x._plain(n.sources[0]), x.shape_of(n))


def _slice(x: Exporter, n: Node) -> str:
    a, shape = n.attributes, n.sources[0].shape
    cut = [i for i, (start, stop, step) in enumerate(zip(a["starts"], a["stops"], a["steps"], strict=True))
           if (start, stop, step) != (0, shape[i], 1)]  # fmt: skip
    ranges = [x.emitter.constant([a[name][i] for i in cut]) for name in ("starts", "stops")]
    steps = x.emitter.constant([a["steps"][i] for i in cut])
    return x.emitter.operator("Slice", x._plain(n.sources[0]), *ranges, x.emitter.constant(cut), steps)


def _pad(x: Exporter, n: Node) -> str:
    a = n.attributes
    if any(a["interior"]):
        return _spread_pad(x, n)
    zero = x.emitter.constant(0, n.dtype)
    return x.emitter.operator("Pad", x._plain(n.sources[0]), x.emitter.constant([*a["low"], *a["high"]]), zero)


def _spread_pad(x: Exporter, n: Node) -> str:
    """Zeros between neighbours: scatter each axis into its places."""
    name, source = x._plain(n.sources[0]), n.sources[0]
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
        placed = x.emitter.operator("MatMul", moved, x.emitter.constant(selector.T, n.dtype))
        name = x.emitter.operator("Transpose", placed, perm=[order.index(i) for i in range(len(shape))])
        shape[axis] = n.shape[axis]
    return name


def _flip(x: Exporter, n: Node) -> str:
    axes = list(n.attributes["axes"])
    ends = [x.emitter.constant([value] * len(axes)) for value in (-1, -(2**31))]
    return x.emitter.operator(
        "Slice", x._plain(n.sources[0]), *ends, x.emitter.constant(axes), x.emitter.constant([-1] * len(axes))
    )


def _scatter_add(x: Exporter, n: Node) -> str:
    indices, updates = n.sources
    axis, size = n.attributes["axis"], n.attributes["size"]
    inner = (*updates.shape[:axis], -1, *updates.shape[axis + indices.rank :])
    flat = x.emitter.operator("Reshape", x._plain(updates), x.emitter.constant(list(inner)))
    count = shapes.count(indices.shape)
    column = [count if i == axis else 1 for i in range(n.rank)]
    rows = x.emitter.operator("Reshape", x._plain(indices), x.emitter.constant(column))
    full = [count if i == axis else s for i, s in enumerate(n.shape)]
    spread = x.emitter.operator("Expand", rows, x.emitter.constant(full))
    spread = x.emitter.operator("Cast", spread, to=TENSOR_TYPES["int64"])
    start = x.emitter.constant(np.zeros([size if i == axis else s for i, s in enumerate(n.shape)]), n.dtype)
    return x.emitter.operator("ScatterElements", start, spread, flat, axis=axis, reduction="add")


def _argsort(x: Exporter, n: Node) -> str:
    axis = n.attributes["axis"]
    size = x.emitter.constant([n.shape[axis]])
    return x.emitter.operators("TopK", 2, x._plain(n.sources[0]), size, axis=axis, largest=0)[1]


def _iota(x: Exporter, n: Node) -> str:
    axis, shape = n.attributes["axis"], n.shape
    if not isinstance(shape[axis], int):
        raise GraphError("onnx export", expected="an index along a known size", got=str(shape[axis]))
    ramp = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return x.emitter.operator("Expand", x.emitter.constant(ramp, n.dtype), x.shape_of(n))


def _dimension(x: Exporter, n: Node) -> str:
    size = x.emitter.operator("Squeeze", x._size(n.attributes["dimension"]), x.emitter.constant([0]))
    return x.emitter.operator("Cast", size, to=TENSOR_TYPES[n.dtype.name])


def _geometry(n: Node) -> dict[str, Any]:
    a = n.attributes
    pads = [*(low for low, _ in a["padding"]), *(high for _, high in a["padding"])]
    return {"strides": list(a["stride"]), "pads": pads, "dilations": list(a["dilation"]), "group": a["groups"]}


def _first(x: Exporter, node: Node) -> str:
    return x.emitter.in_order(x.held(node), _TO_FIRST[node.rank])


def _convolve(x: Exporter, n: Node) -> str:
    image, weight = n.sources
    name = x.emitter.operator("Conv", _first(x, image), _first(x, weight), **_geometry(n))
    return x.emitter.operator("Transpose", name, perm=list(_TO_LAST[n.rank]))


def _convolve_transposed(x: Exporter, n: Node) -> str:
    signal, weight = n.sources
    g = _geometry(n)
    rank = n.rank - 2
    extra = []
    for i in range(rank):
        kernel = g["dilations"][i] * (weight.shape[1 + i] - 1) + 1
        natural = (signal.shape[1 + i] - 1) * g["strides"][i] + kernel - g["pads"][i] - g["pads"][rank + i]
        extra.append(n.shape[1 + i] - natural)
    name = x.emitter.operator("ConvTranspose", _first(x, signal), _first(x, weight), output_padding=extra, **g)
    return x.emitter.operator("Transpose", name, perm=list(_TO_LAST[n.rank]))


def _convolve_weight(x: Exporter, n: Node) -> str:
    """A correlation of the image with the signal: batch and channels change places, stride becomes dilation."""
    image, signal = n.sources
    g = _geometry(n)
    if g["group"] != 1:
        raise GraphError("onnx export", expected="one group", got="the weight gradient of a grouped convolution")
    rank = n.rank - 2
    swap = (image.rank - 1, 0, *range(1, image.rank - 1))
    name = x.emitter.operator(
        "Conv", x.emitter.in_order(x.held(image), swap), x.emitter.in_order(x.held(signal), swap),
        strides=g["dilations"], dilations=g["strides"], pads=g["pads"],
    )  # fmt: skip
    last = x.emitter.operator("Transpose", name, perm=[1, *range(2, rank + 2), 0])
    stops = x.emitter.constant(list(n.shape[1:-1]))
    axes = x.emitter.constant(list(range(1, 1 + rank)))
    return x.emitter.operator("Slice", last, x.emitter.constant([0] * rank), stops, axes)


def _windows(x: Exporter, n: Node) -> str:
    """One gather an axis with the positions of its windows, then the window axes moved to the end."""
    a, name = n.attributes, x._plain(n.sources[0])
    axes = list(a["axes"])
    for axis, width, step, spread in sorted(
        zip(axes, a["window"], a["stride"], a["dilation"], strict=True), reverse=True
    ):
        rows = np.arange(n.shape[axis])[:, None] * step + np.arange(width) * spread
        name = x.emitter.operator("Gather", name, x.emitter.constant(rows), axis=axis)
    place = {axis: axis + sum(other < axis for other in axes) for axis in range(n.sources[0].rank)}
    order = [*place.values(), *(place[axis] + 1 for axis in axes)]
    return x.emitter.operator("Transpose", name, perm=order)


def _fold(x: Exporter, n: Node) -> str:
    """Add every offset of the windows back by a selecting product along each window axis."""
    a, y = n.attributes, n.sources[0]
    name, rank = x._plain(y), n.rank
    for k in reversed(range(len(a["axes"]))):
        axis, step, spread, width = a["axes"][k], a["stride"][k], a["dilation"][k], a["window"][k]
        count = y.shape[axis]
        selector = np.zeros((count * width, n.shape[axis]))
        rows = (np.arange(count)[:, None] * step + np.arange(width) * spread).ravel()
        selector[np.arange(count * width), rows] = 1
        now = rank + k + 1  # axes that are left: those of the result, and window axes up to k
        order = [*(i for i in range(now - 1) if i != axis), axis, now - 1]
        moved = x.emitter.operator("Transpose", name, perm=order)
        joined = x.emitter.operator("Reshape", moved, x.emitter.constant([*([0] * (now - 2)), count * width]))
        added = x.emitter.operator("MatMul", joined, x.emitter.constant(selector, n.dtype))
        rest = [i for i in order[:-2]]
        back = [rest.index(i) if i != axis else len(rest) for i in range(now - 1)]
        name = x.emitter.operator("Transpose", added, perm=back)
    return name


PRIMITIVES: dict[Op, Writer] = {
    Op.CONSTANT: lambda x, n: x.emitter.constant(n.attributes["value"], n.dtype),
    Op.DIMENSION: _dimension,
    Op.IOTA: _iota,
    Op.EXPM1: lambda x, n: x.emitter.operator(
        "Sub", x.emitter.operator("Exp", x._plain(n.sources[0])), x.emitter.constant(1, n.dtype)),
    Op.LOG1P: lambda x, n: x.emitter.operator(
        "Log", x.emitter.operator("Add", x._plain(n.sources[0]), x.emitter.constant(1, n.dtype))),
    Op.SUM: _reduce("ReduceSum"),
    Op.MAX: _reduce("ReduceMax"),
    Op.ARGMAX: _argmax,
    Op.RESHAPE: _reshape,
    Op.BROADCAST: _broadcast,
    Op.SLICE: _slice,
    Op.PAD: _pad,
    Op.FLIP: _flip,
    Op.CONCATENATE: lambda x, n: x.emitter.operator(
        "Concat", *(x._plain(s) for s in n.sources), axis=n.attributes["axis"]),
    Op.GATHER: lambda x, n: x.emitter.operator(
        "Gather", *(x._plain(s) for s in n.sources), axis=n.attributes["axis"]),
    Op.SCATTER_ADD: _scatter_add,
    Op.ARGSORT: _argsort,
    Op.MATMUL: _op("MatMul"),
    Op.CONVOLVE: _convolve,
    Op.CONVOLVE_TRANSPOSED: _convolve_transposed,
    Op.CONVOLVE_WEIGHT: _convolve_weight,
    Op.WINDOWS: _windows,
    Op.FOLD: _fold,
}  # fmt: skip


def _value_info(name: str, node: Node, order: Sequence[int] | None = None) -> Any:
    shape = node.shape if order is None else tuple(node.shape[i] for i in order)
    return helper.make_tensor_value_info(name, TENSOR_TYPES[node.dtype.name], shape_proto(shape))


def to_model(inputs: Sequence[tuple[Node, str]], outputs: Sequence[tuple[Node, str]], channels_last: bool) -> Any:
    """Return an ONNX model; images that go in and ``output`` are (N, C, H, W) in the file unless ``channels_last``."""
    exporter = Exporter(inputs)
    infos = []
    for node, name in inputs:
        first = None if channels_last or node.rank not in {4, 5} else _TO_FIRST[node.rank]
        if first is not None:
            exporter.known[node] = Stored(name, _TO_LAST[node.rank])
        infos.append(_value_info(name, node, first))
    firsts = [not channels_last and name == OUTPUT and node.rank in _TO_FIRST and node.rank > 3
              for node, name in outputs]  # fmt: skip
    written = exporter.write([node for node, _ in outputs], firsts)
    nodes, results = exporter.emitter.nodes, []
    for (node, name), source, turned in zip(outputs, written, firsts, strict=True):
        nodes.append(helper.make_node("Identity", [source], [name]))
        results.append(_value_info(name, node, _TO_FIRST[node.rank] if turned else None))
    graph = helper.make_graph(nodes, "deltarule", infos, results, list(exporter.emitter.initializers.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="deltarule")
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return model


def export(
    model: nn.Module,
    path: str | Path,
    input_shape: Sequence[int],
    training: bool = False,
    loss: str | Loss | None = None,
    channels_last: bool = False,
) -> Path:
    """Write a module as an ONNX file (opset 20), batch size free; images are (N, C, H, W) unless ``channels_last``.

    With ``training=True`` the file holds the gradient instead: inputs x and y, outputs the loss and ∂L/∂p for each
    parameter, layers in inference mode (no dropout), so that any runtime can train the model.
    """
    batch = shapes.Dimension("N")
    kind = model.input_dtype() or model_dtype(model)
    x = Tensor(build.input_node("x", (batch, *input_shape), kind), name="x")
    output = model.apply(x, mode="inference", seed=None, step=None).output
    if not training:
        proto = to_model([(x.node, "x")], [(output.node, OUTPUT)], channels_last)
    else:
        if loss is None:
            raise ArgumentError("onnx export loss", expected="a loss for training=True", got="None")
        proto = _training_model(model, x, output, get_loss(loss), channels_last)
    target = Path(path)
    write_atomically(target, proto.SerializeToString())
    return target


def _training_model(model: nn.Module, x: Tensor, output: Tensor, loss: Loss, channels_last: bool) -> Any:
    labels = loss.link == "softmax"
    kind = dtypes.INT64 if labels else output.dtype
    y = Tensor(build.input_node("y", output.shape[:-1] if labels else output.shape, kind), name="y")
    value = loss(output, y)
    named = model.named_parameters()
    slopes = gradients(value.node, [p.node for _, p in named])
    outputs = [(value.node, "loss"), *((g, f"gradient_{name}") for g, (name, _) in zip(slopes, named, strict=True))]
    return to_model([(x.node, "x"), (y.node, "y")], outputs, channels_last)
