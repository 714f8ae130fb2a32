"""Nests and scatters of the loop IR as functions in LLVM IR.

``void @name(ptr context, ptr buffer…, i64 begin, i64 end)`` runs the points begin … end − 1 of the outermost axis,
so that threads can share a nest. One axis (the *lane axis*) is run a vector at a time: the one along which most
memory is met at unit stride. Sums over it keep one partial sum a lane, joined in a fixed order at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deltarule.backends.native.llvm.emitter import Emitter, Module, first_lanes
from deltarule.backends.native.loops.apply import apply, cast, constant, kind, select
from deltarule.backends.native.loops.lane_axis import lane_axis, scalar_cost
from deltarule.backends.native.loops.regions import Cut, Region, in_float32, regions
from deltarule.backends.native.loops.values import Value, Values
from deltarule.dtypes import BOOL, FLOAT32, FLOAT64, INT64, DType, Scalar
from deltarule.graph.op import Op
from deltarule.lower.index import Axis, Index
from deltarule.lower.loops import (
    Apply,
    Buffer,
    Load,
    Nest,
    Reduction,
    Scatter,
    Store,
    touched,
)


@dataclass(frozen=True)
class Kernel:
    """A compiled statement: its function, what it is called with, and how it may be shared by threads."""

    name: str
    buffers: tuple[Buffer, ...]
    extent: int  # points of the outermost axis
    unit: int  # ranges begin at multiples of this
    work: float  # estimated cycles


def emit_nest(nest: Nest | Scatter, module: Module, name: str) -> tuple[Kernel, str]:
    """Return the kernel of a nest and the text of its function."""
    writer = _Writer(nest, module, name)
    return writer.kernel(), writer.text()


class _Writer:
    """Writes one function."""

    def __init__(self, nest: Nest | Scatter, module: Module, name: str) -> None:
        self.nest, self.module, self.name = nest, module, name
        self.e = Emitter(module)
        self.buffers = tuple(touched(nest))
        self.lane, self.width = lane_axis(nest, module.machine)
        pointers = {buffer: f"%b{place}" for place, buffer in enumerate(self.buffers)}
        self.values = Values(self.e, pointers, self.lane, self.width)
        self.known: dict[
            Axis, tuple[int, int]
        ] = {}  # ranges of the open loops of a cut nest

    def kernel(self) -> Kernel:
        """Return how to call the function."""
        axes = self.nest.axes
        extent = axes[0].extent if axes else 1
        unit = self.width if axes and axes[0] is self.lane else 1
        if isinstance(self.nest, Scatter):
            extent = 1
        work = scalar_cost(self.nest) / (self.width if self.lane else 1)
        return Kernel(self.name, self.buffers, extent, unit, work)

    def text(self) -> str:
        """Return the definition of the function."""
        if isinstance(self.nest, Scatter):
            self._scatter(self.nest)
        else:
            self._nest(self.nest)
        self.e.emit("ret void")
        listed = "".join(f", ptr %b{place}" for place in range(len(self.buffers)))
        return self.e.function(
            f"internal void @{self.name}(ptr %context{listed}, i64 %begin, i64 %end)"
        )

    # ------------------------------------------------------------------ loops

    def _nest(self, nest: Nest) -> None:
        with (
            self.e.when(self.e.compare("slt", "%begin", "%end")),
            self.values.level(),
        ):  # an idle thread reads nothing
            self.values.hoist(nest.roots())
            self._free(nest, list(nest.axes), "%begin", "%end")

    def _free(self, nest: Nest, axes: list[Axis], begin: str, end: str) -> None:
        """Write the loops over the remaining free axes."""
        if not axes:
            self._point(nest)
            return
        axis, rest = axes[0], axes[1:]
        if axis is not self.lane and isinstance(self.nest, Cut):
            for region in regions(self.nest, nest, axis, self.known):
                with self._region(axis, region, begin, end):
                    self.values.hoist(region.nest.roots())
                    self._free(region.nest, rest, *_whole(rest))
            return
        for start, stop, step, tail in self._ranges(axis, begin, end):
            self.values.tail = tail if axis is self.lane else self.values.tail
            with self._over(axis, start, stop, step):
                self.values.hoist(nest.roots())
                self._free(nest, rest, *_whole(rest))
        if axis is self.lane:
            self.values.tail = None

    @contextmanager
    def _over(self, axis: Axis, start: str, stop: str, step: int) -> Iterator[None]:
        with (
            self.e.loop(start, stop, step) as register,
            self.values.loop(axis, register),
        ):
            yield

    @contextmanager
    def _region(
        self, axis: Axis, region: Region, begin: str, end: str
    ) -> Iterator[None]:
        """Write the loop over one region of an axis, as far as it lies in begin … end − 1; or its only step."""
        start, stop = str(region.start), str(region.stop)
        self.known[axis] = (region.start, region.stop)
        with self.values.level():
            if (begin, end) == _whole([axis]):
                if region.stop - region.start == region.step:
                    with self.values.loop(axis, start):
                        yield
                else:
                    with self._over(axis, start, stop, region.step):
                        yield
            else:
                least = self.e.assign(
                    f"call i64 @llvm.smax.i64(i64 {begin}, i64 {start})"
                )
                with self._over(axis, least, self.e.minimum(end, stop), region.step):
                    yield
        del self.known[axis]

    def _ranges(
        self, axis: Axis, begin: str, end: str
    ) -> list[tuple[str, str, int, int | None]]:
        """Return (begin, end, step, valid lanes) of the loops over an axis: whole vectors, then a partial one."""
        if axis is not self.lane:
            return [(begin, end, 1, None)]
        whole = axis.extent - axis.extent % self.width
        tail = axis.extent - whole
        inside = begin == "0" and end == str(axis.extent)
        stop = str(whole) if inside else self.e.minimum(end, whole) if tail else end
        found: list[tuple[str, str, int, int | None]] = []
        if whole:
            found.append((begin, stop, self.width, None))
        if tail:
            start = (
                str(whole)
                if inside
                else self.e.assign(f"call i64 @llvm.smax.i64(i64 {begin}, i64 {whole})")
            )
            found.append((start, end, self.width, tail))
        return found

    def _point(self, nest: Nest) -> None:
        """Write what happens at one point (or vector of points): reduce, then store."""
        if nest.reductions:
            totals = self._reduce(
                nest, list(nest.reduce), [self._initial(r) for r in nest.reductions]
            )
            for number, (reduction, total) in enumerate(
                zip(nest.reductions, totals, strict=True)
            ):
                self.values.results[number] = self._finished(
                    reduction, total, self.lane in nest.reduce
                )
        self._stores(nest.stores)

    def _stores(self, stores: Sequence[Store]) -> None:
        self.values.prepare(store.value for store in stores)
        ready = [(store, self.values.value(store.value)) for store in stores]
        for store, value in ready:
            self.values.store(store.buffer, store.index, value)

    # ------------------------------------------------------------------ reductions

    def _initial(self, reduction: Reduction) -> list[str]:
        width = self.width
        if reduction.kind == "sum":
            return [constant(0, reduction.accumulator, width)]
        lowest = constant(_lowest(reduction.value.dtype), reduction.value.dtype, width)
        if reduction.kind == "max":
            return [lowest]
        return [lowest, constant(0, INT64, width), constant(0, BOOL, width)]

    def _types(self, reduction: Reduction) -> list[str]:
        if reduction.kind == "argmax":
            return [
                kind(reduction.value.dtype, self.width),
                kind(INT64, self.width),
                kind(BOOL, self.width),
            ]
        return [kind(_accumulates_in(reduction), self.width)]

    def _reduce(
        self, nest: Nest, axes: list[Axis], totals: list[list[str]]
    ) -> list[list[str]]:
        """Write the loops over the remaining reduce axes; return the accumulators after them."""
        if not axes:
            return [
                self._step(nest, r, total)
                for r, total in zip(nest.reductions, totals, strict=True)
            ]
        axis, rest = axes[0], axes[1:]
        if axis is not self.lane and isinstance(self.nest, Cut):
            if self.nest.in_runs and not rest:
                return self._run(self.nest, in_float32(nest), axis, totals)
            for region in regions(self.nest, nest, axis, self.known):
                totals = self._reduced_region(axis, region, rest, totals)
            return totals
        types = [t for reduction in nest.reductions for t in self._types(reduction)]
        for start, stop, step, tail in self._ranges(axis, "0", str(axis.extent)):
            previous = self.values.tail
            if axis is self.lane:
                self.values.tail = tail
            if tail is not None and axis is self.lane:  # one partial vector: no loop
                with self.values.loop(axis, start):
                    totals = self._reduce(nest, rest, totals)
                self.values.tail = previous
                continue
            flat = [text for total in totals for text in total]
            with (
                _carried(self.e, start, stop, step, flat, types) as loop,
                self.values.loop(axis, loop.index),
            ):
                self.values.hoist([r.value for r in nest.reductions])
                after = self._reduce(nest, rest, _grouped(loop.carried, totals))
                loop.results.extend(text for total in after for text in total)
            totals = _grouped(loop.carried, totals)
            self.values.tail = previous
        return totals

    def _reduced_region(
        self, axis: Axis, region: Region, rest: list[Axis], totals: list[list[str]]
    ) -> list[list[str]]:
        """Write the loop over one region of a reduce axis, or its only step; return the accumulators after it."""
        nest, start, stop = region.nest, str(region.start), str(region.stop)
        self.known[axis] = (region.start, region.stop)
        if region.stop - region.start == 1:
            with self.values.loop(axis, start):
                totals = self._reduce(nest, rest, totals)
        else:
            flat = [text for total in totals for text in total]
            types = [t for reduction in nest.reductions for t in self._types(reduction)]
            with (
                _carried(self.e, start, stop, 1, flat, types) as loop,
                self.values.loop(axis, loop.index),
            ):
                self.values.hoist([r.value for r in nest.reductions])
                after = self._reduce(nest, rest, _grouped(loop.carried, totals))
                loop.results.extend(text for total in after for text in total)
            totals = _grouped(loop.carried, totals)
        del self.known[axis]
        return totals

    def _run(
        self, cut: Cut, nest: Nest, axis: Axis, totals: list[list[str]]
    ) -> list[list[str]]:
        """Add the sums over the innermost axis, which are made in float32, to accumulators in float64."""
        sums = [self._initial(r) for r in nest.reductions]
        for region in regions(cut, nest, axis, self.known):
            sums = self._reduced_region(axis, region, [], sums)
        found, width = [], self.width
        for (total,), (text,) in zip(totals, sums, strict=True):
            wide = cast(self.e, text, FLOAT32, FLOAT64, width)
            added = apply(self.e, Op.ADD, FLOAT64, (total, wide), FLOAT64, width)
            found.append([added])
        return found

    def _step(self, nest: Nest, reduction: Reduction, total: list[str]) -> list[str]:
        """Add one value (or vector of values) to an accumulator."""
        e, width, values = self.e, self.width, self.values
        self.values.prepare([reduction.value])
        fused = self._product(reduction, total)
        if fused is not None:
            return fused
        value = values.value(reduction.value)
        text = (
            values.widen(value, reduction.value.dtype).text if self.lane else value.text
        )
        dtype = reduction.value.dtype
        if self.lane in nest.reduce and values.tail is not None:
            neutral = (
                self._initial(reduction)[0]
                if reduction.kind != "sum"
                else constant(0, dtype, width)
            )
            text = select(
                e, first_lanes(values.tail, width), dtype, text, neutral, width
            )
        if reduction.kind == "sum":
            wide = cast(e, text, dtype, reduction.accumulator, width)
            return [
                apply(
                    e,
                    Op.ADD,
                    reduction.accumulator,
                    (total[0], wide),
                    reduction.accumulator,
                    width,
                )
            ]
        if reduction.kind == "max":
            return [apply(e, Op.MAXIMUM, dtype, (total[0], text), dtype, width)]
        return self._best(nest, dtype, text, total)

    def _product(self, reduction: Reduction, total: list[str]) -> list[str] | None:
        """Sum of products of floats in their own type: a multiply-add."""
        value = reduction.value
        plain = (
            reduction.kind == "sum"
            and isinstance(value, Apply)
            and value.op is Op.MULTIPLY
        )
        if (
            not plain
            or not value.dtype.is_float
            or reduction.accumulator is not value.dtype
        ):
            return None
        if self.values.tail is not None and self.lane in self.nest_reduce:
            return None
        a, b = (self.values.value(operand) for operand in value.parts)
        if self.lane:
            a, b = self.values.widen(a, value.dtype), self.values.widen(b, value.dtype)
        return [
            self.e.multiply_add(value.dtype.name, a.text, b.text, total[0], self.width)
        ]

    @property
    def nest_reduce(self) -> tuple[Axis, ...]:
        """Return the reduce axes."""
        return self.nest.reduce if isinstance(self.nest, Nest) else ()

    def _best(self, nest: Nest, dtype: DType, text: str, total: list[str]) -> list[str]:
        """Keep the first maximum and its position; the first NaN wins over all."""
        e, width = self.e, self.width
        best, position, started = total
        types = kind(dtype, width)
        if dtype.is_float:
            higher = e.assign(f"fcmp ogt {types} {text}, {best}")
            fresh = e.assign(f"fcmp uno {types} {text}, {text}")
            settled = e.assign(f"fcmp uno {types} {best}, {best}")
            lanes = kind(BOOL, width)
            unsettled = e.assign(f"xor {lanes} {settled}, {constant(1, BOOL, width)}")
            higher = e.assign(
                f"or {lanes} {higher}, {e.assign(f'and {lanes} {fresh}, {unsettled}')}"
            )
        else:
            higher = e.assign(
                f"icmp {'sgt' if dtype.kind == 'int' else 'ugt'} {types} {text}, {best}"
            )
        first = e.assign(
            f"xor {kind(BOOL, width)} {started}, {constant(1, BOOL, width)}"
        )
        taken = e.assign(f"or {kind(BOOL, width)} {higher}, {first}")
        index = _position(nest)
        here = Value(self.values.scalar_index(index))
        lanes_here = self.values.widen(here, INT64).text if self.lane else here.text
        return [
            select(e, taken, dtype, text, best, width),
            select(e, taken, INT64, lanes_here, position, width),
            constant(1, BOOL, width),
        ]

    def _finished(self, reduction: Reduction, total: list[str], joins: bool) -> Value:
        """Return the result of a reduction in its own type."""
        text, width = total[-2] if reduction.kind == "argmax" else total[0], self.width
        held = INT64 if reduction.kind == "argmax" else _accumulates_in(reduction)
        if joins:
            operation = Op.ADD if reduction.kind == "sum" else Op.MAXIMUM
            text, width = self._joined(operation, held, text), 1
        return Value(cast(self.e, text, held, reduction.dtype, width), width)

    def _joined(self, op: Op, dtype: DType, text: str) -> str:
        """Combine the lanes: halves, quarters … in a fixed order."""
        e, width = self.e, self.width
        while width > 1:
            half = width // 2
            types = kind(dtype, width)
            parts = []
            for first in (0, half):
                order = ", ".join(f"i32 {first + lane}" for lane in range(half))
                parts.append(
                    e.assign(
                        f"shufflevector {types} {text}, {types} poison, <{half} x i32> <{order}>"
                    )
                    if half > 1
                    else e.assign(f"extractelement {types} {text}, i64 {first}")
                )
            text = apply(e, op, dtype, parts, dtype, half)
            width = half
        return text

    # ------------------------------------------------------------------ scatter

    def _scatter(self, nest: Scatter) -> None:
        (store,) = nest.stores
        e, values, buffer = self.e, self.values, store.buffer
        with e.when(e.compare("slt", "%begin", "%end")), values.level():
            nbytes = buffer.nbytes
            e.emit(
                f"call void @llvm.memset.p0.i64(ptr {values.pointers[buffer]}, i8 0, i64 {nbytes}, i1 false)"
            )
            self._scatter_loops(store, list(nest.axes))

    def _scatter_loops(self, store: Store, axes: list[Axis]) -> None:
        if not axes:
            values, dtype = self.values, store.buffer.dtype
            added = values.value(store.value)
            place = Load(dtype, store.buffer, store.index)
            before = values.value(place)
            width = self.width if self.lane else 1
            if self.lane:
                added, before = values.widen(added, dtype), values.widen(before, dtype)
            op = Op.OR if dtype is BOOL else Op.ADD
            total = apply(self.e, op, dtype, (before.text, added.text), dtype, width)
            values.store(store.buffer, store.index, Value(total, width))
            return
        axis, rest = axes[0], axes[1:]
        for start, stop, step, tail in self._ranges(axis, "0", str(axis.extent)):
            self.values.tail = tail if axis is self.lane else self.values.tail
            with self._over(axis, start, stop, step):
                self._scatter_loops(store, rest)
        if axis is self.lane:
            self.values.tail = None


def _whole(axes: Sequence[Axis]) -> tuple[str, str]:
    """Return the range of the first of the remaining axes."""
    return ("0", str(axes[0].extent)) if axes else ("0", "")


def _accumulates_in(reduction: Reduction) -> DType:
    return reduction.accumulator if reduction.kind == "sum" else reduction.value.dtype


def _position(nest: Nest) -> Index:
    """Return the position along the reduced axis (of an argmax)."""
    total, step = Index(), 1
    for axis in reversed(nest.reduce):
        total = total + Index(((axis, step),)) if axis.extent > 1 else total
        step *= axis.extent
    return total


def _lowest(dtype: DType) -> Scalar:
    if dtype.is_float:
        return -math.inf
    return -(2 ** (dtype.bits - 1)) if dtype.kind == "int" else 0


@dataclass
class _Loop:
    index: str
    carried: list[str]
    results: list[str]


@contextmanager
def _carried(
    e: Emitter,
    begin: str,
    end: str,
    step: int,
    initial: Sequence[str],
    types: Sequence[str],
) -> Iterator[_Loop]:
    """Write a loop with accumulators in registers; after it, ``carried`` holds their final values."""
    head, body, done = (e.fresh_label(hint) for hint in ("reduce", "body", "reduced"))
    before = e.block
    e.branch(head)
    e.label(head)
    place = len(e.lines)
    loop = _Loop(e.fresh("k"), [e.fresh("sum") for _ in initial], [])
    e.branch_if(e.compare("slt", loop.index, end), body, done)
    e.label(body)
    yield loop
    following = e.assign(f"add i64 {loop.index}, {step}")
    last = e.block
    e.branch(head)
    phis = [
        (loop.index, "i64", begin, following),
        *zip(loop.carried, types, initial, loop.results, strict=True),
    ]
    e.lines[place:place] = [
        f"  {name} = phi {kind} [ {first}, %{before} ], [ {then}, %{last} ]"
        for name, kind, first, then in phis
    ]
    e.label(done)


def _grouped(flat: Sequence[str], like: Sequence[Sequence[str]]) -> list[list[str]]:
    rest = iter(flat)
    return [[next(rest) for _ in group] for group in like]
