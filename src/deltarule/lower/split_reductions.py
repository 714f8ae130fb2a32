"""Splitting of long reductions into two stages, for parallel execution.

The outermost reduced axis is split into a number of parts that depends on its extent alone, so that the result does not
depend on the number of threads, to the bit.
"""

from __future__ import annotations

from deltarule.lower.index import Axis, flatten, of
from deltarule.lower.loops import (
    Buffer,
    Expr,
    Load,
    Nest,
    Reduction,
    Result,
    Store,
    replace_all,
    subexpressions,
)
from deltarule.shapes import count

_MIN_LENGTH, _MAX_RESULTS = (
    8192,
    2048,
)  # minimum length of the reduction, and maximum number of results
_PARTS = 16


def split_reduction(nest: Nest) -> list[Nest]:
    """Return a nest unchanged, or as two nests: partial reductions, and their combination.

    >>> from deltarule.graph.build import input_node, sum_over
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (1_000_000,))
    >>> [statement.label for statement in lower(Program((x,), (sum_over(x),))).program.statements]
    ['sum (partial)', 'sum']
    """
    results = count(result_axis.extent for result_axis in nest.axes)
    length = count(result_axis.extent for result_axis in nest.reduce)
    if (
        not nest.reduce
        or length < _MIN_LENGTH
        or results > _MAX_RESULTS
        or any(r.kind == "argmax" for r in nest.reductions)
    ):
        return [nest]
    axis = nest.reduce[0]
    divisors = [d for d in range(4, 65) if axis.extent % d == 0]
    if not divisors:
        return [nest]
    parts = min(divisors, key=lambda d: abs(d - _PARTS))
    outer = Axis(f"{axis.name}p", parts)
    inner = Axis(f"{axis.name}r", axis.extent // parts)
    new = {axis: of(outer) * inner.extent + of(inner)}
    place = flatten(
        tuple(of(result_axis) for result_axis in nest.axes),
        tuple(result_axis.extent for result_axis in nest.axes),
    )
    known: dict[Expr, Expr] = {}
    stores, first, second = [], [], []
    for number, r in enumerate(nest.reductions):
        for expr in subexpressions([r.value]):
            replace_all(expr, new, known)
        partial = Buffer(
            f"{nest.stores[0].buffer.name}_{number}", r.accumulator, parts * results
        )
        first.append(Reduction(r.kind, known[r.value], r.accumulator, r.accumulator))
        at = of(outer) * results + place
        stores.append(Store(partial, at, Result(r.accumulator, number)))
        second.append(
            Reduction(r.kind, Load(r.accumulator, partial, at), r.accumulator, r.dtype)
        )
    reduce = (inner, *nest.reduce[1:]) if inner.extent > 1 else nest.reduce[1:]
    return [
        Nest(
            f"{nest.label} (partial)",
            (outer, *nest.axes),
            tuple(stores),
            reduce,
            tuple(first),
        ),
        Nest(nest.label, nest.axes, nest.stores, (outer,), tuple(second)),
    ]
