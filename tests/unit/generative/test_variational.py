"""Variational inference against exact posteriors and long chains; gradient estimators; samplers and diagnostics."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

import deltarule as dr
from deltarule import generative as g
from deltarule import optim
from deltarule.errors import ArgumentError, DataError, DataWarning, ShapeError
from deltarule.generative.bijectors import Exp, Interval, StickBreaking
from deltarule.generative.inference.chains import normal_scores
from deltarule.generative.inference.joint import Joint
from deltarule.generative.inference.variational import Objective
from deltarule.grad.reverse import gradients
from deltarule.runtime.realize import realize

PRECISION = np.array([[2.0, 1.2, 0.3], [1.2, 1.5, -0.2], [0.3, -0.2, 0.8]])
MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.linalg.inv(PRECISION)


def gaussian(values: dict[str, dr.Tensor]) -> dr.Tensor:
    error = values["z"] - dr.tensor(MEAN)
    return ((error @ dr.tensor(PRECISION)) * error).sum(-1) * -0.5


@pytest.mark.notes("VI-16", "VI-17", "VI-22")
@pytest.mark.parametrize("family", ["mean_field", "full", "low_rank"])
def test_families_find_their_best_normal(family: str) -> None:
    chosen = g.LowRank(3, rank=2) if family == "low_rank" else family
    fit = g.fit_variational(
        gaussian,
        chosen,
        variables={"z": (3,)},
        gradient="path",
        n_samples=32,
        max_steps=6000,
    )
    q = fit.distribution()
    np.testing.assert_allclose(q.mean.numpy(), MEAN, atol=0.03)
    expected = np.diag(1 / np.diag(PRECISION)) if family == "mean_field" else COVARIANCE
    np.testing.assert_allclose(q.covariance.numpy(), expected, rtol=0.06, atol=0.03)
    exact = 0.5 * (3 * math.log(2 * math.pi) - np.linalg.slogdet(PRECISION)[1])
    gap = (
        0.0
        if family != "mean_field"
        else 0.5 * (np.log(np.diag(PRECISION)).sum() - np.linalg.slogdet(PRECISION)[1])
    )
    elbo = fit.elbo(4000)
    assert elbo.value == pytest.approx(exact - gap, abs=4 * elbo.standard_error + 0.01)
    assert fit.converged


@pytest.mark.notes("VI-18", "PR-20", "C-VI-07")
def test_conjugate_model_has_no_gap() -> None:
    x = 2.0
    fit = g.fit_variational(
        lambda v: (
            g.Normal(0.0, 1.0).log_prob(v["z"]) + g.Normal(v["z"], 1.0).log_prob(x)
        ),
        "full",
        variables={"z": ()},
        gradient="path",
    )
    q = fit.distribution()
    np.testing.assert_allclose(
        [q.mean.numpy()[0], q.variance.numpy()[0]], [1.0, 0.5], rtol=5e-3
    )
    assert fit.elbo().value == pytest.approx(-2.265512123484645, abs=1e-4)


@pytest.mark.parametrize("case", ["gamma", "beta", "dirichlet"])
def test_constrained_variables_against_exact_posteriors(case: str) -> None:
    """Conjugate posteriors: Poisson–gamma, Bernoulli–beta, categorical–Dirichlet."""
    counts = np.array([14.0, 9.0, 25.0])
    models = {
        "gamma": (
            lambda v: (
                g.Gamma(2.0, 1.0).log_prob(v["z"])
                + dr.log(v["z"]) * 30.0
                - v["z"] * 8.0
            ),
            g.Variable((), Exp()),
        ),
        "beta": (
            lambda v: (
                g.Beta(2.0, 2.0).log_prob(v["z"])
                + dr.log(v["z"]) * 20.0
                + dr.log1p(-v["z"]) * 10.0
            ),
            g.Variable((), Interval()),
        ),
        "dirichlet": (
            lambda v: (dr.log(v["z"]) * dr.tensor(counts)).sum(-1),
            g.Variable((3,), StickBreaking()),
        ),
    }
    log_joint, variable = models[case]
    fit = g.fit_variational(log_joint, "full", variables={"z": variable}, n_samples=32)
    exact = {"gamma": st.gamma(32, scale=1 / 9), "beta": st.beta(22, 12)}
    rows = fit.summary()
    if case == "dirichlet":
        alpha = counts + 1
        for k in range(3):
            marginal = st.beta(alpha[k], alpha.sum() - alpha[k])
            assert rows[f"z[{k}]"]["mean"] == pytest.approx(marginal.mean(), rel=0.03)
            assert rows[f"z[{k}]"]["deviation"] == pytest.approx(
                marginal.std(), rel=0.1
            )
        assert fit.sample(5, seed=0)["z"].sum(-1) == pytest.approx(np.ones(5))
    else:
        assert rows["z"]["mean"] == pytest.approx(exact[case].mean(), rel=0.02)
        assert rows["z"]["deviation"] == pytest.approx(exact[case].std(), rel=0.06)


@pytest.mark.notes("VI-12")
@pytest.mark.parametrize("gradient", ["reparameterised", "path", "score"])
def test_gradients_are_those_of_the_exact_bound(gradient: str) -> None:
    """E of each estimator over many steps is −∂ELBO/∂(μ, ln σ) of the Gaussian target, and the score with its
    control variate varies less than without.
    """

    def slopes(control_variate: str) -> np.ndarray:
        family = g.MeanField(3)
        (
            family.location.assign(np.array([0.5, -1.0, 0.0])),
            family.log_deviation.assign(np.log([0.5, 1.0, 1.5])),
        )
        joint = Joint(
            lambda v: gaussian(v) - 10.0, {"z": (3,)}
        )  # a log-joint has a constant: the evidence
        objective = Objective(joint, family, gradient, control_variate)
        rows = []
        for step in range(400):
            loss = (
                objective.apply(np.zeros((16, 1)), mode="training", seed=0, step=step)
                .output[:, 0]
                .mean()
            )
            nodes = [family.location.node, family.log_deviation.node]
            rows.append(np.concatenate(realize(gradients(loss.node, nodes))))
        return np.array(rows)

    mu, sigma = np.array([0.5, -1.0, 0.0]), np.array([0.5, 1.0, 1.5])
    exact = np.concatenate([PRECISION @ (mu - MEAN), np.diag(PRECISION) * sigma**2 - 1])
    rows = slopes("leave_one_out")
    error = rows.std(0) / math.sqrt(len(rows))
    assert (np.abs(rows.mean(0) - exact) < 4.5 * error + 1e-9).all()
    if gradient == "score":
        assert slopes("none").var(0).sum() > 1.5 * rows.var(0).sum()


def test_score_gradient_fits_too() -> None:
    fit = g.fit_variational(
        gaussian, variables={"z": (3,)}, gradient="score", n_samples=64, max_steps=4000
    )
    np.testing.assert_allclose(fit.distribution().mean.numpy(), MEAN, atol=0.15)


SCHOOLS = (
    np.array([28.0, 8, -3, 7, -1, 1, 18, 12]),
    np.array([15.0, 10, 16, 11, 9, 11, 10, 18]),
)


def schools(values: dict[str, dr.Tensor]) -> dr.Tensor:
    """The eight schools (Rubin 1981), not centred: effects μ + τη."""
    mu, tau, eta = values["mu"], values["tau"], values["eta"]
    effects = mu.expand_dims(-1) + tau.expand_dims(-1) * eta
    return (
        g.Normal(0.0, 10.0).log_prob(mu)
        + g.Normal(0.0, 5.0).log_prob(tau)
        + g.Normal(0.0, 1.0).log_prob(eta).sum(-1)
        + g.Normal(effects, SCHOOLS[1]).log_prob(SCHOOLS[0]).sum(-1)
    )


@pytest.mark.notes("VI-20")
def test_schools_by_inference_and_by_chains() -> None:
    variables = {"mu": (), "tau": g.Variable((), Exp()), "eta": (8,)}
    fit = g.fit_variational(
        schools, "full", variables=variables, n_samples=32, max_steps=8000
    )
    chains = g.hamiltonian_monte_carlo(
        schools, variables=variables, n_draws=800, n_warmup=500
    )
    assert (
        max(chains.r_hat().values()) < 1.03
        and min(chains.effective_sample_size().values()) > 400
    )
    theirs, ours = chains.summary(), fit.summary()
    for name in ["mu", *[f"eta[{i}]" for i in range(8)]]:
        assert ours[name]["mean"] == pytest.approx(
            theirs[name]["mean"], abs=0.2 * theirs[name]["deviation"]
        )
        assert ours[name]["deviation"] == pytest.approx(
            theirs[name]["deviation"], rel=0.2
        )
    assert ours["tau"]["50%"] == pytest.approx(theirs["tau"]["50%"], rel=0.35)


@pytest.mark.notes("VI-20")
def test_logistic_regression_by_inference_and_by_chains() -> None:
    random = np.random.default_rng(2)
    x = np.column_stack([np.ones(80), random.normal(size=(80, 2))])
    y = (random.random(80) < sp.expit(x @ [0.3, 1.5, -1.0])).astype(float)

    def log_joint(values: dict[str, dr.Tensor]) -> dr.Tensor:
        w = values["w"]
        return g.Normal(0.0, 2.0).log_prob(w).sum(-1) + g.Bernoulli(
            w @ dr.tensor(x.T)
        ).log_prob(y).sum(-1)

    fit = g.fit_variational(log_joint, "full", variables={"w": (3,)}, n_samples=32)
    walk = g.metropolis_hastings(
        log_joint, variables={"w": (3,)}, n_draws=3000, n_warmup=1000, thin=2
    )
    path = g.hamiltonian_monte_carlo(
        log_joint, variables={"w": (3,)}, n_draws=600, n_warmup=300
    )
    for chains in (walk, path):
        assert max(chains.r_hat().values()) < 1.03
        flat = chains.flat()["w"]
        np.testing.assert_allclose(
            fit.sample(8000, seed=0)["w"].mean(0), flat.mean(0), atol=0.1
        )
        np.testing.assert_allclose(
            fit.sample(8000, seed=0)["w"].std(0), flat.std(0), rtol=0.15
        )
    assert 0.2 < walk.acceptance.mean() < 0.4 < path.acceptance.mean()


def test_samplers_draw_from_a_known_density() -> None:
    for sampler, options in (
        (g.metropolis_hastings, {"n_draws": 6000, "thin": 3}),
        (g.hamiltonian_monte_carlo, {}),
    ):
        chains = sampler(gaussian, variables={"z": (3,)}, **options)
        z = chains.flat()["z"]
        size = chains.effective_sample_size()["z"]
        assert (
            np.abs(z.mean(0) - MEAN) < 5 * np.sqrt(np.diag(COVARIANCE) / size)
        ).all()
        np.testing.assert_allclose(np.cov(z.T), COVARIANCE, rtol=0.2, atol=0.12)
        again = sampler(gaussian, variables={"z": (3,)}, **options)
        np.testing.assert_array_equal(again.draws["z"], chains.draws["z"])


@pytest.mark.parametrize("sampler", [g.metropolis_hastings, g.hamiltonian_monte_carlo])
def test_chains_are_told_as_arviz_takes_them(sampler: Callable[..., g.Chains]) -> None:
    variables = {"z": (3,), "tau": g.Variable((), Exp())}

    def log_joint(values: dict[str, dr.Tensor]) -> dr.Tensor:
        return gaussian(values) + g.Gamma(3.0, 1.0).log_prob(values["tau"])

    chains = sampler(
        log_joint, variables=variables, n_draws=60, n_warmup=50, n_chains=3
    )
    told = chains.to_dict()
    assert {name: a.shape for name, a in told["posterior"].items()} == {
        "z": (3, 60, 3),
        "tau": (3, 60),
    }
    stats = told["sample_stats"]
    extra = (
        {"energy", "diverging", "n_steps"}
        if sampler is g.hamiltonian_monte_carlo
        else set()
    )
    assert set(stats) == {"acceptance_rate", "lp", "step_size"} | extra
    assert all(a.shape == (3, 60) for a in stats.values())
    assert (stats["acceptance_rate"] >= 0).all() and (
        stats["acceptance_rate"] <= 1
    ).all()
    np.testing.assert_allclose(chains.acceptance, stats["acceptance_rate"].mean(1))
    tau, error = told["posterior"]["tau"], told["posterior"]["z"] - MEAN
    lp = (
        st.gamma(3).logpdf(tau)
        + np.log(tau)
        - 0.5 * np.einsum("cdi,ij,cdj->cd", error, PRECISION, error)
    )
    np.testing.assert_allclose(
        stats["lp"], lp, rtol=2e-6
    )  # the parameters 3.0 and 1.0 are float32
    if extra:
        assert (stats["energy"] >= -stats["lp"]).all(), (
            "the kinetic energy is not negative"
        )
        assert (
            stats["diverging"].dtype == bool
            and chains.n_diverging == 0
            and (stats["n_steps"] >= 1).all()
        )
    if importlib.util.find_spec("arviz") is not None:
        arviz = importlib.import_module("arviz")
        kept = (
            arviz.from_dict(told)
            if int(arviz.__version__.split(".")[0]) >= 1
            else arviz.from_dict(**told)
        )
        np.testing.assert_array_equal(kept["posterior"]["tau"].values, tau)


def test_paths_that_leave_the_density_are_told_as_diverged() -> None:
    def funnel(values: dict[str, dr.Tensor]) -> dr.Tensor:
        """Neal's funnel (2003): the width of x spans many orders, one step fits none."""
        width = values["width"]
        return g.Normal(0.0, 3.0).log_prob(width) + g.Normal(
            0.0, dr.exp(width * 0.5)
        ).log_prob(values["x"])

    chains = g.hamiltonian_monte_carlo(
        funnel, variables={"width": (), "x": ()}, n_draws=400, n_warmup=200
    )
    assert chains.n_diverging > 0
    assert (
        str(chains).splitlines()[-1] == f"{chains.n_diverging} of 1,600 paths diverged"
    )


