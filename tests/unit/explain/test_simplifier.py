"""Simplified formulas: exact constants, symmetric matrices, inverses, closed forms in the inputs."""

from __future__ import annotations

import math

import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.dtypes import FLOAT64
from deltarule.explain.formula.algebra import multiply, number, power
from deltarule.explain.formula.constants import constant
from deltarule.explain.formula.to_graph import lower
from deltarule.explain.formula.typeset import typeset
from deltarule.render.mathematics import to_text
from deltarule.tensor.explain import run


def real(name: str, *shape: int) -> dr.Tensor:
    return dr.symbol(name, shape, dtype="float64")


CONSTANTS = {
    "√2": 2**0.5,
    "1/√2": 0.5**0.5,
    "−√3": -(3**0.5),
    "2√2": 8**0.5,
    "2/√5": 2 / 5**0.5,
    "2/3 √2": 2 * 2**0.5 / 3,
    "π": math.pi,
    "2π": 2 * math.pi,
    "π/6": math.pi / 6,
    "2/π": 2 / math.pi,
    "√(2π)": math.sqrt(2 * math.pi),
    "1/√(2π)": 1 / math.sqrt(2 * math.pi),
    "log 2": math.log(2),
    "½ log(2π)": 0.5 * math.log(2 * math.pi),
    "0.3": 0.3,
    "1.41421": 1.41421,
    "0.0123457": 0.01234567890123,
    "10⁻⁸": 1e-8,
}


@pytest.mark.parametrize("text", CONSTANTS)
def test_constants_are_exact_where_they_have_a_short_form(text: str) -> None:
    term = constant(CONSTANTS[text])
    shown = to_text(typeset(term))
    assert shown.replace("3/10", "0.3").replace("log(2)", "log 2") == text
    (value,) = run([lower(term, FLOAT64)], {})
    assert float(value) == pytest.approx(CONSTANTS[text], rel=1e-15)


def test_roots_of_numbers_are_joined() -> None:
    two, three = (constant(math.sqrt(n)) for n in (2, 3))
    assert to_text(typeset(multiply(two, three))) == "√6"
    assert multiply(two, two) == number(2)
    assert to_text(typeset(multiply(number(2), power(two, -1)))) == "√2"


def test_a_gradient_keeps_the_root_of_the_loss() -> None:
    x, s, mu = real("x", 3), real("s"), real("mu")
    assert dr.derive((x @ x) / 2**0.5, wrt=x).gradient("x") == "√2 x"
    gauss = dr.log(s * math.sqrt(2 * math.pi)) + (mu - 1) ** 2 / (2 * s**2)
    assert dr.derive(gauss, wrt=s).gradient("s") == "1/s − (μ − 1)²/s³"


def rayleigh() -> tuple[dr.Tensor, list[dr.Tensor]]:
    A, x = real("A", 3, 3), real("x", 3)
    return (x @ A @ x) / (x @ x), [x]


def trace_of_four() -> tuple[dr.Tensor, list[dr.Tensor]]:
    A, B, X = real("A", 3, 3), real("B", 4, 4), real("X", 3, 4)
    return dr.linalg.trace(X.T @ A @ X @ B), [X]


def logarithm_of_a_gram_determinant() -> tuple[dr.Tensor, list[dr.Tensor]]:
    A = real("A", 3, 3)
    return dr.linalg.logdet(A @ A.T), [A]


def generalised_least_squares() -> tuple[dr.Tensor, list[dr.Tensor]]:
    X, w, y, M = real("X", 5, 3), real("w", 3), real("y", 5), real("M", 5, 5)
    r = X @ w - y
    return 0.5 * (r @ (M @ r)), [w]


def weighted_by_an_inverse() -> tuple[dr.Tensor, list[dr.Tensor]]:
    X, w, y, C = real("X", 5, 3), real("w", 3), real("y", 5), real("C", 5, 5)
    r = X @ w - y
    return r @ dr.linalg.solve(C, r), [w]


def quadratic_form_of_an_inverse() -> tuple[dr.Tensor, list[dr.Tensor]]:
    A, b = real("A", 3, 3), real("b", 3)
    return b @ dr.linalg.solve(A, b), [A]


def divergence_of_gaussians() -> tuple[dr.Tensor, list[dr.Tensor]]:
    m, n, S, T = real("m", 3), real("n", 3), real("S", 3, 3), real("T", 3, 3)
    d = n - m
    scatter = dr.linalg.trace(dr.linalg.solve(T, S)) + d @ dr.linalg.solve(T, d)
    logarithms = dr.linalg.logdet(T) - dr.linalg.logdet(S)
    return 0.5 * (scatter - 3 + logarithms), [m, S, T]


