"""Packing: copies of operands in scratch memory with strides that suit the caches and vector loads.

*Columns*: if the columns of B are not contiguous (a transposed factor, or a weight in panels along another axis), or if
its rows are on different pages, each tile of columns is packed as ``[depth][vectors · width]`` before the loop over its
row tiles; square blocks are transposed in registers. *Rows*: if the rows of A are a multiple of 2 KiB apart, they map
to the same cache sets; a block of rows is copied with a padded stride.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from deltarule.backends.native.contraction.tiling import Level, TileOffset
from deltarule.backends.native.llvm.emitter import Emitter, Module, type_of
from deltarule.backends.native.llvm.machine import element_bytes

PADDING = 16  # elements added to the stride of a row


def packed_columns(vectors: Sequence[TileOffset], width: int) -> tuple[TileOffset, ...]:
    """Return the offsets of the vectors in a packed column tile."""
    return tuple(
        TileOffset(v.position, v.a, place * width, v.c, v.lanes)
        for place, v in enumerate(vectors)
    )


def packed_reduce(reduce: Sequence[Level], row: int) -> tuple[Level, ...]:
    """Return the reduce levels with the strides of B in a packed tile with rows of ``row`` elements."""
    levels: list[Level] = []
    for level in reversed(reduce):
        levels.append(Level(level.extent, level.a, row))
        row *= level.extent
    return tuple(reversed(levels))


def emit_pack_columns(
    module: Module,
    name: str,
    dtype: str,
    vectors: Sequence[TileOffset],
    stride: int,
    reduce: Sequence[Level],
    width: int,
) -> str:
    """Return ``void @name(ptr b, ptr scratch, i64 count)``, which packs one column tile.

    ``count`` is the extent of the outermost reduce level.

    Args:
        module: Module for helper functions.
        name: Name of the function.
        dtype: Element type.
        vectors: Offsets of the vectors of the tile.
        stride: Stride of B along columns.
        reduce: Reduce levels.
        width: Number of lanes of a vector.
    """
    e = Emitter(module)
    target = packed_reduce(reduce, len(vectors) * width)
    _pack_level(
        e,
        dtype,
        vectors,
        stride,
        list(zip(reduce, target, strict=True)),
        width,
        ("%b", "%scratch"),
        "%count",
    )
    e.emit("ret void")
    return e.function(f"internal void @{name}(ptr %b, ptr %scratch, i64 %count)")


def _pack_level(
    e: Emitter,
    dtype: str,
    vectors: Sequence[TileOffset],
    stride: int,
    levels: Sequence[tuple[Level, Level]],
    width: int,
    pointers: tuple[str, str],
    count: str,
) -> None:
    (source, target), inner = levels[0], levels[1:]
    if inner:
        with e.loop(0, count) as i:
            b = e.address(dtype, pointers[0], e.multiply(i, source.b))
            scratch = e.address(dtype, pointers[1], e.multiply(i, target.b))
            _pack_level(
                e,
                dtype,
                vectors,
                stride,
                inner,
                width,
                (b, scratch),
                str(inner[0][0].extent),
            )
        return
    if stride == 1:
        with e.loop(0, count) as i:
            for position, vector in enumerate(vectors):
                b = e.address(
                    dtype, pointers[0], e.add(e.multiply(i, source.b), vector.b)
                )
                scratch = e.address(
                    dtype, pointers[1], e.add(e.multiply(i, target.b), position * width)
                )
                e.store(dtype, e.load(dtype, b, width, vector.lanes), scratch, width)
        return
    square = "0"
    whole = [vector for vector in vectors if vector.lanes is None]
    if source.b == 1 and whole and width > 1:
        square = e.multiply(e.divide(count, width), width)
        transpose = _add_transpose(e.module, dtype, width)
        with e.loop(0, square, width) as i:
            for vector in whole:
                b = e.address(dtype, pointers[0], e.add(i, vector.b))
                place = e.add(e.multiply(i, target.b), vectors.index(vector) * width)
                scratch = e.address(dtype, pointers[1], place)
                e.emit(
                    f"call void @{transpose}(ptr {b}, i64 {stride}, ptr {scratch}, i64 {target.b})"
                )
    gather = _add_gather(e.module, dtype, width)
    for position, vector in enumerate(vectors):
        with e.loop(square if vector.lanes is None else 0, count) as i:
            b = e.address(dtype, pointers[0], e.add(e.multiply(i, source.b), vector.b))
            scratch = e.address(
                dtype, pointers[1], e.add(e.multiply(i, target.b), position * width)
            )
            e.emit(
                f"call void @{gather}(ptr {b}, i64 {stride}, ptr {scratch}, i64 {vector.lanes or width})"
            )


def _add_gather(module: Module, dtype: str, width: int) -> str:
    """Add a function that gathers the lanes of a vector, padded with zeros."""
    name = f"pack.gather.{dtype}.{width}"
    e = Emitter(module)
    zero = "zeroinitializer" if width > 1 else "0.0"
    e.store(dtype, zero, "%to", width)
    with e.loop(0, "%lanes") as lane:
        value = e.load(dtype, e.address(dtype, "%from", e.multiply(lane, "%stride")))
        e.store(dtype, value, e.address(dtype, "%to", lane))
    e.emit("ret void")
    module.add(
        name,
        e.function(
            f"internal void @{name}(ptr %from, i64 %stride, ptr %to, i64 %lanes)"
        ),
    )
    return name


def _add_transpose(module: Module, dtype: str, width: int) -> str:
    """Add a function that transposes a square block of ``width`` vectors."""
    name = f"pack.transpose.{dtype}.{width}"
    if name in module:
        return name
    e = Emitter(module)
    rows = [
        e.load(dtype, e.address(dtype, "%from", e.multiply(row, "%stride")), width)
        for row in range(width)
    ]
    for column, value in enumerate(transposed(e, dtype, rows)):
        e.store(
            dtype,
            value,
            e.address(dtype, "%to", e.multiply(column, "%to_stride")),
            width,
        )
    e.emit("ret void")
    module.add(
        name,
        e.function(
            f"internal void @{name}(ptr %from, i64 %stride, ptr %to, i64 %to_stride)"
        ),
    )
    return name


def transposed(e: Emitter, dtype: str, rows: Sequence[str]) -> list[str]:
    """Transpose a square block of rows in registers, whose number is a power of two.

    Stage s exchanges, for each pair of rows i and i + s, the lanes whose numbers differ in bit s.
    """
    width = len(rows)
    kind = type_of(dtype, width)
    values = list(rows)
    stage = 1
    while stage < width:
        upper = [
            lane if not lane & stage else width + lane - stage for lane in range(width)
        ]
        lower = [
            lane + stage if not lane & stage else width + lane for lane in range(width)
        ]
        for i in range(width):
            if not i & stage:
                pair = f"{kind} {values[i]}, {kind} {values[i + stage]}"
                values[i], values[i + stage] = (
                    e.assign(
                        f"shufflevector {pair}, <{width} x i32> <{', '.join(f'i32 {p}' for p in mask)}>"
                    )
                    for mask in (upper, lower)
                )
        stage *= 2
    return values


def emit_pack_rows(
    module: Module, name: str, dtype: str, stride: int, padded: int, width: int
) -> str:
    """Return ``void @name(ptr a, ptr scratch, i64 rows, i64 count)``, which copies rows to a padded stride."""
    e = Emitter(module)
    with e.loop(0, "%rows") as row:
        source = e.address(dtype, "%a", e.multiply(row, stride))
        target = e.address(dtype, "%scratch", e.multiply(row, padded))
        whole = e.multiply(e.divide("%count", width), width)
        with e.loop(0, whole, width) as i:
            value = e.load(dtype, e.address(dtype, source, i), width)
            e.store(dtype, value, e.address(dtype, target, i), width)
        with e.loop(whole, "%count") as i:
            e.store(
                dtype,
                e.load(dtype, e.address(dtype, source, i)),
                e.address(dtype, target, i),
            )
    e.emit("ret void")
    return e.function(
        f"internal void @{name}(ptr %a, ptr %scratch, i64 %rows, i64 %count)"
    )


def collides(stride: int, dtype: str) -> bool:
    """Return whether rows with this stride in elements map to few cache sets.

    >>> collides(2048, "float32"), collides(784, "float32")
    (True, False)
    """
    return stride != 0 and stride * element_bytes(dtype) % 2048 == 0


def padded_stride(extent: int, dtype: str) -> int:
    """Return a row stride of at least ``extent``, a multiple of the cache line that avoids set conflicts.

    >>> padded_stride(784, "float32"), padded_stride(2048, "float32")
    (784, 2064)
    """
    line = 64 // element_bytes(dtype)
    stride = math.ceil(extent / line) * line
    return stride + line if collides(stride, dtype) else stride
