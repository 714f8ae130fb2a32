"""The contract of every optimiser, wrapped ones too."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deltarule import dtypes, optim
from deltarule.backends import reference
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.graph.verify import verify
from deltarule.optim import Clock, Optimizer
from deltarule.tensor.tensor import Tensor, parameter, tensor
from deltarule.tensor.transforms import evaluate

Make = Callable[[], Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda: optim.SGD(learning_rate=0.05),
    "SGD momentum": lambda: optim.SGD(learning_rate=0.02, momentum=0.9),
    "SGD momentum, rate outside": lambda: optim.SGD(
        learning_rate=0.02, momentum=0.9, velocity="without_rate"
    ),
    "SGD Nesterov": lambda: optim.SGD(learning_rate=0.02, momentum=0.9, nesterov=True),
    "SGD Nesterov, look-ahead": lambda: optim.SGD(
        learning_rate=0.02,
        momentum=0.9,
        nesterov=True,
        nesterov_form="look_ahead",
        weight_decay=1e-3,
    ),
    "SGD decoupled decay": lambda: optim.SGD(
        learning_rate=0.05, weight_decay=1e-3, decoupled=True
    ),
    "Lion": lambda: optim.Lion(learning_rate=0.05, weight_decay=1e-3),
    "AdaGrad": lambda: optim.AdaGrad(learning_rate=0.3),
    "AdaDelta": lambda: optim.AdaDelta(learning_rate=20.0),
    "RMSProp": lambda: optim.RMSProp(learning_rate=0.03, epsilon=1e-6),
    "RMSProp centered, momentum": lambda: optim.RMSProp(
        learning_rate=0.01, epsilon=1e-3, momentum=0.5, centered=True
    ),
    "Adam": lambda: optim.Adam(learning_rate=0.1),
    "Adam AMSGrad": lambda: optim.Adam(
        learning_rate=0.1, amsgrad="corrected", weight_decay=1e-3
    ),
    "Adam uncorrected": lambda: optim.Adam(
        learning_rate=0.03, bias_correction=False, epsilon_place="inside"
    ),
    "AdamW": lambda: optim.AdamW(learning_rate=0.1),
    "NAdam": lambda: optim.NAdam(learning_rate=0.1),
    "RAdam": lambda: optim.RAdam(learning_rate=0.2),
    "Adamax": lambda: optim.Adamax(learning_rate=0.1),
    "scheduled": lambda: optim.Adam(
        learning_rate=optim.WarmUp(optim.CosineDecay(0.2, steps=100), steps=5)
    ),
    "clipped": lambda: optim.SGD(learning_rate=0.05, clip_value=2.0, clip_norm=3.0),
    "ParamGroups": lambda: optim.ParamGroups(
        groups={"*bias": optim.Adam(learning_rate=0.1)},
        default=optim.SGD(learning_rate=0.05),
        clip_norm=5.0,
    ),
    "GradientAccumulation": lambda: optim.GradientAccumulation(
        inner=optim.Adam(learning_rate=0.2), every=3
    ),
    "EMA": lambda: optim.EMA(inner=optim.SGD(learning_rate=0.05), decay=0.9),
    "Proximal": lambda: optim.Proximal(
        inner=optim.SGD(learning_rate=0.05), strength=1e-3
    ),
}
NAMES = ["0.weight", "0.bias"]
SHAPES = [(3, 2), (3,)]
TARGETS = [np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]]), np.array([2.0, -1.0, 0.5])]
CURVATURES = [np.array([[1.0, 4.0], [2.0, 0.5], [3.0, 1.0]]), np.array([0.7, 2.0, 5.0])]


def _bowl(parameters: list[np.ndarray[Any, Any]]) -> float:
    parts = zip(parameters, TARGETS, CURVATURES, strict=True)
    return sum(float((c * (p - t) ** 2).sum()) / 2 for p, t, c in parts)


def _run(
    optimizer: Optimizer, dtype: str, steps: int
) -> tuple[list[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]]]:
    """Run a pure step, built once with symbols, on a convex quadratic."""
    kind = dtypes.DTYPES[dtype]
    transform = optimizer.transform(NAMES)
    symbols = [
        Tensor(build.input_node(n, s, kind), name=n)
        for n, s in zip(NAMES, SHAPES, strict=True)
    ]
    now = [np.zeros(s, dtype) for s in SHAPES]
    first = evaluate(transform.init([tensor(p) for p in now]))
    slots = [
        Tensor(build.input_node(f"slot {i}", v.shape, dtypes.DTYPES[v.dtype.name]))
        for i, v in enumerate(first)
    ]
    step = Tensor(build.input_node("step", (), dtypes.INT64))
    clock = Clock(step, Tensor(build.input_node("factor", (), dtypes.FLOAT64)))
    points = (
        symbols
        if transform.point is None
        else transform.point(symbols, tuple(slots), clock)
    )
    constants = zip(points, TARGETS, CURVATURES, strict=True)
    gradients = [
        (p - tensor(t, dtype=dtype)) * tensor(c, dtype=dtype) for p, t, c in constants
    ]
    updates, after = transform.update(gradients, tuple(slots), symbols, clock)
    assert [(t.shape, t.dtype) for t in after] == [(t.shape, t.dtype) for t in slots]
    assert [(u.shape, u.dtype) for u in updates] == [
        (t.shape, t.dtype) for t in symbols
    ]
    outputs = [(p + u).node for p, u in zip(symbols, updates, strict=True)] + [
        t.node for t in after
    ]
    verify(outputs)
    assert clock.factor is not None
    leaves = [*(t.node for t in (*symbols, *slots))]
    held = {
        node: value for node, value in _constants(outputs).items() if node not in leaves
    }
    state: list[np.ndarray[Any, Any]] = [*now, *first]
    for k in range(steps):
        values = {
            **held,
            **dict(zip(leaves, state, strict=True)),
            step.node: np.array(k),
            clock.factor.node: np.array(1.0),
        }
        state = [np.asarray(v) for v in reference.evaluate(outputs, values)]
    return state[: len(SHAPES)], state[len(SHAPES) :]


def _constants(outputs: list[Any]) -> dict[Any, Any]:
    from deltarule.runtime.buffers import known_values

    return known_values(outputs)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_decreases_a_convex_quadratic(name: str) -> None:
    before = _bowl([np.zeros(s) for s in SHAPES])
    after = _bowl(_run(OPTIMIZERS[name](), "float64", 150)[0])
    assert after < before / 50, (before, after)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_is_deterministic(name: str) -> None:
    first, second = (_run(OPTIMIZERS[name](), "float64", 7) for _ in range(2))
    for a, b in zip([*first[0], *first[1]], [*second[0], *second[1]], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_stays_float32_and_near_float64(name: str) -> None:
    narrow, slots = _run(OPTIMIZERS[name](), "float32", 20)
    wide, _ = _run(OPTIMIZERS[name](), "float64", 20)
    assert {p.dtype.name for p in narrow} == {"float32"}
    assert {s.dtype.name for s in slots if s.shape} <= {"float32"}
    for a, b in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_config_makes_the_same_recipe_again(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    assert optim.from_config(json.loads(json.dumps(optimizer.config()))) == optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zero_gradient_at_the_start_moves_nothing_but_decay(name: str) -> None:
    transform = OPTIMIZERS[name]().transform(NAMES)
    parameters = [tensor(np.zeros(s)) for s in SHAPES]
    zeros = [tensor(np.zeros(s)) for s in SHAPES]
    updates, _ = transform.update(
        zeros, transform.init(parameters), parameters, Clock(tensor(0))
    )
    for update in evaluate(updates):
        np.testing.assert_array_equal(update, np.zeros_like(update))


WRONG: list[tuple[type[Optimizer], dict[str, Any], str]] = [
    (optim.SGD, {"learning_rate": 0.0}, "learning_rate"),
    (optim.SGD, {"learning_rate": -1.0}, "learning_rate"),
    (optim.SGD, {"momentum": 1.0}, "momentum"),
    (optim.SGD, {"nesterov": True}, "nesterov"),
    (optim.SGD, {"momentum": 0.9, "velocity": "inside"}, "velocity"),
    (optim.SGD, {"momentum": 0.9, "nesterov_form": "other"}, "nesterov_form"),
    (optim.SGD, {"weight_decay": -0.1}, "weight_decay"),
    (optim.SGD, {"clip_norm": 0.0}, "clip_norm"),
    (optim.Adam, {"beta2": 1.0}, "beta2"),
    (optim.Adam, {"beta1": -0.1}, "beta1"),
    (optim.Adam, {"epsilon": -1.0}, "epsilon"),
    (optim.Adam, {"amsgrad": True}, "amsgrad"),
    (optim.Adam, {"epsilon_place": "within"}, "epsilon_place"),
    (optim.RMSProp, {"beta": 1.5}, "beta"),
    (optim.RMSProp, {"epsilon_place": "within"}, "epsilon_place"),
    (optim.AdaGrad, {"initial_accumulator": -1.0}, "initial_accumulator"),
    (optim.RAdam, {"beta2": 0.5}, "beta2"),
    (optim.GradientAccumulation, {"every": 0}, "every"),
    (optim.EMA, {"decay": 1.0}, "decay"),
    (optim.Proximal, {"strength": -1.0}, "strength"),
]


@pytest.mark.parametrize(
    ("kind", "arguments", "field"), WRONG, ids=lambda value: str(value)[:40]
)
def test_wrong_hyperparameters_are_refused_by_name(
    kind: type[Optimizer], arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ArgumentError, match=f"{kind.__name__} {field}: expected"):
        kind(**arguments)


def test_get_knows_every_recipe_that_needs_no_arguments() -> None:
    for name in (
        "sgd",
        "adagrad",
        "adadelta",
        "rmsprop",
        "adam",
        "adamw",
        "nadam",
        "radam",
        "adamax",
        "lion",
        "ADAM",
    ):
        assert optim.get(name).config()["optimizer"].lower() == name.lower()
    given = optim.Adam()
    assert optim.get(given) is given
    with pytest.raises(ArgumentError, match="adamax"):
        optim.get("adamm")
    with pytest.raises(ArgumentError, match="optimizer"):
        optim.from_config({"optimizer": "Unknown"})


def test_parameters_of_a_model_are_left_alone_by_building_a_step() -> None:
    p = parameter(np.ones(3), name="w")
    transform = optim.Adam().transform(["w"])
    transform.update([tensor(np.ones(3))], transform.init([p]), [p], Clock(tensor(0)))
    np.testing.assert_array_equal(p.numpy(), np.ones(3))
