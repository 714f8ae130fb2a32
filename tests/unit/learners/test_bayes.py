"""Scores of Gaussian classes against SciPy's densities, in blocks, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from deltarule.learners import (
    GaussianClassifier,
    GaussianNaiveBayes,
    maximum_likelihood,
)
from deltarule.learners.naive_bayes import normal_scores
from deltarule.runtime.devices import compiled
from deltarule.tensor.transforms import value_and_grad

R = np.random.default_rng(0)
N, K, D = 205, 3, 5
LABELS = np.arange(N) % K
X = (
    R.normal(size=(N, D)) * R.uniform(0.1, 5, D) + LABELS[:, None] + 1e3
)  # far from 0: products would cancel


@pytest.mark.notes("PR-07", "PR-16")
@pytest.mark.parametrize("native", [False, True], ids=["NumPy", "native"])
@pytest.mark.parametrize("n", [1, 64, 205])
def test_scores_of_independent_features_are_scipys(
    n: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer examples than a block, one whole block, and three and a rest."""
    monkeypatch.setattr(normal_scores, "_WORTH_COMPILING", 0 if native else 10**18)
    monkeypatch.setattr(normal_scores, "_ROWS", 64)
    monkeypatch.setattr(normal_scores, "_NUMBERS", 7 * K * D)
    normal_scores._compiled_block.cache_clear()
    learner = GaussianNaiveBayes().fit(X, LABELS)
    found = learner.predict_joint_log_proba(X[:n]) - np.log(learner.class_prior_)
    normal = stats.norm(learner.theta_, np.sqrt(learner.var_))
    np.testing.assert_allclose(
        found, normal.logpdf(X[:n, None, :]).sum(axis=2), rtol=1e-11
    )
    normal_scores._compiled_block.cache_clear()


def test_few_numbers_at_a_time_hold_at_least_one_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = GaussianNaiveBayes().fit(X, LABELS)
    expected = learner.predict_proba(X)
    monkeypatch.setattr(normal_scores, "_NUMBERS", 1)
    np.testing.assert_array_equal(learner.predict_proba(X), expected)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random, found = np.random.default_rng(1), []
    x, mean = (
        random.normal(size=(2 * normal_scores._ROWS + 5, 9)),
        random.normal(size=(4, 9)),
    )
    monkeypatch.setattr(normal_scores, "_WORTH_COMPILING", 0)
    for threads in (1, 2, 3):
        normal_scores._compiled_block.cache_clear()
        monkeypatch.setattr(
            normal_scores,
            "compiled",
            lambda program, device, threads=threads: compiled(program, device, threads),
        )
        found.append(normal_scores.normal_scores(x, mean, mean**2))
    normal_scores._compiled_block.cache_clear()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_slope_of_a_score_leads_to_the_mean() -> None:
    """∂ ln P(x|c)/∂x = (μ_c − x)/σ_c², from the graph of the expression that is run."""
    learner = GaussianNaiveBayes().fit(X, LABELS)
    known = learner.theta_, 1 / learner.var_, np.zeros(K)
    found = value_and_grad(lambda x: normal_scores._block(x, *known)[:, 1].sum())(X)[
        1
    ].numpy()
    np.testing.assert_allclose(
        found, (learner.theta_[1] - X) / learner.var_[1], rtol=1e-9
    )


@pytest.mark.notes("PR-07")
@pytest.mark.parametrize("covariance", ["own", "shared"])
def test_scores_of_full_covariances_are_scipys(covariance: str) -> None:
    learner = GaussianClassifier(covariance=covariance).fit(X, LABELS)
    found = learner.predict_joint_log_proba(X) - np.log(learner.class_prior_)
    for c in range(K):
        normal = stats.multivariate_normal(learner.means_[c], learner.covariances_[c])
        np.testing.assert_allclose(found[:, c], normal.logpdf(X), rtol=1e-9)


@pytest.mark.notes("PR-05")
def test_a_weighted_covariance_is_numpys() -> None:
    random = np.random.default_rng(0)
    weights = random.uniform(0, 1, N)
    found = maximum_likelihood("multivariate_normal", X, weights)
    np.testing.assert_allclose(
        found["covariance"], np.cov(X.T, aweights=weights, ddof=0), rtol=1e-9
    )
    np.testing.assert_array_equal(found["covariance"], found["covariance"].T)


@pytest.mark.parametrize("covariance", ["own", "shared"])
@pytest.mark.parametrize(
    "units", [(2.0**20, 1.0), (1.0, 2.0**-17), (2.0**-30, 2.0**40)]
)
def test_units_of_features_do_not_change_gaussian_classes(covariance, units):
    """Regularization is relative to the variance of each feature; powers of 2 scale every number exactly."""
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 2))
    labels = (x[:, 1] + 0.3 * random.normal(size=300) > 0).astype(int)
    plain = GaussianClassifier(covariance=covariance, regularization=0.1)
    scaled = GaussianClassifier(covariance=covariance, regularization=0.1)
    plain.fit(x, labels)
    scaled.fit(x * units, labels)
    np.testing.assert_allclose(
        scaled.predict_proba(x * units), plain.predict_proba(x), rtol=1e-9, atol=1e-12
    )
    defaults = GaussianClassifier(covariance=covariance).fit(x * units, labels)
    theirs = LinearDiscriminantAnalysis().fit(x, labels)
    assert defaults.score(x * units, labels) >= theirs.score(x, labels) - 0.02
