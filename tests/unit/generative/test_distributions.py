"""Densities, moments, entropies and divergences against torch.distributions and SciPy; draws against densities."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st
from scipy.integrate import quad

import deltarule as dr
from deltarule import generative as g
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative import bijectors
from deltarule.generative.distributions.gamma_draws import slope_in_concentration
from support.oracles import called, td, torch

R = np.random.default_rng(0)
LOGITS = R.normal(size=(2, 4))
MEAN, DEVIATION = R.normal(size=(3,)), R.uniform(0.3, 2, 3)
SQUARE = R.normal(size=(3, 3))
COVARIANCE = SQUARE @ SQUARE.T + 0.5 * np.eye(3)
FACTOR, DIAGONAL = R.normal(size=(3, 2)), R.uniform(0.2, 1, 3)
POSITIVE = R.uniform(0.4, 4, 3)
RATE = R.uniform(0.5, 2, 3)


@dataclass(frozen=True)
class Case:
    """One distribution of ours with torch's, and values to evaluate both at."""

    ours: g.Distribution
    torchs: Callable[[], td.Distribution]
    values: np.ndarray
    entropy: bool = True
    moments: bool = True

    @property
    def name(self) -> str:
        return type(self.ours).__name__


def t(x: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(x))


CASES = [
    Case(
        g.Normal(MEAN, DEVIATION),
        lambda: td.Normal(t(MEAN), t(DEVIATION)),
        R.normal(size=(5, 3)),
    ),
    Case(
        g.DiagonalNormal(MEAN, DEVIATION),
        lambda: td.Independent(td.Normal(t(MEAN), t(DEVIATION)), 1),
        R.normal(size=(5, 3)),
    ),
    Case(
        g.FullNormal(MEAN, COVARIANCE),
        lambda: td.MultivariateNormal(t(MEAN), t(COVARIANCE)),
        R.normal(size=(4, 2, 3)),
    ),
    Case(
        g.FullNormal(
            R.normal(size=(2, 3)), factor=np.stack([np.linalg.cholesky(COVARIANCE)] * 2)
        ),
        lambda: td.MultivariateNormal(t(np.zeros((2, 3))), t(COVARIANCE)),
        R.normal(size=(5, 2, 3)),
        moments=False,
    ),
    Case(
        g.LowRankNormal(MEAN, FACTOR, DIAGONAL),
        lambda: td.LowRankMultivariateNormal(t(MEAN), t(FACTOR), t(DIAGONAL)),
        R.normal(size=(4, 2, 3)),
    ),
    Case(
        g.LowRankNormal(
            SQUARE[:2],
            np.stack([FACTOR, -FACTOR[::-1]]),
            np.stack([DIAGONAL, DIAGONAL * 2]),
        ),
        lambda: td.LowRankMultivariateNormal(
            t(SQUARE[:2]),
            t(np.stack([FACTOR, -FACTOR[::-1]])),
            t(np.stack([DIAGONAL, DIAGONAL * 2])),
        ),
        R.normal(size=(5, 2, 3)),
    ),
    Case(
        g.Mixture(
            LOGITS[0, :2],
            g.LowRankNormal(SQUARE[:2], FACTOR, np.stack([DIAGONAL, DIAGONAL * 2])),
        ),
        lambda: td.MixtureSameFamily(
            td.Categorical(logits=t(LOGITS[0, :2])),
            td.LowRankMultivariateNormal(
                t(SQUARE[:2]),
                t(np.stack([FACTOR] * 2)),
                t(np.stack([DIAGONAL, DIAGONAL * 2])),
            ),
        ),
        R.normal(size=(5, 3)),
        entropy=False,
    ),
    Case(
        g.Mixture(LOGITS[0, :2], g.FullNormal(SQUARE[:2], COVARIANCE)),
        lambda: td.MixtureSameFamily(
            td.Categorical(logits=t(LOGITS[0, :2])),
            td.MultivariateNormal(t(SQUARE[:2]), t(COVARIANCE)),
        ),
        R.normal(size=(5, 3)),
        entropy=False,
    ),
    Case(
        g.Bernoulli(LOGITS),
        lambda: td.Bernoulli(logits=t(LOGITS)),
        R.integers(0, 2, (3, 2, 4)).astype(float),
    ),
    Case(
        g.Categorical(LOGITS),
        lambda: td.Categorical(logits=t(LOGITS)),
        R.integers(0, 4, (5, 2)),
        moments=False,
    ),
    Case(
        g.Multinomial(6, LOGITS),
        lambda: td.Multinomial(6, logits=t(LOGITS)),
        R.multinomial(6, [0.2, 0.3, 0.1, 0.4], (5, 2)).astype(float),
    ),
    Case(
        g.Poisson(RATE),
        lambda: td.Poisson(t(RATE)),
        R.integers(0, 9, (6, 3)).astype(float),
        entropy=False,
    ),
    Case(
        g.Laplace(MEAN, DEVIATION),
        lambda: td.Laplace(t(MEAN), t(DEVIATION)),
        R.normal(size=(5, 3)),
    ),
    Case(
        g.Gamma(POSITIVE, RATE),
        lambda: td.Gamma(t(POSITIVE), t(RATE)),
        R.uniform(0.1, 5, (5, 3)),
    ),
    Case(
        g.Beta(POSITIVE, RATE),
        lambda: td.Beta(t(POSITIVE), t(RATE)),
        R.uniform(0.05, 0.95, (5, 3)),
    ),
    Case(
        g.Dirichlet(POSITIVE),
        lambda: td.Dirichlet(t(POSITIVE)),
        R.dirichlet([1, 2, 3], 5),
    ),
    Case(
        g.Mixture(
            LOGITS[:, :3], g.Normal(np.stack([MEAN] * 2), np.stack([DEVIATION] * 2))
        ),
        lambda: td.MixtureSameFamily(
            td.Categorical(logits=t(LOGITS[:, :3])),
            td.Normal(t(np.stack([MEAN] * 2)), t(np.stack([DEVIATION] * 2))),
        ),
        R.normal(size=(5, 2)),
        entropy=False,
    ),
    Case(
        g.Mixture(
            LOGITS[0],
            g.DiagonalNormal(SQUARE[:, :2].repeat(2, 0)[:4], np.ones((4, 2)) * 0.7),
        ),
        lambda: td.MixtureSameFamily(
            td.Categorical(logits=t(LOGITS[0])),
            td.Independent(
                td.Normal(t(SQUARE[:, :2].repeat(2, 0)[:4]), t(np.ones((4, 2)) * 0.7)),
                1,
            ),
        ),
        R.normal(size=(5, 2)),
        entropy=False,
    ),
    Case(
        g.Transformed(g.Normal(MEAN, DEVIATION), bijectors.Exp()),
        lambda: td.LogNormal(t(MEAN), t(DEVIATION)),
        R.uniform(0.1, 4, (5, 3)),
        entropy=False,
        moments=False,
    ),
    Case(
        g.Transformed(g.DiagonalNormal(MEAN, DEVIATION), bijectors.StickBreaking()),
        lambda: td.TransformedDistribution(
            td.Independent(td.Normal(t(MEAN), t(DEVIATION)), 1),
            [td.StickBreakingTransform()],
        ),
        R.dirichlet([1, 2, 3, 2], 5),
        entropy=False,
        moments=False,
    ),
]
IDS = [f"{case.name}-{i}" for i, case in enumerate(CASES)]


