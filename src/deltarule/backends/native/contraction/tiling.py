"""The schedule of a contraction: register tiles, their number of each size, and the blocking of the reduction.

Rows, columns and the reduction are lists of :class:`Level` (merged indices). One level of an axis is *blocked*: a tile
covers a range of it and all levels inside. Tile sizes are balanced (128 rows in tiles of at most 14 are 8 tiles of 13
and 2 of 12), so that an axis has at most two sizes, and a last partial vector of columns.

The sum of an element runs over the reduction in order, with one accumulator, in whichever tile it is: results do not
depend on how rows and columns are divided among threads, to the bit.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from deltarule.backends.native.contraction.specification import (
    ContractionIndex,
    ContractionSpec,
)
from deltarule.backends.native.llvm.machine import Machine, element_bytes

MAX_PACKED_ELEMENTS = 1 << 21  # of the packed copy of A
FAR_BYTES = 2048  # rows of B at this distance are on different pages, or map to the same cache sets


@dataclass(frozen=True)
class Level:
    """One loop: its extent and its strides in elements.

    >>> Level(8, 16, 0, 4).extent
    8
    """

    extent: int
    a: int = 0
    b: int = 0
    c: int = 0


@dataclass(frozen=True)
class TileOffset:
    """The offsets of a row, or of a vector of columns, relative to the first element of the tile."""

    position: int
    a: int
    b: int
    c: int
    lanes: int | None  # valid lanes of a partial vector


@dataclass(frozen=True)
class Segment:
    """A run of ``count`` tiles of ``size`` positions of the blocked level, from position ``first``.

    >>> Segment(0, 4, 14)
    Segment(first=0, count=4, size=14, lanes=None)
    """

    first: int
    count: int
    size: int
    lanes: int | None = None  # valid lanes of the last vector


@dataclass(frozen=True)
class AxisTiling:
    """The tiling of one axis; ``width`` is 1 for rows, and the number of vector lanes for columns.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> i, j = ContractionIndex("i", 64, 32, 0, 16), ContractionIndex("j", 16, 0, 1, 1)
    >>> k = ContractionIndex("k", 32, 1, 16, 0)
    >>> spec = ContractionSpec((i, j, k), free_m=("i",), free_n=("j",), reduce=("k",))
    >>> schedule = schedule_contraction(spec, host(target="avx2"))
    >>> schedule.rows.size, schedule.columns.size, schedule.columns.width
    (64, 16, 8)
    """

    levels: tuple[Level, ...]
    blocked: int
    segments: tuple[Segment, ...]
    width: int

    @property
    def position_elements(self) -> int:
        """Return the number of elements of the axis per position of the blocked level."""
        if self.blocked == len(self.levels) - 1:
            return self.width
        return math.prod(level.extent for level in self.levels[self.blocked + 1 :])

    @property
    def group(self) -> int:
        """Return the number of elements in one complete iteration of the blocked level."""
        return math.prod(level.extent for level in self.levels[self.blocked :])

    @property
    def size(self) -> int:
        """Return the number of elements of the axis."""
        return math.prod(level.extent for level in self.levels)

    def block_stride(self) -> Level:
        """Return the strides of one position of the blocked level."""
        level = self.levels[self.blocked]
        step = self.width if self.blocked == len(self.levels) - 1 else 1
        return Level(level.extent, level.a * step, level.b * step, level.c * step)

    def offsets(self, segment: Segment) -> tuple[TileOffset, ...]:
        """Return the offsets of the rows or vectors in a tile of a segment."""
        inner = self.levels[self.blocked + 1 :]
        steps = [self.block_stride(), *inner]
        counts = [segment.size, *(level.extent for level in inner)]
        if inner:
            last = inner[-1]
            counts[-1] = last.extent // self.width
            steps[-1] = Level(
                last.extent,
                last.a * self.width,
                last.b * self.width,
                last.c * self.width,
            )
        found = []
        for place, index in enumerate(
            itertools.product(*(range(count) for count in counts))
        ):
            a, b, c = (
                sum(
                    i * getattr(step, operand)
                    for i, step in zip(index, steps, strict=True)
                )
                for operand in "abc"
            )
            found.append(TileOffset(place * self.width, a, b, c, None))
        if segment.lanes is not None:
            end = found[-1]
            found[-1] = TileOffset(end.position, end.a, end.b, end.c, segment.lanes)
        return tuple(found)

    def count(self, segment: Segment) -> int:
        """Return the number of rows or vectors in a tile of a segment."""
        inner = math.prod(level.extent for level in self.levels[self.blocked + 1 :])
        return (
            segment.size
            * inner
            // (self.width if self.blocked < len(self.levels) - 1 else 1)
        )

    def elements(self, segment: Segment) -> int:
        """Return the number of elements of the axis in a tile of a segment."""
        whole = segment.size * self.position_elements
        return whole if segment.lanes is None else whole - self.width + segment.lanes

    def boundaries(self) -> tuple[int, ...]:
        """Return the first elements of the tiles, and the end of the axis: the valid bounds of ranges."""
        size, unit = self.size, self.position_elements
        within = [
            (segment.first + i * segment.size) * unit
            for segment in self.segments
            for i in range(segment.count)
        ]
        return (
            *(
                group + start
                for group in range(0, size, max(self.group, 1))
                for start in within
            ),
            size,
        )

    def largest(self) -> int:
        """Return the number of rows or vectors of the largest tile."""
        return max((self.count(segment) for segment in self.segments), default=0)


@dataclass(frozen=True)
class Schedule:
    """The schedule of a contraction.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> i, j = ContractionIndex("i", 64, 32, 0, 16), ContractionIndex("j", 16, 0, 1, 1)
    >>> k = ContractionIndex("k", 32, 1, 16, 0)
    >>> spec = ContractionSpec((i, j, k), free_m=("i",), free_n=("j",), reduce=("k",))
    >>> schedule = schedule_contraction(spec, host(target="avx2"))
    >>> schedule.split(2, by="rows")
    [(0, 30, 0, 16), (30, 64, 0, 16)]
    """

    spec: ContractionSpec
    machine: Machine
    batch: tuple[Level, ...]
    rows: AxisTiling
    columns: AxisTiling
    reduce: tuple[Level, ...]
    reduce_block: int  # iterations of the outermost reduce level per block
    row_block: int  # row tiles per column tile before the next column tile
    pack_rows: bool = False  # pack A with a padded stride
    pack_columns: bool = False  # pack B into contiguous columns
    scratch: bool = False  # the function takes scratch memory

    @property
    def padded(self) -> int:
        """Return the row stride of packed A in elements."""
        stride = -(-self.reduce_block // 16) * 16
        return (
            stride + 16
            if stride * element_bytes(self.spec.dtype) % 1024 == 0
            else stride
        )

    @property
    def packed_rows_elements(self) -> int:
        """Return the size of packed A in elements."""
        if not self.pack_rows:
            return 0
        rows = min(
            self.rows.size,
            self.row_block * max(self.rows.elements(s) for s in self.rows.segments),
        )
        return rows * self.padded

    @property
    def packed_columns_elements(self) -> int:
        """Return the size of one packed column tile of B in elements."""
        if not self.pack_columns:
            return 0
        depth = self.reduce_block * math.prod(level.extent for level in self.reduce[1:])
        return depth * self.columns.largest() * self.columns.width

    @property
    def scratch_bytes(self) -> int:
        """Return the size of the scratch memory (aligned to 64 bytes) of each concurrent call."""
        elements = self.packed_rows_elements + self.packed_columns_elements
        return elements * element_bytes(self.spec.dtype)

    def row_boundaries(self) -> tuple[int, ...]:
        """Return the valid bounds of row ranges (over the rows of all batch elements)."""
        inner, size = self.rows.boundaries(), self.rows.size
        count = math.prod(level.extent for level in self.batch)
        return (
            *(batch * size + start for batch in range(count) for start in inner[:-1]),
            count * size,
        )

    def column_boundaries(self) -> tuple[int, ...]:
        """Return the valid bounds of column ranges."""
        return self.columns.boundaries()

    def split(self, parts: int, by: str = "auto") -> list[tuple[int, int, int, int]]:
        """Return ``parts`` ranges (row_begin, row_end, column_begin, column_end), possibly empty.

        ``by``: "rows", "columns", or "auto" for the more even division (at a tie columns: weights stay in caches).
        """
        row_bounds, column_bounds = self.row_boundaries(), self.column_boundaries()
        rows, columns = row_bounds[-1], column_bounds[-1]
        by_rows, by_columns = (
            _even_ranges(row_bounds, parts),
            _even_ranges(column_bounds, parts),
        )
        if by == "auto":
            worst_rows = max(end - begin for begin, end in by_rows) * columns
            worst_columns = max(end - begin for begin, end in by_columns) * rows
            by = "columns" if worst_columns <= 1.02 * worst_rows else "rows"
        if by == "rows":
            return [(begin, end, 0, columns) for begin, end in by_rows]
        return [(0, rows, begin, end) for begin, end in by_columns]


def _even_ranges(bounds: Sequence[int], parts: int) -> list[tuple[int, int]]:
    """Return contiguous ranges between the bounds nearest to an even division."""
    total = bounds[-1]
    cuts = []
    for part in range(parts):
        place = bisect.bisect_left(bounds, total * part / parts)
        near = bounds[max(0, place - 1) : place + 1]
        cuts.append(min(near, key=lambda bound: abs(bound * parts - total * part)))
    return list(zip(cuts, [*cuts[1:], total], strict=True))


def levels_of(indices: Iterable[ContractionIndex], keep: int = 0) -> tuple[Level, ...]:
    """Return the loops of indices, without those of extent 1; adjacent loops are merged where all strides allow it.

    >>> rows = ContractionIndex("i", 4, 8, 0, 8), ContractionIndex("j", 8, 1, 0, 1)
    >>> [level.extent for level in levels_of(rows)]
    [32]
    """
    merged: list[Level] = []
    for index in indices:
        level = Level(index.extent, index.a_stride, index.b_stride, index.c_stride)
        if level.extent == 1:
            continue
        outer = merged[-1] if merged else None
        if outer and all(
            getattr(outer, s) == level.extent * getattr(level, s) for s in "abc"
        ):
            merged[-1] = Level(outer.extent * level.extent, level.a, level.b, level.c)
        else:
            merged.append(level)
    return tuple(merged)


def schedule_contraction(
    spec: ContractionSpec, machine: Machine, scratch: bool = False
) -> Schedule | None:
    """Return the schedule of a contraction, or None if it cannot be tiled.

    Tiles need columns whose last index has stride 1 in C, and in B too unless there is ``scratch`` memory to pack B (or
    a single column). With scratch memory, A and B are also packed if their strides would cause cache misses.

    >>> i, j = ContractionIndex("i", 64, 32, 0, 16), ContractionIndex("j", 16, 0, 1, 2)
    >>> k = ContractionIndex("k", 32, 1, 16, 0)
    >>> strided = ContractionSpec((i, j, k), free_m=("i",), free_n=("j",), reduce=("k",))
    >>> from deltarule.backends.native.llvm.machine import host
    >>> schedule_contraction(strided, host(target="avx2")) is None
    True
    """
    width = machine.lanes(spec.dtype)
    columns = levels_of(spec.group(spec.free_n)) or (Level(1, 0, 1, 1),)
    rows = levels_of(spec.group(spec.free_m)) or (Level(1),)
    packs = columns[-1].b != 1
    while len(columns) == 1 and width > 2 and columns[0].extent <= width // 2:
        width //= 2  # shorter vectors have at least the same throughput
    if 0 in (spec.rows, spec.columns) or columns[-1].c != 1 or (packs and not scratch):
        return None
    reduce = levels_of(spec.group(spec.reduce)) or (Level(1),)
    batch = levels_of(spec.group(spec.batch))
    depth = max(1, spec.depth)
    best = min(
        _tilings(rows, columns, width, machine),
        key=lambda pair: _cost(pair[0], pair[1], depth, machine),
    )
    block = _reduce_block(spec, machine, best[0], best[1], reduce)
    packs = packs or (scratch and _columns_are_scattered(spec, best[0], reduce))
    row_block = rows_total = (
        sum(segment.count for segment in best[0].segments) * best[0].size
    )
    if not packs:
        row_block = _row_block(spec, machine, best[0], reduce, block)
    schedule = Schedule(
        spec,
        machine,
        batch,
        *best,
        reduce,
        block,
        min(row_block, rows_total),
        False,
        packs,
        scratch,
    )
    if scratch and _rows_collide(schedule):
        schedule = replace(schedule, pack_rows=True)
        if schedule.packed_rows_elements > MAX_PACKED_ELEMENTS:
            schedule = replace(schedule, pack_rows=False)
    return schedule


def _columns_are_scattered(
    spec: ContractionSpec, rows: AxisTiling, reduce: tuple[Level, ...]
) -> bool:
    """Return whether packing contiguous columns pays: rows of B are on different pages and read for many tiles."""
    step = reduce[-1].b * element_bytes(spec.dtype)
    tiles = (
        sum(segment.count for segment in rows.segments)
        * rows.size
        // max(1, rows.group)
    )
    return (
        len(reduce) == 1 and step >= FAR_BYTES and reduce[0].extent >= 32 and tiles >= 8
    )


def _rows_collide(schedule: Schedule) -> bool:
    """Return whether packing A pays: its rows map to the same cache sets and are read for several tiles."""
    rows, reduce = schedule.rows.levels, schedule.reduce
    step = rows[0].a * element_bytes(schedule.spec.dtype)
    tiles = schedule.columns.size // (
        schedule.columns.largest() * schedule.columns.width
    )
    simple = len(rows) == 1 and len(reduce) == 1 and reduce[0].a == 1
    return (
        simple
        and step != 0
        and step % 2048 == 0
        and reduce[0].extent >= 64
        and schedule.rows.largest() > 4
        and tiles > 3
    )


def _tilings(
    rows: tuple[Level, ...], columns: tuple[Level, ...], width: int, machine: Machine
) -> list[tuple[AxisTiling, AxisTiling]]:
    """Return the candidate tilings: each column tile of the target with the row tiles that fit its registers."""
    found: list[tuple[AxisTiling, AxisTiling]] = []
    most_rows = {vectors: most for most, vectors in machine.tiles()} | {7: 0}
    for column_plan in _axis_tilings(columns, 8, width):
        vectors = column_plan.largest()
        limit = most_rows.get(vectors, 0) or (1 if vectors <= 8 else 0)
        for most in range(max(1, limit // 2), limit + 1):
            found.extend(
                (row_plan, column_plan)
                for row_plan in _axis_tilings(rows, most, 1, only=most)
            )
    return found


def _axis_tilings(
    levels: tuple[Level, ...], most: int, width: int, only: int | None = None
) -> list[AxisTiling]:
    """Return the balanced tilings of one axis with at most ``most`` rows or vectors per tile."""
    found: dict[AxisTiling, None] = {}
    last = len(levels) - 1
    partial = levels[last].extent % width
    inner = 1  # rows or vectors in the levels inside the blocked one
    for blocked in range(last, -1, -1):
        extent = (
            levels[blocked].extent
            if blocked < last
            else -(-levels[last].extent // width)
        )
        for limit in (only,) if only else range(1, most + 1):
            size = limit // inner
            if size:
                tiles = -(-extent // size)
                found[
                    AxisTiling(
                        levels, blocked, _segments(extent, tiles, partial), width
                    )
                ] = None
        inner *= extent
        if inner > most or partial:
            break
    return list(found)


def _segments(extent: int, tiles: int, partial: int) -> tuple[Segment, ...]:
    size, larger = divmod(extent, tiles)
    parts = [(larger, size + 1), (tiles - larger, size)]
    segments: list[Segment] = []
    first = 0
    for count, length in parts:
        if count:
            segments.append(Segment(first, count, length))
            first += count * length
    if partial:
        end = segments.pop()
        if end.count > 1:
            segments.append(Segment(end.first, end.count - 1, end.size))
        segments.append(
            Segment(end.first + (end.count - 1) * end.size, 1, end.size, partial)
        )
    return tuple(segments)


def _cost(rows: AxisTiling, columns: AxisTiling, depth: int, machine: Machine) -> float:
    """Return the estimated cycles per element of a group of rows times a group of columns.

    A reduction step costs the maximum of its multiply-adds, its loads, and the pipeline latency; each tile
    has a cost of initialisation and stores, and each micro-kernel a cost of compilation.
    """
    total, area = 0.0, 0
    for row, column in itertools.product(rows.segments, columns.segments):
        r, v = rows.count(row), columns.count(column)
        step = _step_cycles(r, v, machine)
        partial = (
            0.0
            if column.lanes is None or machine.masked
            else 4.0 * r * machine.lanes("float32")
        )
        tiles = row.count * column.count
        total += tiles * (depth * step + 20.0 + 3.0 * r * v + partial)
        area += tiles * rows.elements(row) * columns.elements(column)
    bodies = len(rows.segments) * len(columns.segments)
    return total / area * (1.0 + 0.02 * bodies)


def _step_cycles(rows: int, vectors: int, machine: Machine) -> float:
    if machine.fused:
        return max(rows * vectors, 1.1 * (rows + vectors), 8.0) + 1.0
    # without fused multiply-add: two instructions per accumulator, and two to broadcast an element
    return 2.0 * rows * vectors + 2.0 * rows + vectors + 1.0


def _span(levels: Iterable[Level], operand: str) -> int:
    """Return the distance in elements between the first and last element that the loops access, plus one."""
    span = 1
    for level in levels:
        stride: int = getattr(level, operand)
        span += max(level.extent - 1, 0) * abs(stride)
    return span


def _reduce_block(
    spec: ContractionSpec,
    machine: Machine,
    rows: AxisTiling,
    columns: AxisTiling,
    reduce: tuple[Level, ...],
) -> int:
    """Return the block size of the outermost reduce level.

    A single loop is blocked by about 1024; nested loops (convolutions) such that the elements that a block reads, A for
    a run of rows and B for a tile of columns, fit half of the L2 cache.
    """
    outer = reduce[0]
    if len(reduce) == 1:
        passes = max(1, round(outer.extent / 1024))
        block = -(-outer.extent // passes)
        return min(outer.extent, -(-block // 16) * 16)
    inner = math.prod(level.extent for level in reduce[1:])
    budget = machine.caches.second // 2 // element_bytes(spec.dtype)
    block = outer.extent
    while block > 1 and block * inner > 1024:
        inside = (Level(block, outer.a, outer.b), *reduce[1:])
        touched = _span((*inside, *rows.levels[rows.blocked :]), "a")
        if touched + block * inner * columns.largest() * columns.width <= budget:
            break
        block = -(-block // 2)
    return block if inner * block >= 64 else outer.extent


def _row_block(
    spec: ContractionSpec,
    machine: Machine,
    rows: AxisTiling,
    reduce: tuple[Level, ...],
    block: int,
) -> int:
    """Return the number of row tiles whose rows of A fit half of the L2 cache."""
    inside = (Level(block, reduce[0].a), *reduce[1:])
    size = rows.segments[0].size
    tile = (Level(size, rows.block_stride().a), *rows.levels[rows.blocked + 1 :])
    touched = min(
        _span((*inside, *tile), "a"), size * rows.position_elements * spec.depth
    )
    budget = machine.caches.second // 2 // element_bytes(spec.dtype)
    return max(4, budget // max(1, touched))
