"""Translation of ONNX graphs to nodes, by one table of operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from deltarule.errors import CheckpointError, DeltaruleError
from deltarule.graph.activation import Rows
from deltarule.graph.node import Node
from deltarule.interop.onnx import (
    arithmetic,
    attention,
    control,
    indexing,
    networks,
    recurrent,
    reductions,
    resizing,
    shaping,
    signals,
)
from deltarule.interop.onnx.call import (
    ELEMENT_TYPES,
    MOST_OPERATORS,
    Call,
    Translator,
    UnsupportedOperatorError,
    tensor_node,
    type_name,
)
from deltarule.render.numbers import counted

OPERATORS: Rows[Translator] = Rows(
    {
        **arithmetic.OPERATORS,
        **shaping.OPERATORS,
        **indexing.OPERATORS,
        **reductions.OPERATORS,
        **networks.OPERATORS,
        **recurrent.OPERATORS,
        **control.OPERATORS,
        **resizing.OPERATORS,
        **attention.OPERATORS,
        **signals.OPERATORS,
    },
    arithmetic.declared,
)
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training"})
_RANDOM = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
)


def attribute_value(attribute: Any) -> Any:
    """Return an attribute as a Python value; tensors become arrays, graphs are kept.

    >>> attribute_value(onnx.helper.make_attribute("axis", 1))
    1
    """
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return stored(value)
    return value


class Translation:
    """The translation of one ONNX model to nodes.

    Args:
        versions: Versions of the operator sets by domain.
        weights: Nodes of stored tensors by name.
    """

    def __init__(
        self, versions: Mapping[str, int], weights: Mapping[str, Node]
    ) -> None:
        self.versions, self.weights = dict(versions), weights
        self._count = 0
        self._times = 1  # product of the turns of the loops around an operator
        self._turning: frozenset[Node] = frozenset()  # arguments of the bodies

    def graph(
        self, graph: Any, given: Mapping[str, Node], outer: Mapping[str, Node]
    ) -> list[Node]:
        """Translate a graph for given inputs, and return its outputs."""
        known = {**outer, **given}
        for initializer in graph.initializer:
            name = initializer.name
            if name not in given:
                known[name] = (
                    self.weights[name]
                    if name in self.weights
                    else tensor_node(stored(initializer), name)
                )
        for node in graph.node:
            if node.op_type == "Constant" and node.output[0] in self.weights:
                known[node.output[0]] = self.weights[node.output[0]]
            else:
                self._operator(node, known)
        return [known[output.name] for output in graph.output]

    def _operator(self, node: Any, known: dict[str, Node]) -> None:
        translator = translator_of(node)
        if translator is None:
            raise _refused(node)
        self._count += 1
        version = self.versions.get(node.domain, self.versions.get("", 1))
        call = Call(
            node.op_type,
            [],
            {},
            version,
            len(node.output),
            self._subgraph(known),
            known,
            node.name,
            self._times,
            self._turning,
        )
        if self._count > MOST_OPERATORS:
            raise call.too_many()
        try:
            call.attributes.update({a.name: attribute_value(a) for a in node.attribute})
            call.operands.extend(known[name] if name else None for name in node.input)
            call.check_sizes()
            results = translator(call)
        except UnsupportedOperatorError:
            raise
        except DeltaruleError as error:
            got = f"{error.got} ({call.title})"
            raise type(error)(
                error.where, expected=error.expected, got=got, hint=error.hint
            ) from error
        except Exception as error:  # invalid attributes and operands of a file
            message = f"{type(error).__name__}: {str(error)[:200]}"
            raise UnsupportedOperatorError(
                call.title,
                expected="operands and attributes as the standard has them",
                got=message,
            ) from error
        listed: Sequence[Node | None] = (
            (results,) if isinstance(results, Node) else results
        )
        for name, result in zip(node.output, listed, strict=False):
            if name and result is not None:
                call.fits(result.shape)
                known[name] = result

    def _subgraph(self, known: dict[str, Node]) -> Any:
        def run(
            graph: Any, arguments: Sequence[Node], turns: int | None = 1
        ) -> list[Node]:
            given = {
                value.name: node
                for value, node in zip(graph.input, arguments, strict=True)
            }
            around = self._times, self._turning
            self._times = 1 if turns is None else self._times * turns
            self._turning |= frozenset(arguments)
            try:
                return self.graph(graph, given, known)
            finally:
                self._times, self._turning = around

        return run


def stored(tensor: Any) -> Any:
    """Return the array of a stored tensor; half-precision values are converted to float32, which is exact.

    Raises:
        CheckpointError: The tensor is invalid.

    >>> stored(numpy_helper.from_array(np.ones(2, np.float16), "w")).dtype.name
    'float32'
    """
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:  # invalid sizes, types and bytes of a file
        where = f"onnx tensor {tensor.name!r}"
        raise CheckpointError(
            where, expected="an array", got=f"{type(error).__name__}: {error}"
        ) from error
    return (
        array.astype(np.float32)
        if array.dtype.name in {"float16", "bfloat16"}
        else array
    )


def translator_of(node: Any) -> Translator | None:
    """Return the translator of an operator; None if it is not supported."""
    return OPERATORS.get(node.op_type) if node.domain in _DOMAINS else None


def _reason(node: Any) -> str:
    """Return why an operator is not supported."""
    return (
        "its numbers are random"
        if node.domain in _DOMAINS and node.op_type in _RANDOM
        else "it has no translation"
    )


def _refused(node: Any) -> UnsupportedOperatorError:
    domain = f" of {node.domain}" if node.domain not in {"", "ai.onnx"} else ""
    named = f" (node {node.name})" if node.name else ""
    return UnsupportedOperatorError(
        f"onnx operator {node.op_type}",
        expected="a known operator",
        got=f"one{domain}{named}: {_reason(node)}",
    )


def all_graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and all its subgraphs (branches and loops).

    >>> import onnx
    >>> graph = onnx.helper.make_graph([], "g", [], [])
    >>> [found.name for found in all_graphs(graph)]
    ['g']
    """
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_graphs(attribute.g)