@pytest.mark.notes("PR-05", "PR-10", "PR-12")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_densities_agree_with_torch(case: Case) -> None:
    values = case.values
    theirs = case.torchs().log_prob(t(values))
    if case.name == "FullNormal" and case.ours.batch_shape == (2,):
        theirs = case.torchs().log_prob(t(values) - t(case.ours.location.numpy()))
    np.testing.assert_allclose(
        case.ours.log_prob(values).numpy(), theirs.numpy(), rtol=1e-9, atol=1e-10
    )


def _where(name: str) -> dict[str, Any]:
    chosen = [
        (case, i) for case, i in zip(CASES, IDS, strict=True) if getattr(case, name)
    ]
    return {"argvalues": [case for case, _ in chosen], "ids": [i for _, i in chosen]}


@pytest.mark.parametrize("case", **_where("entropy"))
def test_entropies_agree_with_torch(case: Case) -> None:
    theirs = np.broadcast_to(case.torchs().entropy().numpy(), case.ours.batch_shape)
    np.testing.assert_allclose(case.ours.entropy().numpy(), theirs, rtol=1e-7)


SHARES = sp.softmax(LOGITS[0])
SCIPYS = [
    (g.Normal(0.3, 1.7), st.norm(0.3, 1.7), R.normal(size=6)),
    (
        g.DiagonalNormal(MEAN, DEVIATION),
        st.multivariate_normal(MEAN, np.diag(DEVIATION**2)),
        R.normal(size=(5, 3)),
    ),
    (
        g.FullNormal(MEAN, COVARIANCE),
        st.multivariate_normal(MEAN, COVARIANCE),
        R.normal(size=(5, 3)),
    ),
    (
        g.LowRankNormal(MEAN, FACTOR, DIAGONAL),
        st.multivariate_normal(MEAN, FACTOR @ FACTOR.T + np.diag(DIAGONAL)),
        R.normal(size=(5, 3)),
    ),
    (g.Laplace(0.3, 1.7), st.laplace(0.3, 1.7), R.normal(size=6)),
    (g.Gamma(0.7, 1.6), st.gamma(0.7, scale=1 / 1.6), R.uniform(0.1, 4, 6)),
    (g.Beta(0.7, 2.6), st.beta(0.7, 2.6), R.uniform(0.1, 0.9, 6)),
    (g.Dirichlet(POSITIVE), st.dirichlet(POSITIVE), R.dirichlet([1, 2, 3], 1)[0]),
    (
        g.Transformed(g.Normal(0.2, 0.6), bijectors.Exp()),
        st.lognorm(0.6, scale=np.exp(0.2)),
        R.uniform(0.1, 4, 6),
    ),
    (g.Bernoulli.of(0.3), st.bernoulli(0.3), np.array([0.0, 1.0])),
    (
        g.Categorical(LOGITS[0]),
        st.rv_discrete(values=(np.arange(4), SHARES)),
        np.arange(4),
    ),
    (
        g.Multinomial(5, LOGITS[0]),
        st.multinomial(5, SHARES),
        R.multinomial(5, SHARES, 6).astype(float),
    ),
    (g.Poisson(3.4), st.poisson(3.4), np.arange(9.0)),
]