def test_draws_of_a_fit_are_one_chain_for_arviz() -> None:
    fit = g.fit_variational(gaussian, variables={"z": (3,)}, max_steps=200)
    told = fit.to_dict(50, seed=3)
    assert told["posterior"]["z"].shape == (1, 50, 3)
    np.testing.assert_array_equal(
        told["posterior"]["z"][0], fit.sample(50, seed=3)["z"]
    )


def test_effective_sample_size_of_an_autoregression() -> None:
    random = np.random.default_rng(2)
    for phi in (0.0, 0.6, 0.9):
        x = random.normal(size=(4, 20_000))
        for i in range(1, x.shape[1]):
            x[:, i] += phi * x[:, i - 1]
        assert g.effective_sample_size(x) == pytest.approx(
            80_000 * (1 - phi) / (1 + phi), rel=0.12
        )
        assert g.split_r_hat(x) == pytest.approx(1.0, abs=0.005)
    shifted = random.normal(size=(4, 500)) + np.array([[0.0], [0], [0], [2]])
    assert g.split_r_hat(shifted) > 1.2
    drifting = random.normal(size=(4, 500)) + np.linspace(0, 3, 500)
    assert g.split_r_hat(drifting) > 1.2
    with pytest.raises(DataError, match="at least 4"):
        g.split_r_hat(np.zeros((2, 3)))