def refuse_unsupported(model: Any, where: str) -> None:
    """Raise UnsupportedOperatorError, listing all unsupported operators of a model.

    It is raised too for an operator set that is newer than the installed package onnx, and for inputs of an unsupported
    element type.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    newest = onnx.defs.onnx_opset_version()
    if versions.get("", 1) > newest:
        raise UnsupportedOperatorError(
            where,
            expected=f"an operator set ≤ {newest}, the newest that the package onnx {onnx.__version__} knows",
            got=str(versions[""]),
            hint="Update it, pip install --upgrade onnx, or export with an older opset.",
        )
    missing: dict[tuple[str, str], list[Any]] = {}
    for node in (node for graph in all_graphs(model.graph) for node in graph.node):
        if translator_of(node) is None:
            missing.setdefault((node.domain, node.op_type), []).append(node)
    if missing:
        nodes_of_them = counted(sum(map(len, missing.values())), "node")
        lines = [_line(nodes, versions) for _, nodes in sorted(missing.items())]
        way_out = "Export the model without them (another opset, or written out in simpler operators)."
        raise UnsupportedOperatorError(
            where,
            expected="operators that have a translation",
            got=f"{len(missing)} without one, in {nodes_of_them}",
            hint="\n  ".join([*lines, way_out]),
        )
    _refuse_types(model.graph, where)


def _line(nodes: list[Any], versions: Mapping[str, int]) -> str:
    first, shown = nodes[0], [node.name or "unnamed" for node in nodes[:3]]
    names = ", ".join(shown) + (", …" if len(nodes) > 3 else "")
    domain = f"{first.domain or 'ai.onnx'} {versions.get(first.domain, '?')}"
    return f"{first.op_type} ({domain}): {len(nodes)} × in {names}; {_reason(first)}"


def _refuse_types(graph: Any, where: str) -> None:
    held = {initializer.name for initializer in graph.initializer}
    for value in graph.input:
        kind = value.type.tensor_type.elem_type
        if value.name not in held and kind not in ELEMENT_TYPES:
            shown = (
                type_name(kind)
                if value.type.HasField("tensor_type")
                else str(value.type.WhichOneof("value"))
            )
            raise UnsupportedOperatorError(
                f"{where}, input {value.name!r}",
                expected=", ".join(t.name for t in ELEMENT_TYPES.values()),
                got=shown,
                hint="Convert the model to float32 before it is exported.",
            )


def translate(
    model: Any, given: Mapping[str, Node], weights: Mapping[str, Node] | None = None
) -> list[Node]:
    """Return the outputs of an ONNX model as nodes.

    Args:
        model: The model.
        given: Nodes of the inputs by name.
        weights: Nodes that replace stored tensors, by name.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    return Translation(versions, weights or {}).graph(model.graph, given, {})
