"""Known mistakes: the derivation with one line spoiled, carried through to the wanted gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from deltarule.errors import ShapeError
from deltarule.explain.algebra import add, is_constant, matmul, multiply, number, power, transpose
from deltarule.explain.derivation import Line
from deltarule.explain.lowering import lower
from deltarule.explain.term import (
    Apply,
    Indicator,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Transpose,
    is_number,
    symbols,
)
from deltarule.explain.typeset import typeset
from deltarule.graph.node import Node
from deltarule.render.mathematics import to_text


@dataclass(frozen=True)
class Spoiled:
    """A term with one mistake: its kind and what to say about it."""

    kind: str
    message: str
    term: Term


@dataclass(frozen=True)
class Mistake:
    """A wrong gradient: which line is spoiled, how, and the graph of the result."""

    kind: str
    message: str
    line: int
    node: Node


def mistakes(lines: Sequence[Line], wanted: Line) -> Iterator[Mistake]:
    """Yield the wrong gradients that one mistake in one line leads to."""
    needed = _needed(lines, wanted)
    for line in needed:
        for spoiled in spoil(line.term):
            try:
                node = chain(needed, wanted, {line.number: spoiled.term})
            except ShapeError:
                continue
            yield Mistake(spoiled.kind, spoiled.message, line.number, node)


def chain(lines: Sequence[Line], wanted: Line, spoiled: Mapping[int, Term]) -> Node:
    """Return the graph of a wanted gradient, line after line, some of them replaced."""
    known: dict[Symbol, Node] = {}
    result = wanted.value
    for line in lines:
        result = lower(spoiled.get(line.number, line.term), line.value.dtype, known)
        if line.alias is not None:
            known[line.alias] = result
    return result


def _needed(lines: Sequence[Line], wanted: Line) -> list[Line]:
    """Return the lines that lead to a wanted one, in order, itself last."""
    by_alias = {line.alias: line for line in lines if line.alias is not None}
    found: dict[int, Line] = {wanted.number: wanted}
    stack = [wanted]
    while stack:
        for symbol in symbols(stack.pop().term):
            above = by_alias.get(symbol)
            if above is not None and above.number not in found:
                found[above.number] = above
                stack.append(above)
    return [found[number] for number in sorted(found)]


def spoil(term: Term) -> Iterator[Spoiled]:
    """Yield a term with each known mistake in each of its places."""
    yield from _spoil_here(term)
    for rebuild, part in _places(term):
        for inner in spoil(part):
            try:
                yield Spoiled(inner.kind, inner.message, rebuild(inner.term))
            except ShapeError:
                continue


def _spoil_here(term: Term) -> Iterator[Spoiled]:
    if isinstance(term, Sum) and any(isinstance(part, Matmul) or not is_number(part.shape) for part in term.terms):
        for i, part in enumerate(term.terms):
            rest = (*term.terms[:i], *term.terms[i + 1 :])
            yield Spoiled("path", f"the path {_text(part)} is missing: at a fan-out the paths add up", add(*rest))
    if isinstance(term, Product):
        yield from _spoil_product(term)
    if isinstance(term, Matmul):
        yield from _spoil_matmul(term)


def _spoil_product(term: Product) -> Iterator[Spoiled]:
    yield from _stepped_over(term)
    for i, (factor, exponent) in enumerate(term.factors):
        rest = (*term.factors[:i], *term.factors[i + 1 :])
        if not rest or exponent < 0:
            continue
        gate = isinstance(factor, (Indicator, Sum)) or (isinstance(factor, Apply) and factor.name.endswith("slope"))
        what = _text(factor if exponent == 1 else power(factor, exponent))
        kind = "activation" if gate else "factor"
        step = "you stepped over the activation" if gate else "a multiply gate hands its other operand on"
        try:
            yield Spoiled(kind, f"the factor {what} is missing: {step}", Product(term.coefficient, rest, term.shape))
        except ShapeError:
            continue


def _stepped_over(term: Product) -> Iterator[Spoiled]:
    """Yield a product of three or more factors with all but one of them forgotten: a whole derivative is missing."""
    if len(term.factors) < 3:
        return
    for i, (factor, exponent) in enumerate(term.factors):
        rest = Product(term.coefficient, (*term.factors[:i], *term.factors[i + 1 :]), term.shape)
        if exponent == 1 and factor.shape == term.shape and not isinstance(factor, Indicator):
            message = f"the derivative {_text(rest)} is missing: you stepped over the activation"
            yield Spoiled("activation", message, factor)


def _spoil_matmul(term: Matmul) -> Iterator[Spoiled]:
    factors = term.factors
    for i, factor in enumerate(factors):
        if isinstance(factor, (Symbol, Transpose)) and not is_number(factor.shape):
            try:
                turned = matmul(*factors[:i], transpose(factor), *factors[i + 1 :])
            except ShapeError:
                turned = None
            if turned is not None:
                shown, other = _text(factor), _text(transpose(factor))
                yield Spoiled("transpose", f"{other} stands where {shown} belongs", turned)
    if is_constant(factors[-1], 1) and len(factors) == 2 and len(factors[0].shape) == 2:
        rows = factors[0].shape[0]
        wrong = matmul(transpose(factors[0]), number(Fraction(1), (rows, 1)))
        yield Spoiled("axis", f"{_text(term)} sums over the other axis", wrong)
    if len(factors) == 2:
        try:
            yield Spoiled("order", f"the order of {_text(term)} is reversed", matmul(factors[1], factors[0]))
        except ShapeError:
            return


def _places(term: Term) -> Iterator[tuple[_Rebuild, Term]]:
    """Yield every part of a term with a function that puts another in its place."""
    if isinstance(term, Sum):
        for i in range(len(term.terms)):
            yield _Rebuild(term, i), term.terms[i]
    if isinstance(term, Matmul):
        for i in range(len(term.factors)):
            yield _Rebuild(term, i), term.factors[i]
    if isinstance(term, Product):
        for i, (factor, exponent) in enumerate(term.factors):
            if exponent == 1:
                yield _Rebuild(term, i), factor
    if isinstance(term, Transpose):
        yield _Rebuild(term, 0), term.body


@dataclass(frozen=True)
class _Rebuild:
    """Put another part in place ``at`` of a term."""

    term: Term
    at: int

    def __call__(self, part: Term) -> Term:
        term, at = self.term, self.at
        if isinstance(term, Sum):
            return add(*term.terms[:at], part, *term.terms[at + 1 :])
        if isinstance(term, Matmul):
            return matmul(*term.factors[:at], part, *term.factors[at + 1 :])
        if isinstance(term, Product):
            rest = Product(term.coefficient, (*term.factors[:at], *term.factors[at + 1 :]), term.shape)
            return multiply(part, rest)
        return transpose(part)


def _text(term: Term) -> str:
    return to_text(typeset(term))
