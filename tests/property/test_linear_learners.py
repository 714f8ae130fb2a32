"""No linear learner minds where its features lie, and in which unit they are.

For an intercept that is not penalised, a fit of X·s + m is that of X with coefficients θ/s and penalties for θ·s: the
same predictions. Features are rounded to multiples of 2⁻¹², so that they can be moved far without a change of their
own. What is found far away is compared with what is found near 0, and with scikit-learn on standardised data.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model as reference
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from deltarule import learners
from deltarule.errors import DataError
from deltarule.learners import (
    Adaline,
    ElasticNet,
    Lasso,
    LinearRegression,
    LinearSVM,
    LogisticRegression,
    Perceptron,
    Ridge,
    SoftmaxRegression,
)
from deltarule.learners.linear_model.least_squares import _LinearRegressor
from deltarule.learners.linear_model.linear import LinearClassifier

N, D = 150, 4
CLOSED = [
    LinearRegression(),
    LinearRegression(solver="svd"),
    Ridge(alpha=2.0),
    Lasso(alpha=0.05),
    ElasticNet(alpha=0.1),
]
STEPPED = [
    LogisticRegression(alpha=0.0),
    LogisticRegression(alpha=3.0),
    LogisticRegression(alpha=3.0, l1_ratio=0.7),
    SoftmaxRegression(alpha=0.0),
    SoftmaxRegression(alpha=0.02),
    SoftmaxRegression(alpha=0.02, l1_ratio=1.0),
    LinearSVM(alpha=0.05),
    LinearSVM(alpha=0.05, loss="hinge"),
    LinearSVM(alpha=0.05, l1_ratio=0.5),
]
RULES = [
    Perceptron(),
    Adaline(),
    LogisticRegression(solver="delta", learning_rate=None),
    Adaline(rule="unit-norm"),
    SoftmaxRegression(solver="delta", learning_rate=None),
    LinearSVM(solver="delta"),
]
ALL = [*CLOSED, *STEPPED]


def problem(seed: int, learner: Any) -> tuple[Any, Any]:
    """Return features that are correlated, and targets of the learner's kind, with overlapping classes."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(N, D)) @ (np.eye(D) + 0.4 * random.normal(size=(D, D)))
    x = np.round(x * 2.0**12) / 2.0**12
    score = x @ random.normal(size=D) + random.logistic(size=N)
    if isinstance(learner, _LinearRegressor):
        return x, score
    several = isinstance(learner, SoftmaxRegression | LinearSVM)
    return x, np.digitize(score, np.quantile(score, [0.4, 0.7] if several else [0.5]))


def outputs(learner: Any, x: Any) -> Any:
    """Return what a learner says of examples."""
    return (
        learner.predict(x)
        if isinstance(learner, _LinearRegressor)
        else learner.decision_function(x)
    )


def test_all_linear_learners_are_here() -> None:
    kinds = {
        kind
        for name in learners.__all__
        if isinstance(kind := getattr(learners, name), type)
        and issubclass(kind, LinearClassifier | _LinearRegressor)
    }
    assert kinds == {type(learner) for learner in (*ALL, *RULES)}


