"""Assumptions about inputs, and losses written by hand: derivations use them, proofs and grades respect them."""

from __future__ import annotations

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.hand_written import with_named_losses
from deltarule.explain.formula.assumptions import KINDS
from deltarule.explain.proof.domains import Domain
from deltarule.graph.walk import inputs
from deltarule.tensor.explain import derive, grade, run, value_sampler


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


W, x, y = symbol("W", 3, 4), symbol("x", 4), symbol("y", 3)
X, Y = symbol("X", 6, 4), symbol("Y", 6, 3)
w, b, t = symbol("w", 4), symbol("b"), symbol("y", 6)
z, Z, s = W @ x, X @ W.T, X @ w + b


def by_hand(scores):
    exponentials = dr.exp(scores)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def binary(a):
    return t * dr.log(a) + (1 - t) * dr.log(1 - a)


ONE = {
    "Σ y log p": -(y * dr.log(nn.softmax(z))).sum(),
    "sign inside": (-y * dr.log(nn.softmax(z))).sum(),
    "yᵀ log softmax": -(y @ nn.log_softmax(z)),
    "softmax by hand": -(y * dr.log(by_hand(z))).sum(),
    "log softmax by hand": -(y * (z - dr.log(dr.exp(z).sum()))).sum(),
}
BATCH = {
    "sum over all": -(Y * dr.log(nn.softmax(Z))).sum() / 6,
    "mean of rows": -(Y * nn.log_softmax(Z)).sum(axis=1).mean(),
    "softmax by hand": -(Y * dr.log(by_hand(Z))).sum(axis=1).mean(),
}
BINARY = {
    "mean": -binary(nn.sigmoid(s)).mean(),
    "sum": -binary(nn.sigmoid(s)).sum() / 6,
    "two terms": (
        -t * dr.log(nn.sigmoid(s)) - (1 - t) * dr.log(1 - nn.sigmoid(s))
    ).mean(),
    "sigmoid by hand": -binary(1 / (1 + dr.exp(-s))).mean(),
    "inner products": -(t @ dr.log(nn.sigmoid(s)) + (1 - t) @ dr.log(1 - nn.sigmoid(s)))
    / 6,
}


# ---------------------------------------------------------------- recognition


@pytest.mark.parametrize("form", ONE)
def test_cross_entropy_by_hand_has_the_derivative_of_the_book(form):
    d = derive(ONE[form], wrt=[W])
    assert d.gradient("W") == "(ŷ − y)xᵀ" and "Σy = 1" in str(d)
    assert d.check(points=5)


@pytest.mark.parametrize("form", BATCH)
def test_cross_entropy_of_a_batch_by_hand(form):
    d = derive(BATCH[form], wrt=[W])
    assert d.gradient("W") == "(Ŷ − Y)ᵀX/6"
    assert d.check(points=5)


@pytest.mark.parametrize("form", BINARY)
def test_binary_cross_entropy_by_hand(form):
    d = derive(BINARY[form], wrt=[w, b])
    assert d.gradient("w") == "Xᵀ(ŷ − y)/6"
    assert d.check(points=5)


def test_a_picked_class_is_a_unit_vector():
    for loss in (-dr.log(nn.softmax(z)[2]), -nn.log_softmax(z)[2]):
        d = derive(loss, wrt=[W])
        assert d.gradient("W") == "(ŷ − e₃)xᵀ" and d.check(points=5)
        assert grade(loss, W, "(ŷ - e₃)xᵀ")
        assert not grade(loss, W, "(ŷ - e₃)xᵀ + xᵀx").correct


def test_squared_errors_by_hand():
    e = z - y
    for loss in (0.5 * (e @ e), 0.5 * ((z - y) ** 2).sum(), 0.5 * e.norm() ** 2):
        assert derive(loss, wrt=[W]).gradient("W") == "(ŷ − y)xᵀ"


