"""Regions: ranges of a loop in which it is known whether the guards of a nest let pass.

A sum of products that reads a padded image (see ``lower.depthwise``) asks at each point whether the image reaches as
far. Along one axis the answers change at a few places only. Cut there, each part of the loop has its own body that
asks nothing: in the middle every product is read, at the border some are of zero. Axes of few values on which the
spread of a signal depends (image gradients of a stride) are written out value by value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deltarule.dtypes import FLOAT32
from deltarule.graph.op import Op
from deltarule.lower.index import Axis, Index, Quotient, Remainder, number, of
from deltarule.lower.loops import (
    Apply,
    Condition,
    Expr,
    Guard,
    MultiplyAdd,
    Nest,
    Number,
    Reduction,
    Store,
    everything,
    replace_all,
)
from deltarule.shapes import count

_LEAST_GUARDS = 4  # that are worth bodies of their own
_MOST_VALUES = 4  # of an axis that is written out
_MOST_TRIALS = 64  # combinations of values of written-out axes
Ranges = Mapping[Axis, tuple[int, int]]


@dataclass(eq=False)
class Cut(Nest):
    """A nest that is run region by region; ``factor`` results of the last axis are written out in each step."""

    small: tuple[Axis, ...] = ()  # axes that are written out value by value
    factor: int = 1
    in_runs: bool = False  # float64 sums of which each run of the innermost loop is first added in float32


@dataclass(frozen=True)
class Region:
    """A nest as it is while an axis runs from ``start`` up to ``stop`` in steps of ``step``."""

    start: int
    stop: int
    step: int
    nest: Nest


def is_padded(nest: Nest) -> bool:
    """Return whether a nest reads so many values with zeros around that regions are worth their while."""
    return sum(isinstance(guard.outside, Number) for guard in _guards(nest)) >= (
        _LEAST_GUARDS
    )


def written_out(nest: Nest) -> tuple[Axis, ...]:
    """Return the axes of few values that decide whether and where a spread signal is read."""
    found: dict[Axis, None] = {}
    for guard in _guards(nest):
        for condition in guard.conditions:
            for atom, coefficient in condition.index.terms:
                if isinstance(atom, Axis) and coefficient % condition.step:
                    found[atom] = None
    for load in nest.reads:
        for atom, _ in load.index.terms:
            if isinstance(atom, Quotient | Remainder):
                found.update(dict.fromkeys(atom.dividend.axes))
    return tuple(
        axis for axis in nest.axes[1:] if axis in found and axis.extent <= _MOST_VALUES
    )


def regions(cut: Cut, nest: Nest, axis: Axis, known: Ranges) -> list[Region]:
    """Cut an axis into regions, where ``nest`` is ``cut`` as it is in the ranges ``known`` of the loops around.

    What is left over after steps of several results is a step of its own.
    """
    last = bool(cut.axes) and axis is cut.axes[-1]
    places = {0, axis.extent}
    if axis in cut.small:
        places.update(range(axis.extent))
    for guard in _guards(nest):
        for condition in guard.conditions:
            places.update(_changes(condition, axis, known))
    found = []
    for start, stop in itertools.pairwise(sorted(places)):
        part = resolved(nest, {**known, axis: (start, stop)})
        if not last:
            found.append(Region(start, stop, 1, part))
            continue
        part = accumulated(part)
        length, factor = stop - start, cut.factor
        if any(map(_is_zero, everything(part.roots()))):  # a border: less code
            factor = next((f for f in range(factor, 1, -1) if length % f == 0), factor)
        whole = start + length // factor * factor
        for first, end, step in ((start, whole, factor), (whole, stop, stop - whole)):
            if first < end:
                found.append(Region(first, end, step, _repeated(part, axis, step)))
    return found


def in_float32(nest: Nest) -> Nest:
    """Return a nest whose sums are accumulated in float32."""
    reductions = tuple(
        Reduction(r.kind, r.value, FLOAT32, r.dtype) for r in nest.reductions
    )
    return Nest(nest.label, nest.axes, nest.stores, nest.reduce, reductions)


def _guards(nest: Nest) -> Iterator[Guard]:
    return (expr for expr in everything(nest.roots()) if isinstance(expr, Guard))


def _changes(condition: Condition, axis: Axis, known: Ranges) -> Iterator[int]:
    """Yield where along an axis the range of a condition begins and ends."""
    index = condition.index.replace(_constants(known))
    factor = index.coefficient(axis)
    others = [other for other in index.axes if other != axis]
    inside = not any(other in known for other in others)
    if not factor or not inside or count(o.extent for o in others) > _MOST_TRIALS:
        return
    for values in itertools.product(*(range(other.extent) for other in others)):
        at = dict(zip(others, map(number, values), strict=True))
        rest = index.replace({**at, axis: number(0)})
        if rest.terms:
            return
        edges = (-rest.constant, condition.size - rest.constant)
        for edge in edges:  # the first one inside, and behind
            place = -(-edge // factor) if factor > 0 else -((edge - 1) // -factor)
            if 0 < place < axis.extent:
                yield place


def _constants(known: Ranges) -> dict[Axis, Index]:
    return {
        axis: number(start)
        for axis, (start, stop) in known.items()
        if stop - start == 1 and axis.extent > 1
    }


def _holds(condition: Condition, known: Ranges) -> bool | None:
    """Return whether a condition holds everywhere, or nowhere, or None where neither is seen."""
    low = high = condition.index.constant
    for atom, coefficient in condition.index.terms:
        first, last = Index(((atom, 1),)).bounds
        if isinstance(atom, Axis) and atom in known:
            first, last = known[atom][0], known[atom][1] - 1
        ends = sorted((coefficient * first, coefficient * last))
        low, high = low + ends[0], high + ends[1]
    if high < 0 or low >= condition.size:
        return False
    if condition.step > 1:
        if any(c % condition.step for _, c in condition.index.terms):
            return None
        if condition.index.constant % condition.step:
            return False
    return True if low >= 0 and high < condition.size else None


def resolved(nest: Nest, known: Ranges) -> Nest:
    """Return a nest without the guards of which the answer follows from ranges of its loops."""
    constants = _constants(known)
    new: dict[Expr, Expr] = {}
    for expr in everything(nest.roots()):
        if not isinstance(expr, Guard):
            replace_all(expr, constants, new)
            continue
        answers = [
            _holds(Condition(c.index.replace(constants), c.size, c.step), known)
            for c in expr.conditions
        ]
        if False in answers:
            new[expr] = new[expr.outside]
        elif None not in answers:
            new[expr] = new[expr.inside]
        else:
            open_ones = tuple(
                c
                for c, answer in zip(expr.conditions, answers, strict=True)
                if answer is None
            )
            rest = Guard(expr.dtype, open_ones, expr.inside, expr.outside)
            replace_all(rest, constants, new)
            new[expr] = new[rest]
    return _with(nest, new, constants)


def _with(nest: Nest, new: Mapping[Expr, Expr], axes: Mapping[Axis, Index]) -> Nest:
    stores = tuple(
        Store(store.buffer, store.index.replace(axes), new[store.value])
        for store in nest.stores
    )
    reductions = tuple(
        Reduction(r.kind, new[r.value], r.accumulator, r.dtype) for r in nest.reductions
    )
    return Nest(nest.label, nest.axes, stores, nest.reduce, reductions)


def _repeated(nest: Nest, axis: Axis, times: int) -> Nest:
    """Return a nest with the stores of ``times`` neighbours along an axis."""
    stores = list(nest.stores)
    for step in range(1, times):
        place, new = {axis: of(axis) + step}, dict[Expr, Expr]()
        for expr in everything(nest.roots()):
            replace_all(expr, place, new)
        stores.extend(_with(nest, new, place).stores)
    return Nest(nest.label, nest.axes, tuple(stores), nest.reduce, nest.reductions)


def accumulated(nest: Nest) -> Nest:
    """Return a nest whose long sums of products start with the products of zero and go on with multiply-adds.

    Products of zero are 0 or not a number, and the same all along the inner loop: to add them first changes no result
    but leaves them outside that loop.
    """
    new: dict[Expr, Expr] = {}
    inner = {
        expr.operands[0]
        for expr in everything(nest.roots())
        if isinstance(expr, Apply) and expr.op is Op.ADD
    }
    for expr in everything(nest.roots()):
        replace_all(expr, {}, new)
        if isinstance(expr, Apply) and expr.op is Op.ADD and expr not in inner:
            terms = _terms(expr)
            if expr.dtype.is_float and len(terms) > _LEAST_GUARDS:
                terms = [new[term] for term in terms]
                new[expr] = _chain(sorted(terms, key=lambda term: not _is_zero(term)))
    return _with(nest, new, {})


def _terms(total: Expr) -> list[Expr]:
    """Return what a sum adds up, in order."""
    found = []
    while isinstance(total, Apply) and total.op is Op.ADD:
        found.append(total.operands[1])
        total = total.operands[0]
    return [total, *reversed(found)]


def _is_zero(term: Expr) -> bool:
    return (
        isinstance(term, Apply)
        and term.op is Op.MULTIPLY
        and any(isinstance(x, Number) and x.value == 0 for x in term.operands)
    )


def _chain(terms: Sequence[Expr]) -> Expr:
    total = terms[0]
    for term in terms[1:]:
        if isinstance(term, Apply) and term.op is Op.MULTIPLY:
            a, b = term.operands
            total = MultiplyAdd(term.dtype, a, b, total)
        else:
            total = Apply(total.dtype, Op.ADD, (total, term))
    return total
