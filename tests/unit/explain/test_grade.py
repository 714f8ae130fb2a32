"""Grading: right answers in any form are right, mutated ones never, and known mistakes are named."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deltarule as dr
from deltarule.errors import ArgumentError
from deltarule.explain.derivation.derivation import Deriver
from deltarule.explain.formula.to_graph import lower
from deltarule.explain.grading.mistakes import chain, mistakes, spoil
from deltarule.explain.page.page import entry
from deltarule.explain.proof.proof import Precise
from deltarule.graph import functions as f
from deltarule.render.mathematics import to_latex, to_text
from deltarule.tensor.explain import grade, run, value_sampler
from deltarule.tensor.tensor import Tensor


def call(function, *tensors, **attributes):
    return Tensor(function(*(t.node for t in tensors), **attributes))


def symbol(name, *shape):
    return dr.symbol(name, shape, dtype="float64")


def two_layers(hidden=2):
    """The weighted-BCE network: loss and variables by name."""
    x, y, a, b = symbol("x", 3), symbol("y", 1), symbol("alpha"), symbol("beta")
    W1, b1, W2, b2 = (
        symbol("W_1", hidden, 3),
        symbol("b_1", hidden),
        symbol("W_2", 1, hidden),
        symbol("b_2", 1),
    )
    out = call(f.sigmoid, W2 @ call(f.relu, W1 @ x + b1) + b2)
    loss = -(a * y * dr.log(out) + b * (1 - y) * dr.log(1 - out)).sum()
    return loss, {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


def batch():
    X, Y = symbol("X", 5, 4), symbol("Y", 5, 3)
    W1, b1, W2, b2 = (
        symbol("W_1", 6, 4),
        symbol("b_1", 6),
        symbol("W_2", 3, 6),
        symbol("b_2", 3),
    )
    loss = call(f.cross_entropy, dr.tanh(X @ W1.T + b1) @ W2.T + b2, Y).mean()
    return loss, {"W_1": W1, "b_1": b1, "W_2": W2, "b_2": b2}


def shared():
    x, z, W, V, y = (
        symbol("x", 3),
        symbol("z", 3),
        symbol("W", 3, 3),
        symbol("V", 3, 3),
        symbol("y", 3),
    )
    out = V @ (call(f.relu, W @ x) + call(f.relu, W @ z))
    return call(f.squared_error, out, y).sum(), {"W": W, "V": V}


NETWORKS = {"two_layers": two_layers, "batch": batch, "shared": shared}

RIGHT = [
    ("two_layers", "W_1", "δ₁xᵀ"),
    ("two_layers", "W_1", "delta_1 x^T"),
    ("two_layers", "W_1", "(x δ₁ᵀ)ᵀ"),
    ("two_layers", "W_1", r"\delta_1 x^{\top}"),
    ("two_layers", "W_1", r"\frac{\partial L}{\partial z_1} x^T"),
    (
        "two_layers",
        "W_1",
        r"\left(\mathbb{1}(z_1>0)\odot W_2^{\top}\left(\beta(1-y)\hat{y}-\alpha y(1-\hat y)\right)\right)x^T",
    ),
    (
        "two_layers",
        "W_1",
        r"\operatorname{diag}(\mathbf 1(z_1 > 0)) W_2^T \delta_2 x^\top",
    ),
    ("two_layers", "W_1", "(𝟙(a₁ > 0) ⊙ (W₂ᵀδ₂))xᵀ"),
    ("two_layers", "W_1", "np.outer((z_1 > 0) * (W_2.T @ delta_2), x)"),
    ("two_layers", "W_1", "delta_1[:, None] * x[None, :]"),
    ("two_layers", "b_2", "ŷ(1-ŷ)(β(1-y)/(1-ŷ) - αy/ŷ)"),
    (
        "two_layers",
        "b_2",
        r"\sigma(z_2)(1-\sigma(z_2))\left(\beta\frac{1-y}{1-\hat y}-\alpha\frac{y}{\hat y}\right)",
    ),
    ("two_layers", "b_2", "β ŷ - β y ŷ - α y + α y ŷ"),
    ("two_layers", "b_2", "δ₂ + Σ (x)² - xᵀx"),
    ("two_layers", "W_2", "δ₂ a₁ᵀ"),
    ("two_layers", "W_2", r"dL/dW_2 = \delta_2 a_1^T"),
    ("batch", "W_2", "1/5 (Ŷ - Y)ᵀ A₁"),
    ("batch", "W_2", r"\frac{1}{m}(\hat Y - Y)^T A_1"),
    ("batch", "W_2", "(Y_hat - Y).T @ A_1 / 5"),
    ("batch", "W_1", "(Δ₂W₂ ⊙ (1 - A₁²))ᵀX"),
    ("batch", "W_1", "(Δ₂W₂ ⊙ (1 - tanh(Z_1)^2))^T X"),
    ("batch", "W_1", "(Δ₂W₂ ⊙ (1 - A₁) ⊙ (1 + A₁))ᵀX"),
    ("batch", "b_2", "Δ₂ᵀ𝟙"),
    ("batch", "b_2", "Delta_2.sum(axis=0)"),
    ("shared", "V", "(ŷ - y)(a₁ + a₂)ᵀ"),
]


@pytest.mark.parametrize(("network", "variable", "answer"), RIGHT)
def test_right_answers_in_any_form(network, variable, answer):
    loss, variables = NETWORKS[network]()
    result = grade(
        loss, variables[variable], answer, parameters=list(variables.values())
    )
    assert result.correct and result.mistake == "equal", str(result)


@pytest.mark.parametrize(
    ("network", "variable", "answer", "mistake"),
    [
        ("two_layers", "W_1", "x δ₁ᵀ", "transposed"),
        ("two_layers", "W_1", "-δ₁xᵀ", "sign"),
        ("two_layers", "W_1", "½ δ₁xᵀ", "factor"),
        ("two_layers", "W_1", "W₂ᵀδ₂xᵀ", "activation"),
        ("two_layers", "W_1", "x(W₂ᵀδ₂)ᵀ", "activation"),
        ("two_layers", "b_2", "β(1-y)/(1-ŷ) - αy/ŷ", "activation"),
        ("two_layers", "W_1", "W_1", "signal"),
        ("two_layers", "W_2", "δ₂xᵀ", "shape"),
        ("two_layers", "b_1", "δ₁ δ₁", "shape"),
        ("batch", "W_2", "(Ŷ - Y)ᵀA₁", "mean"),
        ("batch", "W_2", "(Y - Ŷ)ᵀA₁", "mean"),
        ("batch", "W_1", "(Δ₂W₂)ᵀX", "activation"),
        ("batch", "b_1", "Δ₁𝟙", "axis"),
        ("shared", "W", "δ₁xᵀ", "path"),
        (
            "shared",
            "W",
            "(𝟙(z₁ > 0) ⊙ V(ŷ - y))xᵀ + (𝟙(z₂ > 0) ⊙ V(ŷ - y))zᵀ",
            "transpose",
        ),
    ],
)
def test_known_mistakes_are_named(network, variable, answer, mistake):
    loss, variables = NETWORKS[network]()
    result = grade(
        loss, variables[variable], answer, parameters=list(variables.values())
    )
    assert not result and result.mistake == mistake, str(result)
    assert result.line is None or result.line >= 1


def residual():
    x, y, W, U = symbol("x", 3), symbol("y", 3), symbol("W", 3, 3), symbol("U", 3, 3)
    h = dr.tanh(W @ x)
    return call(f.squared_error, U @ h + h, y).sum(), {"W": W, "U": U}


def regularised():
    x, y, W, weight = symbol("x", 3), symbol("y", 2), symbol("W", 2, 3), symbol("alpha")
    return call(f.squared_error, W @ x, y).sum() + 0.5 * weight * (W * W).sum(), {
        "W": W
    }


def scalar():
    x, g, y = symbol("x"), symbol("g"), symbol("y")
    h = x * x
    return h * y + dr.exp(h) * g, {"x": x}


FANS = {
    "shared": shared,
    "residual": residual,
    "regularised": regularised,
    "scalar": scalar,
}


@pytest.mark.notes("BP-05", "LA-19")
@pytest.mark.parametrize(
    ("network", "variable", "answer", "kind", "words"),
    [
        ("shared", "W", "δ₂zᵀ", "path", "δ₁xᵀ is missing"),
        ("shared", "W", "-2 δ₁xᵀ", "path", "multiplied by −2"),
        ("shared", "W", "xδ₁ᵀ", "path", "Transposed, it still differs"),
        ("shared", "W", "Vᵀ(ŷ - y)xᵀ", "path", "besides, the factor 𝟙"),
        ("shared", "W", "Vᵀ(ŷ - y)(x + z)ᵀ", "activation", "every derivative"),
        ("shared", "W", "δ₁xᵀ - δ₂zᵀ", "sign", "the sign of δ₂zᵀ is wrong"),
        ("shared", "V", "(ŷ - y)a₁ᵀ", "path", "a₂ of u₁ is missing"),
        ("residual", "W", "(Uᵀ(ŷ - y) ⊙ (1 - a₁²))xᵀ", "path", "δ₃ is missing"),
        ("residual", "W", "((ŷ - y) ⊙ (1 - a₁²))xᵀ", "path", "Uᵀδ₃ is missing"),
        (
            "residual",
            "W",
            "(U(ŷ - y) ⊙ (1 - a₁²))xᵀ",
            "path",
            "besides, U stands where",
        ),
        ("regularised", "W", "(ŷ - y)xᵀ", "path", "αW is missing"),
        ("regularised", "W", "(ŷ - y)xᵀ + 2αW", "factor", "αW is multiplied by 2"),
        ("scalar", "x", "2xy", "path", "is missing"),
        ("scalar", "x", "2x g exp(x²)", "path", "path y is missing"),
        ("batch", "W_2", "1/5 Ŷᵀ A₁", "term", "−Y is missing"),
        (
            "batch",
            "W_2",
            "1/5 ((Ŷ - Y) ⊙ Ŷ ⊙ (1 - Ŷ))ᵀ A₁",
            "activation",
            "one too many",
        ),
        ("batch", "W_2", "1/25 (Ŷ - Y)ᵀ A₁", "mean", "1/5 too many"),
    ],
)
def test_mistakes_at_a_fan_out(network, variable, answer, kind, words):
    loss, variables = {**FANS, "batch": batch}[network]()
    result = grade(
        loss, variables[variable], answer, parameters=list(variables.values())
    )
    assert not result and result.mistake == kind, str(result)
    assert words.lower() in result.message.lower(), str(result)


def _dropped_paths():
    """Every term of every sum over paths dropped, in every network with a fan-out."""
    found = []
    for label, make in FANS.items():
        loss, variables = make()
        derived = Deriver(
            loss.node, [v.node for v in variables.values()], {}, "denominator", "steps"
        ).derive()
        for wanted in (line for line in derived.backward if line.wanted):
            found += [
                (label, wanted.name, mistake.message)
                for mistake in mistakes(derived.backward, wanted)
                if mistake.kind == "path"
            ]
    return found


@pytest.mark.parametrize("place", range(len(_dropped_paths())))
def test_a_missing_path_is_never_unknown(place):
    """Alone or with a second mistake, given as a function of arrays that runs the spoiled derivation."""
    label, variable, message = _dropped_paths()[place]
    loss, variables = FANS[label]()
    derived = Deriver(
        loss.node, [v.node for v in variables.values()], {}, "denominator", "steps"
    ).derive()
    wanted = next(
        line for line in derived.backward if line.wanted and line.name == variable
    )
    spoiled = next(
        m for m in mistakes(derived.backward, wanted) if m.message == message
    )
    nodes = {symbol_.name: symbol_.node for symbol_ in derived.inputs}

    def answer(*arrays):
        return run([spoiled.node], dict(zip(nodes.values(), arrays, strict=True)))[0]

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    answer.__signature__ = inspect.Signature(
        [inspect.Parameter(name, kind) for name in nodes]
    )
    result = grade(
        loss, variables[variable], answer, parameters=list(variables.values())
    )
    assert not result and result.mistake not in {"unknown", "equal"}, str(result)


def test_a_missing_indicator_points_to_its_line():
    loss, variables = two_layers()
    result = grade(
        loss,
        variables["W_1"],
        "x (W_2^T delta_2)^T",
        parameters=list(variables.values()),
    )
    assert (
        "3×2" in result.message
        and "2×3" in result.message
        and "numerator" in result.message
    )
    assert "𝟙(z₁ > 0) is missing" in result.message and result.line == 5


def test_functions_of_arrays():
    loss, variables = two_layers()
    assert grade(loss, variables["W_1"], lambda delta_1, x: np.outer(delta_1, x))
    wrong = grade(
        loss, variables["W_1"], lambda delta_2, W_2, x: np.outer(W_2.T @ delta_2, x)
    )
    assert not wrong and wrong.mistake == "activation"
    with pytest.raises(ArgumentError, match="among"):
        grade(loss, variables["W_1"], lambda nonsense: nonsense)


def test_the_other_layout():
    loss, variables = two_layers()
    assert grade(loss, variables["W_1"], "xδ₁ᵀ", layout="numerator")
    assert (
        grade(loss, variables["W_1"], "δ₁xᵀ", layout="numerator").mistake
        == "transposed"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("δ₁xᵀ +", "the end"),
        ("δ₁ q", "a known name"),
        ("(δ₁xᵀ", '"\\)"'),
        (r"\foo x", "LaTeX command"),
        (r"\frac{1}", "two arguments"),
        ("np.fft(x)", "one of"),
        ("import os", "position"),
    ],
)
def test_unreadable_answers_point_to_the_place(answer, words):
    loss, variables = two_layers()
    with pytest.raises(ArgumentError, match=words):
        grade(loss, variables["W_1"], answer)


def test_python_answers_are_never_executed():
    loss, variables = two_layers()
    with pytest.raises(ArgumentError):
        grade(loss, variables["W_1"], "__import__('os').getcwd()", language="python")


# ---------------------------------------------------------------- mutated right answers are never graded right


def _mutants():
    """Every one-place mutation of every wanted line of every network, as a term."""
    found = []
    for label, make in NETWORKS.items():
        loss, variables = make()
        derived = Deriver(
            loss.node, [v.node for v in variables.values()], {}, "denominator", "steps"
        ).derive()
        for line in derived.backward:
            if line.wanted:
                found.extend(
                    (label, line.name, spoiled) for spoiled in spoil(line.term)
                )
    return found


@pytest.mark.parametrize("place", range(len(_mutants())))
def test_a_spoiled_line_is_never_graded_right(place):
    from deltarule.explain.formula.typeset import typeset

    label, variable, spoiled = _mutants()[place]
    loss, variables = NETWORKS[label]()
    answer = to_text(typeset(spoiled.term))
    result = grade(
        loss, variables[variable], answer, parameters=list(variables.values())
    )
    assert not result.correct, f"{answer}: {result}"


@settings(max_examples=25)
@given(
    factor=st.sampled_from(["2", "½", "-1", "(1/5)", "5", "0.999", "1.0001"]),
    place=st.sampled_from(
        ["{f} δ₁xᵀ", "(𝟙(z₁ > 0) ⊙ {f} W₂ᵀδ₂)xᵀ", "δ₁ {f} xᵀ", "(x ({f} δ₁)ᵀ)ᵀ"]
    ),
)
def test_a_factor_anywhere_is_never_right(factor, place):
    loss, variables = two_layers()
    result = grade(
        loss,
        variables["W_1"],
        place.format(f=f"({factor})"),
        parameters=list(variables.values()),
    )
    assert not result.correct and result.mistake in {"factor", "sign"}


@settings(max_examples=25)
@given(
    left=st.sampled_from(
        [
            "δ₁",
            "(𝟙(z₁ > 0) ⊙ W₂ᵀδ₂)",
            "diag(𝟙(z₁ > 0)) W₂ᵀδ₂",
            "(W₂ᵀδ₂ ⊙ 𝟙(0 < z₁))",
            "(δ₂W₂ diag(𝟙(a₁ > 0)))ᵀ",
        ]
    ),
    wrap=st.sampled_from(
        [
            "{l}xᵀ",
            "(x({l})ᵀ)ᵀ",
            "2{l}xᵀ - {l}xᵀ",
            "{l}xᵀ + 0 W₁",
            "({l}/2)xᵀ 2",
            "-(-{l})xᵀ",
        ]
    ),
)
def test_equal_forms_are_always_right(left, wrap):
    loss, variables = two_layers()
    result = grade(
        loss, variables["W_1"], wrap.format(l=left), parameters=list(variables.values())
    )
    assert result.correct, f"{wrap.format(l=left)}: {result}"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("write", [to_text, to_latex])
def test_what_a_derivation_prints_is_graded_right(network, write):
    """The printed closed forms, as text and as LaTeX, are read back and found equal."""
    loss, variables = NETWORKS[network]()
    derivation = dr.derive(loss, wrt=list(variables.values()))
    for line in derivation.derived.closed:
        answer = write(entry(line, "L").right)
        result = grade(
            loss, variables[line.name], answer, parameters=list(variables.values())
        )
        assert result.correct, f"{answer}: {result}"


def test_chain_reproduces_the_gradient():
    loss, variables = two_layers()
    derived = Deriver(
        loss.node, [v.node for v in variables.values()], {}, "denominator", "steps"
    ).derive()
    wanted = next(line for line in derived.backward if line.name == "W_1")
    node = chain(derived.backward, wanted, {})
    assert node.shape == lower(wanted.term, wanted.value.dtype).shape
    precise = Precise([loss.node, node, wanted.value], run, value_sampler(0), loss.node)
    given_values = precise.draw()
    a, b = precise.values([precise[node], precise[wanted.value]], given_values)
    np.testing.assert_allclose(a, b, rtol=1e-12)
