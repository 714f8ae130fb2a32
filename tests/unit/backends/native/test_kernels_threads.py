"""Teams, phases and denormal flushing."""

from __future__ import annotations

import _thread
import ctypes
import threading
import time

import numpy as np
import pytest

from deltarule.backends.native.llvm.compiler import compile_modules, compile_objects
from deltarule.backends.native.llvm.emitter import Emitter, Module, number
from deltarule.backends.native.llvm.machine import TARGETS, host, runs_here
from deltarule.backends.native.program.threads import Team, emit_denormals
from deltarule.backends.native.program.work_sharing import emit_phases
from deltarule.errors import ArgumentError

FIRST = 4  # word of the relay's first number
RUNNABLE = [name for name in TARGETS if runs_here(host(name))]


def relay_module(machine):
    """Return a module in which each part adds its neighbour's number to its own, phase by phase.

    The argument holds the barrier's address, the number of rounds, a stop flag, the number of threads, and two rows of
    numbers.
    """
    module = Module(machine)
    emit_phases(module)
    e = Emitter(module)
    threads = e.load("int64", e.address("int64", "%argument", 3))
    neighbour = e.assign(f"urem i64 {e.add('%part', 1)}, {threads}")
    old = e.multiply(e.modulo("%step", 2), 300)
    new = e.multiply(e.modulo(e.add("%step", 1), 2), 300)
    mine, theirs = (
        e.load("int64", e.address("int64", "%argument", e.add(e.add(old, FIRST), part)))
        for part in ("%part", neighbour)
    )
    e.store(
        "int64",
        e.add(mine, theirs),
        e.address("int64", "%argument", e.add(e.add(new, FIRST), "%part")),
    )
    e.emit("ret void")
    module.add(
        "add", e.function("internal void @add(ptr %argument, i64 %part, i64 %step)")
    )
    e = Emitter(module)
    barrier = e.assign("load ptr, ptr %argument, align 8")
    rounds = e.load("int64", e.address("int64", "%argument", 1))
    with e.loop(0, rounds) as turn:
        own = "ptr %argument, i64 %thread, i64 %threads"
        e.emit(
            f"call void @phase(ptr {barrier}, ptr @add, {own}, i64 {e.add(turn, 1)}, i64 {turn})"
        )
    e.emit("ret void")
    module.add(
        "relay", e.function("void @relay(ptr %argument, i64 %thread, i64 %threads)")
    )
    e = Emitter(module)
    flag = e.address("int64", "%argument", 2)
    e.branch("look")
    e.label("look")
    e.branch_if(
        e.compare("eq", e.assign(f"load atomic i64, ptr {flag} acquire, align 8"), 0),
        "look",
        "end",
    )
    e.label("end")
    e.emit("ret void")
    module.add(
        "spin", e.function("void @spin(ptr %argument, i64 %thread, i64 %threads)")
    )
    return module.text()


def argument_for(team, rounds):
    argument = np.zeros(700, np.int64)
    argument[:4] = team.barrier, rounds, 0, team.threads
    argument[FIRST : FIRST + team.threads] = np.arange(team.threads) ** 2 + 1
    return argument


@pytest.mark.parametrize("target", RUNNABLE)
@pytest.mark.parametrize("threads", [1, 2, 3, 4, 7])
def test_what_was_written_in_a_phase_is_seen_in_the_next(target, threads):
    library = compile_modules([relay_module(host(target))], host(target), cache="off")
    team = Team(threads)
    for rounds in (1, 50, 51):
        argument = argument_for(team, rounds)
        wanted = argument[FIRST : FIRST + threads].copy()
        with np.errstate(over="ignore"):
            for _ in range(rounds):
                wanted = wanted + np.roll(wanted, -1)
        team.run(library.address("relay"), argument.ctypes.data)
        first = FIRST + 300 * (rounds % 2)
        np.testing.assert_array_equal(argument[first : first + threads], wanted)


