"""What may be assumed of an input: one-hot, a distribution, binary, positive, symmetric, orthogonal and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from deltarule.errors import ArgumentError
from deltarule.explain.formula.term import Symbol, matrix_shape
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.walk import inputs, topological
from deltarule.shapes import show

KINDS: Final = (
    "one-hot",
    "distribution",
    "binary",
    "positive",
    "nonnegative",
    "unit",
    "integer",
    "symmetric",
    "positive definite",
    "orthogonal",
)
SUMS_TO_ONE: Final = frozenset({"one-hot", "distribution"})
_SYMMETRIC = frozenset({"symmetric", "positive definite"})
_SQUARE = frozenset({*_SYMMETRIC, "orthogonal"})
_IDEMPOTENT = frozenset({"one-hot", "binary"})
_DISCRETE = frozenset({*_IDEMPOTENT, "integer"})
_WITHOUT_LOGARITHM = frozenset({*_DISCRETE, *_SQUARE}) - {"positive definite"}
_OTHER_NAMES: Final = {
    "onehot": "one-hot",
    "probabilities": "distribution",
    "definite": "positive definite",
    "spd": "positive definite",
    "non-negative": "nonnegative",
}


def checked(
    assume: Mapping[Node, str], loss: Node, wrt: Sequence[Node]
) -> dict[Node, str]:
    """Return the assumptions by their usual names.

    Raises:
        ArgumentError: an unknown kind, one that the tensor cannot have, or a tensor that is no input of the loss.
    """
    order = topological([loss])
    given = set(inputs([loss]))
    found = {}
    for node, word in assume.items():
        name = str(node.attributes.get("name") or "")
        where = f"assume {name}".rstrip()
        if node not in given:
            raise ArgumentError(
                where,
                expected="an input of the loss",
                got=build.describe(node),
                hint="Assumptions are about inputs: data, targets and parameters.",
            )
        kind = _kind(where, word)
        _check_shape(where, kind, node)
        if node in wrt and kind in _DISCRETE:
            raise ArgumentError(
                where,
                expected="a variable of real values, since the loss is differentiated with respect to it",
                got=kind,
            )
        if kind in _WITHOUT_LOGARITHM and _has_logarithm(node, order):
            raise ArgumentError(
                where,
                expected="positive values, since the loss takes its logarithm",
                got=kind,
            )
        found[node] = kind
    return found


def _kind(where: str, word: object) -> str:
    text = word.strip().lower().replace("_", "-") if isinstance(word, str) else ""
    spaced = text.replace("-", " ")
    for name in (text, spaced, _OTHER_NAMES.get(text, "")):
        if name in KINDS:
            return name
    raise ArgumentError(where, expected=f"one of {', '.join(KINDS)}", got=repr(word))


def _check_shape(where: str, kind: str, node: Node) -> None:
    """Raise ArgumentError where an array of this shape and type cannot be of a kind."""
    if not node.dtype.is_float:
        expected, got = "a tensor of real numbers", build.describe(node)
    elif kind in _SQUARE and (node.rank != 2 or node.shape[0] != node.shape[1]):
        expected, got = "a square matrix", f"{kind}, shape {show(node.shape)}"
    elif kind in SUMS_TO_ONE and (not node.rank or node.shape[-1] == 1):
        expected, got = "an axis of two classes or more", f"shape {show(node.shape)}"
    else:
        return
    raise ArgumentError(where, expected=expected, got=got)


def _has_logarithm(node: Node, order: Sequence[Node]) -> bool:
    """Whether a loss takes the logarithm of an input itself, or its Cholesky factor."""
    moved = {node}
    for other in order:
        if other.op in {Op.RESHAPE, Op.BROADCAST, Op.PERMUTE, Op.CAST, Op.SLICE}:
            if other.sources[0] in moved:
                moved.add(other)
        elif other.op in {Op.LOG, Op.CHOLESKY} and other.sources[0] in moved:
            return True
    return False


def symbol_of(node: Node, name: str, kind: str | None) -> Symbol:
    """Return the symbol of an input with what is known of it."""
    return Symbol(
        name,
        matrix_shape(node.shape),
        node,
        symmetric=kind in _SYMMETRIC,
        orthogonal=kind == "orthogonal",
        idempotent=kind in _IDEMPOTENT,
    )
