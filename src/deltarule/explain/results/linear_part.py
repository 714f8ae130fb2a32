"""The matrix of a linear map: M where a term is M times a symbol."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

from deltarule import dtypes
from deltarule.explain.formula.algebra import (
    add,
    diagonal,
    factors_of,
    is_constant,
    lifted,
    matmul,
    multiply,
    number,
    split,
    transpose,
    unwrapped,
)
from deltarule.explain.formula.simplify import simplified, spread
from deltarule.explain.formula.term import (
    Apply,
    Diagonal,
    Matmul,
    Product,
    Sum,
    Symbol,
    Term,
    Total,
    is_number,
    symbols,
)
from deltarule.graph import build
from deltarule.graph.node import Node

_ONE = Fraction(1)
_LARGEST_TABLE = 6  # rows and columns of a matrix that is written entry by entry


def _contains(term: Term, node: Node) -> bool:
    return any(symbol.node is node for symbol in symbols(term))


def linear_part(term: Term, node: Node) -> Term | None:
    """Return M where a term is M · (the symbol of ``node``), else None.

    >>> from deltarule.explain.formula.typeset import term_text
    >>> A, x = Symbol.of("A", (2, 3)), Symbol.of("x", (3, 1))
    >>> term_text(linear_part(matmul(A, x), x.node))
    'A'
    """
    if isinstance(term, Symbol) and term.node is node:
        rows = term.shape[0] if term.shape else 1
        return diagonal(number(_ONE, (rows, 1))) if rows != 1 else number(_ONE, (1, 1))
    if isinstance(term, Sum):
        parts = [linear_part(lifted(part, term.shape), node) for part in term.terms]
        found = [part for part in parts if part is not None]
        return add(*found) if len(found) == len(parts) else None
    if isinstance(term, Product):
        return _of_product(term, node)
    if isinstance(term, Matmul):
        return _of_chain(term, node)
    if isinstance(term, Total):
        inner = linear_part(term.body, node)
        return (
            None
            if inner is None
            else matmul(number(_ONE, (1, term.body.shape[0])), inner)
        )
    return _of_places(term, node) if isinstance(term, Apply) else None


def _of_places(term: Apply, node: Node) -> Term | None:
    """Return the matrix of an entry of a vector, of an entry put into zeros, and of entries below each other."""
    rows = _length(term)
    if rows is None or len(term.arguments) != len(term.parameters):
        return None
    inner = [linear_part(argument, node) for argument in term.arguments]
    if term.name in {"reshape", "broadcast"} and rows == _length(term.arguments[0]):
        return inner[0]
    if term.name == "slice" and rows == 1 and inner[0] is not None:
        size = _length(term.arguments[0])
        (start,) = term.body.attributes["starts"]
        return None if size is None else matmul(transpose(_unit(start, size)), inner[0])
    sizes = [_length(argument) for argument in term.arguments]
    if term.name == "pad" and sizes == [1] and inner[0] is not None:
        (start,) = term.body.attributes["low"]
        return matmul(_unit(start, rows), inner[0])
    if term.name == "concatenate" and all(size == 1 for size in sizes):
        return _below_each_other(term, inner, node, rows)
    return None


def _below_each_other(
    term: Apply, inner: Sequence[Term | None], node: Node, rows: int
) -> Term | None:
    parts = []
    for place, (argument, own) in enumerate(zip(term.arguments, inner, strict=True)):
        if own is not None:
            parts.append(matmul(_unit(place, rows), own))
        elif _contains(argument, node) or not is_constant(argument, 0):
            return None
    return add(*parts) if parts else None


def _length(term: Term) -> int | None:
    """Return the number of entries of a column, a number or an array of one axis, else None."""
    known = [size for size in term.shape if isinstance(size, int)]
    if len(known) != len(term.shape) or sum(size != 1 for size in known) > 1:
        return None
    return math.prod(known) if len(known) < 2 or known[1] == 1 else None


@functools.lru_cache(maxsize=256)
def _unit(place: int, size: int) -> Term:
    """Return the unit vector that is 1 at a place counted from 0; it is printed as eₖ with k counted from 1."""
    k = build.input_node("k", (), dtypes.FLOAT64)
    body = build.cast(build.equal(build.iota((size,), 0), place), dtypes.FLOAT64)
    return Apply("one_hot", (number(Fraction(place)),), (size, 1), body, (k,))


def explicit(term: Term) -> Term:
    """Return a matrix as the table of its entries where it is a sum of multiples of eᵢeⱼᵀ; else as it is.

    >>> A = Symbol.of("A", (2, 2))
    >>> explicit(A) is A
    True
    """
    entries: dict[tuple[int, int], Term] = {}
    apart = spread(term)
    parts = apart.terms if isinstance(apart, Sum) else (apart,)
    for part in parts:
        place = _place(part)
        if place is None:
            return term
        row, column, value = place
        entries[row, column] = add(
            entries.get((row, column), number(Fraction(0))), value
        )
    rows, columns = term.shape
    if (
        not (isinstance(rows, int) and isinstance(columns, int))
        or max(term.shape) > _LARGEST_TABLE
    ):
        return term
    zero = number(Fraction(0))
    lines = [
        _beside([simplified(entries.get((i, j), zero)) for j in range(columns)], 1)
        for i in range(rows)
    ]
    return _beside(lines, 0)


def _beside(parts: Sequence[Term], axis: int) -> Term:
    """Return a concatenation of numbers along the second axis, or of rows along the first."""
    width = parts[0].shape[1] if axis == 0 else 1
    known = tuple(build.input_node("x", (1, width), dtypes.FLOAT64) for _ in parts)
    shape = (len(parts), width) if axis == 0 else (1, len(parts))
    return Apply(
        "concatenate", tuple(parts), shape, build.concatenate(known, axis), known
    )


def _place(term: Term) -> tuple[int, int, Term] | None:
    """Return i, j, c of c eᵢeⱼᵀ."""
    coefficient, factors = factors_of(term)
    arrays = [f for f, e in factors if not is_number(f.shape) and e == 1]
    numbers = tuple((f, e) for f, e in factors if is_number(f.shape))
    if len(arrays) != 1 or not isinstance(arrays[0], Matmul):
        return None
    ends = arrays[0].factors
    row = _index(ends[0])
    column = _index(transpose(ends[-1]))
    if len(ends) != 2 or row is None or column is None:
        return None
    return row, column, unwrapped(Product(coefficient, numbers, ()))


def _index(term: Term) -> int | None:
    """Return k of a unit vector, counted from 0."""
    if not isinstance(term, Apply) or term.name != "one_hot":
        return None
    k = split(term.arguments[0])[0] if is_constant(term.arguments[0]) else None
    return int(k) if isinstance(k, Fraction) else None


def _of_product(term: Product, node: Node) -> Term | None:
    carrying = [(f, e) for f, e in term.factors if _contains(f, node)]
    if len(carrying) != 1 or carrying[0][1] != 1:
        return None
    factor = carrying[0][0]
    inner = linear_part(factor, node)
    if inner is None:
        return None
    rest = tuple((f, e) for f, e in term.factors if f is not factor)
    scalars = Product(
        term.coefficient, tuple((f, e) for f, e in rest if is_number(f.shape)), ()
    )
    columns = tuple((f, e) for f, e in rest if not is_number(f.shape))
    if is_number(factor.shape) and not is_number(
        term.shape
    ):  # a number times a vector: v(uᵀg) = (vuᵀ)g
        vector = unwrapped(Product(_ONE, columns, term.shape))
        return multiply(scalars, matmul(vector, inner))
    if not columns:
        return multiply(scalars, inner)
    return multiply(
        scalars, _gated(unwrapped(Product(_ONE, columns, term.shape)), inner)
    )


def _gated(column: Term, inner: Term) -> Term:
    """Return diag(v)M, multiplied out over sums."""
    if isinstance(inner, Sum):
        return add(*(_gated(column, part) for part in inner.terms))
    if isinstance(inner, Diagonal):
        return diagonal(multiply(column, inner.body))
    if isinstance(inner, Product) and len(inner.factors) == 1:
        factor, exponent = inner.factors[0]
        if exponent == 1 and factor.shape == inner.shape:
            return multiply(number(inner.coefficient), _gated(column, factor))
    if (
        isinstance(inner, Matmul)
        and isinstance(inner.factors[0], Product)
        and not inner.factors[0].factors
    ):
        return matmul(
            multiply(column, inner.factors[0]), *inner.factors[1:]
        )  # diag(v)𝟙uᵀ = vuᵀ
    return matmul(diagonal(column), inner)


def _of_chain(term: Matmul, node: Node) -> Term | None:
    carrying = [i for i, factor in enumerate(term.factors) if _contains(factor, node)]
    if len(carrying) != 1:
        return None
    at = carrying[0]
    if at == len(term.factors) - 1:
        inner = linear_part(term.factors[at], node)
        if inner is None:
            return None
        front = term.factors[:at]
        if isinstance(inner, Diagonal) and _is_identity(inner):
            return matmul(*front)
        return matmul(*front, inner)
    factor = term.factors[at]
    if at and factor.shape[0] == 1 and term.shape[1] == 1:  # u(vᵀw) = (u wᵀ)v
        inner = linear_part(matmul(*term.factors[at:]), node)
        return None if inner is None else matmul(*term.factors[:at], inner)
    if at == 0 and is_number(term.shape):
        return linear_part(
            matmul(*(transpose(factor) for factor in reversed(term.factors))), node
        )
    row = matmul(*term.factors[: at + 1])
    if is_number(row.shape):
        inner = linear_part(row, node)
        return None if inner is None else matmul(matmul(*term.factors[at + 1 :]), inner)
    return None


def _is_identity(term: Diagonal) -> bool:
    return (
        isinstance(term.body, Product)
        and not term.body.factors
        and term.body.coefficient == 1
    )