def test_many_callers_take_turns():
    library = compile_modules([relay_module(host())], host(), cache="off")
    team = Team(2)
    alone = argument_for(team, 30)
    team.run(library.address("relay"), alone.ctypes.data)
    results = [argument_for(team, 30) for _ in range(6)]
    crew = [
        threading.Thread(
            target=team.run, args=(library.address("relay"), result.ctypes.data)
        )
        for result in results
    ]
    for member in crew:
        member.start()
    for member in crew:
        member.join()
    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_an_interrupt_stops_native_code_and_is_raised():
    library = compile_modules([relay_module(host())], host(), cache="off")
    team = Team(2)
    argument = argument_for(team, 0)
    asked = []

    def stop():
        asked.append(time.monotonic())
        argument[2] = 1

    timer = threading.Timer(0.1, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        team.run(library.address("spin"), argument.ctypes.data, on_interrupt=stop)
    assert len(asked) == 1
    assert time.monotonic() - asked[0] < 1
    timer.join()
    argument = argument_for(team, 5)
    team.run(library.address("relay"), argument.ctypes.data)  # the team still works
    assert argument[FIRST + 300] > 1


def test_more_threads_than_cores_cost_little():
    """Phases of four threads on two cores, shared with other work, take milliseconds and not time slices."""
    library = compile_modules([relay_module(host())], host(), cache="off")
    team = Team(4)
    argument = argument_for(team, 200)
    start = time.perf_counter()
    team.run(library.address("relay"), argument.ctypes.data)
    assert time.perf_counter() - start < 15


@pytest.mark.parametrize("target", RUNNABLE)
def test_denormals_are_zero_inside_and_numbers_after(target):
    machine = host(target)
    module = Module(machine)
    flush, restore = emit_denormals(module)
    e = Emitter(module)

    def halve(place):
        value = e.assign(
            f"load volatile float, ptr {e.address('float32', '%data', place)}"
        )
        half = e.binary("fmul", "float32", value, number(0.5, "float32"))
        e.emit(
            f"store volatile float {half}, ptr {e.address('float32', '%data', place)}"
        )

    state = e.assign(f"call i64 @{flush}()")
    halve(0)
    halve(1)
    e.emit(f"call void @{restore}(i64 {state})")
    halve(2)
    e.emit("ret void")
    module.add("halves", e.function("void @halves(ptr %data)"))
    library = compile_modules([module.text()], machine, cache="off")
    smallest_normal, denormal = np.finfo(np.float32).tiny, 1e-40
    data = np.array([smallest_normal, denormal, smallest_normal], np.float32)
    library.function("halves", None, ctypes.c_void_p)(data.ctypes.data)
    assert data[0] == 0 and data[1] == 0
    assert data[2] == np.float32(smallest_normal) / 2
    assert np.float32(1e-40) * np.float32(0.5) > 0  # and in Python too


def test_neon_compiles():
    machine = host("neon")
    denormals = Module(machine)
    flush, restore = emit_denormals(denormals)
    body = f"  %state = call i64 @{flush}()\n  call void @{restore}(i64 %state)\n  ret void\n"
    denormals.add("both", f"define void @both() {{\n{body}}}\n")
    assert all(
        compile_objects([relay_module(machine), denormals.text()], machine, cache="off")
    )


def test_thread_counts_are_checked():
    for threads in (0, -1, 100_000):
        with pytest.raises(ArgumentError, match="1 to 256"):
            Team(threads)


def test_workers_end_with_their_team():
    library = compile_modules([relay_module(host())], host(), cache="off")
    team = Team(4)
    before = set(threading.enumerate())
    argument = argument_for(team, 1)  # kept alive: the threads read and write it
    team.run(library.address("relay"), argument.ctypes.data)
    workers = set(threading.enumerate()) - before
    assert len(workers) == 3
    del team
    for worker in workers:
        worker.join(timeout=10)
        assert not worker.is_alive()
