"""What is said about an edit: the part that stands there and the part that belongs there."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from deltarule.explain.formula.coefficients import split
from deltarule.explain.formula.term import Product, Term
from deltarule.explain.formula.typeset import typeset
from deltarule.explain.grading.edits import Edit
from deltarule.explain.grading.slopes import Says
from deltarule.render.mathematics import to_text


def says(edit: Edit, of_answer: bool) -> Says:
    """Return what is wrong; ``of_answer``: the edit corrects the answer, else it spoils the derivation."""
    here, belongs = (
        (edit.before, edit.after) if of_answer else (edit.after, edit.before)
    )
    if here is None and belongs is not None:
        return _missing(edit.kind, belongs)
    if belongs is None and here is not None:
        word = "term" if edit.kind == "term" else "factor"
        return (f"the {word} ", here, " is too many")
    if here is None or belongs is None:
        return ("it differs",)
    if edit.kind == "sign":
        return ("the sign of ", belongs, " is wrong")
    if edit.kind == "factor":
        return _scaled(here, belongs)
    if edit.kind == "power":
        return _power(here, belongs)
    if edit.kind == "order":
        return ("the order of ", here, " is reversed")
    if edit.kind == "product":
        other = "⊙" if isinstance(here, Product) else "the matrix product"
        return (f"{other} stands in ", here, ": the other product belongs there")
    if edit.kind == "axis":
        return _axis(edit, here, of_answer)
    if edit.kind == "kink":
        return (here, " is on the wrong side of the kink")
    return (here, " stands where ", belongs, " belongs")


def _missing(kind: str, belongs: Term) -> Says:
    if kind == "term":
        return ("the term ", belongs, " is missing")
    if kind == "activation":
        return (
            "the factor ",
            belongs,
            " is missing: you stepped over the activation",
        )
    return ("the factor ", belongs, " is missing")


def _scaled(here: Term, belongs: Term) -> Says:
    above, _ = split(here)
    below, _ = split(belongs)
    ratio = Fraction(above / below).limit_denominator(10_000)
    shown = {Fraction(2): "2", Fraction(1, 2): "½"}.get(ratio, str(ratio))
    return (belongs, f" is multiplied by {shown}")


def _power(here: Term, belongs: Term) -> Says:
    degrees = int(_degree(here)), int(_degree(belongs))
    if degrees == (2, 1):
        return ("the square of ", belongs, " is one too many")
    if degrees == (1, 2):
        return ("the square of ", here, " is missing")
    return (here, " stands where ", belongs, " belongs")


def _degree(term: Term) -> Fraction:
    """Return the exponent of a power that stands alone."""
    alone = isinstance(term, Product) and len(term.factors) == 1
    return term.factors[0][1] if alone and isinstance(term, Product) else Fraction(1)


def _axis(edit: Edit, here: Term, of_answer: bool) -> Says:
    if of_answer and edit.place is None:
        return ("the sum over the other axis of ", here, " is missing")
    return (here, " sums over the other axis")


def rendered(parts: Says, show: Callable[[Term], str] | None = None) -> str:
    """Return a sentence as text."""
    shown = show or text
    return "".join(part if isinstance(part, str) else shown(part) for part in parts)


def text(term: Term) -> str:
    """Return a term as text."""
    return to_text(typeset(term))
