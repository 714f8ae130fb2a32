"""Linear learners against closed forms, scikit-learn and the worked cases of the notes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as reference
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from deltarule import data
from deltarule.errors import ArgumentError
from deltarule.learners import (
    Adaline,
    Lasso,
    LinearRegression,
    LinearSVM,
    LogisticRegression,
    Perceptron,
    Ridge,
    SoftmaxRegression,
)

CORNERS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 4)) * [1, 2, 0.5, 3] + 1
Y = X @ [1.0, -2, 0, 0.5] + GENERATOR.normal(size=60)
WEIGHTS = GENERATOR.uniform(0.1, 2, 60)


@pytest.mark.notes("CM-01", "CM-02", "C-CM-01", "C-CM-02")
def test_least_squares_cases() -> None:
    x = np.arange(4.0)[:, None]
    line = LinearRegression().fit(x, [1.0, 3, 5, 7])
    assert (line.coef_[0], line.intercept_) == (pytest.approx(2), pytest.approx(1))
    fitted = LinearRegression().fit(x, [0.0, 1, 1, 3])
    np.testing.assert_allclose(
        [fitted.coef_[0], fitted.intercept_], [0.9, -0.1], rtol=1e-12
    )
    assert 0.5 * ((fitted.predict(x) - [0, 1, 1, 3]) ** 2).sum() == pytest.approx(0.35)


@pytest.mark.notes("CM-03", "C-CM-03")
def test_polynomial_regression() -> None:
    features = PolynomialFeatures(2, include_bias=False).fit_transform(
        np.arange(4.0)[:, None]
    )
    fitted = LinearRegression().fit(features, [1.0, 2, 5, 10])
    np.testing.assert_allclose(
        [fitted.intercept_, *fitted.coef_], [1, 0, 1], atol=1e-10
    )


@pytest.mark.parametrize("solver", ["normal", "svd", "auto"])
def test_least_squares_agrees_with_scikit_learn(solver: str) -> None:
    ours = LinearRegression(solver=solver).fit(X, Y, sample_weight=WEIGHTS)
    theirs = reference.LinearRegression().fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.intercept_ == pytest.approx(theirs.intercept_)


def test_singular_data_get_the_smallest_solution() -> None:
    doubled = np.concatenate([X, X[:, :1]], axis=1)
    ours = LinearRegression().fit(doubled, Y)
    theirs = reference.LinearRegression().fit(doubled, Y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)


@pytest.mark.notes("CM-28")
@pytest.mark.parametrize("alpha", [0.0, 0.1, 10.0])
def test_ridge_and_lasso_agree_with_scikit_learn(alpha: float) -> None:
    ours = Ridge(alpha=alpha).fit(X, Y, sample_weight=WEIGHTS)
    theirs = reference.Ridge(alpha=alpha).fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8)
    if alpha:
        sparse = Lasso(alpha=alpha).fit(X, Y)
        expected = reference.Lasso(alpha=alpha, tol=1e-12, max_iter=100_000).fit(X, Y)
        np.testing.assert_allclose(sparse.coef_, expected.coef_, atol=1e-7)
        assert ((sparse.coef_ == 0) == (expected.coef_ == 0)).all()


@pytest.mark.notes("CM-16", "CM-17", "CM-18", "C-CM-10", "C-CM-11")
def test_perceptron_learns_and_and_or() -> None:
    both = Perceptron().fit(CORNERS, [0, 0, 0, 1])
    assert (both.coef_.tolist(), both.intercept_) == ([2, 1], -3)
    assert (both.n_iter_, both.n_mistakes_, both.converged_) == (6, 11, True)
    assert both.n_mistakes_ <= both.mistake_bound_
    either = Perceptron().fit(CORNERS, [0, 1, 1, 1])
    assert (either.coef_.tolist(), either.intercept_, either.n_iter_) == ([1, 1], -1, 4)


@pytest.mark.notes("CM-19", "CM-20", "C-CM-12")
def test_perceptron_never_learns_xor_and_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="not be linearly separable"):
        xor = Perceptron(max_iter=1000).fit(CORNERS, [0, 1, 1, 0])
    assert (
        not xor.converged_ and min(xor.mistakes_) > 0 and xor.mistake_bound_ == math.inf
    )


@pytest.mark.notes("CM-21", "CM-22", "CM-23", "C-CM-13", "E002-13")
@pytest.mark.parametrize(
    ("rule", "expected"), [("original", [0.3, 0.4]), ("unit-norm", [0.06, 0.08])]
)
def test_one_widrow_hoff_step(rule: str, expected: list[float]) -> None:
    # the case has no bias: with the augmented input only the direction x/‖x‖ of the second rule changes
    x, length = np.array([[3.0, 4.0]]), (5.0 if rule == "original" else math.sqrt(26))
    learner = Adaline(learning_rate=0.1, max_iter=1, rule=rule)
    with pytest.warns(ConvergenceWarning, match="Adaline has not converged in 1 epoch"):
        learner.fit(np.concatenate([x, [[0.0, 0.0]]]), [1, 0])
    first = np.array([3.0, 4.0]) * 0.1 / (1.0 if rule == "original" else length)
    np.testing.assert_allclose(learner.coef_, first, rtol=1e-12)
    if rule == "original":
        np.testing.assert_allclose(learner.coef_, expected, rtol=1e-12)


def test_adaline_separates_what_a_line_separates() -> None:
    learner = Adaline(max_iter=500).fit(CORNERS, [0, 0, 0, 1])
    assert learner.predict(CORNERS).tolist() == [0, 0, 0, 1]
    assert learner.losses_[-1] < learner.losses_[0]


@pytest.mark.notes("CM-24", "CM-25", "CM-26", "C-CM-14", "C-CM-15")
def test_logistic_regression() -> None:
    step = LogisticRegression(solver="delta", learning_rate=0.1, max_iter=1, alpha=0.0)
    step.fit([[3.0, 4.0], [0.0, 0.0]], [1, 0])
    np.testing.assert_allclose(step.coef_, [0.15, 0.2], rtol=1e-12)
    labels = (np.median(Y) < Y).astype(int)
    ours = LogisticRegression(alpha=1.0).fit(X, labels, sample_weight=WEIGHTS)
    theirs = reference.LogisticRegression(C=1.0, tol=1e-12, max_iter=10_000).fit(
        X, labels, sample_weight=WEIGHTS
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_[0], rtol=1e-5)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6
    )
    np.testing.assert_allclose(ours.predict_proba(X).sum(axis=1), 1, rtol=1e-14)


@pytest.mark.notes("CM-07", "CM-08")
def test_softmax_regression_agrees_with_scikit_learn() -> None:
    iris = data.load("iris")
    x = StandardScaler().fit_transform(iris.inputs.astype(np.float64))
    ours = SoftmaxRegression(alpha=1 / len(x)).fit(x, iris.targets)
    theirs = reference.LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(
        x, iris.targets
    )
    np.testing.assert_allclose(
        ours.predict_proba(x), theirs.predict_proba(x), atol=1e-5
    )


@pytest.mark.notes("CM-09", "CM-13")
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_binary_svm_reaches_scikit_learns_objective(loss: str) -> None:
    labels = (np.median(Y) < Y).astype(int)
    signs = 2.0 * labels - 1
    x = StandardScaler().fit_transform(X)
    ours = LinearSVM(alpha=0.01, loss=loss).fit(x, labels)
    power = 2 if loss == "squared_hinge" else 1

    def objective(w: Any, b: float) -> float:
        slack = np.maximum(0, 1 - signs * (x @ w + b)) ** power
        return float(
            slack.mean() + 0.5 * 0.01 * (w @ w) / 2
        )  # two rows ±w/2 hold half of ‖w‖²

    w, b = ours.coef_[1] - ours.coef_[0], float(ours.intercept_[1] - ours.intercept_[0])
    theirs = LinearSVC(
        C=1 / (0.005 * len(x)),
        loss=loss,
        tol=1e-4,
        max_iter=1_000_000,
        intercept_scaling=10.0,
    )
    theirs.fit(x, labels)
    assert (
        objective(w, b)
        <= objective(theirs.coef_[0], float(theirs.intercept_[0])) + 2e-3
    )
    assert ours.score(x, labels) >= theirs.score(x, labels) - 0.02


def test_wrong_hyperparameters_name_themselves() -> None:
    with pytest.raises(
        ArgumentError, match=r"Ridge alpha: expected a number ≥ 0, got -1"
    ):
        Ridge(alpha=-1).fit(X, Y)
    with pytest.raises(ArgumentError, match="Adaline rule"):
        Adaline(rule="delta").fit(CORNERS, [0, 0, 0, 1])
    with pytest.raises(ValueError, match="OneVsRestClassifier"):
        Perceptron().fit(CORNERS, [0, 1, 2, 1])


@pytest.mark.notes("CM-28")
@pytest.mark.parametrize(
    "learner",
    [
        LinearRegression(),
        LinearRegression(solver="svd"),
        Ridge(alpha=2.0),
        Lasso(alpha=0.05),
        Ridge(fit_intercept=False),
    ],
)
def test_least_squares_of_chunks_is_that_of_all(learner: Any) -> None:
    whole, parts = clone(learner).fit(X, Y, sample_weight=WEIGHTS), clone(learner)
    for start in range(0, 60, 7):
        rows = slice(start, start + 7)
        parts.partial_fit(X[rows], Y[rows], sample_weight=WEIGHTS[rows])
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-6)
    np.testing.assert_allclose(
        parts.intercept_, whole.intercept_, rtol=1e-6, atol=1e-12
    )
    with pytest.raises(ValueError, match="another number"):
        parts.partial_fit(X, np.stack([Y, Y], axis=1))


@pytest.mark.notes("CM-17", "CM-18")
def test_the_mistake_log_is_the_solution() -> None:
    labels = (np.array([1.0, -1.0, 2.0, 0.5]) @ X.T > 3).astype(int)
    learner = Perceptron(learning_rate=0.5, shuffle=True, random_state=3).fit(X, labels)
    epochs, rows, errors = learner.mistake_log_.T
    inputs = np.concatenate([X, np.ones((60, 1))], axis=1)
    np.testing.assert_allclose(
        0.5 * errors @ inputs[rows], [*learner.coef_, learner.intercept_], atol=1e-9
    )
    assert (
        np.bincount(epochs, minlength=learner.n_iter_ + 1)[1:].tolist()
        == learner.mistakes_
    )
    assert (
        learner.converged_
        and len(rows) == learner.n_mistakes_ <= learner.mistake_bound_
    )
    weighted = Perceptron(class_weight={0: 1.0, 1: 3.0}).fit(X, labels)
    assert weighted.converged_ and weighted.n_mistakes_ <= weighted.mistake_bound_


@pytest.mark.notes("CM-18")
def test_weights_of_passes_multiply_the_mistake_bound_and_are_not_copies() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 2))
    y = (x @ [1.0, -0.5] > 0.1).astype(int)
    weights = random.uniform(0.5, 2.0, 40)
    learner = Perceptron().partial_fit(x, y, classes=[0, 1], sample_weight=weights)
    while learner.mistakes_[-1]:
        learner.partial_fit(x, y, sample_weight=weights)
    theta, rows = (
        np.append(learner.coef_, learner.intercept_),
        np.column_stack([x, np.ones(40)]),
    )
    margin = ((2 * y - 1) * (rows @ theta)).min() / np.linalg.norm(theta)
    bound = (np.linalg.norm(rows, axis=1).max() / margin) ** 2
    assert 2 < learner.n_mistakes_ <= bound * (weights.max() / weights.min()) ** 2
    twice = Perceptron().partial_fit([[1.0], [1.0]], [0, 0], classes=[0, 1])
    weighted = Perceptron().partial_fit(
        [[1.0]], [0], classes=[0, 1], sample_weight=[2.0]
    )
    assert (twice.coef_[0], weighted.coef_[0]) == (
        -1.0,
        -2.0,
    )  # the copy is right already


@pytest.mark.notes("CM-27")
def test_the_family_differs_in_the_error_alone() -> None:
    """Epochs of e·x by hand, with the three predictions of z."""
    labels = (np.median(Y) < Y).astype(int)
    weights = np.where(labels == 1, 2.0, 1.0)
    rules: list[tuple[Any, Any]] = [
        (
            Perceptron(learning_rate=0.1, class_weight={1: 2.0}),
            lambda z, y: y - (z >= 0),
        ),
        (
            Adaline(learning_rate=0.001, class_weight={1: 2.0}),
            lambda z, y: (2 * y - 1) - z,
        ),
        (
            LogisticRegression(learning_rate=0.1, alpha=0.0, class_weight={1: 2.0}),
            lambda z, y: y - 1 / (1 + np.exp(-z)),
        ),
    ]
    for learner, error in rules:
        theta = np.zeros(5)
        for i in range(60):
            row = np.append(X[i], 1.0)
            theta += (
                learner.learning_rate * weights[i] * error(row @ theta, labels[i]) * row
            )
        learner.partial_fit(X[:40], labels[:40], classes=[0, 1]).partial_fit(
            X[40:], labels[40:]
        )
        np.testing.assert_allclose(
            [*learner.coef_, learner.intercept_], theta, rtol=1e-9
        )
        by_hand = type(learner)(
            learning_rate=learner.learning_rate,
            **({"alpha": 0.0} if "alpha" in vars(learner) else {}),
        )
        by_hand.partial_fit(X, labels, classes=[0, 1], sample_weight=weights)
        np.testing.assert_allclose(by_hand.coef_, learner.coef_, rtol=1e-12)
        with pytest.raises(ValueError, match="classes must be passed"):
            type(learner)().partial_fit(X, labels)
        with pytest.raises(ValueError, match="not among"):
            learner.partial_fit(X, labels + 1)


@pytest.mark.notes("CM-08", "CM-14", "CM-25")
@pytest.mark.parametrize(
    "learner",
    [
        SoftmaxRegression(alpha=0.05),
        LinearSVM(alpha=0.1),
        LinearSVM(alpha=0.1, loss="hinge"),
        LogisticRegression(alpha=6.0),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 10])
def test_the_delta_rule_comes_near_newtons_solution(
    learner: Any, batch_size: int
) -> None:
    iris = data.load("iris")
    x = StandardScaler().fit_transform(iris.inputs.astype(np.float64))
    y = iris.targets > 0 if isinstance(learner, LogisticRegression) else iris.targets
    order = np.random.default_rng(0).permutation(150)
    x, y = x[order], y[order]
    newton = clone(learner).fit(x, y)
    delta = clone(learner).set_params(
        solver="delta",
        learning_rate=0.003 * batch_size,
        max_iter=300,
        batch_size=batch_size,
    )
    delta.fit(x, y)
    np.testing.assert_allclose(
        delta.decision_function(x), newton.decision_function(x), atol=0.12
    )
    assert (
        delta.n_iter_ == 300 and (delta.predict(x) == newton.predict(x)).mean() > 0.98
    )
