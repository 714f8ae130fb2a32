"""Contractions as LLVM IR: matrix products and convolutions with their gradients, in one blocked loop nest.

``emit_contraction`` emits a function that computes a range of rows and columns. Matrix products (transposed, batched),
convolutions, their input gradients and their weight gradients are all instances (implicit GEMM, channels last). The
structure is that of GotoBLAS and BLIS (Goto and van de Geijn 2008): a macro-kernel of loops around a micro-kernel. The
schedule is in :mod:`tiling`, the micro-kernel in :mod:`tile`::

    for a block of the reduction            (cache blocking)
        for a block of rows
            for a tile of columns               (B is packed if its columns are not contiguous)
                for a tile of rows in the block
                    micro-kernel: rows × vectors of accumulators, epilogue after the last block
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
    ContractionIndex,
    ContractionSpec,
    Epilogue,
)
from deltarule.backends.native.contraction.tile import (
    FINISH,
    LOAD_RESULT,
    Tile,
    emit_tile,
)
from deltarule.backends.native.contraction.tiling import (
    AxisTiling,
    Schedule,
    schedule_contraction,
)
from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import Machine

__all__ = [
    "ContractionIndex",
    "ContractionSpec",
    "Epilogue",
    "emit_contraction",
    "emit_simple_contraction",
    "schedule_contraction",
]


def emit_contraction(
    spec: ContractionSpec,
    machine: Machine,
    name: str,
    epilogue: Epilogue | None = None,
    module: Module | None = None,
    schedule: Schedule | None = None,
    scratch: bool = False,
) -> str:
    """Return the IR of ``void @name(A, B, C, context, row_begin, row_end, column_begin, column_end)``.

    The function computes the elements of the ranges, whose bounds must be among ``schedule.row_boundaries()`` and
    ``schedule.column_boundaries()`` (any ranges without a schedule). Calls for disjoint ranges may run concurrently;
    the result does not depend on how the ranges are divided, to the bit.

    Args:
        spec: The contraction; one that cannot be tiled is computed by simple loops.
        machine: The compilation target.
        name: Name of the function.
        epilogue: Operation on the finished results.
        module: Module for the definitions that the function refers to; by default they precede it in the text.
        schedule: The schedule; by default that of ``schedule_contraction``.
        scratch: Whether the function has a further argument, scratch memory of ``schedule.scratch_bytes`` aligned to
            64 bytes, separate for each concurrent call; operands can then be packed.

    >>> from deltarule.backends.native.contraction.specification import ContractionIndex
    >>> from deltarule.backends.native.llvm.machine import host
    >>> i, j = ContractionIndex("i", 64, 32, 0, 16), ContractionIndex("j", 16, 0, 1, 1)
    >>> k = ContractionIndex("k", 32, 1, 16, 0)
    >>> spec = ContractionSpec((i, j, k), free_m=("i",), free_n=("j",), reduce=("k",))
    >>> text = emit_contraction(spec, host(target="avx2"), "product")
    >>> "define void @product(" in text, "@llvm.fma.v8f32" in text
    (True, True)
    """
    definitions = module if module is not None else Module(machine)
    schedule = (
        schedule
        if schedule is not None
        else schedule_contraction(spec, machine, scratch)
    )
    text = (
        emit_simple_contraction(spec, definitions, name, epilogue, scratch)
        if schedule is None
        else _MacroKernel(schedule, name, definitions, epilogue).text()
    )
    return (
        text
        if module is not None
        else "\n".join([*definitions.definitions.values(), text])
    )


class _MacroKernel:
    """Emitter of the macro-kernel of a contraction: the loops around the micro-kernels."""

    def __init__(
        self, schedule: Schedule, name: str, module: Module, epilogue: Epilogue | None
    ) -> None:
        self.schedule, self.name, self.module, self.epilogue = (
            schedule,
            name,
            module,
            epilogue,
        )
        self.spec = schedule.spec
        self.dtype = self.spec.dtype
        self.width = schedule.columns.width
        self.emitter = Emitter(module)

    def text(self) -> str:
        """Return the micro-kernels, the packing functions and the macro-kernel."""
        tiles = [
            self._micro_kernel(r, c)
            for r in range(len(self.schedule.rows.segments))
            for c in range(len(self.schedule.columns.segments))
        ]
        self._emit_batches()
        signature = SIGNATURE + (SCRATCH if self.schedule.scratch else "")
        return "\n".join(
            [
                *tiles,
                *self._packing_functions(),
                self.emitter.function(f"void @{self.name}({signature})"),
            ]
        )

    def _packing_functions(self) -> list[str]:
        """Return the packing functions."""
        schedule, found = self.schedule, []
        if schedule.pack_columns:
            stride = schedule.columns.levels[-1].b
            for place, segment in enumerate(schedule.columns.segments):
                vectors = schedule.columns.offsets(segment)
                name = f"{self.name}.columns{place}"
                found.append(
                    emit_pack_columns(
                        self.module,
                        name,
                        self.dtype,
                        vectors,
                        stride,
                        schedule.reduce,
                        self.width,
                    )
                )
        if schedule.pack_rows:
            name, stride = f"{self.name}.rows", schedule.rows.levels[0].a
            found.append(
                emit_pack_rows(
                    self.module, name, self.dtype, stride, schedule.padded, self.width
                )
            )
        return found

    def _micro_kernel_name(self, row_segment: int, column_segment: int) -> str:
        return f"{self.name}.tile{row_segment}.{column_segment}"

    def _micro_kernel(self, row_segment: int, column_segment: int) -> str:
        schedule = self.schedule
        divisor = math.gcd(schedule.reduce[0].extent, schedule.reduce_block)
        rows = schedule.rows.offsets(schedule.rows.segments[row_segment])
        vectors = schedule.columns.offsets(schedule.columns.segments[column_segment])
        reduce = schedule.reduce
        if schedule.pack_columns:
            reduce = packed_reduce(reduce, len(vectors) * self.width)
            vectors = packed_columns(vectors, self.width)
        if schedule.pack_rows:
            rows = tuple(replace(row, a=row.position * schedule.padded) for row in rows)
        multi_pass = schedule.reduce_block < schedule.reduce[0].extent
        depth, adds = self.spec.depth, self.spec.accumulate
        tile = Tile(
            self.dtype,
            self.width,
            rows,
            vectors,
            reduce,
            divisor,
            multi_pass,
            adds,
            depth,
        )
        name = self._micro_kernel_name(row_segment, column_segment)
        return emit_tile(
            self.module, name, tile, self.epilogue, empty=self.spec.depth == 0
        )

    def _emit_batches(self) -> None:
        e, schedule, spec = self.emitter, self.schedule, self.spec
        has_rows = e.compare("slt", "%row_begin", "%row_end")
        has_columns = e.compare("slt", "%column_begin", "%column_end")
        with e.when(e.binary("and", "bool", has_rows, has_columns)):
            a = e.address(self.dtype, "%A", spec.a_offset)
            b = e.address(self.dtype, "%B", spec.b_offset)
            c = e.address(self.dtype, "%C", spec.c_offset)
            if not schedule.batch:
                self._emit_reduction_blocks(a, b, c, "0", "0", "%row_begin", "%row_end")
            else:
                row = e.variable("%row_begin")
                size = schedule.rows.size
                with e.repeat_while(row, "%row_end") as current:
                    batch = e.divide(current, size)
                    start = e.multiply(batch, size)
                    end = e.minimum("%row_end", e.add(start, size))
                    offsets = offsets_of(e, schedule.batch, batch)
                    e.set(row, end)
                    self._emit_reduction_blocks(
                        e.address(self.dtype, a, offsets.a),
                        e.address(self.dtype, b, offsets.b),
                        c,
                        offsets.c,
                        start,
                        e.assign(f"sub i64 {current}, {start}"),
                        e.assign(f"sub i64 {end}, {start}"),
                    )
        e.emit("ret void")

    def _emit_reduction_blocks(
        self, a: str, b: str, c: str, c_batch: str, row_base: str, begin: str, end: str
    ) -> None:
        """Emit the loop over blocks of the reduction."""
        e, schedule = self.emitter, self.schedule
        outer = schedule.reduce[0]
        begins_with = LOAD_RESULT if self.spec.accumulate else 0
        if schedule.reduce_block >= outer.extent:
            self._emit_tiles(
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
        with e.loop(0, outer.extent, schedule.reduce_block) as k:
            rest = e.assign(f"sub i64 {outer.extent}, {k}")
            count = e.minimum(rest, schedule.reduce_block)
            is_first, is_last = (
                e.compare("eq", k, 0),
                e.compare("sle", rest, schedule.reduce_block),
            )
            start = e.assign(
                f"select i1 {is_first}, i64 {begins_with}, i64 {LOAD_RESULT}"
            )
            mode = e.assign(
                f"or i64 {start}, {e.assign(f'select i1 {is_last}, i64 {FINISH}, i64 0')}"
            )
            a_block = e.address(self.dtype, a, e.multiply(k, outer.a))
            b_block = e.address(self.dtype, b, e.multiply(k, outer.b))
            self._emit_tiles(
                a_block, b_block, c, c_batch, row_base, begin, end, count, mode
            )

    def _emit_tiles(
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
        """Emit the loops over blocks of rows, tiles of columns, and tiles of rows."""
        e, schedule = self.emitter, self.schedule
        block, following, column, row = (
            e.variable(begin),
            e.variable(begin),
            e.variable(0),
            e.variable(0),
        )
        tiles_left = e.variable(0)
        with e.repeat_while(block, end) as block_begin:
            a_copy = (
                self._pack_rows(a, block_begin, end, count)
                if schedule.pack_rows
                else ""
            )
            e.set(column, "%column_begin")
            with e.repeat_while(column, "%column_end") as first_column:
                column_position, columns = _locate(e, schedule.columns, first_column)
                b_tile = e.address(self.dtype, b, columns.b)
                if schedule.pack_columns:
                    b_tile = self._pack_columns(b_tile, column_position, count)
                c_column = e.add(c_batch, columns.c)
                e.set(row, block_begin)
                e.set(tiles_left, schedule.row_block)
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
                row_position, rows = _locate(e, schedule.rows, first_row)
                if schedule.pack_rows:
                    within = e.multiply(
                        e.assign(f"sub i64 {first_row}, {block_begin}"), schedule.padded
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
                    f"call void {self._select_micro_kernel(row_position, column_position)}({arguments})"
                )
                e.set(row, e.add(first_row, _extent(e, schedule.rows, row_position)))
                e.branch(head)
                e.label(done)
                e.set(following, first_row)
                e.set(
                    column,
                    e.add(first_column, _extent(e, schedule.columns, column_position)),
                )
            e.set(block, e.get(following))

    def _pack_rows(self, a: str, begin: str, end: str, count: str) -> str:
        """Pack a block of rows of A to scratch memory; return its address."""
        e, schedule = self.emitter, self.schedule
        most = schedule.packed_rows_elements // schedule.padded
        rows = e.minimum(e.assign(f"sub i64 {end}, {begin}"), most)
        source = e.address(self.dtype, a, e.multiply(begin, schedule.rows.levels[0].a))
        e.emit(
            f"call void @{self.name}.rows(ptr {source}, ptr %scratch, i64 {rows}, i64 {count})"
        )
        return "%scratch"

    def _pack_columns(self, b: str, position: str, count: str) -> str:
        """Pack a tile of columns of B to scratch memory; return its address."""
        e, schedule = self.emitter, self.schedule
        copy = e.address(self.dtype, "%scratch", schedule.packed_rows_elements)
        function = f"@{self.name}.columns0"
        for place, segment in enumerate(schedule.columns.segments[1:], start=1):
            reached = e.compare("sge", position, segment.first)
            function = e.assign(
                f"select i1 {reached}, ptr @{self.name}.columns{place}, ptr {function}"
            )
        e.emit(f"call void {function}(ptr {b}, ptr {copy}, i64 {count})")
        return copy

    def _select_micro_kernel(self, row_position: str, column_position: str) -> str:
        """Return a register with the address of the micro-kernel for the tile at this position."""
        e, schedule = self.emitter, self.schedule
        chosen = ""
        for r, row_segment in enumerate(schedule.rows.segments):
            of_row = f"@{self._micro_kernel_name(r, 0)}"
            for c, column_segment in enumerate(schedule.columns.segments[1:], start=1):
                reached = e.compare("sge", column_position, column_segment.first)
                of_row = e.assign(
                    f"select i1 {reached}, ptr @{self._micro_kernel_name(r, c)}, ptr {of_row}"
                )
            if chosen:
                reached = e.compare("sge", row_position, row_segment.first)
                of_row = e.assign(f"select i1 {reached}, ptr {of_row}, ptr {chosen}")
            chosen = of_row
        return chosen


def _locate(e: Emitter, axis: AxisTiling, index: str) -> tuple[str, Offsets]:
    """Return the position of an element in the blocked level of an axis, and its offsets in the operands."""
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


def _extent(e: Emitter, axis: AxisTiling, position: str) -> str:
    """Return the number of elements of the axis in the tile at a position."""
    chosen = str(axis.elements(axis.segments[0]))
    for segment in axis.segments[1:]:
        reached = e.compare("sge", position, segment.first)
        chosen = e.assign(
            f"select i1 {reached}, i64 {axis.elements(segment)}, i64 {chosen}"
        )
    return chosen
