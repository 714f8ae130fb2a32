"""When a variational fit says that it has converged: against exact posteriors, with constants added, without an end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

import deltarule as dr
from deltarule import generative as g
from deltarule import optim
from deltarule.errors import ArgumentError, DataWarning
from deltarule.generative.inference.coordinates import (
    Coordinates,
    Correlated,
    Independent,
    LowRankPlusDiagonal,
)
from deltarule.generative.inference.draws import (
    matched_draws,
    normal_quantile,
    stratified_draws,
)
from deltarule.generative.inference.joint import LogJoint
from deltarule.generative.inference.optimality import (
    GROUPS,
    SampleAverage,
    WeightedAverage,
    bound_without_gradients,
    gap_bound,
)
from deltarule.generative.inference.stationarity import Convergence
from deltarule.train import History

Values = dict[str, dr.Tensor]


def regression(n: int) -> tuple[LogJoint, Any, Any]:
    """Return the joint of an uncentred regression, and mean and covariance of its exact posterior."""
    r = np.random.default_rng(0)
    x = np.c_[np.ones(n), r.normal(20, 5, n)]
    y = x @ [40.0, -3.0] + r.normal(0, 2, n)

    def log_joint(v: Values) -> dr.Tensor:
        prior = g.Normal(np.float64(0), 100.0).log_prob(v["w"]).sum(-1)
        return prior + g.Normal(v["w"] @ dr.tensor(x.T), 2.0).log_prob(y).sum(-1)

    covariance = np.linalg.inv(x.T @ x / 4 + np.eye(2) / 100.0**2)
    return log_joint, covariance @ (x.T @ y / 4), covariance


def normal(precision: Any, mean: Any, constant: float = 0.0) -> LogJoint:
    def log_joint(v: Values) -> dr.Tensor:
        error = v["z"] - dr.tensor(mean)
        return ((error @ dr.tensor(precision)) * error).sum(-1) * -0.5 + constant

    return log_joint


def ill_conditioned(d: int, condition: float) -> tuple[Any, Any]:
    r = np.random.default_rng(d)
    axes, _ = np.linalg.qr(r.normal(size=(d, d)))
    precision = axes @ np.diag(np.geomspace(1, condition, d)) @ axes.T
    return (precision + precision.T) / 2, r.normal(size=d) * 10


@pytest.mark.parametrize("n", [1000, 20_000])
def test_an_uncentred_regression_ends_at_its_exact_posterior(n: int) -> None:
    log_joint, mean, covariance = regression(n)
    deviations = np.sqrt(np.diag(covariance))
    full = g.fit_variational(log_joint, "full", variables={"w": (2,)})
    assert full.converged and full.gap < 1e-6
    np.testing.assert_allclose(
        (full.distribution().mean.numpy() - mean) / deviations, 0, atol=1e-6
    )
    np.testing.assert_allclose(
        full.distribution().covariance.numpy(), covariance, rtol=1e-6
    )
    assert g.fit_variational(
        log_joint, "full", variables={"w": (2,)}, tolerance=0.0
    ).converged
    independent = g.fit_variational(log_joint, variables={"w": (2,)})
    assert independent.converged
    np.testing.assert_allclose(
        (independent.distribution().mean.numpy() - mean) / deviations, 0, atol=1e-6
    )
    exact = 1 / np.sqrt(
        np.diag(np.linalg.inv(covariance))
    )  # the best of independent numbers
    np.testing.assert_allclose(
        np.sqrt(independent.distribution().variance.numpy()), exact, rtol=1e-6
    )


@pytest.mark.parametrize("family", ["full", "low_rank"])
def test_stochastic_steps_say_converged_only_near_the_posterior(family: str) -> None:
    log_joint, mean, covariance = regression(1000)
    chosen: Any = g.LowRank(2, rank=1) if family == "low_rank" else family
    with warnings.catch_warnings(record=True) as told:
        fit = g.fit_variational(
            log_joint,
            chosen,
            variables={"w": (2,)},
            optimizer=optim.Adam(learning_rate=0.05),
            gradient="path",
        )
    assert bool(told) != fit.converged
    ratio = np.sqrt(fit.distribution().variance.numpy() / np.diag(covariance))
    wrong = np.abs(
        (fit.distribution().mean.numpy() - mean) / np.sqrt(np.diag(covariance))
    ).max()
    near = bool(np.abs(ratio - 1).max() < 0.1 and wrong < 0.1)
    assert near or not fit.converged
    assert near or family == "low_rank"


def test_steps_too_few_are_not_converged() -> None:
    log_joint, *_ = regression(1000)
    adam = optim.Adam(learning_rate=0.05)
    with pytest.warns(
        DataWarning, match=r"after 1,500 steps: .* nats below .*Raise max_steps"
    ):
        fit = g.fit_variational(
            log_joint, "full", variables={"w": (2,)}, optimizer=adam, max_steps=1500
        )
    assert not fit.converged and fit.history.steps <= 1500 and fit.gap > 0.01


@pytest.mark.parametrize("family", ["full", "mean_field"])
@pytest.mark.parametrize(("d", "condition"), [(5, 1e4), (20, 1e6)])
def test_scales_and_correlations_do_not_matter_nor_a_constant(
    family: str, d: int, condition: float
) -> None:
    precision, mean = ill_conditioned(d, condition)
    covariance = np.linalg.inv(precision)
    exact = np.diag(covariance) if family == "full" else 1 / np.diag(precision)
    found = []
    for constant in (0.0, -1e6, 1e6):
        fit = g.fit_variational(
            normal(precision, mean, constant), family, variables={"z": (d,)}
        )
        q = fit.distribution()
        assert fit.converged
        np.testing.assert_allclose(
            (q.mean.numpy() - mean) / np.sqrt(np.diag(covariance)), 0, atol=1e-5
        )
        np.testing.assert_allclose(q.variance.numpy(), exact, rtol=1e-5)
        found.append((q.mean.numpy(), q.variance.numpy()))
    for other in found[1:]:
        np.testing.assert_array_equal(other[0], found[0][0])
        np.testing.assert_array_equal(other[1], found[0][1])


@pytest.mark.parametrize(
    "options",
    [{"optimizer": optim.Adam(learning_rate=0.05)}, {"family": "low_rank"}],
    ids=["adam", "low rank"],
)
def test_a_constant_changes_no_bit_of_stochastic_steps(options: dict[str, Any]) -> None:
    fits = [
        g.fit_variational(
            normal(np.eye(2), np.array([60.0, -3.0]), c),
            variables={"z": (2,)},
            **options,
        )
        for c in (0.0, -1e6)
    ]
    assert fits[0].converged and fits[1].converged
    a, b = (fit.distribution() for fit in fits)
    np.testing.assert_allclose(a.mean.numpy(), [60, -3], atol=0.05)
    np.testing.assert_array_equal(a.mean.numpy(), b.mean.numpy())
    np.testing.assert_array_equal(a.variance.numpy(), b.variance.numpy())


IMPROPER: list[Callable[[dr.Tensor], dr.Tensor]] = [
    lambda z: z * z,
    lambda z: z * 0.0,
    lambda z: z,
    lambda z: z * z * 1e-3,
    lambda z: dr.exp(z * -0.1) * -1.0,
]


@pytest.mark.parametrize("number", range(len(IMPROPER)))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": optim.Adam(learning_rate=0.05), "max_steps": 3000},
        {"gradient": "score", "max_steps": 3000},
        {"family": "low_rank", "max_steps": 3000},
    ],
    ids=["natural", "adam", "score", "low rank"],
)
def test_no_posterior_is_no_convergence(number: int, options: dict[str, Any]) -> None:
    with pytest.warns(DataWarning, match="fit_variational has not converged after"):
        fit = g.fit_variational(
            lambda v: IMPROPER[number](v["z"]), variables={"z": ()}, **options
        )
    assert not fit.converged
    assert "not converged" in str(fit)


def test_one_direction_without_an_end_is_no_convergence() -> None:
    precision = np.array([[1.0, -1.0], [-1.0, 1.0]])  # nothing is said of z₁ + z₂
    with pytest.warns(DataWarning, match="the ELBO is unbounded. The posterior cannot"):
        fit = g.fit_variational(
            normal(precision, np.zeros(2)),
            "full",
            variables={"z": (2,)},
            max_steps=3000,
        )
    assert not fit.converged
    # the best independent variables exist: precisions 1 and 1
    assert g.fit_variational(
        normal(precision, np.zeros(2)), variables={"z": (2,)}
    ).converged


def test_posteriors_that_are_no_normals_have_their_best_normal() -> None:
    """Laplace in each number: E|z| = σ√(2/π), so the best σ of −|z|/b is b√(π/2)."""
    fit = g.fit_variational(
        lambda v: g.Laplace(0.0, 2.0).log_prob(v["z"]).sum(-1), variables={"z": (3,)}
    )
    assert fit.converged
    np.testing.assert_allclose(
        np.sqrt(fit.distribution().variance.numpy()), 2 * np.sqrt(np.pi / 2), rtol=0.04
    )
    np.testing.assert_allclose(fit.distribution().mean.numpy(), 0, atol=0.1)


def test_a_family_begins_where_its_parameters_are_and_ends_with_plain_ones() -> None:
    family = g.FullCovariance(2)
    family.location.assign(np.array([5.0, 5.0]))
    precision = np.array([[2.0, 0.9], [0.9, 1.0]])
    fit = g.fit_variational(
        normal(precision, np.array([1.0, -1.0])),
        family,
        variables={"z": (2,)},
        optimizer=optim.Adam(learning_rate=0.05),
    )
    assert fit.converged
    np.testing.assert_allclose(family.location.numpy(), [1.0, -1.0], atol=0.05)
    np.testing.assert_array_equal(
        family.location.numpy(), fit.distribution().mean.numpy()
    )
    low = g.LowRank(3, rank=2)
    for own in (family, low):
        before = own.distribution().covariance.numpy()
        own.into_frame()
        np.testing.assert_allclose(
            own.distribution().covariance.numpy(), before, rtol=1e-12
        )
        own.out_of_frame()
        np.testing.assert_allclose(
            own.distribution().covariance.numpy(), before, rtol=1e-12
        )


def test_draws_are_stratified_with_exact_moments() -> None:
    e = matched_draws(256, 5, np.random.default_rng(0))
    np.testing.assert_allclose([e.mean(0), *(e.T @ e / 256 - np.eye(5))], 0, atol=1e-14)
    e = stratified_draws(256, 3, np.random.default_rng(0), groups=2)
    for half in np.split(e, 4):  # a Latin hypercube, its mirror image, and again
        strata = np.sort((st.norm.cdf(half) * 64).astype(int), axis=0)
        np.testing.assert_array_equal(strata, np.tile(np.arange(64)[:, None], 3))
    np.testing.assert_array_equal(e[:64], -e[64:128])
    u = np.concatenate([np.geomspace(1e-300, 0.5, 999), 1 - np.geomspace(1e-15, 0.5)])
    np.testing.assert_allclose(normal_quantile(u), sp.ndtri(u), rtol=1e-14, atol=1e-15)


PRECISION, CENTRE = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])


def density(points: Any) -> tuple[Any, Any]:
    error = points - CENTRE
    return -0.5 * ((error @ PRECISION) * error).sum(1), -error @ PRECISION


def around(kind: str) -> Coordinates:
    """Return coordinates around a normal distribution that is not the best one."""
    if kind == "independent":
        return Independent(np.array([0.5, -1.5]), np.array([0.5, 1.5]))
    if kind == "correlated":
        return Correlated(np.array([0.5, -1.5]), np.array([[0.5, 0.0], [0.7, 1.5]]))
    shared = np.array([[0.5], [-0.3]])
    return LowRankPlusDiagonal(np.zeros(2), shared, np.array([0.4, 1.0]))


def exact_elbo(q: Coordinates) -> float:
    """Return E[ln p] and the entropy of q, without constants, in closed form."""
    points = q.points(np.zeros(q.size), np.eye(q.width)) - q.mean  # columns of a factor
    error, covariance = q.mean - CENTRE, points.T @ points
    expectation = error @ PRECISION @ error + np.trace(PRECISION @ covariance)
    return float(-0.5 * expectation + 0.5 * np.linalg.slogdet(covariance)[1])


@pytest.mark.parametrize("kind", ["independent", "correlated", "low rank"])
def test_averages_over_samples_are_exact_for_normals(kind: str) -> None:
    """Gains, gradients, curvature and the bound of the gap against closed forms and finite differences."""
    q, generator = around(kind), np.random.default_rng(0)
    draws = stratified_draws(1024, q.width, generator, GROUPS)
    average = SampleAverage(density, q, draws, generator)
    units = q.units if q.units.ndim == 2 else np.diag(q.units)
    np.testing.assert_allclose(average.curvature, units.T @ PRECISION @ units, 1e-10)
    theta = generator.normal(size=q.size) * 0.5
    value, gradient = average.at(theta)
    assert -value == pytest.approx(exact_elbo(q.moved(theta)) - exact_elbo(q), 1e-10)
    np.testing.assert_allclose(average.groups(theta)[0], -value, rtol=1e-9)
    for i, unit in enumerate(np.eye(q.size) * 1e-5):
        slope = (average.at(theta + unit)[0] - average.at(theta - unit)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, abs=1e-7)
    best = 0.5 * np.log(1 / np.linalg.det(PRECISION)) - 1
    if kind == "independent":
        best = -0.5 * np.log(np.diag(PRECISION)).sum() - 1
    gap = gap_bound(density, q, 1e-2, 0)
    assert gap == pytest.approx(best - exact_elbo(q), abs=2e-6)


def test_weighted_averages_need_no_gradients() -> None:
    q, generator = around("correlated"), np.random.default_rng(0)
    assert isinstance(q, Correlated)
    draws = stratified_draws(65_536, 2, generator, GROUPS)
    ratio = density(q.points(np.zeros(5), draws))[0] + 0.5 * (draws**2).sum(1)
    average = WeightedAverage(ratio, q, draws)
    theta = generator.normal(size=5) * 0.1
    value, gradient = average.at(theta)
    gains = average.groups(theta)[0]
    assert -value == pytest.approx(gains.mean(), rel=1e-9)
    exact = exact_elbo(q.moved(theta)) - exact_elbo(q)
    assert abs(-value - exact) < 4 * gains.std() / 4
    for i, unit in enumerate(np.eye(5) * 1e-5):
        slope = (average.at(theta + unit)[0] - average.at(theta - unit)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, abs=1e-7)
    factor = np.linalg.cholesky(np.linalg.inv(PRECISION))
    for scale, shift, independent in ((1.0, 0.0, False), (1.05, 0.05, False)):
        near = Correlated(CENTRE + shift, factor * scale)
        gap = (
            0.5 * np.linalg.slogdet(np.linalg.inv(PRECISION))[1] - 1 - exact_elbo(near)
        )
        found = bound_without_gradients(
            lambda x: density(x)[0], near, 1e-2, 0, independent=independent
        )
        assert gap <= found + 1e-9 and found < 1.5 * gap + 1e-4
    best = Correlated(CENTRE, np.diag(1 / np.sqrt(np.diag(PRECISION))))
    found = bound_without_gradients(
        lambda x: density(x)[0], best, 1e-2, 0, independent=True
    )
    assert 0 <= found < 2e-3


class _Session:
    def __init__(self) -> None:
        self.stop, self.learning_rate_factor, self.history = False, 1.0, History()

    def weights(self) -> dict[str, Any]:
        return {"a": np.zeros(1)}

    def set_weights(self, weights: Any) -> None:
        self.kept = weights


@pytest.mark.parametrize(
    ("elbo", "error"),
    [(np.nan, 0.1), (np.inf, np.inf), (0.0, np.inf), (0.0, np.nan), (-np.inf, 0.1)],
)
def test_what_is_no_number_is_no_rest(elbo: float, error: float) -> None:
    session, rule = _Session(), Convergence(1e-2, patience=2)
    for epoch in range(100):
        rule.on_epoch_end(session, epoch, {"elbo": elbo, "elbo_error": error})
    assert not session.stop and not rule.at_rest and session.learning_rate_factor == 1


@pytest.mark.parametrize("constant", [0.0, -1e6, 1e9])
def test_growth_is_in_nats_whatever_the_level(constant: float) -> None:
    grown, level = _Session(), _Session()
    rules = Convergence(1e-2, patience=3), Convergence(1e-2, patience=3)
    for epoch in range(60):
        rules[0].on_epoch_end(
            grown, epoch, {"elbo": constant + 0.05 * epoch, "elbo_error": 0.01}
        )
        rules[1].on_epoch_end(
            level, epoch, {"elbo": constant + 0.001 * (-1) ** epoch, "elbo_error": 0.01}
        )
    assert not grown.stop and grown.learning_rate_factor == 1
    assert (
        level.stop
        and rules[1].at_rest
        and level.learning_rate_factor == pytest.approx(0.01)
    )
    data, arrays = rules[0].state()
    other = Convergence(1e-2, patience=3)
    other.load_state(data, arrays)
    assert other.state()[0] == data
    for bad in (-1.0, math.nan, "much", None):
        with pytest.raises(
            ArgumentError, match="Convergence tolerance: expected a number ≥ 0"
        ):
            Convergence(bad)  # type: ignore[arg-type]


@pytest.mark.slow
def test_ranks_of_true_parameters_are_uniform() -> None:
    """Simulation-based calibration (Talts et al. 2018): in draws of q, the rank of what made the data is uniform."""
    r = np.random.default_rng(12)
    x = np.c_[np.ones(60), r.normal(3, 1, 60), r.normal(size=60)]
    ranks = []
    for trial in range(150):
        truth = r.normal(0, 1, 3)
        seen = (r.random(60) < 1 / (1 + np.exp(-x @ truth))).astype(float)

        def log_joint(v: Values, seen: Any = seen) -> dr.Tensor:
            prior = g.Normal(np.float64(0), 1.0).log_prob(v["w"]).sum(-1)
            return prior + g.Bernoulli(v["w"] @ dr.tensor(x.T)).log_prob(seen).sum(-1)

        fit = g.fit_variational(log_joint, "full", variables={"w": (3,)}, seed=trial)
        assert fit.converged
        draws = fit.sample(99, seed=trial)["w"]
        ranks.append((draws < truth).sum(0) / 99 + r.random(3) / 100)
    for one in np.array(ranks).T:
        assert st.kstest(one, "uniform").pvalue > 1e-3
