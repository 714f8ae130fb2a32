"""Indices of ONNX operators, compared with onnxruntime and with its refusals; sizes of results; counts of loops."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import deltarule as dr
from deltarule.errors import DataError, DeltaruleError
from deltarule.interop.onnx import load
from deltarule.interop.onnx.call import UnsupportedOperatorError
from support.oracles import onnxruntime

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def model_of(
    kind: str, indices: Any, updates: Any = None, x: Any = X, **attributes: Any
) -> Any:
    """A model (x, indices) → y of one operator."""
    r, q, depth = np.ndim(x), np.ndim(indices), np.shape(indices)[-1]
    batch = attributes.get("batch_dims", 0)
    rank = {"Gather": r + q - 1, "GatherND": q + r - depth - 1 - batch}.get(kind, r)
    names = ["x", "i"] + (["u"] if updates is not None else [])
    given = helper.make_tensor_value_info
    inputs = [
        given("x", TensorProto.FLOAT, list(np.shape(x))),
        given("i", TensorProto.INT64, list(np.shape(indices))),
    ]
    stored = (
        [numpy_helper.from_array(np.asarray(updates, np.float32), "u")]
        if updates is not None
        else []
    )
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], **attributes)],
        "g",
        inputs,
        [given("y", TensorProto.FLOAT, [None] * rank)],
        stored,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )


def ours(folder: Any, model: Any, indices: Any, x: Any = X, jit: bool = False) -> Any:
    onnx.save(model, str(folder / "model.onnx"))
    loaded = load(folder / "model.onnx")
    run = dr.jit(loaded) if jit else loaded
    return run(dr.tensor(x), dr.tensor(np.asarray(indices, np.int64))).numpy()


def theirs(model: Any, indices: Any, x: Any = X) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": x, "i": np.asarray(indices, np.int64)})[0]


DEEP = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
INSIDE = {
    "gather": ("Gather", [[0, -1], [2, -3]], None, X, {"axis": 1}),
    "elements": ("GatherElements", [[0, -1], [2, -3]], None, X, {"axis": 1}),
    "fewer elements": ("GatherElements", [[-1]], None, X, {"axis": 1}),
    "tuples": ("GatherND", [[0, -1], [-2, 2]], None, X, {}),
    "rows": ("GatherND", [[-1], [0]], None, X, {}),
    "batches": ("GatherND", [[[0, -4]], [[-3, 3]]], None, DEEP, {"batch_dims": 1}),
    "scatter": ("ScatterElements", [[-3], [2]], [[9.0], [8.0]], X, {"axis": 1}),
    "scatter tuples": ("ScatterND", [[0, -1], [-1, 0]], [9.0, 8.0], X, {}),
    "scatter rows": ("ScatterND", [[-1]], [[9.0, 8.0, 7.0]], X, {}),
    **{
        f"scatter {how}": (
            "ScatterND",
            [[0, -1], [0, 2]],
            [9.0, 0.5],
            X,
            {"reduction": how},
        )
        for how in ("add", "mul", "max", "min")
    },
}


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("jit", [False, True])
def test_indices_inside_their_axes_agree_with_onnxruntime(tmp_path, name, jit):
    kind, indices, updates, x, attributes = INSIDE[name]
    model = model_of(kind, indices, updates, x, **attributes)
    expected = theirs(model, indices, x)
    np.testing.assert_allclose(ours(tmp_path, model, indices, x, jit), expected)


# each addresses another element of the same array if only the flat position is checked
OUTSIDE = {
    "gather": ("Gather", [3], None, {"axis": 1}),
    "gather from the end": ("Gather", [-4], None, {"axis": 1}),
    "elements": ("GatherElements", [[5], [0]], None, {"axis": 1}),
    "elements from the end": ("GatherElements", [[0], [-4]], None, {"axis": 1}),
    "elements of rows": ("GatherElements", [[0, -3, 0]], None, {"axis": 0}),
    "tuples": ("GatherND", [[0, 5]], None, {}),
    "tuples from the end": ("GatherND", [[1, -4]], None, {}),
    "rows": ("GatherND", [[-3]], None, {}),
    "batches": ("GatherND", [[3], [0]], None, {"batch_dims": 1}),
    "scatter": ("ScatterElements", [[5]], [[9.0]], {"axis": 1}),
    "scatter from the end": (
        "ScatterElements",
        [[0], [-4]],
        [[9.0], [8.0]],
        {"axis": 1},
    ),
    "scatter tuples": ("ScatterND", [[0, 5]], [9.0], {}),
    "scatter tuples from the end": ("ScatterND", [[1, -4]], [9.0], {}),
    "scatter rows": ("ScatterND", [[-3]], [[9.0, 8.0, 7.0]], {}),
    **{
        f"scatter {how}": ("ScatterND", [[0, 5]], [9.0], {"reduction": how})
        for how in ("add", "mul", "max", "min")
    },
}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("jit", [False, True])
def test_indices_outside_their_axes_are_refused_as_by_onnxruntime(tmp_path, name, jit):
    kind, indices, updates, attributes = OUTSIDE[name]
    model = model_of(kind, indices, updates, **attributes)
    with pytest.raises(Exception, match=r"(?i)indic|index|ind "):
        theirs(model, indices)
    with pytest.raises(DataError, match="expected indices in"):
        ours(tmp_path, model, indices, jit=jit)


SHAPES = {
    "more rows than the data": (
        "ScatterElements",
        [[0], [1], [2]],
        [[1.0], [2.0], [3.0]],
        {"axis": 1},
    ),
    "more columns than the data": (
        "ScatterElements",
        [[0, 0, 0, 0]],
        [[1.0, 2.0, 3.0, 4.0]],
        {"axis": 0},
    ),
    "elements of more rows": ("GatherElements", [[0], [1], [2]], None, {"axis": 1}),
    "another number of axes": ("GatherElements", [0, 1], None, {"axis": 1}),
    "transposed updates": (
        "ScatterElements",
        [[0, 1], [1, 2]],
        [[1.0, 2.0, 3.0, 4.0]],
        {"axis": 1},
    ),
    "updates of another shape": (
        "ScatterND",
        [[0], [1]],
        [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        {},
    ),
    "deeper than the data": ("GatherND", [[0, 1, 2]], None, {}),
    "other batches": ("GatherND", [[0]], None, {"batch_dims": 1}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_indices_and_updates_of_wrong_shapes_are_refused(tmp_path, name):
    kind, indices, updates, attributes = SHAPES[name]
    model = model_of(kind, indices, updates, **attributes)
    with pytest.raises(Exception):  # noqa: B017  # one of several of its own
        theirs(model, indices)
    with pytest.raises(UnsupportedOperatorError, match=kind):
        ours(tmp_path, model, indices)


def sized(nodes: list[Any], sizes: list[int], rank: int) -> Any:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank)],
        [numpy_helper.from_array(np.array(sizes, np.int64), "s")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("Expand", [-5, 2, 3]), ("ConstantOfShape", [-3, 2]), ("CenterCropPad", [-1, 3])],
)
def test_negative_sizes_are_refused_by_name(tmp_path, kind, sizes):
    nodes = (
        [
            helper.make_node(kind, ["s"], ["c"]),
            helper.make_node("ReduceSum", ["c"], ["t"], keepdims=0),
            helper.make_node("Add", ["x", "t"], ["y"]),
        ]
        if kind == "ConstantOfShape"
        else [helper.make_node(kind, ["x", "s"], ["y"])]
    )
    onnx.save(
        sized(nodes, sizes, 3 if kind == "Expand" else 2), str(tmp_path / "m.onnx")
    )
    with pytest.raises(UnsupportedOperatorError, match=rf"{kind}.*negative"):
        load(tmp_path / "m.onnx")(X)


def loops(
    outer: int, inner: int, *, ends_at: int | None = None, by_turn: bool = False
) -> Any:
    """Nested loops that add x to a sum; the outer may end early, the inner have as many turns as the number of it."""
    info = helper.make_tensor_value_info
    whole, truth, kind = TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT
    turning = [helper.make_node("Add", ["b", "x"], ["c"])]
    inside = helper.make_graph(
        [*turning, helper.make_node("Identity", ["q"], ["r"])],
        "inner",
        [info("j", whole, []), info("q", truth, []), info("b", kind, [2, 3])],
        [info("r", truth, []), info("c", kind, [2, 3])],
    )
    count = "i" if by_turn else "m"
    ending = (
        helper.make_node("Identity", ["p"], ["o"])
        if ends_at is None
        else helper.make_node("Less", ["i", "e"], ["o"])
    )
    body = helper.make_graph(
        [helper.make_node("Loop", [count, "go", "a"], ["d"], body=inside), ending],
        "outer",
        [info("i", whole, []), info("p", truth, []), info("a", kind, [2, 3])],
        [info("o", truth, []), info("d", kind, [2, 3])],
    )
    stored = {
        "n": np.int64(outer),
        "m": np.int64(inner),
        "e": np.int64(ends_at or 0),
        "go": np.array(True),
    }
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "go", "x"], ["y"], body=body)],
        "g",
        [info("x", kind, [2, 3])],
        [info("y", kind, [2, 3])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in stored.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )


def test_nested_loops_are_counted_before_they_are_unrolled(tmp_path):
    onnx.save(loops(3000, 3000), str(tmp_path / "m.onnx"))
    start = time.process_time()
    with pytest.raises(UnsupportedOperatorError, match="operators"):
        load(tmp_path / "m.onnx")(X)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("model", "turns"),
    [
        (loops(3, 5), 15),
        (loops(3000, 40, ends_at=2), 3 * 40),  # 120,000 × 2 if counted to the end
        (loops(5, 0, by_turn=True), 0 + 1 + 2 + 3 + 4),
    ],
)
def test_loops_that_end_early_or_vary_are_not_counted_to_the_end(
    tmp_path, model, turns
):
    onnx.save(model, str(tmp_path / "m.onnx"))
    np.testing.assert_allclose(
        load(tmp_path / "m.onnx")(X).numpy(), X * (1 + turns), rtol=1e-5
    )


def test_loops_around_recurrent_layers_count_their_steps(tmp_path):
    """3000 turns of an RNN over 3000 steps are refused at once."""
    info = helper.make_tensor_value_info
    kind, whole, truth = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("RNN", ["a", "w", "r"], ["", "h"], hidden_size=1),
            helper.make_node("Add", ["a", "h"], ["b"]),
            helper.make_node("Identity", ["p"], ["o"]),
        ],
        "body",
        [info("i", whole, []), info("p", truth, []), info("a", kind, [3000, 1, 1])],
        [info("o", truth, []), info("b", kind, [3000, 1, 1])],
    )
    stored = {
        "n": np.array(3000),
        "go": np.array(True),
        "w": np.ones((1, 1, 1), np.float32),
        "r": np.ones((1, 1, 1), np.float32),
    }
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "go", "x"], ["y"], body=body)],
        "g",
        [info("x", kind, [3000, 1, 1])],
        [info("y", kind, [3000, 1, 1])],
        [numpy_helper.from_array(v, k) for k, v in stored.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    onnx.save(model, str(tmp_path / "m.onnx"))
    start = time.process_time()
    with pytest.raises(DeltaruleError, match="operators"):
        load(tmp_path / "m.onnx")(np.ones((3000, 1, 1), np.float32))
    assert time.process_time() - start < 5
