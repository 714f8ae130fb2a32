"""What users of scikit-learn do with the learners: searches, groups, chunks from disk, probabilities they rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import decomposition
from sklearn.calibration import calibration_curve
from sklearn.datasets import make_classification
from sklearn.experimental import enable_halving_search_cv
from sklearn.model_selection import (
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from deltarule import data
from deltarule.learners import (
    PCA,
    FastICA,
    KNNClassifier,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    RunningStatistics,
    SoftmaxRegression,
)

assert enable_halving_search_cv is not None
IRIS = data.load("iris")
X, Y = np.asarray(IRIS.inputs, np.float64), IRIS.targets


@pytest.mark.notes("DA-18")
def test_random_and_successive_halving_searches_take_learners_as_they_are() -> None:
    pipe = make_pipeline(StandardScaler(), KNNClassifier())
    drawn = RandomizedSearchCV(
        pipe, {"kneighborsclassifier__n_neighbors": [1]}, n_iter=1
    )
    with pytest.raises(ValueError, match="Invalid parameter"):
        drawn.fit(X, Y)
    grid = {
        "knnclassifier__n_neighbors": [1, 3, 5, 9],
        "knnclassifier__weights": ["uniform", "distance"],
    }
    halving = HalvingGridSearchCV(pipe, grid, cv=3, factor=2, random_state=0).fit(X, Y)
    assert (
        halving.n_iterations_ >= 3
        and halving.n_candidates_[0] == 8 > halving.n_candidates_[-1]
    )
    assert halving.best_score_ > 0.9
    found = RandomizedSearchCV(pipe, grid, n_iter=4, cv=3, random_state=0).fit(X, Y)
    assert found.best_score_ > 0.93


@pytest.mark.notes("DA-06", "DA-07")
def test_groups_stay_together_and_categories_become_columns() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 5)
    colours = np.array(["red", "green", "blue"])[random.integers(3, size=150)]
    answers = (colours == "red").astype(int)
    pipe = make_pipeline(OneHotEncoder(sparse_output=False), LogisticRegression())
    folds = list(GroupKFold(5).split(colours, answers, groups))
    assert all(not set(groups[train]) & set(groups[test]) for train, test in folds)
    found = cross_val_predict(
        pipe, colours[:, None], answers, groups=groups, cv=GroupKFold(5)
    )
    np.testing.assert_array_equal(found, answers)


@pytest.mark.notes("CM-03")
def test_polynomials_in_a_pipeline_fit_a_parabola() -> None:
    x = np.linspace(-2, 2, 21)[:, None]
    pipe = make_pipeline(PolynomialFeatures(2, include_bias=False), LinearRegression())
    np.testing.assert_allclose(
        pipe.fit(x, 1 - 3 * x[:, 0] + 2 * x[:, 0] ** 2).predict([[3.0]]),
        [10.0],
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    "learner",
    [
        LogisticRegression(),
        SoftmaxRegression(),
        MLPClassifier((), epochs=60, learning_rate=0.01, random_state=0),
        MLPClassifier((16,), epochs=15, learning_rate=0.01, random_state=0),
    ],
)
@pytest.mark.notes("OUT-02")
def test_probabilities_are_calibrated_where_the_model_is_right(learner: Any) -> None:
    """Labels drawn with a logistic probability: what is said to happen in p of the cases does."""
    random = np.random.default_rng(0)
    x = random.normal(size=(6000, 4))
    truth = 1 / (1 + np.exp(-(x @ [1.0, -2.0, 0.5, 0.0] + 0.3)))
    y = (random.random(6000) < truth).astype(int)
    said = learner.fit(x[:4000], y[:4000]).predict_proba(x[4000:])[:, 1]
    assert np.abs(said - truth[4000:]).mean() < 0.04
    happened, claimed = calibration_curve(y[4000:], said, n_bins=5)
    np.testing.assert_allclose(happened, claimed, atol=0.07)


def test_components_and_moments_of_a_file_larger_than_a_chunk(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = (random.normal(size=(3000, 5)) @ random.normal(size=(5, 20)) + 100).astype(
        np.float32
    )
    rows.tofile(tmp_path / "rows.f32")
    stored = np.memmap(tmp_path / "rows.f32", np.float32, "r", shape=(3000, 20))
    learner, statistics = PCA(5), RunningStatistics()
    for start in range(0, 3000, 256):
        learner.partial_fit(stored[start : start + 256])
        statistics.update_many(stored[start : start + 256])
    reference = decomposition.PCA(5, svd_solver="full").fit(rows.astype(np.float64))
    np.testing.assert_allclose(
        learner.explained_variance_, reference.explained_variance_, rtol=1e-6
    )
    np.testing.assert_allclose(
        statistics.variance(1), rows.astype(np.float64).var(axis=0, ddof=1), rtol=1e-9
    )
    whole = PCA(5).fit(stored)
    np.testing.assert_allclose(
        whole.explained_variance_, reference.explained_variance_, rtol=1e-4
    )
    np.testing.assert_allclose(
        np.abs(whole.components_ @ reference.components_.T), np.eye(5), atol=2e-3
    )


@pytest.mark.parametrize("solver", ["exact", "randomized"])
@pytest.mark.parametrize("shape", [(500, 60), (60, 500)])
def test_explained_variance_is_scikit_learns(
    solver: str, shape: tuple[int, int]
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=shape) @ np.diag(0.9 ** np.arange(shape[1])) + random.normal(
        size=shape[1]
    )
    ours, theirs = (
        PCA(8, solver=solver).fit(x),
        decomposition.PCA(8, svd_solver="full").fit(x),
    )
    tolerance = 1e-9 if solver == "exact" else 0.01
    np.testing.assert_allclose(
        ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=tolerance
    )
    white = PCA(8, solver=solver, whiten=True).fit_transform(x)
    np.testing.assert_allclose(
        np.cov(white.T), np.eye(8), atol=1e-8 if solver == "exact" else 0.02
    )


def test_independent_components_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    mixed = random.laplace(size=(3000, 4)) @ random.normal(size=(4, 4))
    ours = FastICA(4).fit_transform(mixed)
    theirs = decomposition.FastICA(
        4, random_state=0, whiten="unit-variance", tol=1e-6, max_iter=500
    ).fit_transform(mixed)
    match = np.abs(np.corrcoef(ours.T, theirs.T)[:4, 4:])
    assert (match.max(axis=1) > 0.999).all() and len(set(match.argmax(axis=1))) == 4


def test_accuracy_of_linear_learners_on_a_hard_task_is_above_chance_by_as_much() -> (
    None
):
    x, y = make_classification(600, 20, n_informative=5, class_sep=0.7, random_state=0)
    scores = [
        learner.fit(x[:400], y[:400]).score(x[400:], y[400:])
        for learner in (
            LogisticRegression(),
            SoftmaxRegression(),
            MLPClassifier((), epochs=60, random_state=0),
        )
    ]
    assert max(scores) - min(scores) < 0.03 and min(scores) > 0.7
