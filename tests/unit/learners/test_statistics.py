"""Streaming statistics, tables and distributions against NumPy, SciPy and the worked cases."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.learners import (
    RunningStatistics,
    conditional,
    marginal,
    maximum_likelihood,
    posterior,
)

STREAM = [2, 4, 4, 4, 5, 5, 7, 9]


@pytest.mark.notes("ONL-01", "ONL-04", "ONL-05", "C-ONL-01", "E003-16")
def test_the_stream_of_the_notes() -> None:
    statistics, second = RunningStatistics(), 0.0
    means, scatters = [], []
    for n, x in enumerate(STREAM, start=1):
        before = statistics.mean
        statistics.update(x)
        second += n * (n - 1) * float(statistics.mean - before) ** 2 if n > 1 else 0.0
        means.append(float(statistics.mean))
        scatters.append(float(statistics.scatter))
        assert float(statistics.scatter) == pytest.approx(second)
    assert means == pytest.approx([2, 3, 10 / 3, 3.5, 3.8, 4, 31 / 7, 5])
    assert scatters == pytest.approx([0, 2, 8 / 3, 3, 4.8, 6, 96 / 7, 32])
    assert float(statistics.variance()) == 4.0
    assert float(statistics.variance(correction=1)) == pytest.approx(32 / 7)
    assert float(statistics.deviation()) == 2.0


@pytest.mark.notes("ONL-02", "C-ONL-02")
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_identities_of_the_running_mean(values: list[float]) -> None:
    statistics = RunningStatistics()
    for n, x in enumerate(values, start=1):
        before = float(statistics.mean)
        after = float(statistics.update(x).mean)
        if n > 1:
            assert x - before == pytest.approx(n * (after - before), abs=1e-8)
            assert x - after == pytest.approx((n - 1) * (after - before), abs=1e-8)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=40),
    st.integers(1, 39),
    st.integers(1, 39),
)
def test_parts_merge_to_the_whole(values: list[float], first: int, second: int) -> None:
    cuts = sorted({min(first, len(values)), min(second, len(values))})
    parts = np.split(np.array(values), cuts)
    merged = RunningStatistics()
    for part in parts[::-1]:
        merged.merge(RunningStatistics().update_many(part))
    assert merged.n == len(values)
    assert float(merged.mean) == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert float(merged.variance()) == pytest.approx(np.var(values), rel=1e-9, abs=1e-6)


@pytest.mark.notes("ONL-03")
@pytest.mark.parametrize("chunk", [1, 7, 1001])
def test_badly_conditioned_data_keep_their_digits(chunk: int) -> None:
    """NIST's NumAcc4: 10⁷ + 0.2 and then 10⁷ + 0.1 and 0.3 in turn; the exact deviation is 0.1."""
    data = np.array([10_000_000.2] + [10_000_000.1, 10_000_000.3] * 500)
    exact = [Fraction(float(x)) for x in data]
    mean = sum(exact) / len(exact)
    variance = float(sum((x - mean) ** 2 for x in exact) / (len(exact) - 1))
    statistics = RunningStatistics()
    for start in range(0, len(data), chunk):
        statistics.update_many(data[start : start + chunk])
    by_squares = ((data**2).mean() - data.mean() ** 2) * len(data) / (len(data) - 1)
    assert float(statistics.variance(1)) == pytest.approx(variance, rel=1e-8)
    assert (
        abs(by_squares - variance) > 1e-2 * variance
    )  # what the subtraction of squares loses
    assert float(statistics.deviation(1)) == pytest.approx(0.1, rel=1e-7)


def test_streams_of_arrays_and_what_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 2, 3))
    statistics = RunningStatistics().update_many(rows[:15])
    for row in rows[15:]:
        statistics.update(row)
    np.testing.assert_allclose(statistics.mean, rows.mean(axis=0))
    np.testing.assert_allclose(statistics.variance(1), rows.var(axis=0, ddof=1))
    assert statistics.update_many(rows[:0]).merge(RunningStatistics()).n == 20
    with pytest.raises(ShapeError, match="examples of shape"):
        statistics.update([1.0])
    with pytest.raises(ShapeError, match="first axis"):
        statistics.update_many(1.0)
    with pytest.raises(DataError, match="more than 1"):
        RunningStatistics().update(1.0).variance(1)
    with pytest.raises(
        ArgumentError,
        match=r"merge: expected another RunningStatistics, got 3.\n  Write update\(x\)",
    ):
        statistics.merge(3)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(
        ArgumentError,
        match="variance correction: expected a number such as 0 or 1, got 'a'",
    ):
        statistics.deviation("a")  # type: ignore[arg-type]  # on purpose
    for call in (statistics.update, statistics.update_many):
        for wrong in ("a", [[1.0], [2.0, 3.0]], {}):
            with pytest.raises(
                DataError,
                match=f"RunningStatistics.{call.__name__}: expected numbers of one shape",
            ):
                call(wrong)
    assert statistics.n == 20, "what is refused changes nothing"