def factorisation() -> tuple[dr.Tensor, list[dr.Tensor]]:
    U, V, R = real("U", 4, 2), real("V", 5, 2), real("R", 4, 5)
    return ((R - U @ V.T) ** 2).sum() / 2, [U, V]


def quadratic_form_of_a_gram_matrix() -> tuple[dr.Tensor, list[dr.Tensor]]:
    A, x = real("A", 4, 3), real("x", 4)
    return x @ (A @ A.T) @ x, [x, A]


def mixture() -> tuple[dr.Tensor, list[dr.Tensor]]:
    x, p, m, s = real("x"), real("p", 3), real("m", 3), real("s", 3)
    exponent = nn.log_softmax(p) - s - 0.5 * ((x - m) / dr.exp(s)) ** 2
    return -dr.logsumexp(exponent), [p]


CLOSED = {
    rayleigh: {"x": "((A + Aᵀ)x − 2Lx)/(xᵀx)"},
    trace_of_four: {"X": "AXB + AᵀXBᵀ"},
    logarithm_of_a_gram_determinant: {"A": "2A⁻ᵀ"},
    generalised_least_squares: {"w": "½Xᵀ(M + Mᵀ)u₁"},
    weighted_by_an_inverse: {"w": "Xᵀ(C⁻¹ + C⁻ᵀ)u₁"},
    quadratic_form_of_an_inverse: {"A": "−A⁻ᵀbbᵀA⁻ᵀ"},
    divergence_of_gaussians: {
        "m": "−½(T⁻¹ + T⁻ᵀ)u₁",
        "S": "½(T⁻ᵀ − S⁻ᵀ)",
        "T": "½(T⁻ᵀ − T⁻ᵀ(u₁u₁ᵀ + Sᵀ)T⁻ᵀ)",
    },
    factorisation: {"U": "(UVᵀ − R)V", "V": "(UVᵀ − R)ᵀU"},
    quadratic_form_of_a_gram_matrix: {"x": "2 AAᵀx", "A": "2 xxᵀA"},
    mixture: {"p": "softmax(p) − softmax(u₁)"},
}


@pytest.mark.parametrize("problem", CLOSED, ids=lambda problem: problem.__name__)
def test_closed_forms_are_those_of_a_textbook(problem) -> None:
    loss, variables = problem()
    derivation = dr.derive(loss, wrt=variables)
    found = {name: derivation.gradient(name) for name in CLOSED[problem]}
    assert found == CLOSED[problem]
    assert derivation.check(points=5), str(derivation.check(points=5))


def test_every_step_is_shown_on_request_under_the_same_names() -> None:
    loss, variables = generalised_least_squares()
    short, every = (
        dr.derive(loss, wrt=variables, detail=detail) for detail in ("steps", "every")
    )
    assert [line.name for line in short.forward] == ["u_1", "L"]
    known = {line.name: line.node for line in every.forward}
    assert len(known) > 2
    assert all(known[line.name] is line.node for line in short.forward)
    assert every.check(points=5)


def test_constant_derivatives_are_written_where_they_are_used() -> None:
    w, X, y = real("w", 3), real("X", 6, 3), real("y", 6)
    loss = 0.5 * (w @ w) + dr.maximum(0, 1 - y * (X @ w)).mean()
    derivation = dr.derive(loss, wrt=w)
    lines = {line.name for line in derivation.steps}
    assert lines == {"z_1", "w"}
    assert derivation.check(points=5)


def test_multiples_of_scores_are_one_line() -> None:
    Q, K, Y = real("Q", 4, 2), real("K", 5, 2), real("Y", 4, 5)
    loss = ((nn.softmax(Q @ K.T / 2**0.5) - Y) ** 2).sum()
    page = str(dr.derive(loss, wrt=[Q, K]))
    assert "Z₁ = QKᵀ/√2" in page
    assert "Δ₁K/√2" in page


def test_answers_define_the_names_they_use() -> None:
    W, V, x, y = real("W_1", 5, 4), real("W_2", 3, 5), real("x", 4), real("y", 3)
    loss = losses.CrossEntropy()(V @ nn.tanh(W @ x), y)
    answers = dr.derive(loss, wrt=[W, V], detail="answers")
    for page in (str(answers), answers.latex(), answers.html()):
        assert "softmax" in page and "tanh" in page
    text = str(answers)
    assert "z₁ = W₁x" in text and "ŷ  = softmax(z₂)" in text and "log" not in text
    linear = dr.derive((W @ x).sum(), wrt=x, detail="answers")
    assert "forward" not in str(linear)
