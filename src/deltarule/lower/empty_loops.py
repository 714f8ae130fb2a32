"""Removal of loops without iterations; empty reductions become constants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf

from deltarule.dtypes import DType
from deltarule.lower.index import flatten
from deltarule.lower.loops import (
    Contraction,
    Expr,
    Nest,
    Number,
    Result,
    Routine,
    Scatter,
    Statement,
    Store,
    replace_all,
    subexpressions,
    zero,
)
from deltarule.lower.memory_layout import RowMajor
from deltarule.shapes import count


def remove_empty_loops(statements: Iterable[Statement]) -> list[Statement]:
    """Return equivalent statements without empty loops.

    Statements without points are removed, empty sums become 0 (empty maxima the lowest number), and scatters without
    updates fill their result with zeros.

    >>> from deltarule.lower.index import Axis
    >>> remove_empty_loops([Nest("empty", (Axis("i", 0),), ())])
    []
    """
    found: list[Statement] = []
    for statement in statements:
        points = count(axis.extent for axis in statement.axes)
        if isinstance(statement, Routine):
            found += (
                [statement] if all(buffer.size for buffer in statement.results) else []
            )
        elif isinstance(statement, Scatter) and not points:
            found += [_zero_fill(statement)] if statement.stores[0].buffer.size else []
        elif not points:
            continue
        elif isinstance(statement, Nest | Contraction) and not count(
            axis.extent for axis in statement.reduce
        ):
            found.append(_without_empty_reductions(statement))
        else:
            found.append(statement)
    return found


def _zero_fill(statement: Scatter) -> Nest:
    (store,) = statement.stores
    size = (store.buffer.size,)
    axes, indices = RowMajor(size).walk("i")
    return Nest(
        statement.label,
        axes,
        (Store(store.buffer, flatten(indices, size), zero(store.buffer.dtype)),),
    )


def _without_empty_reductions(statement: Nest | Contraction) -> Nest:
    """Return a statement with empty reductions replaced by their results."""
    kinds = (
        [r.kind for r in statement.reductions]
        if isinstance(statement, Nest)
        else ["sum"]
    )
    known: dict[Expr, Expr] = {}
    values = [store.value for store in statement.stores]
    for expr in subexpressions(values):
        if isinstance(expr, Result):
            known[expr] = (
                _lowest(expr.dtype) if kinds[expr.number] == "max" else zero(expr.dtype)
            )
        replace_all(expr, {}, known)
    stores = tuple(
        replace(store, value=known[store.value]) for store in statement.stores
    )
    return Nest(statement.label, statement.axes, stores)


def _lowest(dtype: DType) -> Number:
    if dtype.is_float:
        return Number(dtype, -inf)
    return (
        Number(dtype, -(2 ** (dtype.bits - 1))) if dtype.kind == "int" else zero(dtype)
    )
