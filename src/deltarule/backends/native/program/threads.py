"""Thread teams: worker threads that run one native function together, their barrier memory, and denormal handling.

The workers are Python threads that sleep between runs; ctypes releases the interpreter lock while they run native
code. In native code they wait for each other at the end of each phase (``work_sharing``): a wait spins, then yields,
then sleeps, so that oversubscription costs little. Yielding and sleeping use function pointers of the platform, so
that generated code links to no system function.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deltarule.backends.native.llvm.emitter import Emitter, Module
from deltarule.backends.native.llvm.machine import core_count
from deltarule.errors import ArgumentError

Entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""The type of native functions that a team runs: ``void entry(ptr argument, i64 thread, i64 threads)``."""

MAX_THREADS = 256
FLAG_BYTES = 128  # bytes between flags: two cache lines, because adjacent lines are prefetched in pairs
YIELD, SLEEP, SLEEP_ARGUMENT, SPINS, YIELDS = range(5)  # words of the barrier header
_SPINS, _SPINS_OVERSUBSCRIBED, _YIELD_COUNT = 4000, 20, 100
_POLL_SECONDS = 0.1


@dataclass
class _Job:
    """A run: the function to call, and the number of workers that have not finished."""

    entry: int
    argument: int
    threads: int
    pending: int
    finished: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, thread: int) -> None:
        Entry(self.entry)(self.argument, thread, self.threads)
        with self.lock:
            self.pending -= 1
            if self.pending == 0:
                self.finished.set()


_Tasks = queue.SimpleQueue[tuple[_Job, int] | None]


