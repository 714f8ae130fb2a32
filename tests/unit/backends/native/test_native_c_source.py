"""Exported C, compiled with the C compiler that is there, against the reference backend."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from contracts import test_ops as contract
from deltarule import dtypes, nn
from deltarule.backends.base import Array
from deltarule.backends.native.c.codegen import c_source
from deltarule.backends.reference import ReferenceBackend
from deltarule.dtypes import DType
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph import functions as f
from deltarule.graph.node import Node
from deltarule.graph.program import Program
from deltarule.graph.walk import inputs
from deltarule.tensor.tensor import Tensor
from support import windows
from support.fuzz.case import Case
from support.fuzz.check import ENGINES, check
from support.fuzz.graphs import random_case

COMPILER = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def run_c(
    folder: Path,
    program: Program,
    arrays: Sequence[Array],
    constants: dict[Node, Array] | None = None,
) -> tuple[int, list[Array]]:
    """Compile and call the exported function; return its status and the outputs."""
    source, library = (
        folder / "program.c",
        folder / f"program{np.random.default_rng().integers(2**40)}.so",
    )
    source.write_text(c_source(program, "predict", constants), encoding="utf-8")
    flags = [
        "-std=c99",
        "-O1",
        "-ffp-contract=off",
        "-Wall",
        "-Werror",
        "-Wno-unused-function",
        "-shared",
        "-fPIC",
    ]
    command = [str(COMPILER), *flags, str(source), "-o", str(library), "-lm"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[:3000]
    outputs = [
        np.full(node.shape, 77).astype(node.dtype.name) for node in program.outputs
    ]
    given = [
        np.ascontiguousarray(a, n.dtype.name)
        for n, a in zip(program.inputs, arrays, strict=True)
        if n not in (constants or {})
    ]
    function = ctypes.CDLL(str(library)).predict
    status = int(
        function(*(ctypes.c_void_p(array.ctypes.data) for array in (*given, *outputs)))
    )
    return status, outputs


def agree(
    folder: Path,
    outputs: Sequence[Node],
    nodes: Sequence[Node],
    arrays: Sequence[Array],
    tolerance: float,
) -> None:
    program = Program(tuple(nodes), tuple(outputs))
    status, results = run_c(folder, program, arrays)
    assert status == 0
    for result, wanted in zip(
        results, ReferenceBackend().compile(program)(*arrays), strict=True
    ):
        np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
def test_every_primitive_and_its_gradients(tmp_path: Path, dtype: DType) -> None:
    generator = np.random.default_rng(3)
    outputs: list[Node] = []
    nodes: list[Node] = []
    arrays: list[Array] = []
    for case in contract.CASES:
        own = [
            build.input_node(f"x{len(nodes) + i}", shape, dtype)
            for i, shape in enumerate(case.shapes)
        ]
        output = case.ours(*own)
        cotangent = build.input_node("g", output.shape, output.dtype)
        results = [output, *gradients(output, own, cotangent)]
        extra = [
            node for node in inputs(results) if node not in (*own, cotangent, *nodes)
        ]
        outputs += results
        nodes += [*own, cotangent, *extra]
        arrays += [
            generator.uniform(case.low, case.high, shape).astype(dtype.name)
            for shape in case.shapes
        ]
        arrays.append(generator.normal(size=output.shape).astype(output.dtype.name))
        arrays += [contract.INDICES] * len(extra)
    agree(tmp_path, outputs, nodes, arrays, 3e-4 if dtype is dtypes.FLOAT32 else 1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(tmp_path: Path, seed: int) -> None:
    case = random_case(2000 + seed)

    def in_c(case: Case, outputs: list[Node]) -> Sequence[Array]:
        status, results = run_c(tmp_path, case.program(), list(case.values.values()))
        assert status == 0
        return results

    assert check(case, {"reference": ENGINES["reference"], "C": in_c}).fault == ""


@pytest.mark.parametrize("kind", ["max", "average", "lp"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pooling_and_its_gradient(tmp_path: Path, kind: str, rank: int) -> None:
    x, outputs = windows.pooling_program(kind, rank, dtypes.FLOAT64)
    chosen = [
        node
        for place, node in enumerate(outputs)
        if place // 2 % (4 if rank < 3 else 7) == 1
    ]
    agree(tmp_path, chosen, [x], [np.random.default_rng(5).normal(size=x.shape)], 1e-12)


def test_slices_of_either_direction_and_their_gradients(tmp_path: Path) -> None:
    x, outputs = windows.slice_program(dtypes.FLOAT64)
    agree(
        tmp_path,
        outputs[::5],
        [x],
        [np.random.default_rng(6).normal(size=x.shape)],
        1e-12,
    )


@pytest.mark.parametrize(
    "dtype", [dtypes.UINT8, dtypes.UINT32, dtypes.INT32, dtypes.INT64], ids=str
)
def test_whole_numbers(tmp_path: Path, dtype: DType) -> None:
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
        build.sum_over(x, 0),
        build.maximum_over(x, 1),
        build.argmax(x, 1),
        build.argsort(x, 0),
        build.cast(x, dtypes.FLOAT64),
        build.cast(x, dtypes.BOOL),
        build.cast(x, dtypes.UINT8),
        build.where(build.less(x, y), x, y),
        build.cumulative_sum(x, 0),
        build.cumulative_sum(y, 1),
    ]
    outputs += (
        []
        if dtype.kind == "uint"
        else [build.negate(x), build.sign(build.subtract(x, y))]
    )
    agree(tmp_path, outputs, [x, y], arrays, 0)


def test_special_values(tmp_path: Path) -> None:
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e300, 5.0])
    x = build.input_node("x", values.shape, dtypes.FLOAT64)
    y = build.flip(x, (0,))
    outputs = [
        build.maximum(x, y),
        build.minimum(x, y),
        build.sign(x),
        build.less(x, y),
        build.maximum_over(x),
        build.argmax(x),
        build.argsort(x),
        build.exp(x),
        build.multiply(x, np.inf),
        build.cast(x, dtypes.BOOL),
        build.cumulative_sum(x, 0),
        build.cumulative_sum(build.cast(x, dtypes.FLOAT32), 0),
    ]
    agree(tmp_path, outputs, [x], [values], 1e-15)


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.FLOAT64], ids=str)
def test_random_numbers_to_the_bit(tmp_path: Path, dtype: DType) -> None:
    seed, step = (build.input_node(name, (), dtypes.INT64) for name in ("seed", "step"))
    outputs = [build.random_uniform((5, 40), seed, step, 7, dtype)]
    agree(tmp_path, outputs, [seed, step], [np.int64(12345), np.int64(2**33 + 5)], 0)


def _network() -> tuple[Node, list[Node], Node]:
    x = build.input_node("x", (4, 8, 8, 3), dtypes.FLOAT32)
    kernel, weight = (
        build.input_node(n, s, dtypes.FLOAT32)
        for n, s in (("kernel", (8, 3, 3, 3)), ("W", (10, 128)))
    )
    bias = build.input_node("b", (10,), dtypes.FLOAT32)
    h = f.relu(build.convolve(x, kernel, (1, 1), ((1, 1), (1, 1)), (1, 1)))
    h = f.max_pool(h, window=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    h = build.matmul(build.reshape(h, (4, -1)), build.permute(weight, (1, 0)))
    return x, [kernel, weight, bias], f.softmax(build.add(h, bias), axis=1)


def test_weights_are_written_into_the_file(tmp_path: Path) -> None:
    x, parameters, output = _network()
    generator = np.random.default_rng(0)
    arrays = [
        generator.normal(size=node.shape).astype(np.float32) * 0.3
        for node in (x, *parameters)
    ]
    program = Program((x, *parameters), (output,))
    constants = dict(zip(parameters, arrays[1:], strict=True))
    status, (result,) = run_c(tmp_path, program, arrays, constants)
    assert status == 0
    wanted = ReferenceBackend().compile(program)(*arrays)[0]
    np.testing.assert_allclose(result, wanted, rtol=2e-6, atol=1e-7)


def test_a_dense_layer_reads_well() -> None:
    x = build.input_node("x", (2, 3), dtypes.FLOAT32)
    weight, bias = (
        build.input_node("W", (4, 3), dtypes.FLOAT32),
        build.input_node("b", (4,), dtypes.FLOAT32),
    )
    output = f.relu(build.add(build.matmul(x, build.permute(weight, (1, 0))), bias))
    text = c_source(Program((x, weight, bias), (output,)), "layer")
    assert (
        "int layer(const float *x /* (2, 3) */, const float *W /* (4, 3) */, const float *b /* (4) */,"
        in text
    )
    assert "result0 += x[3 * i + k] * W[3 * j + k];" in text


def test_an_index_outside_is_reported(tmp_path: Path) -> None:
    x = build.input_node("x", (5,), dtypes.FLOAT64)
    places = build.input_node("places", (3,), dtypes.INT64)
    program = Program((x, places), (build.gather(x, places, 0),))
    assert run_c(tmp_path, program, [np.ones(5), np.array([0, 4, 2])])[0] == 0
    assert run_c(tmp_path, program, [np.ones(5), np.array([0, 5, 2])])[0] == 1


class Bag(nn.Module):
    """A module of one's own, which says nothing of its input's type."""

    def __init__(self) -> None:
        self.words, self.out = nn.Embedding(7, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.words(x).mean(axis=-2))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 2)), (5,)),
        (
            nn.Sequential(
                nn.Embedding(9, 4),
                nn.TransformerBlock(4, 2),
                nn.LSTM(4, 3, returns="last"),
            ),
            (6,),
        ),
        (nn.Sequential(nn.Sequential(nn.Embedding(8, 2)), nn.Flatten()), (3,)),
        (Bag(), (4,)),
        (nn.Sequential(nn.Linear(3, 2)).astype("float64"), (3,)),
    ],
    ids=["dense", "sequence", "nested", "own class", "float64"],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_models_of_words_are_exported(
    tmp_path: Path, model: nn.Module, shape: tuple[int, ...], batch: int
) -> None:
    text = model.source_code(shape, batch)
    whole = "int64_t *inputs" in text
    assert whole == any(
        isinstance(module, nn.Embedding) for _, module in model.named_modules()
    )
    (tmp_path / "model.c").write_text(text, encoding="utf-8")
    library = tmp_path / f"model{batch}.so"
    flags = [
        "-std=c99",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-function",
        "-shared",
        "-fPIC",
    ]
    subprocess.run(
        [str(COMPILER), *flags, str(tmp_path / "model.c"), "-o", str(library), "-lm"],
        check=True,
    )
    random = np.random.default_rng(batch)
    x = (
        random.integers(0, 7, (batch, *shape))
        if whole
        else random.normal(size=(batch, *shape))
    )
    expected = model(x).numpy()
    said = np.empty_like(expected)
    status = ctypes.CDLL(str(library)).predict(
        ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(said.ctypes.data)
    )
    assert status == 0
    np.testing.assert_allclose(said, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [dtypes.FLOAT32, dtypes.INT64], ids=str)
def test_a_check_that_does_not_hold_is_the_status(tmp_path: Path, dtype: DType) -> None:
    x = build.input_node("x", (5,), dtype)
    checked = build.check(x, build.less(x, 4), where="x", expected="numbers below 4")
    program = Program((x,), (build.multiply(checked, 2),))
    for last, expected in ((3, 0), (7, 4)):
        status, (doubled,) = run_c(tmp_path, program, [np.array([0, 1, 2, 3, last])])
        assert status == expected
        np.testing.assert_array_equal(doubled, [0, 2, 4, 6, 2 * last])
