"""Fits of Gaussian mixtures: the steps far from 0, given starts, warm starts, and data on which components collapse."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.mixture
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning

from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.generative import GaussianMixture
from deltarule.generative.mixtures.steps import (
    KINDS,
    MixtureParameters,
    expect,
    maximize,
)

R = np.random.default_rng(7)
X = np.concatenate(
    [
        R.normal(size=(150, 3)) @ R.normal(size=(3, 3)) + c
        for c in ([4, 0, 0], [-3, 1, 2], [0, 4, -2])
    ]
)
SHARES = R.dirichlet([0.3, 0.3, 0.3], len(X)).T
quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def _dense(covariances: Any, kind: str, k: int, d: int) -> Any:
    """Return (K, d, d) whatever the kind."""
    if kind == "full":
        return covariances
    if kind == "tied":
        return np.stack([covariances] * k)
    return np.stack([np.eye(d) * part for part in covariances])


def _restricted(full: Any, weights: Any, kind: str) -> Any:
    """Return one covariance a component as the kind shapes it."""
    if kind == "full":
        return full
    if kind == "tied":
        return np.einsum("k,kij->ij", weights, full)
    diagonals = np.diagonal(full, axis1=1, axis2=2)
    return diagonals if kind == "diag" else diagonals.mean(axis=1)


@pytest.mark.notes("PR-21")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shift", "scale"), [(0.0, 1.0), (1e6, 1.0), (-3.0, 1e80), (1e4, 1e-3)]
)
def test_both_steps_are_the_formulas_far_from_0_too(
    kind: str, shift: float, scale: float
) -> None:
    x = X * scale + shift
    made = maximize(x, SHARES, kind, 0.0)
    wide = x.astype(np.longdouble)
    counts = SHARES.sum(axis=1)
    means = (SHARES @ wide) / counts[:, None]
    full = np.stack(
        [
            (r[:, None] * (wide - m)).T @ (wide - m) / n
            for r, m, n in zip(SHARES, means, counts, strict=True)
        ]
    )
    wanted = _restricted(full, counts / counts.sum(), kind)
    digits = 1e-12 + 1e-15 * abs(shift) / scale  # what is left of the differences
    np.testing.assert_allclose(made.weights, counts / counts.sum(), rtol=1e-12)
    np.testing.assert_allclose(
        made.means, means.astype(float), rtol=1e-12, atol=digits * scale
    )
    np.testing.assert_allclose(
        made.covariances,
        wanted.astype(float),
        rtol=100 * digits,
        atol=100 * digits * scale**2,
    )
    dense = _dense(made.covariances / scale / scale, kind, 3, 3)
    centres = (made.means - shift) / scale
    joint = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf((x - shift) / scale)
            for w, m, c in zip(made.weights, centres, dense, strict=True)
        ]
    )
    shares, likelihood, bound = expect(x, made)
    total = np.log(np.exp(joint).sum(axis=0)).mean() - 3 * np.log(scale)
    assert (likelihood, bound) == pytest.approx((total, total), abs=1e-9 + 1e4 * digits)
    np.testing.assert_allclose(shares, softmax(joint, axis=0), atol=1e-9 + 1e4 * digits)


@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_narrow_components_far_apart_keep_their_digits(kind: str) -> None:
    random = np.random.default_rng(7)
    places = np.array([[0.0, 0.0], [1e6, 1e6], [-1e6, 2e6]])
    labels = np.arange(3000) % 3
    x = places[labels] + 1e-3 * random.normal(size=(3000, 2))
    shares = np.eye(3)[labels].T
    made = maximize(x, shares, kind, 0.0)
    wanted = np.stack([x[labels == k].var(axis=0) for k in range(3)])
    wanted = wanted.mean(axis=1) if kind == "spherical" else wanted
    np.testing.assert_allclose(made.covariances, wanted, rtol=1e-6)
    deviations = np.sqrt(np.broadcast_to(wanted.reshape(3, -1), (3, 2)))
    gap = (x - made.means[labels]) / deviations[labels]
    log_density = (
        -0.5 * (gap**2).sum(axis=1)
        - np.log(deviations[labels]).sum(axis=1)
        - np.log(2 * np.pi)
    )
    assert expect(x, made)[1] == pytest.approx(
        (log_density + np.log(1 / 3)).mean(), rel=1e-6
    )


def _start(kind: str) -> dict[str, Any]:
    precisions = {
        "full": np.stack([np.eye(3) / (k + 1) for k in range(3)]),
        "tied": np.eye(3) * 0.5 + 0.1,
        "diag": np.array([[1.0, 2.0, 0.5]] * 3),
        "spherical": np.array([1.0, 0.5, 0.2]),
    }
    return {
        "weights_init": [0.5, 0.3, 0.2],
        "means_init": X[[0, 200, 400]],
        "precisions_init": precisions[kind],
    }


@quiet
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounds", [1, 4])
def test_from_a_given_start_each_round_is_that_of_scikit_learn(
    kind: str, rounds: int
) -> None:
    options = {"covariance_type": kind, "max_iter": rounds, "tol": 0.0, **_start(kind)}
    ours = GaussianMixture(3, **options).fit(X)
    theirs = sklearn.mixture.GaussianMixture(3, **options).fit(X)
    for name in (
        "weights_",
        "means_",
        "covariances_",
        "precisions_",
        "precisions_cholesky_",
    ):
        np.testing.assert_allclose(
            getattr(ours, name),
            getattr(theirs, name),
            rtol=1e-7,
            atol=1e-9,
            err_msg=name,
        )
    np.testing.assert_allclose(
        ours.score_samples(X), theirs.score_samples(X), rtol=1e-9
    )
    assert ours.n_iter_ == theirs.n_iter_ == rounds


@quiet
@pytest.mark.parametrize("given", ["weights_init", "means_init", "precisions_init"])
def test_what_is_not_given_comes_from_the_start(given: str) -> None:
    part = {given: _start("full")[given]}
    fitted = GaussianMixture(3, random_state=0, tol=1e-9, max_iter=1000, **part).fit(X)
    free = GaussianMixture(3, random_state=0, tol=1e-9, max_iter=1000).fit(X)
    order = np.argsort(fitted.means_[:, 0])
    np.testing.assert_allclose(fitted.means_[order], free.means_, atol=1e-3)


@quiet
@pytest.mark.parametrize("kind", ["kmeans", "k-means++", "random", "random_from_data"])
def test_every_kind_of_start_climbs(kind: str) -> None:
    fitted = GaussianMixture(
        3, init_params=kind, n_init=4, random_state=0, max_iter=400
    ).fit(X)
    peer = sklearn.mixture.GaussianMixture(
        3, n_init=4, random_state=0, tol=1e-6, max_iter=400
    ).fit(X)
    assert fitted.lower_bound_ == pytest.approx(peer.score(X), abs=0.02)
    assert (np.diff([row["log_likelihood"] for row in fitted.history_]) > -1e-6).all()


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_goes_on(kind: str) -> None:
    whole = GaussianMixture(
        3, covariance_type=kind, max_iter=6, tol=0.0, random_state=0
    ).fit(X)
    parts = GaussianMixture(
        3, covariance_type=kind, max_iter=2, tol=0.0, random_state=0, warm_start=True
    )
    for _ in range(3):
        parts.fit(X)
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        parts.covariances_, whole.covariances_, rtol=1e-8, atol=1e-12
    )
    with pytest.raises(
        ArgumentError,
        match="n_components: expected 3, that of the last fit, with warm_start, got 2",
    ):
        parts.set_params(n_components=2).fit(X)
    with pytest.raises(ValueError, match="features"):
        parts.set_params(n_components=3).fit(X[:, :2])


def test_rounds_of_warm_starts_know_when_they_have_converged() -> None:
    ours = GaussianMixture(3, max_iter=1, warm_start=True, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rounds = [ours.fit(X).lower_bound_ for _ in range(60)]
        whole = GaussianMixture(3, max_iter=60, tol=1e-3, random_state=0).fit(X)
    assert ours.converged_ and whole.converged_
    first = int(np.argmax(np.diff(rounds) < 1e-3)) + 2
    assert first == whole.n_iter_


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_draws_are_at_least_one(n: Any) -> None:
    with pytest.raises(ArgumentError, match="sample n: expected a whole number ≥ 1"):
        GaussianMixture(2, random_state=0).fit(X).sample(n)


COLLAPSED: dict[str, Any] = {
    "repeated rows": np.repeat(R.normal(size=(4, 2)), 10, axis=0) + 5,
    "a constant feature": np.c_[R.normal(size=40), np.full(40, 3.7)],
    "a redundant feature": np.c_[R.normal(size=(40, 1)), np.zeros(40)]
    @ np.array([[1.0, 0.3], [0.0, 0.0]])
    + 1e3,
    "one point": np.full((20, 2), 0.1),
    "fewer rows than features": R.normal(size=(4, 9)),
}


@quiet
@pytest.mark.parametrize("name", COLLAPSED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_component_without_extent_is_one_clear_error(name: str, kind: str) -> None:
    x = COLLAPSED[name]
    clear = r"GaussianMixture: expected examples that spread in all directions in every component(.|\n)*raise reg_covar"
    never = {
        "a constant feature": {"spherical"},
        "a redundant feature": {"spherical", "diag"},
        "fewer rows than features": {"diag", "spherical"},
    }
    k = 4 if name == "repeated rows" else 1
    with np.errstate(all="raise", under="ignore"):
        if kind in never.get(name, set()):
            assert np.isfinite(
                GaussianMixture(k, covariance_type=kind, reg_covar=0.0, random_state=0)
                .fit(x)
                .score(x)
            )
        else:
            with pytest.raises(DataError, match=clear):
                GaussianMixture(
                    k, covariance_type=kind, reg_covar=0.0, random_state=0
                ).fit(x)
        fitted = GaussianMixture(k, covariance_type=kind, random_state=0).fit(x)
    assert np.isfinite(fitted.score(x)) and np.isfinite(fitted.precisions_).all()


def test_components_without_examples_are_told() -> None:
    rows = np.ones((20, 2))
    for kind in (GaussianMixture, sklearn.mixture.GaussianMixture):
        with pytest.warns(ConvergenceWarning, match="distinct clusters"):
            fitted = kind(2, random_state=0).fit(rows)
        assert fitted.predict(rows).tolist() == [fitted.predict(rows)[0]] * 20
        np.testing.assert_allclose(sorted(fitted.weights_), [0, 1], atol=1e-9)
        np.testing.assert_allclose(fitted.means_[fitted.weights_.argmax()], [1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(2, random_state=0).fit(
            np.repeat([[0.0, 1.0], [3.0, 4.0]], 10, axis=0)
        )


@quiet
def test_a_start_that_collapses_is_left_out() -> None:
    random = np.random.default_rng(7)
    x = np.concatenate([random.normal(size=(40, 2)), [[9.0, 9.0]] * 2])
    with pytest.raises(DataError, match="in every component"):
        GaussianMixture(2, reg_covar=0.0, random_state=1).fit(
            x
        )  # the two outliers alone
    fitted = GaussianMixture(
        2, reg_covar=0.0, init_params="random", n_init=20, random_state=0, tol=1e-2
    ).fit(x)
    assert np.isfinite(fitted.lower_bound_)


@pytest.mark.parametrize("size", [1e155, 1e200, -1e300])
def test_numbers_beyond_squares_are_refused(size: float) -> None:
    with pytest.raises(
        DataError, match="GaussianMixture X: expected numbers up to"
    ) as told:
        GaussianMixture(2).fit(X * size)
    assert "Divide X" in str(told.value)
    with pytest.raises(DataError, match="GaussianMixture X"):
        GaussianMixture(2, random_state=0).fit(X).predict(X * size)
    scaled = GaussianMixture(2, random_state=0).fit(X * 1e100)
    assert (
        scaled.predict(X * 1e100)
        == GaussianMixture(2, random_state=0, reg_covar=0.0).fit(X).predict(X)
    ).all()


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    (
        {"weights_init": [0.5, 0.5]},
        ShapeError,
        r"weights_init: expected \(3,\), got \(2,\)",
    ),
    (
        {"weights_init": [0.5, 0.9, 0.1]},
        ArgumentError,
        "weights_init: expected weights",
    ),
    (
        {"weights_init": [1.5, -0.6, 0.1]},
        ArgumentError,
        "weights_init: expected weights",
    ),
    ({"means_init": X[:3, :2]}, ShapeError, r"means_init: expected \(3, 3\)"),
    (
        {"means_init": np.full((3, 3), np.nan)},
        ArgumentError,
        "means_init: expected finite numbers",
    ),
    (
        {"precisions_init": np.eye(3)},
        ShapeError,
        r"precisions_init: expected \(3, 3, 3\)",
    ),
    (
        {"precisions_init": -np.stack([np.eye(3)] * 3)},
        ArgumentError,
        "symmetric positive definite",
    ),
    (
        {"precisions_init": [1.0, -1.0, 1.0], "covariance_type": "spherical"},
        ArgumentError,
        "numbers > 0, got -1",
    ),
    ({"init_params": "best"}, ArgumentError, "init_params: expected one of 'kmeans'"),
    ({"reg_covar": np.nan}, ArgumentError, "reg_covar: expected a number ≥ 0"),
    ({"tol": "a"}, ArgumentError, "tol: expected a number ≥ 0"),
]


@pytest.mark.parametrize(("options", "kind", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_starts_are_told(
    options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        GaussianMixture(3, **options).fit(X)


def test_precisions_are_the_inverses() -> None:
    made = MixtureParameters.of(
        np.array([1.0]), np.zeros((1, 2)), np.array([[[2.0, 0.5], [0.5, 1.0]]]), "full"
    )
    np.testing.assert_allclose(
        made.precisions[0], np.linalg.inv(made.covariances[0]), rtol=1e-14
    )