@pytest.mark.notes("PR-05", "PR-13")
@pytest.mark.parametrize(
    ("ours", "theirs", "x"), SCIPYS, ids=[type(ours).__name__ for ours, *_ in SCIPYS]
)
def test_densities_and_entropies_agree_with_scipy(
    ours: g.Distribution, theirs: Any, x: np.ndarray
) -> None:
    density = theirs.logpdf if hasattr(theirs, "logpdf") else theirs.logpmf
    rough = 1e-6 if ours.dtype.name == "float32" else 1e-9
    np.testing.assert_allclose(
        ours.log_prob(x).numpy(), density(x), rtol=10 * rough, atol=rough
    )
    if not isinstance(ours, g.Transformed):
        assert ours.entropy().item() == pytest.approx(
            float(theirs.entropy()), rel=10 * rough
        )
    else:
        estimate = g.monte_carlo_entropy(ours, 20_000, seed=2)
        assert (
            abs(estimate.value - float(theirs.entropy())) < 5 * estimate.standard_error
        )


def _parameters(case: Case) -> list[str]:
    return [
        name
        for name, value in vars(case.ours).items()
        if isinstance(value, dr.Tensor) and not name.startswith("_")
    ]


SMOOTH = [
    case
    for case in CASES
    if case.name in {"Normal", "Laplace", "Gamma", "Beta", "Dirichlet", "Poisson"}
]


@pytest.mark.parametrize("case", SMOOTH, ids=[case.name for case in SMOOTH])
def test_gradients_of_densities_agree_with_torch(case: Case) -> None:
    """∂ Σ ln p(x)/∂θ, through ln Γ and its derivatives too."""
    names = _parameters(case)
    ours = [dr.parameter(getattr(case.ours, name).numpy()) for name in names]
    theirs = [torch.tensor(value.numpy(), requires_grad=True) for value in ours]
    slopes = dr.grad(type(case.ours)(*ours).log_prob(case.values).sum(), ours)
    type(case.torchs())(*theirs).log_prob(t(case.values)).sum().backward()
    for slope, value in zip(slopes, theirs, strict=True):
        np.testing.assert_allclose(
            slope.numpy(), value.grad.numpy(), rtol=1e-8, atol=1e-10
        )


