"""Index-set splitting: loops are split into regions in which the guards of a nest are decided.

A sum of products that reads a padded image (see ``lower.depthwise``) tests at each point whether an index is inside the
image. Along one axis the results of these tests change at a few places only. Split there, each region has a loop body
without tests: in the interior all products are read, at the border some factors are zero. Axes of few values on which
the dilation of a signal depends (image gradients of a strided convolution) are unrolled.
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
    replace_all,
    subexpressions,
)
from deltarule.shapes import count

_MIN_GUARDS = 4  # fewer guards do not justify separate loop bodies
_MAX_UNROLLED_EXTENT = 4  # extent of an axis that is unrolled
_MAX_COMBINATIONS = 64  # combinations of values of unrolled axes
Ranges = Mapping[Axis, tuple[int, int]]


@dataclass(eq=False)
class SplitNest(Nest):
    """A nest whose loops are split into regions.

    Attributes:
        unrolled: Axes that are unrolled completely.
        factor: Number of results along the last axis that one iteration computes.
        float32_runs: Whether the innermost sums are accumulated in float32, and only their results in float64.

    >>> SplitNest("fill", (Axis("i", 8),), ()).factor
    1
    """

    unrolled: tuple[Axis, ...] = ()
    factor: int = 1
    float32_runs: bool = False


@dataclass(frozen=True)
class Region:
    """The specialisation of a nest to the iterations ``range(start, stop, step)`` of an axis.

    >>> Region(0, 8, 1, Nest("fill", (Axis("i", 8),), ())).stop
    8
    """

    start: int
    stop: int
    step: int
    nest: Nest


def is_padded(nest: Nest) -> bool:
    """Return whether a nest reads enough zero-padded values for splitting to pay.

    >>> is_padded(Nest("fill", (Axis("i", 8),), ()))
    False
    """
    return sum(isinstance(guard.outside, Number) for guard in _guards(nest)) >= (
        _MIN_GUARDS
    )


def unrolled_axes(nest: Nest) -> tuple[Axis, ...]:
    """Return the axes of few values on which the position in a dilated signal depends.

    >>> unrolled_axes(Nest("fill", (Axis("i", 8),), ()))
    ()
    """
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
        axis
        for axis in nest.axes[1:]
        if axis in found and axis.extent <= _MAX_UNROLLED_EXTENT
    )


def regions(split: SplitNest, nest: Nest, axis: Axis, ranges: Ranges) -> list[Region]:
    """Split an axis into regions.

    Args:
        split: The nest before splitting.
        nest: Its specialisation to the regions of the enclosing loops.
        axis: The axis to split.
        ranges: Ranges of the enclosing loops.
    """
    last = bool(split.axes) and axis is split.axes[-1]
    bounds = {0, axis.extent}
    if axis in split.unrolled:
        bounds.update(range(axis.extent))
    for guard in _guards(nest):
        for condition in guard.conditions:
            bounds.update(_boundaries(condition, axis, ranges))
    found = []
    for start, stop in itertools.pairwise(sorted(bounds)):
        part = specialised(nest, {**ranges, axis: (start, stop)})
        if not last:
            found.append(Region(start, stop, 1, part))
            continue
        part = with_multiply_adds(part)
        length, factor = stop - start, split.factor
        if any(
            map(_is_zero, subexpressions(part.roots()))
        ):  # smaller code for the border
            factor = next((f for f in range(factor, 1, -1) if length % f == 0), factor)
        whole = start + length // factor * factor
        for first, end, step in ((start, whole, factor), (whole, stop, stop - whole)):
            if first < end:
                found.append(Region(first, end, step, _unrolled(part, axis, step)))
    return found


def with_float32_accumulators(nest: Nest) -> Nest:
    """Return a nest whose sums are accumulated in float32."""
    reductions = tuple(
        Reduction(r.kind, r.value, FLOAT32, r.dtype) for r in nest.reductions
    )
    return Nest(nest.label, nest.axes, nest.stores, nest.reduce, reductions)


def _guards(nest: Nest) -> Iterator[Guard]:
    return (expr for expr in subexpressions(nest.roots()) if isinstance(expr, Guard))


def _boundaries(condition: Condition, axis: Axis, ranges: Ranges) -> Iterator[int]:
    """Yield the positions along an axis at which a condition begins or ceases to hold."""
    index = condition.index.replace(_constants(ranges))
    factor = index.coefficient(axis)
    others = [other for other in index.axes if other != axis]
    inside = not any(other in ranges for other in others)
    if not factor or not inside or count(o.extent for o in others) > _MAX_COMBINATIONS:
        return
    for values in itertools.product(*(range(other.extent) for other in others)):
        at = dict(zip(others, map(number, values), strict=True))
        rest = index.replace({**at, axis: number(0)})
        if rest.terms:
            return
        edges = (-rest.constant, condition.size - rest.constant)
        for edge in edges:  # the first position inside, and the first one after
            place = -(-edge // factor) if factor > 0 else -((edge - 1) // -factor)
            if 0 < place < axis.extent:
                yield place


def _constants(ranges: Ranges) -> dict[Axis, Index]:
    return {
        axis: number(start)
        for axis, (start, stop) in ranges.items()
        if stop - start == 1 and axis.extent > 1
    }


def _decide(condition: Condition, ranges: Ranges) -> bool | None:
    """Return True if a condition always holds in these ranges, False if it never does, None if undecided."""
    low = high = condition.index.constant
    for atom, coefficient in condition.index.terms:
        first, last = Index(((atom, 1),)).bounds
        if isinstance(atom, Axis) and atom in ranges:
            first, last = ranges[atom][0], ranges[atom][1] - 1
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


def specialised(nest: Nest, ranges: Ranges) -> Nest:
    """Return a nest without the guards that the ranges of its loops decide."""
    constants = _constants(ranges)
    new: dict[Expr, Expr] = {}
    for expr in subexpressions(nest.roots()):
        if not isinstance(expr, Guard):
            replace_all(expr, constants, new)
            continue
        decisions = [
            _decide(Condition(c.index.replace(constants), c.size, c.step), ranges)
            for c in expr.conditions
        ]
        if False in decisions:
            new[expr] = new[expr.outside]
        elif None not in decisions:
            new[expr] = new[expr.inside]
        else:
            undecided = tuple(
                c
                for c, decision in zip(expr.conditions, decisions, strict=True)
                if decision is None
            )
            rest = Guard(expr.dtype, undecided, expr.inside, expr.outside)
            replace_all(rest, constants, new)
            new[expr] = new[rest]
    return _rebuilt(nest, new, constants)


def _rebuilt(nest: Nest, new: Mapping[Expr, Expr], axes: Mapping[Axis, Index]) -> Nest:
    stores = tuple(
        Store(store.buffer, store.index.replace(axes), new[store.value])
        for store in nest.stores
    )
    reductions = tuple(
        Reduction(r.kind, new[r.value], r.accumulator, r.dtype) for r in nest.reductions
    )
    return Nest(nest.label, nest.axes, stores, nest.reduce, reductions)


def _unrolled(nest: Nest, axis: Axis, times: int) -> Nest:
    """Return a nest unrolled ``times`` times along an axis."""
    stores = list(nest.stores)
    for step in range(1, times):
        place, new = {axis: of(axis) + step}, dict[Expr, Expr]()
        for expr in subexpressions(nest.roots()):
            replace_all(expr, place, new)
        stores.extend(_rebuilt(nest, new, place).stores)
    return Nest(nest.label, nest.axes, tuple(stores), nest.reduce, nest.reductions)


def with_multiply_adds(nest: Nest) -> Nest:
    """Return a nest whose long sums of products are chains of multiply-adds, products with zero first.

    Products with zero are 0 or NaN and invariant in the inner loop: added first, they are hoisted out of it, without an
    effect on the result.
    """
    new: dict[Expr, Expr] = {}
    inner = {
        expr.operands[0]
        for expr in subexpressions(nest.roots())
        if isinstance(expr, Apply) and expr.op is Op.ADD
    }
    for expr in subexpressions(nest.roots()):
        replace_all(expr, {}, new)
        if isinstance(expr, Apply) and expr.op is Op.ADD and expr not in inner:
            terms = _terms(expr)
            if expr.dtype.is_float and len(terms) > _MIN_GUARDS:
                terms = [new[term] for term in terms]
                new[expr] = _chain(sorted(terms, key=lambda term: not _is_zero(term)))
    return _rebuilt(nest, new, {})


def _terms(total: Expr) -> list[Expr]:
    """Return the terms of a sum, in order."""
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