@pytest.mark.parametrize("loss", [*ONE.values(), *BATCH.values(), *BINARY.values()])
def test_a_recognised_loss_has_the_value_of_the_one_that_was_given(loss):
    found = with_named_losses(loss.node, [], {}).loss
    assert found is not loss.node
    draw = value_sampler(3)
    given = {node: draw(node, Domain("real")) for node in inputs([loss.node])}
    before, after = run([loss.node, found], given)
    np.testing.assert_allclose(after, before, rtol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        -(y * dr.log(nn.softmax(z) + 0.1)).sum(),
        -(Y * dr.log(nn.softmax(Z, axis=0))).sum(),
        -(z * dr.log(nn.softmax(z))).sum(),
        -(t * dr.log(nn.sigmoid(s)) + (2 - t) * dr.log(1 - nn.sigmoid(s))).sum(),
        -(t * dr.log(nn.sigmoid(s)) + 2 * (1 - t) * dr.log(1 - nn.sigmoid(s))).sum(),
        -(t * dr.log(nn.sigmoid(s)) + (1 - t) * dr.log(1 - nn.sigmoid(2 * s))).sum(),
        -(y * dr.log(dr.exp(z) / dr.exp(2 * z).sum())).sum(),
    ],
)
def test_other_losses_stay_as_they_are(loss):
    variables = [
        node for node in inputs([loss.node]) if str(node.attributes["name"]) in "Wwb"
    ]
    assert with_named_losses(loss.node, variables, {}).loss is loss.node


def test_a_named_output_keeps_its_name():
    p = nn.softmax(z)
    d = derive(-(y * dr.log(p)).sum(), wrt=[W], names={p: "p"})
    assert d.gradient("W") == "(p − y)xᵀ"
    q = by_hand(z)
    assert (
        derive(-(y @ dr.log(q)), wrt=[W], names={q: "q"}).gradient("W") == "(q − y)xᵀ"
    )
    logarithm = dr.log(
        p
    )  # a name of what the named loss has not: the derivation keeps it
    kept = derive(-(y * logarithm).sum(), wrt=[W], names={logarithm: "l"})
    assert any(line.name == "l" for line in kept.forward)


# ---------------------------------------------------------------- grades


@pytest.mark.parametrize("loss", ONE.values())
def test_the_grade_tells_the_assumption(loss):
    found = grade(loss, W, "(ŷ-y)xᵀ")
    assert found.correct and found.assumption is not None
    assert "if y is one-hot or a distribution (Σᵢ yᵢ = 1)" in found.message
    general = grade(loss, W, "((Σy)ŷ - y)xᵀ")
    assert general.correct and general.assumption is None
    assert grade(loss, W, "(ŷ-y)xᵀ", assume={y: "one-hot"}).assumption is None
    assert not grade(loss, W, "(ŷ-y)xᵀ", assume={y: "positive"}).correct
    assert grade(loss, W, "(y-ŷ)xᵀ").mistake == "sign"
    assert grade(loss, W, lambda y_hat, y, x: np.outer(y_hat - y, x)).assumption


@pytest.mark.parametrize("loss", BATCH.values())
def test_rows_of_a_batch(loss):
    found = grade(loss, W, "1/m (Ŷ-Y)ᵀX")
    assert (
        found.correct and "the rows of Y are one-hot or distributions" in found.message
    )
    assert grade(loss, W, "(Ŷ-Y)ᵀX").mistake == "mean"


@pytest.mark.parametrize("loss", BINARY.values())
def test_binary_targets(loss):
    assert grade(loss, w, "1/m Xᵀ(ŷ-y)").assumption is None
    found = grade(loss, w, "1/m Xᵀ(ŷ-y⊙y)")
    assert found.correct and found.assumption == "y is binary (0 or 1)"
    assert not grade(loss, w, "1/m Xᵀ(ŷ-y⊙y)", assume={"y": "unit"}).correct


def test_no_assumption_is_made_for_other_losses():
    e = z - y
    assert not grade(0.5 * (e @ e), W, "(ŷ - y⊙y)xᵀ").correct
    assert not grade(0.5 * (e @ e), W, "((Σy)ŷ - y)xᵀ").correct


# ---------------------------------------------------------------- assumptions

A, Q, u, v = symbol("A", 3, 3), symbol("Q", 3, 3), symbol("u", 3), symbol("v", 3)


@pytest.mark.parametrize(
    ("loss", "assume", "variable", "text", "shown"),
    [
        (u @ A @ u, {A: "symmetric"}, u, "2 Au", "A = Aᵀ"),
        (u @ A @ u, {"A": "positive definite"}, u, "2 Au", "positive definite"),
        ((Q @ Q.T @ u).sum(), {Q: "orthogonal"}, u, "1", "QᵀQ = I"),
        ((v * v * u).sum(), {v: "binary"}, u, "v", "v ∈ {0, 1}³"),
        ((v * v * u).sum(), {v: "integer"}, u, "v²", "v ∈ ℤ³"),
        (ONE["Σ y log p"], {y: "one-hot"}, W, "(ŷ − y)xᵀ", "y ∈ {0, 1}³, Σy = 1"),
        (ONE["Σ y log p"], {y: "positive"}, W, "((Σ y)ŷ − y)xᵀ", "y > 0"),
        (losses.CrossEntropy()(z, y), {y: "nonnegative"}, W, "((Σ y)ŷ − y)xᵀ", "y ≥ 0"),
        ((v * u).sum() ** 2, {v: "unit"}, u, "2(uᵀv)v", "v ∈ (0, 1)³"),
    ],
)
def test_derivations_use_and_state_assumptions(loss, assume, variable, text, shown):
    d = derive(loss, wrt=[variable], assume=assume)
    name = str(variable.node.attributes["name"])
    assert d.gradient(name) in {text, "2(vᵀu)v"} and shown in str(d)
    assert d.check(points=5)
    answer = "𝟙" if text == "1" else text  # of a vector
    assert grade(loss, variable, answer, assume=assume)


