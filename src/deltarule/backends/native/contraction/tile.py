"""The micro-kernel of a contraction: one register tile, rows × vectors of accumulators (register blocking).

Each step of the reduction loads the vectors of one row of B, broadcasts one element of A per row, and accumulates the
products by multiply-adds. All offsets inside a tile are constants, so that a step needs two pointers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltarule.backends.native.contraction.specification import Epilogue
from deltarule.backends.native.contraction.tiling import Level, TileOffset
from deltarule.backends.native.llvm.emitter import Emitter, Module, type_of
from deltarule.backends.native.llvm.machine import Machine

INLINE_EPILOGUE_LINES = 130
PREFETCH_DEPTH = 64  # shorter reductions end before a prefetch of the result completes
LOAD_RESULT, FINISH = (
    1,
    2,
)  # bits of the mode: initialise from C instead of zero; apply the epilogue

Accumulators = list[str]


@dataclass(frozen=True)
class Tile:
    """A register tile: rows, vectors, and the reduction, whose outermost extent is known at run time."""

    dtype: str
    width: int
    rows: tuple[TileOffset, ...]
    vectors: tuple[TileOffset, ...]
    reduce: tuple[Level, ...]
    divisor: int  # the outermost extent at run time is a multiple of this
    multi_pass: (
        bool  # the reduction is blocked, and the mode selects the first and last block
    )
    accumulate: bool  # the first block is initialised from C
    depth: int  # total number of products per element


def tile_signature(name: str) -> str:
    """Return the signature of a tile function.

    ``offset`` is the position of the tile's first element in C without the base offset, ``count`` the extent of
    the outermost reduce level.
    """
    return (
        f"internal void @{name}(ptr %a, ptr %b, ptr %c, i64 %offset, ptr %context, "
        "i64 %row, i64 %column, i64 %count, i64 %mode)"
    )


def emit_tile(
    module: Module, name: str, tile: Tile, epilogue: Epilogue | None, empty: bool
) -> str:
    """Return the function that computes one tile.

    Args:
        module: Module for helper functions and tables.
        name: Name of the function.
        tile: The tile.
        epilogue: Operation on the finished results.
        empty: Whether the reduction has no products.
    """
    emitter = Emitter(module)
    slots = [(row, vector) for row in tile.rows for vector in tile.vectors]
    places = [row.c + vector.c for row, vector in slots]
    corner = emitter.address(tile.dtype, "%c", "%offset")
    accumulators = _initial_accumulators(emitter, tile, corner, slots)
    if not empty:
        accumulators = _reduce(
            emitter, tile, tile.reduce, ("%a", "%b"), accumulators, "%count"
        )
    if epilogue is None or tile.multi_pass:
        if epilogue is not None:
            finish = emitter.compare(
                "ne", emitter.assign(f"and i64 %mode, {FINISH}"), 0
            )
            emitter.branch_if(finish, "finish", "keep")
            emitter.label("keep")
        for value, place, (_, vector) in zip(accumulators, places, slots, strict=True):
            _store(
                emitter, tile, value, emitter.address(tile.dtype, corner, place), vector
            )
        emitter.emit("ret void")
    if epilogue is None:
        return emitter.function(tile_signature(name))
    if tile.multi_pass:
        emitter.label("finish")
    lines = _epilogue_lines(module, tile, epilogue)
    if lines * len(slots) <= INLINE_EPILOGUE_LINES or len(tile.rows) == 1:
        for value, (row, vector) in zip(accumulators, slots, strict=True):
            offset = emitter.add("%offset", row.c + vector.c)
            _finish(
                emitter,
                tile,
                epilogue,
                value,
                offset,
                emitter.add("%row", row.position),
                vector,
            )
    else:
        _finish_in_loop(emitter, tile, epilogue, accumulators)
    emitter.emit("ret void")
    return emitter.function(tile_signature(name))


def _initial_accumulators(
    emitter: Emitter,
    tile: Tile,
    corner: str,
    slots: Sequence[tuple[TileOffset, TileOffset]],
) -> Accumulators:
    """Return the initial accumulators: zero (with a prefetch of C), or the values of C."""
    kind = type_of(tile.dtype, tile.width)
    zero = "zeroinitializer" if tile.width > 1 else "0.0"
    addresses = [
        emitter.address(tile.dtype, corner, row.c + vector.c) for row, vector in slots
    ]

    def loaded() -> Accumulators:
        pairs = zip(addresses, slots, strict=True)
        return [
            emitter.load(tile.dtype, address, tile.width, vector.lanes)
            for address, (_, vector) in pairs
        ]

    def prefetched() -> Accumulators:
        for address in addresses if tile.depth >= PREFETCH_DEPTH else ():
            emitter.emit(
                f"call void @llvm.prefetch.p0(ptr {address}, i32 1, i32 3, i32 1)"
            )
        return [zero] * len(slots)

    if tile.accumulate or not tile.multi_pass:
        return loaded() if tile.accumulate else prefetched()
    load = emitter.compare("ne", emitter.assign(f"and i64 %mode, {LOAD_RESULT}"), 0)
    emitter.branch_if(load, "load", "zero")
    emitter.label("load")
    values = loaded()
    emitter.branch("start")
    emitter.label("zero")
    prefetched()
    emitter.branch("start")
    emitter.label("start")
    return [
        emitter.assign(f"phi {kind} [ {value}, %load ], [ {zero}, %zero ]")
        for value in values
    ]


def _reduce(
    emitter: Emitter,
    tile: Tile,
    levels: Sequence[Level],
    pointers: tuple[str, str],
    accumulators: Accumulators,
    count: str | None = None,
) -> Accumulators:
    """Emit the loops over ``levels`` (at least one iteration each); return the accumulators after them."""
    if not levels:
        return _step(emitter, tile, pointers, accumulators)
    level, inner = levels[0], levels[1:]
    unroll = _unroll(emitter.machine, tile, level, inner, count)
    if count is None and unroll == level.extent:
        return _copies(emitter, tile, level, inner, pointers, accumulators, unroll)
    kind = type_of(tile.dtype, tile.width)
    before = emitter.block
    head, done = emitter.fresh_label("reduce"), emitter.fresh_label("reduced")
    emitter.branch(head)
    emitter.label(head)
    place = len(emitter.lines)
    index, a, b = emitter.fresh("k"), emitter.fresh("a"), emitter.fresh("b")
    carried = [emitter.fresh("sum") for _ in accumulators]
    results = _copies(emitter, tile, level, inner, (a, b), carried, unroll)
    following = emitter.assign(f"add i64 {index}, {unroll}")
    next_a = emitter.address(tile.dtype, a, level.a * unroll)
    next_b = emitter.address(tile.dtype, b, level.b * unroll)
    more = emitter.compare(
        "slt", following, count if count is not None else level.extent
    )
    last = emitter.block
    emitter.branch_if(more, head, done)
    phis = [
        (index, "i64", "0", following),
        (a, "ptr", pointers[0], next_a),
        (b, "ptr", pointers[1], next_b),
        *(
            (name, kind, first, then)
            for name, first, then in zip(carried, accumulators, results, strict=True)
        ),
    ]
    emitter.lines[place:place] = [
        f"  {name} = phi {kind} [ {first}, %{before} ], [ {then}, %{last} ]"
        for name, kind, first, then in phis
    ]
    emitter.label(done)
    return results


def _unroll(
    machine: Machine,
    tile: Tile,
    level: Level,
    inner: Sequence[Level],
    count: str | None,
) -> int:
    """Return the unroll factor: the extent of a short loop, else 2 or 4 if enough registers are free.

    Unrolling lets the code generator hoist loads of the next step, for which small tiles have registers left.
    """
    if inner:
        return 1
    products = len(tile.rows) * len(tile.vectors)
    most = 8
    if len(tile.vectors) > 1 and machine.fused:
        most = 26 if machine.registers >= 32 else 12
    if count is None and products <= most and level.extent * products <= 60:
        return level.extent
    divisor = tile.divisor if count is not None else level.extent
    for copies, limit in ((4, 8), (2, most)):
        if divisor % copies == 0 and products <= limit:
            return copies
    return 1


def _copies(
    emitter: Emitter,
    tile: Tile,
    level: Level,
    inner: Sequence[Level],
    pointers: tuple[str, str],
    accumulators: Accumulators,
    count: int,
) -> Accumulators:
    for copy in range(count):
        a = emitter.address(tile.dtype, pointers[0], level.a * copy)
        b = emitter.address(tile.dtype, pointers[1], level.b * copy)
        accumulators = _reduce(emitter, tile, inner, (a, b), accumulators)
    return accumulators


def _step(
    emitter: Emitter, tile: Tile, pointers: tuple[str, str], accumulators: Accumulators
) -> Accumulators:
    """Emit one step of the reduction: a rank-1 update of the accumulators."""
    a, b = pointers
    columns = [
        emitter.load(
            tile.dtype,
            emitter.address(tile.dtype, b, vector.b),
            tile.width,
            vector.lanes,
        )
        for vector in tile.vectors
    ]
    results = []
    for r, row in enumerate(tile.rows):
        element = emitter.load(tile.dtype, emitter.address(tile.dtype, a, row.a))
        factor = emitter.broadcast(tile.dtype, element, tile.width)
        for v, column in enumerate(columns):
            running = accumulators[r * len(columns) + v]
            results.append(
                emitter.multiply_add(tile.dtype, factor, column, running, tile.width)
            )
    return results


def _store(
    emitter: Emitter, tile: Tile, value: str, address: str, vector: TileOffset
) -> None:
    emitter.store(tile.dtype, value, address, tile.width, vector.lanes)


def _finish(
    emitter: Emitter,
    tile: Tile,
    epilogue: Epilogue,
    value: str,
    offset: str,
    row: str,
    vector: TileOffset,
) -> None:
    emitter.offset, emitter.lanes = offset, vector.lanes
    column = emitter.add("%column", vector.position)
    result = epilogue(emitter, value, row, column, tile.width, "%context")
    _store(emitter, tile, result, emitter.address(tile.dtype, "%c", offset), vector)


def _epilogue_lines(module: Module, tile: Tile, epilogue: Epilogue) -> int:
    trial = Emitter(module)
    vector = tile.vectors[-1]
    trial.offset, trial.lanes = "%offset", vector.lanes
    epilogue(trial, "%value", "%row", "%column", tile.width, "%context")
    return len(trial.lines)


def _finish_in_loop(
    emitter: Emitter, tile: Tile, epilogue: Epilogue, accumulators: Accumulators
) -> None:
    """Emit a long epilogue once per vector of a row, in a loop over the rows of the tile."""
    kind = type_of(tile.dtype, tile.width)
    n_vectors = len(tile.vectors)
    buffer = emitter.stack(f"[{len(accumulators)} x {kind}]")
    for slot, value in enumerate(accumulators):
        address = emitter.assign(f"getelementptr {kind}, ptr {buffer}, i64 {slot}")
        emitter.emit(f"store {kind} {value}, ptr {address}")
    starts = [row.c for row in tile.rows]
    step = starts[1] - starts[0]
    even = all(start == step * r for r, start in enumerate(starts))
    table = "" if even else _table(emitter, starts)
    with emitter.loop(0, len(tile.rows)) as r:
        if even:
            start = emitter.multiply(r, step)
        else:
            start = emitter.assign(
                f"load i64, ptr {emitter.assign(f'getelementptr i64, ptr {table}, i64 {r}')}"
            )
        first = emitter.multiply(r, n_vectors)
        row = emitter.add("%row", r)
        for v, vector in enumerate(tile.vectors):
            address = emitter.assign(
                f"getelementptr {kind}, ptr {buffer}, i64 {emitter.add(first, v)}"
            )
            value = emitter.assign(f"load {kind}, ptr {address}")
            offset = emitter.add(emitter.add("%offset", start), vector.c)
            _finish(emitter, tile, epilogue, value, offset, row, vector)


def _table(emitter: Emitter, values: Sequence[int]) -> str:
    """Add a constant table of i64 to the module; return its name."""
    name = "@table." + "_".join(str(value).replace("-", "m") for value in values)
    listed = ", ".join(f"i64 {value}" for value in values)
    emitter.module.add(
        name, f"{name} = private unnamed_addr constant [{len(values)} x i64] [{listed}]"
    )
    return name
