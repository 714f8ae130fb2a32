"""Gaussian mixtures against scikit-learn's, their bound, and scikit-learn's own checks; figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn.mixture
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from deltarule import data
from deltarule import generative as g
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative.mixtures.expectation_maximization import elbo
from support.estimator_checks import with_checks

R = np.random.default_rng(4)
X = np.concatenate(
    [
        R.normal(size=(120, 2)) @ [[1.0, 0.6], [0.0, 0.5]] + [4, 0],
        R.normal(size=(80, 2)) * [0.4, 1.0] - [3, 1],
        R.normal(size=(60, 2)) * 0.6 + [0, 4],
    ]
)
KINDS = ["full", "tied", "diag", "spherical"]


@with_checks(
    [g.GaussianMixture(), g.GaussianMixture(2, covariance_type="diag", random_state=0)]
)
def test_scikit_learns_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.notes("PR-21")
@pytest.mark.parametrize("kind", KINDS)
def test_mixture_agrees_with_scikit_learn(kind: str) -> None:
    options = {"covariance_type": kind, "random_state": 0, "tol": 1e-8, "max_iter": 500}
    ours = g.GaussianMixture(3, n_init=3, **options).fit(X)
    theirs = sklearn.mixture.GaussianMixture(3, n_init=5, **options).fit(X)
    order = np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(ours.means_, theirs.means_[order], atol=1e-3)
    np.testing.assert_allclose(ours.weights_, theirs.weights_[order], atol=1e-3)
    expected = theirs.covariances_ if kind == "tied" else theirs.covariances_[order]
    np.testing.assert_allclose(ours.covariances_, expected, atol=3e-3)
    np.testing.assert_allclose(
        ours.score_samples(X), theirs.score_samples(X), atol=1e-3
    )
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X)[:, order], atol=2e-3
    )
    assert (ours.predict(X) == np.argsort(order)[theirs.predict(X)]).all()
    assert ours.bic(X) == pytest.approx(theirs.bic(X), abs=0.01)
    assert ours.aic(X) == pytest.approx(theirs.aic(X), abs=0.01)


@pytest.mark.notes("PR-21", "VI-21", "VI-17")
@pytest.mark.parametrize("kind", KINDS)
def test_bound_touches_the_likelihood_after_each_e_step_and_never_falls(
    kind: str,
) -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(150, 2)) + random.integers(0, 3, (150, 1)) * [
        1.5,
        1.0,
    ]  # clusters that overlap: many rounds
    fitted = g.GaussianMixture(
        3, covariance_type=kind, random_state=1, reg_covar=0.0, tol=1e-6, max_iter=2000
    ).fit(x)
    assert fitted.converged_ and len(fitted.history_) > 3
    for row in fitted.history_:
        assert row["elbo"] == pytest.approx(row["log_likelihood"], abs=1e-10)
    rising = [row["log_likelihood"] for row in fitted.history_]
    assert (np.diff(rising) > -1e-12).all()
    joint = fitted._joint(x)
    for q in (random.dirichlet([1, 1, 1], len(x)), np.full((len(x), 3), 1 / 3)):
        assert elbo(joint, q) < rising[-1]


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_bound_is_that_of_what_was_learned_even_without_convergence(
    rounds: int,
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(150, 2)) + random.integers(0, 3, (150, 1)) * [1.5, 1.0]
    with pytest.warns(ConvergenceWarning, match=f"max_iter={rounds} iterations"):
        fitted = g.GaussianMixture(3, max_iter=rounds, random_state=0).fit(x)
    assert not fitted.converged_ and fitted.n_iter_ == rounds == len(fitted.history_)
    assert fitted.lower_bound_ == pytest.approx(fitted.score(x), rel=1e-12)
    assert fitted.history_[-1]["log_likelihood"] == fitted.lower_bound_
    assert elbo(fitted._joint(x), fitted.predict_proba(x)) == pytest.approx(
        fitted.lower_bound_, rel=1e-12
    )


def test_new_examples_come_from_the_mixture() -> None:
    fitted = g.GaussianMixture(3, random_state=0).fit(X)
    drawn, labels = fitted.sample(20_000)
    np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.12)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(X.T), rtol=0.06, atol=0.1)
    np.testing.assert_allclose(
        np.bincount(labels) / 20_000, fitted.weights_, atol=0.015
    )
    assert fitted.score(drawn) == pytest.approx(fitted.score(X), abs=0.1)


def test_density_agrees_with_the_distribution() -> None:
    fitted = g.GaussianMixture(3, covariance_type="diag", random_state=0).fit(X)
    same = g.Mixture(
        np.log(fitted.weights_),
        g.DiagonalNormal(fitted.means_, np.sqrt(fitted.covariances_)),
    )
    np.testing.assert_allclose(
        same.log_prob(X).numpy(), fitted.score_samples(X), rtol=1e-9
    )
    np.testing.assert_allclose(
        same.responsibilities(X).numpy(), fitted.predict_proba(X), atol=1e-9
    )


def test_mistakes_are_told() -> None:
    for options, words in (
        ({"n_components": 0}, "n_components"),
        ({"covariance_type": "round"}, "'spherical'"),
        ({"tol": -1.0}, "tol"),
    ):
        with pytest.raises(ArgumentError, match=words):
            g.GaussianMixture(**options).fit(X)


@pytest.mark.notes("VI-15")
def test_one_divergence_seeks_a_mode_and_the_other_covers() -> None:
    seeking, covering = g.figures.best_normals()
    assert seeking == pytest.approx((-2.0, 0.7), abs=0.11)
    mean = 0.6 * -2 + 0.4 * 2.5
    assert covering == pytest.approx(
        (mean, math.sqrt(0.6 * (0.49 + 4) + 0.4 * (0.81 + 6.25) - mean**2)), abs=1e-5
    )


def test_plane_through_codes_is_that_of_largest_variance() -> None:
    random = np.random.default_rng(4)
    codes = random.normal(size=(200, 4)) @ np.diag([3.0, 0.1, 2.0, 0.2]) + [
        1.0,
        2,
        3,
        4,
    ]
    plane = g.figures.Plane.through(codes)
    pca = PCA(2).fit(codes)
    points = plane.points(codes)
    np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(codes)), atol=1e-9)
    assert (
        f"{100 * pca.explained_variance_ratio_.sum():.0f} % of it" in plane.description
    )
    grid = plane.grid(3, 2.0)
    np.testing.assert_allclose(
        plane.points(grid[[0, 4, 8]]), [[-2, 2], [0, 0], [2, -2]], atol=1e-9
    )
    np.testing.assert_array_equal(
        g.figures.Plane.through(codes[:, :2]).points(codes[:, :2]), codes[:, :2]
    )
    with pytest.raises(ShapeError, match="at least 2"):
        g.figures.Plane.through(codes[:, :1])


def test_map_names_the_classes_among_their_points() -> None:
    tree = ElementTree.fromstring(
        g.figures.latent_map(X, np.where(np.arange(len(X)) < 120, "left", "right"))
    )
    names = [
        node for node in tree.findall(".//{*}text") if node.text in {"left", "right"}
    ]
    assert len(names) == 2 and all(
        node.get("text-anchor") == "middle" for node in names
    )
    assert float(names[0].get("x", "0")) > float(
        names[1].get("x", "0")
    )  # the first 120 points lie around x = 4


def test_figures_are_drawings() -> None:
    images = data.load("digits").inputs[:16]
    drawn = [
        g.figures.samples(images),
        g.figures.samples(images.reshape(16, 64)),
        g.figures.reconstructions(images[:4], images[4:8]),
        g.figures.latent_grid(images),
        g.figures.latent_map(X, np.arange(len(X)) % 3),
        g.figures.latent_map(X),
        g.figures.ring(),
        g.figures.kl_asymmetry(),
    ]
    counts = []
    for text in drawn:
        tree = ElementTree.fromstring(text)
        counts.append(
            (len(tree.findall(".//{*}image")), len(tree.findall(".//{*}circle")))
        )
    assert counts[:4] == [(16, 0), (16, 0), (8, 0), (16, 0)]
    assert counts[4:7] == [(0, 260), (0, 260), (0, 1200)]
    with pytest.raises(ShapeError, match="square"):
        g.figures.samples([np.zeros(7)])
    with pytest.raises(ShapeError, match="2 outputs"):
        g.figures.reconstructions(images[:2], images[:3])
