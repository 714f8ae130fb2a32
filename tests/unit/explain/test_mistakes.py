"""The classical mistakes are named, with the place and what belongs there; the gradient itself is never told."""

from __future__ import annotations

import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.shapes import Dimension
from deltarule.tensor.explain import grade


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


def perceptron(activation, hidden=3):
    """½‖W₂f(W₁x) − y‖² with square matrices, in which every product has a value."""
    x, y = symbol("x", 3), symbol("y", 3)
    W1, W2 = symbol("W_1", hidden, 3), symbol("W_2", 3, hidden)
    error = W2 @ activation(W1 @ x) - y
    return 0.5 * (error @ error), {"W_1": W1, "W_2": W2}


def graded(activation, variable, answer):
    loss, variables = perceptron(activation)
    return grade(loss, variables[variable], answer, parameters=list(variables.values()))


@pytest.mark.parametrize(
    ("variable", "answer", "kind", "words"),
    [
        ("W_2", "(ŷ - y)xᵀ", "signal", "x stands where a₁ belongs"),
        ("W_2", "(ŷ - y)z₁ᵀ", "signal", "z₁ stands where a₁ belongs"),
        ("W_1", "δ₁a₁ᵀ", "signal", "a₁ stands where x belongs"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ (1 - z₁²))xᵀ", "argument", "z₁ stands where a₁"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ tanh'(a₁))xᵀ", "argument", "it belongs at z₁"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ (1 - a₁))xᵀ", "derivative", "square is missing"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ a₁ ⊙ (1 - a₁))xᵀ", "derivative", "σ stands where"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ σ'(z₁))xᵀ", "derivative", "σ stands where"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ 𝟙(z₁ > 0))xᵀ", "derivative", "ReLU stands where"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ a₁)xᵀ", "derivative", "a₁ is tanh itself"),
        ("W_1", "(W₂ᵀ(ŷ - y) ⊙ tanh(z₁))xᵀ", "derivative", "is tanh itself"),
        ("W_1", "W₂ᵀ(ŷ - y)xᵀ", "activation", "1 − a₁² is missing"),
        ("W_1", "(W₁ᵀ(ŷ - y) ⊙ (1 - a₁²))xᵀ", "parameter", "W₁ stands where W₂"),
        ("W_1", "((ŷ - y) ⊙ (1 - a₁²))xᵀ", "factor", "factor W₂ᵀ is missing"),
        ("W_1", "(W₂ᵀW₂(ŷ - y) ⊙ (1 - a₁²))xᵀ", "factor", "W₂ is too many"),
        ("W_1", "(W₂(ŷ - y) ⊙ (1 - a₁²))xᵀ", "transpose", "W₂ stands where W₂ᵀ"),
        ("W_1", "x(W₂ᵀ(ŷ - y) ⊙ (1 - a₁²))ᵀ", "transposed", "transposed"),
        ("W_1", "(W₂ᵀŷ ⊙ (1 - a₁²))xᵀ", "term", "term −y is missing"),
        ("W_2", "(ŷ + y)a₁ᵀ", "sign", "sign of −y is wrong"),
        ("W_2", "(y - ŷ)a₁ᵀ", "sign", "the sign is wrong"),
        ("W_2", "2(ŷ - y)a₁ᵀ", "factor", "2 times"),
        ("W_2", "((ŷ - y) ⊙ a₁)a₁ᵀ", "factor", "a₁ is too many"),
    ],
)
def test_the_classical_mistakes(variable, answer, kind, words):
    found = graded(dr.tanh, variable, answer)
    assert not found and found.mistake == kind, str(found)
    assert words.lower() in found.message.lower(), str(found)
    assert found.mistakes == (kind,)