@pytest.mark.notes("PR-02", "PR-03", "PR-04", "C-PR-01")
def test_the_table_of_the_notes() -> None:
    joint = [[0.1, 0.2], [0.3, 0.4]]
    np.testing.assert_allclose(marginal(joint, 0), [0.3, 0.7])
    np.testing.assert_allclose(marginal(joint, 1), [0.4, 0.6])
    np.testing.assert_allclose(conditional(joint, given=0)[0], [1 / 3, 2 / 3])
    np.testing.assert_allclose(conditional(joint, given=1)[:, 0], [0.25, 0.75])
    chain = (
        marginal(joint, 0)[0] * conditional(joint, 0)[0, 0],
        marginal(joint, 1)[0] * conditional(joint, 1)[0, 0],
    )
    np.testing.assert_allclose(chain, 0.1)
    np.testing.assert_allclose(
        posterior(marginal(joint, 0), conditional(joint, 0)[:, 0]), [0.25, 0.75]
    )
    assert np.isnan(conditional([[0.0, 0.0], [0.5, 0.5]])[0]).all()


@pytest.mark.notes("PR-04", "C-PR-06")
def test_posterior_of_two_words_and_of_many_small_probabilities() -> None:
    np.testing.assert_allclose(
        posterior([0.6, 0.4], [[0.1, 0.3], [0.4, 0.1]]), [0.018 / 0.034, 0.016 / 0.034]
    )
    many = np.stack(
        [np.full(2000, 1e-3), np.full(2000, 1.001e-3)]
    )  # the products are 0 in floating point
    odds = 1.001**2000
    np.testing.assert_allclose(
        posterior([0.5, 0.5], many), [1 / (1 + odds), odds / (1 + odds)], rtol=1e-9
    )
    with pytest.raises(ArgumentError, match="sum 1"):
        posterior([0.5, 0.6], [1, 1])
    with pytest.raises(ArgumentError, match="some hypothesis allows"):
        posterior([1.0, 0.0], [0.0, 0.5])
    with pytest.raises(ShapeError, match="likelihood"):
        posterior([0.5, 0.5], [1.0, 1.0, 1.0])


LIKELIHOODS: dict[str, tuple[Any, Any]] = {
    "normal": (
        stats.norm(1, 2),
        lambda d: stats.norm(d["mean"], np.sqrt(d["variance"])).logpdf,
    ),
    "bernoulli": (
        stats.bernoulli(0.3),
        lambda d: stats.bernoulli(d["probability"]).logpmf,
    ),
    "poisson": (stats.poisson(3.0), lambda d: stats.poisson(d["rate"]).logpmf),
    "laplace": (
        stats.laplace(1, 2),
        lambda d: stats.laplace(d["location"], d["scale"]).logpdf,
    ),
}


@pytest.mark.notes("PR-05", "PR-06", "PR-09")
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_estimates_maximise_scipys_likelihood(name: str) -> None:
    source, log_prob = LIKELIHOODS[name]
    draws = source.rvs(5001, random_state=1).astype(float)
    found = maximum_likelihood(name, draws)
    best = log_prob(found)(draws).sum()
    for parameter in found:
        for e in (-0.02, 0.02):
            assert (
                log_prob(found | {parameter: found[parameter] + e})(draws).sum() < best
            )
    weighted = maximum_likelihood(name, [0.0, 1.0, 0.0], weights=[1, 3, 1])
    assert weighted == pytest.approx(
        maximum_likelihood(name, [0.0, 0.0, 1.0, 1.0, 1.0])
    )


@pytest.mark.notes("PR-10", "C-PR-05")
def test_estimates_of_the_notes_and_of_several_dimensions() -> None:
    found = maximum_likelihood("normal", [1, 2, 6])
    assert found["mean"] == pytest.approx(3) and found["variance"] == pytest.approx(
        14 / 3
    )
    loss = (
        -stats.norm(found["mean"], np.sqrt(found["variance"])).logpdf([1, 2, 6]).sum()
    )
    assert loss == pytest.approx(6.567483161034741)
    draws = np.random.default_rng(0).normal(size=(50, 3))
    found = maximum_likelihood("multivariate_normal", draws)
    np.testing.assert_allclose(found["covariance"], np.cov(draws.T, bias=True))
    np.testing.assert_allclose(
        maximum_likelihood("categorical", [0, 0, 1, 3])["probabilities"],
        [0.5, 0.25, 0, 0.25],
    )


def test_observations_that_a_distribution_does_not_have() -> None:
    for name, x in (
        ("bernoulli", [0, 0.5]),
        ("categorical", [-1]),
        ("poisson", [1.5]),
        ("normal", []),
        ("normal", [[1.0]]),
        ("multivariate_normal", [1.0]),
        ("normal", [np.nan]),
    ):
        with pytest.raises(DataError):
            maximum_likelihood(name, x)
    with pytest.raises(DataError, match="weights"):
        maximum_likelihood("normal", [1.0, 2.0], [1.0])
    with pytest.raises(ArgumentError, match="one of normal"):
        maximum_likelihood("cauchy", [1.0])