def test_ranks_are_scaled_as_scipy_ranks_them() -> None:
    random = np.random.default_rng(2)
    x = random.integers(0, 20, (3, 40)).astype(float)  # with many ties
    exact = st.norm.ppf((st.rankdata(x).reshape(x.shape) - 0.375) / (x.size + 0.25))
    np.testing.assert_allclose(normal_scores(x), exact, rtol=1e-12, atol=1e-14)


def test_diagnostics_on_ranks_see_what_moments_do_not() -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(4, 1000))
    assert (
        g.rank_r_hat(x) == pytest.approx(1.0, abs=0.01)
        and g.rank_r_hat(np.exp(3 * x)) < 1.01
    )
    assert g.effective_sample_size(np.exp(3 * x), "bulk") == pytest.approx(
        4000, rel=0.15
    )
    wide = x * np.array([[1.0], [1], [1], [5]])
    assert g.split_r_hat(wide) < 1.01 < 1.1 < g.rank_r_hat(wide), (
        "chains of equal means and unequal spread"
    )
    cauchy = random.standard_cauchy((4, 1000))
    assert g.rank_r_hat(cauchy) < 1.01
    assert (
        g.effective_sample_size(cauchy + np.array([[0.0], [0], [0], [3]]), "bulk") < 40
    )
    slow = random.normal(size=(4, 4000))
    for i in range(1, 4000):
        slow[:, i] = 0.9 * slow[:, i - 1] + slow[:, i]
    bulk, tail = (g.effective_sample_size(slow, kind) for kind in ("bulk", "tail"))
    assert bulk == pytest.approx(16_000 * 0.1 / 1.9, rel=0.25) and bulk < tail < 4000
    with pytest.raises(ArgumentError, match="'bulk' or 'tail'"):
        g.effective_sample_size(x, "middle")