@pytest.mark.parametrize(
    ("activation", "variable", "answer", "kind"),
    [
        (nn.relu, "W_1", "(W₂ᵀ(ŷ - y) ⊙ 𝟙(z₁ < 0))xᵀ", "kink"),
        (nn.relu, "W_1", "(W₂ᵀ(ŷ - y) ⊙ ReLU(z₁))xᵀ", "derivative"),
        (nn.relu, "W_1", "(W₂ᵀ(ŷ - y) ⊙ 𝟙(x > 0))xᵀ", "argument"),
        (nn.sigmoid, "W_1", "(W₂ᵀ(ŷ - y) ⊙ (1 - a₁²))xᵀ", "derivative"),
        (nn.sigmoid, "W_1", "(W₂ᵀ(ŷ - y) ⊙ (1 - a₁))xᵀ", "derivative"),
        (nn.sigmoid, "W_1", "(W₂ᵀ(ŷ - y) ⊙ x ⊙ (1 - x))xᵀ", "argument"),
        (nn.gelu, "W_1", "(W₂ᵀ(ŷ - y) ⊙ GELU(z₁))xᵀ", "derivative"),
        (nn.silu, "W_1", "(W₂ᵀ(ŷ - y) ⊙ σ(z₁))xᵀ", "function"),
    ],
)
def test_derivatives_of_activations(activation, variable, answer, kind):
    found = graded(activation, variable, answer)
    assert not found and found.mistake in {kind, "derivative"}, str(found)


@pytest.mark.parametrize(
    ("variable", "answer", "kinds"),
    [
        ("W_2", "yŷᵀ", {"signal"}),
        ("W_2", "-(ŷ - y)xᵀ", {"signal", "sign"}),
        ("W_2", "x(ŷ - y)ᵀ", {"signal", "transposed"}),
        ("W_1", "(W₂(ŷ - y) ⊙ (1 - a₁))xᵀ", {"transpose", "derivative"}),
        ("W_1", "2(W₁ᵀ(ŷ - y) ⊙ (1 - a₁²))xᵀ", {"parameter", "factor"}),
        ("W_1", "(W₂ᵀ(ŷ + y) ⊙ (1 - a₁²))a₁ᵀ", {"sign", "signal"}),
        ("W_1", "W₂(ŷ - y)xᵀ", {"transpose", "activation"}),
    ],
)
def test_two_mistakes_are_named_as_two(variable, answer, kinds):
    found = graded(dr.tanh, variable, answer)
    assert not found and set(found.mistakes) == kinds, str(found)
    assert len(found.mistakes) == 2


def test_a_sign_inside_is_not_a_sign_of_the_whole():
    X, Y, W = symbol("X", 5, 4), symbol("Y", 5, 3), symbol("W", 3, 4)
    loss = losses.CrossEntropy()(X @ W.T, Y)
    found = grade(loss, W, "1/5 (Ŷ + Y)ᵀX")
    assert found.mistakes == ("sign",) and "whole" not in found.message, str(found)


@pytest.mark.parametrize("answer", ["Δ₁", "Δ₁𝟙", "Delta_1", "Delta_1.sum(axis=1)"])
def test_the_sum_over_the_batch(answer):
    X, Y, W, b = symbol("X", 5, 4), symbol("Y", 5, 3), symbol("W", 3, 4), symbol("b", 3)
    loss = losses.CrossEntropy()(X @ W.T + b, Y)
    assert grade(loss, b, answer, parameters=[W, b]).mistake == "axis"


def test_an_answer_of_single_precision_and_unknown_size():
    n = Dimension("n")
    X, Y = dr.symbol("X", (n, 4)), dr.symbol("Y", (n, 3))
    W = dr.symbol("W", (3, 4))
    loss = losses.CrossEntropy()(X @ W.T, Y)
    assert grade(loss, W, "(Ŷ - Y)ᵀX").mistake == "mean"
    found = grade(loss, W, "1/n ŶᵀX")
    assert found.mistake == "term" and "Y is missing" in found.message, str(found)


def test_functions_of_arrays_have_their_mistakes_named():
    loss, variables = perceptron(dr.tanh)

    def answer(W_2, y_hat, y, a_1, x):
        return ((W_2.T @ (y_hat - y)) * (1 - a_1))[:, None] * x

    found = grade(loss, variables["W_1"], answer, parameters=list(variables.values()))
    assert found.mistake == "derivative" and "square" in found.message, str(found)


def test_the_layout_of_a_row():
    loss, variables = perceptron(dr.tanh)
    found = grade(
        loss,
        variables["W_1"],
        "x(W₂ᵀ(ŷ - y) ⊙ (1 - a₁))ᵀ",
        parameters=list(variables.values()),
        layout="numerator",
    )
    assert found.mistake == "derivative", str(found)
