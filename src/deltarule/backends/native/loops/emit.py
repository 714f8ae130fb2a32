"""Code generation for nests and scatters of the loop IR, as functions in LLVM IR.

``void @name(ptr context, ptr buffer…, i64 begin, i64 end)`` runs the iterations begin … end − 1 of the outermost axis,
so that threads can share a nest. The *lane axis* is vectorised: the axis with the most unit-stride memory accesses.
Sums over it have one partial sum per lane, which are combined in a fixed order at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from deltarule.backends.native.llvm.emitter import Emitter, Module, first_lanes
from deltarule.backends.native.loops.apply import apply, cast, constant, kind, select
from deltarule.backends.native.loops.expressions import ExpressionEmitter, Value
from deltarule.backends.native.loops.lane_axis import lane_axis, scalar_cost
from deltarule.backends.native.loops.regions import (
    Region,
    SplitNest,
    regions,
    with_float32_accumulators,
)
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
    accessed_buffers,
)


@dataclass(frozen=True)
class Kernel:
    """The kernel of a statement: its function, the arguments, and how its iterations may be divided among threads.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (64,))
    >>> (nest,) = lower(Program((x,), (exp(x),))).program.statements
    >>> kernel, _ = emit_nest(nest, Module(host(target="avx2")), "exp64")
    >>> kernel.name, [buffer.name for buffer in kernel.buffers]
    ('exp64', ['x', 'output0'])
    """

    name: str
    buffers: tuple[Buffer, ...]
    extent: int  # iterations of the outermost axis
    unit: int  # the bounds of ranges are multiples of this
    work: float  # estimated cycles


def emit_nest(nest: Nest | Scatter, module: Module, name: str) -> tuple[Kernel, str]:
    """Return the kernel of a nest and the text of its function.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> from deltarule.graph.build import exp, input_node
    >>> from deltarule.graph.program import Program
    >>> from deltarule.lower.lower import lower
    >>> x = input_node("x", (64,))
    >>> (nest,) = lower(Program((x,), (exp(x),))).program.statements
    >>> kernel, text = emit_nest(nest, Module(host(target="avx2")), "exp64")
    >>> text.splitlines()[0]
    'define internal void @exp64(ptr %context, ptr %b0, ptr %b1, i64 %begin, i64 %end) nounwind {'
    """
    emitter = _NestEmitter(nest, module, name)
    return emitter.kernel(), emitter.text()


class _NestEmitter:
    """Emitter of the function of a nest or scatter."""

    def __init__(self, nest: Nest | Scatter, module: Module, name: str) -> None:
        self.nest, self.module, self.name = nest, module, name
        self.e = Emitter(module)
        self.buffers = tuple(accessed_buffers(nest))
        self.lane, self.width = lane_axis(nest, module.machine)
        pointers = {buffer: f"%b{place}" for place, buffer in enumerate(self.buffers)}
        self.values = ExpressionEmitter(self.e, pointers, self.lane, self.width)
        self.open_ranges: dict[
            Axis, tuple[int, int]
        ] = {}  # ranges of the open loops of a split nest

    def kernel(self) -> Kernel:
        """Return the calling information of the function."""
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
            self.values.scope(),
        ):  # a thread without iterations must not read memory
            self.values.hoist(nest.roots())
            self._result_loops(nest, list(nest.axes), "%begin", "%end")

    def _result_loops(self, nest: Nest, axes: list[Axis], begin: str, end: str) -> None:
        """Emit the loops over the remaining axes of the results."""
        if not axes:
            self._body(nest)
            return
        axis, rest = axes[0], axes[1:]
        if axis is not self.lane and isinstance(self.nest, SplitNest):
            for region in regions(self.nest, nest, axis, self.open_ranges):
                with self._region_loop(axis, region, begin, end):
                    self.values.hoist(region.nest.roots())
                    self._result_loops(region.nest, rest, *_full_range(rest))
            return
        for start, stop, step, tail in self._ranges(axis, begin, end):
            self.values.tail = tail if axis is self.lane else self.values.tail
            with self._loop(axis, start, stop, step):
                self.values.hoist(nest.roots())
                self._result_loops(nest, rest, *_full_range(rest))
        if axis is self.lane:
            self.values.tail = None

    @contextmanager
    def _loop(self, axis: Axis, start: str, stop: str, step: int) -> Iterator[None]:
        with (
            self.e.loop(start, stop, step) as register,
            self.values.loop(axis, register),
        ):
            yield

    @contextmanager
    def _region_loop(
        self, axis: Axis, region: Region, begin: str, end: str
    ) -> Iterator[None]:
        """Emit the loop over the part of a region that is in begin … end − 1, or its body for a single iteration."""
        start, stop = str(region.start), str(region.stop)
        self.open_ranges[axis] = (region.start, region.stop)
        with self.values.scope():
            if (begin, end) == _full_range([axis]):
                if region.stop - region.start == region.step:
                    with self.values.loop(axis, start):
                        yield
                else:
                    with self._loop(axis, start, stop, region.step):
                        yield
            else:
                least = self.e.assign(
                    f"call i64 @llvm.smax.i64(i64 {begin}, i64 {start})"
                )
                with self._loop(axis, least, self.e.minimum(end, stop), region.step):
                    yield
        del self.open_ranges[axis]

    def _ranges(
        self, axis: Axis, begin: str, end: str
    ) -> list[tuple[str, str, int, int | None]]:
        """Return (begin, end, step, valid lanes) of the loops over an axis: whole vectors, then the remainder."""
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

    def _body(self, nest: Nest) -> None:
        """Emit the loop body at one point (or vector of points): the reductions, then the stores."""
        if nest.reductions:
            totals = self._reduce(
                nest, list(nest.reduce), [self._initial(r) for r in nest.reductions]
            )
            for number, (reduction, total) in enumerate(
                zip(nest.reductions, totals, strict=True)
            ):
                self.values.results[number] = self._final_value(
                    reduction, total, self.lane in nest.reduce
                )
        self._stores(nest.stores)

    def _stores(self, stores: Sequence[Store]) -> None:
        self.values.emit_operands(store.value for store in stores)
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
        return [kind(_accumulator_type(reduction), self.width)]

    def _reduce(
        self, nest: Nest, axes: list[Axis], totals: list[list[str]]
    ) -> list[list[str]]:
        """Emit the loops over the remaining reduce axes; return the accumulators after them."""
        if not axes:
            return [
                self._accumulate(nest, r, total)
                for r, total in zip(nest.reductions, totals, strict=True)
            ]
        axis, rest = axes[0], axes[1:]
        if axis is not self.lane and isinstance(self.nest, SplitNest):
            if self.nest.float32_runs and not rest:
                return self._float32_partial_sums(
                    self.nest, with_float32_accumulators(nest), axis, totals
                )
            for region in regions(self.nest, nest, axis, self.open_ranges):
                totals = self._reduced_region(axis, region, rest, totals)
            return totals
        types = [t for reduction in nest.reductions for t in self._types(reduction)]
        for start, stop, step, tail in self._ranges(axis, "0", str(axis.extent)):
            previous = self.values.tail
            if axis is self.lane:
                self.values.tail = tail
            if (
                tail is not None and axis is self.lane
            ):  # a single partial vector needs no loop
                with self.values.loop(axis, start):
                    totals = self._reduce(nest, rest, totals)
                self.values.tail = previous
                continue
            flat = [text for total in totals for text in total]
            with (
                _loop_with_accumulators(self.e, start, stop, step, flat, types) as loop,
                self.values.loop(axis, loop.index),
            ):
                self.values.hoist([r.value for r in nest.reductions])
                after = self._reduce(nest, rest, _regrouped(loop.carried, totals))
                loop.results.extend(text for total in after for text in total)
            totals = _regrouped(loop.carried, totals)
            self.values.tail = previous
        return totals

    def _reduced_region(
        self, axis: Axis, region: Region, rest: list[Axis], totals: list[list[str]]
    ) -> list[list[str]]:
        """Emit the loop over a region of a reduce axis, or its body for a single iteration; return the accumulators."""
        nest, start, stop = region.nest, str(region.start), str(region.stop)
        self.open_ranges[axis] = (region.start, region.stop)
        if region.stop - region.start == 1:
            with self.values.loop(axis, start):
                totals = self._reduce(nest, rest, totals)
        else:
            flat = [text for total in totals for text in total]
            types = [t for reduction in nest.reductions for t in self._types(reduction)]
            with (
                _loop_with_accumulators(self.e, start, stop, 1, flat, types) as loop,
                self.values.loop(axis, loop.index),
            ):
                self.values.hoist([r.value for r in nest.reductions])
                after = self._reduce(nest, rest, _regrouped(loop.carried, totals))
                loop.results.extend(text for total in after for text in total)
            totals = _regrouped(loop.carried, totals)
        del self.open_ranges[axis]
        return totals

    def _float32_partial_sums(
        self, split: SplitNest, nest: Nest, axis: Axis, totals: list[list[str]]
    ) -> list[list[str]]:
        """Accumulate the innermost axis in float32, and add these partial sums to accumulators in float64."""
        sums = [self._initial(r) for r in nest.reductions]
        for region in regions(split, nest, axis, self.open_ranges):
            sums = self._reduced_region(axis, region, [], sums)
        found, width = [], self.width
        for (total,), (text,) in zip(totals, sums, strict=True):
            wide = cast(self.e, text, FLOAT32, FLOAT64, width)
            added = apply(self.e, Op.ADD, FLOAT64, (total, wide), FLOAT64, width)
            found.append([added])
        return found

    def _accumulate(
        self, nest: Nest, reduction: Reduction, total: list[str]
    ) -> list[str]:
        """Accumulate one value (or vector of values)."""
        e, width, values = self.e, self.width, self.values
        self.values.emit_operands([reduction.value])
        fused = self._multiply_accumulate(reduction, total)
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
        return self._argmax_step(nest, dtype, text, total)

    def _multiply_accumulate(
        self, reduction: Reduction, total: list[str]
    ) -> list[str] | None:
        """Accumulate a product by a multiply-add, if the accumulator has the type of the factors; else return None."""
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

    def _argmax_step(
        self, nest: Nest, dtype: DType, text: str, total: list[str]
    ) -> list[str]:
        """Update the first maximum and its position; the first NaN takes precedence over numbers."""
        e, width = self.e, self.width
        best, position, started = total
        types = kind(dtype, width)
        if dtype.is_float:
            higher = e.assign(f"fcmp ogt {types} {text}, {best}")
            is_nan = e.assign(f"fcmp uno {types} {text}, {text}")
            best_is_nan = e.assign(f"fcmp uno {types} {best}, {best}")
            lanes = kind(BOOL, width)
            best_is_number = e.assign(
                f"xor {lanes} {best_is_nan}, {constant(1, BOOL, width)}"
            )
            higher = e.assign(
                f"or {lanes} {higher}, {e.assign(f'and {lanes} {is_nan}, {best_is_number}')}"
            )
        else:
            higher = e.assign(
                f"icmp {'sgt' if dtype.kind == 'int' else 'ugt'} {types} {text}, {best}"
            )
        first = e.assign(
            f"xor {kind(BOOL, width)} {started}, {constant(1, BOOL, width)}"
        )
        update = e.assign(f"or {kind(BOOL, width)} {higher}, {first}")
        index = _position(nest)
        here = Value(self.values.scalar_index(index))
        lanes_here = self.values.widen(here, INT64).text if self.lane else here.text
        return [
            select(e, update, dtype, text, best, width),
            select(e, update, INT64, lanes_here, position, width),
            constant(1, BOOL, width),
        ]

    def _final_value(
        self, reduction: Reduction, total: list[str], across_lanes: bool
    ) -> Value:
        """Return the result of a reduction, in its element type."""
        text, width = total[-2] if reduction.kind == "argmax" else total[0], self.width
        held = INT64 if reduction.kind == "argmax" else _accumulator_type(reduction)
        if across_lanes:
            operation = Op.ADD if reduction.kind == "sum" else Op.MAXIMUM
            text, width = self._combine_lanes(operation, held, text), 1
        return Value(cast(self.e, text, held, reduction.dtype, width), width)

    def _combine_lanes(self, op: Op, dtype: DType, text: str) -> str:
        """Reduce a vector to a scalar by pairwise halving, in a fixed order."""
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
        with e.when(e.compare("slt", "%begin", "%end")), values.scope():
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
            with self._loop(axis, start, stop, step):
                self._scatter_loops(store, rest)
        if axis is self.lane:
            self.values.tail = None


def _full_range(axes: Sequence[Axis]) -> tuple[str, str]:
    """Return the full range of the first of the axes."""
    return ("0", str(axes[0].extent)) if axes else ("0", "")


def _accumulator_type(reduction: Reduction) -> DType:
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
class _ReductionLoop:
    index: str
    carried: list[str]
    results: list[str]


@contextmanager
def _loop_with_accumulators(
    e: Emitter,
    begin: str,
    end: str,
    step: int,
    initial: Sequence[str],
    types: Sequence[str],
) -> Iterator[_ReductionLoop]:
    """Emit a loop with accumulators in registers (phi nodes); after it, ``carried`` holds their final values."""
    head, body, done = (e.fresh_label(hint) for hint in ("reduce", "body", "reduced"))
    before = e.block
    e.branch(head)
    e.label(head)
    place = len(e.lines)
    loop = _ReductionLoop(e.fresh("k"), [e.fresh("sum") for _ in initial], [])
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


def _regrouped(flat: Sequence[str], like: Sequence[Sequence[str]]) -> list[list[str]]:
    rest = iter(flat)
    return [[next(rest) for _ in group] for group in like]
