"""Unroll and jam: several results in one pass.

A reduction with one accumulator waits for each addition to finish. Neighbouring results are independent of each
other, and read the same lines of memory: four of them side by side keep the adders busy and read memory once. Sums of
products that share many factors with their neighbours (see ``lower.depthwise``) read those once.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.loops.lane_axis import lane_axis
from deltarule.backends.native.loops.regions import Cut, is_padded, written_out
from deltarule.dtypes import FLOAT32, FLOAT64, SHORT_SUM
from deltarule.graph.op import Op
from deltarule.lower.index import Axis, Index, of
from deltarule.lower.loops import (
    Apply,
    Expr,
    Nest,
    Reduction,
    Result,
    Store,
    everything,
    replace_all,
)
from deltarule.shapes import count

_FACTORS = (4, 3, 2)
_MOST_REDUCTIONS, _MOST_OPERATIONS, _LEAST_LENGTH = 2, 12, 16
_ROW_BYTES = (
    1 << 16
)  # of the results of one pass over the axis before the lanes, which stay in cache
_BLOCK = 8  # part of the first cache that one row of a block of an image takes
_SHARED, _MOST_SHARED, _MOST_WRITTEN_OUT = (
    6,
    64,
    900,
)  # factors worth sharing, and that registers hold; expressions


def jammed(nest: Nest, machine: Machine) -> Nest:
    """Return a nest that computes up to four results (or vectors of results) at a time, or the nest itself."""
    if not nest.reductions:
        return _sharing(nest, machine)
    if len(nest.reductions) > _MOST_REDUCTIONS and is_padded(nest):
        cut = _cut(nest, nest.axes)
        cut.in_runs = _is_made_in_runs(nest, machine)
        return cut
    plain = all(r.kind in {"sum", "max"} for r in nest.reductions)
    operations = len(everything([r.value for r in nest.reductions]))
    length = count(axis.extent for axis in nest.reduce)
    if not nest.reductions or not plain or not nest.axes or length < _LEAST_LENGTH:
        return nest
    if len(nest.reductions) > _MOST_REDUCTIONS or operations > _MOST_OPERATIONS:
        return nest
    lane, width = lane_axis(nest, machine)
    if lane in nest.axes:
        blocks = (
            lane.extent // width if lane is not None and lane.extent % width == 0 else 1
        )
        factor = next((f for f in _FACTORS if blocks % f == 0), 1)
        return (
            _split(nest, lane, factor, width)
            if lane is not None and factor > 1
            else nest
        )
    axis = nest.axes[-1]
    factor = next((f for f in _FACTORS if axis.extent % f == 0), 1)
    return _split(nest, axis, factor, 1) if factor > 1 else nest


def _sharing(nest: Nest, machine: Machine) -> Nest:
    """Run lanes outside the axis before them, along which many of the values read are the same, in blocks of it."""
    padded = is_padded(nest)
    small = written_out(nest) if padded else ()
    unchanged = _cut(nest, nest.axes, small) if padded else nest
    plain = [axis for axis in nest.axes if axis not in small]
    if len(plain) < 3:
        return unchanged
    *outer, near, last = plain
    lane, width = lane_axis(nest, machine)
    rows = {load for load in nest.reads if load.index.axes == {last}}
    size = len(everything([store.value for store in nest.stores]))
    if near.extent * last.extent * nest.stores[0].buffer.dtype.bits > 8 * _ROW_BYTES:
        return unchanged
    if lane is not last or width < 2 or not _SHARED <= len(rows) <= _MOST_SHARED:
        return unchanged
    factors = [f for f in _FACTORS if size * f <= _MOST_WRITTEN_OUT]
    if padded:
        cut, block, inside = _blocked(nest, near, machine)
        axes = (*outer, *small, *block, last, inside)
        return _cut(cut, axes, small, max(factors, default=1))
    factor = next((f for f in factors if near.extent % f == 0), 1)
    split = _split(nest, near, factor, 1) if factor > 1 else nest
    *outer, inner, lanes = split.axes
    return (
        Nest(split.label, (*outer, lanes, inner), split.stores)
        if inner is not last
        else split
    )


def _blocked(
    nest: Nest, near: Axis, machine: Machine
) -> tuple[Nest, tuple[Axis, ...], Axis]:
    """Cut an axis into blocks of which all lanes stay in the first cache; return the axes of blocks and inside."""
    step = max(load.index.coefficient(near) or 0 for load in nest.reads)
    nbytes = step * nest.stores[0].buffer.dtype.itemsize
    most = machine.caches.first // _BLOCK // max(1, nbytes)
    width = next((n for n in range(most, _SHARED - 1, -1) if near.extent % n == 0), 0)
    if not width or near.extent < 2 * most:
        return nest, (), near
    block = Axis(f"{near.name}o", near.extent // width)
    inside = Axis(f"{near.name}l", width)
    place, known = {near: of(block) * width + of(inside)}, dict[Expr, Expr]()
    for expr in everything([store.value for store in nest.stores]):
        replace_all(expr, place, known)
    stores = tuple(
        Store(store.buffer, store.index.replace(place), known[store.value])
        for store in nest.stores
    )
    return Nest(nest.label, nest.axes, stores), (block,), inside


def _is_made_in_runs(nest: Nest, machine: Machine) -> bool:
    """Return whether products of float32 are added in float64 along short inner loops."""
    inner = nest.reduce[-1]
    return (
        len(nest.reduce) > 1
        and inner.extent <= SHORT_SUM
        and lane_axis(nest, machine)[0] not in nest.reduce
        and all(
            isinstance(r.value, Apply)
            and r.value.op is Op.MULTIPLY
            and (r.kind, r.value.dtype, r.accumulator) == ("sum", FLOAT32, FLOAT64)
            for r in nest.reductions
        )
    )


def _cut(
    nest: Nest, axes: Sequence[Axis], small: Sequence[Axis] = (), factor: int = 1
) -> Cut:
    return Cut(
        nest.label,
        tuple(axes),
        nest.stores,
        nest.reduce,
        nest.reductions,
        tuple(small),
        factor,
    )


def _split(nest: Nest, axis: Axis, factor: int, width: int) -> Nest:
    """Cut an axis into blocks of ``factor`` groups of ``width``, and write out the groups."""
    outer = Axis(f"{axis.name}o", axis.extent // (factor * width))
    inner = Axis(f"{axis.name}l", width)
    reductions: list[Reduction] = []
    stores: list[Store] = []
    for copy in range(factor):
        place = of(outer) * (factor * width) + of(inner) + copy * width
        known: dict[Expr, Expr] = {}
        for number, reduction in enumerate(nest.reductions):
            value = _moved(reduction.value, axis, place, known)
            reductions.append(
                Reduction(reduction.kind, value, reduction.accumulator, reduction.dtype)
            )
            for expr in everything([store.value for store in nest.stores]):
                if isinstance(expr, Result) and expr.number == number:
                    known[expr] = Result(
                        expr.dtype, copy * len(nest.reductions) + number
                    )
        for store in nest.stores:
            value = _moved(store.value, axis, place, known)
            stores.append(
                Store(store.buffer, store.index.replace({axis: place}), value)
            )
    at = nest.axes.index(axis)
    new = tuple(a for a in (outer, inner) if a.extent > 1)
    axes = (*nest.axes[:at], *new, *nest.axes[at + 1 :])
    return Nest(nest.label, axes, tuple(stores), nest.reduce, tuple(reductions))


def _moved(expr: Expr, axis: Axis, place: Index, known: dict[Expr, Expr]) -> Expr:
    for part in everything([expr]):
        replace_all(part, {axis: place}, known)
    return known[expr]
