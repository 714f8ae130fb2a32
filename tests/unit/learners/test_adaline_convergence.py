"""ADALINE warns where its epochs end far from the least squares solution."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from deltarule.learners import Adaline

Z = np.random.default_rng(0).normal(size=(200, 2))
T = (Z[:, 1] > 0).astype(int)


def missing(learner: Adaline, x: np.ndarray) -> float:
    """The share of the possible decrease of the squared error that is not achieved, by NumPy's least squares."""
    targets, rows = 2.0 * T - 1, np.column_stack([x, np.ones(len(x))])
    least = np.linalg.lstsq(rows, targets, rcond=None)[1][0]
    reached = ((targets - learner.decision_function(x)) ** 2).sum()
    return float((reached - least) / (len(x) - least))


@pytest.mark.parametrize("scale", [1e2, 1e3, 1e6])
@pytest.mark.parametrize("rule", ["original", "unit-norm"])
def test_features_of_very_different_scales_raise_a_warning(scale, rule):
    x = Z * [scale, 1.0]
    with pytest.warns(ConvergenceWarning, match="scale the features"):
        learner = Adaline(rule=rule).fit(x, T)
    assert missing(learner, x) > 0.5
    scaled = StandardScaler().fit_transform(x)
    assert Adaline(rule=rule).fit(scaled, T).score(scaled, T) > 0.95


def test_converged_fits_and_targets_without_a_fit_raise_none():
    learner = Adaline().fit(Z, T)
    assert missing(learner, Z) < 0.05 and learner.score(Z, T) > 0.95
    noise = np.random.default_rng(1).integers(0, 2, 200)
    Adaline().fit(Z, noise)