class Team:
    """A team of ``threads`` threads that run native functions together.

    ``barrier`` is the address that the functions pass to ``@phase`` (see ``work_sharing``). Runs are serialised: a
    second caller waits for the first. Workers are daemon threads that start on first use and end with the team.
    A forked child process does not inherit them: its teams are reset, with a free lock and without workers.

    >>> Team(2).barrier % 64
    0
    """

    def __init__(self, threads: int) -> None:
        if not 1 <= threads <= MAX_THREADS:
            raise ArgumentError(
                "threads", expected=f"1 to {MAX_THREADS}", got=str(threads)
            )
        self.threads = threads
        memory = np.zeros(FLAG_BYTES * (threads + 2), np.uint8)
        skip = -memory.ctypes.data % FLAG_BYTES
        self._memory = memory[skip : skip + FLAG_BYTES * (threads + 1)].view(np.int64)
        self._memory[[YIELD, SLEEP, SLEEP_ARGUMENT]] = _platform_functions()
        self._memory[SPINS] = (
            _SPINS if threads <= core_count() else _SPINS_OVERSUBSCRIBED
        )
        self._memory[YIELDS] = _YIELD_COUNT
        self._lock = threading.Lock()
        self._workers: list[_Tasks] = []
        weakref.finalize(self, _stop_workers, self._workers).atexit = False
        _teams.add(self)

    @property
    def barrier(self) -> int:
        """Return the address of the barrier memory, which the team owns."""
        return int(self._memory.ctypes.data)

    def run(
        self, entry: int, argument: int, on_interrupt: Callable[[], None] | None = None
    ) -> None:
        """Run the native function at ``entry`` (see :data:`Entry`) in all threads; return when all have ended.

        The calling thread is thread 0. With ``on_interrupt`` all threads are workers and the caller waits in Python:
        on Ctrl-C it calls ``on_interrupt`` (which sets a flag that the native code reads), and raises
        KeyboardInterrupt after the threads have ended.
        """
        with self._lock:
            self._flags()[:] = 0
            interruptible = on_interrupt is not None
            first = 0 if interruptible else 1
            job = _Job(entry, argument, self.threads, self.threads - first)
            for worker, thread in zip(
                self._start_workers(job.pending),
                range(first, self.threads),
                strict=True,
            ):
                worker.put((job, thread))
            try:
                if not interruptible:
                    Entry(entry)(argument, 0, self.threads)
            finally:  # KeyboardInterrupt is raised when the call returns; workers may still write to the arrays
                if self.threads > first:
                    _wait(job, on_interrupt)

    def _flags(self) -> npt.NDArray[np.int64]:
        return self._memory[FLAG_BYTES // 8 :]

    def _reset_after_fork(self) -> None:
        """Drop the workers of the parent process, and its lock, which one of them may have held."""
        self._lock = threading.Lock()
        self._workers.clear()

    def _start_workers(self, count: int) -> list[_Tasks]:
        """Return the task queues of ``count`` workers, starting those that do not exist."""
        while len(self._workers) < count:
            tasks: _Tasks = queue.SimpleQueue()
            name = f"deltarule-{len(self._workers) + 1}"
            threading.Thread(
                target=_worker, args=(tasks,), name=name, daemon=True
            ).start()
            self._workers.append(tasks)
        return self._workers[:count]


_teams: weakref.WeakSet[Team] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for team in _teams:
        team._reset_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _worker(tasks: _Tasks) -> None:
    while (task := tasks.get()) is not None:
        job, thread = task
        job.run(thread)


def _stop_workers(workers: list[_Tasks]) -> None:
    """End the workers after their current task; ``SimpleQueue.put`` is reentrant, as a finalizer requires."""
    for tasks in workers:
        tasks.put(None)
    workers.clear()


def _wait(job: _Job, on_interrupt: Callable[[], None] | None) -> None:
    """Wait for the workers, also after an interrupt, since they access memory that the caller owns."""
    interrupted: KeyboardInterrupt | None = None
    while not job.finished.is_set():
        try:
            job.finished.wait(_POLL_SECONDS)
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
            if on_interrupt is not None:
                on_interrupt()
    if interrupted is not None:
        raise interrupted


def _platform_functions() -> tuple[int, int, int]:
    """Return the addresses of the yield and sleep functions of the platform, and the argument of a short sleep."""
    if sys.platform == "win32":
        library = ctypes.CDLL("kernel32")
        yielding, sleeping, argument = (
            library.SwitchToThread,
            library.Sleep,
            1,
        )  # milliseconds
    else:
        library = ctypes.CDLL(None)
        yielding, sleeping, argument = (
            library.sched_yield,
            library.usleep,
            50,
        )  # microseconds
    addresses = [
        ctypes.cast(function, ctypes.c_void_p).value or 0
        for function in (yielding, sleeping)
    ]
    return addresses[0], addresses[1], argument


def emit_pause(e: Emitter) -> None:
    """Emit a spin-wait hint."""
    if e.machine.name == "neon":
        e.emit("call void @llvm.aarch64.hint(i32 1)")
    else:
        e.emit("call void @llvm.x86.sse2.pause()")


def emit_platform_call(e: Emitter, word: int, argument: int | None) -> None:
    """Emit a call of a platform function in the barrier header (a superfluous argument is ignored)."""
    slot = e.assign(f"getelementptr i64, ptr %barrier, i64 {word}")
    function = e.assign(f"load ptr, ptr {slot}, align 8")
    value = "0"
    if argument is not None:
        place = e.assign(f"getelementptr i64, ptr %barrier, i64 {argument}")
        value = e.assign(
            f"trunc i64 {e.assign(f'load i64, ptr {place}, align 8')} to i32"
        )
    e.emit(f"call void {function}(i32 {value})")


def emit_denormals(module: Module) -> tuple[str, str]:
    """Add ``i64 @denormals_flush()`` and ``void @denormals_restore(i64)``; return their names.

    The first flushes denormal numbers to zero in the calling thread and returns the previous state, which the second
    restores. Decaying momentum of dead units would otherwise become denormal and make a step several times slower.
    """
    e = Emitter(module)
    if module.machine.name == "neon":
        flush_to_zero = 1 << 24  # FPCR.FZ
        before = e.assign("call i64 @llvm.aarch64.get.fpcr()")
        e.emit(
            f"call void @llvm.aarch64.set.fpcr(i64 {e.assign(f'or i64 {before}, {flush_to_zero}')})"
        )
        e.emit(f"ret i64 {before}")
        restore = "call void @llvm.aarch64.set.fpcr(i64 %state)\n  ret void"
    else:
        flush_and_zero = 1 << 15 | 1 << 6  # MXCSR.FTZ and MXCSR.DAZ
        slot = e.stack("i32")
        e.emit(f"call void @llvm.x86.sse.stmxcsr(ptr {slot})")
        before = e.assign(f"load i32, ptr {slot}")
        e.emit(
            f"store i32 {e.assign(f'or i32 {before}, {flush_and_zero}')}, ptr {slot}"
        )
        e.emit(f"call void @llvm.x86.sse.ldmxcsr(ptr {slot})")
        e.emit(f"ret i64 {e.assign(f'zext i32 {before} to i64')}")
        restore = (
            "%slot = alloca i32\n  %low = trunc i64 %state to i32\n  store i32 %low, ptr %slot\n"
            "  call void @llvm.x86.sse.ldmxcsr(ptr %slot)\n  ret void"
        )
    module.add("denormals_flush", e.function("internal i64 @denormals_flush()"))
    definition = f"define internal void @denormals_restore(i64 %state) nounwind {{\n  {restore}\n}}\n"
    module.add("denormals_restore", definition)
    return "denormals_flush", "denormals_restore"
