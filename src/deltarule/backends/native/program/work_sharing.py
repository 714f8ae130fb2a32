"""Phases: what threads do between two points where they have to agree, in parts that anyone may take over.

A phase has as many parts as there are threads. A thread takes its own part first, then any part that nobody has
begun, and waits until all are done. So a thread that the system has put aside delays the others only if it was in
the middle of a part: with one core busy elsewhere, the program runs as fast as with one thread. Which thread runs
a part changes no result.

Each part has a line of memory: the number of the last phase in which it was finished, and was begun.
"""

from __future__ import annotations

from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.program.threads import (
    LINE,
    SLEEP,
    SLEEP_ARGUMENT,
    SPINS,
    YIELD,
    YIELDS,
    emit_pause,
    emit_platform_call,
)

_DONE, _BEGUN = 0, 8  # bytes in a part's line


def emit_phases(module: Module) -> str:
    """Add ``void @phase(ptr barrier, ptr body, ptr context, i64 thread, i64 threads, i64 number, i64 step)``.

    It runs phase ``number`` (1, 2, 3 … in every thread) with ``void body(ptr context, i64 part, i64 step)`` and
    returns when all parts are done; what they wrote is visible then. Returns the function's name.
    """
    e = Emitter(module)
    lines = e.assign(f"getelementptr i8, ptr %barrier, i64 {LINE}")
    before = e.assign("sub i64 %number, 1")
    with e.loop(0, "%threads") as turn:
        part = e.assign(f"urem i64 {e.add('%thread', turn)}, %threads")
        line = _line(e, lines, part)
        begun = e.address("i8", line, _BEGUN)
        result = e.assign(
            f"cmpxchg ptr {begun}, i64 {before}, i64 %number acq_rel monotonic, align 8"
        )
        with e.when(e.assign(f"extractvalue {{ i64, i1 }} {result}, 1")):
            e.emit(f"call void %body(ptr %context, i64 {part}, i64 %step)")
            e.emit(f"store atomic i64 %number, ptr {line} release, align 8")
    _emit_wait(e, lines)
    e.emit("ret void")
    signature = "ptr %barrier, ptr %body, ptr %context, i64 %thread, i64 %threads, i64 %number, i64 %step"
    module.add("phase", e.function(f"internal void @phase({signature})"))
    return "phase"


def _line(e: Emitter, lines: str, part: str) -> str:
    return e.assign(f"getelementptr [{LINE} x i8], ptr {lines}, i64 {part}")


def _emit_wait(e: Emitter, lines: str) -> None:
    """Wait until every part is done: spin, then yield, then sleep."""
    spins, yields = (
        e.assign(
            f"load i64, ptr {e.assign(f'getelementptr i64, ptr %barrier, i64 {word}')}, align 8"
        )
        for word in (SPINS, YIELDS)
    )
    patience = e.add(spins, yields)
    waited = e.variable(0)
    with e.loop(0, "%threads") as part:
        line = _line(e, lines, part)
        e.branch("look")
        e.label("look")
        seen = e.assign(f"load atomic i64, ptr {line} acquire, align 8")
        e.branch_if(e.compare("sge", seen, "%number"), "arrived", "wait")
        e.label("wait")
        turns = e.get(waited)
        e.set(waited, e.add(turns, 1))
        e.branch_if(e.compare("slt", turns, spins), "spin", "leave")
        e.label("spin")
        emit_pause(e)
        e.branch("look")
        e.label("leave")
        e.branch_if(e.compare("slt", turns, patience), "yield", "sleep")
        for label, word, argument in (
            ("yield", YIELD, None),
            ("sleep", SLEEP, SLEEP_ARGUMENT),
        ):
            e.label(label)
            emit_platform_call(e, word, argument)
            e.branch("look")
        e.label("arrived")
