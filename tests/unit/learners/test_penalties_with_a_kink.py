"""L1 and elastic-net penalties of linear classifiers and of least squares: minima, zeros, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as reference
from scipy import sparse
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from deltarule.errors import ArgumentError
from deltarule.learners import (
    ElasticNet,
    Lasso,
    LinearSVM,
    LogisticRegression,
    SoftmaxRegression,
)

R = np.random.default_rng(0)
N, D, K = 200, 12, 3
RAW = R.normal(size=(N, D)) * np.geomspace(0.1, 10, D) + R.normal(size=D) * 3
X = StandardScaler().fit_transform(RAW)
SCORES = X @ (R.normal(size=D) * (R.uniform(size=D) < 0.5))
YES = (0.7 * R.normal(size=N) + SCORES > 0).astype(int)
LABELS = np.digitize(SCORES + 0.5 * R.normal(size=N), np.quantile(SCORES, [0.3, 0.6]))
WEIGHTS = R.uniform(0.2, 2, N)


def logistic(
    theta: Any, bias: Any, alpha: float, ratio: float, x: Any
) -> tuple[Any, Any]:
    """Return Σ w·loss and its derivatives in Θ, as the textbook has them."""
    scores = x @ theta[0] + bias[0]
    p = 1 / (1 + np.exp(-scores))
    slope = x.T @ (WEIGHTS * (p - YES)) + alpha * (1 - ratio) * theta[0]
    return slope[None], (WEIGHTS * (p - YES)).sum()[None]


def softmax(
    theta: Any, bias: Any, alpha: float, ratio: float, x: Any
) -> tuple[Any, Any]:
    """Return the same for K classes, of the weighted mean."""
    share = WEIGHTS / WEIGHTS.sum()
    wrong = np.exp(log_softmax(x @ theta.T + bias, axis=1)) - np.eye(K)[LABELS]
    return (wrong * share[:, None]).T @ x + alpha * (1 - ratio) * theta, (
        wrong * share[:, None]
    ).sum(axis=0)


@pytest.mark.notes("DA-19")
@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.3, 5.0, 40.0])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    "data", [X, RAW, sparse.csr_array(RAW)], ids=["scaled", "raw", "sparse"]
)
@pytest.mark.parametrize(
    ("learner", "y", "slopes", "unit"),
    [
        (LogisticRegression(tol=1e-12), YES, logistic, 1.0),
        (SoftmaxRegression(tol=1e-12), LABELS, softmax, 1 / float(WEIGHTS.sum())),
    ],
    ids=["logistic", "softmax"],
)
def test_no_derivative_is_above_the_penalty(
    learner: Any,
    y: Any,
    slopes: Callable[..., Any],
    unit: float,
    data: Any,
    intercept: bool,
    alpha: float,
    ratio: float,
) -> None:
    """−αρ·sign θ where θ ≠ 0, else within ±αρ, and 0 for biases: the conditions of the minimum of a convex function."""
    alpha *= unit
    learner = clone(learner).set_params(
        alpha=alpha, l1_ratio=ratio, fit_intercept=intercept
    )
    learner.fit(data, y, sample_weight=WEIGHTS)
    theta, bias = np.atleast_2d(learner.coef_), np.atleast_1d(learner.intercept_)
    x = data.toarray() if sparse.issparse(data) else data
    slope, of_bias = slopes(theta, bias, alpha, ratio, x)
    kept, limit = theta != 0, alpha * ratio
    np.testing.assert_allclose(
        slope[kept], -limit * np.sign(theta[kept]), rtol=1e-6, atol=1e-8 * unit
    )
    assert (np.abs(slope[~kept]) <= limit * (1 + 1e-9)).all()
    assert (np.abs(of_bias) < 1e-7 * unit).all() if intercept else (bias == 0).all()
    assert (~kept).any() or ratio < 1 or alpha < unit


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_minima_are_those_of_scikit_learn(ratio: float) -> None:
    options: dict[str, Any] = {
        "C": 0.25,
        "l1_ratio": ratio,
        "solver": "saga",
        "tol": 1e-10,
        "max_iter": 100_000,
    }
    theirs = reference.LogisticRegression(**options).fit(X, YES, sample_weight=WEIGHTS)
    ours = LogisticRegression(alpha=4.0, l1_ratio=ratio).fit(
        X, YES, sample_weight=WEIGHTS
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_[0], atol=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_[0], abs=1e-6)
    many = reference.LogisticRegression(**options).fit(X, LABELS)
    found = SoftmaxRegression(alpha=4.0 / N, l1_ratio=ratio).fit(X, LABELS)
    np.testing.assert_allclose(found.coef_, many.coef_, atol=1e-6)
    np.testing.assert_allclose(found.predict_proba(X), many.predict_proba(X), atol=1e-6)
    free = reference.LogisticRegression(
        C=0.25,
        l1_ratio=1.0,
        solver="liblinear",
        fit_intercept=False,
        tol=1e-10,
        max_iter=10_000,
        random_state=0,
    )
    mine = LogisticRegression(alpha=4.0, l1_ratio=1.0, fit_intercept=False).fit(X, YES)
    np.testing.assert_allclose(mine.coef_, free.fit(X, YES).coef_[0], atol=1e-5)


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge"])
def test_a_margin_with_zeros_is_at_its_minimum(loss: str) -> None:
    """No move of one coefficient, or of all at random, lowers the objective by more than the hinge is rounded."""
    random = np.random.default_rng(0)
    learner = LinearSVM(loss=loss, alpha=0.05, l1_ratio=0.9).fit(X, LABELS)

    def value(theta: Any, bias: Any) -> float:
        scores = X @ theta.T + bias
        slack = np.maximum(0, 1 + scores - scores[np.arange(N), LABELS][:, None])
        slack[np.arange(N), LABELS] = 0
        penalty = 0.9 * np.abs(theta).sum() + 0.05 * (theta**2).sum()
        return float(
            (slack ** (2 if loss == "squared_hinge" else 1)).sum(axis=1).mean()
            + 0.05 * penalty
        )

    best, zeros = value(learner.coef_, learner.intercept_), learner.coef_ == 0
    assert 5 < zeros.sum() < zeros.size
    allowed = 1e-9 if loss == "squared_hinge" else (K - 1) * 2.0**-11
    for _ in range(300):
        move = (
            random.normal(size=(K, D + 1))
            * (random.uniform(size=(K, D + 1)) < 0.2)
            * 10.0 ** random.uniform(-4, -1)
        )
        assert (
            value(learner.coef_ + move[:, :-1], learner.intercept_ + move[:, -1])
            > best - allowed
        )


def test_more_coefficients_than_the_model_has_are_solved_for_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = SoftmaxRegression(alpha=0.01, l1_ratio=0.8).fit(X, LABELS)
    monkeypatch.setattr("deltarule.learners.linear_model.proximal_newton._MOST", 15)
    found = SoftmaxRegression(alpha=0.01, l1_ratio=0.8, max_iter=1000).fit(X, LABELS)
    np.testing.assert_allclose(found.coef_, wanted.coef_, atol=1e-6)


def test_a_sample_leads_to_the_minimum_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    x = np.tile(X, (6, 1)) + 0.3 * random.normal(size=(6 * N, D))
    y = np.tile(YES, 6)
    wanted = [
        LogisticRegression(alpha=9.0, l1_ratio=ratio).fit(x, y).coef_
        for ratio in (0.7, 0.0)
    ]
    monkeypatch.setattr("deltarule.learners.linear_model.newton._WORTH_A_SAMPLE", 10)
    monkeypatch.setattr("deltarule.learners.linear_model.newton._PER_COEFFICIENT", 5)
    found = [
        LogisticRegression(alpha=9.0, l1_ratio=ratio).fit(x, y).coef_
        for ratio in (0.7, 0.0)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_steps_that_were_too_few_are_told() -> None:
    with pytest.warns(
        ConvergenceWarning,
        match="LogisticRegression has not converged in max_iter=1 Newton steps; the",
    ):
        LogisticRegression(l1_ratio=1.0, max_iter=1).fit(X, YES)


@pytest.mark.parametrize(
    "learner",
    [LogisticRegression(l1_ratio=0.5), SoftmaxRegression(l1_ratio=1.0)],
    ids=str,
)
def test_the_delta_rule_takes_no_kink(learner: Any) -> None:
    with pytest.raises(ArgumentError, match=r"l1_ratio: expected 0 for partial_fit"):
        learner.partial_fit(X, YES, classes=[0, 1])
    with pytest.raises(ArgumentError, match=r"l1_ratio: expected 0 for solver='delta'"):
        clone(learner).set_params(solver="delta").fit(X, YES)
    with pytest.raises(
        ArgumentError, match=r"l1_ratio: expected a number in \[0, 1\], got 1.5"
    ):
        clone(learner).set_params(l1_ratio=1.5).fit(X, YES)


@pytest.mark.notes("CM-28", "DA-19")
@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("intercept", [True, False])
def test_elastic_nets_are_those_of_scikit_learn(
    ratio: float, outputs: int, intercept: bool
) -> None:
    random = np.random.default_rng(0)
    y = X @ (
        random.normal(size=(D, outputs)) * (random.uniform(size=(D, outputs)) < 0.5)
    ) + random.normal(size=(N, outputs))
    ours = ElasticNet(alpha=0.2, l1_ratio=ratio, fit_intercept=intercept).fit(
        RAW, y, sample_weight=WEIGHTS
    )
    for k in range(outputs):
        theirs = reference.ElasticNet(
            alpha=0.2,
            l1_ratio=ratio,
            fit_intercept=intercept,
            tol=1e-13,
            max_iter=10**6,
        )
        theirs = (
            theirs
            if ratio
            else reference.Ridge(alpha=0.2 * WEIGHTS.sum(), fit_intercept=intercept)
        )
        theirs.fit(RAW, y[:, k], sample_weight=WEIGHTS)
        np.testing.assert_allclose(ours.coef_[k], theirs.coef_, rtol=1e-7, atol=1e-9)
        assert (
            ours.intercept_[k] == pytest.approx(theirs.intercept_, rel=1e-7, abs=1e-8)
            or not intercept
        )


@pytest.mark.parametrize("learner", [Lasso(alpha=0.1), ElasticNet(alpha=0.1)], ids=str)
def test_the_lasso_starts_from_its_last_coefficients(learner: Any) -> None:
    random = np.random.default_rng(0)
    y = X @ np.arange(D) + random.normal(size=N)
    cold = clone(learner).fit(X, y)
    warm = clone(learner).set_params(warm_start=True).fit(X, y)
    again = warm.n_iter_
    assert warm.fit(X, y).n_iter_ < again and np.allclose(
        warm.coef_, cold.coef_, rtol=1e-9
    )
    with pytest.raises(
        ArgumentError, match="warm_start: expected 12 features and 1 targets"
    ):
        warm.fit(X[:, :4], y)
