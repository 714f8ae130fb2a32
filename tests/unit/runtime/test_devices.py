"""Programs are compiled once for one structure, whatever the identity of their inputs."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.graph.program import Program
from deltarule.runtime import devices
from deltarule.runtime.devices import compiled


def _affine(scale: float, n: int = 3) -> Program:
    x, y = (
        build.input_node("x", (n,), dtypes.FLOAT64),
        build.input_node("y", (n,), dtypes.FLOAT64),
    )
    return Program(
        (x, y),
        (build.add(build.multiply(x, build.constant(scale, dtypes.FLOAT64)), y),),
    )


@pytest.mark.parametrize("device", devices.DEVICES)
def test_equal_programs_are_compiled_once(device: str) -> None:
    run = compiled(_affine(2.0), device)
    assert compiled(_affine(2.0), device) is run
    assert compiled(_affine(3.0), device) is not run
    assert compiled(_affine(2.0, 4), device) is not run
    assert compiled(_affine(2.0), device, threads=1) is not run
    np.testing.assert_array_equal(run(np.arange(3.0), np.ones(3))[0], [1.0, 3.0, 5.0])


def test_programs_differ_by_the_order_of_inputs_and_outputs() -> None:
    program = _affine(2.0)
    swapped = Program(program.inputs[::-1], program.outputs)
    assert swapped.signature() != program.signature()
    np.testing.assert_array_equal(
        compiled(swapped, "reference")(np.ones(3), np.arange(3.0))[0], [1.0, 3.0, 5.0]
    )
    twice = Program(program.inputs, (*program.outputs, *program.outputs))
    assert twice.signature() != program.signature()
    zeros = [
        Program((x,), (build.add(x, build.constant(z, dtypes.FLOAT64)),))
        for z in (0.0, -0.0)
        for x in [build.input_node("x", (3,), dtypes.FLOAT64)]
    ]
    assert zeros[0].signature() != zeros[1].signature()


def test_the_least_recently_used_program_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "_MAX_PROGRAMS", 2)
    first = compiled(_affine(11.0), "reference")
    compiled(_affine(12.0), "reference")
    assert compiled(_affine(11.0), "reference") is first
    compiled(_affine(13.0), "reference")
    assert compiled(_affine(11.0), "reference") is first
    assert len(devices._compiled) <= 2


def test_threads_share_an_executable() -> None:
    """Eight threads call one program of two threads at once; each gets its own result."""
    results: dict[int, float] = {}

    def work(place: int) -> None:
        run = compiled(_affine(2.0, 1000), "cpu", threads=2)
        for _ in range(50):
            (value,) = run(np.full(1000, float(place)), np.zeros(1000))
            assert (value == 2.0 * place).all()
        results[place] = float(value[0])

    workers = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == {place: 2.0 * place for place in range(8)}


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'cpu' or 'reference'"):
        compiled(_affine(1.0), "gpu")
