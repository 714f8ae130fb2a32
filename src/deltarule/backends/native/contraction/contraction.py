"""Contractions as LLVM IR: every matrix product, convolution and gradient of them, in one loop nest.

``emit_contraction`` writes a function that computes a range of rows and columns. Matrix products (transposed,
batched), convolution forward, its input gradient and its weight gradient are all instances (implicit matrix
product, channels last). The schedule is in :mod:`tiling`, the innermost code in :mod:`tile`::

    for a block of the reduction            (so that what one pass touches stays in cache)
        for a block of rows
            for a tile of columns               (B copied to scratch if its columns are not contiguous)
                for a tile of rows in the block
                    tile: rows × vectors of accumulators, epilogue after the last block
"""

from __future__ import annotations

import math
from dataclasses import replace

from deltarule.backends.native.contraction.packing import (
    emit_pack_columns,
    emit_pack_rows,
    packed_columns,
    packed_reduce,
)
from deltarule.backends.native.contraction.simple import (
    SCRATCH,
    SIGNATURE,
    Offsets,
    emit_simple_contraction,
    offsets_of,
)
from deltarule.backends.native.contraction.specification import (
    ContractionSpec,
    Epilogue,
    Index,
)
from deltarule.backends.native.contraction.tile import (
    FINISH,
    LOAD_RESULT,
    Tile,
    emit_tile,
)
from deltarule.backends.native.contraction.tiling import (
    AxisPlan,
    Plan,
    plan_contraction,
)
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import Machine

__all__ = [
    "ContractionSpec",
    "Epilogue",
    "Index",
    "emit_contraction",
    "emit_simple_contraction",
    "plan_contraction",
]


def emit_contraction(
    spec: ContractionSpec,
    machine: Machine,
    name: str,
    epilogue: Epilogue | None = None,
    module: Module | None = None,
    plan: Plan | None = None,
    scratch: bool = False,
) -> str:
    """Return the IR of ``void @name(A, B, C, context, row_begin, row_end, column_begin, column_end)``.

    With ``scratch`` a last argument points to ``plan.scratch_bytes`` of memory at 64 bytes, one for each
    concurrent call; transposed operands then run as tiles too.

    It computes the elements of the ranges, whose bounds must be among ``plan.row_boundaries()`` and
    ``plan.column_boundaries()`` (any range for a spec without a plan). Calls for disjoint ranges may run at the
    same time, and give the same bits however the ranges are cut. What an epilogue needs beyond the function
    itself goes to ``module``; without one, it is part of the text. Raises nothing for any legal spec: one that
    no tile fits runs as simple loops.
    """
    shared = module if module is not None else Module(machine)
    schedule = plan if plan is not None else plan_contraction(spec, machine, scratch)
    text = (
        emit_simple_contraction(spec, shared, name, epilogue, scratch)
        if schedule is None
        else _Driver(schedule, name, shared, epilogue).text()
    )
    return (
        text if module is not None else "\n".join([*shared.definitions.values(), text])
    )


