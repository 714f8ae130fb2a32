"""Reverse-mode differentiation (backpropagation) as a transformation of graphs, visiting each edge once.

The result is a graph, and the list of its steps, which ``explain`` prints: what is explained is what is run.
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
class BackwardStep:
    """One edge of the backward pass: ``node`` contributes to the cotangent of one of its operands.

    Attributes:
        node: The node that is differentiated.
        index: Index of the operand.
        rule: Name of the derivative rule.
        cotangent: The cotangent of ``node``.
        contribution: What it adds to the cotangent of the operand.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", ())
    >>> (step,) = backpropagate(exp(x), [x]).steps
    >>> step.source, step.contribution
    (<x () float32>, <multiply () float32>)
    """

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
    """The result of a backward pass: the cotangents of all visited nodes, and the steps in order.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", ())
    >>> [step.rule for step in backpropagate(exp(x), [x]).steps]
    ['exponential']
    """

    cotangents: dict[Node, Node] = field(default_factory=dict)
    steps: list[BackwardStep] = field(default_factory=list)

    def receive(self, step: BackwardStep) -> None:
        """Add a contribution; those of several users of a node are summed (multivariable chain rule)."""
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
    """Run the backward pass from ``output``; only nodes that depend on ``wrt`` are visited.

    Args:
        output: The node to differentiate.
        wrt: The variables.
        cotangent: The cotangent ∂L/∂output; 1 by default, for a scalar output.
        frontier: Nodes whose sources are not visited.

    Raises:
        GraphError: the output is not a floating-point scalar (unless ``cotangent`` is given).

    >>> x = build.input_node("x", (3,))
    >>> result = backpropagate(build.sum_over(build.exp(x)), [x])
    >>> result.cotangents[x]
    <multiply (3) float32>
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


def _pull(node: Node, cotangent: Node, wanted: set[Node]) -> list[BackwardStep]:
    """Return the steps from one node to those of its operands that depend on a variable."""
    is_call = node.op is Op.CALL
    rule = TEXTBOOK.get(node.attributes["function"]) if is_call else RULES[node.op]
    if rule is None:
        return _pull_expansion(node, cotangent, wanted)
    steps = []
    for index, source in enumerate(node.sources):
        if source in wanted and source.dtype.is_float:
            contribution = rule.pull(node, cotangent, index)
            if contribution is not None:
                steps.append(
                    BackwardStep(node, index, rule.name, cotangent, contribution)
                )
    return steps


def _pull_expansion(
    node: Node, cotangent: Node, wanted: set[Node]
) -> list[BackwardStep]:
    """Differentiate a named function without a rule through its expansion."""
    operands = frozenset(node.sources)
    inner = backpropagate(expansion(node), list(operands & wanted), cotangent, operands)
    name = f"derivative of {node.attributes['function'].replace('_', ' ')}"
    steps = []
    for source in dict.fromkeys(node.sources):
        if source in wanted and source in inner.cotangents:
            index, contribution = node.sources.index(source), inner.cotangents[source]
            steps.append(BackwardStep(node, index, name, cotangent, contribution))
    return steps


def gradients(
    output: Node, wrt: Sequence[Node], cotangent: Node | None = None
) -> list[Node]:
    """Return the gradients ∂L/∂w of the variables; zeros if the output does not depend on one.

    Args:
        output: The node to differentiate.
        wrt: The variables.
        cotangent: The cotangent ∂L/∂output; 1 by default, for a scalar output.

    >>> x = build.input_node("x", (3,))
    >>> gradients(build.sum_over(build.exp(x)), [x])
    [<multiply (3) float32>]
    """
    found = backpropagate(output, wrt, cotangent).cotangents
    return [found.get(node) or build.full(node.shape, 0.0, node.dtype) for node in wrt]
