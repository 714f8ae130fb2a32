"""Whole epochs in one native call: against the reference, for any number of threads, stopped and wrong data."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.native.llvm.compiler import assembly as listing
from deltarule.backends.native.llvm.machine import host, runs_here
from deltarule.backends.native.program.codegen import generate_step
from deltarule.backends.native.program.runner import NativeRunner
from deltarule.backends.native.program.threads import Entry
from deltarule.backends.reference import ReferenceBackend
from deltarule.errors import DataError, ShapeError
from deltarule.graph import build
from deltarule.graph.program import StepProgram
from support import graphs

PROGRAMS = {
    "sgd": lambda dtype: graphs.network(optimiser="sgd", dtype=dtype),
    "momentum": lambda dtype: graphs.network(
        (784, 128, 10), 64, "momentum", dtype=dtype
    ),
    "adam with dropout": lambda dtype: graphs.network(
        (20, 48, 33, 10), 16, "adam", 0.2, dtype=dtype
    ),
    "odd sizes": lambda dtype: graphs.network((7, 19, 5, 10), 3, "adam", dtype=dtype),
    "one example": lambda dtype: graphs.network(
        (5, 16, 10), 1, "momentum", dtype=dtype
    ),
    "convolutional": lambda dtype: graphs.convolutional(4, "adam", dtype=dtype),
    "convolutional momentum": lambda dtype: graphs.convolutional(
        5, "momentum", dtype=dtype
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_epochs_agree_with_the_reference_to_many_digits(name: str) -> None:
    program = PROGRAMS[name](dtypes.FLOAT64)
    state, data = graphs.values(program, 70)
    order = np.random.default_rng(1).permutation(70)
    native, reference = (
        b.compile_step(program) for b in (NativeBackend(), ReferenceBackend())
    )
    for runner in (native, reference):
        runner.load(state)
    for epoch in range(2):
        first = epoch * (70 // program.batch_size)
        ours, theirs = (
            r.run(data, order, first, 11, (0.01,)) for r in (native, reference)
        )
        assert ours.shape == theirs.shape == (70 // program.batch_size, 1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        assert native.steps_done == len(ours)
    for mine, wanted in zip(native.read(), reference.read(), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["momentum", "adam with dropout", "convolutional"])
def test_bits_do_not_depend_on_the_number_of_threads(name: str) -> None:
    program = PROGRAMS[name](dtypes.FLOAT32)
    state, data = graphs.values(program, 300)
    order = np.random.default_rng(1).permutation(300)[: 16 * program.batch_size]
    results = []
    for threads in (1, 2, 3, 4):
        runner = NativeBackend().compile_step(program, threads)
        runner.load(state)
        metrics = runner.run(data, order, 0, 5, (0.02,))
        results.append(
            [metrics.tobytes(), *(array.tobytes() for array in runner.read())]
        )
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("target", ["avx2", "sse"])
def test_lesser_machines_agree(target: str) -> None:
    machine = host(target)
    if not runs_here(machine):
        pytest.skip(f"this machine has no {target}")
    program = PROGRAMS["adam with dropout"](dtypes.FLOAT64)
    state, data = graphs.values(program, 48)
    finals = []
    for runner in (
        NativeRunner(program, machine),
        ReferenceBackend().compile_step(program),
    ):
        runner.load(state)
        runner.run(data, np.arange(48), 0, 3, (0.01,))
        finals.append(runner.read())
    for mine, wanted in zip(*finals, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-7, atol=1e-10)


def test_state_goes_in_and_out_unchanged() -> None:
    program = PROGRAMS["momentum"](dtypes.FLOAT32)
    state, _ = graphs.values(program, 1)
    runner = NativeBackend().compile_step(program)
    runner.load(state)
    for given, back in zip(state, runner.read(), strict=True):
        np.testing.assert_array_equal(given, back)
    copies = runner.read()
    copies[0][...] = 7
    np.testing.assert_array_equal(runner.read()[0], state[0])


def test_two_halves_are_one_whole() -> None:
    program = PROGRAMS["adam with dropout"](dtypes.FLOAT32)
    state, data = graphs.values(program, 160)
    order = np.arange(160)
    whole, halves = (NativeBackend().compile_step(program) for _ in range(2))
    for runner in (whole, halves):
        runner.load(state)
    first = whole.run(data, order, 0, 9, (0.01,))
    parts = [
        halves.run(data, order[:80], 0, 9, (0.01,)),
        halves.run(data, order[80:], 5, 9, (0.01,)),
    ]
    assert first.tobytes() == np.concatenate(parts).tobytes()
    assert [a.tobytes() for a in whole.read()] == [a.tobytes() for a in halves.read()]


def test_states_may_swap_stay_and_be_constant() -> None:
    a, b, c, d = (build.input_node(name, (5,), dtypes.FLOAT64) for name in "abcd")
    x = build.input_node("x", (2, 5), dtypes.FLOAT64)
    step, seed = (build.input_node(name, (), dtypes.INT64) for name in ("step", "seed"))
    total = build.sum_over(x, 0)
    following = (b, a, c, build.full((5,), 2.0, dtypes.FLOAT64))
    program = StepProgram(
        (a, b, c, d), (x,), step, seed, (), following, (build.sum_over(total),)
    )
    twice = replace(
        program,
        next_state=(build.add(b, 1.0), build.add(a, b), build.add(total, c), total),
    )
    for candidate in (program, twice):
        finals = []
        for backend in (NativeBackend(), ReferenceBackend()):
            runner = backend.compile_step(candidate)
            runner.load([np.arange(5.0) + i for i in range(4)])
            metrics = runner.run(
                [np.arange(30.0).reshape(6, 5)], np.array([3, 1, 0, 2, 5, 4]), 0, 0
            )
            finals.append([metrics, *runner.read()])
        for mine, wanted in zip(*finals, strict=True):
            np.testing.assert_array_equal(mine, wanted)


def test_counters_and_scalars_reach_the_program() -> None:
    x = build.input_node("x", (1,), dtypes.FLOAT64)
    a = build.input_node("a", (), dtypes.INT64)
    step, seed = (build.input_node(name, (), dtypes.INT64) for name in ("step", "seed"))
    scalar = build.input_node("scalar", (), dtypes.FLOAT64)
    metrics = (step, seed, scalar, build.sum_over(x), build.less(1, step))
    program = StepProgram(
        (a,), (x,), step, seed, (scalar,), (build.add(a, step),), metrics
    )
    runner = NativeBackend().compile_step(program)
    runner.load([np.int64(0)])
    found = runner.run(
        [np.array([10.0, 20.0, 30.0])], np.array([2, 0, 1]), 2**40, -3, (0.25,)
    )
    np.testing.assert_array_equal(
        found,
        [[2**40 + k, -3, 0.25, value, 1] for k, value in enumerate((30.0, 10.0, 20.0))],
    )
    assert int(runner.read()[0]) == 3 * 2**40 + 3


@pytest.mark.parametrize(
    "backend", [NativeBackend(), ReferenceBackend()], ids=["native", "reference"]
)
def test_metrics_may_be_arrays_whose_elements_are_handed_out_in_order(
    backend: Any,
) -> None:
    x, a = build.input_node("x", (2, 3)), build.input_node("a", (3,))
    step, seed = (build.input_node(name, (), dtypes.INT64) for name in ("step", "seed"))
    total = build.add(a, build.sum_over(x, 0))
    metrics = (
        build.sum_over(x),
        total,
        build.less(0.0, x),
        build.cast(step, dtypes.FLOAT32),
    )
    runner = backend.compile_step(
        StepProgram((a,), (x,), step, seed, (), (total,), metrics)
    )
    runner.load([np.float32([1, 2, 3])])
    data = np.float32([[1, -2, 0], [3, 4, 5], [-1, -1, -1]])
    found = runner.run([data], np.array([0, 1, 1, 2]), 5, 0)
    assert found.tolist() == [
        [11.0, 5.0, 4.0, 8.0, 1, 0, 0, 1, 1, 1, 5],
        [9.0, 7.0, 7.0, 12.0, 1, 1, 1, 0, 0, 0, 6],
    ]


@pytest.mark.parametrize(
    "backend", [NativeBackend(), ReferenceBackend()], ids=["native", "reference"]
)
def test_twins_share_the_code_and_nothing_else(backend: Any) -> None:
    program = PROGRAMS["adam with dropout"](dtypes.FLOAT32)
    state, data = graphs.values(program, 64)
    order = np.tile(np.arange(64), 20)
    first = backend.compile_step(program)
    twins = [first, first.clone(), first.clone()]
    found: dict[int, Any] = {}

    def work(place: int) -> None:
        twins[place].load([array * (1 + place) for array in state])
        metrics = twins[place].run(data, order, 0, 5, (0.01,))
        found[place] = metrics, twins[place].read()

    workers = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for place in range(3):
        alone = backend.compile_step(program)
        alone.load([array * (1 + place) for array in state])
        np.testing.assert_array_equal(
            alone.run(data, order, 0, 5, (0.01,)), found[place][0]
        )
        for mine, wanted in zip(found[place][1], alone.read(), strict=True):
            np.testing.assert_array_equal(mine, wanted)


def test_wrong_data_is_refused_before_anything_runs() -> None:
    program = PROGRAMS["sgd"](dtypes.FLOAT32)
    state, data = graphs.values(program, 40)
    runner = NativeBackend().compile_step(program)
    runner.load(state)
    for bad in (40, -1):
        order = np.arange(32)
        order[7] = bad
        with pytest.raises(DataError, match=r"rows in \[0, 40\)"):
            runner.run(data, order, 0, 0, (0.1,))
    with pytest.raises(ShapeError, match="data for x"):
        runner.run([data[0][:, :5], data[1]], np.arange(32), 0, 0, (0.1,))
    with pytest.raises(ShapeError, match="state"):
        runner.load([array.T for array in state])
    np.testing.assert_array_equal(runner.read()[0], state[0])


def test_labels_used_as_indices_are_checked() -> None:
    x = build.input_node("x", (4,), dtypes.INT64)
    table = build.input_node("table", (6, 3), dtypes.FLOAT32)
    step, seed = (build.input_node(name, (), dtypes.INT64) for name in ("step", "seed"))
    rows = build.gather(table, x, 0)
    program = StepProgram(
        (table,), (x,), step, seed, (), (table,), (build.sum_over(rows),)
    )
    runner = NativeBackend().compile_step(program)
    runner.load([np.ones((6, 3), np.float32)])
    good = np.array([0, 5, 2, 3] * 3)
    np.testing.assert_array_equal(runner.run([good], np.arange(12), 0, 0), [[12.0]] * 3)
    good[9] = 6
    with pytest.raises(DataError, match=r"indices in \[0, 6\), got 6"):
        runner.run([good], np.arange(12), 0, 0)


def test_no_steps() -> None:
    program = PROGRAMS["sgd"](dtypes.FLOAT32)
    state, data = graphs.values(program, 40)
    runner = NativeBackend().compile_step(program)
    runner.load(state)
    assert runner.run(data, np.arange(5), 0, 0, (0.1,)).shape == (0, 1)


def _long(threads: int) -> tuple[NativeRunner, list[Any], Any]:
    program = graphs.network((64, 128, 10), 16, "momentum")
    state, data = graphs.values(program, 64)
    runner = NativeRunner(program, host(), threads)
    runner.load(state)
    return runner, data, np.tile(np.arange(64), 2_000_000 // 64)


@pytest.mark.parametrize("threads", [1, 2])
def test_another_thread_sees_progress_and_stops_the_run(threads: int) -> None:
    runner, data, order = _long(threads)
    seen: list[int] = []

    def watch() -> None:
        deadline = time.monotonic() + 30
        while runner.steps_done < 20 and time.monotonic() < deadline:
            time.sleep(0.001)
        seen.append(runner.steps_done)
        runner.stop()

    watcher = threading.Thread(target=watch)
    watcher.start()
    metrics = runner.run(data, order, 0, 0, (0.0,))
    watcher.join()
    assert 20 <= seen[0] <= len(metrics) == runner.steps_done < len(order) // 16
    assert np.isfinite(metrics).all()


@pytest.mark.skipif(sys.platform == "win32", reason="signals to oneself are POSIX")
def test_an_interrupt_ends_the_run() -> None:
    runner, data, order = _long(1)

    def interrupt() -> None:
        while runner.steps_done < 5:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        runner.run(data, order, 0, 0, (0.0,))
    sender.join()
    assert runner.steps_done < len(order) // 16


def test_decaying_momentum_does_not_become_denormal() -> None:
    program = graphs.network((20, 32, 10), 16, "momentum")
    state, data = graphs.values(program, 16)
    state = [
        np.full_like(a, 1e-37) if str(n.attributes["name"]).startswith("m_") else a * 0
        for a, n in zip(state, program.state, strict=True)
    ]
    runner = NativeBackend().compile_step(program)
    runner.load(state)
    runner.run([data[0] * 0, data[1]], np.tile(np.arange(16), 100), 0, 0, (0.0,))
    velocity = runner.read()[4]  # of the first weight: no gradient, only decay
    assert (velocity == 0).all()


def test_small_programs_take_one_thread() -> None:
    assert NativeRunner(graphs.network((30, 64, 64, 10), 16), host()).threads == 1
    assert NativeRunner(graphs.network((30, 64, 64, 10), 32), host(), 3).threads == 3


@pytest.mark.parametrize("target", ["neon", "sse", "avx2", "avx512"])
def test_steps_compile_for_every_machine(target: str) -> None:
    machine = host(target)
    for program in (
        PROGRAMS["adam with dropout"](dtypes.FLOAT32),
        PROGRAMS["convolutional"](dtypes.FLOAT32),
    ):
        for text in generate_step(program, machine, 2)[1]:
            assert len(listing(text, machine)) > 1000


def test_one_thread_finishes_what_the_others_never_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = PROGRAMS["adam with dropout"](dtypes.FLOAT32)
    state, data = graphs.values(program, 160)
    results = []
    for threads in (1, 3):
        runner = NativeRunner(program, host(), threads)
        if threads == 3:

            def alone(entry: int, argument: int, on_interrupt: Any) -> None:
                Entry(entry)(argument, 2, 3)  # threads 0 and 1 stay away

            monkeypatch.setattr(runner._team, "run", alone)
        runner.load(state)
        metrics = runner.run(data, np.arange(160), 0, 5, (0.02,))
        assert runner.steps_done == 10
        results.append(
            [metrics.tobytes(), *(array.tobytes() for array in runner.read())]
        )
    assert results[0] == results[1]
