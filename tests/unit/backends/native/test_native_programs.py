"""Native programs against the reference backend: every primitive, random graphs, any number of threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from contracts import test_ops as contract
from deltarule import dtypes
from deltarule.backends.base import Array
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.native.llvm.machine import host, runs_here
from deltarule.backends.reference import ReferenceBackend, evaluate
from deltarule.dtypes import DType
from deltarule.errors import DataError, ShapeError
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from deltarule.graph.walk import inputs
from support.fuzz.check import ENGINES, check, native
from support.fuzz.graphs import random_case

TOLERANCE = {dtypes.FLOAT32: 2e-4, dtypes.FLOAT64: 1e-10}


def agree(
    outputs: Sequence[Node],
    given_inputs: Sequence[Node],
    arrays: Sequence[Array],
    tolerance: float,
) -> None:
    """Compare native and reference; the bits do not depend on the number of threads."""
    program = Program(tuple(given_inputs), tuple(outputs))
    expected = ReferenceBackend().compile(program)(*arrays)
    first: list[Array] | None = None
    for threads in (1, 2, 3):
        results = NativeBackend().compile(program, threads)(*arrays)
        for result, wanted in zip(results, expected, strict=True):
            assert (result.shape, result.dtype) == (wanted.shape, wanted.dtype)
            np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance)
        first = first or results
        assert [r.tobytes() for r in results] == [r.tobytes() for r in first]


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.id)
def test_primitives_and_their_gradients(case: Any, dtype: DType) -> None:
    generator = np.random.default_rng(3)
    nodes = [
        build.input_node(f"x{i}", shape, dtype) for i, shape in enumerate(case.shapes)
    ]
    arrays = [
        generator.uniform(case.low, case.high, shape).astype(dtype.name)
        for shape in case.shapes
    ]
    output = case.ours(*nodes)
    cotangent = build.input_node("cotangent", output.shape, output.dtype)
    outputs = [output, *gradients(output, nodes, cotangent)]
    given_inputs = [*nodes, cotangent]
    arrays.append(generator.normal(size=output.shape).astype(output.dtype.name))
    extra = [node for node in inputs(outputs) if node not in given_inputs]
    agree(
        outputs,
        [*given_inputs, *extra],
        [*arrays, *[contract.INDICES] * len(extra)],
        TOLERANCE[dtype],
    )


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_random_programs_with_any_number_of_threads(seed: int) -> None:
    case = random_case(seed)
    arrays = list(case.values.values())
    first, second, third = (
        NativeBackend().compile(case.program(), n)(*arrays) for n in (1, 2, 3)
    )
    for alone, two, three in zip(first, second, third, strict=True):
        assert alone.tobytes() == two.tobytes() == three.tobytes()


@pytest.mark.parametrize("target", ["avx512", "avx2", "sse"])
@pytest.mark.parametrize("seed", range(1100, 1110))
def test_random_programs_on_lesser_machines(target: str, seed: int) -> None:
    machine = host(target)
    if not runs_here(machine):
        pytest.skip(f"this machine has no {target}")
    engines = {**ENGINES, "native": partial(native, machine=machine)}
    assert check(random_case(seed), engines).fault == ""


@pytest.mark.parametrize(
    "dtype", [dtypes.UINT8, dtypes.UINT32, dtypes.INT32, dtypes.INT64], ids=str
)
def test_whole_numbers(dtype: DType) -> None:
    x, y = (build.input_node(name, (5, 7), dtype) for name in "xy")
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 50, (5, 7)).astype(dtype.name) for _ in range(2)]
    outputs = [
        build.add(x, y),
        build.subtract(x, y),
        build.multiply(x, y),
        build.maximum(x, y),
        build.minimum(x, y),
        build.equal(x, y),
        build.less(x, y),
        build.absolute(x),
        build.sign(x),
        build.sum_over(x, 0),
        build.sum_over(x, 1),
        build.maximum_over(x, 1),
        build.argmax(x, 1),
        build.argsort(x, 0),
        build.cast(x, dtypes.FLOAT64),
        build.cast(x, dtypes.BOOL),
        build.cast(x, dtypes.UINT8),
        build.where(build.less(x, y), x, y),
        build.concatenate([x, y], 0),
        build.pad(x, (1, 0), (0, 2)),
        build.cumulative_sum(x, 0),
        build.cumulative_sum(build.flip(x, (1,)), 1),
    ]
    outputs += (
        []
        if dtype.kind == "uint"
        else [build.negate(x), build.sign(build.subtract(x, y))]
    )
    agree(outputs, [x, y], arrays, 0)


def test_truth_values() -> None:
    x, y = (build.input_node(name, (3, 21), dtypes.BOOL) for name in "xy")
    generator = np.random.default_rng(0)
    arrays = [generator.random((3, 21)) < 0.5 for _ in range(2)]
    outputs = [
        build.logical_and(x, y),
        build.logical_or(x, y),
        build.logical_not(x),
        build.equal(x, y),
        build.maximum_over(x, 1),
        build.sum_over(x, 1),
        build.cast(x, dtypes.FLOAT32),
        build.permute(x, (1, 0)),
    ]
    agree(outputs, [x, y], arrays, 0)


def test_special_values() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300, 5.0] * 3)
    x = build.input_node("x", values.shape, dtypes.FLOAT64)
    y = build.flip(x, (0,))
    outputs = [
        build.maximum(x, y),
        build.minimum(x, y),
        build.maximum(x, 0.0),
        build.minimum(x, 0.0),
        build.sign(x),
        build.less(x, y),
        build.equal(x, y),
        build.maximum_over(x),
        build.argmax(x),
        build.argsort(x),
        build.exp(x),
        build.tanh(x),
        build.erf(x),
        build.sqrt(x),
        build.floor(x),
        build.cast(x, dtypes.BOOL),
    ]
    agree(outputs, [x], [values], 1e-14)


@pytest.mark.parametrize("source", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
def test_float_to_integer_goes_towards_zero_and_stops_at_the_bounds(
    source: DType,
) -> None:
    values = np.array(
        [
            -2.7,
            -0.5,
            0.5,
            2.7,
            100.9,
            np.nan,
            np.inf,
            -np.inf,
            300.0,
            -3e9,
            3e9,
            4.4e9,
            1e20,
            -1e20,
        ]
    )
    x = build.input_node("x", values.shape, source)
    kinds = (dtypes.UINT8, dtypes.UINT32, dtypes.INT32, dtypes.INT64)
    outputs = [build.cast(x, dtype) for dtype in kinds]
    agree(outputs, [x], [values.astype(source.name)], 0)
    whole = [int(np.clip(0 if np.isnan(v) else v, 0, 255)) for v in values]
    np.testing.assert_array_equal(
        evaluate(outputs, {x: values.astype(source.name)})[0], whole
    )


@pytest.mark.parametrize(
    "dtype", [dtypes.UINT8, dtypes.UINT32, dtypes.INT32, dtypes.INT64], ids=str
)
def test_whole_division_is_numpys(dtype: DType) -> None:
    generator = np.random.default_rng(0)
    bounds = np.iinfo(dtype.name)
    special = [
        bounds.min + 1 if bounds.min else 0,
        bounds.max,
        bounds.max - 1,
        1,
        2,
        3,
        7,
        0,
    ]
    a = np.array(
        [*np.repeat(special, 8), *generator.integers(bounds.min + 1, bounds.max, 200)],
        dtype.name,
    )
    b = np.array(
        [
            *special * 8,
            *generator.integers(bounds.min + 1, bounds.max, 100),
            *range(1, 101),
        ],
        dtype.name,
    )
    x, y = (build.input_node(name, a.shape, dtype) for name in "xy")
    outputs = [build.floor_divide(x, y), build.remainder(x, y)]
    with np.errstate(divide="ignore"):
        wanted = [a // b, a % b]
    for device in (NativeBackend(), ReferenceBackend()):
        found = device.compile(Program((x, y), tuple(outputs)))(a, b)
        for mine, numpys in zip(found, wanted, strict=True):
            assert mine.dtype == numpys.dtype
            np.testing.assert_array_equal(mine, numpys)


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (1,), (1, 1), ()])
def test_empty_and_single(shape: tuple[int, ...]) -> None:
    x = build.input_node("x", shape, dtypes.FLOAT64)
    outputs = [
        build.exp(x),
        build.sum_over(x),
        build.multiply(x, x),
        build.reshape(x, shape[::-1]),
    ]
    if len(shape) == 2:
        outputs += [
            build.matmul(x, build.permute(x, (1, 0))),
            build.sum_over(x, 1),
            build.permute(x, (1, 0)),
        ]
    agree(outputs, [x], [np.full(shape, 0.3)], 1e-14)


def test_outputs_may_be_inputs_constants_and_repeated() -> None:
    x = build.input_node("x", (4, 3), dtypes.FLOAT64)
    y = build.exp(x)
    outputs = [
        x,
        y,
        y,
        build.full((2, 2), 3.5, dtypes.FLOAT64),
        build.permute(x, (1, 0)),
        build.iota((5,), 0),
    ]
    array = np.arange(12.0).reshape(4, 3) / 10
    agree(outputs, [x], [array], 1e-14)
    program = Program((x,), tuple(outputs))
    results = NativeBackend().compile(program)(array)
    results[0][...] = -1
    assert array[0, 0] == 0  # never views of the inputs


def test_gather_outside_raises_and_reads_nothing() -> None:
    x = build.input_node("x", (5, 3), dtypes.FLOAT64)
    places = build.input_node("places", (4,), dtypes.INT64)
    program = Program(
        (x, places),
        (
            build.gather(x, places, 0),
            build.scatter_add(places, build.gather(x, places), 0, 5),
        ),
    )
    run = NativeBackend().compile(program)
    array = np.ones((5, 3))
    run(array, np.array([0, 4, 2, 1]))
    for bad in (5, -1, 2**40, -(2**40)):
        with pytest.raises(DataError, match=rf"\[0, 5\), got {bad}"):
            run(array, np.array([0, bad, 2, 1]))
    run(array, np.array([0, 4, 2, 1]))  # and runs again afterwards


def test_singular_and_indefinite_matrices_raise() -> None:
    a = build.input_node("a", (3, 3), dtypes.FLOAT64)
    with pytest.raises(DataError, match="invertible"):
        NativeBackend().compile(Program((a,), (build.solve(a, a),)))(np.zeros((3, 3)))
    with pytest.raises(DataError, match="positive definite"):
        NativeBackend().compile(Program((a,), (build.cholesky(a),)))(-np.eye(3))
    log_determinant = NativeBackend().compile(
        Program((a,), (build.log_determinant(a),))
    )
    assert log_determinant(np.zeros((3, 3)))[0] == -np.inf


def test_wrong_shapes_raise() -> None:
    x = build.input_node("x", (2, 3), dtypes.FLOAT32)
    run = NativeBackend().compile(Program((x,), (build.exp(x),)))
    with pytest.raises(ShapeError, match=r"expected \(2, 3\), got \(3, 2\)"):
        run(np.zeros((3, 2), np.float32))
    with pytest.raises(DataError, match="1 array, got"):
        run()


def test_inputs_in_any_memory_order() -> None:
    x = build.input_node("x", (6, 5), dtypes.FLOAT64)
    run = NativeBackend().compile(Program((x,), (build.multiply(x, 2.0),)))
    array = np.arange(60.0).reshape(10, 6)[::2].T
    np.testing.assert_array_equal(run(array)[0], array * 2)


def test_several_threads_call_one_program() -> None:
    x = build.input_node("x", (200, 50), dtypes.FLOAT64)
    hidden = build.tanh(build.matmul(x, build.permute(x, (1, 0))))
    run = NativeBackend().compile(
        Program((x,), (build.sum_over(build.multiply(hidden, hidden), 1),))
    )
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(200, 50)) for _ in range(4)]
    expected = [run(array)[0] for array in arrays]
    wrong: list[int] = []

    def call(which: int) -> None:
        for _ in range(20):
            if not np.array_equal(run(arrays[which])[0], expected[which]):
                wrong.append(which)

    workers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_deep_graphs_do_not_recurse() -> None:
    x = build.input_node("x", (8,), dtypes.FLOAT64)
    node = x
    for i in range(3000):
        node = build.add(build.multiply(node, 0.999), float(i % 3))
    agree([node], [x], [np.arange(8.0)], 1e-9)


def test_long_reductions_are_shared_and_exact() -> None:
    x = build.input_node("x", (50_000, 3), dtypes.FLOAT32)
    outputs = [
        build.sum_over(x),
        build.sum_over(x, 0),
        build.maximum_over(x, 0),
        build.mean(build.multiply(x, x), 0),
        build.sum_over(build.exp(build.negate(x)), 0),
    ]
    array = np.random.default_rng(0).random((50_000, 3)).astype(np.float32) + 1000
    agree(
        outputs, [x], [array], 1e-3
    )  # NumPy's own float32 sums over the first axis are that far off
    total, columns = NativeBackend().compile(Program((x,), tuple(outputs[:2])))(array)
    assert total == np.float32(array.astype(np.float64).sum())  # accumulated in float64
    np.testing.assert_array_equal(
        columns, array.astype(np.float64).sum(0).astype(np.float32)
    )


@pytest.mark.parametrize("shape", [(64, 48), (33, 17), (5, 3)])
def test_products_that_are_kept_in_another_type(shape: tuple[int, int]) -> None:
    m, n = shape
    x, w = build.input_node("x", (m, 21)), build.input_node("w", (21, n))
    t = build.input_node("t", shape, dtypes.FLOAT64)
    products = build.matmul(x, w)
    outputs = [
        build.add(t, build.cast(products, dtypes.FLOAT64)),
        build.less(0.0, products),
        build.cast(products, dtypes.INT32),
    ]
    generator = np.random.default_rng(0)
    arrays = [
        generator.integers(-9, 9, node.shape).astype(node.dtype.name)
        for node in (x, w, t)
    ]
    for output in outputs:
        agree([output], [x, w, t], arrays, 0.0)
