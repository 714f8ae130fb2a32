"""Index notation: a line of matrix calculus as a formula of its components, with the sums written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from deltarule.explain.derivation.derivation import Line
from deltarule.explain.formula.algebra import scale, split
from deltarule.explain.formula.term import (
    MIRROR,
    Apply,
    Coefficient,
    Diagonal,
    Indicator,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Total,
    Transpose,
    children,
    is_number,
    symbols,
)
from deltarule.explain.formula.typeset import (
    derivative,
    number_formula,
    symbol,
    typeset,
)
from deltarule.render import mathematics as m
from deltarule.render.mathematics import Formula

_MINUS = m.Operator("−")


def page(lines: Sequence[Line], loss: str) -> str:
    """Return the lines in index notation, those of arrays of more than two axes left out."""
    written = []
    for line in lines:
        if len(line.term.shape) > 2:
            continue
        row, column = _free(line)
        left = (
            _indexed(m.Fenced(derivative(loss, line.name)), (row, column))
            if row
            else derivative(loss, line.name)
        )
        right = component(line.term, row or "1", column or "1")
        written.append(f"{line.number:>3}  {m.to_text(left)} = {m.to_text(right)}")
    return "\n".join(written)


def _free(line: Line) -> tuple[str, str]:
    shape = line.term.shape
    if is_number(shape):
        return "", ""
    return ("i", "") if shape[1] == 1 else ("i", "j")


def component(term: Term, row: str, column: str) -> Formula:
    """Return entry (row, column) of a term."""
    return _Indices().entry(term, row, column)


class _Indices:
    """Entries of terms, with fresh summation indices k, l, n."""

    def __init__(self) -> None:
        self._fresh: Iterator[str] = iter("klnpqrstuv")

    def entry(self, term: Term, row: str, column: str) -> Formula:
        """Return one entry; the row index of a row vector and the column index of a column vector are left out."""
        if isinstance(term, Symbol):
            return _indexed(_closed(symbol(term.name)), _kept(term, row, column))
        if isinstance(term, Sum):
            return self._sum(term, row, column)
        if isinstance(term, Product):
            return self._product(term, row, column)
        if isinstance(term, Matmul):
            return self._chain(term, row, column)
        if isinstance(term, Transpose):
            return self.entry(term.body, column, row)
        if isinstance(term, Diagonal):
            same = m.row(
                m.Identifier("𝟙"),
                m.Fenced(
                    m.row(_index(row), m.Operator("=", spaced=True), _index(column))
                ),
            )
            return m.row(
                same, m.Operator(" "), _factor(self.entry(term.body, row, "1"))
            )
        if isinstance(term, Indicator):
            return self._indicator(term, row, column)
        if isinstance(term, Total):
            return self._total(term)
        return self._apply(term, row, column)

    def _sum(self, term: Sum, row: str, column: str) -> Formula:
        parts: list[Formula] = []
        for position, part in enumerate(term.terms):
            negative = split(part)[0] < 0
            body = scale(Fraction(-1), part) if negative else part
            sign = [_MINUS] if negative and not position else []
            if position:
                parts.append(m.Operator("−" if negative else "+", spaced=True))
            parts.extend([*sign, self.entry(body, row, column)])
        return m.row(*parts)

    def _product(self, term: Product, row: str, column: str) -> Formula:
        above = [self._power(f, e, row, column) for f, e in term.factors if e > 0]
        below = [self._power(f, -e, row, column) for f, e in term.factors if e < 0]
        sign: list[Formula] = [_MINUS] if term.coefficient < 0 else []
        size: Coefficient = (
            -term.coefficient if term.coefficient < 0 else term.coefficient
        )
        front = [number_formula(size)] if size != 1 or not above else []
        over = m.join([*front, *above], m.Operator(" "))
        return m.row(
            *sign, m.Fraction(over, m.join(below, m.Operator(" "))) if below else over
        )

    def _power(
        self, factor: Term, exponent: Fraction, row: str, column: str
    ) -> Formula:
        body = _factor(self.entry(factor, row, column))
        if exponent == 1:
            return body
        if exponent == Fraction(1, 2):
            return m.Root(body)
        return m.Scripts(
            m.Fenced(body) if isinstance(body, (m.Row, m.Scripts)) else body,
            upper=number_formula(exponent),
        )

    def _chain(self, term: Matmul, row: str, column: str) -> Formula:
        inner = [
            next(self._fresh) if f.shape[1] != 1 else "1" for f in term.factors[:-1]
        ]
        ends = [row, *inner, column]
        signs = [
            m.Scripts(m.Operator("Σ"), lower=_index(index), upper=_last(term, place))
            for place, index in enumerate(inner)
            if index != "1"
        ]
        factors = []
        for factor, (left, right) in zip(term.factors, pairwise(ends), strict=True):
            if (
                isinstance(factor, Product)
                and not factor.factors
                and factor.coefficient == 1
            ):
                continue
            entry = self.entry(factor, left, right)
            factors.append(
                m.Fenced(entry) if isinstance(factor, Product) else _factor(entry)
            )
        if not factors:
            factors.append(m.Number("1"))
        return m.join([*signs, *factors], m.Operator(" "))

    def _indicator(self, term: Indicator, row: str, column: str) -> Formula:
        left, right, relation = term.left, term.right, term.relation
        if isinstance(left, Product) and not left.factors:
            left, right, relation = right, left, MIRROR[relation]
        inner = m.row(
            self.entry(left, row, column),
            m.Operator(relation, spaced=True),
            self.entry(right, row, column),
        )
        return m.row(m.Identifier("𝟙"), m.Fenced(inner))

    def _total(self, term: Total) -> Formula:
        if len(term.body.shape) > 2:
            return typeset(term)
        used = [next(self._fresh) if size != 1 else "1" for size in term.body.shape]
        lower = m.row(*(_index(index) for index in used if index != "1"))
        body = self.entry(term.body, used[0], used[1])
        return m.row(
            m.Scripts(m.Operator("Σ"), lower=lower), m.Operator(" "), m.Fenced(body)
        )

    def _apply(self, term: Apply, row: str, column: str) -> Formula:
        if term.name == "iota" and len(term.shape) == 2:
            return _index(column if term.body.attributes["axis"] else row)
        return _indexed(_closed(typeset(term)), _kept(term, row, column))


def _kept(term: Term, row: str, column: str) -> tuple[str, str]:
    """Return the indices that an array of this shape has."""
    if is_number(term.shape):
        return "", ""
    return ("" if term.shape[0] == 1 else row), ("" if term.shape[1] == 1 else column)


def _closed(formula: Formula) -> Formula:
    plain = isinstance(formula, (m.Identifier, m.Accent))
    return formula if plain or isinstance(formula, m.Fenced) else m.Fenced(formula)


def _factor(entry: Formula) -> Formula:
    """Return an entry as a factor: a sum in parentheses."""
    items = entry.items if isinstance(entry, m.Row) else ()
    is_sum = any(isinstance(item, m.Operator) and item.text in "+−" for item in items)
    return m.Fenced(entry) if is_sum else entry


def _last(term: Matmul, place: int) -> Formula | None:
    """Return the last value of a summation index, where no array in the product tells it."""
    around = term.factors[place : place + 2]
    told = any(
        symbols(factor) and not _has_places(factor)
        for factor in around
        if not is_number(factor.shape)
    )
    size = term.factors[place].shape[1]
    return None if told or not isinstance(size, int) else m.Number(str(size))


def _has_places(term: Term) -> bool:
    """Whether a term has the place of an entry in it: 𝟙(j = y)."""
    if isinstance(term, Apply) and term.name == "iota":
        return True
    return any(map(_has_places, children(term)))


def _index(name: str) -> Formula:
    return m.Identifier(name)


def _indexed(base: Formula, indices: tuple[str, str]) -> Formula:
    lower = "".join(index for index in indices if index)
    if not lower:
        return base.body if isinstance(base, m.Fenced) and base.left == "(" else base
    return m.Scripts(base, lower=m.row(*(_index(index) for index in lower)))
