"""Variants of ONNX operators that its node suite leaves out, and which stored numbers an imported model may train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from deltarule import nn
from deltarule.interop.onnx import ImportedModel, backend, export, load
from support.oracles import onnxruntime

RANDOM: np.random.Generator


@pytest.fixture(autouse=True)
def _numbers_of_each_test() -> None:
    """Give every test the same numbers, whichever tests ran before."""
    global RANDOM
    RANDOM = np.random.default_rng(0)


def _model(
    nodes: list[Any],
    x: tuple[int, ...],
    weights: dict[str, Any],
    opset: int = 20,
    rank: int = 4,
) -> Any:
    """A model x → y of some operators and stored arrays."""
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, x),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * rank),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], stored)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
    )


def _floats(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def _runtime(model: Any, x: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[
        0
    ]


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_coupled_gates_of_an_lstm_forget_what_they_let_in(direction: str) -> None:
    turns = 2 if direction == "bidirectional" else 1
    weights = {
        "w": _floats(turns, 12, 2),
        "r": _floats(turns, 12, 3),
        "b": _floats(turns, 24),
    }
    node = helper.make_node(
        "LSTM",
        ["x", *weights],
        ["y"],
        hidden_size=3,
        input_forget=1,
        direction=direction,
    )
    model, x = _model([node], (5, 4, 2), weights), _floats(5, 4, 2)
    np.testing.assert_allclose(
        backend.run_model(model, [x])[0], _runtime(model, x), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_hardmax_before_opset_13_flattens_from_the_axis_on(
    opset: int, axis: int
) -> None:
    model, x = (
        _model(
            [helper.make_node("Hardmax", ["x"], ["y"], axis=axis)],
            (2, 3, 4),
            {},
            opset,
            3,
        ),
        _floats(2, 3, 4),
    )
    ours = backend.run_model(model, [x])[0]
    np.testing.assert_array_equal(ours, _runtime(model, x))
    flat_rows = {0: 1, 1: 2, 2: 6, -1: 6}[axis]
    assert ours.sum() == (flat_rows if opset == 11 else x.size / x.shape[axis])


@pytest.mark.parametrize(("opset", "size"), [(18, 2), (20, 2), (21, 6)])
def test_group_normalization_scales_groups_until_opset_20(
    opset: int, size: int
) -> None:
    weights = {"scale": _floats(size), "bias": _floats(size)}
    node = helper.make_node(
        "GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=2, epsilon=1e-3
    )
    model, x = _model([node], (3, 6, 4, 5), weights, opset), _floats(3, 6, 4, 5)
    ours = ImportedModel(model, channels_last=False)(x).numpy()
    np.testing.assert_allclose(
        ours, ReferenceEvaluator(model).run(None, {"x": x})[0], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(ours, _runtime(model, x), rtol=1e-5, atol=1e-6)


def test_statistics_are_state_and_settings_stay_as_they_are(tmp_path: Path) -> None:
    weights = {
        "kernel": _floats(4, 3, 3, 3),
        "scale": _floats(4),
        "shift": _floats(4),
        "mean": _floats(4),
        "variance": RANDOM.uniform(0.5, 2.0, 4).astype(np.float32),
        "factors": np.array([1, 1, 2, 2], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["a"]),
        helper.make_node(
            "BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"]
        ),
        helper.make_node("Resize", ["b", "", "factors"], ["y"]),
    ]
    model = _model(nodes, ("N", 3, 6, 6), weights)
    onnx.save(model, tmp_path / "m.onnx")
    imported = load(tmp_path / "m.onnx")
    assert [name for name, _ in imported.named_parameters()] == [
        "weights.kernel",
        "weights.scale",
        "weights.shift",
    ]
    assert [name for name, _ in imported.named_state()] == [
        "weights.mean",
        "weights.variance",
    ]
    x = _floats(8, 6, 6, 3)
    expected = np.moveaxis(_runtime(model, np.moveaxis(x, -1, 1)), 1, -1)
    np.testing.assert_allclose(imported.predict(x), expected, rtol=1e-4, atol=1e-5)
    imported.fit(
        x,
        np.zeros((8, 8, 8, 4), np.float32),
        loss="mean_squared_error",
        epochs=2,
        verbose=0,
    )
    kept = imported.state_dict()
    np.testing.assert_array_equal(kept["weights.mean"], weights["mean"])
    np.testing.assert_array_equal(kept["weights.variance"], weights["variance"])
    assert not np.array_equal(kept["weights.scale"], weights["scale"])


def test_the_round_trip_keeps_running_statistics_as_state(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Standardize(4),
        nn.Linear(4, 6),
        nn.BatchNorm(6),
        nn.SinusoidalPositions(6),
        nn.Linear(6, 2),
    )
    x = RANDOM.normal(2.0, 3.0, size=(64, 3, 4)).astype(np.float32)
    model[0].learn(x)
    model.fit(
        x,
        np.zeros((64, 3, 2), np.float32),
        loss="mean_squared_error",
        epochs=1,
        verbose=0,
    )
    model[1].freeze()
    again = load(export(model, tmp_path / "m.onnx", input_shape=(3, 4)))
    shapes = [item.shape for _, item in model.named_parameters(include_frozen=True)]
    assert sorted(item.shape for _, item in again.named_parameters()) == sorted(shapes)
    statistics = {
        name: value for name, value in model.state_dict().items() if "running" in name
    }
    held = [item.numpy() for _, item in again.named_state()]
    assert all(
        any(np.array_equal(value, other) for other in held)
        for value in statistics.values()
    )
    before = again.state_dict()
    again.fit(
        x,
        np.ones((64, 3, 2), np.float32),
        loss="mean_squared_error",
        epochs=1,
        verbose=0,
    )
    for name, item in again.named_state():
        np.testing.assert_array_equal(item.numpy(), before[name])
    for name, item in again.named_parameters():
        assert not np.array_equal(item.numpy(), before[name]), name