@pytest.mark.parametrize("learner", ALL, ids=str)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("far", [1e6, 2.0**36, 1.7e9])
def test_features_may_lie_anywhere(learner: Any, seed: int, far: float) -> None:
    x, y = problem(seed, learner)
    away = np.random.default_rng(seed).choice([0.0, far, -far], D)
    away[0] = far
    near, moved = clone(learner).fit(x, y), clone(learner).fit(x + away, y)
    np.testing.assert_allclose(moved.coef_, near.coef_, rtol=1e-6, atol=1e-7)
    rounding = (
        4 * np.finfo(np.float64).eps * far * np.abs(moved.coef_).sum()
    )  # of xᵀθ + b
    np.testing.assert_allclose(
        outputs(moved, x + away), outputs(near, x), atol=1e-6 + rounding
    )
    stored = clone(learner).fit(sparse.csr_array(x + away), y)
    np.testing.assert_allclose(stored.coef_, near.coef_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("learner", ALL, ids=str)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("exponent", [-400, -40, 40, 400])
def test_a_unit_of_all_features_is_one_of_the_penalty(
    learner: Any, seed: int, exponent: int
) -> None:
    """With α for squares in units squared, and for absolute values in units; here for one kind of penalty at a time."""
    x, y = problem(seed, learner)
    given = clone(learner)
    if "l1_ratio" in given.get_params() and 0 < given.l1_ratio < 1:
        given.set_params(l1_ratio=1.0)
    power = (
        1 if isinstance(given, Lasso) or getattr(given, "l1_ratio", 0.0) == 1.0 else 2
    )
    near = clone(given).fit(x, y)
    if "alpha" in given.get_params():
        given.set_params(alpha=float(np.ldexp(given.alpha, power * exponent)))
    far = given.fit(np.ldexp(x, exponent), y)
    np.testing.assert_allclose(
        outputs(far, np.ldexp(x, exponent)), outputs(near, x), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize(
    "learner",
    [
        one
        for one in ALL
        if not getattr(one, "alpha", 0.0) or isinstance(one, LinearRegression)
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(4))
def test_without_a_penalty_each_feature_has_its_own_unit(
    learner: Any, seed: int
) -> None:
    x, y = problem(seed, learner)
    units = 2.0 ** np.random.default_rng(seed).integers(-30, 30, D)
    near, far = clone(learner).fit(x, y), clone(learner).fit(x * units + 1e6 * units, y)
    np.testing.assert_allclose(far.coef_ * units, near.coef_, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_found_far_away_is_what_scikit_learn_finds_at_home(seed: int) -> None:
    """A column of seconds since 1970 beside others, without and with penalties on standardised features."""
    x, y = problem(seed, LogisticRegression())
    dates = x * [1e6, 1.0, 1e-3, 50.0] + [1.7e9, 0.0, 5.0, 1e4]
    home = StandardScaler().fit_transform(dates)
    for ours, theirs in (
        (
            LogisticRegression(alpha=0.0),
            reference.LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000),
        ),
        (
            SoftmaxRegression(alpha=0.0),
            reference.LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000),
        ),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            found = ours.fit(dates, y).predict_proba(dates)
        np.testing.assert_allclose(
            found, theirs.fit(home, y).predict_proba(home), atol=1e-5
        )
    _, z = problem(seed, LinearRegression())
    wanted = reference.LinearRegression().fit(home, z).predict(home)
    np.testing.assert_allclose(
        LinearRegression().fit(dates, z).predict(dates), wanted, rtol=1e-8, atol=1e-8
    )
    parts = LinearRegression()
    for rows in np.array_split(np.arange(N), 7):
        parts.partial_fit(dates[rows], z[rows])
    np.testing.assert_allclose(parts.predict(dates), wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("learner", ALL, ids=str)
def test_without_an_intercept_there_is_none(learner: Any) -> None:
    x, y = problem(0, learner)
    found = clone(learner).set_params(fit_intercept=False).fit(x, y)
    assert not np.any(found.intercept_)
    if isinstance(
        learner, _LinearRegressor
    ):  # with a reflected copy the means are 0: there is no intercept to learn
        both = np.concatenate([x, -x])
        again = clone(learner).fit(both, np.concatenate([y, -y]))
        same = (
            clone(learner)
            .set_params(fit_intercept=False)
            .fit(both, np.concatenate([y, -y]))
        )
        np.testing.assert_allclose(again.coef_, same.coef_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "learner", [Perceptron(max_iter=100), Adaline(), Adaline(rule="unit-norm")], ids=str
)
@pytest.mark.parametrize("exponent", [-20, 7, 300])
def test_a_rule_without_bias_takes_the_same_way_in_any_unit(
    learner: Any, exponent: int
) -> None:
    """The perceptron's mistakes, and ADALINE's errors at rates of its own, do not change with the unit of x."""
    x, y = problem(1, learner)
    rule = clone(learner).set_params(fit_intercept=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        near, far = clone(rule).fit(x, y), clone(rule).fit(np.ldexp(x, exponent), y)
    assert near.intercept_ == far.intercept_ == 0.0
    np.testing.assert_array_equal(near.predict(x), far.predict(np.ldexp(x, exponent)))


@pytest.mark.parametrize("learner", RULES, ids=str)
@pytest.mark.parametrize("size", [1e200, 1e300])
def test_a_rule_refuses_numbers_without_squares(learner: Any, size: float) -> None:
    x, y = problem(0, learner)
    with pytest.raises(
        DataError, match=r"X: expected numbers up to 1e\+150, which have finite squares"
    ):
        clone(learner).fit(x * size, y)
    with pytest.raises(DataError, match="finite squares"):
        clone(learner).partial_fit(x * size, y, classes=np.unique(y))


@pytest.mark.parametrize("learner", ALL, ids=str)
@pytest.mark.parametrize("size", [1e100, 1e200, 1e300])
def test_numbers_without_squares_are_fitted_or_refused_in_one_error(
    learner: Any, size: float
) -> None:
    x, y = problem(0, learner)
    x = x / np.abs(x).max()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = clone(learner).fit(x * size, y)
    free = (
        clone(learner).set_params(alpha=0.0)
        if "alpha" in learner.get_params()
        else clone(learner)
    )
    wanted = outputs(
        free.set_params(**({"tol": 1e-6} if "loss" in free.get_params() else {})).fit(
            x, y
        ),
        x,
    )
    tolerance = 1e-6 * np.abs(wanted).max()
    if not isinstance(
        learner, LinearSVM
    ):  # whose minimum without a penalty is no single point
        np.testing.assert_allclose(outputs(found, x * size), wanted, atol=tolerance)
    assert np.isfinite(outputs(found, x * size)).all()
