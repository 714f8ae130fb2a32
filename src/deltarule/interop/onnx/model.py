"""An ONNX model as a module: its weights can be trained, its running statistics are kept, its settings are fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import onnx
from onnx import numpy_helper

from deltarule import nn
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.flags import checks_flags
from deltarule.graph import build
from deltarule.interop.onnx.call import element_type
from deltarule.interop.onnx.emitter import STATE
from deltarule.interop.onnx.importer import translate
from deltarule.interop.onnx.networks import channels_first, channels_last
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.train.checkpoint import checked_path

# Operands that are no weights, by operator: running statistics, and numbers that must be known to build the graph.
_STATISTICS = {"BatchNormalization": (3, 4)}
_SETTINGS = {
    "Clip": (1, 2), "Compress": (1,), "Dropout": (1, 2), "NonZero": (0,), "Pad": (2,), "Range": (0, 1, 2),
    "Resize": (1, 2), "Unique": (0,), "Upsample": (1,),
}  # fmt: skip


def _names(graph: Any, places: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Yield the names of the operands at some places of some operators, also inside branches and loops."""
    for node in graph.node:
        yield from (node.input[i] for i in places.get(node.op_type, ()) if i < len(node.input))
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _names(attribute.g, places)


@final
class ImportedModel(nn.Module):
    """A model read from an ONNX file.

    Floating-point weights are parameters. Running statistics of a batch normalisation, and what the exporter marked
    as no parameter, are state: kept, and never learned. Numbers that decide shapes or limits stay as in the file.
    Inputs and outputs with two or more spatial axes are channels last, as everywhere in Deltarule; the file's own
    order (N, C, …) is kept with ``channels_last=False``.
    """

    def __init__(self, model: Any, channels_last: bool = True) -> None:
        self._model = model
        self._channels_last = channels_last
        held = {initializer.name for initializer in model.graph.initializer}
        self._inputs = [value for value in model.graph.input if value.name not in held]
        self.weights: dict[str, Tensor] = {}
        marked = next((entry.value for entry in model.metadata_props if entry.key == STATE), "").splitlines()
        state = {*_names(model.graph, _STATISTICS), *marked}
        fixed = set(_names(model.graph, _SETTINGS))
        for initializer in model.graph.initializer:
            name, array = initializer.name, numpy_helper.to_array(initializer)
            if array.dtype in (np.float32, np.float64) and array.ndim > 0 and name not in fixed:
                make = tensor if name in state else parameter
                self.weights[name.replace(".", "_")] = make(array, name=name)
        self._names = {p.name: key for key, p in self.weights.items()}

    def forward(self, *inputs: Any) -> Any:
        """Return the model's output, or a tuple of its outputs."""
        if len(inputs) != len(self._inputs):
            raise ArgumentError("imported model", expected=f"{len(self._inputs)} inputs", got=str(len(inputs)))
        given = {name: self.weights[key].node for name, key in self._names.items()}
        for value, x in zip(self._inputs, inputs, strict=True):
            node = build.cast(x.node, element_type(value.type.tensor_type.elem_type))
            given[value.name] = channels_first(node) if self._channels_last and node.rank > 3 else node
        outputs = []
        for node in translate(self._model, given):
            outputs.append(Tensor(channels_last(node) if self._channels_last and node.rank > 3 else node))
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


@checks_flags
def load(path: str | Path, channels_last: bool = True) -> ImportedModel:
    """Return the model of an ONNX file, ready to predict, to be trained further and to be explained."""
    file = checked_path(path)
    if not file.is_file():
        got = "a folder" if file.is_dir() else "no such file"
        raise CheckpointError(f"file {file}", expected="an ONNX file", got=got)
    try:
        model = onnx.load(str(file))
        onnx.checker.check_model(model)
    except Exception as error:  # onnx and protobuf raise errors of many kinds for a damaged file
        raise CheckpointError(f"file {file}", expected="a valid ONNX model", got=str(error).splitlines()[0]) from error
    return ImportedModel(model, channels_last)
