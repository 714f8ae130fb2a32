"""Export of graphs as ONNX models, by one table of primitives and one of functions with ONNX operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from deltarule import dtypes, nn, shapes
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, GraphError
from deltarule.flags import checks_flags
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.activation import Activation, Rows
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import topological
from deltarule.interop.onnx.emitter import (
    STATE,
    TENSOR_TYPES,
    Emitter,
    Stored,
    shape_proto,
)
from deltarule.interop.onnx.writers import PRIMITIVES, TO_FIRST, TO_LAST
from deltarule.losses import Loss
from deltarule.losses import get as get_loss
from deltarule.runtime.buffers import value_of
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.checkpoint import write_atomically
from deltarule.train.steps.prepare import model_dtype

__all__ = ["export"]

OPSET = 20
OUTPUT = "output"
_UNARY = {
    Op.NEGATE: "Neg",
    Op.ABS: "Abs",
    Op.SIGN: "Sign",
    Op.FLOOR: "Floor",
    Op.EXP: "Exp",
    Op.LOG: "Log",
    Op.SQRT: "Sqrt",
    Op.SIN: "Sin",
    Op.COS: "Cos",
    Op.TANH: "Tanh",
    Op.ERF: "Erf",
    Op.NOT: "Not",
    Op.STOP_GRADIENT: "Identity",
}
_BINARY = {
    Op.ADD: "Add",
    Op.SUBTRACT: "Sub",
    Op.MULTIPLY: "Mul",
    Op.DIVIDE: "Div",
    Op.POWER: "Pow",
    Op.MAXIMUM: "Max",
    Op.MINIMUM: "Min",
    Op.EQUAL: "Equal",
    Op.LESS: "Less",
    Op.AND: "And",
    Op.OR: "Or",
    Op.WHERE: "Where",
}
Written = Callable[[Node], tuple[str, dict[str, Any]]]


def _declared(declared: Activation) -> tuple[str, Written] | None:
    """Return how a declared activation is exported: the operator, and its attributes from those of the node."""
    operator = declared.onnx
    if operator is None or operator.opset > OPSET:
        return None
    kind, names = operator.name, operator.attributes
    return declared.name, lambda node: (
        kind,
        {theirs: float(node.attributes[ours]) for theirs, (ours, _) in names.items()},
    )


_FUNCTIONS: Rows[Written] = Rows(
    {
        "selu": lambda n: (
            "Selu",
            {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805},
        ),
        "gelu": lambda n: (
            "Gelu",
            {"approximate": "tanh" if n.attributes["approximate"] else "none"},
        ),
    },
    _declared,
)
# onnxruntime has no kernels for the others in float64, which are written as primitives there
_IN_FLOAT64 = frozenset({"relu", "sigmoid"})
_ALONG_AXIS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}
_POOLS = {"max_pool": "MaxPool", "average_pool": "AveragePool"}


class Exporter:
    """Exports the nodes of a graph in topological order."""

    emitter: Emitter
    known: dict[Node, Stored]

    def __init__(self, inputs: Sequence[tuple[Node, str]]) -> None:
        self.emitter = Emitter()
        self.known = {}
        self._inputs = list(inputs)
        for node, name in inputs:
            self.known[node] = Stored(name, tuple(range(node.rank)))

    def write(self, outputs: Sequence[Node], image_order: Sequence[bool]) -> list[str]:
        """Export the outputs and return their names, channels first where ``image_order`` is true."""
        doubles = any(node.dtype is dtypes.FLOAT64 for node in outputs)
        functions = _IN_FLOAT64 if doubles else frozenset(_FUNCTIONS)
        keep = {*functions, *_ALONG_AXIS, *_POOLS}
        smaller = simplify(outputs)
        roots = expand_calls(smaller, keep=keep)
        for node in topological(roots):
            # broadcasts are exported only for operators that do not broadcast themselves
            if node.op is not Op.BROADCAST:
                self.held(node)
        return [
            self.emitter.in_order(self.held(node), TO_FIRST[node.rank])
            if first
            else self.plain(node)
            for node, first in zip(roots, image_order, strict=True)
        ]

    def held(self, node: Node) -> Stored:
        """Return where the value of a node is stored; the node is exported if necessary."""
        if node not in self.known:
            self.known[node] = self._node(node)
        return self.known[node]

    # ---------------------------------------------------------------- one node

    def plain(self, node: Node) -> str:
        """Return the name of the value of a node in the order of its axes."""
        return self.emitter.plain(self.held(node))

    def _stored(self, name: str, node: Node) -> Stored:
        return Stored(name, tuple(range(node.rank)))

    def _node(self, node: Node) -> Stored:
        if node.op is Op.INPUT:
            value = value_of(node)
            if value is None:
                raise GraphError(
                    "onnx export",
                    expected="inputs and tensors with values",
                    got=build.describe(node),
                )
            return self._stored(
                self.emitter.weight(node.attributes["name"], value), node
            )
        if node.op is Op.CALL:
            return self._function(node)
        if node.op in _UNARY or node.op in _BINARY or node.op is Op.CAST:
            return self._elementwise(node)
        if node.op is Op.PERMUTE:
            source = self.held(node.sources[0])
            return Stored(
                source.name, tuple(source.order[i] for i in node.attributes["order"])
            )
        if node.op not in PRIMITIVES:
            raise GraphError(
                "onnx export",
                expected="operations that ONNX can express",
                got=node.op.name.lower(),
                hint="Random numbers and dropout in training mode cannot be exported: export in inference mode.",
            )
        return self._stored(PRIMITIVES[node.op](self, node), node)

    def _elementwise(self, node: Node) -> Stored:
        """Export an element-wise operation; a transpose that all operands share is delayed."""
        operands = self._unexpanded(node)
        orders = {self.held(s).order for s in operands}
        order = orders.pop() if len(orders) == 1 else tuple(range(node.rank))
        names = [
            self.held(s).name if self.held(s).order == order else self.plain(s)
            for s in operands
        ]
        if node.op is Op.CAST:
            return Stored(
                self.emitter.operator("Cast", *names, to=TENSOR_TYPES[node.dtype.name]),
                order,
            )
        kind = _UNARY.get(node.op) or _BINARY[node.op]
        return Stored(self.emitter.operator(kind, *names), order)

    def _unexpanded(self, node: Node) -> Sequence[Node]:
        """Return the operands before broadcasting if another operand has the full shape."""
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
            return Stored(
                self.emitter.operator(kind, held.name, **attributes), held.order
            )
        if name in _ALONG_AXIS:
            axis = node.attributes["axis"]
            return self._stored(
                self.emitter.operator(_ALONG_AXIS[name], self.plain(source), axis=axis),
                node,
            )
        padding = node.attributes["padding"]
        first = self.emitter.in_order(self.held(source), TO_FIRST[source.rank])
        extra = {"count_include_pad": 1} if name == "average_pool" else {}
        result = self.emitter.operator(
            _POOLS[name],
            first,
            kernel_shape=list(node.attributes["window"]),
            strides=list(node.attributes["stride"]),
            pads=[*(low for low, _ in padding), *(high for _, high in padding)],
            **extra,
        )
        return Stored(result, TO_LAST[node.rank])

    def shape_of(self, node: Node) -> str:
        """Return the name of a shape as an int64 vector, with unknown sizes taken from the inputs."""
        if all(isinstance(size, int) for size in node.shape):
            return self.emitter.constant(list(node.shape))
        parts = [self.size(size) for size in node.shape]
        return self.emitter.operator("Concat", *parts, axis=0)

    def size(self, size: Any) -> str:
        """Return the name of a size as a vector of one element; an unknown size is taken from the inputs."""
        if isinstance(size, int):
            return self.emitter.constant([size])
        for node, name in self._inputs:
            if size in node.shape:
                axis = node.shape.index(size)
                return self.emitter.operator("Shape", name, start=axis, end=axis + 1)
        raise GraphError(
            "onnx export", expected="sizes of the inputs", got=f"unknown size {size}"
        )


def _value_info(name: str, node: Node, order: Sequence[int] | None = None) -> Any:
    shape = node.shape if order is None else tuple(node.shape[i] for i in order)
    return helper.make_tensor_value_info(
        name, TENSOR_TYPES[node.dtype.name], shape_proto(shape)
    )


def to_model(
    inputs: Sequence[tuple[Node, str]],
    outputs: Sequence[tuple[Node, str]],
    channels_last: bool,
    parameters: Sequence[Tensor],
) -> Any:
    """Return an ONNX model of a graph.

    Stored tensors that are not ``parameters`` are listed as state in the model's properties, so that they are not
    trained after an import.

    Args:
        inputs: Input nodes and their names.
        outputs: Output nodes and their names.
        channels_last: Whether images and the output "output" keep channels last; otherwise they are (N, C, H, W).
        parameters: The trainable tensors.
    """
    exporter = Exporter(inputs)
    infos = []
    for node, name in inputs:
        first = (
            None if channels_last or node.rank not in {4, 5} else TO_FIRST[node.rank]
        )
        if first is not None:
            exporter.known[node] = Stored(name, TO_LAST[node.rank])
        infos.append(_value_info(name, node, first))
    firsts = [
        not channels_last and name == OUTPUT and node.rank in TO_FIRST and node.rank > 3
        for node, name in outputs
    ]
    written = exporter.write([node for node, _ in outputs], firsts)
    nodes, results = exporter.emitter.nodes, []
    for (node, name), source, turned in zip(outputs, written, firsts, strict=True):
        nodes.append(helper.make_node("Identity", [source], [name]))
        results.append(_value_info(name, node, TO_FIRST[node.rank] if turned else None))
    graph = helper.make_graph(
        nodes, "deltarule", infos, results, list(exporter.emitter.initializers.values())
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="deltarule"
    )
    model.ir_version = 10
    learned = {
        exporter.known[p.node].name for p in parameters if p.node in exporter.known
    }
    helper.set_model_props(
        model,
        {
            STATE: "\n".join(
                n for n in exporter.emitter.initializers if n not in learned
            )
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


@checks_flags
def export(
    model: nn.Module,
    path: str | Path,
    input_shape: Sequence[int],
    training: bool = False,
    loss: str | Loss | None = None,
    channels_last: bool = False,
) -> Path:
    """Export a module as an ONNX file (opset 20) with a dynamic batch size.

    Args:
        model: The module.
        path: The file.
        input_shape: Shape of one example, channels last.
        training: Export the gradient instead: inputs x and y, outputs the loss and ∂L/∂p for each parameter, with
            layers in inference mode (no dropout), so that any runtime can train the model.
        loss: The loss with ``training``.
        channels_last: Whether images keep channels last in the file; by default they are (N, C, H, W).

    Returns:
        The path of the file.

    Raises:
        ArgumentError: Not a module, not a shape, or no loss with ``training``.
        GraphError: An operation that ONNX cannot express.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export(nn.Linear(3, 2), f"{folder}/linear.onnx", (3,))
    ...     [node.op_type for node in onnx.load(str(path)).graph.node][-1]
    'Identity'
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError("ONNX export", expected="a module", got=repr(model))
    if not isinstance(input_shape, (tuple, list)):
        raise ArgumentError(
            "ONNX input_shape",
            expected="the shape of one example: (3,)",
            got=repr(input_shape),
        )
    batch = shapes.Dimension("N")
    kind = model.input_dtype() or model_dtype(model)
    x = Tensor(build.input_node("x", (batch, *input_shape), kind), name="x")
    output = model.apply(x, mode="inference", seed=None, step=None).output
    if not training:
        proto = to_model(
            [(x.node, "x")],
            [(output.node, OUTPUT)],
            channels_last,
            model.parameters(include_frozen=True),
        )
    else:
        if loss is None:
            raise ArgumentError(
                "onnx export loss", expected="a loss for training=True", got="None"
            )
        proto = _training_model(model, x, output, get_loss(loss), channels_last)
    target = Path(path)
    write_atomically(target, proto.SerializeToString())
    return target


def _training_model(
    model: nn.Module, x: Tensor, output: Tensor, loss: Loss, channels_last: bool
) -> Any:
    labels = loss.link == "softmax"
    kind = dtypes.INT64 if labels else output.dtype
    y = Tensor(
        build.input_node("y", output.shape[:-1] if labels else output.shape, kind),
        name="y",
    )
    value = loss(output, y)
    named = model.named_parameters()
    slopes = gradients(value.node, [p.node for _, p in named])
    outputs = [
        (value.node, "loss"),
        *((g, f"gradient_{name}") for g, (name, _) in zip(slopes, named, strict=True)),
    ]
    return to_model(
        [(x.node, "x"), (y.node, "y")],
        outputs,
        channels_last,
        model.parameters(include_frozen=True),
    )


check_calls(__name__)
