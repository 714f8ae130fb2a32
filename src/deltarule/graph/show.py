"""Printing graphs as text and in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable

from deltarule import shapes
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import topological

_HIDDEN = frozenset({"name", "uid", "function", "value"})


def _label(node: Node) -> str:
    if node.op is Op.CONSTANT:
        return repr(node.attributes["value"])
    return str(
        node.attributes.get("name")
        or node.attributes.get("function")
        or node.op.name.lower()
    )


def _attributes(node: Node) -> str:
    shown = [
        f"{key}={value}"
        for key, value in sorted(node.attributes.items())
        if key not in _HIDDEN
    ]
    return f" [{', '.join(shown)}]" if shown else ""


def to_text(outputs: Iterable[Node]) -> str:
    """Return a graph as text, one line per node: number, operation, operands, shape, element type.

    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> print(to_text([build.exp(x)]))
    %0 = x  : (3) float32
    %1 = exp(%0)  : (3) float32
    """
    numbers: dict[Node, int] = {}
    lines = []
    for node in topological(outputs):
        numbers[node] = len(numbers)
        operands = ", ".join(f"%{numbers[source]}" for source in node.sources)
        call = f"{_label(node)}({operands})" if node.sources else _label(node)
        lines.append(
            f"%{numbers[node]} = {call}{_attributes(node)}  : {shapes.show(node.shape)} {node.dtype}"
        )
    return "\n".join(lines)


def to_dot(outputs: Iterable[Node]) -> str:
    r"""Return a graph in the DOT language of Graphviz, sources first.

    >>> from deltarule.graph import build
    >>> print(to_dot([build.input_node("x", (3,))]))
    digraph {
      node [shape=box, fontname="sans-serif"];
      n0 [label="x\n(3)"];
    }
    """
    numbers: dict[Node, int] = {}
    lines = ["digraph {", '  node [shape=box, fontname="sans-serif"];']
    for node in topological(outputs):
        numbers[node] = len(numbers)
        label = f"{_label(node)}\\n{shapes.show(node.shape)}".replace('"', '\\"')
        lines.append(f'  n{numbers[node]} [label="{label}"];')
        lines.extend(
            f"  n{numbers[source]} -> n{numbers[node]};" for source in node.sources
        )
    return "\n".join([*lines, "}"])
