"""The blocked search against SciPy's distances, in float64 and float32, with ties and shifted data."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from deltarule.learners import KNNClassifier
from deltarule.learners.nearest_neighbors import search
from deltarule.learners.nearest_neighbors.search import Known, neighbors_of_each


@pytest.mark.notes("CM-04", "CM-05")
@pytest.mark.parametrize("native", [False, True], ids=["NumPy", "native"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "k"), [(3, 3), (40, 7), (4096, 5), (9000, 300)])
def test_the_k_nearest_are_those_of_all_distances(
    dtype: str, n: int, k: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_WORTH_COMPILING", 0 if native else 10**18)
    monkeypatch.setattr(search, "_WORTH_TILES", 0 if native else 10**18)
    monkeypatch.setattr(search, "_QUERIES", 64)  # blocks, the last one not full
    random = np.random.default_rng(n)
    known = random.normal(size=(n, 6)).astype(dtype) + 100  # far from 0: squares cancel
    queries = np.concatenate(
        [random.normal(size=(150, 6)).astype(dtype) + 100, known[:3]]
    )
    distances, indices = Known.of(known).nearest(queries, k)
    every = cdist(queries.astype(float), known.astype(float))
    np.testing.assert_array_equal(
        indices, np.argsort(every, axis=1, kind="stable")[:, :k]
    )
    np.testing.assert_allclose(
        distances, np.take_along_axis(every, indices, axis=1), rtol=1e-12
    )


@pytest.mark.notes("CM-04")
def test_of_equal_distances_the_earlier_example_is_nearer() -> None:
    grid = np.array(
        [[x, y] for x in range(80) for y in range(80)], np.float32
    )  # many equal distances
    distances, indices = Known.of(grid).nearest(grid[1000:1010] + 0.5, 12)
    every = cdist(grid[1000:1010] + 0.5, grid)
    np.testing.assert_array_equal(
        indices, np.argsort(every, axis=1, kind="stable")[:, :12]
    )
    copies = np.ones((5000, 2))
    assert Known.of(copies).nearest(copies[:2], 4)[1].tolist() == [[0, 1, 2, 3]] * 2
    del distances


def test_an_example_is_no_neighbor_of_its_own() -> None:
    x = np.array([[0.0], [0.0], [0.0], [1.0], [5.0]])
    distances, indices = neighbors_of_each(x, 2)
    assert indices.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [3, 0]]
    assert distances[4].tolist() == [4.0, 5.0]


def test_products_are_in_single_precision_where_that_tells_neighbors_apart() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(3000, 4))
    learner = KNNClassifier(3).fit(x, np.arange(3000) % 2)
    learner.predict(x[:100])
    assert (
        "fine" not in vars(learner._known)
        and learner._known.coarse[0].centred.dtype == np.float32
    )
    assert set(pickle.loads(pickle.dumps(learner._known)).__dict__) == {
        "examples",
        "mean",
        "exponent",
    }
    assert (
        KNNClassifier(3).fit(np.float32(x), np.arange(3000) % 2).examples_.dtype
        == np.float32
    )


@pytest.mark.notes("CM-04")
@pytest.mark.parametrize("apart", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_neighbors_in_narrow_groups_far_apart_are_exact(apart: float, k: int) -> None:
    random = np.random.default_rng(1)
    places = random.normal(size=(6, 3)) * apart
    known = places[np.arange(3000) % 6] + random.normal(size=(3000, 3)) * 1e-3
    queries = places[np.arange(60) % 6] + random.normal(size=(60, 3)) * 1e-3
    learner = Known.of(known)
    distances, indices = learner.nearest(queries, k)
    every = cdist(queries, known)
    np.testing.assert_array_equal(
        indices, np.argsort(every, axis=1, kind="stable")[:, :k]
    )
    np.testing.assert_allclose(
        distances, np.take_along_axis(every, indices, axis=1), rtol=1e-12
    )
    assert "fine" in vars(learner)


@pytest.mark.parametrize("size", [1e-60, 1e-30, 1e30, 1e60])
def test_doubles_beyond_single_precision_are_divided(size: float) -> None:
    random = np.random.default_rng(2)
    known, queries = (
        random.normal(size=(2500, 5)) * size,
        random.normal(size=(40, 5)) * size,
    )
    learner = Known.of(known)
    assert "fine" not in vars(learner)
    distances, indices = learner.nearest(queries, 4)
    every = cdist(queries / size, known / size)
    np.testing.assert_array_equal(
        indices, np.argsort(every, axis=1, kind="stable")[:, :4]
    )
    np.testing.assert_allclose(
        distances / size, np.take_along_axis(every, indices, axis=1), rtol=1e-12
    )
    outlier = np.concatenate([known, [[1e25 * size] * 5]])
    np.testing.assert_array_equal(Known.of(outlier).nearest(queries, 4)[1], indices)
    afar = Known.of(known).nearest(np.concatenate([queries, [[1e13 * size] * 5]]), 4)[1]
    np.testing.assert_array_equal(afar[:-1], indices)
    np.testing.assert_array_equal(
        afar[-1], np.argsort(-known.sum(axis=1), kind="stable")[:4]
    )


@pytest.mark.parametrize("n", [1, 2, 5, 31, 33, 129, 511, 513, 4095, 4097])
def test_any_number_of_examples(n: int) -> None:
    random = np.random.default_rng(n)
    known, queries = (
        random.integers(0, 4, size=(n, 3)).astype(float),
        random.normal(size=(7, 3)),
    )
    every = cdist(queries, known)
    for k in {1, min(3, n), n}:
        distances, indices = Known.of(known).nearest(queries, k)
        np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-12)
        np.testing.assert_array_equal(
            indices, np.argsort(np.round(every, 9), axis=1, kind="stable")[:, :k]
        )
