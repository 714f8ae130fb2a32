"""The blocked search against SciPy's distances, in float64 and float32, with ties and shifted data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from deltarule.learners import KNNClassifier, search
from deltarule.learners.search import Known, neighbors_of_each


@pytest.mark.notes("CM-04", "CM-05")
@pytest.mark.parametrize("native", [False, True], ids=["NumPy", "native"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "k"), [(3, 3), (40, 7), (4096, 5), (9000, 300)])
def test_the_k_nearest_are_those_of_all_distances(
    dtype: str, n: int, k: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_WORTH_COMPILING", 0 if native else 10**18)
    monkeypatch.setattr(search, "_QUERIES", 64)  # blocks, the last one not full
    random = np.random.default_rng(n)
    known = random.normal(size=(n, 6)).astype(dtype) + 100  # far from 0: squares cancel
    queries = np.concatenate([random.normal(size=(150, 6)).astype(dtype) + 100, known[:3]])
    distances, indices = Known.of(known).nearest(queries, k)
    every = cdist(queries.astype(float), known.astype(float))
    np.testing.assert_array_equal(indices, np.argsort(every, axis=1, kind="stable")[:, :k])
    np.testing.assert_allclose(distances, np.take_along_axis(every, indices, axis=1), rtol=1e-12)


@pytest.mark.notes("CM-04")
def test_of_equal_distances_the_earlier_example_is_nearer() -> None:
    grid = np.array([[x, y] for x in range(80) for y in range(80)], np.float32)  # many equal distances
    distances, indices = Known.of(grid).nearest(grid[1000:1010] + 0.5, 12)
    every = cdist(grid[1000:1010] + 0.5, grid)
    np.testing.assert_array_equal(indices, np.argsort(every, axis=1, kind="stable")[:, :12])
    copies = np.ones((5000, 2))
    assert Known.of(copies).nearest(copies[:2], 4)[1].tolist() == [[0, 1, 2, 3]] * 2
    del distances


def test_an_example_is_no_neighbor_of_its_own() -> None:
    x = np.array([[0.0], [0.0], [0.0], [1.0], [5.0]])
    distances, indices = neighbors_of_each(x, 2)
    assert indices.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [3, 0]]
    assert distances[4].tolist() == [4.0, 5.0]


def test_products_stay_in_single_precision() -> None:
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    learner = KNNClassifier(3).fit(x, np.arange(50) % 2)
    assert learner._known.centred.dtype == np.float32 and learner.examples_.dtype == np.float32