def test_without_the_assumption_the_simpler_answer_is_wrong():
    assert not grade(u @ A @ u, u, "2Au").correct
    assert not grade((Q @ Q.T @ u).sum(), u, "𝟙").correct
    assert grade((Q @ Q.T @ u).sum(), u, "𝟙", assume={Q: "orthogonal"})


@pytest.mark.parametrize(
    ("assume", "words"),
    [
        ({u: "symmetric"}, "square matrix"),
        ({v: "one-hot"}, "differentiated with respect to it"),
        ({A: "rotation"}, "one of one-hot"),
        ({u + v: "positive"}, "an input of the loss"),
        ({"q": "positive"}, "inputs of the loss"),
        ({A: 3}, "one of one-hot"),
        ([A], "a mapping"),
        ({symbol("g"): "one-hot"}, "an input of the loss"),
    ],
)
def test_impossible_assumptions_are_one_clear_error(assume, words):
    with pytest.raises(ArgumentError, match=words):
        derive(u @ A @ v, wrt=[v], assume=assume)
    with pytest.raises(ArgumentError, match=words):
        grade(u @ A @ v, v, "Aᵀu", assume=assume)


def test_a_logarithm_contradicts_zeros():
    with pytest.raises(ArgumentError, match="logarithm"):
        derive((u * dr.log(v)).sum(), wrt=[u], assume={v: "binary"})


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_drawn_in_every_kind(kind):
    name = {"positive definite": "definite"}.get(kind, kind)
    node = symbol("M", 4, 4).node
    draw = value_sampler(0)
    for _ in range(5):
        value = np.asarray(draw(node, Domain(name)))
        assert value.shape == (4, 4)
        holds = {
            "one-hot": set(value.ravel()) <= {0, 1} and (value.sum(1) == 1).all(),
            "distribution": np.allclose(value.sum(1), 1) and (value > 0).all(),
            "binary": set(value.ravel()) <= {0, 1},
            "positive": (value > 0).all(),
            "nonnegative": (value >= 0).all(),
            "unit": ((value > 0) & (value < 1)).all(),
            "integer": (value == np.round(value)).all(),
            "symmetric": (value == value.T).all(),
            "positive definite": kind != "positive definite"
            or np.linalg.eigvalsh(value).min() > 0,
            "orthogonal": np.allclose(value.T @ value, np.eye(4)),
        }
        assert holds[kind]


# ---------------------------------------------------------------- the number of examples


def columns():
    V, C, T = symbol("V", 1, 4), symbol("X", 4, 6), symbol("Y", 1, 6)
    return ((V @ C - T) ** 2).sum() / 12, V


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (r"\frac1m (VX-Y)X^T", True),
        ("(V @ X - Y) @ X.T / N", True),
        ("m = X.shape[1]\n(V @ X - Y) @ X.T / m", True),
        ("m = X.shape[0]\n(V @ X - Y) @ X.T / m", False),
        ("1/4 (VX - Y)Xᵀ", False),
    ],
)
def test_examples_may_be_columns(answer, right):
    loss, V = columns()
    assert grade(loss, V, answer).correct == right


def test_a_number_of_examples_that_may_be_two_is_asked_for():
    C, T, c = symbol("X", 4, 6), symbol("Y", 4, 6), symbol("w")
    loss = ((c * C - T) ** 2).sum() / 8
    with pytest.raises(ArgumentError, match="could be 4 or 6"):
        grade(loss, c, "np.sum((w*X-Y)*X)/m")
    assert grade(loss, c, "m = 4\nnp.sum((w*X-Y)*X)/m")
    assert not grade(loss, c, "m = 6\nnp.sum((w*X-Y)*X)/m").correct
    assert not grade(loss, c, "np.sum((w*X-Y)*Y)/m").correct  # wrong for either
