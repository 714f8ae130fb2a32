"""The hand-derived networks of the notes: formulas as printed, numbers as computed there, every line proved."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule.explain.page.page import entry
from deltarule.graph import functions as f
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import derive
from deltarule.tensor.tensor import Tensor


def call(function, *tensors, **attributes):
    return Tensor(function(*(t.node for t in tensors), **attributes))


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


def formulas(derivation):
    """Return name → formula of the backward lines, and of the forward lines."""
    lines = [*derivation.forward, *derivation.steps]
    shown = [entry(line, derivation.derived.loss_name) for line in lines]
    return {to_text(e.left): to_text(e.right) for e in shown}


def proved(derivation):
    report = derivation.check(points=6)
    assert report, str(report)
    return report


def near(actual, expected, tolerance=1e-9):
    np.testing.assert_allclose(
        np.asarray(actual), np.asarray(expected, float), rtol=tolerance, atol=tolerance
    )


@pytest.mark.notes("C-BP-01", "BP-12", "OUT-13")
@pytest.mark.parametrize(
    ("y", "loss", "b2", "w2", "b1", "w1"),
    [
        (
            1,
            -3.1919593892339417,
            0.9589087217995349,
            [0, 2.2054900601],
            [0, -1.4383630827],
            [[0, 0, 0], [-1.4383630827, -2.8767261654, 1.4383630827]],
        ),
        (
            0,
            -0.41959389233941613,
            -0.41091278200465015,
            [0, -0.9450993986],
            [0, 0.6163691730],
            [[0, 0, 0], [0.6163691730, 1.2327383460, -0.6163691730]],
        ),
    ],
)
def test_weighted_binary_cross_entropy(y, loss, b2, w2, b1, w1):
    x, t, a, b = symbol("x", 3), symbol("y", 1), symbol("alpha"), symbol("beta")
    W1, b_1, W2, b_2 = (
        symbol("W_1", 2, 3),
        symbol("b_1", 2),
        symbol("W_2", 1, 2),
        symbol("b_2", 1),
    )
    hidden = call(f.relu, W1 @ x + b_1)
    output = call(f.sigmoid, W2 @ hidden + b_2)
    negative = -(a * t * dr.log(output) + b * (1 - t) * dr.log(1 - output)).sum()
    d = derive(negative, wrt=[W1, b_1, W2, b_2])
    assert formulas(d) == {
        "z₁": "W₁x + b₁",
        "a₁": "ReLU(z₁)",
        "z₂": "W₂a₁ + b₂",
        "ŷ": "σ(z₂)",
        "L": "−(αy log ŷ + β(1 − y) log(1 − ŷ))",
        "∂L/∂z₂": "βŷ(1 − y) − αy(1 − ŷ)",
        "∂L/∂b₂": "δ₂",
        "∂L/∂W₂": "δ₂a₁ᵀ",
        "∂L/∂a₁": "W₂ᵀδ₂",
        "∂L/∂z₁": "𝟙(z₁ > 0) ⊙ W₂ᵀδ₂",
        "∂L/∂b₁": "δ₁",
        "∂L/∂W₁": "δ₁xᵀ",
    }
    proved(d)
    at = d.at(
        {
            "x": [1, 2, -1],
            "y": [y],
            "alpha": 1,
            "beta": 10,
            "W_1": [[1, -1, 0.5], [-0.5, 2, 1]],
            "b_1": [0.1, -0.2],
            "W_2": [[0.5, -1.5]],
            "b_2": [0.3],
        }
    )
    near(at["z_1"], [-1.4, 2.3]), near(at["y_hat"], [0.041091278200465015])
    near(
        at["L"], -loss
    )  # the notes' δ are gradients of the log-likelihood, minus ours (E001-27)
    near(at["dL/db_2"], [-b2]), near(at["dL/dW_2"], [[-v for v in w2]])
    (
        near(at["dL/db_1"], [-v for v in b1]),
        near(at["dL/dW_1"], [[-v for v in row] for row in w1]),
    )


@pytest.mark.notes("C-BP-01", "OUT-09", "C-OUT-02")
def test_every_substep_shows_the_derivative_by_the_output():
    t, a, b, z = symbol("y"), symbol("alpha"), symbol("beta"), symbol("z")
    output = call(f.sigmoid, z)
    loss = -(a * t * dr.log(output) + b * (1 - t) * dr.log(1 - output))
    d = derive(loss, wrt=[z], detail="every")
    assert formulas(d)["∂L/∂ŷ"] == "β(1 − y)/(1 − ŷ) − αy/ŷ"
    plain = derive(-(t * dr.log(output) + (1 - t) * dr.log(1 - output)), wrt=[z])
    assert plain.gradient("z") == "ŷ − y"
    proved(d), proved(plain)


@pytest.mark.notes("C-BP-02", "BP-13", "E001-06", "OUT-15", "NN-11", "LA-24")
@pytest.mark.parametrize("y", [1, -1])
def test_siamese_cosine(y):
    x, xh, W1, W2, t = (
        symbol("x", 3),
        symbol("x_hat", 3),
        symbol("W_1", 3, 3),
        symbol("W_2", 2, 3),
        symbol("y"),
    )
    m, n = W1 @ x, W1 @ xh
    h, hh = call(f.relu, m), call(f.relu, n)
    z, zh = W2 @ h, W2 @ hh
    length = call(f.euclidean_norm, z, axes=(0,)), call(f.euclidean_norm, zh, axes=(0,))
    s = z @ zh / (length[0] * length[1])
    d = derive(
        -t * s,
        wrt=[W1, W2],
        names={m: "m", n: "n", z: "z", zh: "z_hat", h: "h_1", hh: "h_hat_1"},
    )
    lines = formulas(d)
    assert lines["∂L/∂z"] == "y(zᵀẑ)z/(‖z‖³‖ẑ‖) − yẑ/(‖z‖‖ẑ‖)"
    assert lines["∂L/∂m"] == "𝟙(m > 0) ⊙ W₂ᵀδ₂"
    proved(d)
    at = d.at(
        {
            "x": [2, 1, 1],
            "x_hat": [1, 3, -1],
            "y": y,
            "W_1": [[1, 0, -1], [0, 1, 1], [-1, 1, 0]],
            "W_2": [[1, 2, 0], [0, 1, -1]],
        }
    )
    a, c = y / (29 * 29**0.5), y / (3 * 29**0.5)
    (
        near(at["dL/dz"], [-4 * a, 10 * a]),
        near(at["dL/dz_hat"], [0, -c]),
        near(at["L"], -y * 0.9284766908852594),
    )
    near(
        at["dL/dW_1"],
        [
            [-8 * a, -4 * a, -4 * a],
            [4 * a - c, 2 * a - 3 * c, 2 * a + c],
            [c, 3 * c, -c],
        ],
    )
    near(at["dL/dW_2"], [[-4 * a, -8 * a, 0], [10 * a - 2 * c, 20 * a - 2 * c, -2 * c]])
    assert abs(float(at["dL/dz"] @ at["z"])) < 1e-12  # δ_z ⟂ z


@pytest.mark.notes("C-BP-03", "BP-14", "ACT-09")
def test_leaky_rectifier():
    x, y, W, b = symbol("x", 2), symbol("y", 3), symbol("W_k", 3, 2), symbol("b", 3)
    g = W @ x + b
    out = call(f.leaky_relu, g, slope=0.1)
    d = derive(
        call(f.squared_error, out, y).sum(), wrt=[W, b, x], names={g: "g", out: "f"}
    )
    lines = formulas(d)
    assert (
        lines["∂L/∂f"] == "f − y"
        and lines["∂L/∂b"] == "δ₁"
        and lines["∂L/∂Wₖ"] == "δ₁xᵀ"
    )
    assert lines["∂L/∂x"] == "Wₖᵀδ₁"
    proved(d)
    at = d.at(
        {
            "x": [1, 2],
            "y": [1, 0, 0.5],
            "W_k": [[1, -2], [3, 1], [0, 1]],
            "b": [0.5, -1, -2],
        }
    )
    near(at["L"], 8.90625), near(at["dL/df"], [-1.25, 4, -0.5])
    near(
        at["dL/db"], [-0.125, 4, -0.05]
    )  # at g₃ = 0 our slope is α; the notes' rule gives 1 (X-23)
    near(at["dL/dW_k"][:2], [[-0.125, -0.25], [4, 8]])


@pytest.mark.notes("C-BP-04", "BP-15", "E001-07")
def test_first_layer_under_an_invisible_shift():
    """∂L/∂W₁ at x + λz is ∂L/∂h (x + λz)ᵀ: the notes print xᵀ twice (E001-07)."""
    x, y, W1, W2 = (
        symbol("x", 3),
        symbol("y", 2),
        symbol("W_1", 2, 3),
        symbol("W_2", 2, 2),
    )
    h = W1 @ x
    d = derive(
        call(f.squared_error, W2 @ call(f.relu, h), y).sum(),
        wrt=[W1, W2],
        names={h: "h"},
    )
    values = {"y": [1, -1], "W_1": [[1, 1, 0], [0, 1, 1]], "W_2": [[1, 2], [-1, 1]]}
    clean = d.at({"x": [2, -1, 3], **values})
    shifted = d.at({"x": [2.5, -1.5, 3.5], **values})
    near(clean["dL/dh"], [2, 10]), near(clean["dL/dW_1"], [[4, -2, 6], [20, -10, 30]])
    (
        near(shifted["dL/dW_1"], [[5, -3, 7], [25, -15, 35]]),
        near(shifted["dL/dW_2"], clean["dL/dW_2"]),
    )
    assert formulas(d)["∂L/∂W₁"] == "δ₁xᵀ"
    proved(d)


@pytest.mark.notes("C-BP-05", "BP-16", "NN-10", "BP-05")
def test_linear_skip_path():
    x, y, W1, W2, W3 = (
        symbol("x", 2),
        symbol("y", 2),
        symbol("W_1", 3, 2),
        symbol("W_2", 2, 2),
        symbol("W_3", 2, 3),
    )
    z = W3 @ call(f.relu, W1 @ x) + W2 @ x
    d = derive(call(f.squared_error, z, y).sum(), wrt=[x, W1, W2, W3], names={z: "z"})
    lines = formulas(d)
    assert (
        lines["∂L/∂x"] == "W₂ᵀδ₂ + W₁ᵀδ₁"
        and lines["∂L/∂W₂"] == "δ₂xᵀ"
        and lines["∂L/∂z"] == "z − y"
    )
    assert "2 paths" in next(line.reason for line in d.steps if line.name == "x")
    assert d.gradient("x") == "W₂ᵀ(z − y) + W₁ᵀ(𝟙(z₁ > 0) ⊙ W₃ᵀ(z − y))"
    proved(d)
    at = d.at(
        {
            "x": [1, 2],
            "y": [3, 1],
            "W_1": [[1, -1], [2, 1], [-1, 0]],
            "W_2": [[1, 0], [-1, 2]],
            "W_3": [[1, 2, 3], [0, -1, 1]],
        }
    )
    (
        near(at["L"], 20),
        near(at["dL/dx"], [36, 10]),
        near(at["dL/dW_3"], [[0, 24, 0], [0, -8, 0]]),
    )
    (
        near(at["dL/dW_2"], [[6, 12], [-2, -4]]),
        near(at["dL/dW_1"], [[0, 0], [14, 28], [0, 0]]),
    )


@pytest.mark.notes("C-BP-06", "BP-17", "E001-10", "NN-13", "ACT-10", "ACT-11")
def test_parametric_rectifier_then_exponential_unit():
    x, y, alpha = symbol("x", 2), symbol("y", 3), symbol("alpha_P")
    W1, W2, W3 = symbol("W_1", 2, 2), symbol("W_2", 2, 2), symbol("W_3", 3, 2)
    e = W1 @ x
    hidden = dr.where(e > 0, e, alpha * e)
    b = call(f.elu, W2 @ hidden, alpha=0.5)
    a = W3 @ b
    d = derive(
        call(f.squared_error, a, y).sum(),
        wrt=[W1, W2, W3, alpha],
        names={e: "e", hidden: "d", W2 @ hidden: "c", b: "b", a: "a"},
    )
    lines = formulas(d)
    assert lines["∂L/∂a"] == "a − y" and lines["∂L/∂W₃"] == "δ₃bᵀ"
    assert lines["d"] == "(𝟙(e > 0) + α_P𝟙(e ≤ 0)) ⊙ e"
    assert lines["∂L/∂c"] == "(𝟙(c > 0) + 𝟙(c ≤ 0) ⊙ (b + ½)) ⊙ W₃ᵀδ₃"
    proved(d)
    at = d.at(
        {
            "x": [1, 2],
            "y": [0, 1, 1],
            "alpha_P": 0.25,
            "W_1": [[1, -1], [0.5, 1]],
            "W_2": [[1, -0.5], [2, 1]],
            "W_3": [[1, -2], [0, 1], [3, 1]],
        }
    )
    near(at["L"], 10.142843355, 1e-8), near(at["dL/dalpha_P"], -18.6782073506)
    near(
        at["dL/dW_3"],
        [
            [1.7046213667, -8.7768698399],
            [-0.3884349199, 2],
            [0.0642101411, -0.3306095196],
        ],
    )
    near(at["dL/dW_2"], [[0.1362307024, -1.3623070238], [-2.4028912700, 24.0289127002]])
    near(at["dL/dW_1"], [[4.6695518377, 9.3391036753], [9.8840264848, 19.7680529697]])


@pytest.mark.notes("C-BP-07", "BP-18", "NN-12")
@pytest.mark.parametrize(
    ("y", "delta", "w1", "w2"),
    [
        (
            1,
            -0.02083634451868044,
            [
                [-0.0416726890, -0.0208363445],
                [0.0416726890, -0.0833453781],
                [0.0104181723, 0.0312545168],
            ],
            [-0.0229199790, 0.0312545168, 0.0208363445],
        ),
        (
            0,
            0.9791636554813196,
            [
                [1.9583273110, 0.9791636555],
                [-1.9583273110, 3.9166546219],
                [-0.4895818277, -1.4687454832],
            ],
            [1.0770800210, -1.4687454832, -0.9791636555],
        ),
    ],
)
def test_difference_network(y, delta, w1, w2):
    xp, xq, t = symbol("x_p", 2), symbol("x_q", 2), symbol("y", 1)
    W1, b1, W2, b2 = (
        symbol("W_1", 3, 2),
        symbol("b_1", 3),
        symbol("W_2", 1, 3),
        symbol("b_2", 1),
    )
    hp, hq = W1 @ xp + b1, W1 @ xq + b1
    z1, z2 = call(f.relu, hp), call(f.relu, hq)
    z = z1 - z2
    z3 = W2 @ z + b2
    out = call(f.sigmoid, z3)
    loss = -(t * dr.log(out) + (1 - t) * dr.log(1 - out)).sum()
    named = {hp: "h_p", hq: "h_q", z1: "z_1", z2: "z_2", z: "z", z3: "z_3"}
    d = derive(loss, wrt=[W1, b1, W2, b2], names=named)
    lines = formulas(d)
    assert (
        lines["∂L/∂z₃"] == "ŷ − y"
        and lines["∂L/∂W₂"] == "δ₃zᵀ"
        and lines["∂L/∂z"] == "W₂ᵀδ₃"
    )
    assert lines["∂L/∂z₁"] == "δ_z" and lines["∂L/∂z₂"] == "−δ_z"
    assert lines["∂L/∂h_q"] == "−𝟙(h_q > 0) ⊙ δ_z"
    proved(d)
    values = {
        "x_p": [2, 1],
        "x_q": [1, 3],
        "y": [y],
        "W_1": [[1, -1], [0.5, 1], [-1, 2]],
        "b_1": [0.1, -0.2, -4],
        "W_2": [[1, -2, 0.5]],
        "b_2": [0.25],
    }
    at = d.at(values)
    (
        near(at["z"], [1.1, -1.5, -1]),
        near(at["dL/dz_3"], [delta]),
        near(at["dL/dW_1"], w1),
        near(at["dL/dW_2"], [w2]),
    )
    same = d.at({**values, "x_q": [2, 1]})
    (
        near(same["dL/dW_1"], np.zeros((3, 2))),
        near(same["dL/db_1"], np.zeros(3)),
        near(same["z"], np.zeros(3)),
    )


@pytest.mark.notes("C-BP-08", "BP-07", "LA-17", "LA-23")
def test_rectified_layer():
    x, z, W, b = symbol("x", 2), symbol("z", 2), symbol("W", 2, 2), symbol("b", 2)
    a = W @ x + b
    h = call(f.relu, a)
    d = derive(
        ((h - z) * (h - z)).sum(), wrt=[W, b, x], names={a: "a", h: "h"}, detail="every"
    )
    lines = formulas(d)
    assert lines["L"] == "‖h − z‖²" and lines["∂L/∂h"] == "2(h − z)"
    assert d.gradient("b") == "2 𝟙(a > 0) ⊙ (h − z)"
    proved(d)
    at = d.at({"x": [1, 2], "z": [1, 1], "W": [[1, -1], [2, 1]], "b": [0.5, -1]})
    (
        near(at["a"], [-0.5, 3]),
        near(at["L"], 5),
        near(at["dL/db"], [0, 4]),
        near(at["dL/dx"], [8, 4]),
    )
    near(at["dL/dW"], [[0, 0], [4, 8]])


@pytest.mark.notes("C-BP-09", "BP-02", "BP-03", "BP-04", "BP-05")
def test_gates():
    x, y, g = symbol("x"), symbol("y"), symbol("g")
    values = {"x": 3, "y": -4, "g": 2}
    for expression, expected, reason in [
        (x + y, (2, 2), "add gate distributes"),
        (x * y, (-8, 6), "multiply gate switches"),
        (dr.maximum(x, y), (2, 0), "max gate routes"),
    ]:
        d = derive(g * expression, wrt=[x, y], names={expression: "q"}, detail="every")
        at = d.at(values)
        near(at["dL/dx"], expected[0]), near(at["dL/dy"], expected[1])
        assert any(reason in line.reason for line in d.steps if line.name in "xy")
        proved(d)
    h = x * x
    fan_out = derive(h * y + dr.exp(h) * g, wrt=[x], names={h: "h"})
    assert "2 paths" in next(line.reason for line in fan_out.steps if line.name == "h")
    proved(fan_out)


@pytest.mark.notes("C-BP-10", "REG-12", "REG-13", "LA-11", "C-REG-08")
def test_largest_row_sum_penalty():
    W1, W2, weight = symbol("W_1", 3, 3), symbol("W_2", 2, 2), symbol("lambda")
    norms = [call_norm(W) for W in (W1, W2)]
    d = derive(weight * (norms[0] + norms[1]) / 2, wrt=[W1, W2])
    at = d.at(
        {
            "W_1": [[1, -2, 3], [-4, 1, -2], [0, 5, -1]],
            "W_2": [[-1, 2], [3, 0.5]],
            "lambda": 0.3,
        }
    )
    (
        near(at["L"], 1.575),
        near(at["dL/dW_1"], [[0, 0, 0], [-0.15, 0.15, -0.15], [0, 0, 0]]),
    )
    near(at["dL/dW_2"], [[0, 0], [0.15, 0.15]])
    assert "argmax" in d.gradient("W_1") and "sign(W₁)" in d.gradient("W_1")
    proved(d)


def call_norm(W):
    return abs(W).sum(axis=1).max()


@pytest.mark.notes("C-BP-11", "BP-21", "NRM-01", "NRM-02", "NRM-08", "C-NRM-06")
def test_batch_normalisation_in_training():
    """The derivation that the notes leave open (E000-12): back through μ and σ at once."""
    X, gamma, beta, G = (
        symbol("X", 3, 2),
        symbol("gamma", 2),
        symbol("beta", 2),
        symbol("G", 3, 2),
    )
    normal = call(f.normalize, X, axes=(0,), epsilon=1e-5)
    d = derive((G * (normal * gamma + beta)).sum(), wrt=[X, gamma, beta])
    lines = formulas(d)
    assert lines["μ"] == "𝟙ᵀX/3" and lines["X̂₁"] == "(X − 𝟙μ)/(𝟙s)"
    assert lines["s"] == "√(𝟙ᵀ(X − 𝟙μ)²/3 + 10⁻⁵)"
    assert lines["∂L/∂X"] == "(∂L/∂X̂₁ − 𝟙𝟙ᵀ ∂L/∂X̂₁/3 − (X̂₁ ⊙ 𝟙𝟙ᵀ(∂L/∂X̂₁ ⊙ X̂₁))/3)/(𝟙s)"
    proved(d)
    at = d.at(
        {
            "X": [[1, 2], [3, 4], [5, 9]],
            "gamma": [2, 0.5],
            "beta": [1, -1],
            "G": [[1, 0], [0, -1], [2, 0.5]],
        }
    )
    near(
        at["dL/dX"],
        [
            [0.6123689911, 0.0870981153],
            [-1.2247425750, -0.1219374790],
            [0.6123735839, 0.0348393637],
        ],
    )
    near(at["dL/dgamma"], [1.2247425750, 1.0190487428]), near(at["dL/dbeta"], [3, -0.5])


@pytest.mark.notes("C-BP-12", "OUT-17", "CM-08", "C-CM-09")
def test_softmax_classifier_of_a_batch():
    X, W, b = symbol("X", 3, 2), symbol("W", 3, 2), symbol("b", 3)
    labels = dr.symbol("c", (3,), dtype="int64")
    d = derive(call(f.cross_entropy_of_labels, X @ W.T + b, labels).sum(), wrt=[W, b])
    lines = formulas(d)
    assert (
        lines["∂L/∂Z₁"] == "Ŷ − E_c"
        and lines["∂L/∂W"] == "Δ₁ᵀX"
        and lines["∂L/∂b"] == "Δ₁ᵀ𝟙"
    )
    assert d.gradient("W") == "(Ŷ − E_c)ᵀX"
    proved(d)
    at = d.at(
        {
            "X": [[1, 2], [0, -1], [2, 1]],
            "c": [0, 2, 1],
            "W": [[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]],
            "b": [0.1, 0, -0.1],
        }
    )
    near(at["L"], 2.976266188616898)
    near(
        at["dL/dW"],
        [
            [0.3286191345, -0.9191484846],
            [-1.1504691571, -0.1522970084],
            [0.8218500227, 1.0714454930],
        ],
    )
    near(at["dL/db"], [0.1773799822, -0.1570240982, -0.0203558840])


@pytest.mark.notes("C-BP-12", "CM-11", "C-CM-07", "C-CM-08", "CM-14")
@pytest.mark.parametrize(
    ("W", "loss", "gradient"),
    [
        ([[1, 0], [0, 1.5], [1, 1], [-1, 0]], 1, [[0, 0], [-1, -2], [1, 2], [0, 0]]),
        ([[2, 1], [0, 1.5], [1, 1.5], [-1, 0]], 4, [[1, 2], [-2, -4], [1, 2], [0, 0]]),
    ],
)
def test_multiclass_support_vectors(W, loss, gradient):
    """∂L/∂W = (M − E_y ⊙ M𝟙𝟙ᵀ)ᵀX with M the violated margins; L sums over the wrong classes (E000-08)."""
    X, weight = symbol("X", 1, 2), symbol("W", 4, 2)
    labels = dr.symbol("y", (1,), dtype="int64")
    d = derive(
        call(f.multiclass_hinge, X @ weight.T, labels, margin=1.0).sum(), wrt=[weight]
    )
    assert formulas(d)["∂L/∂W"] == "Δ₁ᵀX"
    proved(d)
    at = d.at({"X": [[1, 2]], "y": [1], "W": W})
    near(at["L"], loss), near(at["dL/dW"], gradient)


@pytest.mark.notes(
    "C-BP-12",
    "CM-09",
    "CM-19",
    "CM-02",
    "REG-05",
    "REG-06",
    "REG-08",
    "OUT-05",
    "LA-14",
)
def test_other_gradients_of_the_notes():
    X, theta, Y, w, x, y, b = (
        symbol("X", 5, 3),
        symbol("theta", 3),
        symbol("Y", 5),
        symbol("w", 3),
        symbol("x", 3),
        symbol("y"),
        symbol("b"),
    )
    least_squares = derive(call(f.squared_error, X @ theta, Y).sum(), wrt=[theta])
    assert least_squares.gradient("theta") == "Xᵀ(ŷ − Y)"
    logistic = derive(call(f.binary_cross_entropy, X @ w + b, Y).mean(), wrt=[w, b])
    assert logistic.gradient("w") == "Xᵀ(ŷ − Y)/5"
    hinge = derive(call(f.hinge, w @ x + b, y), wrt=[w, b])
    assert hinge.gradient("w") == "−𝟙(yŷ < 1)yx"
    ridge = derive(0.5 * b * (theta * theta).sum() + b * abs(w).sum(), wrt=[theta, w])
    assert ridge.gradient("theta") == "bθ" and ridge.gradient("w") == "b sign(w)"
    z = w @ x
    half = derive(
        0.5 * (y - call(f.sigmoid, z)) * (y - call(f.sigmoid, z)),
        wrt=[w],
        names={z: "z"},
    )
    for d in (least_squares, logistic, hinge, ridge, half):
        proved(d)


@pytest.mark.notes("C-OUT-01", "OUT-19")
def test_squared_error_saturates_and_cross_entropy_does_not():
    z, y = symbol("z"), symbol("y")
    output = call(f.sigmoid, z)
    half = derive(0.5 * (y - output) * (y - output), wrt=[z])
    entropy = derive(call(f.binary_cross_entropy, z, y), wrt=[z])
    assert half.gradient("z") == "ŷ(ŷ − y)(1 − ŷ)" and entropy.gradient("z") == "ŷ − y"
    squared = [-4.5393746863e-5, -0.0066035622, -0.125, -4.4494452e-5]
    logarithmic = [-0.9999546021, -0.9933071491, -0.5, -0.0066928509]
    for at, a, b in zip([-10, -5, 0, 5], squared, logarithmic, strict=True):
        (
            near(half.at({"z": at, "y": 1})["dL/dz"], a, 1e-7),
            near(entropy.at({"z": at, "y": 1})["dL/dz"], b),
        )
    proved(half), proved(entropy)


@pytest.mark.notes("C-OUT-03", "OUT-11", "OUT-12", "OUT-10")
def test_derivatives_by_the_prediction():
    p, y, z = symbol("p", 3), symbol("y", 3), symbol("z", 3)
    entropy = derive(-(y * dr.log(p)).sum(), wrt=[p], layout="numerator")
    squares = derive(((p - y) * (p - y)).sum(), wrt=[p], layout="numerator")
    assert squares.gradient("p") == "2(p − y)ᵀ"
    fused = derive(call(f.cross_entropy, z, y), wrt=[z], layout="numerator")
    assert fused.gradient("z") == "(ŷ − y)ᵀ"
    values = {"p": [0.5, 0.25, 0.25], "y": [0, 1, 0]}
    near(entropy.at(values)["dL/dp"], [0, -4, 0])
    for d in (entropy, squares, fused):
        proved(d)


@pytest.mark.notes("C-NN-01", "NN-15")
def test_masked_network():
    """S⁽¹⁾ = −11, not −1 (E004-01); absent edges get no gradient."""
    x, M, W0, b0, W1, y = (
        symbol("x", 3),
        symbol("M", 3, 3),
        symbol("W_0", 3, 3),
        symbol("b_0", 3),
        symbol("W_1", 1, 3),
        symbol("y", 1),
    )
    s0 = (M * W0) @ x + b0
    s1 = W1 @ call(f.relu, s0)
    d = derive(
        call(f.binary_cross_entropy, s1, y).sum(),
        wrt=[W0, b0, W1],
        names={s0: "S_0", s1: "S_1"},
    )
    proved(d)
    w = [[1, -1, 0], [2, 0, 3], [0, -2, -3]]
    at = d.at(
        {
            "x": [1, 1, 1],
            "M": (np.array(w) != 0).astype(float),
            "W_0": w,
            "b_0": [1, 1, 1],
            "W_1": [[1, -2, 1]],
            "y": [1],
        }
    )
    delta = -0.9999832985781519
    (
        near(at["S_0"], [1, 6, -4]),
        near(at["S_1"], [-11]),
        near(at["y_hat"], [1.670142184809518e-5]),
    )
    near(at["dL/dS_1"], [delta]), near(at["dL/dW_1"], [[delta, 6 * delta, 0]])
    near(at["dL/dW_0"], [[delta, delta, 0], [-2 * delta, 0, -2 * delta], [0, 0, 0]])
    assert "M" in formulas(d)["∂L/∂W₀"]


@pytest.mark.notes("C-NN-02", "NN-07")
def test_two_pathways():
    w11, w21, v11, v12, x, y = (
        symbol(n) for n in ("w_11", "w_21", "v_11", "v_12", "x", "y")
    )
    out = (w11 * v11 + w21 * v12) * x
    d = derive((y - out) * (y - out), wrt=[w11, w21, v11, v12], names={out: "y_hat"})
    at = d.at({"w_11": 2, "w_21": 3, "v_11": 0.5, "v_12": -1, "x": 4, "y": 1})
    near(at["y_hat"], -8), near(at["L"], 81)
    near(
        [at[f"dL/d{n}"] for n in ("w_11", "w_21", "v_11", "v_12")],
        [-36, 72, -144, -216],
    )
    proved(d)


@pytest.mark.notes("C-NN-03", "LA-25")
def test_linear_network_is_affine():
    x, W0, b0, W1, b1 = (
        symbol("x", 2),
        symbol("W_0", 3, 2),
        symbol("b_0", 3),
        symbol("W_1", 2, 3),
        symbol("b_1", 2),
    )
    z = W1 @ (W0 @ x + b0) + b1
    d = derive(call(f.squared_error, z, symbol("y", 2)).sum(), wrt=[W0, b0, W1, b1])
    values = {
        "W_0": [[1, 2], [0, 1], [1, -1]],
        "b_0": [1, 0, -1],
        "W_1": [[1, 0, 2], [0, 1, 1]],
        "b_1": [0.5, 0],
        "y": [0, 0],
    }
    for x_value in ([0, 0], [1, 0], [0, 1], [2, -3]):
        expected = np.array([[3, 0], [1, 0]]) @ x_value + [-0.5, -1]
        near(d.at({"x": x_value, **values})["y_hat"], expected)
    assert formulas(d)["∂L/∂W₀"] == "δ₁xᵀ" and formulas(d)["∂L/∂z₁"] == "W₁ᵀδ₂"
    proved(d)


@pytest.mark.notes("C-NN-04", "NN-09")
def test_skip_in_the_hidden_layer():
    x, W1, b1, Ws, W2, b2 = (
        symbol("x", 2),
        symbol("W_1", 2, 2),
        symbol("b_1", 2),
        symbol("W_s", 2, 2),
        symbol("W_2", 2),
        symbol("b_2"),
    )
    h = call(f.relu, W1 @ x + b1) + Ws @ x
    z = W2 @ h + b2
    d = derive(0.5 * z * z, wrt=[W1, b1, Ws, W2, b2], names={h: "h_1", z: "z"})
    at = d.at(
        {
            "x": [1, 2],
            "W_1": [[1, -1], [0, 1]],
            "b_1": [0, 1],
            "W_s": [[1, 0], [2, 1]],
            "W_2": [1, -1],
            "b_2": 0.5,
        }
    )
    near(at["h_1"], [1, 7]), near(at["z"], -5.5)
    proved(d)


@pytest.mark.notes("C-NN-05", "BP-09", "BP-20")
@pytest.mark.parametrize(
    ("kind", "loss", "delta1", "delta0", "w1", "w0"),
    [
        (
            "entropy",
            0.6601139349024974,
            -0.48320754956,
            [-0.190008740952, 0.013748715947],
            [-0.129954525195, -0.469043658367],
            [[-0.190008740952, -0.380017481904], [0.013748715947, 0.027497431893]],
        ),
        (
            "squares",
            0.233489535951938,
            -0.241331258873,
            [-0.094897210717, 0.006866604072],
            [-0.064903971782, -0.234257301326],
            [[-0.094897210717, -0.189794421435], [0.006866604072, 0.013733208143]],
        ),
    ],
)
def test_sigmoid_network_in_row_vectors(kind, loss, delta1, delta0, w1, w0):
    """P(2,2,1) with the row δ of the notes: δ⁽⁰⁾ = δ⁽¹⁾W⁽¹⁾ ∂G/∂s (numerator layout)."""
    x, y = symbol("x", 2), symbol("y", 1)
    W0, b0, W1, b1 = (
        symbol("W_0", 2, 2),
        symbol("b_0", 2),
        symbol("W_1", 1, 2),
        symbol("b_1", 1),
    )
    s0 = W0 @ x + b0
    hidden = call(f.sigmoid, s0)
    s1 = W1 @ hidden + b1
    out = call(f.sigmoid, s1)
    entropy = -(y * dr.log(out) + (1 - y) * dr.log(1 - out)).sum()
    total = entropy if kind == "entropy" else ((out - y) * (out - y)).sum()
    names = {s0: "S_0", s1: "S_1", hidden: "x_1"}
    d = derive(total, wrt=[W0, b0, W1, b1], names=names, layout="numerator")
    assert formulas(d)["∂L/∂S₀"] == "δ₂W₁ diag(x₁ ⊙ (1 − x₁))"
    if kind == "entropy":
        assert formulas(d)["∂L/∂S₁"] == "ŷ − y"
    proved(d)
    at = d.at(
        {
            "x": [1, 2],
            "y": [1],
            "W_0": [[1, -1], [0.5, 2]],
            "b_0": [0, -1],
            "W_1": [[2, -1]],
            "b_1": [0.5],
        }
    )
    (
        near(at["S_0"], [-1, 3.5]),
        near(at["x_1"], [0.26894142137, 0.970687769249]),
        near(at["L"], loss),
    )
    near(at["dL/dS_1"], [delta1]), near(at["dL/dS_0"], delta0)
    near(at["dL/dW_1"].T, [w1]), near(at["dL/dW_0"].T, w0)


@pytest.mark.notes("C-NN-06", "BP-10", "BP-11", "OUT-12")
def test_two_examples_and_their_mean():
    X, Y = symbol("X", 2, 2), symbol("Y", 2, 2)
    W0, b0, W1, b1 = (
        symbol("W_0", 3, 2),
        symbol("b_0", 3),
        symbol("W_1", 2, 3),
        symbol("b_1", 2),
    )
    s0 = X @ W0.T + b0
    s1 = call(f.relu, s0) @ W1.T + b1
    d = derive(
        call(f.cross_entropy, s1, Y).mean(),
        wrt=[W0, b0, W1, b1],
        names={s0: "S_0", s1: "S_1"},
    )
    lines = formulas(d)
    assert (
        lines["∂L/∂S₁"] == "½(Ŷ − Y)"
        and lines["∂L/∂W₁"] == "Δ₂ᵀA₁"
        and lines["∂L/∂b₁"] == "Δ₂ᵀ𝟙"
    )
    proved(d)
    at = d.at(
        {
            "X": [[1, 2], [2, -1]],
            "Y": [[1, 0], [0, 1]],
            "W_0": [[1, 0], [-1, 1], [0.5, 0.5]],
            "b_0": [0, 0.5, -1],
            "W_1": [[1, 2, 0], [0, -1, 1]],
            "b_1": [0.1, -0.1],
        }
    )
    near(at["S_0"], [[1, 1.5, 0.5], [2, -2.5, -0.5]]), near(at["L"], 1.1552923618391768)
    near(
        at["dL/dW_0"],
        [
            [0.89750636143, -0.45561105434],
            [-0.00822944835, -0.01645889670],
            [0.00274314945, 0.00548629890],
        ],
    )
    near(at["dL/db_0"], [0.44738160599, -0.00822944835, 0.00274314945])
    near(
        at["dL/dW_1"],
        [
            [0.89750636143, -0.00411472417, -0.00137157472],
            [-0.89750636143, 0.00411472417, 0.00137157472],
        ],
    )
    near(at["dL/db_1"], [0.44738160599, -0.44738160599])
