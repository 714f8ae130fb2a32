"""Graph rewriting, bottom-up, visiting each node once."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from deltarule.dtypes import FLOAT32, FLOAT64
from deltarule.errors import GraphError
from deltarule.graph import build
from deltarule.graph.function import expansion
from deltarule.graph.node import Node, intern
from deltarule.graph.op import Op
from deltarule.graph.walk import topological
from deltarule.shapes import Dimension

Rule = Callable[[Node], Node | None]
_MAX_ROUNDS = 100  # of rules on one node, in case they do not terminate


def with_sources(node: Node, sources: Sequence[Node]) -> Node:
    """Return a node with other sources of the same shapes and element types.

    >>> x, y = build.input_node("x", (3,)), build.input_node("y", (3,))
    >>> with_sources(build.exp(x), [y]).sources
    (<y (3) float32>,)
    """
    if all(new is old for new, old in zip(sources, node.sources, strict=True)):
        return node
    return intern(
        node.op, tuple(sources), dict(node.attributes), node.shape, node.dtype
    )


def rewrite(outputs: Sequence[Node], rule: Rule) -> list[Node]:
    """Apply a rule (node → an equal node, or None) to every node bottom-up, to each until it returns None.

    Raises:
        GraphError: the rule does not terminate.

    >>> from deltarule.graph.build import exp, input_node, log
    >>> x = input_node("x", (3,))
    >>> rewrite([exp(log(x))], lambda node: x if node.op is Op.EXP else None)
    [<x (3) float32>]
    """
    known: dict[Node, Node] = {}
    for node in topological(outputs):
        result = with_sources(node, [known[source] for source in node.sources])
        for _ in range(_MAX_ROUNDS):
            better = rule(result)
            if better is None or better is result:
                break
            result = better
        else:
            raise GraphError(
                "rewrite",
                expected="rules that terminate",
                got=f"more than {_MAX_ROUNDS} rewrites of {build.describe(node)}",
            )
        known[node] = result
    return [known[node] for node in outputs]


def without_checks(outputs: Sequence[Node]) -> list[Node]:
    """Return graphs without runtime checks (CHECK nodes).

    >>> x = build.input_node("x", (3,))
    >>> without_checks([build.check(x, build.less(0, x), where="log", expected="x > 0")])
    [<x (3) float32>]
    """
    return rewrite(
        outputs, lambda node: node.sources[0] if node.op is Op.CHECK else None
    )


def substitute(
    outputs: Sequence[Node], replacements: Mapping[Node, Node]
) -> list[Node]:
    """Replace nodes by others of the same shape and element type.

    >>> from deltarule.graph.build import exp, input_node
    >>> x, y = input_node("x", (3,)), input_node("y", (3,))
    >>> substitute([exp(x)], {x: y})[0].sources
    (<y (3) float32>,)
    """
    known = dict(replacements)
    for node in topological(outputs, frozenset(known)):
        if node not in known:
            known[node] = with_sources(node, [known[source] for source in node.sources])
    return [known[node] for node in outputs]


def expand_calls(
    outputs: Sequence[Node],
    frontier: Container[Node] = frozenset(),
    keep: Container[str] = frozenset(),
) -> list[Node]:
    """Replace named functions by their expansions.

    Args:
        outputs: The graphs.
        frontier: Nodes that are not visited, nor are their sources.
        keep: Names of functions that are not expanded.

    >>> from deltarule.graph import functions
    >>> expand_calls([functions.relu(build.input_node("x", (3,)))])
    [<maximum (3) float32>]
    """
    known: dict[Node, Node] = {}
    stack = list(outputs)
    while stack:
        node = stack[-1]
        if node in known:
            stack.pop()
            continue
        if node in frontier:
            known[stack.pop()] = node
            continue
        expands = node.op is Op.CALL and node.attributes["function"] not in keep
        needed = (expansion(node),) if expands else node.sources
        missing = [source for source in needed if source not in known]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if expands:
            known[node] = known[needed[0]]
        else:
            known[node] = with_sources(node, [known[s] for s in node.sources])
    return [known[node] for node in outputs]


def specialise(
    outputs: Sequence[Node], sizes: Mapping[Dimension, int], inputs: Mapping[Node, Node]
) -> list[Node]:
    """Replace unknown sizes by numbers.

    Args:
        outputs: The graphs.
        sizes: The number for each unknown size.
        inputs: For each INPUT with unknown sizes, one of static shape.

    >>> from deltarule.shapes import Dimension
    >>> n = Dimension("N")
    >>> x, fixed = build.input_node("x", (n, 3)), build.input_node("x", (5, 3))
    >>> specialise([build.exp(x)], {n: 5}, {x: fixed})
    [<exp (5, 3) float32>]
    """

    def fix(value: Any) -> Any:
        if isinstance(value, Dimension):
            return sizes.get(value, value)
        return tuple(fix(item) for item in value) if isinstance(value, tuple) else value

    known = dict(inputs)
    for node in topological(outputs, frozenset(known)):
        if node in known:
            continue
        if node.op is Op.DIMENSION and node.attributes["dimension"] in sizes:
            known[node] = build.constant(
                sizes[node.attributes["dimension"]], node.dtype
            )
            continue
        attributes = {key: fix(value) for key, value in node.attributes.items()}
        sources = tuple(known[source] for source in node.sources)
        known[node] = intern(node.op, sources, attributes, fix(node.shape), node.dtype)
    return [known[node] for node in outputs]


def in_float64(outputs: Sequence[Node], inputs: Mapping[Node, Node]) -> list[Node]:
    """Return the same expressions computed in float64; ``inputs`` maps each float INPUT to one in float64.

    >>> x, y = build.input_node("x", (3,)), build.input_node("y", (3,), FLOAT64)
    >>> in_float64([build.exp(x)], {x: y})
    [<exp (3) float64>]
    """

    def in_double(value: Any) -> Any:
        return FLOAT64 if value is FLOAT32 else value

    known = dict(inputs)
    for node in topological(outputs, frozenset(known)):
        if node in known:
            continue
        attributes = {key: in_double(value) for key, value in node.attributes.items()}
        sources = tuple(known[source] for source in node.sources)
        dtype = in_double(node.dtype)
        known[node] = intern(node.op, sources, attributes, node.shape, dtype)
    return [known[node] for node in outputs]
