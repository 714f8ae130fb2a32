"""ONNX models as modules: weights become parameters, running statistics state, and settings constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
import onnx.inliner

from deltarule import nn
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.flags import checks_flags
from deltarule.graph import build
from deltarule.interop.onnx.call import element_type
from deltarule.interop.onnx.emitter import STATE
from deltarule.interop.onnx.importer import (
    all_graphs,
    attribute_value,
    refuse_unsupported,
    stored,
    translate,
)
from deltarule.interop.onnx.networks import channels_first, channels_last
from deltarule.render.numbers import counted
from deltarule.runtime.buffers import Array
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.train.checkpoint import checked_path, foreign

__all__ = ["ImportedModel", "load"]

# Operands that are no weights, by operator: running statistics, and constants that are needed to build the graph.
_STATISTICS = {"BatchNormalization": (3, 4)}
_SETTINGS = {
    "Clip": (1, 2),
    "Compress": (1,),
    "Dropout": (1, 2),
    "NonZero": (0,),
    "OneHot": (2,),
    "Pad": (2,),
    "Pow": (1,),
    "Range": (0, 1, 2),
    "Resize": (1, 2),
    "Unique": (0,),
    "Upsample": (1,),
}
# Operands that are always weights; elsewhere a scalar in a Constant node is a constant of a formula.
_WEIGHTS = {
    "BatchNormalization": (1, 2),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "GRU": (1, 2, 3),
    "Gather": (0,),
    "Gemm": (0, 1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3, 7),
    "LayerNormalization": (1, 2),
    "MatMul": (0, 1),
    "PRelu": (1,),
    "RMSNormalization": (1,),
    "RNN": (1, 2, 3),
}


def _names(graph: Any, places: Mapping[str, tuple[int, ...]]) -> set[str]:
    """Return the names of the operands at some positions of some operators, also in subgraphs."""
    return {
        node.input[i]
        for inner in all_graphs(graph)
        for node in inner.node
        for i in places.get(node.op_type, ())
        if i < len(node.input)
    }


def _constants(graph: Any) -> Iterator[tuple[str, Array]]:
    """Yield the tensors in the Constant nodes of a graph by name."""
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name in {"value", "value_floats", "value_float"}:
                    value = attribute_value(attribute)
                    yield (
                        node.output[0],
                        value
                        if isinstance(value, np.ndarray)
                        else np.array(value, np.float32),
                    )


def _weights(graph: Any) -> Iterator[tuple[str, Array]]:
    """Yield the trainable tensors of a model by name, also those in subgraphs.

    These are the finite floating-point tensors that are not settings; scalars in Constant nodes only if they are the
    weights of a layer.
    """
    fixed, used = _names(graph, _SETTINGS), _names(graph, _WEIGHTS)
    for inner in all_graphs(graph):
        held = [(entry.name, stored(entry)) for entry in inner.initializer]
        literals = [
            (name, array)
            for name, array in _constants(inner)
            if array.size > 1 or name in used
        ]
        for name, array in (*held, *literals):
            if (
                array.dtype in (np.float32, np.float64)
                and name not in fixed
                and np.isfinite(array).all()
            ):
                yield name, array


def _make_names_unique(graph: Any) -> None:
    """Rename stored tensors whose name occurs in several subgraphs with different values."""
    seen: Counter[str] = Counter()
    for inner in all_graphs(graph):
        names = [entry.name for entry in inner.initializer] + [
            name for name, _ in _constants(inner)
        ]
        changed = {name: f"{name}#{seen[name] + 1}" for name in names if seen[name]}
        seen.update(names)
        if not changed:
            continue
        for entry in inner.initializer:
            entry.name = changed.get(entry.name, entry.name)
        for part in all_graphs(inner):
            for node in part.node:
                node.input[:] = [changed.get(name, name) for name in node.input]
                node.output[:] = [changed.get(name, name) for name in node.output]
            for output in part.output:
                output.name = changed.get(output.name, output.name)


def _keys(names: Sequence[str]) -> dict[str, str]:
    """Return a unique name without dots for each name; duplicates are numbered."""
    taken = {name for name in names if "." not in name}
    keys = {name: name for name in taken}
    for name in names:
        if "." in name:
            plain = name.replace(".", "_")
            choices = chain([plain], (f"{plain}_{i}" for i in count(2)))
            keys[name] = next(key for key in choices if key not in taken)
            taken.add(keys[name])
    return keys


@final
class ImportedModel(nn.Module):
    """A module that evaluates an ONNX model.

    Floating-point initializers and tensors in Constant nodes (scalars only if they are the weights of a layer) are
    parameters, converted to float32 from half precision. ``named_parameters()`` returns them by the names in the file,
    with "_" for a dot. Running statistics of batch normalization, and tensors that the exporter marked as state, are
    not trained. Tensors that determine shapes or limits are constants.

    Args:
        model: The ONNX model.
        channels_last: Whether inputs and outputs with two or more spatial axes are channels last, as everywhere in
            Deltarule; False keeps the order (N, C, …) of the file.

    >>> from onnx import helper
    >>> x, y = (helper.make_tensor_value_info(name, 1, [None, 2]) for name in "xy")
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    >>> ImportedModel(helper.make_model(graph))([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    def __init__(self, model: Any, channels_last: bool = True) -> None:
        self._model = model
        self._channels_last = channels_last
        held = {initializer.name for initializer in model.graph.initializer}
        self._inputs = [value for value in model.graph.input if value.name not in held]
        marked = next(
            (entry.value for entry in model.metadata_props if entry.key == STATE), ""
        ).splitlines()
        state = {*_names(model.graph, _STATISTICS), *marked}
        _make_names_unique(model.graph)
        found = dict(_weights(model.graph))
        self._names = _keys(list(found))
        self.weights: dict[str, Tensor] = {
            self._names[name]: (tensor if name in state else parameter)(
                array, name=name
            )
            for name, array in found.items()
        }

    def forward(self, *inputs: Any) -> Any:
        """Return the model's output, or a tuple of its outputs."""
        if len(inputs) != len(self._inputs):
            raise ArgumentError(
                "imported model",
                expected=counted(len(self._inputs), "input"),
                got=str(len(inputs)),
            )
        weights = {name: self.weights[key].node for name, key in self._names.items()}
        given = {}
        for value, x in zip(self._inputs, inputs, strict=True):
            node = build.cast(x.node, element_type(value.type.tensor_type.elem_type))
            given[value.name] = (
                channels_first(node) if self._channels_last and node.rank > 3 else node
            )
        outputs = []
        for node in translate(self._model, given, weights):
            outputs.append(
                Tensor(
                    channels_last(node)
                    if self._channels_last and node.rank > 3
                    else node
                )
            )
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


@checks_flags
def load(path: str | Path, channels_last: bool = True) -> ImportedModel:
    """Load an ONNX file as a module for inference, further training and explanation.

    Local functions of the file are inlined.

    Args:
        path: The file.
        channels_last: See ``ImportedModel``.

    Raises:
        CheckpointError: The file is missing or invalid.
        UnsupportedOperatorError: Some operators are not supported; all of them are listed. It is a GraphError.

    >>> import tempfile
    >>> from deltarule.interop.onnx.exporter import export
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model = load(export(nn.Linear(3, 2), f"{folder}/linear.onnx", (3,)))
    >>> model.predict(np.zeros((5, 3), np.float32)).shape
    (5, 2)
    """
    file = checked_path(path)
    if not file.is_file():
        got = "a folder" if file.is_dir() else "no such file"
        raise CheckpointError(f"file {file}", expected="an ONNX file", got=got)
    try:
        model = onnx.load(str(file))
        onnx.checker.check_model(model)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # onnx and protobuf raise many kinds for a damaged file
        got = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"file {file}", expected="a valid ONNX model", got=got.rstrip(".")
        ) from error
    refuse_unsupported(model, f"file {file}")
    with foreign(f"file {file}", "a valid ONNX model"):
        return ImportedModel(model, channels_last)


check_calls(__name__)
