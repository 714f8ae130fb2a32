"""Partial vectors of narrow types: nothing is written beyond an array."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends.native.backend import NativeBackend
from deltarule.dtypes import DType
from deltarule.graph import build
from deltarule.graph.program import Program
from support.fuzz.guards import guarded


@pytest.mark.parametrize(
    "target", [dtypes.BOOL, dtypes.UINT8, dtypes.INT32, dtypes.FLOAT32], ids=str
)
@pytest.mark.parametrize(
    "source", [dtypes.FLOAT64, dtypes.FLOAT32, dtypes.INT64], ids=str
)
def test_narrowed_numbers_stay_inside(source: DType, target: DType) -> None:
    """Rows of 8k + 1 numbers end in a vector of one lane (which LLVM 22 wrote whole, 8 bytes for one of uint8)."""
    inputs, outputs, arrays = [], [], []
    for n in (3, 5, 9, 17, 18, 33, 65):
        x = build.input_node("x", (2, n), source)
        row = build.input_node("row", (n,), dtypes.UINT8)
        whole = build.cast(build.minimum(build.maximum(x, 0), 100), dtypes.INT64)
        outputs.append(
            build.cast(build.add(whole, build.cast(row, dtypes.INT64)), target)
        )
        inputs += [x, row]
        arrays += [
            np.arange(2 * n).reshape(2, n).astype(source.name),
            np.arange(n).astype(np.uint8),
        ]
    with guarded() as guards:
        found = NativeBackend().compile(Program(tuple(inputs), tuple(outputs)), 1)(
            *arrays
        )
        assert guards.broken() == ""
    for result, x, row in zip(found, arrays[::2], arrays[1::2], strict=True):
        wanted = np.clip(x, 0, 100).astype(np.int64) + row
        np.testing.assert_array_equal(result, wanted.astype(target.name))


def test_a_guard_sees_what_is_written_beyond() -> None:
    with guarded() as guards:
        array = guards.empty((3,), np.uint8)
        np.lib.stride_tricks.as_strided(array, (5,))[4] = 0
        assert guards.broken() == "writes 1 bytes after uint8(3,)"
