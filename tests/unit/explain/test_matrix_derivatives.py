"""Jacobians and Hessians in closed form: the formula expected, its values against NumPy, and its proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import deltarule as dr
from deltarule.explain.formula.algebra import negate
from deltarule.graph.walk import inputs
from deltarule.tensor.explain import value_sampler

STEP = 1e-5


def real(name: str, *shape: int) -> dr.Tensor:
    return dr.symbol(name, shape, dtype="float64")


rng = np.random.default_rng(3)
VALUES = {
    "x": rng.normal(size=3),
    "w": rng.normal(size=3),
    "A": rng.normal(size=(3, 3)) + 3 * np.eye(3),
    "s": np.asarray(0.7),
}
X, W, A, S = real("x", 3), real("w", 3), real("A", 3, 3), real("s")
Function = Callable[..., object]

JACOBIANS: dict[str, tuple[dr.Tensor, Function]] = {
    "(wᵀx)I + wxᵀ": (X * (W @ X), lambda x: x * (VALUES["w"] @ x)),
    "(xᵀx)I + 2 xxᵀ": (X * (X @ X), lambda x: x * (x @ x)),
    "A⁻ᵀ": (dr.linalg.solve(A, X), lambda x: np.linalg.solve(VALUES["A"], x)),
    "x[1]I + e₁xᵀ": (X * X[0], lambda x: x * x[0]),
    "2x": (X @ X, lambda x: np.array([x @ x])),
}


@pytest.mark.parametrize("formula", JACOBIANS)
def test_jacobians_have_the_form_of_a_textbook(formula: str) -> None:
    y, function = JACOBIANS[formula]
    found = dr.derive_jacobian(y, X)
    assert found.formula == formula
    x = VALUES["x"]
    differences = [
        (np.asarray(function(x + h)) - np.asarray(function(x - h))) / (2 * STEP)
        for h in STEP * np.eye(3)
    ]
    given = {name: VALUES[name] for name in ("x", "w", "A") if name in names_of(y)}
    np.testing.assert_allclose(found.at(given), np.stack(differences), atol=1e-8)
    assert "proved" in str(found)


def names_of(tensor: dr.Tensor) -> set[str]:
    """Return the names of the inputs of a tensor."""
    return {str(node.attributes["name"]) for node in inputs([tensor.node])}


def second_differences(function: Function, x: np.ndarray) -> np.ndarray:
    """Return the Hessian by central differences of central differences."""
    h = 1e-4
    steps = h * np.eye(len(x))

    def f(z: np.ndarray) -> float:
        return float(function(z))  # type: ignore[arg-type]

    return np.array(
        [
            [
                (f(x + a + b) - f(x + a - b) - f(x - a + b) + f(x - a - b)) / (4 * h**2)
                for b in steps
            ]
            for a in steps
        ]
    )


def quotient(x: np.ndarray) -> float:
    return float(x @ VALUES["A"] @ x / (x @ x))


HESSIANS: dict[str, tuple[dr.Tensor, Function]] = {
    "4(xᵀx)I + 8 xxᵀ": ((X @ X) ** 2, lambda x: (x @ x) ** 2),
    "[0  x[3]  x[2]; x[3]  0  x[1]; x[2]  x[1]  0]": (
        X[0] * X[1] * X[2],
        lambda x: x[0] * x[1] * x[2],
    ),
    "A + Aᵀ": (X @ A @ X, lambda x: x @ VALUES["A"] @ x),
    "[1200(x[1])² − 400x[2] + 2  −400x[1]  0; −400x[1]  200  0; 0  0  0]": (
        (1 - X[0]) ** 2 + 100 * (X[1] - X[0] ** 2) ** 2,
        lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2,
    ),
    "(Aᵀ − 2LI + A)/(xᵀx) + (8L xxᵀ − 2 xxᵀ(A + Aᵀ) − 2(A + Aᵀ)xxᵀ)/(xᵀx)²": (
        (X @ A @ X) / (X @ X),
        quotient,
    ),
}


@pytest.mark.parametrize("formula", HESSIANS)
def test_hessians_have_the_form_of_a_textbook(formula: str) -> None:
    loss, function = HESSIANS[formula]
    found = dr.derive_hessian(loss, X)
    assert found.formula == formula
    given = {name: VALUES[name] for name in ("x", "A") if name in names_of(loss)}
    expected = second_differences(function, VALUES["x"])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found.at(given), expected, atol=1e-5 * scale)
    assert "proved" in str(found)


def test_derivatives_of_numbers_by_numbers() -> None:
    first, second = dr.derive_jacobian(S**3, S), dr.derive_hessian(S**3, S)
    assert (first.formula, second.formula) == ("3s²", "6s")
    assert second.at({"s": 0.7}).item() == pytest.approx(4.2)
    assert "proved" in str(first) and "proved" in str(second)
    assert dr.derive_jacobian(S * dr.exp(S), S).formula == "e^s + se^s"


def test_a_wrong_table_is_not_proved() -> None:
    found = dr.derive_hessian(X[0] * X[1], X)
    wrong = replace(found, term=negate(found.term))
    assert not wrong.check(draw=value_sampler(0))