class _Driver:
    """Writes the loops around the tiles of one contraction."""

    def __init__(
        self, plan: Plan, name: str, module: Module, epilogue: Epilogue | None
    ) -> None:
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
        signature = SIGNATURE + (SCRATCH if self.plan.scratch else "")
        return "\n".join(
            [
                *tiles,
                *self._packs(),
                self.emitter.function(f"void @{self.name}({signature})"),
            ]
        )

    def _packs(self) -> list[str]:
        """Return the functions that copy operands."""
        plan, found = self.plan, []
        if plan.pack_columns:
            stride = plan.columns.levels[-1].b
            for place, segment in enumerate(plan.columns.segments):
                vectors = plan.columns.lanes(segment)
                name = f"{self.name}.columns{place}"
                found.append(
                    emit_pack_columns(
                        self.module,
                        name,
                        self.dtype,
                        vectors,
                        stride,
                        plan.reduce,
                        self.width,
                    )
                )
        if plan.pack_rows:
            name, stride = f"{self.name}.rows", plan.rows.levels[0].a
            found.append(
                emit_pack_rows(
                    self.module, name, self.dtype, stride, plan.padded, self.width
                )
            )
        return found

    def _tile_name(self, row_segment: int, column_segment: int) -> str:
        return f"{self.name}.tile{row_segment}.{column_segment}"

    def _tile(self, row_segment: int, column_segment: int) -> str:
        plan = self.plan
        divisor = math.gcd(plan.reduce[0].extent, plan.reduce_block)
        rows = plan.rows.lanes(plan.rows.segments[row_segment])
        vectors = plan.columns.lanes(plan.columns.segments[column_segment])
        reduce = plan.reduce
        if plan.pack_columns:
            reduce = packed_reduce(reduce, len(vectors) * self.width)
            vectors = packed_columns(vectors, self.width)
        if plan.pack_rows:
            rows = tuple(replace(row, a=row.position * plan.padded) for row in rows)
        several = plan.reduce_block < plan.reduce[0].extent
        depth, adds = self.spec.depth, self.spec.accumulate
        tile = Tile(
            self.dtype, self.width, rows, vectors, reduce, divisor, several, adds, depth
        )
        name = self._tile_name(row_segment, column_segment)
        return emit_tile(
            self.module, name, tile, self.epilogue, empty=self.spec.depth == 0
        )

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
                    offsets = offsets_of(e, plan.batch, batch)
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

    def _passes(
        self, a: str, b: str, c: str, c_batch: str, row_base: str, begin: str, end: str
    ) -> None:
        """Write the loop over blocks of the reduction."""
        e, plan = self.emitter, self.plan
        outer = plan.reduce[0]
        begins_with = LOAD_RESULT if self.spec.accumulate else 0
        if plan.reduce_block >= outer.extent:
            self._row_blocks(
                a,
                b,
                c,
                c_batch,
                row_base,
                begin,
                end,
                str(outer.extent),
                str(begins_with | FINISH),
            )
            return
        with e.loop(0, outer.extent, plan.reduce_block) as k:
            rest = e.assign(f"sub i64 {outer.extent}, {k}")
            count = e.minimum(rest, plan.reduce_block)
            is_first, is_last = (
                e.compare("eq", k, 0),
                e.compare("sle", rest, plan.reduce_block),
            )
            start = e.assign(
                f"select i1 {is_first}, i64 {begins_with}, i64 {LOAD_RESULT}"
            )
            mode = e.assign(
                f"or i64 {start}, {e.assign(f'select i1 {is_last}, i64 {FINISH}, i64 0')}"
            )
            a_block = e.address(self.dtype, a, e.multiply(k, outer.a))
            b_block = e.address(self.dtype, b, e.multiply(k, outer.b))
            self._row_blocks(
                a_block, b_block, c, c_batch, row_base, begin, end, count, mode
            )

    def _row_blocks(
        self,
        a: str,
        b: str,
        c: str,
        c_batch: str,
        row_base: str,
        begin: str,
        end: str,
        count: str,
        mode: str,
    ) -> None:
        """Write the loops over blocks of rows, tiles of columns, and tiles of rows."""
        e, plan = self.emitter, self.plan
        block, following, column, row = (
            e.variable(begin),
            e.variable(begin),
            e.variable(0),
            e.variable(0),
        )
        tiles_left = e.variable(0)
        with e.repeat_while(block, end) as block_begin:
            a_copy = (
                self._copy_rows(a, block_begin, end, count) if plan.pack_rows else ""
            )
            e.set(column, "%column_begin")
            with e.repeat_while(column, "%column_end") as first_column:
                column_position, columns = _locate(e, plan.columns, first_column)
                b_tile = e.address(self.dtype, b, columns.b)
                if plan.pack_columns:
                    b_tile = self._copy_columns(b_tile, column_position, count)
                c_column = e.add(c_batch, columns.c)
                e.set(row, block_begin)
                e.set(tiles_left, plan.row_block)
                head, body, done = (
                    e.fresh_label(hint) for hint in ("tiles", "body", "done")
                )
                e.branch(head)
                e.label(head)
                first_row, left = e.get(row), e.get(tiles_left)
                more = e.compare("slt", first_row, end)
                e.branch_if(
                    e.binary("and", "bool", more, e.compare("sgt", left, 0)), body, done
                )
                e.label(body)
                e.set(tiles_left, e.add(left, -1))
                row_position, rows = _locate(e, plan.rows, first_row)
                if plan.pack_rows:
                    within = e.multiply(
                        e.assign(f"sub i64 {first_row}, {block_begin}"), plan.padded
                    )
                    a_tile = e.address(self.dtype, a_copy, within)
                else:
                    a_tile = e.address(self.dtype, a, rows.a)
                offset = e.add(c_column, rows.c)
                whole_row = e.add(row_base, first_row)
                arguments = (
                    f"ptr {a_tile}, ptr {b_tile}, ptr {c}, i64 {offset}, ptr %context, "
                    f"i64 {whole_row}, i64 {first_column}, i64 {count}, i64 {mode}"
                )
                e.emit(
                    f"call void {self._tile_function(row_position, column_position)}({arguments})"
                )
                e.set(row, e.add(first_row, _extent(e, plan.rows, row_position)))
                e.branch(head)
                e.label(done)
                e.set(following, first_row)
                e.set(
                    column,
                    e.add(first_column, _extent(e, plan.columns, column_position)),
                )
            e.set(block, e.get(following))

    def _copy_rows(self, a: str, begin: str, end: str, count: str) -> str:
        """Copy a block of rows of A to scratch memory; return the copy's address."""
        e, plan = self.emitter, self.plan
        most = plan.packed_rows_elements // plan.padded
        rows = e.minimum(e.assign(f"sub i64 {end}, {begin}"), most)
        source = e.address(self.dtype, a, e.multiply(begin, plan.rows.levels[0].a))
        e.emit(
            f"call void @{self.name}.rows(ptr {source}, ptr %scratch, i64 {rows}, i64 {count})"
        )
        return "%scratch"

    def _copy_columns(self, b: str, position: str, count: str) -> str:
        """Copy a tile of columns of B to scratch memory; return the copy's address."""
        e, plan = self.emitter, self.plan
        copy = e.address(self.dtype, "%scratch", plan.packed_rows_elements)
        function = f"@{self.name}.columns0"
        for place, segment in enumerate(plan.columns.segments[1:], start=1):
            reached = e.compare("sge", position, segment.first)
            function = e.assign(
                f"select i1 {reached}, ptr @{self.name}.columns{place}, ptr {function}"
            )
        e.emit(f"call void {function}(ptr {b}, ptr {copy}, i64 {count})")
        return copy

    def _tile_function(self, row_position: str, column_position: str) -> str:
        """Return a register with the address of the function for the tile at this position."""
        e, plan = self.emitter, self.plan
        chosen = ""
        for r, row_segment in enumerate(plan.rows.segments):
            of_row = f"@{self._tile_name(r, 0)}"
            for c, column_segment in enumerate(plan.columns.segments[1:], start=1):
                reached = e.compare("sge", column_position, column_segment.first)
                of_row = e.assign(
                    f"select i1 {reached}, ptr @{self._tile_name(r, c)}, ptr {of_row}"
                )
            if chosen:
                reached = e.compare("sge", row_position, row_segment.first)
                of_row = e.assign(f"select i1 {reached}, ptr {of_row}, ptr {chosen}")
            chosen = of_row
        return chosen


def _locate(e: Emitter, axis: AxisPlan, index: str) -> tuple[str, Offsets]:
    """Return the position of an element in the blocked level of an axis, and where it lies in the operands."""
    outer = axis.levels[: axis.blocked]
    group = e.divide(index, axis.group) if outer else "0"
    rest = e.modulo(index, axis.group) if outer else index
    position = e.divide(rest, axis.position_elements)
    step = axis.block_stride()
    around = offsets_of(e, outer, group)
    return position, Offsets(
        e.add(around.a, e.multiply(position, step.a)),
        e.add(around.b, e.multiply(position, step.b)),
        e.add(around.c, e.multiply(position, step.c)),
    )


def _extent(e: Emitter, axis: AxisPlan, position: str) -> str:
    """Return how many elements of the axis the tile at a position covers."""
    chosen = str(axis.elements(axis.segments[0]))
    for segment in axis.segments[1:]:
        reached = e.compare("sge", position, segment.first)
        chosen = e.assign(
            f"select i1 {reached}, i64 {axis.elements(segment)}, i64 {chosen}"
        )
    return chosen
