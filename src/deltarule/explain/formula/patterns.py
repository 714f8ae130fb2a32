"""Subgraphs that are printed as one function: one-hot labels, the winner of a maximum, f′(z), unpooling, σ of a batch.

Equal expressions are one node, so a part of a graph is recognised by building it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltarule.explain.formula.algebra import multiply
from deltarule.explain.formula.from_graph import Pattern, hinge_parts
from deltarule.explain.formula.term import Apply, Term, matrix_shape
from deltarule.grad.reverse import Backpropagation, BackwardStep, backpropagate
from deltarule.grad.rules import first_maximum
from deltarule.graph import build
from deltarule.graph.function import expansion
from deltarule.graph.functions.losses import one_hot
from deltarule.graph.node import Node
from deltarule.graph.op import Op

_BEND = frozenset({"gelu", "silu", "selu"})
_POOL = frozenset({"max_pool", "average_pool"})


@dataclass(frozen=True)
class Recognised:
    """A node that is printed as one function of other nodes.

    >>> x = build.input_node("x", (3,))
    >>> as_function("f", build.exp(x), [x]).operands
    (<x (3) float32>,)
    """

    node: Node
    operands: tuple[Node, ...]
    pattern: Pattern


@dataclass(frozen=True)
class Auxiliary:
    """A quantity in the gradient of a function, which gets a line in the forward pass."""

    node: Node
    name: str


def as_function(name: str, node: Node, operands: Sequence[Node]) -> Recognised:
    """Print a node as name(operands).

    >>> from deltarule.explain.formula.term import Symbol
    >>> from deltarule.explain.formula.typeset import term_text
    >>> x = Symbol.of("x", (3, 1))
    >>> term_text(as_function("f", build.exp(x.node), [x.node]).pattern((x,)))
    'f(x)'
    """

    def pattern(arguments: tuple[Term, ...]) -> Term:
        return Apply(name, arguments, matrix_shape(node.shape), node, tuple(operands))

    return Recognised(node, tuple(operands), pattern)


def recognised(order: Sequence[Node], walk: Backpropagation) -> Iterator[Recognised]:
    """Yield the recognised subgraphs of a forward graph and its backpropagation."""
    for node in order:
        function = node.attributes.get("function") if node.op is Op.CALL else None
        if function in {"cross_entropy_of_labels", "multiclass_hinge"}:
            logits, labels = node.sources
            yield as_function(
                "one_hot", one_hot(labels, logits.shape[-1], logits), (labels,)
            )
        if node.op is Op.MAX:
            winner = first_maximum(node.sources[0], node.attributes["axes"])
            yield as_function("winner", winner, (node.sources[0],))
    for step in walk.steps:
        function = (
            step.node.attributes.get("function") if step.node.op is Op.CALL else None
        )
        if function in _POOL:
            yield as_function(
                f"{function}_pullback", step.contribution, (step.cotangent, step.source)
            )
        if function in _BEND:
            yield _slope(step, str(function))


def _slope(step: BackwardStep, function: str) -> Recognised:
    """Print the share of an element-wise function as g ⊙ f′(z)."""
    ones = build.full(step.node.shape, 1.0, step.node.dtype)
    inner = backpropagate(
        expansion(step.node), [step.source], ones, frozenset({step.source})
    )
    slope = inner.cotangents[step.source]

    def pattern(arguments: tuple[Term, ...]) -> Term:
        cotangent, source = arguments
        shape = matrix_shape(step.node.shape)
        return multiply(
            cotangent,
            Apply(f"{function}_slope", (source,), shape, slope, (step.source,)),
        )

    return Recognised(step.contribution, (step.cotangent, step.source), pattern)


def auxiliaries(order: Sequence[Node]) -> Iterator[Auxiliary]:
    """Yield mean and deviation of a normalisation, the margins of a hinge loss and which are violated."""
    for node in order:
        function = node.attributes.get("function") if node.op is Op.CALL else None
        if function == "normalize":
            x, axes = node.sources[0], node.attributes["axes"]
            mean = build.mean(x, axes, keepdims=True)
            centred = build.subtract(x, mean)
            variance = build.mean(build.multiply(centred, centred), axes, keepdims=True)
            yield Auxiliary(mean, "mu")
            yield Auxiliary(
                build.sqrt(build.add(variance, node.attributes["epsilon"])), "s"
            )
        if function == "multiclass_hinge":
            margins, violated = hinge_parts(node)
            yield Auxiliary(margins, "D" if margins.rank > 1 else "d")
            yield Auxiliary(violated, "M" if margins.rank > 1 else "m")
