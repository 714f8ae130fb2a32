"""The remaining forms and numbers of the notes' derivations, and the results that are no gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.explain.page.page import columns, entry
from deltarule.explain.results.identities import (
    IDENTITIES,
    IdentityStep,
    evidence_bound,
    momentum,
)
from deltarule.graph import functions as f
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import derive, run, value_sampler
from deltarule.tensor.tensor import Tensor


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


def call(function, *tensors, **attributes):
    return Tensor(function(*(t.node for t in tensors), **attributes))


def formulas(derivation):
    shown = [
        entry(line, derivation.derived.loss_name)
        for line in (*derivation.forward, *derivation.steps)
    ]
    return {to_text(e.left): to_text(e.right) for e in shown}


def near(actual, expected, tolerance=1e-9):
    np.testing.assert_allclose(
        np.asarray(actual), np.asarray(expected, float), rtol=tolerance, atol=tolerance
    )


# ---------------------------------------------------------------- results that are no gradients


@pytest.mark.notes("C-BP-13")
@pytest.mark.parametrize("name", IDENTITIES)
def test_results_that_are_no_gradients(name, read_latex):
    result = IDENTITIES[name]()
    assert str(dr.derive_identity(name)).startswith(
        str(result)
    ) and "\nproved: " in str(dr.derive_identity(name))
    text = result.text(run, value_sampler(1))
    assert text.splitlines()[-1].startswith("proved: ")
    assert all(columns(line) <= 100 for line in text.splitlines())
    assert result.largest_error(run, value_sampler(2)) < 1e-9
    read_latex(result.latex())


@pytest.mark.notes("C-BP-13")
@pytest.mark.parametrize(
    ("make", "step"),
    [
        (
            momentum,
            IdentityStep(
                "E",
                "=",
                "−ε μ/(1 − α) (3 − α(1 − α³))",
                "the notes' last line (E001-18)",
            ),
        ),
        (momentum, IdentityStep("v₂", "=", "−ε(g₁ + α g₂)", "")),
        (evidence_bound, IdentityStep("qᵀ log(l)", "≤", "log(P) − 1", "")),
        (evidence_bound, IdentityStep("log(P)", "<", "log(P)", "")),
    ],
)
def test_a_wrong_step_is_not_proved(make, step):
    wrong = replace(make(), steps=(step,))
    assert wrong.largest_error(run, value_sampler(0)) > 1e-3
    assert wrong.text(run, value_sampler(0)).splitlines()[-1].startswith("NOT proved")


# ---------------------------------------------------------------- C-BP: forms and numbers beside those of the networks

NUMBERS = {
    "x": [1, 2, -1],
    "alpha": 1,
    "beta": 10,
    "W_1": [[1, -1, 0.5], [-0.5, 2, 1]],
    "b_1": [0.1, -0.2],
    "W_2": [[0.5, -1.5]],
    "b_2": [0.3],
}


@pytest.mark.notes("C-BP-01", "C-REG-02")
def test_derivative_by_the_prediction_and_a_regularised_step():
    x, y, a, b = symbol("x", 3), symbol("y", 1), symbol("alpha"), symbol("beta")
    W1, b1, W2, b2 = (
        symbol("W_1", 2, 3),
        symbol("b_1", 2),
        symbol("W_2", 1, 2),
        symbol("b_2", 1),
    )
    out = nn.sigmoid(W2 @ nn.relu(W1 @ x + b1) + b2)
    likelihood = (a * y * dr.log(out) + b * (1 - y) * dr.log(1 - out)).sum()
    d = derive(likelihood, wrt=[W1, b1, W2, b2], detail="every")
    assert formulas(d)["∂L/∂ŷ"] == "αy/ŷ − β(1 − y)/(1 − ŷ)"
    assert d.check(points=5)
    near(d.at({**NUMBERS, "y": [1]})["dL/dy_hat"], [24.33606458094271])
    near(d.at({**NUMBERS, "y": [0]})["dL/dy_hat"], [-10.428521268670401])
    regularised = derive(-likelihood + (W2 * W2).sum(), wrt=[W2])
    assert regularised.gradient("W_2").startswith("2W₂")
    gradient = regularised.at({**NUMBERS, "y": [1]})["dL/dW_2"]
    near(np.array([[0.5, -1.5]]) - 0.1 * gradient, [[0.4, -0.979450994]])


@pytest.mark.notes("C-BP-03", "ACT-09")
def test_leaky_rectifier_as_a_maximum_has_slope_one_at_a_tie():
    """With f = max(g, αg) the tie goes to g, as in the notes; αg first would give α (X-23)."""
    x, y, W, b = symbol("x", 2), symbol("y", 3), symbol("W_k", 3, 2), symbol("b", 3)
    g = W @ x + b
    out = dr.maximum(g, 0.1 * g)
    d = derive(
        call(f.squared_error, out, y).sum(), wrt=[W, b, x], names={g: "g", out: "f"}
    )
    at = d.at(
        {
            "x": [1, 2],
            "y": [1, 0, 0.5],
            "W_k": [[1, -2], [3, 1], [0, 1]],
            "b": [0.5, -1, -2],
        }
    )
    (
        near(at["g"], [-2.5, 4, 0]),
        near(at["dL/db"], [-0.125, 4, -0.5]),
        near(at["dL/dx"], [11.875, 3.75]),
    )
    near(at["dL/dW_k"], [[-0.125, -0.25], [4, 8], [-0.5, -1]])
    assert d.check(points=5)


@pytest.mark.notes("C-BP-04", "BP-15")
def test_the_shifted_input_in_one_formula():
    x, z, y, shift = symbol("x", 3), symbol("z", 3), symbol("y", 2), symbol("lambda")
    W1, W2 = symbol("W_1", 2, 3), symbol("W_2", 2, 2)
    h = W1 @ (x + shift * z)
    d = derive(
        call(f.squared_error, W2 @ nn.relu(h), y).sum(), wrt=[W1], names={h: "h"}
    )
    assert "(x + λz)ᵀ" in d.gradient("W_1") or "u₁ᵀ" in d.gradient("W_1")
    weights = {
        "y": [1, -1],
        "W_1": [[1, 1, 0], [0, 1, 1]],
        "W_2": [[1, 2], [-1, 1]],
        "z": [1, -1, 1],
    }
    clean = d.at({"x": [2, -1, 3], "lambda": 0, **weights})["dL/dW_1"]
    shifted = d.at({"x": [2, -1, 3], "lambda": 0.5, **weights})["dL/dW_1"]
    near(shifted - clean, [[1, -1, 1], [5, -5, 5]])
    for gradient, expected in ((clean, [-1.2, -6]), (shifted, [-1.5, -7.5])):
        near((np.array(weights["W_1"]) - 0.1 * gradient) @ [1, -1, 1], expected)
    assert d.check(points=5)


@pytest.mark.notes("C-BP-07", "BP-18")
def test_equal_inputs_give_no_gradient_but_that_of_the_last_bias():
    xp, xq, t = symbol("x_p", 2), symbol("x_q", 2), symbol("y", 1)
    W1, b1, W2, b2 = (
        symbol("W_1", 3, 2),
        symbol("b_1", 3),
        symbol("W_2", 1, 3),
        symbol("b_2", 1),
    )
    z = nn.relu(W1 @ xp + b1) - nn.relu(W1 @ xq + b1)
    d = derive(call(f.binary_cross_entropy, W2 @ z + b2, t).sum(), wrt=[W1, b1, W2, b2])
    assert d.gradient("b_2") == "ŷ − y"
    at = d.at(
        {
            "x_p": [2, 1],
            "x_q": [2, 1],
            "y": [1],
            "W_1": [[1, -1], [0.5, 1], [-1, 2]],
            "b_1": [0.1, -0.2, -4],
            "W_2": [[1, -2, 0.5]],
            "b_2": [0.25],
        }
    )
    near(at["y_hat"], [1 / (1 + np.exp(-0.25))]), near(at["dL/db_2"], at["y_hat"] - 1)
    near(at["dL/dW_2"], np.zeros((1, 3))), near(at["dL/dW_1"], np.zeros((3, 2)))


@pytest.mark.notes("C-BP-12", "CM-11")
def test_the_table_of_gradients():
    """Softmax, support vectors, logistic regression, ADALINE, penalties and look-ahead, each in the notes' form."""
    x, w, y, v, alpha = (
        symbol("x", 3),
        symbol("w", 3),
        symbol("y"),
        symbol("v", 3),
        symbol("alpha"),
    )
    z = x @ w
    adaline = derive((y - z) * (y - z), wrt=[w], names={z: "z"})
    assert adaline.gradient("w") in {"−2(y − z)x", "2(z − y)x"}
    X, W, b, Y = symbol("X", 5, 4), symbol("W", 3, 4), symbol("b", 3), symbol("Y", 5, 3)
    softmax = derive(call(f.cross_entropy, X @ W.T + b, Y).sum(), wrt=[W, b])
    assert softmax.gradient("W") == "(Ŷ − Y)ᵀX" and softmax.gradient("b") == "(Ŷ − Y)ᵀ𝟙"
    labels = dr.symbol("c", (5,), dtype="int64")
    support = derive(
        call(f.multiclass_hinge, X @ W.T, labels, margin=1.0).mean(),
        wrt=[W],
        names={X @ W.T: "A"},
    )
    lines = formulas(support)
    assert lines["D"] == "A + 1 − (E_c ⊙ A)𝟙𝟙ᵀ" and lines["M"] == "𝟙(D > 0) ⊙ (1 − E_c)"
    assert lines["L"] == "1/5 Σ (M ⊙ D)" and lines["∂L/∂A"] == "(M − E_c ⊙ M𝟙𝟙ᵀ)/5"
    l1 = derive(alpha * abs(W).sum() + (W * W).sum(), wrt=[W])
    assert {l1.gradient("W")} <= {"α sign(W) + 2W", "2W + α sign(W)"}
    ahead = w + alpha * v
    look = derive(0.5 * (ahead * ahead).sum(), wrt=[w])
    assert look.gradient("w") == "w + αv"
    for d in (adaline, softmax, support, l1, look):
        assert d.check(points=4)


