"""From an ONNX graph to nodes: one table of operators, functions of the standard expanded where it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import numpy_helper

from deltarule.graph.node import Node
from deltarule.interop.onnx import (
    arithmetic,
    attention,
    control,
    networks,
    recurrent,
    reductions,
    resizing,
    shaping,
    signals,
)
from deltarule.interop.onnx.call import Call, Translator, UnsupportedOperatorError, tensor_node

OPERATORS: dict[str, Translator] = {
    **arithmetic.OPERATORS,
    **shaping.OPERATORS,
    **reductions.OPERATORS,
    **networks.OPERATORS,
    **recurrent.OPERATORS,
    **control.OPERATORS,
    **resizing.OPERATORS,
    **attention.OPERATORS,
    **signals.OPERATORS,
}
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training"})
_UNNAMED = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")


def attribute_value(attribute: Any) -> Any:
    """Return an attribute as a Python value; tensors become arrays, graphs stay graphs."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return value


class Translation:
    """The nodes of one ONNX model, by name, as its operators are met."""

    def __init__(self, versions: Mapping[str, int]) -> None:
        self.versions = dict(versions)

    def graph(self, graph: Any, given: Mapping[str, Node], outer: Mapping[str, Node]) -> list[Node]:
        """Translate a graph whose inputs are given; return its outputs."""
        known = {**outer, **given}
        for initializer in graph.initializer:
            if initializer.name not in given:
                known[initializer.name] = tensor_node(numpy_helper.to_array(initializer), initializer.name)
        for node in graph.node:
            self._operator(node, known)
        return [known[output.name] for output in graph.output]

    def _operator(self, node: Any, known: dict[str, Node]) -> None:
        translator = OPERATORS.get(node.op_type) if node.domain in _DOMAINS else None
        if translator is None:
            reason = "its numbers are random" if node.op_type in _UNNAMED else "it has no translation"
            raise UnsupportedOperatorError(f"onnx operator {node.op_type}", expected="a known operator", got=reason)
        attributes = {a.name: attribute_value(a) for a in node.attribute}
        operands = [known[name] if name else None for name in node.input]
        version = self.versions.get(node.domain, self.versions.get("", 1))
        call = Call(node.op_type, operands, attributes, version, len(node.output), self._subgraph(known), known)
        results = translator(call)
        listed: Sequence[Node | None] = (results,) if isinstance(results, Node) else results
        for name, result in zip(node.output, listed, strict=False):
            if name and result is not None:
                known[name] = result

    def _subgraph(self, known: dict[str, Node]) -> Any:
        def run(graph: Any, arguments: Sequence[Node]) -> list[Node]:
            given = {value.name: node for value, node in zip(graph.input, arguments, strict=True)}
            return self.graph(graph, given, known)

        return run


def translate(model: Any, given: Mapping[str, Node]) -> list[Node]:
    """Return the outputs of an ONNX model for nodes in place of its inputs."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    return Translation(versions).graph(model.graph, given, {})
