"""k nearest neighbours against scikit-learn's: sparse rows, several outputs, weights, training examples themselves."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from deltarule.learners import KNNClassifier, KNNRegressor

R = np.random.default_rng(3)
X = np.round(R.normal(size=(120, 8)) * (R.uniform(size=(120, 8)) < 0.4), 3)
QUERIES = np.concatenate(
    [R.normal(size=(15, 8)) * (R.uniform(size=(15, 8)) < 0.5), X[:3], np.zeros((1, 8))]
)
LABELS, NUMBERS = np.arange(120) % 3, X @ R.normal(size=(8, 2))
KINDS: list[Callable[[Any], Any]] = [
    np.asarray,
    sparse.csr_matrix,
    sparse.csc_array,
    sparse.lil_matrix,
]


def _sorted_distances(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a[0], b[0], rtol=1e-9, atol=1e-9)


@pytest.mark.notes("CM-04")
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine", "chebyshev"])
@pytest.mark.parametrize("known", KINDS)
@pytest.mark.parametrize("asked", [np.asarray, sparse.csr_matrix])
def test_sparse_rows_have_the_neighbors_of_dense_ones(
    metric: str, known: Any, asked: Any
) -> None:
    ours = KNNRegressor(4, metric=metric).fit(known(X), NUMBERS)
    theirs = KNeighborsRegressor(4, metric=metric, algorithm="brute").fit(X, NUMBERS)
    dense = KNNRegressor(4, metric=metric).fit(X, NUMBERS)
    _sorted_distances(ours.kneighbors(asked(QUERIES)), theirs.kneighbors(QUERIES))
    if metric == "euclidean":  # equal distances are ordered by example
        np.testing.assert_array_equal(
            ours.kneighbors(asked(QUERIES))[1], dense.kneighbors(QUERIES)[1]
        )
    assert ours.predict(asked(QUERIES)).shape == (19, 2)


@pytest.mark.parametrize("size", [1e-250, 1e-160, 1.0, 1e160, 1e250])
def test_sparse_neighbors_do_not_depend_on_the_unit(size: float) -> None:
    rows, asked = sparse.csr_matrix(X * size), sparse.csr_matrix(QUERIES * size)
    distances = KNNRegressor(4).fit(rows, NUMBERS).kneighbors(asked)[0]
    expected = KNNRegressor(4).fit(X, NUMBERS).kneighbors(QUERIES)
    np.testing.assert_allclose(
        distances, expected[0] * size, rtol=1e-9, atol=1e-12 * size
    )
    far = (
        KNNRegressor(1)
        .fit(rows, NUMBERS)
        .kneighbors(sparse.csr_matrix(np.full((1, 8), 1e300 * min(size, 1.0))))
    )
    assert np.isfinite(far[0]).all()


def test_many_words_are_not_made_dense() -> None:
    """A dense copy were 0.8 GB."""
    random = np.random.default_rng(3)
    places = np.repeat(np.arange(1000), 10), random.integers(100_000, size=10_000)
    x = sparse.csr_matrix((random.uniform(1, 2, 10_000), places), (1000, 100_000))
    tracemalloc.start()
    learner = KNNClassifier(1).fit(x, np.arange(1000) % 7)
    assert (learner.predict(x) == np.arange(1000) % 7).all()
    assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    tracemalloc.stop()


def _by_rank(distances: Any) -> Any:
    return 1.0 / (1 + np.arange(distances.shape[1])) * np.ones_like(distances)


@pytest.mark.parametrize(
    "weights",
    ["uniform", "distance", _by_rank, lambda d: np.exp(-(d**2))],
    ids=range(4),
)
@pytest.mark.parametrize("p", [1, 2, 4])
def test_votes_and_means_are_those_of_scikit_learn(weights: Any, p: int) -> None:
    random = np.random.default_rng(3)
    metric = {1: "manhattan", 2: "euclidean", 4: lambda a, b: np.linalg.norm(a - b, 4)}[
        p
    ]
    known = random.normal(size=(60, 3))  # no equal distances
    asked = np.concatenate([random.normal(size=(10, 3)), known[:4]])
    labels = np.array(["b", "a", "c"])[np.arange(60) % 3]
    ours = KNNClassifier(5, metric=metric, weights=weights).fit(known, labels)
    theirs = KNeighborsClassifier(5, p=p, weights=weights).fit(known, labels)
    np.testing.assert_allclose(
        ours.predict_proba(asked), theirs.predict_proba(asked), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_array_equal(ours.predict(asked), theirs.predict(asked))
    means = (
        KNNRegressor(5, metric=metric, weights=weights)
        .fit(known, known[:, 0])
        .predict(asked)
    )
    expected = (
        KNeighborsRegressor(5, p=p, weights=weights)
        .fit(known, known[:, 0])
        .predict(asked)
    )
    np.testing.assert_allclose(means, expected, rtol=1e-9)


@pytest.mark.parametrize("unit", [5e-324, 1e-310, 1e-300, 1e300])
def test_weights_by_distances_of_any_size(unit: float) -> None:
    known = np.array([[0.0], [2.0], [8.0]]) * unit
    shares = (
        KNNClassifier(3, weights="distance")
        .fit(known, [0, 1, 1])
        .predict_proba([[4 * unit]])
    )
    np.testing.assert_allclose(shares, [[0.25, 0.75]], rtol=1e-12)
    means = (
        KNNRegressor(2, weights="distance")
        .fit(known, [0.0, 3.0, 9.0])
        .predict([[4 * unit], [0.0]])
    )
    np.testing.assert_allclose(means, [2.0, 0.0], rtol=1e-12)


MANY = (NUMBERS > 0.3).astype(int)


@pytest.mark.parametrize("kind", [*KINDS, sparse.coo_array])
def test_labels_of_which_any_may_hold(kind: Any) -> None:
    ours = KNNClassifier(5, weights="distance").fit(X, kind(MANY))
    theirs = KNeighborsClassifier(5, weights="distance", algorithm="brute").fit(X, MANY)
    known = KNNClassifier(1).fit(X, kind(MANY))
    assert ours.predict(QUERIES).shape == (19, 2) and set(
        np.unique(ours.predict(QUERIES))
    ) <= {0, 1}
    for own, other in zip(
        ours.predict_proba(QUERIES[:15]),
        theirs.predict_proba(QUERIES[:15]),
        strict=True,
    ):
        assert own.shape == other.shape
    assert known.score(X, MANY) > 0.9 and len(ours.classes_) == 2


def test_columns_of_classes() -> None:
    random = np.random.default_rng(3)
    known, asked = random.normal(size=(60, 3)), random.normal(size=(9, 3))
    y = np.stack(
        [
            np.array(["x", "y", "z"])[np.arange(60) % 3],
            np.where(known[:, 0] > 0, "up", "down"),
        ],
        axis=1,
    )
    ours, theirs = KNNClassifier(4).fit(known, y), KNeighborsClassifier(4).fit(known, y)
    np.testing.assert_array_equal(ours.predict(asked), theirs.predict(asked))
    for own, other in zip(
        ours.predict_proba(asked), theirs.predict_proba(asked), strict=True
    ):
        np.testing.assert_allclose(own, other)
    for own, other in zip(ours.classes_, theirs.classes_, strict=True):
        assert own.tolist() == other.tolist()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_the_training_examples_are_none_of_their_own_neighbors(kind: Any) -> None:
    random = np.random.default_rng(3)
    known = random.normal(size=(40, 3))
    ours, theirs = (
        KNNClassifier(3).fit(kind(known), np.arange(40) % 2),
        KNeighborsClassifier(3).fit(known, np.arange(40) % 2),
    )
    for own, other in zip(ours.kneighbors(), theirs.kneighbors(), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-9)
    np.testing.assert_array_equal(
        ours.kneighbors(known, 2, return_distance=False), theirs.kneighbors(known, 2)[1]
    )
    assert clone(ours).n_neighbors == 3
