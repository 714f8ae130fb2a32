"""Reverse mode: from one output back to the wanted nodes, each edge visited once.

The result is a graph. On request the walk hands back the steps that it took, for ``explain`` to print:
what is explained is what is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deltarule.errors import GraphError
from deltarule.grad.rules import RULES
from deltarule.grad.textbook import TEXTBOOK
from deltarule.graph import build
from deltarule.graph.function import expansion
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import dependents, topological


@dataclass(frozen=True)
class Step:
    """One edge of the backward walk: the cotangent of ``node`` gives ``contribution`` to operand ``index``."""

    node: Node
    index: int
    rule: str
    cotangent: Node
    contribution: Node

    @property
    def source(self) -> Node:
        """The operand that receives the contribution."""
        return self.node.sources[self.index]


@dataclass
class Backpropagation:
    """The cotangent of every node on the way, and the steps in the order in which they were taken."""

    cotangents: dict[Node, Node] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def receive(self, step: Step) -> None:
        """Add a contribution: at a fan-out the paths sum (total derivative)."""
        if step.contribution.shape != step.source.shape:
            raise GraphError(
                f"pullback of {build.describe(step.node)} ({step.rule})",
                expected=f"a gradient of the shape of {build.describe(step.source)}",
                got=build.describe(step.contribution),
            )
        self.steps.append(step)
        known = self.cotangents.get(step.source)
        self.cotangents[step.source] = (
            step.contribution if known is None else build.add(known, step.contribution)
        )


def backpropagate(
    output: Node,
    wrt: Sequence[Node],
    cotangent: Node | None = None,
    frontier: frozenset[Node] = frozenset(),
) -> Backpropagation:
    """Walk back from ``output``; ``cotangent`` is ∂L/∂output, 1 for a scalar output.

    Only nodes that depend on ``wrt`` are visited, and the walk does not go past ``frontier``.
    """
    if not output.dtype.is_float:
        raise GraphError(
            "gradient", expected="a floating-point output", got=build.describe(output)
        )
    if cotangent is None:
        if output.shape != ():
            raise GraphError(
                "gradient",
                expected="a scalar output",
                got=build.describe(output),
                hint="Reduce it with .mean() or .sum(), or use vjp / jacobian.",
            )
        cotangent = build.constant(1.0, output.dtype)
    order = topological([output], frontier)
    wanted = dependents(order, [node for node in wrt if node.dtype.is_float])
    result = Backpropagation()
    if output not in wanted:
        return result
    result.cotangents[output] = cotangent
    for node in reversed(order):
        if node in result.cotangents and node not in frontier:
            for step in _pull(node, result.cotangents[node], wanted):
                result.receive(step)
    return result


def _pull(node: Node, cotangent: Node, wanted: set[Node]) -> list[Step]:
    """Return the steps from one node to those of its operands that lead to a wanted node."""
    table = (
        TEXTBOOK.get(node.attributes["function"])
        if node.op is Op.CALL
        else RULES[node.op]
    )
    if table is None:
        return _pull_expansion(node, cotangent, wanted)
    steps = []
    for index, source in enumerate(node.sources):
        if source in wanted and source.dtype.is_float:
            contribution = table.pull(node, cotangent, index)
            if contribution is not None:
                steps.append(Step(node, index, table.name, cotangent, contribution))
    return steps


def _pull_expansion(node: Node, cotangent: Node, wanted: set[Node]) -> list[Step]:
    """Differentiate a named function without a rule of its own through its expansion."""
    operands = frozenset(node.sources)
    inner = backpropagate(expansion(node), list(operands & wanted), cotangent, operands)
    name = f"derivative of {node.attributes['function'].replace('_', ' ')}"
    return [
        Step(
            node, node.sources.index(source), name, cotangent, inner.cotangents[source]
        )
        for source in dict.fromkeys(node.sources)
        if source in wanted and source in inner.cotangents
    ]


def gradients(
    output: Node, wrt: Sequence[Node], cotangent: Node | None = None
) -> list[Node]:
    """Return ∂L/∂w for each wanted node, of its shape; zeros where the output does not depend on it."""
    found = backpropagate(output, wrt, cotangent).cotangents
    return [found.get(node) or build.full(node.shape, 0.0, node.dtype) for node in wrt]
