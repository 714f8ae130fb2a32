"""The array that the value of a formula is, in the shape that is expected."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.errors import ShapeError
from deltarule.explain.formula.term import is_number
from deltarule.explain.reading.meaning.values import Value, sized_identity, squeezed
from deltarule.explain.reading.syntax import (
    Addition,
    Expression,
    Literal,
    Multiplication,
    Negative,
    Power,
    Quotient,
    parts,
)
from deltarule.explain.reading.tokens import Token
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.shapes import Shape, Size


def filled(tree: Expression, value: Value, like: Shape | None) -> Value:
    """Return the array of one number where the formula is a number, such as 0 and 1/5."""
    if like is None or is_number(like) or value.shape or value.indices:
        return value
    numeric = (Literal, Negative, Addition, Multiplication, Quotient, Power)
    if value.identity or not all(isinstance(part, numeric) for part in parts(tree)):
        return value
    return Value(build.broadcast_to(value.node, like))


def free_order(left: Sequence[Token], used: frozenset[str]) -> list[str]:
    """Return the free indices in the order of the left side, then those of the alphabet."""
    last = max(
        (i for i, t in enumerate(left) if t.kind == "sign" and t.text in {"_", "/"}),
        default=0,
    )
    letters = [
        c for t in left[last:] if t.kind == "word" for c in t.text if t.text.isalpha()
    ]
    named = [c for c in letters if len(c) == 1 and c in "ijklmnpqrstuv"]
    return [*dict.fromkeys(named), *sorted(used - set(named))]


def fitted(value: Value, order: Sequence[str], like: Shape | None) -> Node:
    """Return the matrix of a value: free indices become axes, 𝟙 and I get the expected size."""
    if value.mask is not None:
        if like is None:
            raise ShapeError(
                "answer",
                expected="an array beside 𝟙",
                got="a comparison of indices alone",
            )
        return value.mask(like)
    if value.indices:
        return _from_indices(value, order, like)
    if value.identity:
        if like is None:
            raise ShapeError("answer", expected="a matrix of known size", got="I alone")
        return sized_identity(value, like).node
    if any(value.free):
        return _from_free(value, like)
    if (
        like is not None
        and value.shape != like
        and (value.loose or len(value.shape) > 2 or len(like) > 2)
    ):
        flat = squeezed(value)
        if _core(flat.shape) == _core(like):
            return build.reshape(flat.node, like)
    if like is not None and len(like) > 2 and 0 < len(value.shape) < len(like):
        whole = (*(1,) * (len(like) - len(value.shape)), *value.shape)
        if all(a in (1, b) for a, b in zip(whole, like, strict=True)):
            return build.broadcast_to(build.reshape(value.node, whole), like)
    return (
        squeezed(value).node
        if len(value.shape) > 2 and like is not None and len(like) <= 2
        else value.node
    )


def _core(shape: Shape) -> list[Size]:
    return [size for size in shape if size != 1]


def _from_free(value: Value, like: Shape | None) -> Node:
    shape = value.shape
    fits = like is not None and len(like) == 2 == len(shape)
    if not fits or like is None:
        raise ShapeError(
            "answer", expected="a formula", got="𝟙, whose length no factor determines"
        )
    wanted = tuple(
        like[axis] if value.free[axis] and shape[axis] == 1 else shape[axis]
        for axis in (0, 1)
    )
    return build.broadcast_to(value.node, wanted)


def _from_indices(value: Value, order: Sequence[str], like: Shape | None) -> Node:
    names = [name for name in order if name in value.indices]
    named = [*names, *(name for name in value.indices if name not in names)]
    if not is_number(value.shape):
        if len(named) == 1 and len(value.shape) == 2 and 1 in value.shape:
            core = [size for size in value.shape if size != 1]
            return build.reshape(value.node, (value.node.shape[0], *core))
        raise ShapeError(
            "answer", expected="the entries of one array", got="an array for each index"
        )
    node = build.permute(
        build.reshape(value.node, value.node.shape[: len(value.indices)]),
        tuple(value.indices.index(name) for name in named),
    )
    if len(named) > 2:
        shape = node.shape
        return (
            node
            if like is None or _core(shape) != _core(like)
            else build.reshape(node, like)
        )
    absent = [name for name in order if name not in value.indices and len(name) == 1]
    if len(named) == 1:
        row = bool(absent) and order.index(named[0]) == 1
        if like is not None and len(like) == 2 and 1 in like and node.shape[0] in like:
            return build.reshape(node, like)
        return build.reshape(node, (1, *node.shape) if row else (*node.shape, 1))
    return node
