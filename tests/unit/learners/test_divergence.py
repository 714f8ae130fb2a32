"""Rates of the delta rule: stable ones by themselves, and one error for those that are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from deltarule.errors import DataError, DivergenceError
from deltarule.learners import (
    Adaline,
    LinearSVM,
    LogisticRegression,
    Perceptron,
    SoftmaxRegression,
)
from deltarule.learners.linear_model import delta_step

RAW, CANCER = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(RAW)


@pytest.mark.notes("CM-14")
@pytest.mark.parametrize("loss", ["squared_hinge", "hinge"])
def test_the_margin_learns_by_the_delta_rule_without_a_rate(loss: str) -> None:
    theirs = LinearSVC(C=1.0, max_iter=100_000).fit(X, CANCER).score(X, CANCER)
    ours = LinearSVM(solver="delta", loss=loss).fit(X, CANCER)
    assert ours.score(X, CANCER) > theirs - 0.015
    passes = LinearSVM(loss=loss)
    for _ in range(10):
        passes.partial_fit(X, CANCER, classes=[0, 1])
    assert passes.score(X, CANCER) > theirs - 0.02 and np.abs(passes.coef_).max() < 3
    digits, labels = load_digits(return_X_y=True)
    many = LinearSVM(solver="delta", loss=loss, max_iter=30, batch_size=4).fit(
        digits / 16, labels
    )
    assert many.score(digits / 16, labels) > 0.94


@pytest.mark.notes("CM-27")
@pytest.mark.parametrize(
    ("learner", "curvature"),
    [
        (LogisticRegression(learning_rate=None, alpha=57.0), 0.25),
        (SoftmaxRegression(learning_rate=None), 0.5),
        (LinearSVM(), 4.0),
        (LinearSVM(loss="hinge", alpha=6.0), 0.0),
    ],
)
def test_the_rate_is_a_tenth_of_the_largest_stable_one(
    learner: Any, curvature: float
) -> None:
    """The largest eigenvalue of the Hessian of a single weighted example is 2/η for ten times that rate."""
    weights = np.random.default_rng(0).uniform(0.5, 3, len(X))
    one = clone(learner).partial_fit(X, CANCER, classes=[0, 1], sample_weight=weights)
    longest = (weights * ((X**2).sum(axis=1) + 1)).max()
    alpha = learner.alpha / (len(X) if isinstance(learner, LogisticRegression) else 1)
    assert one.learning_rate_ == pytest.approx(
        min(0.1, 0.1 * 2 / (curvature * longest + alpha)), rel=1e-12
    )
    before = one.learning_rate_
    assert (
        one.partial_fit(X[:50] / 9, CANCER[:50]).learning_rate_ == before
    )  # larger examples may come again
    assert one.partial_fit(9 * X, CANCER).learning_rate_ <= before


def test_larger_chunks_lower_the_rate_of_adaline() -> None:
    learner = Adaline().partial_fit(X / 100, CANCER, classes=[0, 1])
    assert learner.partial_fit(X, CANCER).learning_rate_ == pytest.approx(
        0.1 / ((X**2).sum(axis=1).max() + 1)
    )
    assert np.abs(learner.coef_).max() < 1


DIVERGING = [
    Adaline(learning_rate=10.0),
    Adaline(learning_rate=10.0, rule="unit-norm"),
    LinearSVM(solver="delta", learning_rate=1.0),
    LogisticRegression(solver="delta", learning_rate=1.0, alpha=1e4),
    SoftmaxRegression(solver="delta", learning_rate=1.0, alpha=10.0, batch_size=4),
]


@pytest.mark.filterwarnings("ignore:Adaline has not converged in 1 epoch")
@pytest.mark.parametrize("native", [False, True], ids=["NumPy", "native"])
@pytest.mark.parametrize("learner", DIVERGING, ids=str)
def test_divergence_is_one_error_and_leaves_the_learner_as_it_was(
    learner: Any, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_step, "WORTH_COMPILING", 0 if native else 10**9)
    message = r"delta rule: expected finite (weights|losses), got [-naif]+\.\n.*smaller learning_rate"
    fresh = clone(learner)
    with pytest.raises(DivergenceError, match=message):
        fresh.fit(X, CANCER)
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    fitted = (
        clone(learner)
        .set_params(learning_rate=1e-5, max_iter=1)
        .fit(X[:, :5], np.where(CANCER == 1, "b", "m"))
    )
    known = dict(vars(fitted))
    with pytest.raises(DivergenceError, match=message):
        fitted.set_params(**learner.get_params()).fit(X, CANCER)
    assert (
        fitted.coef_ is known["coef_"]
        and fitted.classes_.tolist() == ["b", "m"]
        and fitted.n_features_in_ == 5
    )
    seen: list[tuple[Any, int]] = []

    def passes() -> None:
        for _ in range(500):
            seen.append((fitted.coef_, fitted.n_iter_))
            fitted.partial_fit(X[:, :5], np.where(CANCER == 1, "b", "m"))

    with pytest.raises(DivergenceError, match=message):
        passes()
    assert (
        np.isfinite(fitted.coef_).all()
        and fitted.coef_ is seen[-1][0]
        and fitted.n_iter_ == seen[-1][1]
    )


@pytest.mark.parametrize("learner", [Perceptron(), *DIVERGING], ids=str)
def test_inputs_without_finite_squares_are_refused(learner: Any) -> None:
    message = f"{type(learner).__name__} X: expected numbers up to 1e\\+150, .* got [0-9.]+e\\+20[01].\n.*MaxAbsScaler"
    with pytest.raises(DataError, match=message):
        clone(learner).fit(X * 1e200, CANCER)
    with pytest.raises(DataError, match=message):
        clone(learner).partial_fit(-X * 1e200, CANCER, classes=[0, 1])
