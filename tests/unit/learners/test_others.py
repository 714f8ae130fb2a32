"""Generative learners, neighbours and decompositions against scikit-learn and the worked cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import decomposition, discriminant_analysis, naive_bayes
from sklearn import neighbors as reference_neighbors
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from deltarule import data
from deltarule.learners import (
    PCA,
    BernoulliNaiveBayes,
    FastICA,
    GaussianClassifier,
    GaussianNaiveBayes,
    KNNClassifier,
    KNNRegressor,
    MultinomialNaiveBayes,
)

IRIS, DIGITS = data.load("iris"), data.load("digits")
FLAT = DIGITS.inputs.reshape(len(DIGITS.inputs), -1)


@pytest.mark.notes("PR-07", "C-PR-02", "PR-04")
def test_gaussian_posterior_is_the_closed_form() -> None:
    half = np.array([-1.0, 1.0])
    x = np.concatenate([half, half + 2])[:, None]
    learner = GaussianClassifier(regularization=0.0).fit(x, [0, 0, 1, 1])
    expected = 1 / (1 + np.exp(-(2 * np.array([0.0, 1, 2]) - 2)))
    np.testing.assert_allclose(
        learner.predict_proba([[0.0], [1.0], [2.0]])[:, 1], expected, rtol=1e-9
    )


@pytest.mark.notes("PR-16", "C-PR-06")
def test_naive_bayes_on_the_two_word_document() -> None:
    learner = MultinomialNaiveBayes()
    learner.fit(np.ones((5, 3)), [1, 1, 1, 2, 2])
    learner.feature_log_prob_ = np.log([[0.1, 0.3, 0.6], [0.4, 0.1, 0.5]])
    scores = np.exp(learner.predict_joint_log_proba([[1.0, 1.0, 0.0]]))[0]
    np.testing.assert_allclose(scores, [0.018, 0.016], rtol=1e-12)
    assert learner.predict([[1.0, 1.0, 0.0]])[0] == 1


def test_naive_bayes_agrees_with_scikit_learn() -> None:
    pairs = [
        (GaussianNaiveBayes(), naive_bayes.GaussianNB()),
        (MultinomialNaiveBayes(alpha=0.5), naive_bayes.MultinomialNB(alpha=0.5)),
        (BernoulliNaiveBayes(threshold=0.5), naive_bayes.BernoulliNB(binarize=0.5)),
    ]
    for ours, theirs in pairs:
        a = ours.fit(FLAT, DIGITS.targets).predict_proba(FLAT[:200])
        b = theirs.fit(FLAT.astype(np.float64), DIGITS.targets).predict_proba(
            FLAT[:200].astype(np.float64)
        )
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.notes("PR-07")
def test_gaussian_classifiers_agree_with_discriminant_analysis() -> None:
    x = IRIS.inputs.astype(np.float64)
    shared = GaussianClassifier(covariance="shared", regularization=0.0).fit(
        x, IRIS.targets
    )
    lda = discriminant_analysis.LinearDiscriminantAnalysis(solver="lsqr").fit(
        x, IRIS.targets
    )
    np.testing.assert_allclose(shared.predict_proba(x), lda.predict_proba(x), atol=1e-8)
    own = GaussianClassifier(regularization=0.0).fit(x, IRIS.targets)
    assert (
        own.predict(x)
        == discriminant_analysis.QuadraticDiscriminantAnalysis()
        .fit(x, IRIS.targets)
        .predict(x)
    ).all()


@pytest.mark.notes("PR-17")
def test_generative_learners_can_sample_what_they_learned() -> None:
    learner = GaussianClassifier().fit(IRIS.inputs, IRIS.targets)
    rows, labels = learner.sample(6000, random_state=0)
    for c in range(3):
        np.testing.assert_allclose(
            rows[labels == c].mean(axis=0), learner.means_[c], atol=0.05
        )
    assert learner.score(rows, labels) > 0.95


@pytest.mark.notes("CM-04", "C-CM-04")
def test_neighbours_of_the_case() -> None:
    points = np.array([[0.0, 0], [1, 0], [0, 1], [5, 5], [6, 5]])
    learner = KNNClassifier(n_neighbors=5).fit(points, list("aabbb"))
    distances, order = learner.kneighbors([[0.4, 0.1]])
    np.testing.assert_allclose(
        distances[0], [0.4123, 0.6083, 0.9849, 6.7208, 7.4411], atol=1e-4
    )
    assert order[0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.notes("CM-04", "CM-05")
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev", "cosine"])
def test_neighbours_are_exact(metric: str) -> None:
    x, queries = (
        FLAT[:400].astype(np.float64) + 0.01,
        FLAT[400:450].astype(np.float64) + 0.01,
    )
    learner = KNNClassifier(n_neighbors=7, metric=metric).fit(x, DIGITS.targets[:400])
    expected = np.sort(
        cdist(queries, x, metric={"manhattan": "cityblock"}.get(metric, metric)), axis=1
    )[:, :7]
    np.testing.assert_allclose(learner.kneighbors(queries)[0], expected, atol=1e-7)


def test_a_callable_metric_ties_and_distance_weights() -> None:
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    learner = KNNClassifier(n_neighbors=2, metric=lambda a, b: abs(a - b).sum()).fit(
        x, ["b", "a", "b", "b"]
    )
    _, order = learner.kneighbors([[0.0], [0.5]])
    assert order.tolist() == [[0, 1], [0, 1]]  # equal distances: the earlier example
    assert learner.predict([[0.0]]).tolist() == ["a"]  # equal votes: the first class
    a = (
        KNNRegressor(4, weights="distance")
        .fit(IRIS.inputs, IRIS.inputs[:, 0])
        .predict(IRIS.inputs[::7] + 0.05)
    )
    b = reference_neighbors.KNeighborsRegressor(4, weights="distance").fit(
        IRIS.inputs, IRIS.inputs[:, 0]
    )
    np.testing.assert_allclose(a, b.predict(IRIS.inputs[::7] + 0.05), rtol=1e-5)


@pytest.mark.parametrize("solver", ["exact", "randomized"])
def test_pca_agrees_with_scikit_learn(solver: str) -> None:
    x = FLAT.astype(np.float64)
    ours, theirs = (
        PCA(10, solver=solver).fit(x),
        decomposition.PCA(10, svd_solver="full").fit(x),
    )
    np.testing.assert_allclose(
        ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-4
    )
    np.testing.assert_allclose(
        np.abs((ours.components_ * theirs.components_).sum(axis=1)), 1, atol=1e-4
    )
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(x)),
        theirs.inverse_transform(theirs.transform(x)),
        atol=1e-8 if solver == "exact" else 5e-3,
    )


def test_pca_whitens_and_learns_in_chunks() -> None:
    x = FLAT.astype(np.float64)
    white = PCA(8, whiten=True).fit_transform(x)
    np.testing.assert_allclose(np.cov(white.T), np.eye(8), atol=1e-8)
    whole, chunks = PCA(8).fit(x), PCA(8)
    for start in range(0, len(x), 500):
        chunks.partial_fit(x[start : start + 500])
    np.testing.assert_allclose(chunks.components_, whole.components_, atol=1e-9)
    np.testing.assert_allclose(
        chunks.explained_variance_ratio_, whole.explained_variance_ratio_, rtol=1e-9
    )


def test_fit_of_pca_forgets_chunks_and_partial_fit_after_it_starts_anew() -> None:
    random = np.random.default_rng(0)
    a, b, c = (
        random.normal(place, 1.0, (n, 4))
        for place, n in ((9.0, 30), (0.0, 50), (-4.0, 40))
    )
    learner = PCA(2).partial_fit(a).fit(b)
    np.testing.assert_array_equal(learner.components_, PCA(2).fit(b).components_)
    learner.partial_fit(c)
    assert learner.n_samples_seen_ == len(c)
    np.testing.assert_allclose(
        learner.components_, PCA(2).fit(c).components_, atol=1e-9
    )
    both = PCA(2).fit(np.concatenate([c, a]))
    learner.partial_fit(a)
    np.testing.assert_allclose(learner.mean_, both.mean_, atol=1e-12)
    np.testing.assert_allclose(learner.components_, both.components_, atol=1e-9)
    np.testing.assert_allclose(
        learner.explained_variance_, both.explained_variance_, rtol=1e-9
    )


def test_ica_says_that_its_steps_were_too_few() -> None:
    mixed = np.random.default_rng(0).laplace(size=(300, 3)) @ [
        [1.0, 1.0, 1.0],
        [0.5, 2.0, 1.0],
        [1.5, 1.0, 2.0],
    ]
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        FastICA(3, max_iter=1).fit(mixed)
    learner = FastICA(3, max_iter=500).fit(mixed)
    assert learner.n_iter_ < 500
    rows = learner.components_
    assert (rows[np.arange(3), np.abs(rows).argmax(axis=1)] > 0).all()


def test_ica_separates_mixed_sources() -> None:
    t = np.linspace(0, 8, 2000)
    sources = np.stack([np.sign(np.sin(3 * t)), np.sin(2 * t), (t % 1) - 0.5], axis=1)
    mixed = sources @ np.array([[1, 1, 1], [0.5, 2, 1], [1.5, 1, 2]]).T
    learner = FastICA(3).fit(mixed)
    found = learner.transform(mixed)
    correlation = np.abs(np.corrcoef(found.T, sources.T)[:3, 3:])
    assert (correlation.max(axis=0) > 0.98).all()
    np.testing.assert_allclose(learner.inverse_transform(found), mixed, atol=1e-8)


@pytest.mark.notes("PR-07", "PR-16")
@pytest.mark.parametrize(
    "learner",
    [
        GaussianNaiveBayes(),
        MultinomialNaiveBayes(),
        BernoulliNaiveBayes(threshold=0.5),
        GaussianClassifier(),
        GaussianClassifier(covariance="shared"),
    ],
)
def test_generative_learners_of_chunks_are_those_of_all(learner: Any) -> None:
    x, y = (
        FLAT[:600].astype(np.float64),
        np.sort(DIGITS.targets[:600]),
    )  # the first chunks lack most classes
    weights = np.random.default_rng(0).uniform(0.5, 2, 600)
    whole, parts = clone(learner).fit(x, y, sample_weight=weights), clone(learner)
    for start in range(0, 600, 90):
        rows = slice(start, start + 90)
        parts.partial_fit(
            x[rows],
            y[rows],
            classes=np.arange(10) if not start else None,
            sample_weight=weights[rows],
        )
        assert np.isfinite(parts.predict_proba(x[:3])).all()
    np.testing.assert_allclose(
        parts.predict_proba(x), whole.predict_proba(x), atol=1e-6
    )
    with pytest.raises(ValueError, match="not the same"):
        parts.partial_fit(x, y, classes=[0, 1])
