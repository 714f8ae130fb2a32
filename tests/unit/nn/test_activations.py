"""Activations of the notes: the table of values and derivatives, identities, conventions at kinks, maxout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError
from support.oracles import torch

X = np.array([-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3])
SIGMOID = [
    0.04742587,
    0.11920292,
    0.26894142,
    0.37754067,
    0.5,
    0.62245933,
    0.73105858,
    0.88079708,
    0.95257413,
]
TABLE: dict[str, tuple[nn.Module, Any, Any]] = {
    "ACT-04": (nn.Sigmoid(), SIGMOID, [s * (1 - s) for s in SIGMOID]),
    "ACT-06": (
        nn.Tanh(),
        [
            -0.99505475,
            -0.96402758,
            -0.76159416,
            -0.46211716,
            0,
            0.46211716,
            0.76159416,
            0.96402758,
            0.99505475,
        ],
        [
            0.00986604,
            0.07065082,
            0.41997434,
            0.78644773,
            1,
            0.78644773,
            0.41997434,
            0.07065082,
            0.00986604,
        ],
    ),
    "ACT-07": (nn.ReLU(), np.maximum(X, 0), X > 0),
    "ACT-08": (
        nn.Softplus(),
        [
            0.04858735,
            0.12692801,
            0.31326169,
            0.47407698,
            0.69314718,
            0.97407698,
            1.31326169,
            2.12692801,
            3.04858735,
        ],
        SIGMOID,
    ),
    "ACT-09": (nn.LeakyReLU(0.1), np.where(X > 0, X, 0.1 * X), np.where(X > 0, 1, 0.1)),
    "ACT-11": (
        nn.ELU(0.5),
        [-0.47510647, -0.43233236, -0.31606028, -0.19673467, 0, 0.5, 1, 2, 3],
        [0.02489353, 0.06766764, 0.18393972, 0.30326533, 0.5, 1, 1, 1, 1],
    ),
    "ACT-12": (
        nn.GELU(),
        [
            -0.00404969,
            -0.04550026,
            -0.15865525,
            -0.15426877,
            0,
            0.34573123,
            0.84134475,
            1.95449974,
            2.99595031,
        ],
        [
            -0.01194565,
            -0.08523180,
            -0.08331547,
            0.13250488,
            0.5,
            0.86749512,
            1.08331547,
            1.08523180,
            1.01194565,
        ],
    ),
    "ACT-17": (nn.Cubic(), X**3, 3 * X**2),
    "ACT-02": (nn.Step(), X >= 0, np.zeros(9)),
    "ACT-03": (nn.BipolarStep(), np.where(X >= 0, 1, -1), np.zeros(9)),
}


@pytest.mark.notes(
    "ACT-01",
    "ACT-02",
    "ACT-03",
    "ACT-04",
    "ACT-06",
    "ACT-07",
    "ACT-08",
    "ACT-09",
    "ACT-11",
    "ACT-12",
    "ACT-17",
)
@pytest.mark.parametrize("item", list(TABLE))
def test_values_and_derivatives_of_the_table(item: str) -> None:
    layer, values, slopes = TABLE[item]
    x = dr.tensor(X, name="x")
    output = layer(x)
    derivative = dr.grad(output.sum(), [x], allow_unused=True)[0].numpy()
    np.testing.assert_allclose(
        output.numpy(), np.asarray(values, float), rtol=0, atol=6e-9
    )
    np.testing.assert_allclose(derivative, np.asarray(slopes, float), rtol=0, atol=6e-9)
    assert nn.Identity()(x) is x


@pytest.mark.notes("C-ACT-01", "C-ACT-02", "C-ACT-06", "C-ACT-10", "C-ACT-13")
def test_identities() -> None:
    x = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(
        nn.tanh(x).numpy(), 2 * nn.sigmoid(2 * x).numpy() - 1, atol=1e-15
    )
    np.testing.assert_allclose(
        nn.tanh(x).numpy(), np.expm1(2 * x) / (np.exp(2 * x) + 1), atol=1e-15
    )
    assert abs(nn.tanh(dr.tensor(np.array(1.0))).item() - 0.7615941559557649) < 1e-16
    np.testing.assert_allclose(
        nn.sigmoid(-x).numpy(), 1 - nn.sigmoid(x).numpy(), atol=1e-15
    )
    assert nn.softmax(np.array([1.7, 0.0])).numpy()[0] == pytest.approx(
        0.8455347349, abs=1e-10
    )
    point = dr.tensor(np.array(1.3), name="x")
    assert dr.grad(nn.softplus(point), [point])[0].item() == pytest.approx(
        0.7858349830, abs=1e-10
    )
    np.testing.assert_array_equal(nn.elu(np.array([1.0, 3.0])).numpy(), [1, 3])
    assert nn.elu(np.array([-1.0]), alpha=2).item() == pytest.approx(-1.2642411177)


@pytest.mark.notes("C-ACT-09", "ACT-12", "ACT-19")
def test_slopes_at_zero() -> None:
    zero = dr.tensor(np.array(0.0), name="x")
    slopes = {
        f.__name__: dr.grad(f(zero), [zero])[0].item()
        for f in (nn.gelu, nn.tanh, nn.sigmoid)
    }
    assert slopes == {"gelu": 0.5, "tanh": 1.0, "sigmoid": 0.25}


@pytest.mark.notes("C-ACT-05", "ACT-14", "ACT-16")
def test_softmax_of_large_scores() -> None:
    expected = [0.0900305732, 0.2447284711, 0.6652409558]
    for shift in (0, 1000, -1000):
        found = nn.softmax(np.array([1.0, 2, 3]) + shift).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.notes("ACT-13", "C-ACT-07", "C-ACT-08")
def test_maxout_is_relu_leaky_relu_and_the_absolute_value() -> None:
    random = np.random.default_rng(0)
    layer, plain = nn.Maxout(3, 2).astype("float64"), nn.Linear(3, 2).astype("float64")
    assert layer.n_parameters == 2 * plain.n_parameters
    w, b = random.normal(size=(2, 3)), random.normal(size=2)
    plain.weight.assign(w)
    plain.bias.assign(b)
    x = random.normal(size=(50, 3))
    z = plain(x).numpy()
    for alpha, expected in (
        (0, np.maximum(z, 0)),
        (0.3, np.where(z > 0, z, 0.3 * z)),
        (-1, np.abs(z)),
    ):
        layer.weight.assign(np.concatenate([alpha * w, w]))
        layer.bias.assign(np.concatenate([alpha * b, b]))
        np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-14)
    example = nn.Maxout(2, 1).astype("float64")
    example.weight.assign([[1.0, 1.0], [2.0, 0.0]])
    example.bias.assign([0.0, -1.0])
    point = dr.tensor(np.array([1.0, -2.0]), name="x")
    output = example(point)
    slopes = dr.grad(output.sum(), [point, example.weight])
    assert output.item() == 1
    np.testing.assert_array_equal(slopes[0].numpy(), [2, 0])
    np.testing.assert_array_equal(slopes[1].numpy(), [[0, 0], [1, -2]])


@pytest.mark.notes("ACT-18", "C-ACT-12")
def test_a_clipped_line_does_not_learn_outside() -> None:
    z = dr.tensor(np.array([-1.0, 0.5, 2.0]), name="z")
    output = nn.Clip()(z)
    np.testing.assert_array_equal(dr.grad(output.sum(), [z])[0].numpy(), [0, 1, 0])
    np.testing.assert_array_equal(output.numpy(), [0, 0.5, 1])


@pytest.mark.notes("ACT-10")
def test_gradient_of_learned_slopes_per_channel() -> None:
    random = np.random.default_rng(0)
    x, g = random.normal(size=(4, 5, 3)), random.normal(size=(4, 5, 3))
    shared, each = nn.PReLU().astype("float64"), nn.PReLU(3).astype("float64")
    below = np.where(x <= 0, x * g, 0)
    for layer, expected in (
        (shared, below.sum(keepdims=True).reshape(1)),
        (each, below.sum(axis=(0, 1))),
    ):
        slope = dr.grad((layer(x) * dr.tensor(g)).sum(), [layer.alpha])[0]
        np.testing.assert_allclose(slope.numpy(), expected, rtol=1e-13)


@pytest.mark.notes("ACT-17", "ACT-20", "ACT-21")
def test_an_activation_of_ones_own_is_checked_by_differences() -> None:
    def gate(x: dr.Tensor) -> dr.Tensor:
        return dr.sin(x) * nn.sigmoid(x) + nn.cube(x)

    report = dr.check_gradients(
        lambda x: nn.Function(gate)(x).sum(), np.linspace(-2, 2, 9), order=2
    )
    assert report
    assert repr(nn.Function(gate)) == "Function(gate)"


@pytest.mark.parametrize(
    ("given", "theirs"),
    [
        ("none", "none"),
        ("tanh", "tanh"),
        (False, "none"),
        (True, "tanh"),
        (np.True_, "tanh"),
    ],
)
def test_gelu_is_exact_unless_tanh_is_asked_for(given: Any, theirs: str) -> None:
    x = np.linspace(-4, 4, 41)
    expected = torch.nn.functional.gelu(torch.tensor(x), approximate=theirs).numpy()
    layer = nn.GELU(approximate=given)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        nn.gelu(dr.tensor(x), given).numpy(), expected, rtol=1e-12, atol=1e-15
    )
    assert layer.arguments() == {"approximate": theirs == "tanh"}


@pytest.mark.parametrize("wrong", ["no", "erf", "", None, 1, 0.0, ["tanh"]])
def test_gelu_refuses_other_answers(wrong: Any) -> None:
    with pytest.raises(
        ArgumentError,
        match=r"GELU approximate: expected 'none', 'tanh', True or False, got",
    ):
        nn.GELU(approximate=wrong)
    with pytest.raises(
        ArgumentError,
        match=r"gelu approximate: expected 'none', 'tanh', True or False, got",
    ):
        nn.gelu(dr.tensor(1.0), wrong)
