"""State into and out of native memory: axes that change places, numbers that are repeated, memory that is new."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.native.program import memory
from support import graphs


@pytest.mark.parametrize("tile", [4, 8, 256])
def test_tiles_write_what_one_assignment_writes(monkeypatch, tile):
    monkeypatch.setattr(memory, "_TILE", tile)
    random = np.random.default_rng(0)
    for shape in ((), (1,), (0, 3), (9, 17), (33, 1, 12), (5, 13, 10, 7)):
        axes = range(len(shape))
        for first, second in itertools.product(itertools.permutations(axes), repeat=2):
            source = random.random([shape[axis] for axis in first])
            source = source.transpose(np.argsort(first))
            target = np.zeros([shape[axis] for axis in second])
            target = target.transpose(np.argsort(second))
            memory.copy_array(target, source)
            np.testing.assert_array_equal(target, source)


def test_one_number_that_is_repeated_is_told_from_others():
    assert memory.is_broadcast_scalar(np.broadcast_to(np.float32(2), (3, 4)))
    assert not memory.is_broadcast_scalar(np.broadcast_to(np.arange(4), (3, 4)))
    assert not memory.is_broadcast_scalar(np.zeros((3, 4)))
    assert not memory.is_broadcast_scalar(np.zeros((1, 1)))


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("number", [0.0, -0.0, 1.5])
def test_repeated_numbers_are_loaded_as_the_arrays_that_they_stand_for(used, number):
    program = graphs.network((20, 96, 33, 10), 16, "adam")
    state, data = graphs.values(program, 64)
    views = [np.broadcast_to(np.asarray(number, a.dtype), a.shape) for a in state]
    whole = [np.array(view, order="C") for view in views]
    found = []
    for loaded in (views, whole):
        runner = NativeBackend().compile_step(program)
        if used:
            runner.load(state)
            runner.run(data, np.arange(64), 0, 5, (0.02,))
        runner.load(loaded)
        before = runner.read()
        runner.run(data, np.arange(64), 0, 5, (0.02,))
        found.append([array.tobytes() for array in (*before, *runner.read())])
    assert found[0] == found[1]
    assert found[0][: len(whole)] == [array.tobytes() for array in whole]
