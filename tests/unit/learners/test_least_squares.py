"""Least squares by moments of the data: conditions, shapes, engines, and the lasso's steps by NumPy and by machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as reference
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

from deltarule.errors import ArgumentError, DataError
from deltarule.learners import PCA, Lasso, LinearRegression, Ridge
from deltarule.learners.base import Array
from deltarule.learners.linear_model import proximal, quadratic, scatter
from deltarule.learners.linear_model.design import Design
from deltarule.learners.linear_model.newton import Problem
from deltarule.losses import SquaredError

R = np.random.default_rng(0)
N, D = 240, 9
X = R.normal(size=(N, D)) @ R.normal(size=(D, D)) + 3
THETA = R.normal(size=(D, 3)) * (R.uniform(size=(D, 3)) < 0.6)
Y = X @ THETA + R.normal(size=(N, 3))
WEIGHTS = R.uniform(0.1, 2, N)


@pytest.mark.notes("CM-01", "CM-28")
@pytest.mark.parametrize("outputs", [1, 3, 20])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_solutions_are_those_of_scikit_learn(
    outputs: int, intercept: bool, weights: Any
) -> None:
    """With one target, several, and more than there are features."""
    random = np.random.default_rng(0)
    y = X @ random.normal(size=(D, outputs)) + random.normal(size=(N, outputs))
    for ours, theirs in (
        (LinearRegression(), reference.LinearRegression()),
        (LinearRegression(solver="svd"), reference.LinearRegression()),
        (Ridge(alpha=3.0), reference.Ridge(alpha=3.0)),
    ):
        ours.set_params(fit_intercept=intercept).fit(X, y, sample_weight=weights)
        theirs.set_params(fit_intercept=intercept).fit(X, y, sample_weight=weights)
        np.testing.assert_allclose(
            ours.coef_, np.atleast_2d(theirs.coef_), rtol=1e-8, atol=1e-10
        )
        np.testing.assert_allclose(
            ours.intercept_, theirs.intercept_, rtol=1e-8, atol=1e-10
        )


@pytest.mark.parametrize(
    "learner",
    [
        LinearRegression(),
        Ridge(alpha=0.5),
        Ridge(fit_intercept=False),
        Lasso(alpha=0.1),
    ],
)
def test_fits_agree_on_both_engines(
    learner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(4100, 70)) + 2
    y, weights = (
        x[:, :2] @ [[1.0, 2.0], [0.0, -1.0]] + random.normal(size=(4100, 2)),
        random.uniform(0, 1, 4100),
    )
    found = []
    for limit in (10**18, 0):
        monkeypatch.setattr(scatter, "_WORTH_COMPILING", limit)
        found.append(clone(learner).fit(x, y, sample_weight=weights))
    np.testing.assert_allclose(found[0].coef_, found[1].coef_, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(
        found[0].intercept_, found[1].intercept_, rtol=1e-8, atol=1e-11
    )


@pytest.mark.notes("CM-28")
@pytest.mark.parametrize("alpha", [0.0, 1e-9, 1e-3, 1.0])
@pytest.mark.parametrize("digits", [0, 2, 4, 6])
def test_ridge_keeps_its_digits_whatever_the_condition(
    alpha: float, digits: int
) -> None:
    """Singular values from 1 to 10^−digits, and θ in closed form from exact factors."""
    random = np.random.default_rng(0)
    u, v = (
        np.linalg.qr(random.normal(size=(60, 8)))[0],
        np.linalg.qr(random.normal(size=(8, 8)))[0],
    )
    s, c = np.geomspace(1, 10.0**-digits, 8), random.normal(size=8)
    ours = Ridge(alpha=alpha, fit_intercept=False).fit((u * s) @ v.T, u @ c)
    expected = v @ (s / (s**2 + alpha) * c)
    error = np.abs(ours.coef_ - expected).max() / np.abs(expected).max()
    assert error < max(1e-9, 10 * 10.0**digits * 2e-16)


def test_fewer_examples_than_features(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    monkeypatch.setattr(quadratic, "scatters", None)  # no (d, d) matrix is made
    x, y = random.normal(size=(6, 40)), random.normal(size=6)
    for alpha in (1e-3, 1.0):
        ours, theirs = (
            Ridge(alpha=alpha).fit(x, y),
            reference.Ridge(alpha=alpha, solver="svd").fit(x, y),
        )
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8, atol=1e-12)
    smallest = LinearRegression().fit(x, y)
    np.testing.assert_allclose(
        smallest.coef_,
        reference.LinearRegression().fit(x, y).coef_,
        rtol=1e-8,
        atol=1e-12,
    )


@pytest.mark.notes("CM-28", "DA-19")
def test_no_derivative_of_a_lasso_is_above_its_penalty() -> None:
    """∂J/∂θ of the mean of ½w(y − θᵀx)², from the graph: −α·sign(θ) where θ ≠ 0, else within ±α."""
    y, weights = Y[:, 0], WEIGHTS / WEIGHTS.mean()
    learner = Lasso(alpha=0.4, tol=1e-12).fit(X, y, sample_weight=weights)
    design = Design.of(X, np.ones(N), True)
    made = Problem(SquaredError(scale=0.5), 1, design, y, weights, np.zeros(D + 1))
    _, slopes = made.slopes(
        design.inner(learner.coef_[None], np.array([learner.intercept_]))
    )
    gradient = np.append(
        slopes[0, :-1] * design.size + slopes[0, -1] * X.mean(axis=0),
        slopes[0, -1],
    )[None]
    kept = learner.coef_ != 0
    assert 0 < kept.sum() < D
    np.testing.assert_allclose(
        gradient[0, :-1][kept], -0.4 * np.sign(learner.coef_[kept]), rtol=1e-8
    )
    assert (np.abs(gradient[0, :-1][~kept]) <= 0.4).all() and abs(
        gradient[0, -1]
    ) < 1e-10


def _problem(outputs: int) -> tuple[Any, Any]:
    """Return moments of features of different sizes, which take many steps."""
    random = np.random.default_rng(outputs)
    x = random.normal(size=(200, 12)) * np.geomspace(1, 0.02, 12)
    y = x @ (random.normal(size=(12, outputs)) * 3) + 0.1 * random.normal(
        size=(200, outputs)
    )
    return x.T @ x / 200, x.T @ y / 200


@pytest.mark.parametrize("outputs", [1, 3])
def test_native_steps_are_those_of_numpy(
    outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gram, target = _problem(outputs)
    found = []
    for limit in (10**9, 0, 60):  # NumPy alone, native alone, native after NumPy
        monkeypatch.setattr(proximal, "WORTH_COMPILING", limit)
        monkeypatch.setattr(proximal, "_STEPS", 37)
        found.append(proximal.lasso(gram, target, 1e-3, 10_000, 1e-10))
    theta, steps, ended = found[0]
    assert 100 < steps < 10_000 and ended and (theta == 0).any()
    for other, number, ended in found[1:]:
        assert number == steps and ended
        np.testing.assert_allclose(other, theta, rtol=1e-9, atol=1e-13)
        np.testing.assert_array_equal(other == 0, theta == 0)
    slope = gram @ theta - target
    assert np.abs(slope[theta == 0]).max() <= 1e-3
    np.testing.assert_allclose(
        slope[theta != 0], -1e-3 * np.sign(theta[theta != 0]), rtol=1e-5
    )


@pytest.mark.parametrize("limit", [0, 20, 10**9])
def test_steps_end_at_the_number_that_was_asked_for(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    gram, target = _problem(1)
    monkeypatch.setattr(proximal, "WORTH_COMPILING", limit)
    monkeypatch.setattr(proximal, "_STEPS", 16)
    theta, steps, ended = proximal.lasso(gram, target, 1e-3, 50, 1e-300)
    assert steps == 50 and not ended
    monkeypatch.setattr(proximal, "_WORTH_CALLING", 0)  # large steps are NumPy's
    alone, number, ended = proximal.lasso(gram, target, 1e-3, 50, 1e-300)
    assert number == 50 and not ended
    np.testing.assert_allclose(theta, alone, rtol=1e-10, atol=1e-14)
    assert proximal.lasso(gram, target, 1e3, 50, 1e-8) == (
        pytest.approx(np.zeros((12, 1))),
        1,
        True,
    )


@pytest.mark.parametrize("limit", [20, 1000], ids=["native", "NumPy"])
def test_lasso_says_that_its_steps_were_too_few(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proximal, "WORTH_COMPILING", limit)
    x, y = load_diabetes(return_X_y=True)
    copies = np.concatenate([x, x[:, :2] * [1.0, 1e4]], axis=1)
    with pytest.warns(
        ConvergenceWarning, match=r"Lasso has not converged in max_iter=100 steps"
    ) as caught:
        hard = Lasso(alpha=0.001, max_iter=100).fit(copies, y)
    assert hard.n_iter_ == 100 and caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="max_iter=2 steps"):
        Lasso(max_iter=2).partial_fit(x, y)
    assert Lasso(alpha=0.1).fit(x, y).n_iter_ < 10_000  # and no warning


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_the_lasso_does_not_mind_the_unit_of_the_targets(scale: float) -> None:
    x, y = linear_data(40, 5)
    wanted = Lasso(alpha=0.1).fit(x, y).coef_
    np.testing.assert_allclose(
        Lasso(alpha=0.1 * scale).fit(x, y * scale).coef_ / scale, wanted, atol=1e-6
    )


@pytest.mark.parametrize("columns", [[0, 1, 2, 0], [0, 1, 2]])
def test_normal_equations_that_are_singular_are_refused(columns: list[int]) -> None:
    x, y = linear_data(40 if len(columns) == 4 else 2, 3)
    with pytest.raises(DataError, match="singular XᵀX"):
        LinearRegression(solver="normal").fit(x[:, columns], y)


def test_a_chunk_that_was_refused_does_not_count() -> None:
    x, y = linear_data(40, 4)
    learner = Ridge(alpha=1.0).partial_fit(x[:20], y[:20])
    with pytest.raises(ArgumentError, match="alpha"):
        learner.set_params(alpha=-1.0).partial_fit(x[20:], y[20:])
    learner.set_params(alpha=1.0).partial_fit(x[20:], y[20:])
    np.testing.assert_allclose(
        learner.coef_, Ridge(alpha=1.0).fit(x, y).coef_, rtol=1e-10
    )
    components = PCA(2).partial_fit(x[:20])
    with pytest.raises(ArgumentError, match="n_components"):
        components.set_params(n_components=-1).partial_fit(x[20:])
    assert (
        components.set_params(n_components=2).partial_fit(x[20:]).n_samples_seen_ == 40
    )
    np.testing.assert_allclose(
        components.components_, PCA(2).fit(x).components_, atol=1e-10
    )


def linear_data(n: int, d: int) -> tuple[Array, Array]:
    """Return features and targets, two of whose coefficients are 0."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, d))
    return x, x @ np.array([0.0, -1.0, 0.0, 3.0, 0.5])[:d] + 0.01 * random.normal(
        size=n
    )
