"""Contractions as simple loops over scalars, for strides that cannot be tiled; and offsets of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from deltarule.backends.native.contraction.specification import (
    ContractionIndex,
    ContractionSpec,
    Epilogue,
)
from deltarule.backends.native.contraction.tiling import Level
from deltarule.backends.native.llvm.emitter import Emitter, Module, number, type_of

SIGNATURE = "ptr %A, ptr %B, ptr %C, ptr %context, i64 %row_begin, i64 %row_end, i64 %column_begin, i64 %column_end"
SCRATCH = ", ptr %scratch"


class Offsets(NamedTuple):
    """Registers with positions in the operands, in elements."""

    a: str
    b: str
    c: str


def offsets_of(e: Emitter, levels: Sequence[Level], index: str) -> Offsets:
    """Return the offsets in the operands of a flattened ``index`` over ``levels`` (last fastest)."""
    a, b, c = "0", "0", "0"
    for place in range(len(levels) - 1, -1, -1):
        level = levels[place]
        digit = index if place == 0 else e.modulo(index, level.extent)
        index = index if place == 0 else e.divide(index, level.extent)
        a = e.add(a, e.multiply(digit, level.a))
        b = e.add(b, e.multiply(digit, level.b))
        c = e.add(c, e.multiply(digit, level.c))
    return Offsets(a, b, c)


def emit_simple_contraction(
    spec: ContractionSpec,
    module: Module,
    name: str,
    epilogue: Epilogue | None = None,
    scratch: bool = False,
) -> str:
    r"""Return the function of ``emit_contraction`` as scalar loops, for any strides.

    >>> from deltarule.backends.native.contraction.specification import ContractionIndex
    >>> from deltarule.backends.native.llvm.machine import host
    >>> i, k = ContractionIndex("i", 4, 2, 0, 3), ContractionIndex("k", 2, 1, 1, 0)
    >>> spec = ContractionSpec((i, k), free_m=("i",), free_n=(), reduce=("k",))
    >>> text = emit_simple_contraction(spec, Module(host(target="avx2")), "product")
    >>> text.split("(")[0], text.count("load float")
    ('define void @product', 4)
    """
    e = Emitter(module)
    kind = type_of(spec.dtype)
    rows = tuple(_level(index) for index in spec.group(spec.batch + spec.free_m))
    columns = tuple(_level(index) for index in spec.group(spec.free_n))
    a, b, c = (
        e.address(spec.dtype, base, offset)
        for base, offset in (
            ("%A", spec.a_offset),
            ("%B", spec.b_offset),
            ("%C", spec.c_offset),
        )
    )
    with (
        e.loop("%row_begin", "%row_end") as row,
        e.loop("%column_begin", "%column_end") as column,
    ):
        of_row, of_column = offsets_of(e, rows, row), offsets_of(e, columns, column)
        offset = e.add(of_row.c, of_column.c)
        target = e.address(spec.dtype, c, offset)
        total = e.stack(kind)
        start = (
            e.load(spec.dtype, target) if spec.accumulate else number(0.0, spec.dtype)
        )
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
    return e.function(f"void @{name}({SIGNATURE}{SCRATCH if scratch else ''})")


def _simple_reduce(
    e: Emitter,
    spec: ContractionSpec,
    indices: Sequence[ContractionIndex],
    pointers: tuple[str, str],
    total: str,
) -> None:
    if not indices:
        factor, other = (e.load(spec.dtype, pointer) for pointer in pointers)
        e.store(
            spec.dtype,
            e.multiply_add(spec.dtype, factor, other, e.load(spec.dtype, total)),
            total,
        )
        return
    index = indices[0]
    with e.loop(0, index.extent) as i:
        a = e.address(spec.dtype, pointers[0], e.multiply(i, index.a_stride))
        b = e.address(spec.dtype, pointers[1], e.multiply(i, index.b_stride))
        _simple_reduce(e, spec, indices[1:], (a, b), total)


def _level(index: ContractionIndex) -> Level:
    return Level(index.extent, index.a_stride, index.b_stride, index.c_stride)
