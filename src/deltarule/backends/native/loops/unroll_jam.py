"""Unroll and jam: adjacent results are computed in one iteration.

A reduction with one accumulator is bound by the latency of its additions. Adjacent results are independent, and read
the same cache lines: four of them per iteration keep the adders busy and load each line once. Sums of products that
share factors with their neighbours (see ``lower.depthwise``) load the shared factors once.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.loops.lane_axis import lane_axis
from deltarule.backends.native.loops.regions import SplitNest, is_padded, unrolled_axes
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
    replace_all,
    subexpressions,
)
from deltarule.shapes import count

_FACTORS = (4, 3, 2)
_MAX_REDUCTIONS, _MAX_OPERATIONS, _MIN_LENGTH = 2, 12, 16
_ROW_BYTES = (
    1 << 16
)  # results of one pass over the axis before the lane axis, which must stay in cache
_L1_FRACTION = 8  # fraction 1/8 of the L1 cache for one row of a block of an image
_MIN_SHARED, _MAX_SHARED, _MAX_UNROLLED = (
    6,
    64,
    900,
)  # minimum and maximum of shared factors (held in registers); unrolled expressions


def unroll_and_jam(nest: Nest, machine: Machine) -> Nest:
    """Return a nest that computes up to four results (or vectors of results) per iteration, or the nest itself."""
    if not nest.reductions:
        return _jam_for_reuse(nest, machine)
    if len(nest.reductions) > _MAX_REDUCTIONS and is_padded(nest):
        tiled = _split_nest(nest, nest.axes)
        tiled.float32_runs = _has_short_inner_sums(nest, machine)
        return tiled
    plain = all(r.kind in {"sum", "max"} for r in nest.reductions)
    operations = len(subexpressions([r.value for r in nest.reductions]))
    length = count(axis.extent for axis in nest.reduce)
    if not nest.reductions or not plain or not nest.axes or length < _MIN_LENGTH:
        return nest
    if len(nest.reductions) > _MAX_REDUCTIONS or operations > _MAX_OPERATIONS:
        return nest
    lane, width = lane_axis(nest, machine)
    if lane in nest.axes:
        blocks = (
            lane.extent // width if lane is not None and lane.extent % width == 0 else 1
        )
        factor = next((f for f in _FACTORS if blocks % f == 0), 1)
        return (
            _unroll(nest, lane, factor, width)
            if lane is not None and factor > 1
            else nest
        )
    axis = nest.axes[-1]
    factor = next((f for f in _FACTORS if axis.extent % f == 0), 1)
    return _unroll(nest, axis, factor, 1) if factor > 1 else nest


def _jam_for_reuse(nest: Nest, machine: Machine) -> Nest:
    """Interchange the lane axis with the axis before it, along which loads are shared, and strip-mine that axis."""
    padded = is_padded(nest)
    small = unrolled_axes(nest) if padded else ()
    unchanged = _split_nest(nest, nest.axes, small) if padded else nest
    plain = [axis for axis in nest.axes if axis not in small]
    if len(plain) < 3:
        return unchanged
    *outer, near, last = plain
    lane, width = lane_axis(nest, machine)
    rows = {load for load in nest.reads if load.index.axes == {last}}
    size = len(subexpressions([store.value for store in nest.stores]))
    if near.extent * last.extent * nest.stores[0].buffer.dtype.bits > 8 * _ROW_BYTES:
        return unchanged
    if lane is not last or width < 2 or not _MIN_SHARED <= len(rows) <= _MAX_SHARED:
        return unchanged
    factors = [f for f in _FACTORS if size * f <= _MAX_UNROLLED]
    if padded:
        tiled, block, inside = _strip_mined(nest, near, machine)
        axes = (*outer, *small, *block, last, inside)
        return _split_nest(tiled, axes, small, max(factors, default=1))
    factor = next((f for f in factors if near.extent % f == 0), 1)
    unrolled = _unroll(nest, near, factor, 1) if factor > 1 else nest
    *outer, inner, lanes = unrolled.axes
    return (
        Nest(unrolled.label, (*outer, lanes, inner), unrolled.stores)
        if inner is not last
        else unrolled
    )


def _strip_mined(
    nest: Nest, near: Axis, machine: Machine
) -> tuple[Nest, tuple[Axis, ...], Axis]:
    """Strip-mine an axis so that a block with all lanes fits the L1 cache; return the axes of blocks and inside."""
    step = max(load.index.coefficient(near) or 0 for load in nest.reads)
    nbytes = step * nest.stores[0].buffer.dtype.itemsize
    most = machine.caches.first // _L1_FRACTION // max(1, nbytes)
    width = next(
        (n for n in range(most, _MIN_SHARED - 1, -1) if near.extent % n == 0), 0
    )
    if not width or near.extent < 2 * most:
        return nest, (), near
    block = Axis(f"{near.name}o", near.extent // width)
    inside = Axis(f"{near.name}l", width)
    place, known = {near: of(block) * width + of(inside)}, dict[Expr, Expr]()
    for expr in subexpressions([store.value for store in nest.stores]):
        replace_all(expr, place, known)
    stores = tuple(
        Store(store.buffer, store.index.replace(place), known[store.value])
        for store in nest.stores
    )
    return Nest(nest.label, nest.axes, stores), (block,), inside


def _has_short_inner_sums(nest: Nest, machine: Machine) -> bool:
    """Return whether float32 products are accumulated in float64 along short inner loops."""
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


def _split_nest(
    nest: Nest, axes: Sequence[Axis], small: Sequence[Axis] = (), factor: int = 1
) -> SplitNest:
    return SplitNest(
        nest.label,
        tuple(axes),
        nest.stores,
        nest.reduce,
        nest.reductions,
        tuple(small),
        factor,
    )


def _unroll(nest: Nest, axis: Axis, factor: int, width: int) -> Nest:
    """Split an axis into blocks of ``factor`` groups of ``width`` elements, and unroll the groups."""
    outer = Axis(f"{axis.name}o", axis.extent // (factor * width))
    inner = Axis(f"{axis.name}l", width)
    reductions: list[Reduction] = []
    stores: list[Store] = []
    for copy in range(factor):
        place = of(outer) * (factor * width) + of(inner) + copy * width
        known: dict[Expr, Expr] = {}
        for number, reduction in enumerate(nest.reductions):
            value = _substituted(reduction.value, axis, place, known)
            reductions.append(
                Reduction(reduction.kind, value, reduction.accumulator, reduction.dtype)
            )
            for expr in subexpressions([store.value for store in nest.stores]):
                if isinstance(expr, Result) and expr.number == number:
                    known[expr] = Result(
                        expr.dtype, copy * len(nest.reductions) + number
                    )
        for store in nest.stores:
            value = _substituted(store.value, axis, place, known)
            stores.append(
                Store(store.buffer, store.index.replace({axis: place}), value)
            )
    at = nest.axes.index(axis)
    new = tuple(a for a in (outer, inner) if a.extent > 1)
    axes = (*nest.axes[:at], *new, *nest.axes[at + 1 :])
    return Nest(nest.label, axes, tuple(stores), nest.reduce, tuple(reductions))


def _substituted(expr: Expr, axis: Axis, place: Index, known: dict[Expr, Expr]) -> Expr:
    for part in subexpressions([expr]):
        replace_all(part, {axis: place}, known)
    return known[expr]
