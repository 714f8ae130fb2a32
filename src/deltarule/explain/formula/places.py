"""Vectors put into zeros, place(x; i): sums of their products with other vectors."""

from __future__ import annotations

from deltarule.explain.formula.algebra import multiply, power, scale, total
from deltarule.explain.formula.coefficients import factors_of
from deltarule.explain.formula.term import Apply, Term, is_number
from deltarule.graph import build
from deltarule.graph.op import Op


def total_of_placed(term: Term) -> Term | None:
    """Return Σ place(x; i) = Σx and Σ place(x; i) ⊙ y = Σ x ⊙ y[i] of vectors; None for other terms."""
    coefficient, factors = factors_of(term)
    placed = [f for f, e in factors if e == 1 and isinstance(f, Apply) and _pads(f)]
    if len(placed) != 1:
        return None
    (place,) = placed
    (piece,) = place.arguments
    others = [
        power(other if is_number(other.shape) else _taken(other, place, piece), e)
        for other, e in factors
        if other is not place
    ]
    return scale(coefficient, total(multiply(piece, *others)))


def _pads(term: Apply) -> bool:
    """Whether a term is a vector put into zeros without gaps."""
    body = term.body
    return body.op is Op.PAD and body.rank == 1 and not any(body.attributes["interior"])


def _taken(vector: Term, place: Apply, piece: Term) -> Term:
    """Return the entries of a vector where the piece is placed; as the piece writes them, if it has them."""
    low = place.body.attributes["low"][0]
    size = place.parameters[0].shape[0]
    for factor, _ in factors_of(piece)[1]:
        if (
            isinstance(factor, Apply)
            and factor.body.op is Op.SLICE
            and factor.arguments == (vector,)
            and tuple(factor.body.attributes["starts"]) == (low,)
        ):
            return factor
    whole = build.input_node("x", (vector.shape[0],), place.body.dtype)
    taken = build.slice_axes(whole, [low], [low + size])
    shape = (size, 1)
    return Apply("slice", (vector,), shape, taken, (whole,))
