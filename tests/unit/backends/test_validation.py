"""What callers hand over is checked alike by every backend."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule.backends.base import Backend
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.reference import ReferenceBackend
from deltarule.errors import DataError, ShapeError
from deltarule.graph import build
from deltarule.graph.program import Program
from support import graphs


@pytest.mark.parametrize(
    "engine", [ReferenceBackend(), NativeBackend()], ids=["reference", "native"]
)
def test_every_backend_refuses_what_is_not_what_was_compiled(engine: Backend) -> None:
    x = build.input_node("x", (3,))
    run = engine.compile(Program((x,), (build.multiply(x, 2.0),)))
    for wrong in (
        np.ones(1, np.float32),
        np.ones(5, np.float32),
        np.ones((3, 1), np.float32),
    ):
        with pytest.raises(ShapeError, match=r"input x: expected \(3\)"):
            run(wrong)
    with pytest.raises(DataError, match="1 array, got 2"):
        run(np.ones(3), np.ones(3))
    step = graphs.network((4, 8, 2), 2)
    state, data = graphs.values(step, 6)
    runner = engine.compile_step(step)
    runner.load(state)
    for rows in ([0, -1], [0, 6]):
        with pytest.raises(DataError, match=r"rows in \[0, 6\)"):
            runner.run(data, np.array(rows), 0, 0, (0.1,))
