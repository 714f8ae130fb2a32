"""Gathering the rows of a batch from a data set."""

from __future__ import annotations

from deltarule.backends.native.llvm.emitter import Emitter, Module


def emit_gather(module: Module, name: str, row_bytes: int) -> str:
    """Return ``void @name(ptr context, ptr target, ptr data, ptr order, i64 begin, i64 end)``, which copies rows.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> text = emit_gather(Module(host(target="avx2")), "gather", 64)
    >>> text.split("(")[0], "load <16 x i32>" in text
    ('define internal void @gather', True)
    """
    e = Emitter(module)
    with e.loop("%begin", "%end") as row:
        number = e.assign(f"load i64, ptr {e.address('int64', '%b2', row)}, align 8")
        source = e.address("i8", "%b1", e.multiply(number, row_bytes))
        target = e.address("i8", "%b0", e.multiply(row, row_bytes))
        whole = row_bytes - row_bytes % 64
        if whole:
            with e.loop(0, whole, 64) as offset:
                _copy_vector(e, source, target, offset, "<16 x i32>")
        rest = whole
        for kind, size in (
            ("<8 x i32>", 32),
            ("<4 x i32>", 16),
            ("i64", 8),
            ("i32", 4),
            ("i16", 2),
            ("i8", 1),
        ):
            if row_bytes - rest >= size:
                _copy_vector(e, source, target, str(rest), kind)
                rest += size
    e.emit("ret void")
    pointers = ", ".join(f"ptr %b{place}" for place in range(3))
    return e.function(
        f"internal void @{name}(ptr %context, {pointers}, i64 %begin, i64 %end)"
    )


def _copy_vector(e: Emitter, source: str, target: str, offset: str, kind: str) -> None:
    value = e.assign(f"load {kind}, ptr {e.address('i8', source, offset)}, align 1")
    e.emit(f"store {kind} {value}, ptr {e.address('i8', target, offset)}, align 1")
