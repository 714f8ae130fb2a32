"""What the targets of a loss are meant to be: one-hot or a distribution in a cross-entropy, 0 or 1 in a binary one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deltarule.explain.derivation.derivation import Derived
from deltarule.explain.proof.domains import domains
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import topological

_MOVES = frozenset({Op.RESHAPE, Op.BROADCAST, Op.PERMUTE, Op.CAST, Op.NEGATE})
_OF_CLASSES = frozenset({"cross_entropy", "cross_entropy_of_probabilities"})
_BINARY = frozenset({"binary_cross_entropy", "binary_cross_entropy_of_probabilities"})


@dataclass(frozen=True)
class Targets:
    """The kinds that targets may be meant to have, most general first.

    ``summing`` are those of a cross-entropy written by hand, whose derivation has Σy = 1.
    """

    kinds: tuple[tuple[Node, str], ...]
    summing: tuple[Node, ...]


def targets(every: Derived, steps: Derived) -> Targets:
    """Return the targets of the losses in a derivation, of which nothing is assumed."""
    drawn = domains(every.source, every.assumed)
    found: dict[tuple[Node, str], None] = {}
    summing: dict[Node, None] = {}
    meant = list(dict.fromkeys(_meant([every.source, steps.loss])))
    for node, _ in meant:
        own = drawn.get(node)
        if own is None or node in every.assumed or node in every.wrt:
            continue
        if (node, "binary") in meant:
            found.setdefault((node, "binary"))
            continue
        if own.kind != "distribution":
            found.setdefault((node, "distribution"))
            if any(symbol.node is node for symbol in steps.distributions):
                summing.setdefault(node)
        found.setdefault((node, "one-hot"))
    return Targets(tuple(found), tuple(summing))


def _meant(losses: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    """Yield inputs that are targets of a cross-entropy, with "classes" or "binary"."""
    order = topological(losses)
    for node in order:
        function = node.attributes["function"] if node.op is Op.CALL else ""
        if function in _OF_CLASSES | _BINARY:
            yield (
                _peeled(node.sources[1]),
                "binary" if function in _BINARY else "classes",
            )
        if node.op in {Op.MULTIPLY, Op.MATMUL}:
            for target, other in (node.sources, node.sources[::-1]):
                inner = _peeled(target)
                if _is_logarithm(_peeled(other)) and inner.op is Op.INPUT:
                    several = inner.rank and inner.shape[-1] != 1
                    yield inner, "classes" if several else "binary"
    for loss in losses:
        for node, domain in domains(loss).items():
            if domain.kind == "unit":
                yield node, "binary"


def _peeled(node: Node) -> Node:
    while node.op in _MOVES:
        node = node.sources[0]
    return node


def _is_logarithm(node: Node) -> bool:
    return node.op is Op.LOG or (
        node.op is Op.CALL and node.attributes["function"] == "log_softmax"
    )


def assumption_text(name: str, kind: str, rank: int) -> str:
    """Say what is assumed of a target.

    >>> assumption_text("y", "distribution", 1), assumption_text("Y", "one-hot", 2)
    ('y is one-hot or a distribution (Σᵢ yᵢ = 1)', 'the rows of Y are one-hot')
    """
    if kind == "binary":
        return f"{name} is binary (0 or 1)"
    subject = f"{name} is" if rank == 1 else f"the rows of {name} are"
    if kind == "one-hot":
        return f"{subject} one-hot"
    total = f"Σᵢ {name}ᵢ = 1" if rank == 1 else f"Σⱼ {name}ᵢⱼ = 1"
    return f"{subject} one-hot or {'a distribution' if rank == 1 else 'distributions'} ({total})"
