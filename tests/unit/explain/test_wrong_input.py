"""Wrong input: one clear error each, never a failure inside."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.errors import ArgumentError, DeltaruleError, GraphError, ShapeError

x, y, W, b = (
    dr.symbol(n, s) for n, s in [("x", (3,)), ("y", (2,)), ("W", (2, 3)), ("b", (2,))]
)
LOSS = ((W @ x + b - y) ** 2).sum()
DERIVED = dr.derive(LOSS, wrt=[W, b])
VALUES = {"x": [1, 2, 3], "y": [1, 2], "W": np.ones((2, 3)), "b": [0, 0]}

CASES = [
    (lambda: dr.derive(3), ArgumentError, "a scalar tensor, or a model"),
    (lambda: dr.derive(None), ArgumentError, "a scalar tensor, or a model"),
    (
        lambda: dr.derive(LOSS, wrt="W"),
        ArgumentError,
        "a tensor that the loss depends on",
    ),
    (lambda: dr.derive(LOSS, wrt=[np.zeros(3)]), ArgumentError, "got ndarray"),
    (
        lambda: dr.derive(LOSS, wrt=[dr.symbol("q", (2,))]),
        ArgumentError,
        "this very tensor",
    ),
    (lambda: dr.derive(LOSS, wrt=[]), ArgumentError, "variables"),
    (lambda: dr.derive(W @ x, wrt=[W]), GraphError, "scalar"),
    (
        lambda: dr.grade(LOSS, wrt=W, answer="(" * 20000),
        ArgumentError,
        "at most 16000 characters",
    ),
    (
        lambda: dr.grade(LOSS, wrt=W, answer="(" * 60 + "x" + ")" * 60),
        ArgumentError,
        "brackets at most 50 deep",
    ),
    (
        lambda: dr.derive(LOSS, wrt=[W], names={"W": "V"}),
        ArgumentError,
        "from tensors to names",
    ),
    (
        lambda: dr.derive(LOSS, wrt=[W], names={W: 3}),
        ArgumentError,
        "from tensors to names",
    ),
    (lambda: dr.derive(LOSS, wrt=[W], layout="sideways"), ArgumentError, "numerator"),
    (lambda: dr.derive(LOSS, wrt=[W], batch=3), ArgumentError, "matrices"),
    (
        lambda: dr.derive(nn.Linear(2, 1), "mse", input_shape=(2,)),
        ArgumentError,
        "a loss and an input shape",
    ),
    (
        lambda: dr.derive(nn.Linear(2, 1), losses.SquaredError(), input_shape=(3,)),
        ShapeError,
        "2 features",
    ),
    (lambda: DERIVED.at({"x": [1, 2, 3]}), GraphError, "value"),
    (lambda: DERIVED.at({**VALUES, "x": [1, 2]}), ShapeError, "value of x"),
    (lambda: DERIVED.at({**VALUES, "x": "abc"}), ArgumentError, "numbers of shape"),
    (lambda: DERIVED.at([1, 2]), ArgumentError, "a mapping"),
    (lambda: DERIVED.check(points=0), ArgumentError, "from 1"),
    (lambda: dr.grade(LOSS, W, None), ArgumentError, "a formula as text"),
    (lambda: dr.grade(LOSS, "W", "x"), ArgumentError, "a tensor"),
    (lambda: dr.grade(LOSS, W, lambda x: 1 / 0), ArgumentError, "ZeroDivisionError"),
    (lambda: dr.grade(LOSS, W, lambda x: "a"), ArgumentError, "an array of numbers"),
    (lambda: dr.grade(LOSS, W, "x", layout="sideways"), ArgumentError, "numerator"),
    (lambda: dr.grade(LOSS, W, "x", language="klingon"), ArgumentError, "latex"),
    (lambda: dr.grade(LOSS, W, "1/0"), ArgumentError, "not 0"),
    (lambda: dr.exam(3), ArgumentError, "one of"),
    (lambda: dr.exam("networks", variants=-1), ArgumentError, "variant"),
    (lambda: dr.exam("networks", seed="a"), ArgumentError, "seed"),
    (lambda: dr.optimizer_steps("sgd", 0.0, ["a"]), ArgumentError, "numbers"),
    (
        lambda: dr.optimizer_steps("sgd", [0.0, 1.0], [[1, 2, 3]]),
        ShapeError,
        "gradient",
    ),
]


@pytest.mark.parametrize("place", range(len(CASES)))
def test_wrong_input_is_one_clear_error(place):
    run, kind, words = CASES[place]
    with pytest.raises(kind, match=words) as caught:
        run()
    assert isinstance(caught.value, DeltaruleError) and len(str(caught.value)) < 400


def test_an_answer_that_is_zero_is_said_to_be():
    assert dr.grade(LOSS, W, "0 W").message.endswith("Your answer is 0.")


def test_lists_from_a_function_are_arrays():
    assert not dr.grade(LOSS, W, lambda x: [[1, 2, 3], [1, 2, 3]])
    with pytest.raises(KeyError, match="expected one of"):
        DERIVED.gradient("Q")
