"""Whole quotients, remainders and signs: NumPy's answers on every engine and in exported C, for special values too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends.base import Array
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.reference import ReferenceBackend
from deltarule.dtypes import DType
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.program import Program
from support.oracles import torch

from .test_native_c_source import COMPILER, run_c

Run = Callable[[Program, Sequence[Array]], list[Array]]


@pytest.fixture(params=["native", "reference", "c"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Return how one engine runs a program."""
    if request.param == "native":
        return lambda program, arrays: NativeBackend().compile(program)(*arrays)
    if request.param == "reference":
        return lambda program, arrays: ReferenceBackend().compile(program)(*arrays)
    if COMPILER is None:
        pytest.skip("no C compiler")
    return lambda program, arrays: run_c(tmp_path, program, arrays)[1]


def _divided(dtype: DType, shape: tuple[int, ...]) -> Program:
    x, y = (build.input_node(name, shape, dtype) for name in "xy")
    return Program((x, y), (build.floor_divide(x, y), build.remainder(x, y)))


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
def test_quotients_and_remainders_of_floats_are_numpys(dtype: DType, run: Run) -> None:
    limits = np.finfo(dtype.name)
    values = np.array(
        [
            0,
            1,
            -1,
            2.5,
            -2.5,
            3,
            -3,
            0.1,
            -0.1,
            7,
            1e20,
            -1e20,
            limits.max,
            -limits.max,
            np.inf,
            -np.inf,
            np.nan,
            1e-5,
            0.5,
            -0.5,
            limits.tiny * 4,
            123456.789,
        ],
        dtype.name,
    )
    noise = np.random.default_rng(0).normal(size=20) * 10.0 ** np.arange(-10, 10)
    x, y = np.meshgrid(np.concatenate([values, noise.astype(dtype.name)]), values)
    with np.errstate(all="ignore"):
        wanted = [np.floor_divide(x, y), np.remainder(x, y)]
        found = run(_divided(dtype, x.shape), [x, y])
    for got, right in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize(
    "dtype", [dtypes.INT32, dtypes.INT64, dtypes.UINT8, dtypes.UINT32], ids=str
)
def test_quotients_and_remainders_of_whole_numbers_are_numpys(
    dtype: DType, run: Run
) -> None:
    low, high = dtype.bounds
    values = {
        low,
        low + 1,
        high,
        high - 1,
        high // 2,
        low // 2,
        0,
        1,
        2,
        3,
        7,
        100,
        -1,
        -2,
        -3,
        -100,
    }
    kept = np.array(sorted(v for v in values if low <= v <= high), dtype.name)
    x, y = np.meshgrid(kept, kept)
    with np.errstate(all="ignore"):
        wanted = [np.floor_divide(x, y), np.remainder(x, y)]
    for got, right in zip(run(_divided(dtype, x.shape), [x, y]), wanted, strict=True):
        np.testing.assert_array_equal(got, right)


def test_derivatives_of_remainders() -> None:
    generator = np.random.default_rng(1)
    values = [generator.normal(size=50) * 9, generator.normal(size=50) + 0.01]
    x, y = (build.input_node(name, (50,), dtypes.FLOAT64) for name in "xy")
    rest = build.remainder(x, y)
    program = Program(
        (x, y), (rest, *gradients(rest, [x, y], build.full((50,), 1.0, dtypes.FLOAT64)))
    )
    tensors = [torch.tensor(value, requires_grad=True) for value in values]
    wanted = torch.remainder(*tensors)
    slopes = torch.autograd.grad(wanted.sum(), tensors)
    for backend in (NativeBackend(), ReferenceBackend()):
        for got, right in zip(
            backend.compile(program)(*values), (wanted.detach(), *slopes), strict=True
        ):
            np.testing.assert_allclose(got, right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
def test_signs_of_the_least_numbers(dtype: DType, run: Run) -> None:
    limits = np.finfo(dtype.name)
    least = limits.smallest_subnormal
    values: Any = np.array(
        [
            least,
            -least,
            limits.tiny / 2,
            -limits.tiny / 2,
            limits.tiny,
            -limits.tiny,
            0.0,
            -0.0,
            np.nan,
            np.inf,
            -np.inf,
            limits.max,
            -3.5,
        ],
        dtype.name,
    )
    x = build.input_node("x", values.shape, dtype)
    (found,) = run(Program((x,), (build.sign(x),)), [values])
    np.testing.assert_array_equal(found, np.sign(values))


def test_numbers_below_the_smallest_normal_one_count_as_zero_in_native_comparisons() -> (
    None
):
    """As docs/numbers.md says; the reference engine keeps them."""
    x = build.input_node("x", (2,), dtypes.FLOAT32)
    outputs = (
        build.less(0, x),
        build.multiply(x, 2.0),
        build.absolute(x),
        build.negate(x),
    )
    values = np.array([1e-40, 1.0], np.float32)
    above, doubled, size, turned = NativeBackend().compile(Program((x,), outputs))(
        values
    )
    assert above.tolist() == [False, True]
    assert doubled.tolist() == [0.0, 2.0]
    assert size.tolist() == values.tolist()
    assert turned.tolist() == (-values).tolist()
    above, doubled, *_ = ReferenceBackend().compile(Program((x,), outputs))(values)
    assert above.tolist() == [True, True]
    assert doubled[0] > 0
