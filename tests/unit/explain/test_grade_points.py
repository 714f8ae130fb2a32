"""Verdicts at the edges: thresholds, large and small values, rounding, rounded numbers, values that are not finite."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.explain.grading.rounded import rounded_numbers
from deltarule.tensor.explain import grade


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


def rectified():
    x, y, W1, W2 = (
        symbol("x", 3),
        symbol("y", 2),
        symbol("W_1", 4, 3),
        symbol("W_2", 2, 4),
    )
    error = W2 @ nn.relu(W1 @ x) - y
    return 0.5 * (error @ error), W1


def logistic():
    w, x, b, y = symbol("w", 4), symbol("x", 4), symbol("b"), symbol("y")
    return losses.BinaryCrossEntropy()(w @ x + b, y), w


def neuron():
    w, x, b, y = symbol("w", 4), symbol("x", 4), symbol("b"), symbol("y")
    return 0.5 * (dr.tanh(w @ x + b) - y) ** 2, w


def halved():
    v = symbol("v", 3)
    return (v @ v) / 2**0.5, v


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (rectified, "np.outer((z_1 > -0.001) * (W_2.T @ (y_hat - y)), x)"),
        (rectified, "np.outer((z_1 > 0.001) * (W_2.T @ (y_hat - y)), x)"),
        (rectified, "np.outer((z_1 > 1e-4) * (W_2.T @ (y_hat - y)), x)"),
        (rectified, "(W₂ᵀ(ŷ − y) ⊙ 𝟙(z₁ > -0.001))xᵀ"),
        (rectified, "np.outer((z_1 > 0) * (W_2.T @ (y_hat - y)), x) + (x[0] > 4)"),
        (rectified, "np.outer((z_1 > 0) * (W_2.T @ (y_hat - y)), np.minimum(x, 4))"),
        (logistic, "np.where(y_hat > 0.97, 0, y_hat - y) * x"),
        (logistic, "(min(ŷ, 0.999) − y)x"),
        (neuron, "np.where(np.abs(a) < 0.9999, (a - y) * (1 - a**2), 0) * x"),
    ],
)
def test_answers_that_are_right_almost_everywhere_are_wrong(make, answer, seed):
    loss, wrt = make()
    assert not grade(loss, wrt, answer, seed=seed).correct


def test_the_message_names_the_points():
    loss, W1 = rectified()
    found = grade(loss, W1, "(W₂ᵀ(ŷ − y) ⊙ 𝟙(z₁ > -0.001))xᵀ")
    assert found.mistake == "condition" and "beside" in found.message


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (rectified, "((W₂ᵀ(ŷ − y)) ⊙ 𝟙(a₁ > 0))xᵀ"),
        (rectified, "((W₂ᵀW₂a₁ − W₂ᵀy) ⊙ 𝟙(z₁ ≥ 0))xᵀ"),
        (logistic, "(np.exp(z) / (1 + np.exp(z)) - y) * x"),
        (logistic, "(y_hat * (1 - y) - y * (1 - y_hat)) * x"),
        (neuron, "(a-y)(1-tanh²(z))x"),
        (neuron, "(a-y) 4/(e^z+e^{-z})^2 x"),
        (neuron, "((a+1000) - (y+1000))(1-a)(1+a)x"),
    ],
)
def test_right_answers_stay_right_in_spite_of_rounding(make, answer, seed):
    loss, wrt = make()
    found = grade(loss, wrt, answer, seed=seed)
    assert found.correct, str(found)


def test_an_answer_that_is_not_finite_is_a_verdict():
    loss, W1 = rectified()
    right = "np.outer((z_1 > 0) * (W_2.T @ (y_hat - y)), x)"
    found = grade(loss, W1, f"{right} + 0 * np.log(-np.exp(W_1))")
    assert not found.correct and found.mistake == "undefined"
    assert "not finite at 12 of 12" in found.message
    function = grade(loss, W1, lambda W_1: np.full(W_1.shape, np.nan))
    assert function.mistake == "undefined"


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("√2 v", True),
        ("1.41421 v", True),
        ("2 * 0.707107 * v", True),
        ("v * 0.707107 / 0.5", True),
        ("1.000000 * 1.41421 * v", True),
        ("1.41421 v + 0.00001 · 0 v", True),
        ("1.41422 v", False),
        ("1.41420 v", False),
        ("1.414 v", False),
        ("1.0001 * 1.41421 * v", False),
        ("1.0000001 √2 v", False),
        ("(1 + 1e-7) √2 v", False),
        ("1.41421 v + 0.00001", False),
    ],
)
def test_rounded_numbers_stand_for_what_they_are_rounded_from(answer, right):
    loss, v = halved()
    found = grade(loss, v, answer)
    assert found.correct == right, str(found)
    assert "It is 1 times" not in found.message


def test_what_counts_as_a_rounded_number():
    assert rounded_numbers("0.25 x + 1.41421 y − .3333333 z_1.5") == {
        1.41421: 5e-6,
        0.3333333: 5e-8,
    }