@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_draws_of_mixtures_pass_the_implicit_gradient(family: str) -> None:
    """∂E[x³]/∂(logits, locations, scales) of 100,000 draws against the derivative of the third moment."""
    start = [
        np.array([0.4, -0.3, 0.0]),
        np.array([-1.0, 0.5, 2.0]),
        np.array([0.5, 0.8, 0.3]),
    ]
    ours = [dr.parameter(value) for value in start]
    logits, location, scale = ours
    component = g.Normal if family == "normal" else g.Laplace
    x = g.Mixture(logits, component(location, scale)).rsample((100_000,), seed=1)
    np.testing.assert_array_equal(
        x.numpy(),
        g.Mixture(logits, component(location, scale)).sample((100_000,), seed=1),
    )
    slopes = dr.grad((x * x * x).mean(), ours)
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    variance = theirs[2] ** 2 * (1 if family == "normal" else 2)
    (
        torch.softmax(theirs[0], 0) * (theirs[1] ** 3 + 3 * theirs[1] * variance)
    ).sum().backward()
    for slope, value in zip(slopes, theirs, strict=True):
        np.testing.assert_allclose(
            slope.numpy(), value.grad.numpy(), rtol=0.05, atol=0.05
        )
    with pytest.raises(ArgumentError, match="without a reparameterisation"):
        g.Mixture([0.0, 0.0], g.Gamma([1.0, 2.0], 1.0)).rsample(seed=0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (g.Normal(0.3, 1.7), st.norm(0.3, 1.7)),
        (g.Laplace(0.3, 1.7), st.laplace(0.3, 1.7)),
    ],
    ids=["normal", "laplace"],
)
def test_distribution_functions_agree_with_scipy(
    ours: g.Distribution, theirs: Any
) -> None:
    x = np.linspace(-6, 6, 25)
    np.testing.assert_allclose(ours.cdf(x).numpy(), theirs.cdf(x), rtol=1e-6, atol=1e-8)
    two = g.Mixture(
        np.log([0.3, 0.7]), type(ours)(np.array([0.0, 2.0]), np.array([1.0, 0.5]))
    )
    parts = type(theirs.dist)
    exact = 0.3 * parts().cdf(x) + 0.7 * parts().cdf((x - 2) / 0.5)
    np.testing.assert_allclose(two.cdf(x).numpy(), exact, rtol=1e-9, atol=1e-12)
    with pytest.raises(ArgumentError, match="cdf of Gamma"):
        g.Gamma(1.0, 1.0).cdf(1.0)


def test_gamma_draws_have_torchs_implicit_gradient() -> None:
    random = np.random.default_rng(0)
    a, rate = (
        dr.parameter(np.array([0.3, 1.0, 4.0, 40.0])),
        dr.parameter(np.full(4, 1.6)),
    )
    x = g.Gamma(a, rate).rsample((50,), seed=0)
    weights = random.normal(size=(50, 4))
    to_a, to_rate = dr.grad((x * dr.tensor(weights)).sum(), [a, rate])
    standard = torch.tensor(x.numpy() * 1.6)
    gradient = importlib.import_module("torch")._standard_gamma_grad
    alpha = torch.tensor(np.broadcast_to(a.numpy(), (50, 4)).copy())
    implicit = gradient(alpha, standard).numpy()
    np.testing.assert_allclose(
        to_a.numpy(), (weights * implicit / 1.6).sum(0), rtol=2e-3
    )
    np.testing.assert_allclose(
        to_rate.numpy(), (weights * -x.numpy() / 1.6).sum(0), rtol=1e-9
    )


