"""Data whose squares no floating-point number holds: the neighbours, the maps and the samples are those of the rest."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule.errors import ArgumentError, DataError
from deltarule.learners import (
    TSNE,
    UMAP,
    KNNClassifier,
    KNNRegressor,
    ParametricUMAP,
    smote,
)
from deltarule.learners.nearest_neighbors.search import Known, neighbors_of_each

R = np.random.default_rng(0)
X = R.normal(size=(60, 3))
Y = np.arange(60) % 3
SIZES = [
    ("float64", 700),
    ("float64", 1000),
    ("float64", -700),
    ("float32", 70),
    ("float32", 120),
    ("float32", -90),
]


@pytest.mark.notes("CM-04")
@pytest.mark.parametrize(("dtype", "exponent"), SIZES)
def test_neighbors_do_not_depend_on_the_unit(dtype: str, exponent: int) -> None:
    random = np.random.default_rng(0)
    x, queries = X.astype(dtype), random.normal(size=(20, 3)).astype(dtype)
    distances, indices = Known.of(x).nearest(queries, 4)
    far, same = Known.of(np.ldexp(x, exponent)).nearest(np.ldexp(queries, exponent), 4)
    np.testing.assert_array_equal(same, indices)
    np.testing.assert_array_equal(far, np.ldexp(distances, exponent))
    np.testing.assert_array_equal(
        neighbors_of_each(np.ldexp(x, exponent), 3)[1], neighbors_of_each(x, 3)[1]
    )


@pytest.mark.parametrize(
    ("dtype", "size"), [("float64", 1e200), ("float64", 1e-200), ("float32", 1e20)]
)
def test_each_far_example_is_its_own_nearest(dtype: str, size: float) -> None:
    x, y = np.eye(200, dtype=dtype) * np.dtype(dtype).type(size), np.arange(200) % 50
    assert KNNClassifier(1).fit(x, y).score(x, y) == 1
    assert KNNRegressor(1).fit(x, y).predict(x).tolist() == y.tolist()


@pytest.mark.parametrize("unit", [1.0, 1e-250, 1e150])
def test_queries_out_of_reach_are_measured_one_by_one(unit: float) -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 0.0], [1.0, 0.0]]) * unit
    queries = np.array(
        [[2.9 * unit, 0.0], [-1e200, 0.0], [2e300, 1e300], [0.1 * unit, unit]]
    )
    distances, indices = Known.of(x).nearest(queries, 2)
    assert indices[[0, 3]].tolist() == [[2, 1], [0, 1]]
    assert indices[[1, 2]].tolist() == [
        [0, 1],
        [0, 1],
    ]  # equal distances, up to rounding
    np.testing.assert_allclose(
        distances[1:3], [[1e200] * 2, [np.sqrt(5) * 1e300] * 2], rtol=1e-15
    )
    np.testing.assert_allclose(
        distances[[0, 3], 0], np.array([0.1, 0.1]) * unit, rtol=1e-12
    )


def test_a_double_beyond_single_precision_is_a_far_query() -> None:
    learner = KNNClassifier(1).fit(np.float32([[0, 0], [1e30, 0]]), [0, 1])
    assert learner.predict(
        np.array([[1e29, 0.0], [1e60, 0.0], [0.9e30, 0]])
    ).tolist() == [0, 0, 1]


@pytest.mark.parametrize("exponent", [660, -660])
def test_maps_do_not_depend_on_the_unit(exponent: int) -> None:
    random = np.random.default_rng(0)
    far, new = np.ldexp(X, exponent), random.normal(size=(4, 3))
    for learner in (
        TSNE(max_iter=60, perplexity=10, random_state=0),
        UMAP(n_epochs=30, random_state=0),
    ):
        np.testing.assert_array_equal(
            learner.fit_transform(np.ldexp(X, 500)), learner.fit_transform(far)
        )
        assert np.isfinite(learner.embedding_).all() and learner.embedding_.std() > 1e-3
    places = learner.transform(np.ldexp(new, exponent))
    np.testing.assert_array_equal(
        learner.fit(np.ldexp(X, 500)).transform(np.ldexp(new, 500)), places
    )
    network = ParametricUMAP(
        n_neighbors=5, epochs=2, device="reference", random_state=0
    )
    places = network.fit(far).transform(np.ldexp(new, exponent))
    np.testing.assert_array_equal(
        network.fit(np.ldexp(X, 500)).transform(np.ldexp(new, 500)), places
    )
    assert np.isfinite(places).all()


def test_samples_are_drawn_between_numbers_alone() -> None:
    x, y = X.copy(), np.arange(60) > 50
    x[7, 1] = np.nan
    with pytest.raises(
        DataError,
        match="smote X: expected finite numbers, got NaN or infinity in row 7",
    ):
        smote(x, y)
    assert len(smote(X * 1e200, y)[0]) == 2 * 51


def test_other_numbers_of_neighbors_than_that_of_fit() -> None:
    for metric in ("euclidean", "manhattan"):
        learner = KNNClassifier(2, metric=metric).fit(X, Y)
        distances, indices = learner.kneighbors(X, 7)
        np.testing.assert_array_equal(learner.kneighbors(X)[1], indices[:, :2])
        np.testing.assert_array_equal(
            learner.kneighbors(X, n_neighbors=60)[0][:, :7], distances
        )
        for wrong in (0, 61, 2.5):
            with pytest.raises(
                ArgumentError,
                match="kneighbors n_neighbors: expected a whole number from 1 to 60",
            ):
                learner.kneighbors(X, wrong)
