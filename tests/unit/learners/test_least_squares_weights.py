"""Weights of least squares cost no digit: a constant weight, weights instead of repeated rows, chunks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltarule.learners import LinearRegression, Ridge

STEPS = 1e6 + np.arange(40.0)
X, Y = np.column_stack([STEPS, STEPS**2]), 1 + STEPS + STEPS**2  # all exact
WHOLE = np.random.default_rng(0).integers(1, 4, 40)


def errors(learner: Any) -> Any:
    """Relative errors of b, θ₁ and θ₂, all of which are 1."""
    return np.abs([learner.intercept_ - 1, *(learner.coef_ - 1)])


def in_chunks(learner: Any, weights: Any) -> Any:
    for k in range(0, 40, 8):
        learner.partial_fit(
            X[k : k + 8], Y[k : k + 8], sample_weight=weights[k : k + 8]
        )
    return learner


@pytest.mark.parametrize("weight", [2.0, 3.0, 0.1, 1e-290, 1e290])
def test_a_constant_weight_changes_no_bit_of_least_squares(weight):
    plain = LinearRegression().fit(X, Y)
    weights = np.full(40, weight)
    for learner in (
        LinearRegression().fit(X, Y, sample_weight=weights),
        LinearRegression().partial_fit(X, Y, sample_weight=weights),
        in_chunks(LinearRegression(), weights),
    ):
        np.testing.assert_array_equal(learner.coef_, plain.coef_)
        assert learner.intercept_ == plain.intercept_
    assert (errors(plain) < [1e-2, 1e-9, 1e-15]).all()


@pytest.mark.parametrize("scale", [1.0, 1 / 3, 1e-290, 1e290])
@pytest.mark.parametrize("make", [LinearRegression, lambda: Ridge(alpha=0.0)])
def test_whole_weights_have_the_digits_of_repeated_rows(make, scale):
    repeated = make().fit(X.repeat(WHOLE, axis=0), Y.repeat(WHOLE))
    assert (errors(repeated) < [1e-2, 1e-9, 1e-15]).all()
    weights = WHOLE * scale
    for learner in (
        make().fit(X, Y, sample_weight=weights),
        make().partial_fit(X, Y, sample_weight=weights),
        in_chunks(make(), weights),
    ):
        assert (errors(learner) < [1e-2, 1e-9, 1e-15]).all()


def test_a_constant_weight_divides_the_penalty_of_ridge_regression():
    x = np.random.default_rng(1).normal(size=(30, 3))
    y = x @ [1.0, -2.0, 3.0]
    weighted = Ridge(alpha=6.0).fit(x, y, sample_weight=np.full(30, 3.0))
    chunked = Ridge(alpha=6.0).partial_fit(x, y, sample_weight=np.full(30, 3.0))
    centred = x - x.mean(axis=0)
    exact = np.linalg.solve(
        centred.T @ centred + 2 * np.eye(3), centred.T @ (y - y.mean())
    )
    np.testing.assert_allclose(weighted.coef_, exact, rtol=1e-12)
    np.testing.assert_allclose(chunked.coef_, exact, rtol=1e-12)
