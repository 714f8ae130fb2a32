"""Contractions as LLVM IR: every matrix product, convolution and gradient of them, in one loop nest.

``emit_contraction`` writes a function that computes a range of rows and columns. Matrix products (transposed,
batched), convolution forward, its input gradient and its weight gradient are all instances (implicit matrix
product, channels last). The schedule is in :mod:`tiling`, the innermost code in :mod:`tile`::

    for a block of the reduction            (so that what one pass touches stays in cache)
        for a block of rows
            for a tile of columns
                for a tile of rows in the block
                    tile: rows × vectors of accumulators, epilogue after the last block
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from deltarule.backends.native.emitter import Emitter, Module, number, type_of
from deltarule.backends.native.machine import Machine
from deltarule.backends.native.specification import ContractionSpec, Epilogue, Index
from deltarule.backends.native.tile import FINISH, LOAD_RESULT, Tile, emit_tile
from deltarule.backends.native.tiling import AxisPlan, Level, Plan, plan_contraction

__all__ = [
    "ContractionSpec",
    "Epilogue",
    "Index",
    "emit_contraction",
    "emit_simple_contraction",
    "plan_contraction",
]

_SIGNATURE = "ptr %A, ptr %B, ptr %C, ptr %context, i64 %row_begin, i64 %row_end, i64 %column_begin, i64 %column_end"


def emit_contraction(
    spec: ContractionSpec,
    machine: Machine,
    name: str,
    epilogue: Epilogue | None = None,
    module: Module | None = None,
    plan: Plan | None = None,
) -> str:
    """Return the IR of ``void @name(A, B, C, context, row_begin, row_end, column_begin, column_end)``.

    It computes the elements of the ranges, whose bounds must be among ``plan.row_boundaries()`` and
    ``plan.column_boundaries()`` (any range for a spec without a plan). Calls for disjoint ranges may run at the
    same time, and give the same bits however the ranges are cut. What an epilogue needs beyond the function
    itself goes to ``module``; without one, it is part of the text. Raises nothing for any legal spec: one that
    no tile fits runs as simple loops.
    """
    shared = module if module is not None else Module(machine)
    schedule = plan if plan is not None else plan_contraction(spec, machine)
    text = (
        emit_simple_contraction(spec, shared, name, epilogue)
        if schedule is None
        else _Driver(schedule, name, shared, epilogue).text()
    )
    return text if module is not None else f"{shared.definitions()}\n{text}"


class _Driver:
    """Writes the loops around the tiles of one contraction."""

    def __init__(self, plan: Plan, name: str, module: Module, epilogue: Epilogue | None) -> None:
        self.plan, self.name, self.module, self.epilogue = plan, name, module, epilogue
        self.spec = plan.spec
        self.dtype = self.spec.dtype
        self.width = plan.columns.width
        self.emitter = Emitter(module)

    def text(self) -> str:
        """Return the tile functions and the driver."""
        tiles = [
            self._tile(r, c)
            for r in range(len(self.plan.rows.segments))
            for c in range(len(self.plan.columns.segments))
        ]
        self._write()
        return "\n".join([*tiles, self.emitter.function(f"void @{self.name}({_SIGNATURE})")])

    def _tile_name(self, row_segment: int, column_segment: int) -> str:
        return f"{self.name}.tile{row_segment}.{column_segment}"

    def _tile(self, row_segment: int, column_segment: int) -> str:
        plan = self.plan
        divisor = math.gcd(plan.reduce[0].extent, plan.reduce_block)
        tile = Tile(
            self.dtype,
            self.width,
            plan.rows.lanes(plan.rows.segments[row_segment]),
            plan.columns.lanes(plan.columns.segments[column_segment]),
            plan.reduce,
            divisor,
        )
        name = self._tile_name(row_segment, column_segment)
        return emit_tile(self.module, name, tile, self.epilogue, empty=self.spec.depth == 0)

    def _write(self) -> None:
        e, plan, spec = self.emitter, self.plan, self.spec
        rows_some = e.compare("slt", "%row_begin", "%row_end")
        columns_some = e.compare("slt", "%column_begin", "%column_end")
        with e.when(e.binary("and", "bool", rows_some, columns_some)):
            a = e.address(self.dtype, "%A", spec.a_offset)
            b = e.address(self.dtype, "%B", spec.b_offset)
            c = e.address(self.dtype, "%C", spec.c_offset)
            if not plan.batch:
                self._passes(a, b, c, "0", "0", "%row_begin", "%row_end")
            else:
                row = e.variable("%row_begin")
                size = plan.rows.size
                with e.repeat_while(row, "%row_end") as current:
                    batch = e.divide(current, size)
                    start = e.multiply(batch, size)
                    end = e.minimum("%row_end", e.add(start, size))
                    offsets = _offsets(e, plan.batch, batch)
                    e.set(row, end)
                    self._passes(
                        e.address(self.dtype, a, offsets.a),
                        e.address(self.dtype, b, offsets.b),
                        c,
                        offsets.c,
                        start,
                        e.assign(f"sub i64 {current}, {start}"),
                        e.assign(f"sub i64 {end}, {start}"),
                    )
        e.emit("ret void")

    def _passes(self, a: str, b: str, c: str, c_batch: str, row_base: str, begin: str, end: str) -> None:
        """Write the loop over blocks of the reduction."""
        e, plan = self.emitter, self.plan
        outer = plan.reduce[0]
        begins_with = LOAD_RESULT if self.spec.accumulate else 0
        if plan.reduce_block >= outer.extent:
            self._row_blocks(a, b, c, c_batch, row_base, begin, end, str(outer.extent), str(begins_with | FINISH))
            return
        with e.loop(0, outer.extent, plan.reduce_block) as k:
            rest = e.assign(f"sub i64 {outer.extent}, {k}")
            count = e.minimum(rest, plan.reduce_block)
            is_first, is_last = e.compare("eq", k, 0), e.compare("sle", rest, plan.reduce_block)
            start = e.assign(f"select i1 {is_first}, i64 {begins_with}, i64 {LOAD_RESULT}")
            mode = e.assign(f"or i64 {start}, {e.assign(f'select i1 {is_last}, i64 {FINISH}, i64 0')}")
            a_block = e.address(self.dtype, a, e.multiply(k, outer.a))
            b_block = e.address(self.dtype, b, e.multiply(k, outer.b))
            self._row_blocks(a_block, b_block, c, c_batch, row_base, begin, end, count, mode)

    def _row_blocks(
        self, a: str, b: str, c: str, c_batch: str, row_base: str, begin: str, end: str, count: str, mode: str
    ) -> None:
        """Write the loops over blocks of rows, tiles of columns, and tiles of rows."""
        e, plan = self.emitter, self.plan
        block, following, column, row = (e.variable(begin), e.variable(begin), e.variable(0), e.variable(0))
        tiles_left = e.variable(0)
        with e.repeat_while(block, end) as block_begin:
            e.set(column, "%column_begin")
            with e.repeat_while(column, "%column_end") as first_column:
                column_position, columns = _locate(e, plan.columns, first_column)
                b_tile = e.address(self.dtype, b, columns.b)
                c_column = e.add(c_batch, columns.c)
                e.set(row, block_begin)
                e.set(tiles_left, plan.row_block)
                head, body, done = (e.fresh_label(hint) for hint in ("tiles", "body", "done"))
                e.branch(head)
                e.label(head)
                first_row, left = e.get(row), e.get(tiles_left)
                more = e.compare("slt", first_row, end)
                e.branch_if(e.binary("and", "bool", more, e.compare("sgt", left, 0)), body, done)
                e.label(body)
                e.set(tiles_left, e.add(left, -1))
                row_position, rows = _locate(e, plan.rows, first_row)
                a_tile = e.address(self.dtype, a, rows.a)
                offset = e.add(c_column, rows.c)
                whole_row = e.add(row_base, first_row)
                arguments = (
                    f"ptr {a_tile}, ptr {b_tile}, ptr {c}, i64 {offset}, ptr %context, "
                    f"i64 {whole_row}, i64 {first_column}, i64 {count}, i64 {mode}"
                )
                e.emit(f"call void {self._tile_function(row_position, column_position)}({arguments})")
                e.set(row, e.add(first_row, _extent(e, plan.rows, row_position)))
                e.branch(head)
                e.label(done)
                e.set(following, first_row)
                e.set(column, e.add(first_column, _extent(e, plan.columns, column_position)))
            e.set(block, e.get(following))

    def _tile_function(self, row_position: str, column_position: str) -> str:
        """Return a register with the address of the function for the tile at this position."""
        e, plan = self.emitter, self.plan
        chosen = ""
        for r, row_segment in enumerate(plan.rows.segments):
            of_row = f"@{self._tile_name(r, 0)}"
            for c, column_segment in enumerate(plan.columns.segments[1:], start=1):
                reached = e.compare("sge", column_position, column_segment.first)
                of_row = e.assign(f"select i1 {reached}, ptr @{self._tile_name(r, c)}, ptr {of_row}")
            if chosen:
                reached = e.compare("sge", row_position, row_segment.first)
                of_row = e.assign(f"select i1 {reached}, ptr {of_row}, ptr {chosen}")
            chosen = of_row
        return chosen


class _Offsets(NamedTuple):
    """Registers with positions in the operands, in elements."""

    a: str
    b: str
    c: str


def _offsets(e: Emitter, levels: Sequence[Level], index: str) -> _Offsets:
    """Return where the flattened ``index`` over ``levels`` (last fastest) lies in the operands."""
    a, b, c = "0", "0", "0"
    for place in range(len(levels) - 1, -1, -1):
        level = levels[place]
        digit = index if place == 0 else e.modulo(index, level.extent)
        index = index if place == 0 else e.divide(index, level.extent)
        a = e.add(a, e.multiply(digit, level.a))
        b = e.add(b, e.multiply(digit, level.b))
        c = e.add(c, e.multiply(digit, level.c))
    return _Offsets(a, b, c)


def _locate(e: Emitter, axis: AxisPlan, index: str) -> tuple[str, _Offsets]:
    """Return the position of an element in the blocked level of an axis, and where it lies in the operands."""
    outer = axis.levels[: axis.blocked]
    group = e.divide(index, axis.group) if outer else "0"
    rest = e.modulo(index, axis.group) if outer else index
    position = e.divide(rest, axis.position_elements)
    step = axis.block_stride()
    around = _offsets(e, outer, group)
    return position, _Offsets(
        e.add(around.a, e.multiply(position, step.a)),
        e.add(around.b, e.multiply(position, step.b)),
        e.add(around.c, e.multiply(position, step.c)),
    )


def _extent(e: Emitter, axis: AxisPlan, position: str) -> str:
    """Return how many elements of the axis the tile at a position covers."""
    chosen = str(axis.elements(axis.segments[0]))
    for segment in axis.segments[1:]:
        reached = e.compare("sge", position, segment.first)
        chosen = e.assign(f"select i1 {reached}, i64 {axis.elements(segment)}, i64 {chosen}")
    return chosen


def emit_simple_contraction(spec: ContractionSpec, module: Module, name: str, epilogue: Epilogue | None = None) -> str:
    """Return the same function as plain loops over single elements: slow, for any strides."""
    e = Emitter(module)
    kind = type_of(spec.dtype)
    rows = tuple(_level(index) for index in spec.group(spec.batch + spec.free_m))
    columns = tuple(_level(index) for index in spec.group(spec.free_n))
    a, b, c = (
        e.address(spec.dtype, base, offset)
        for base, offset in (("%A", spec.a_offset), ("%B", spec.b_offset), ("%C", spec.c_offset))
    )
    with e.loop("%row_begin", "%row_end") as row, e.loop("%column_begin", "%column_end") as column:
        of_row, of_column = _offsets(e, rows, row), _offsets(e, columns, column)
        offset = e.add(of_row.c, of_column.c)
        target = e.address(spec.dtype, c, offset)
        total = e.stack(kind)
        start = e.load(spec.dtype, target) if spec.accumulate else number(0.0, spec.dtype)
        e.store(spec.dtype, start, total)
        a_row, b_column = (
            e.address(spec.dtype, a, of_row.a),
            e.address(spec.dtype, b, e.add(of_row.b, of_column.b)),
        )
        _simple_reduce(e, spec, spec.group(spec.reduce), (a_row, b_column), total)
        value = e.load(spec.dtype, total)
        if epilogue is not None:
            e.offset, e.lanes = offset, None
            value = epilogue(e, value, row, column, 1, "%context")
        e.store(spec.dtype, value, target)
    e.emit("ret void")
    return e.function(f"void @{name}({_SIGNATURE})")


def _simple_reduce(
    e: Emitter, spec: ContractionSpec, indices: Sequence[Index], pointers: tuple[str, str], total: str
) -> None:
    if not indices:
        factor, other = (e.load(spec.dtype, pointer) for pointer in pointers)
        e.store(spec.dtype, e.multiply_add(spec.dtype, factor, other, e.load(spec.dtype, total)), total)
        return
    index = indices[0]
    with e.loop(0, index.extent) as i:
        a = e.address(spec.dtype, pointers[0], e.multiply(i, index.a_stride))
        b = e.address(spec.dtype, pointers[1], e.multiply(i, index.b_stride))
        _simple_reduce(e, spec, indices[1:], (a, b), total)


def _level(index: Index) -> Level:
    return Level(index.extent, index.a_stride, index.b_stride, index.c_stride)
