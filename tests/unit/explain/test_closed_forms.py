"""Jacobians, Hessians, slices of a 3-tensor and identities, as users ask for them; names of random numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.explain.formula.algebra import negate
from deltarule.explain.results.identities import IDENTITIES
from deltarule.explain.results.jacobians import jacobian
from deltarule.explain.results.slices import slices
from deltarule.tensor.explain import run, value_sampler


def _three_tensor(function, W, h=1e-6):
    """∂yₖ/∂W by central differences, as an array (entries of y, rows, columns)."""
    columns = []
    for place in np.ndindex(W.shape):
        step = np.zeros_like(W)
        step[place] = h
        columns.append((function(W + step) - function(W - step)) / (2 * h))
    return np.stack(columns, axis=-1).reshape(-1, *W.shape)


SLICES = {
    "Wx": (
        lambda W, x: W @ x,
        (2, 3),
        3,
        ("∂y₁/∂W = e₁xᵀ", "∂y₂/∂W = e₂xᵀ", "∂y/∂Wₖⱼ = xⱼ eₖ = Eₖⱼx"),
    ),
    "xW": (
        lambda W, x: x @ W,
        (3, 2),
        3,
        ("∂y₁/∂W = xe₁ᵀ", "∂y₂/∂W = xe₂ᵀ", "∂y/∂Wₖⱼ = xₖ eⱼ = Eₖⱼᵀx"),
    ),
    "Wᵀx": (
        lambda W, x: W.T @ x,
        (3, 2),
        3,
        ("∂y₁/∂W = xe₁ᵀ", "∂y₂/∂W = xe₂ᵀ", "∂y/∂Wₖⱼ = xₖ eⱼ = Eₖⱼᵀx"),
    ),
    "2Wx": (lambda W, x: 2 * (W @ x), (2, 3), 3, ("∂y₁/∂W = 2e₁xᵀ", "∂y₂/∂W = 2e₂xᵀ")),
    "tanh": (lambda W, x: np.tanh(W @ x), (2, 3), 3, None),
    "WᵀWx": (lambda W, x: W.T @ (W @ x), (2, 3), 3, None),
    "eight": (
        lambda W, x: W @ x,
        (8, 2),
        2,
        ("∂yₖ/∂W = eₖxᵀ", "∂y/∂Wₖⱼ = xⱼ eₖ = Eₖⱼx"),
    ),
}


@pytest.mark.notes("LA-21", "LA-22", "BP-06", "C-LA-08")
@pytest.mark.parametrize("name", SLICES)
def test_the_derivative_by_a_matrix_is_shown_in_slices(name, read_latex):
    function, shape, size, lines = SLICES[name]
    W, x = (
        dr.symbol("W", shape, dtype="float64"),
        dr.symbol("x", (size,), dtype="float64"),
    )
    found = dr.derive_slices(dr.tanh(W @ x) if name == "tanh" else function(W, x), W)
    assert lines is None or found.lines == lines
    assert found.check() and "\nproved: 20 random points" in str(found)
    read_latex(found.latex())
    rng = np.random.default_rng(4)
    values, point = rng.normal(size=shape), rng.normal(size=size)
    expected = _three_tensor(lambda at: function(at, point), values)
    np.testing.assert_allclose(found.at({W: values, x: point}), expected, atol=1e-8)


def test_a_wrong_slice_is_not_proved():
    W, x = dr.symbol("W", (2, 3)), dr.symbol("x", (3,))
    found = slices((W @ x).node, W.node, evaluate=run, draw=value_sampler(0))
    unit, row = found.term.factors
    wrong = replace(found, term=replace(found.term, factors=(unit, negate(row))))
    assert found.check() and not wrong.check() and "NOT proved" in str(wrong)


def test_slices_and_matrices_name_what_they_show():
    W, a, y = dr.symbol("W", (2, 3)), dr.symbol("a", (3,)), dr.symbol("y", (2,))
    hidden = dr.derive_slices(W @ nn.relu(a) + y, W)
    assert hidden.lines[-1] == "∂f/∂Wₖⱼ = (ReLU(a))ⱼ eₖ = Eₖⱼ ReLU(a)"  # y is an input
    assert (
        dr.derive_slices(W @ a, W, names={W: "W_1"}).lines[-1]
        == "∂y/∂(W₁)ₖⱼ = aⱼ eₖ = Eₖⱼa"
    )
    E, e = dr.symbol("E", (2, 3)), dr.symbol("e_1", (3,))
    assert dr.derive_slices(E @ e, E).lines == (
        "∂y₁/∂E = i₁e₁ᵀ",
        "∂y₂/∂E = i₂e₁ᵀ",
        "∂y/∂Eₖⱼ = (e₁)ⱼ iₖ = Bₖⱼe₁",
    )
    square = dr.derive_jacobian(y * y, y)
    assert str(square).startswith(
        "∂f/∂y = 2 diag(y)\nproved: 20 random points"
    ) and str(square) == repr(square)
    assert str(dr.derive_hessian((a * a * a).sum(), a)).startswith(
        "∂²L/∂a² = 6 diag(a)\nproved: "
    )
    weights = np.arange(6.0).reshape(2, 3)
    for given in ({W: weights}, {"W": weights}):
        np.testing.assert_allclose(dr.derive_jacobian(W @ a, a).at(given), weights.T)
    np.testing.assert_allclose(
        dr.derive_slices(W @ a, W).at({"a": [1, 2, 3]})[1], [[0, 0, 0], [1, 2, 3]]
    )
    flat = dr.derive_hessian(a.sum(), a)
    assert (
        flat.formula == "0"
        and flat.check()
        and np.array_equal(flat.at({}), np.zeros((3, 3)))
    )


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda W, x: dr.derive_slices(W @ W.T, W), "a vector of known size"),
        (
            lambda W, x: dr.derive_slices(W @ x, x),
            "a matrix that the vector depends on",
        ),
        (
            lambda W, x: dr.derive_slices(2 * x, W),
            "a matrix that the vector depends on",
        ),
        (
            lambda W, x: dr.derive_slices(1.0, W),
            "derive_slices: expected a tensor, got float",
        ),
        (lambda W, x: dr.derive_jacobian(W @ x, W), "derive_slices"),
        (
            lambda W, x: dr.derive_jacobian(W.sum(axis=1), x),
            "a variable that the value depends on",
        ),
        (lambda W, x: dr.derive_jacobian(x, x, layout="sideways"), "jacobian layout"),
        (lambda W, x: dr.derive_hessian(W.sum(), W), "hessian: expected a vector"),
        (
            lambda W, x: dr.derive_slices(W @ x, W).at({"q": 1}),
            "names among W, x, got 'q'",
        ),
        (lambda W, x: dr.derive_jacobian(W @ x, x).at({"q": 1}), "names among W, x"),
        (lambda W, x: dr.derive_identity("bayes"), "one of log_sum_exp, nesterov"),
        (lambda W, x: slices((W @ x).node, W.node).at({}), "an evaluator"),
        (lambda W, x: jacobian(x.node, x.node).check(), "an evaluator"),
        (lambda W, x: IDENTITIES["newton"]().text(), "an evaluator"),
    ],
)
def test_closed_forms_refuse_what_they_cannot_show(ask, words):
    with pytest.raises(ArgumentError, match=words):
        ask(dr.symbol("W", (2, 3)), dr.symbol("x", (3,)))


def test_streams_of_random_numbers_have_names_of_their_own():
    x, m = dr.symbol("x", (3,)), dr.symbol("m", (3,))
    draws = [dr.random_uniform((3,), seed=i) for i in range(2)]
    d = dr.derive((x * draws[0] + m * draws[1]).sum(), wrt=[x, m])
    assert (d.gradient("x"), d.gradient("m")) == ("U₁", "U₂") and d.check()
    assert dr.derive((x * draws[0] * draws[0]).sum(), wrt=x).gradient("x") == "U²"
    U = dr.symbol("U", (3,))
    assert dr.derive((x * draws[0] * U).sum(), wrt=[x, U]).gradient("x") == "U ⊙ R"
    assert dr.grade((x * draws[0] + m * draws[1]).sum(), m, "U_2").correct
    assert not dr.grade((x * draws[0] + m * draws[1]).sum(), m, "U_1").correct
