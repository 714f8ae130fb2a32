"""The page in numerator layout: every derivative transposed, consistently (a gradient of a column is a row)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from deltarule.explain.derivation.derivation import Layout, Line
from deltarule.explain.formula.algebra import (
    add,
    common_shape,
    matmul,
    multiply,
    power,
    transpose,
    unwrapped,
)
from deltarule.explain.formula.term import (
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


def in_layout(lines: Sequence[Line], layout: Layout) -> list[Line]:
    """Return the lines of a backward pass in a layout; the lines are written in denominator layout.

    >>> from deltarule.explain.explanation import derive
    >>> from deltarule.graph import build
    >>> x = build.input_node("x", (3,))
    >>> lines = derive(build.sum_over(build.exp(x)), [x]).derived.backward
    >>> [line.shape for line in in_layout(lines, "denominator")], [line.shape for line in in_layout(lines, "numerator")]
    ([(3,)], [(1, 3)])
    """
    if layout == "denominator":
        return list(lines)
    short = {
        line.alias: _row(line.alias)
        for line in lines
        if line.alias is not None and len(line.alias.shape) == 2
    }
    return [_turned(line, short) for line in lines]


def _row(symbol: Symbol) -> Symbol:
    return Symbol(symbol.name, (symbol.shape[1], symbol.shape[0]), symbol.node)


def _turned(line: Line, short: dict[Symbol, Symbol]) -> Line:
    if len(line.term.shape) > 2:  # an image has no transpose, but names of rows have
        return replace(line, term=rewritten(line.term, short))
    term = rewritten(line.term, short)
    term = _as_row(term) if len(term.shape) == 2 else term
    alias = short.get(line.alias, line.alias) if line.alias is not None else None
    shape = (
        tuple(reversed(line.shape))
        if len(line.shape) == 2
        else (1, *line.shape)
        if line.shape
        else ()
    )
    return replace(line, term=term, alias=alias, shape=shape)


def _as_row(term: Term) -> Term:
    """Return the transpose; an element-wise factor of a column becomes a diagonal matrix on the right."""
    if isinstance(term, Sum):
        rows = [_as_row(part) for part in term.terms]
        return (
            add(*rows)
            if any(isinstance(row, Matmul) for row in rows)
            else transpose(term)
        )
    if not isinstance(term, Product) or term.shape[1] != 1 or term.shape[0] == 1:
        return transpose(term)
    scalars = [(f, e) for f, e in term.factors if is_number(f.shape)]
    arrays = [(f, e) for f, e in term.factors if not is_number(f.shape)]
    carried = next(
        (f for f, e in arrays if e == 1 and isinstance(f, (Matmul, Transpose))), None
    )
    rest = tuple((f, e) for f, e in arrays if f is not carried)
    if carried is None or not rest:
        return transpose(term)
    scale = Product(term.coefficient, tuple(scalars), ())
    gate = Diagonal(
        unwrapped(Product(Fraction(1), rest, term.shape)),
        (term.shape[0], term.shape[0]),
    )
    return multiply(scale, matmul(transpose(carried), gate))


def rewritten(term: Term, rows: dict[Symbol, Symbol]) -> Term:
    """Replace symbols whose meaning is transposed: δ becomes (δ)ᵀ of the row δ.

    >>> from deltarule.explain.formula.algebra import matmul, transpose
    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> rewritten(A, {}) == A
    True
    """
    if isinstance(term, Symbol):
        return transpose(rows[term]) if term in rows else term
    if isinstance(term, Sum):
        return add(*(rewritten(part, rows) for part in term.terms))
    if isinstance(term, Product):
        factors = [
            power(rewritten(factor, rows), exponent)
            for factor, exponent in term.factors
        ]
        return multiply(Product(term.coefficient, (), term.shape), *factors)
    if isinstance(term, Matmul):
        return matmul(*(rewritten(factor, rows) for factor in term.factors))
    if isinstance(term, Transpose):
        return transpose(rewritten(term.body, rows))
    if isinstance(term, Diagonal):
        return Diagonal(rewritten(term.body, rows), term.shape)
    if isinstance(term, Total):
        return Total(rewritten(term.body, rows), term.shape)
    if isinstance(term, Indicator):
        left, right = rewritten(term.left, rows), rewritten(term.right, rows)
        return Indicator(
            term.relation,
            left,
            right,
            common_shape([left.shape, right.shape, term.shape]),
        )
    if isinstance(term, Apply):
        return Apply(
            term.name,
            tuple(rewritten(part, rows) for part in term.arguments),
            term.shape,
            term.body,
            term.parameters,
        )
    return term