@pytest.mark.parametrize("case", **_where("moments"))
def test_moments_agree_with_torch(case: Case) -> None:
    np.testing.assert_allclose(
        case.ours.mean.numpy(), case.torchs().mean.numpy(), rtol=1e-9
    )
    np.testing.assert_allclose(
        case.ours.variance.numpy(), case.torchs().variance.numpy(), rtol=1e-9
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_draws_are_reproducible_and_have_the_moments_of_the_density(case: Case) -> None:
    n = 20_000
    x = case.ours.sample((n,), seed=3)
    assert x.shape == (n, *case.ours.batch_shape, *case.ours.event_shape)
    np.testing.assert_array_equal(x.numpy(), case.ours.sample((n,), seed=3).numpy())
    assert (x.numpy() != case.ours.sample((n,), seed=3, stream=1).numpy()).any()
    assert (x.numpy() != case.ours.sample((n,), seed=3, step=1).numpy()).any()
    if case.moments:
        array, variance = x.numpy(), case.ours.variance.numpy()
        assert (
            np.abs(array.mean(0) - case.ours.mean.numpy()) < 5 * np.sqrt(variance / n)
        ).all()
        np.testing.assert_allclose(array.var(0), variance, rtol=0.15)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_compiled_densities_and_draws_are_those_of_the_reference(case: Case) -> None:
    def both(x: dr.Tensor) -> tuple[dr.Tensor, dr.Tensor]:
        return case.ours.log_prob(x), case.ours.sample((7,), seed=5, step=2)

    density, draws = dr.jit(both, device="cpu")(case.values)
    np.testing.assert_allclose(
        density.numpy(), case.ours.log_prob(case.values).numpy(), rtol=1e-9, atol=1e-11
    )
    np.testing.assert_allclose(
        draws.numpy(),
        case.ours.sample((7,), seed=5, step=2).numpy(),
        rtol=1e-9,
        atol=1e-11,
    )


@pytest.mark.parametrize(
    ("ours", "cdf"),
    [
        (g.Normal(1.0, 2.0), st.norm(1, 2).cdf),
        (g.Laplace(1.0, 2.0), st.laplace(1, 2).cdf),
        (g.Gamma(0.3, 2.0), st.gamma(0.3, scale=0.5).cdf),
        (g.Gamma(1.0, 1.0), st.gamma(1).cdf),
        (g.Gamma(7.5, 1.0), st.gamma(7.5).cdf),
        (g.Beta(0.5, 2.5), st.beta(0.5, 2.5).cdf),
        (g.Transformed(g.Normal(0.0, 0.5), bijectors.Exp()), st.lognorm(0.5).cdf),
    ],
)
def test_draws_follow_the_distribution_function(
    ours: g.Distribution, cdf: Callable[[Any], Any]
) -> None:
    assert st.kstest(ours.sample((20_000,), seed=1).numpy(), cdf).pvalue > 1e-3


def test_counts_follow_their_probabilities() -> None:
    counts = np.bincount(
        g.Poisson(3.7).sample((20_000,), seed=0).numpy().astype(int), minlength=20
    )[:12]
    expected = st.poisson(3.7).pmf(np.arange(12))
    assert (np.abs(counts / 20_000 - expected) < 5 * np.sqrt(expected / 20_000)).all()
    labels = g.Categorical.of([0.1, 0.2, 0.7]).sample((20_000,), seed=0).numpy()
    np.testing.assert_allclose(
        np.bincount(labels) / 20_000, [0.1, 0.2, 0.7], atol=0.012
    )
    np.testing.assert_allclose(
        g.Poisson(np.array([0.5, 200.0])).entropy().numpy(),
        [st.poisson(0.5).entropy(), st.poisson(200).entropy()],
        rtol=1e-8,
    )


@pytest.mark.notes("VI-12", "BP-23", "C-VI-09")
def test_reparameterised_draws_pass_gradients() -> None:
    mean, deviation = (
        dr.parameter(np.array([1.0, -1.0])),
        dr.parameter(np.array([2.0, 0.5])),
    )
    noise = g.DiagonalNormal(np.zeros(2), np.ones(2)).sample(seed=4).numpy()
    z = g.DiagonalNormal(mean, deviation).rsample(seed=4)
    to_mean, to_deviation = dr.grad(z.sum(), [mean, deviation])
    np.testing.assert_allclose(z.numpy(), [1, -1] + np.array([2, 0.5]) * noise)
    np.testing.assert_allclose(to_mean.numpy(), [1, 1])
    np.testing.assert_allclose(to_deviation.numpy(), noise)
    with pytest.raises(ArgumentError, match="score-function"):
        g.Poisson(2.0).rsample(seed=0)


@pytest.mark.parametrize(
    "family", ["normal", "full", "low_rank", "laplace", "gamma", "beta", "dirichlet"]
)
def test_pathwise_gradients_are_those_of_the_expectation(family: str) -> None:
    """∂E[Σx³]/∂θ of 40,000 draws against the derivative of the known third moment."""
    make: dict[str, tuple[Callable[[Any], g.Distribution], Callable[[Any], Any]]] = {
        "normal": (lambda p: g.Normal(p, 0.5), lambda p: (p**3 + 3 * p * 0.25).sum()),
        "full": (
            lambda p: g.FullNormal(p, factor=np.eye(2) * 0.5),
            lambda p: (p**3 + 3 * p * 0.25).sum(),
        ),
        "low_rank": (
            lambda p: g.LowRankNormal(np.ones(2), p.expand_dims(-1), np.full(2, 0.1)),
            lambda p: (1 + 3 * (p**2 + 0.1)).sum(),
        ),
        "laplace": (
            lambda p: g.Laplace(0.5, p),
            lambda p: (0.125 + 1.5 * 2 * p**2).sum(),
        ),
        "gamma": (
            lambda p: g.Gamma(p, 2.0),
            lambda p: (p * (p + 1) * (p + 2) / 8).sum(),
        ),
        "beta": (
            lambda p: g.Beta(p, 1.5),
            lambda p: (
                p * (p + 1) * (p + 2) / ((p + 1.5) * (p + 2.5) * (p + 3.5))
            ).sum(),
        ),
        "dirichlet": (
            lambda p: g.Dirichlet(p),
            lambda p: (
                (p * (p + 1) * (p + 2)).sum()
                / (p.sum() * (p.sum() + 1) * (p.sum() + 2))
            ),
        ),
    }
    ours, moment = make[family]
    p = dr.parameter(np.array([0.6, 2.3]))
    x = ours(p).rsample((40_000,), seed=2)
    cubes = x * x * x
    slope = dr.grad((cubes if cubes.ndim < 2 else cubes.sum(-1)).mean(), [p])[0].numpy()
    theta = torch.tensor([0.6, 2.3], dtype=torch.float64, requires_grad=True)
    moment(theta).backward()
    np.testing.assert_allclose(slope, theta.grad.numpy(), rtol=0.08, atol=0.02)


@pytest.mark.parametrize("a", [0.02, 0.3, 1.0, 4.5, 60.0, 900.0])
def test_gamma_slope_is_the_implicit_derivative(a: float) -> None:
    u = np.array([1e-3, 0.05, 0.3, 0.5, 0.8, 0.99, 0.99999])
    x = sp.gammaincinv(a, u)
    keep = x > 1e-250
    h = 1e-4 * a
    numeric = (
        8 * (sp.gammaincinv(a + h, u) - sp.gammaincinv(a - h, u))
        - (sp.gammaincinv(a + 2 * h, u) - sp.gammaincinv(a - 2 * h, u))
    ) / (12 * h)
    ours = slope_in_concentration(
        dr.tensor(x[keep]), dr.tensor(np.full(keep.sum(), a))
    ).numpy()
    np.testing.assert_allclose(ours, numeric[keep], rtol=2e-6)


KL_PAIRS = [
    (0, g.Normal(RATE, POSITIVE), lambda: td.Normal(t(RATE), t(POSITIVE))),
    (
        1,
        g.DiagonalNormal(RATE, POSITIVE),
        lambda: td.Independent(td.Normal(t(RATE), t(POSITIVE)), 1),
    ),
    (
        2,
        g.FullNormal(RATE, COVARIANCE * 0.5 + np.eye(3)),
        lambda: td.MultivariateNormal(t(RATE), t(COVARIANCE * 0.5 + np.eye(3))),
    ),
    (
        4,
        g.FullNormal(RATE, COVARIANCE),
        lambda: td.MultivariateNormal(t(RATE), t(COVARIANCE)),
    ),
    (
        5,
        g.LowRankNormal(SQUARE[1:], FACTOR, DIAGONAL),
        lambda: td.LowRankMultivariateNormal(t(SQUARE[1:]), t(FACTOR), t(DIAGONAL)),
    ),
    (
        2,
        g.LowRankNormal(RATE, FACTOR, DIAGONAL),
        lambda: td.LowRankMultivariateNormal(t(RATE), t(FACTOR), t(DIAGONAL)),
    ),
    (8, g.Bernoulli(-LOGITS * 2), lambda: td.Bernoulli(logits=t(-LOGITS * 2))),
    (9, g.Categorical(-LOGITS), lambda: td.Categorical(logits=t(-LOGITS))),
    (11, g.Poisson(POSITIVE), lambda: td.Poisson(t(POSITIVE))),
    (12, g.Laplace(RATE, POSITIVE), lambda: td.Laplace(t(RATE), t(POSITIVE))),
    (13, g.Gamma(RATE, POSITIVE), lambda: td.Gamma(t(RATE), t(POSITIVE))),
    (14, g.Beta(RATE, POSITIVE), lambda: td.Beta(t(RATE), t(POSITIVE))),
    (15, g.Dirichlet(RATE), lambda: td.Dirichlet(t(RATE))),
    (
        18,
        g.Transformed(g.Normal(RATE, POSITIVE), bijectors.Exp()),
        lambda: td.LogNormal(t(RATE), t(POSITIVE)),
    ),
]


@pytest.mark.notes("VI-07", "VI-19")
@pytest.mark.parametrize(
    ("index", "ours", "torchs"), KL_PAIRS, ids=[type(p[1]).__name__ for p in KL_PAIRS]
)
def test_divergences_agree_with_torch_and_with_sampling(
    index: int, ours: g.Distribution, torchs: Callable[[], Any]
) -> None:
    case = CASES[index]
    first, second = case.torchs(), torchs()
    exact = g.kl_divergence(case.ours, ours).numpy()
    if (
        first.__class__ is second.__class__
        or "Multivariate" in second.__class__.__name__
    ):
        np.testing.assert_allclose(
            exact, td.kl_divergence(first, second).numpy(), rtol=1e-8
        )
    assert (exact > 0).all() and abs(g.kl_divergence(ours, ours).numpy()).max() < 1e-9
    n = 20_000
    x = case.ours.sample((n,), seed=7)
    values = (case.ours.log_prob(x) - ours.log_prob(x)).numpy()
    assert (
        np.abs(values.mean(0) - exact) < 5 * values.std(0) / np.sqrt(n) + 1e-9
    ).all()


MIXED = [
    (g.Laplace(MEAN, DEVIATION), g.Normal(RATE, POSITIVE), "td.Laplace", "td.Normal"),
    (g.Gamma(POSITIVE, RATE), g.Normal(MEAN, DEVIATION), "td.Gamma", "td.Normal"),
    (g.Beta(POSITIVE, RATE), g.Normal(MEAN, DEVIATION), "td.Beta", "td.Normal"),
    (g.Normal(MEAN, DEVIATION), g.Laplace(RATE, POSITIVE), "td.Normal", "td.Laplace"),
    (g.Beta(POSITIVE, RATE), g.Gamma(RATE, POSITIVE), "td.Beta", "td.Gamma"),
    (
        g.Bernoulli(LOGITS[0, :3]),
        g.Poisson(POSITIVE),
        lambda p: td.Bernoulli(logits=p),
        "td.Poisson",
    ),
]
FIELDS = {
    g.Laplace: ("location", "scale"),
    g.Normal: ("location", "deviation"),
    g.Gamma: ("concentration", "rate"),
    g.Beta: ("a", "b"),
    g.Bernoulli: ("logits",),
    g.Poisson: ("rate",),
}


@pytest.mark.parametrize(
    ("q", "p", "first", "second"),
    MIXED,
    ids=[f"{type(q).__name__}-{type(p).__name__}" for q, p, *_ in MIXED],
)
def test_divergences_between_families_agree_with_torch_and_with_sampling(
    q: g.Distribution, p: g.Distribution, first: Any, second: Any
) -> None:
    twins = [
        called(make)(*(t(getattr(d, name).numpy()) for name in FIELDS[type(d)]))
        for d, make in ((q, first), (p, second))
    ]
    exact = g.kl_divergence(q, p).numpy()
    np.testing.assert_allclose(exact, td.kl_divergence(*twins).numpy(), rtol=1e-8)
    x = q.sample((20_000,), seed=5)
    values = (q.log_prob(x) - p.log_prob(x)).numpy()
    assert (
        np.abs(values.mean(0) - exact) < 5 * values.std(0) / np.sqrt(20_000)
    ).all() and (exact > 0).all()


def test_multinomial_divergence_is_n_times_that_of_one_choice() -> None:
    one = g.kl_divergence(g.Categorical(LOGITS), g.Categorical(-LOGITS)).numpy()
    np.testing.assert_allclose(
        g.kl_divergence(g.Multinomial(5, LOGITS), g.Multinomial(5, -LOGITS)).numpy(),
        5 * one,
    )
    with pytest.raises(ArgumentError, match="equal n"):
        g.kl_divergence(g.Multinomial(5, LOGITS), g.Multinomial(4, LOGITS))


def test_unknown_divergence_is_estimated_with_its_error() -> None:
    q, p = g.Normal(0.0, 1.0), g.Mixture([0.0, 0.0], g.Normal([-1.0, 1.0], 1.0))
    with pytest.raises(ArgumentError, match="monte_carlo_kl"):
        g.kl_divergence(q, p)

    def slope(x: float) -> float:
        log_p = np.logaddexp(st.norm(-1).logpdf(x), st.norm(1).logpdf(x)) - np.log(2)
        return float(st.norm.pdf(x) * (st.norm.logpdf(x) - log_p))

    exact = quad(slope, -9, 9)[0]
    estimate = g.monte_carlo_kl(q, p, 20_000, seed=0)
    assert abs(estimate.value - exact) < 4 * estimate.standard_error < 0.02
    entropy = g.monte_carlo_entropy(q, 20_000, seed=0)
    assert abs(entropy.value - q.entropy().item()) < 4 * entropy.standard_error


def test_outside_the_support_the_density_is_zero() -> None:
    for ours, value in [
        (g.Gamma(2.0, 1.0), -1.0),
        (g.Beta(2.0, 1.5), 1.0),
        (g.Poisson(2.0), 1.5),
        (g.Poisson(2.0), -1.0),
        (g.Dirichlet([1.0, 2.0]), [1.0, 0.0]),
        (g.Multinomial(3, [0.0, 0.0]), [1.0, 1.0]),
    ]:
        assert ours.log_prob(value).item() == -np.inf
    a = dr.parameter([2.0])
    slope = dr.grad(g.Gamma(a, 1.0).log_prob([1.0]).sum(), [a])[0]
    assert np.isfinite(slope.numpy()).all()


def test_double_values_keep_their_precision_beside_plain_parameters() -> None:
    x = np.array([1 / 3, 0.7])
    for ours, theirs in (
        (g.Normal(0.0, 2.0), st.norm(0, 2)),
        (g.Laplace(1.0, 0.5), st.laplace(1, 0.5)),
        (g.Transformed(g.Normal(0.0, 2.0), bijectors.Exp()), st.lognorm(2.0)),
    ):
        slope = dr.parameter(x)
        density = ours.log_prob(slope)
        assert (
            density.dtype.name == "float64"
            and ours.log_prob(x.astype(np.float32)).dtype.name == "float32"
        )
        step = 1e-6
        numeric = (theirs.logpdf(x + step) - theirs.logpdf(x - step)) / (2 * step)
        np.testing.assert_allclose(
            dr.grad(density.sum(), [slope])[0].numpy(), numeric, rtol=1e-8
        )
        assert ours.log_prob(1).dtype.name == "float32"


def test_distributions_tell_their_shapes() -> None:
    assert repr(g.Normal(MEAN, 1.0)) == "Normal(batch (3), event ())"
    assert (
        repr(g.FullNormal(SQUARE[:2], COVARIANCE)) == "FullNormal(batch (2), event (3))"
    )


def test_bad_parameters_are_told() -> None:
    with pytest.raises(
        ArgumentError, match="Normal deviation: expected numbers > 0, got -1"
    ):
        g.Normal(0.0, -1.0)
    with pytest.raises(ArgumentError, match="labels 0 … 1"):
        g.Categorical([0.0, 0.0]).log_prob(2)
    with pytest.raises(ShapeError, match="parameters whose shapes broadcast"):
        g.Normal([0.0, 1.0], [1.0, 1.0, 1.0])
    with pytest.raises(ShapeError, match="Use Normal for scalars"):
        g.DiagonalNormal(0.0, 1.0)
    with pytest.raises(ArgumentError, match="monte_carlo_entropy"):
        g.Mixture([0.0, 0.0], g.Normal([0.0, 1.0], 1.0)).entropy()


BIJECTORS = [
    bijectors.Identity(),
    bijectors.Affine(1.0, -2.0),
    bijectors.Exp(),
    bijectors.Softplus(),
    bijectors.Interval(-1.0, 3.0),
    bijectors.StickBreaking(),
]


@pytest.mark.parametrize("bijector", BIJECTORS, ids=lambda b: type(b).__name__)
def test_bijectors_invert_and_know_their_volume(bijector: bijectors.Bijector) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(3,))
    y = bijector.forward(dr.tensor(x))
    np.testing.assert_allclose(bijector.inverse(y).numpy(), x, rtol=1e-9)
    assert bijector.forward_shape((3,)) == y.shape and bijector.free_shape(y.shape) == (
        3,
    )
    matrix = dr.jacobian(lambda v: bijector.forward(v)[..., :3], dr.tensor(x)).numpy()
    np.testing.assert_allclose(
        bijector.log_det(dr.tensor(x)).numpy().sum(),
        np.linalg.slogdet(matrix)[1],
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "points"),
    [
        (g.lgamma, sp.gammaln, 1e-13),
        (g.digamma, sp.digamma, 1e-13),
        (g.trigamma, lambda x: sp.polygamma(1, x), 1e-13),
    ],
)
def test_gamma_functions_are_accurate(ours: Any, theirs: Any, points: float) -> None:
    x = np.concatenate([np.logspace(-6, 6, 2000), np.linspace(0.5, 12, 2000)])
    exact = theirs(x)
    error = np.abs(ours(x).numpy() - exact) / np.maximum(np.abs(exact), 1)
    assert error.max() < points
    single = np.abs(
        ours(x.astype(np.float32)).numpy() - theirs(x.astype(np.float32))
    ) / np.maximum(np.abs(exact), 1)
    assert single.max() < 1e-5
