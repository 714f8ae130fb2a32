"""Locate the first operation that gives NaN or infinity, and name its layer and a remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deltarule.backends import reference
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.runtime.buffers import Array

_ADVICE = {
    Op.LOG: "A logarithm met a number ≤ 0: use a loss on logits, or keep its argument away from 0 (x.clip(1e-7)).",
    Op.DIVIDE: "A division by 0: add a small constant to the divisor.",
    Op.SQRT: "A root of a number < 0, or its slope at 0: add a small constant inside the root.",
    Op.POWER: "A power of a number ≤ 0: keep the base above 0.",
    Op.EXP: "An exponential overflowed: lower the learning rate, scale the inputs, or use softmax or logsumexp.",
}
_GENERAL = "Lower the learning rate, clip gradients (clip_norm=1.0), or scale the inputs to mean 0 and deviation 1."
_MOVES = {Op.RESHAPE, Op.PERMUTE, Op.BROADCAST, Op.SLICE, Op.FLIP}


def is_finite(array: Array) -> bool:
    """Return whether an array contains neither NaN nor infinity.

    >>> is_finite(np.array([1.0, np.inf]))
    False
    """
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _range(node: Node, known: Mapping[Node, Array]) -> str:
    """Return a description of an operand with the range of its finite values."""
    array = known[node]
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    span = f" in [{finite.min():.3g}, {finite.max():.3g}]" if finite.size else ""
    return f"{build.describe(node)}{span}"


def first_non_finite(
    outputs: Sequence[Node], values: Mapping[Node, Array]
) -> tuple[str, str]:
    """Evaluate node by node on the reference backend; return the first that is not finite, and a remedy.

    Named functions (softmax …) are evaluated as one operation.
    """
    known = dict(values)
    for node in topological(outputs):
        if node not in known:
            (known[node],) = reference.evaluate(
                [node], {source: known[source] for source in node.sources}
            )
        if not is_finite(known[node]):
            operands = " and ".join(_range(source, known) for source in node.sources)
            label = str(
                node.attributes.get("function") or node.op.name.lower()
            ).replace("_", " ")
            what = f"the first value that is not finite comes from {label}" + (
                f" of {operands}" if operands else ""
            )
            return what + _layer(node), _ADVICE.get(node.op, _GENERAL)
    return "no single operation gives it", _GENERAL


def _layer(node: Node) -> str:
    """Return the layer of a node: the one whose parameter it reads, or the nearest one before it."""
    for source in node.sources:
        operand = source
        while operand.op in _MOVES:
            operand = operand.sources[0]
        if _is_named(operand):
            return f", in layer {_path(operand)}"
    nearest = _nearest_parameter(node)
    return "" if nearest is None else f", after layer {_path(nearest)}"


def _nearest_parameter(node: Node) -> Node | None:
    """Return the nearest parameter of a layer among the ancestors of a node."""
    seen: set[Node] = set()
    level = list(node.sources)
    while level:
        for operand in level:
            if _is_named(operand):
                return operand
        seen.update(level)
        level = list(
            dict.fromkeys(
                source
                for operand in level
                for source in operand.sources
                if source not in seen
            )
        )
    return None


def _is_named(node: Node) -> bool:
    return node.op is Op.INPUT and "." in str(node.attributes["name"])


def _path(parameter: Node) -> str:
    return str(parameter.attributes["name"]).rpartition(".")[0]
