"""Principal components against scikit-learn's: how many, the model, sparse rows, randomised variances."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import multivariate_normal
from sklearn import decomposition

from deltarule.errors import ArgumentError, DataError
from deltarule.learners import PCA

R = np.random.default_rng(5)
X = (
    R.normal(size=(80, 6))
    @ np.diag([5.0, 3.0, 2.0, 0.5, 0.3, 0.2])
    @ np.linalg.qr(R.normal(size=(6, 6)))[0]
    + 7
)
WIDE = R.normal(size=(12, 30)) * np.linspace(3, 0.1, 30)


def _same(ours: Any, theirs: Any, rtol: float = 1e-9) -> None:
    """Compare what was learned; signs are a convention."""
    for name in (
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
        "noise_variance_",
        "mean_",
    ):
        np.testing.assert_allclose(
            getattr(ours, name),
            getattr(theirs, name),
            rtol=rtol,
            atol=1e-12,
            err_msg=name,
        )
    assert ours.n_components_ == theirs.n_components_
    signs = np.sign((ours.components_ * theirs.components_).sum(axis=1))[:, None]
    np.testing.assert_allclose(ours.components_ * signs, theirs.components_, atol=1e-7)


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.95, 0.999, 1, 3, None, "mle"])
@pytest.mark.parametrize("x", [X, WIDE], ids=["tall", "wide"])
def test_as_many_components_as_are_wanted(wanted: Any, x: Any) -> None:
    if wanted == "mle" and x is WIDE:
        with pytest.raises(ValueError, match="n_samples >= n_features"):
            PCA("mle").fit(x)
        return
    wanted = 11 if wanted is None and x is WIDE else wanted  # the twelfth variance is 0
    ours, theirs = (
        PCA(wanted).fit(x),
        decomposition.PCA(wanted, svd_solver="full").fit(x),
    )
    _same(ours, theirs)
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(x)),
        theirs.inverse_transform(theirs.transform(x)),
    )
    if x is X:
        parts = PCA(wanted).partial_fit(x[:30]).partial_fit(x[30:])
        _same(parts, ours, 1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_the_number_of_largest_evidence_is_that_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = 1 + seed
    x = random.normal(size=(300, rank)) @ random.normal(
        size=(rank, 9)
    ) + 0.1 * random.normal(size=(300, 9))
    assert (
        PCA("mle").fit(x).n_components_
        == decomposition.PCA("mle", svd_solver="full").fit(x).n_components_
        == rank
    )


@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_model_is_a_normal_distribution(k: int, whiten: bool) -> None:
    random = np.random.default_rng(5)
    ours, theirs = PCA(k, whiten=whiten).fit(X), decomposition.PCA(k).fit(X)
    np.testing.assert_allclose(
        ours.get_covariance(), theirs.get_covariance(), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        ours.get_precision(), theirs.get_precision(), rtol=1e-7, atol=1e-10
    )
    new = random.normal(size=(9, 6)) * 4
    np.testing.assert_allclose(
        ours.score_samples(new), theirs.score_samples(new), rtol=1e-9
    )
    exact = multivariate_normal(ours.mean_, ours.get_covariance()).logpdf(new)
    np.testing.assert_allclose(ours.score_samples(new), exact, rtol=1e-8)
    assert ours.score(new) == pytest.approx(theirs.score(new))


def test_a_model_without_extent_is_an_error() -> None:
    flat = np.c_[X[:, :2], X[:, :1] + X[:, 1:2]]
    with pytest.raises(DataError, match="variance in all directions"):
        PCA(2).fit(np.c_[X[:, :2], np.zeros((80, 2))]).score_samples(np.zeros((1, 4)))
    with pytest.raises(DataError, match="variance in all directions"):
        PCA().fit(WIDE).get_precision()
    assert np.isfinite(PCA(1).fit(flat).score(flat))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("solver", ["exact", "randomized"])
@pytest.mark.parametrize("shape", [(60, 12), (15, 40)])
def test_sparse_rows_have_the_components_of_dense_ones(
    dtype: str, solver: str, shape: tuple[int, int]
) -> None:
    random = np.random.default_rng(5)
    dense = (
        random.normal(size=shape) * (random.uniform(size=shape) < 0.3)
        + (np.arange(shape[1]) == 1)
    ).astype(dtype)
    dense *= np.linspace(3, 0.5, shape[1]).astype(dtype)
    ours = PCA(4, solver=solver, n_iter=25).fit(sparse.csr_array(dense))
    theirs = decomposition.PCA(4, svd_solver="full").fit(dense.astype(float))
    tight = dtype == "float64"
    np.testing.assert_allclose(
        ours.explained_variance_,
        theirs.explained_variance_,
        rtol=1e-6 if tight else 1e-4,
    )
    np.testing.assert_allclose(
        ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-4
    )
    np.testing.assert_allclose(ours.noise_variance_, theirs.noise_variance_, rtol=1e-4)
    found, expected = ours.transform(sparse.csc_matrix(dense)), theirs.transform(dense)
    assert found.dtype == dtype and ours.components_.dtype == dtype
    np.testing.assert_allclose(
        np.abs(found), np.abs(expected), atol=2e-4 if tight else 2e-2
    )
    np.testing.assert_allclose(
        found, ours.transform(dense), atol=1e-10 if tight else 1e-4
    )


@pytest.mark.parametrize("solver", ["exact", "randomized"])
def test_many_words_are_not_made_dense(solver: str) -> None:
    """A dense copy were 1.6 GB."""
    random = np.random.default_rng(5)
    places = np.repeat(np.arange(4000), 10), random.integers(50_000, size=40_000)
    x = sparse.csr_matrix((random.uniform(1, 2, 40_000), places), (4000, 50_000))
    tracemalloc.start()
    scores = PCA(3, solver=solver).fit_transform(x)
    assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    tracemalloc.stop()
    assert scores.shape == (4000, 3)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-8)


@pytest.mark.parametrize("k", [2, 10])
@pytest.mark.parametrize("shape", [(1000, 120), (120, 1000)])
def test_randomised_variances_are_those_of_the_scores(
    k: int, shape: tuple[int, int]
) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    ours = PCA(k, solver="randomized").fit(x)
    scores = ours.transform(x)
    np.testing.assert_allclose(
        ours.explained_variance_, scores.var(axis=0, ddof=1), rtol=1e-9
    )
    exact = decomposition.PCA(k, svd_solver="full").fit(x).explained_variance_
    np.testing.assert_allclose(ours.explained_variance_, exact, rtol=0.05)
    gram = ours.components_ @ ours.components_.T
    np.testing.assert_allclose(gram, np.eye(k), atol=1e-10)


def test_few_components_take_more_iterations() -> None:
    x = np.random.default_rng(0).normal(size=(300, 90))
    for k, steps in ((3, 7), (30, 4)):
        automatic, told = (
            PCA(k, solver="randomized").fit(x),
            PCA(k, solver="randomized", n_iter=steps).fit(x),
        )
        np.testing.assert_array_equal(automatic.components_, told.components_)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"n_components": 1.5}, "n_components: expected a whole number ≥ 1, a fraction"),
    ({"n_components": 1.0}, "n_components: expected a whole number ≥ 1, a fraction"),
    ({"n_components": -0.5}, "n_components: expected"),
    ({"n_components": "most"}, "n_components: expected"),
    ({"n_components": True}, "n_components: expected"),
    (
        {"n_components": 0.9, "solver": "randomized"},
        "expected a whole number or None with solver='randomized'",
    ),
    (
        {"n_components": "mle", "solver": "randomized"},
        "expected a whole number or None with solver='randomized'",
    ),
    ({"n_iter": "many"}, "n_iter: expected a whole number ≥ 0, or 'auto'"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_parameters_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        PCA(**options).fit(X)