def test_diagnostics_are_arvizs() -> None:
    """Values of ArviZ 0.23.4 for these chains: rhat(method="split", "rank"), ess(method="mean", "bulk", "tail")."""
    steps = np.arange(200)
    x = np.stack(
        [
            np.sin(1.7 * steps + k) + 0.3 * np.cos(0.05 * steps * (k + 1)) + 0.1 * k
            for k in range(4)
        ]
    )
    found = [
        g.split_r_hat(x),
        g.rank_r_hat(x),
        *(g.effective_sample_size(x, k) for k in ("mean", "bulk", "tail")),
    ]
    np.testing.assert_allclose(
        found[:2], [1.0102175910525513, 1.0186162256409153], rtol=1e-12
    )
    np.testing.assert_allclose(
        found[2:], [822.306053409866, 747.0284817916075, 894.5987825868941], rtol=1e-12
    )


def test_mistakes_are_told() -> None:
    with pytest.raises(ShapeError, match="one number for each point"):
        g.fit_variational(lambda v: v["z"].sum(), variables={"z": (3,)})
    with pytest.raises(ArgumentError, match="names among 'z', got 'w'"):
        g.fit_variational(lambda v: v["w"].sum(-1), variables={"z": (3,)})
    with pytest.raises(
        ArgumentError, match=r"log_joint: expected a tensor.* got float"
    ):
        g.fit_variational(lambda v: 3.0, variables={"z": (3,)})
    with pytest.raises(ArgumentError, match="'mean_field', 'full', 'low_rank'"):
        g.fit_variational(gaussian, "wide", variables={"z": (3,)})
    with pytest.raises(ArgumentError, match="one of 3 variables"):
        g.fit_variational(gaussian, g.MeanField(2), variables={"z": (3,)})
    with pytest.raises(ArgumentError, match="'path' or 'score'"):
        g.fit_variational(gaussian, variables={"z": (3,)}, gradient="reinforce")
    with pytest.raises(DataError, match="bijector"):
        g.metropolis_hastings(
            lambda v: g.Gamma(2.0, 1.0).log_prob(v["z"]),
            variables={"z": ()},
            n_chains=8,
        )


def test_results_read_well() -> None:
    with pytest.warns(DataWarning, match="not converged after 300 steps"):
        fit = g.fit_variational(
            gaussian,
            variables={"z": (3,)},
            max_steps=300,
            optimizer=optim.Adam(learning_rate=0.05),
        )
    assert "z[2]" in str(fit) and "not converged after 300 steps" in str(fit)
    assert list(fit.summary()["z[0]"]) == ["mean", "deviation", "5%", "50%", "95%"]
