"""Work sharing: the phases between two barriers, divided into parts that any thread may execute.

A phase has as many parts as there are threads. A thread claims its own part first, then every part that is still
unclaimed, and waits at the barrier until all parts are finished. A thread that the operating system has preempted
therefore delays the others only if it holds a claimed part. The result does not depend on which thread runs a part.

Each part has a separate cache line, with the number of the last phase in which it was finished and claimed.
"""

from __future__ import annotations

from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.program.threads import (
    FLAG_BYTES,
    SLEEP,
    SLEEP_ARGUMENT,
    SPINS,
    YIELD,
    YIELDS,
    emit_pause,
    emit_platform_call,
)

_FINISHED, _CLAIMED = 0, 8  # byte offsets in the cache line of a part


def emit_phases(module: Module) -> str:
    """Add ``void @phase(ptr barrier, ptr body, ptr context, i64 thread, i64 threads, i64 number, i64 step)``.

    It runs phase ``number`` (1, 2, 3 … in every thread) with ``void body(ptr context, i64 part, i64 step)`` and
    returns when all parts are finished and their writes are visible to all threads. Returns the function's name.

    >>> from deltarule.backends.native.llvm.machine import host
    >>> emit_phases(Module(host(target="avx2")))
    'phase'
    """
    e = Emitter(module)
    lines = e.assign(f"getelementptr i8, ptr %barrier, i64 {FLAG_BYTES}")
    before = e.assign("sub i64 %number, 1")
    with e.loop(0, "%threads") as offset:
        part = e.assign(f"urem i64 {e.add('%thread', offset)}, %threads")
        line = _cache_line(e, lines, part)
        claimed = e.address("i8", line, _CLAIMED)
        result = e.assign(
            f"cmpxchg ptr {claimed}, i64 {before}, i64 %number acq_rel monotonic, align 8"
        )
        with e.when(e.assign(f"extractvalue {{ i64, i1 }} {result}, 1")):
            e.emit(f"call void %body(ptr %context, i64 {part}, i64 %step)")
            e.emit(f"store atomic i64 %number, ptr {line} release, align 8")
    _emit_wait(e, lines)
    e.emit("ret void")
    signature = "ptr %barrier, ptr %body, ptr %context, i64 %thread, i64 %threads, i64 %number, i64 %step"
    module.add("phase", e.function(f"internal void @phase({signature})"))
    return "phase"


def _cache_line(e: Emitter, lines: str, part: str) -> str:
    return e.assign(f"getelementptr [{FLAG_BYTES} x i8], ptr {lines}, i64 {part}")


def _emit_wait(e: Emitter, lines: str) -> None:
    """Wait until every part is finished: spin, then yield, then sleep."""
    spins, yields = (
        e.assign(
            f"load i64, ptr {e.assign(f'getelementptr i64, ptr %barrier, i64 {word}')}, align 8"
        )
        for word in (SPINS, YIELDS)
    )
    sleep_after = e.add(spins, yields)
    poll_count = e.variable(0)
    with e.loop(0, "%threads") as part:
        line = _cache_line(e, lines, part)
        e.branch("poll")
        e.label("poll")
        finished = e.assign(f"load atomic i64, ptr {line} acquire, align 8")
        e.branch_if(e.compare("sge", finished, "%number"), "done", "wait")
        e.label("wait")
        polls = e.get(poll_count)
        e.set(poll_count, e.add(polls, 1))
        e.branch_if(e.compare("slt", polls, spins), "spin", "back_off")
        e.label("spin")
        emit_pause(e)
        e.branch("poll")
        e.label("back_off")
        e.branch_if(e.compare("slt", polls, sleep_after), "yield", "sleep")
        for label, word, argument in (
            ("yield", YIELD, None),
            ("sleep", SLEEP, SLEEP_ARGUMENT),
        ):
            e.label(label)
            emit_platform_call(e, word, argument)
            e.branch("poll")
        e.label("done")
