"""Splitting of long reductions into two stages, for parallel execution.

The outermost reduced axis is cut into a number of pieces that depends on its extent alone: the bits of the result
are the same for any number of threads.
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
    everything,
    replace_all,
)
from deltarule.shapes import count

_LONG, _FEW_RESULTS = 8192, 2048  # points that each result reduces; results
_PIECES = 16


def divided(nest: Nest) -> list[Nest]:
    """Return a nest unchanged, or as two nests: partial reductions, then their combination."""
    results = count(axis.extent for axis in nest.axes)
    length = count(axis.extent for axis in nest.reduce)
    if (
        not nest.reduce
        or length < _LONG
        or results > _FEW_RESULTS
        or any(r.kind == "argmax" for r in nest.reductions)
    ):
        return [nest]
    whole = nest.reduce[0]
    divisors = [d for d in range(4, 65) if whole.extent % d == 0]
    if not divisors:
        return [nest]
    pieces = min(divisors, key=lambda d: abs(d - _PIECES))
    piece = Axis(f"{whole.name}p", pieces)
    inner = Axis(f"{whole.name}r", whole.extent // pieces)
    new = {whole: of(piece) * inner.extent + of(inner)}
    place = flatten(
        tuple(of(axis) for axis in nest.axes), tuple(axis.extent for axis in nest.axes)
    )
    known: dict[Expr, Expr] = {}
    stores, first, second = [], [], []
    for number, r in enumerate(nest.reductions):
        for part in everything([r.value]):
            replace_all(part, new, known)
        partial = Buffer(
            f"{nest.stores[0].buffer.name}_{number}", r.accumulator, pieces * results
        )
        first.append(Reduction(r.kind, known[r.value], r.accumulator, r.accumulator))
        at = of(piece) * results + place
        stores.append(Store(partial, at, Result(r.accumulator, number)))
        second.append(
            Reduction(r.kind, Load(r.accumulator, partial, at), r.accumulator, r.dtype)
        )
    reduce = (inner, *nest.reduce[1:]) if inner.extent > 1 else nest.reduce[1:]
    return [
        Nest(
            f"{nest.label} (pieces)",
            (piece, *nest.axes),
            tuple(stores),
            reduce,
            tuple(first),
        ),
        Nest(nest.label, nest.axes, nest.stores, (piece,), tuple(second)),
    ]
