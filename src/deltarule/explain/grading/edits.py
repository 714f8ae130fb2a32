"""Edits of a term: one part replaced by another, with what a student would call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from deltarule.explain.formula.coefficients import is_constant
from deltarule.explain.formula.term import (
    Apply,
    Diagonal,
    Indicator,
    Matmul,
    Product,
    Sum,
    Term,
    Total,
    Transpose,
    is_number,
)


@dataclass(frozen=True)
class Edit:
    """A term with one part replaced.

    Attributes:
        kind: The name of the mistake.
        before: The part that was replaced; None where one was put in.
        after: What replaces it; None where it was removed.
        term: The whole term with the replacement.
        weight: How far-fetched the edit is: 1 for a usual mistake.
        place: The smallest part around it that makes the place clear.
    """

    kind: str
    before: Term | None
    after: Term | None
    term: Term
    weight: float = 1.0
    place: Term | None = None


@dataclass(frozen=True)
class Spot:
    """A part of a term: what it is, how to put another in its place, and where it stands."""

    part: Term
    put: Callable[[Term], Term]
    parent: Term | None = None
    in_slope: bool = False

    @property
    def is_root(self) -> bool:
        """Whether the part is the whole term."""
        return self.parent is None

    def fits(self, other: Term) -> bool:
        """Whether another term may stand here."""
        return (
            self.is_root
            or other.shape == self.part.shape
            or (is_number(other.shape) and is_number(self.part.shape))
        )


def spots(term: Term) -> Iterator[Spot]:
    """Yield every part of a term, the whole first."""
    stack = [Spot(term, _itself)]
    while stack:
        spot = stack.pop()
        yield spot
        stack.extend(reversed(list(_inner(spot))))


def _itself(term: Term) -> Term:
    return term


def _inner(spot: Spot) -> Iterator[Spot]:
    term, put = spot.part, spot.put
    in_slope = spot.in_slope or isinstance(term, (Apply, Indicator))
    if isinstance(term, Sum) and any(is_constant(part) for part in term.terms):
        in_slope = True
    for i, part in enumerate(_parts(term)):
        yield Spot(part, _Put(put, term, i), term, in_slope)


def _parts(term: Term) -> tuple[Term, ...]:
    if isinstance(term, Product):
        return tuple(factor for factor, _ in term.factors)
    if isinstance(term, Sum):
        return term.terms
    if isinstance(term, Matmul):
        return term.factors
    if isinstance(term, (Transpose, Diagonal, Total)):
        return (term.body,)
    if isinstance(term, Indicator):
        return (term.left, term.right)
    return term.arguments if isinstance(term, Apply) else ()


@dataclass(frozen=True)
class _Put:
    """Put another part in place ``at`` of a term, and that in its own place."""

    outer: Callable[[Term], Term]
    term: Term
    at: int

    def __call__(self, part: Term) -> Term:
        return self.outer(with_part(self.term, self.at, part))


def with_part(term: Term, at: int, part: Term) -> Term:
    """Return a term with another part in place ``at``, not simplified."""
    if isinstance(term, Product):
        factors = tuple(
            (part if i == at else factor, exponent)
            for i, (factor, exponent) in enumerate(term.factors)
        )
        return replace(term, factors=factors)
    if isinstance(term, Sum):
        return replace(term, terms=_with(term.terms, at, part))
    if isinstance(term, Matmul):
        return replace(term, factors=_with(term.factors, at, part))
    if isinstance(term, (Transpose, Diagonal, Total)):
        return replace(term, body=part)
    if isinstance(term, Indicator):
        return replace(term, right=part) if at else replace(term, left=part)
    if isinstance(term, Apply):
        return replace(term, arguments=_with(term.arguments, at, part))
    return part


def _with(parts: tuple[Term, ...], at: int, part: Term) -> tuple[Term, ...]:
    return (*parts[:at], part, *parts[at + 1 :])
