"""Corrections of a term: every edit that a tutor would try, one place at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from deltarule.explain.formula.coefficients import is_constant, number
from deltarule.explain.formula.term import (
    COMPLEMENT,
    MIRROR,
    Apply,
    Diagonal,
    Indicator,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Total,
    Transpose,
    is_number,
)
from deltarule.explain.grading.edits import Edit, Spot, spots
from deltarule.explain.grading.slopes import COMMON, Gate, applied, groups
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.shapes import Shape

_ONE = Fraction(1)
_POWERS = {
    Fraction(here): tuple(map(Fraction, there))
    for here, there in {1: (2,), 2: (1, 3), 3: (2, 1)}.items()
}


@dataclass(frozen=True)
class Bank:
    """What may stand in a correction: symbols, and activations of the network."""

    symbols: tuple[Symbol, ...]
    gates: tuple[Gate, ...]
    parameters: frozenset[Node]
    data: frozenset[Node]
    derivatives: frozenset[Node]

    def is_derivative(self, symbol: Symbol) -> bool:
        """Whether a symbol is a derivative of the loss."""
        return symbol.node in self.derivatives

    def of_shape(self, shape: Shape) -> Iterator[Term]:
        """Yield symbols of a shape, then transposes of those of the transposed shape."""
        for symbol in self.symbols:
            if symbol.shape == shape:
                yield symbol
        if len(shape) == 2 and shape[0] != shape[1]:
            for symbol in self.symbols:
                if symbol.shape == shape[::-1]:
                    yield Transpose(symbol, shape)

    def slopes(self, shape: Shape) -> Iterator[tuple[Gate, Term]]:
        """Yield the derivatives of activations in a shape."""
        for gate in self.gates:
            if gate.shape == shape:
                yield gate, gate.slope
            elif len(shape) == 2 and gate.shape == shape[::-1]:
                yield gate, Transpose(gate.slope, shape)


def corrections(term: Term, bank: Bank, target: Shape) -> Iterator[Edit]:
    """Yield a term with each usual mistake undone (or made) in each of its places.

    ``target`` is the shape that the whole should have.
    """
    for spot in spots(term):
        yield from _at(spot, bank)
    yield from _summed(term, target)


def _at(spot: Spot, bank: Bank) -> Iterator[Edit]:
    part = spot.part
    if is_constant(part):
        return
    yield from _slopes(spot, bank)
    if isinstance(part, Symbol):
        yield from _symbols(spot, part, bank)
    if isinstance(part, Sum):
        yield from _sums(spot, part)
    if isinstance(part, Product):
        yield from _products(spot, part)
    if isinstance(part, Matmul):
        yield from _chains(spot, part)
    if isinstance(part, Indicator):
        yield from _indicators(spot, part)
    if isinstance(part, Apply):
        yield from _functions(spot, part, bank)
    yield from _turned(spot)
    yield from _missing(spot, bank)


# ---------------------------------------------------------------- symbols


def _symbols(spot: Spot, part: Symbol, bank: Bank) -> Iterator[Edit]:
    """Yield another symbol of the same shape, its square, and a difference with data."""
    if not spot.is_root:
        for other in bank.of_shape(part.shape):
            inner = other.body if isinstance(other, Transpose) else other
            if inner == part or not isinstance(inner, Symbol):
                continue
            both = part.node in bank.parameters and inner.node in bank.parameters
            kind = "parameter" if both else "argument" if spot.in_slope else "signal"
            weight = (
                1.25 if bank.is_derivative(inner) > bank.is_derivative(part) else 1.0
            )
            yield Edit(kind, part, other, spot.put(other), weight, spot.parent)
        square = Product(_ONE, ((part, Fraction(2)),), part.shape)
        if isinstance(spot.parent, (Sum, Product, Diagonal)):
            yield Edit("power", part, square, spot.put(square), 1.1, spot.parent)
    if not isinstance(spot.parent, Sum) and not spot.in_slope:
        for other in bank.symbols:
            if other.shape == part.shape and other.node in bank.data and other != part:
                minus = Product(-_ONE, ((other, _ONE),), part.shape)
                more = spot.put(Sum((part, minus), part.shape))
                yield Edit("term", None, minus, more, 1.2, spot.parent)


# ---------------------------------------------------------------- sums


def negated(term: Term) -> Term:
    """Return −term, not simplified."""
    if isinstance(term, Product):
        return replace(term, coefficient=-term.coefficient)
    return Product(-_ONE, ((term, _ONE),), term.shape)


def _sums(spot: Spot, part: Sum) -> Iterator[Edit]:
    """Yield a sum with a term of the other sign, missing, twice or half."""
    for i, one in enumerate(part.terms):
        others = (*part.terms[:i], *part.terms[i + 1 :])
        rest = others[0] if len(others) == 1 else Sum(others, part.shape)
        turned = spot.put(
            replace(part, terms=(*part.terms[:i], negated(one), *part.terms[i + 1 :]))
        )
        yield Edit("sign", one, negated(one), turned, 1.0, part)
        if rest.shape == part.shape:
            yield Edit("term", one, None, spot.put(rest), 1.0, part)
        if is_constant(one):
            continue
        if isinstance(one, Product) and abs(one.coefficient) != 1:
            unit = replace(one, coefficient=_ONE if one.coefficient > 0 else -_ONE)
            terms = (*part.terms[:i], unit, *part.terms[i + 1 :])
            put = spot.put(replace(part, terms=terms))
            yield Edit("factor", one, unit, put, 1.1, part)
        for times in (Fraction(2), Fraction(1, 2)):
            scaled = Product(times, ((one, _ONE),), one.shape)
            terms = (*part.terms[:i], scaled, *part.terms[i + 1 :])
            yield Edit(
                "factor", one, scaled, spot.put(replace(part, terms=terms)), 1.1, part
            )


# ---------------------------------------------------------------- products


def _products(spot: Spot, part: Product) -> Iterator[Edit]:
    """Yield a product without a factor, with another power of it, or as a matrix product."""
    arrays = [f for f, _ in part.factors if f.shape == part.shape]
    for i, (factor, exponent) in enumerate(part.factors):
        rest = (*part.factors[:i], *part.factors[i + 1 :])
        lonely = not rest or (factor.shape == part.shape and len(arrays) == 1)
        shown = _powered(factor, exponent)
        if not lonely and not _is_size(factor):
            left: Term = replace(part, factors=rest)
            yield Edit(_factor_kind(factor), shown, None, spot.put(left), 1.0, part)
        others = () if isinstance(factor, Indicator) else _POWERS.get(exponent, ())
        for other in others:
            powers = (*part.factors[:i], (factor, other), *part.factors[i + 1 :])
            there = _powered(factor, other)
            yield Edit(
                "power",
                shown,
                there,
                spot.put(replace(part, factors=powers)),
                1.1,
                part,
            )
    square = (
        len(part.shape) == 2 and part.shape[0] == part.shape[1] and part.shape[0] != 1
    )
    if (
        square
        and len(arrays) == 2 == len(part.factors)
        and all(e == 1 for _, e in part.factors)
    ):
        (a, _), (b, _) = part.factors
        for pair in ((a, b), (b, a)):
            made = Product(
                part.coefficient, ((Matmul(pair, part.shape), _ONE),), part.shape
            )
            yield Edit(
                "product", part, Matmul(pair, part.shape), spot.put(made), 1.1, part
            )


def _powered(factor: Term, exponent: Fraction) -> Term:
    if exponent == 1:
        return factor
    return Product(_ONE, ((factor, exponent),), factor.shape)


def _is_size(factor: Term) -> bool:
    """Whether a factor is the number of examples, which is told as a mean."""
    return isinstance(factor, Symbol) and factor.node.op is Op.DIMENSION


def _factor_kind(factor: Term) -> str:
    slope = isinstance(factor, (Indicator, Sum)) or (
        isinstance(factor, Apply) and ("slope" in factor.name or "′" in factor.name)
    )
    return "activation" if slope else "factor"


def _chains(spot: Spot, part: Matmul) -> Iterator[Edit]:
    """Yield a chain of matrix products with a factor transposed, missing, or two of them exchanged."""
    factors = part.factors
    for i, factor in enumerate(factors):
        rest = (*factors[:i], *factors[i + 1 :])
        left = _chain(rest)
        if left is not None and spot.fits(left) and not is_constant(factor):
            yield Edit(_factor_kind(factor), factor, None, spot.put(left), 1.0, part)
        if i + 1 < len(factors):
            swapped = _chain((*factors[:i], factors[i + 1], factor, *factors[i + 2 :]))
            if swapped is not None and spot.fits(swapped):
                before = _chain((factor, factors[i + 1]))
                after = _chain((factors[i + 1], factor))
                yield Edit("order", before, after, spot.put(swapped), 1.0, part)
    if len(factors) > 2:
        swapped = _chain(tuple(reversed(factors)))
        if swapped is not None and spot.fits(swapped):
            yield Edit("order", part, swapped, spot.put(swapped), 1.2, part)
    if len(factors) == 2 and factors[0].shape == factors[1].shape == part.shape:
        made = Product(_ONE, tuple((f, _ONE) for f in factors), part.shape)
        yield Edit("product", part, made, spot.put(made), 1.1, part)
    yield from _other_axis(spot, part)


def _other_axis(spot: Spot, part: Matmul) -> Iterator[Edit]:
    """Yield the sum over the columns for that over the rows."""
    *body, ones = part.factors
    if not is_constant(ones, 1) or ones.shape[-1] != 1 or not body:
        return
    inner = (
        body[0]
        if len(body) == 1
        else Matmul(tuple(body), (body[0].shape[0], body[-1].shape[-1]))
    )
    turned = Transpose(inner, inner.shape[::-1])
    other = Matmul((turned, number(_ONE, (inner.shape[0], 1))), (inner.shape[1], 1))
    if spot.fits(other):
        yield Edit("axis", part, other, spot.put(other), 1.0, part)


def _chain(factors: tuple[Term, ...]) -> Term | None:
    """Return the matrix product of factors, or None where the sizes do not fit."""
    if not factors:
        return None
    if len(factors) == 1:
        return factors[0]
    for left, right in itertools.pairwise(factors):
        if (
            len(left.shape) != 2
            or len(right.shape) != 2
            or left.shape[1] != right.shape[0]
        ):
            return None
    return Matmul(factors, (factors[0].shape[0], factors[-1].shape[1]))


def _turned(spot: Spot) -> Iterator[Edit]:
    """Yield a square matrix transposed."""
    part = spot.part
    if len(part.shape) != 2 or part.shape[0] != part.shape[1] or part.shape[0] == 1:
        return
    if isinstance(part, Transpose):
        yield Edit("transpose", part, part.body, spot.put(part.body), 1.0, spot.parent)
    elif isinstance(part, (Symbol, Sum)) or isinstance(spot.parent, Matmul):
        other = Transpose(part, part.shape)
        if not isinstance(spot.parent, Transpose):
            yield Edit("transpose", part, other, spot.put(other), 1.0, spot.parent)


# ---------------------------------------------------------------- functions


def _indicators(spot: Spot, part: Indicator) -> Iterator[Edit]:
    """Yield the other side of an indicator."""
    for relation in dict.fromkeys((COMPLEMENT[part.relation], MIRROR[part.relation])):
        if relation == part.relation:
            continue
        other = replace(part, relation=relation)
        yield Edit("kink", part, other, spot.put(other), 1.0, spot.parent)


def _functions(spot: Spot, part: Apply, bank: Bank) -> Iterator[Edit]:
    """Yield another function of the same operand."""
    if len(part.arguments) != 1 or part.arguments[0].shape != part.shape:
        return
    (inner,) = part.arguments
    yield Edit("function", part, inner, spot.put(inner), 1.0, spot.parent)
    known = {activation.name: activation for activation in COMMON}
    known |= {gate.activation.name: gate.activation for gate in bank.gates}
    for activation in known.values():
        for primes in (0, 1):
            other = applied(activation, part.arguments[0], primes)
            yield Edit("function", part, other, spot.put(other), 1.1, spot.parent)


def _slopes(spot: Spot, bank: Bank) -> Iterator[Edit]:
    """Yield the derivatives of activations in place of a factor, and as a further factor."""
    part = spot.part
    for group, put in groups(spot):
        for gate, slope in bank.slopes(group.shape):
            yield Edit("derivative", group, slope, put(slope), 1.05, gate.output)
    placed = spot.is_root or isinstance(spot.parent, (Matmul, Sum, Transpose))
    if placed and not spot.in_slope and not isinstance(part, Transpose):
        for gate, slope in bank.slopes(part.shape):
            more = Product(_ONE, ((part, _ONE), (slope, _ONE)), part.shape)
            yield Edit("activation", None, slope, spot.put(more), 1.0, gate.output)


# ---------------------------------------------------------------- missing factors


def _missing(spot: Spot, bank: Bank) -> Iterator[Edit]:
    """Yield a part with a further factor: a symbol entry by entry, a square matrix, a number."""
    part = spot.part
    placed = spot.is_root or isinstance(spot.parent, (Matmul, Sum, Transpose))
    if not placed or spot.in_slope or isinstance(part, Transpose):
        return
    for symbol in bank.symbols:
        if symbol.shape == part.shape or (
            is_number(symbol.shape) and symbol.shape == ()
        ):
            more: Term = Product(_ONE, ((part, _ONE), (symbol, _ONE)), part.shape)
            yield Edit("factor", None, symbol, spot.put(more), 1.15, spot.parent)
    if len(part.shape) != 2:
        return
    for symbol in bank.symbols:
        if (
            len(symbol.shape) != 2
            or symbol.shape[0] != symbol.shape[1]
            or is_number(symbol.shape)
        ):
            continue
        for matrix in (symbol, Transpose(symbol, symbol.shape)):
            if matrix.shape[1] == part.shape[0]:
                more = Matmul((matrix, part), part.shape)
                yield Edit("factor", None, matrix, spot.put(more), 1.1, spot.parent)
            if matrix.shape[0] == part.shape[1]:
                more = Matmul((part, matrix), part.shape)
                yield Edit("factor", None, matrix, spot.put(more), 1.1, spot.parent)


def _summed(term: Term, target: Shape) -> Iterator[Edit]:
    """Yield the sum over the rows or the columns of an answer that has too many axes."""
    shape = term.shape
    if len(shape) != 2 or shape == target:
        return
    turned = Transpose(term, shape[::-1])
    rows = Matmul((turned, number(_ONE, (shape[0], 1))), (shape[1], 1))
    columns = Matmul((term, number(_ONE, (shape[1], 1))), (shape[0], 1))
    for summed in (rows, columns):
        if summed.shape == target:
            yield Edit("axis", term, summed, summed, 1.0, None)
    if is_number(target):
        whole = Total(term, ())
        yield Edit("axis", term, whole, whole, 1.0, None)