# ---------------------------------------------------------------- C-NN and C-OUT


@pytest.mark.notes("C-NN-01", "NN-15")
def test_a_masked_network_counts_its_edges_and_gives_absent_ones_no_gradient():
    mask = [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    layer = nn.MaskedLinear(mask)
    assert sum(int(np.prod(p.shape)) for _, p in layer.named_parameters()) == 6 + 3
    x = symbol("x", 3)
    d = derive(layer(x).sum(), wrt=[p for _, p in layer.named_parameters()])
    assert d.check(points=4)
    assert {line.name: line.shape for line in d.steps if line.wanted}["W"] == (
        6,
    )  # present edges only


@pytest.mark.notes("C-NN-04")
def test_parameters_of_the_skip_network():
    """mn + m + mn + ml + l = 38 for n = 3, m = 4, l = 2; the notes' + 1 holds for l = 1 alone (E001-03)."""
    n, m, l_ = 3, 4, 2
    model = nn.Sequential(
        nn.Skip(nn.Sequential(nn.Linear(n, m), nn.ReLU()), nn.Linear(n, m, bias=False)),
        nn.Linear(m, l_),
    )
    assert (
        sum(int(np.prod(p.shape)) for _, p in model.named_parameters())
        == 2 * m * n + m * l_ + m + l_
        == 38
    )


@pytest.mark.notes("C-NN-06", "BP-11")
def test_one_step_of_the_mean_of_two_examples():
    X, Y = symbol("X", 2, 2), symbol("Y", 2, 2)
    W0, b0, W1, b1 = (
        symbol("W_0", 3, 2),
        symbol("b_0", 3),
        symbol("W_1", 2, 3),
        symbol("b_1", 2),
    )
    loss = call(f.cross_entropy, nn.relu(X @ W0.T + b0) @ W1.T + b1, Y).mean()
    start = [[1, 0], [-1, 1], [0.5, 0.5]]
    values = {
        "X": [[1, 2], [2, -1]],
        "Y": [[1, 0], [0, 1]],
        "W_0": start,
        "b_0": [0, 0.5, -1],
        "W_1": [[1, 2, 0], [0, -1, 1]],
        "b_1": [0.1, -0.1],
    }
    at = derive(loss, wrt=[W0, b0, W1, b1]).at(values)
    near(
        at["Y_hat"], [[0.994513701101, 0.005486298899], [0.90024951088, 0.09975048912]]
    )
    near(start[0][0] - 0.1 * at["dL/dW_0"][0, 0], 0.910249363857)
    one = derive(loss, wrt=[W0, b0, W1, b1], batch="example")
    assert "∂J/∂W₁ = ½ Σᵢ" in str(one) or "∂J/∂W₁ = 1/2 Σᵢ δ₂⁽ⁱ⁾a₁⁽ⁱ⁾ᵀ" in str(one)
    assert one.check(points=4)


@pytest.mark.notes("C-OUT-03", "OUT-11")
def test_output_derivatives_are_rows_in_the_numerator_layout():
    p, y = symbol("p", 3), symbol("y", 3)
    entropy = derive(-(y * dr.log(p)).sum(), wrt=[p], layout="numerator")
    assert entropy.gradient("p") in {"−(y/p)ᵀ", "−yᵀ diag(1/p)"}
    assert entropy.steps[-1].shape == (1, 3)
    binary = derive(-(y * dr.log(p) + (1 - y) * dr.log(1 - p)).sum(), wrt=[p])
    assert binary.gradient("p") == "(1 − y)/(1 − p) − y/p"
    assert entropy.check(points=4) and binary.check(points=4)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("hyperbolic_tangent", IdentityStep("tanh(x)", "=", "2σ(x) − 1", "")),
        ("gaussian_divergence", IdentityStep("K", "≤", "0", "")),
        ("gaussian_likelihood", IdentityStep("n v", "=", "(n − 1) v", "")),
        ("bernoulli_likelihood", IdentityStep("p", "=", "q", "")),
        ("categorical_likelihood", IdentityStep("cᵀ log(p)", "≤", "cᵀ log(q)", "")),
        ("principal_components", IdentityStep("C v", "=", "λ v", "")),
    ],
)
def test_wrong_results_of_statistics_are_not_proved(name, wrong):
    result = replace(IDENTITIES[name](), steps=(wrong,))
    assert "NOT proved" in result.text(run, value_sampler(0))
