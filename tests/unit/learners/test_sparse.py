"""Sparse inputs: counts that stay sparse, linear classifiers, and pipelines that make them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import naive_bayes as reference
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from deltarule.learners import (
    Adaline,
    BernoulliNaiveBayes,
    KNNRegressor,
    Lasso,
    LinearSVM,
    LogisticRegression,
    MultinomialNaiveBayes,
    Perceptron,
    Ridge,
    SoftmaxRegression,
)

R = np.random.default_rng(0)
COUNTS = (
    R.poisson(R.uniform(0, 1.5, (3, 20)) ** 2, size=(30, 3, 20))
    .reshape(90, 20)
    .astype(float)
)
LABELS = np.tile(np.arange(3), 30)
WEIGHTS = R.uniform(0, 2, 90) * (R.uniform(size=90) > 0.2)
TEXTS = [
    "the red fox",
    "a red hen",
    "a blue sea",
    "the blue sky",
    "deep blue sea",
    "a fox and a red hen",
]
ANIMAL = [True, True, False, False, False, True]

COUNTING: list[tuple[Any, Any]] = [
    (MultinomialNaiveBayes(alpha=0.5), reference.MultinomialNB(alpha=0.5)),
    (BernoulliNaiveBayes(alpha=0.5), reference.BernoulliNB(alpha=0.5)),
    (BernoulliNaiveBayes(threshold=1.0), reference.BernoulliNB(binarize=1.0)),
    (BernoulliNaiveBayes(threshold=-1.0), None),
]


@pytest.mark.notes("PR-16")
@pytest.mark.parametrize(
    "kind", [sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix]
)
@pytest.mark.parametrize(
    ("learner", "theirs"),
    COUNTING,
    ids=["multinomial", "above 0", "above 1", "above -1"],
)
def test_sparse_counts_are_counted_as_dense_ones(
    learner: Any, theirs: Any, kind: Any
) -> None:
    random = np.random.default_rng(0)
    counts = (
        COUNTS - 2 * (random.uniform(size=COUNTS.shape) < 0.2)
        if learner.get_params().get("threshold", 0) < 0
        else COUNTS
    )
    x = kind(counts)
    dense = clone(learner).fit(counts, LABELS, WEIGHTS)
    found = clone(learner).fit(x, LABELS, WEIGHTS)
    parts = clone(learner).partial_fit(
        x.tocsr()[:40], LABELS[:40], [0, 1, 2], WEIGHTS[:40]
    )
    parts.partial_fit(counts[40:], LABELS[40:], sample_weight=WEIGHTS[40:])
    for other in (found, parts):
        np.testing.assert_allclose(
            other.predict_log_proba(x),
            dense.predict_log_proba(counts),
            rtol=1e-9,
            atol=1e-12,
        )
    if theirs is not None:
        expected = theirs.fit(counts, LABELS, WEIGHTS).predict_log_proba(counts)
        np.testing.assert_allclose(
            found.predict_log_proba(x), expected, rtol=1e-9, atol=1e-9
        )
    else:  # by hand: the prior, then every feature above the threshold or not
        on = counts > -1
        members = np.eye(3, dtype=bool)[:, LABELS]
        chance = [(WEIGHTS[m] @ on[m] + 1) / (WEIGHTS[m].sum() + 2) for m in members]
        joint = [
            np.where(on, np.log(p), np.log(1 - p)).sum(axis=1) for p in chance
        ] + np.zeros((3, 1))
        expected = joint.T + np.log(np.bincount(LABELS, WEIGHTS) / WEIGHTS.sum())
        np.testing.assert_allclose(
            found.predict_joint_log_proba(x), expected, rtol=1e-9
        )
    assert np.allclose(found.sample(5, 0)[0], dense.sample(5, 0)[0])


def test_counts_of_many_words_are_not_made_dense() -> None:
    """A dense copy were 1.6 GB."""
    random = np.random.default_rng(0)
    places = np.repeat(np.arange(2000), 10), random.integers(100_000, size=20_000)
    x = sparse.csr_matrix((random.uniform(1, 2, 20_000), places), (2000, 100_000))
    tracemalloc.start()
    for learner in (
        MultinomialNaiveBayes(),
        BernoulliNaiveBayes(),
        BernoulliNaiveBayes(threshold=-0.5),
    ):
        learner.fit(x, np.arange(2000) % 2).predict(x)
    assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    tracemalloc.stop()


def test_negative_counts_are_refused_where_they_are_stored() -> None:
    with pytest.raises(ValueError, match="Negative values"):
        MultinomialNaiveBayes().fit(sparse.csr_matrix(COUNTS - 2), LABELS)


@pytest.mark.parametrize(
    "learner",
    [
        MultinomialNaiveBayes(),
        BernoulliNaiveBayes(),
        LogisticRegression(),
        SoftmaxRegression(),
        LinearSVM(),
    ],
)
def test_pipelines_of_words_and_categories(learner: Any) -> None:
    words = make_pipeline(CountVectorizer(), clone(learner)).fit(TEXTS, ANIMAL)
    assert words.score(TEXTS, ANIMAL) == 1 and words.predict(
        ["red red", "blue"]
    ).tolist() == [True, False]
    kinds = make_pipeline(OneHotEncoder(), clone(learner)).fit(
        [["a"], ["b"], ["a"], ["c"]], [0, 1, 0, 1]
    )
    assert kinds.predict([["a"], ["c"]]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "learner",
    [
        Perceptron(),
        Adaline(),
        LogisticRegression(),
        LogisticRegression(solver="delta"),
        SoftmaxRegression(),
        LinearSVM(),
    ],
    ids=str,
)
def test_linear_classifiers_learn_the_same_from_sparse_inputs(learner: Any) -> None:
    y = COUNTS[:, 0] + COUNTS[:, 1] > COUNTS[:, 2] + 1
    x = sparse.csr_matrix(COUNTS)
    dense, found = clone(learner).fit(COUNTS, y), clone(learner).fit(x, y)
    np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        found.decision_function(x),
        dense.decision_function(COUNTS),
        rtol=1e-10,
        atol=1e-12,
    )
    for part in (dense, found):
        part.partial_fit(COUNTS[:20] if part is dense else x[:20], y[:20])
    np.testing.assert_allclose(found.coef_, dense.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "learner", [Ridge(), Lasso(alpha=0.1), KNNRegressor(3)], ids=str
)
def test_sparse_targets_are_those_of_an_array(learner: Any) -> None:
    y = (COUNTS[:, :3] > 0).astype(float)
    dense = clone(learner).fit(COUNTS, y).predict(COUNTS)
    np.testing.assert_array_equal(
        clone(learner).fit(COUNTS, sparse.csr_matrix(y)).predict(COUNTS), dense
    )
