"""R̂, effective sample sizes and k̂: Stan's published rule written out, values of ArviZ, draws that are no numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats as st

import deltarule as dr
from deltarule import generative as g
from deltarule.errors import DataError


def stans_rule(chains: Any) -> float:
    """The effective sample size of split chains by the Stan reference manual (16.4): loops, no vectors."""
    m, n = chains.shape
    centred = chains - chains.mean(1, keepdims=True)
    covariance = [
        float(np.mean([(c[: n - t] * c[t:]).sum() / n for c in centred]))
        for t in range(n)
    ]
    within = covariance[0] * n / (n - 1)
    whole = within * (n - 1) / n + (chains.mean(1).var(ddof=1) if m > 1 else 0.0)
    rho = [1.0] + [0.0] * (n - 1)
    even, odd, t = 1.0, 1 - (within - covariance[1]) / whole, 1
    rho[1] = odd
    while t < n - 3 and even + odd > 0:
        even = 1 - (within - covariance[t + 1]) / whole
        odd = 1 - (within - covariance[t + 2]) / whole
        if even + odd >= 0:
            rho[t + 1], rho[t + 2] = even, odd
        t += 2
    last = t - 2
    if even > 0:
        rho[last + 1] = even
    for t in range(1, last - 1, 2):
        if rho[t + 1] + rho[t + 2] > rho[t - 1] + rho[t]:
            rho[t + 1] = rho[t + 2] = (rho[t - 1] + rho[t]) / 2
    tau = -1 + 2 * sum(rho[: last + 1]) + rho[last + 1]
    return m * n / max(tau, 1 / math.log10(m * n))


def halves(x: Any) -> Any:
    n = x.shape[1] // 2
    return np.concatenate([x[:, :n], x[:, -n:]])


@pytest.mark.parametrize("n", [8, 9, 10, 11, 12, 13, 20, 51, 200])
@pytest.mark.parametrize("phi", [-0.9, -0.4, 0.0, 0.5, 0.97])
@pytest.mark.parametrize("m", [1, 2, 4])
def test_effective_sample_sizes_are_stans(m: int, phi: float, n: int) -> None:
    x = np.random.default_rng([m, n, int(100 + 100 * phi)]).normal(size=(m, n))
    for t in range(1, n):
        x[:, t] += phi * x[:, t - 1]
    assert g.effective_sample_size(x) == pytest.approx(stans_rule(halves(x)), rel=1e-9)
    scores = st.norm.ppf(
        (st.rankdata(halves(x)).reshape(halves(x).shape) - 0.375)
        / (halves(x).size + 0.25)
    )
    assert g.effective_sample_size(x, "bulk") == pytest.approx(
        stans_rule(scores), rel=1e-9
    )
    tails = [(x <= np.quantile(x, q)).astype(float) for q in (0.05, 0.95)]
    if all(np.ptp(halves(tail)) for tail in tails):
        wanted = min(stans_rule(halves(tail)) for tail in tails)
        assert g.effective_sample_size(x, "tail") == pytest.approx(wanted, rel=1e-9)


def wave(step: float) -> Any:
    t = np.arange(200)
    return np.stack(
        [
            np.sin(step * t + k) + 0.3 * np.cos(0.05 * t * (k + 1)) + 0.1 * k
            for k in range(4)
        ]
    )


ARVIZ = {
    1.7: (822.306053409866, 747.0284817916075, 894.5987825868941),
    3.0: (352.1984589151765, 227.81202569842043, 266.29341695729494),
    0.2: (80.24047132054915, 81.83470990945143, 150.83248317572227),
}


@pytest.mark.parametrize("step", list(ARVIZ))
def test_values_of_arviz(step: float) -> None:
    """ArviZ-stats 0.8.0: ess(method="mean", "bulk", "tail")."""
    found = [
        g.effective_sample_size(wave(step), kind) for kind in ("mean", "bulk", "tail")
    ]  # type: ignore[arg-type]
    np.testing.assert_allclose(found, ARVIZ[step], rtol=1e-10)


PARETO = {0.2: 0.1979426265094994, 0.7: 0.5848023376383793, 1.5: 1.2067643609249736}


def test_shapes_of_pareto_tails_are_arvizs() -> None:
    """ArviZ-stats 0.8.0: psislw(-log_weights, r_eff=1)."""
    t = np.arange(1, 401)
    for power, wanted in PARETO.items():
        assert g.pareto_k(power * np.log(400 / t)) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("share", [1 / 400, 0.5, 1.0])
def test_draws_that_are_no_numbers_are_no_diagnosis(bad: float, share: float) -> None:
    x = np.random.default_rng(0).normal(size=(4, 100))
    x.reshape(-1)[: int(400 * share)] = bad
    assert np.isnan(g.rank_r_hat(x)) and np.isnan(g.split_r_hat(x))
    assert all(
        np.isnan(g.effective_sample_size(x, kind)) for kind in ("mean", "bulk", "tail")
    )
    chains = g.Chains(
        {"a": np.stack([np.random.default_rng(1).normal(size=(4, 100)), x], -1)},
        {"lp": np.zeros((4, 100))},
    )
    assert np.isnan(chains.r_hat()["a"]) and np.isnan(
        chains.effective_sample_size()["a"]
    )
    assert "R̂ of a is nan" in str(chains)


def test_chains_that_have_not_mixed_say_so() -> None:
    def two_modes(v: dict[str, dr.Tensor]) -> dr.Tensor:
        parts = [g.Normal(np.float64(at), 1.0).log_prob(v["z"]) for at in (-20.0, 20.0)]
        return dr.logsumexp(dr.stack(parts, -1))

    chains = g.metropolis_hastings(
        two_modes, variables={"z": ()}, n_draws=200, n_warmup=100
    )
    apart = g.Chains(
        {"z": chains.draws["z"] + np.arange(4)[:, None] * 10}, chains.stats
    )
    assert "the chains have not mixed" in str(apart) and "R̂ of z is" in str(apart)
    fine = g.Chains(
        {"z": np.random.default_rng(0).normal(size=(4, 1000))},
        {"lp": np.zeros((4, 1000))},
    )
    assert "mixed" not in str(fine)


@pytest.mark.parametrize("shape", [(0, 10), (5,), (4, 3), (2, 10, 1)])
def test_what_is_no_table_of_draws_is_refused(shape: tuple[int, ...]) -> None:
    for diagnose in (g.rank_r_hat, g.split_r_hat, g.effective_sample_size):
        with pytest.raises(DataError, match="expected draws"):
            diagnose(np.zeros(shape))
