"""The Kullback–Leibler divergence KL(q‖p) = E_q[ln q − ln p] ≥ 0, in closed form or by Monte Carlo.

It is not symmetric: minimizing KL(q‖p) over q is mode-seeking, minimizing KL(p‖q) mass-covering (Bishop 2006, section
10.1.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltarule import shapes
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative.distributions.base import Distribution
from deltarule.generative.distributions.compound import Transformed
from deltarule.generative.distributions.discrete import (
    Bernoulli,
    Categorical,
    Multinomial,
    Poisson,
    shared,
)
from deltarule.generative.distributions.normal import (
    LOG_TWO_PI,
    DiagonalNormal,
    FullNormal,
    LowRankNormal,
    MultivariateNormal,
    Normal,
    matrix_diagonal,
)
from deltarule.generative.distributions.positive import Beta, Dirichlet, Gamma, Laplace
from deltarule.generative.special import digamma, lgamma, log_beta
from deltarule.tensor.functional import (
    TensorLike,
    as_tensor,
    erf,
    exp,
    log,
    log_softmax,
    sigmoid,
    softplus,
)
from deltarule.tensor.linalg import solve
from deltarule.tensor.tensor import Tensor

__all__ = [
    "Estimate",
    "kl_divergence",
    "kl_to_standard_normal",
    "monte_carlo_entropy",
    "monte_carlo_kl",
]


@dataclass(frozen=True)
class Estimate:
    """A Monte-Carlo estimate of a mean and its standard error s/√n.

    >>> print(Estimate(1.25, 0.125))
    1.25 ± 0.12
    """

    value: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.standard_error:.2g}"

    @staticmethod
    def of(values: Any) -> Estimate:
        """Return the mean of independent values and its standard error.

        >>> Estimate.of([1.0, 3.0])
        Estimate(value=2.0, standard_error=1.0)
        """
        array = np.asarray(values, np.float64).reshape(-1)
        if len(array) < 2:
            raise ArgumentError(
                "Estimate", expected="at least two values", got=str(len(array))
            )
        with np.errstate(all="ignore"):  # infinite values have the error NaN
            error = array.std(ddof=1) / math.sqrt(len(array))
            return Estimate(float(array.mean()), float(error))


def kl_to_standard_normal(mean: TensorLike, log_variance: TensorLike) -> Tensor:
    """Return ½Σ(μ² + σ² − 1 − ln σ²) over the last axis: KL(𝒩(μ, diag σ²)‖𝒩(0, I)).

    Args:
        mean: μ, (…, k).
        log_variance: ln σ², (…, k).

    >>> round(kl_to_standard_normal([0.5, -1.0], [0.8109302162, -1.3862943611]).item(), 5)
    1.16268
    """
    mu, rho = as_tensor(mean), as_tensor(log_variance)
    return (mu * mu + exp(rho) - 1.0 - rho).sum(-1) * 0.5


def _normals(q: Normal, p: Normal) -> Tensor:
    """Return ln σ₁/σ₀ − ½ + (σ₀² + (μ₁ − μ₀)²)/2σ₁² for univariate normals."""
    ratio = q.deviation / p.deviation
    gap = (q.location - p.location) / p.deviation
    return (ratio * ratio + gap * gap - 1.0) * 0.5 - log(ratio)


def _diagonals(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return _normals(
        Normal(q.location, q.deviation), Normal(p.location, p.deviation)
    ).sum(-1)


def _multivariate(q: MultivariateNormal, p: MultivariateNormal) -> Tensor:
    """Return ½[tr(Σ₁⁻¹Σ₀) + (μ₁ − μ₀)ᵀΣ₁⁻¹(μ₁ − μ₀) − k + ln det Σ₁ − ln det Σ₀]."""
    k = int(q.event_shape[0])
    first, second = q.covariance, p.covariance
    batch = shapes.broadcast(first.shape[:-2], second.shape[:-2], where="kl_divergence")
    ratio = solve(
        second.broadcast_to((*batch, k, k)), first.broadcast_to((*batch, k, k))
    )
    distance = p.squared_distance(q.location - p.location)
    volume = p.log_determinant() - q.log_determinant()
    return (matrix_diagonal(ratio).sum(-1) + distance - float(k) + volume) * 0.5


def _bernoullis(q: Bernoulli, p: Bernoulli) -> Tensor:
    """Return Σ over both outcomes of q(ln q − ln p), 0 where q is 0."""
    yes = shared(sigmoid(q.logits), softplus(-p.logits) - softplus(-q.logits))
    return yes + shared(sigmoid(-q.logits), softplus(p.logits) - softplus(q.logits))


def _over_classes(q: Any, p: Any) -> Tensor:
    found: Tensor = shared(
        q.probabilities, log_softmax(q.logits) - log_softmax(p.logits)
    ).sum(-1)
    return found


def _multinomials(q: Multinomial, p: Multinomial) -> Tensor:
    if q.n != p.n:
        raise ArgumentError(
            "kl_divergence of multinomials", expected=f"equal n ({q.n})", got=str(p.n)
        )
    return _over_classes(q, p) * float(q.n)


def _poissons(q: Poisson, p: Poisson) -> Tensor:
    return q.rate * log(q.rate / p.rate) - q.rate + p.rate


def _laplaces(q: Laplace, p: Laplace) -> Tensor:
    """Return ln b₁/b₀ + |μ₀ − μ₁|/b₁ + (b₀/b₁)e^(−|μ₀ − μ₁|/b₀) − 1."""
    gap = abs(q.location - p.location)
    return (
        log(p.scale / q.scale) + (gap + q.scale * exp(-gap / q.scale)) / p.scale - 1.0
    )


def _gammas(q: Gamma, p: Gamma) -> Tensor:
    a, b = q.concentration, p.concentration
    shape = (a - b) * digamma(a) - lgamma(a) + lgamma(b)
    return shape + b * log(q.rate / p.rate) + a * (p.rate / q.rate - 1.0)


def _betas(q: Beta, p: Beta) -> Tensor:
    total = digamma(q.a + q.b)
    shape = (q.a - p.a) * (digamma(q.a) - total) + (q.b - p.b) * (digamma(q.b) - total)
    return log_beta(p.a, p.b) - log_beta(q.a, q.b) + shape


def _dirichlets(q: Dirichlet, p: Dirichlet) -> Tensor:
    a, b = q.concentration, p.concentration
    inner = (a - b) * (digamma(a) - digamma(q.total).expand_dims(-1))
    return (
        lgamma(q.total)
        - lgamma(p.total)
        - lgamma(a).sum(-1)
        + lgamma(b).sum(-1)
        + inner.sum(-1)
    )


def _to_normal(q: Normal | Laplace | Gamma | Beta, p: Normal) -> Tensor:
    """Return −H(q) + ln σ + ½ ln 2π + (Var q + (E q − μ)²)/2σ², which needs two moments of q only."""
    gap = q.mean - p.location
    squares = (q.variance + gap * gap) / (p.deviation * p.deviation)
    return squares * 0.5 + log(p.deviation) + 0.5 * LOG_TWO_PI - q.entropy()


def _normal_to_laplace(q: Normal, p: Laplace) -> Tensor:
    """Return −H(q) + ln 2b + E|x − m|/b.

    The mean of a folded normal is σ√(2/π)e^(−d²/2σ²) + d·erf(d/σ√2) with d = μ − m.
    """
    gap = q.location - p.location
    scaled = gap / q.deviation
    folded = q.deviation * math.sqrt(2 / math.pi) * exp(
        scaled * scaled * -0.5
    ) + gap * erf(scaled * math.sqrt(0.5))
    return folded / p.scale + log(p.scale * 2.0) - q.entropy()


def _beta_to_gamma(q: Beta, p: Gamma) -> Tensor:
    """Return −H(q) − a ln β − (a − 1)E[ln x] + βE[x] + ln Γ(a), with E[ln x] = ψ(a_q) − ψ(a_q + b_q)."""
    log_mean = digamma(q.a) - digamma(q.a + q.b)
    a = p.concentration
    return (
        p.rate * q.mean
        + lgamma(a)
        - a * log(p.rate)
        - (a - 1.0) * log_mean
        - q.entropy()
    )


def _bernoulli_to_poisson(q: Bernoulli, p: Poisson) -> Tensor:
    """Return −H(q) + λ − E[x] ln λ; ln x! is 0 for 0 and 1."""
    return p.rate - q.mean * log(p.rate) - q.entropy()


_MIXED: dict[
    tuple[type[Distribution], type[Distribution]], Callable[[Any, Any], Tensor]
] = {
    (Laplace, Normal): _to_normal,
    (Gamma, Normal): _to_normal,
    (Beta, Normal): _to_normal,
    (Normal, Laplace): _normal_to_laplace,
    (Beta, Gamma): _beta_to_gamma,
    (Bernoulli, Poisson): _bernoulli_to_poisson,
}
_KNOWN: dict[type[Distribution], Callable[[Any, Any], Tensor]] = {
    Normal: _normals,
    DiagonalNormal: _diagonals,
    FullNormal: _multivariate,
    LowRankNormal: _multivariate,
    Bernoulli: _bernoullis,
    Categorical: _over_classes,
    Multinomial: _multinomials,
    Poisson: _poissons,
    Laplace: _laplaces,
    Gamma: _gammas,
    Beta: _betas,
    Dirichlet: _dirichlets,
}


def kl_divergence(q: Distribution, p: Distribution) -> Tensor:
    """Return KL(q‖p) in closed form, of shape batch_shape.

    Closed forms are known for two distributions of one family, any two multivariate normals, (Laplace, gamma or beta ‖
    normal), (normal ‖ Laplace), (beta ‖ gamma), (Bernoulli ‖ Poisson), and two transformations by the same bijector.

    Raises:
        ArgumentError: No closed form is known; see ``monte_carlo_kl``.
        ShapeError: The events have different shapes.

    >>> round(kl_divergence(Normal(1.0, 2.0), Normal(0.0, 1.0)).item(), 6)
    1.306853
    """
    if q.event_shape != p.event_shape:
        raise ShapeError(
            "kl_divergence",
            expected=f"events of one shape {q.event_shape}",
            got=str(p.event_shape),
        )
    if type(q) is type(p) and type(q) in _KNOWN:
        return _KNOWN[type(q)](q, p)
    if (type(q), type(p)) in _MIXED:
        return _MIXED[type(q), type(p)](q, p)
    if isinstance(q, MultivariateNormal) and isinstance(p, MultivariateNormal):
        return _multivariate(q, p)
    if (
        isinstance(q, Transformed)
        and isinstance(p, Transformed)
        and q.bijector == p.bijector
    ):
        return kl_divergence(q.base, p.base)
    raise ArgumentError(
        "kl_divergence",
        expected="a pair with a known formula",
        got=f"{type(q).__name__} and {type(p).__name__}",
        hint="Estimate it: generative.monte_carlo_kl(q, p, n=10_000, seed=0).",
    )


def monte_carlo_kl(
    q: Distribution, p: Distribution, n: int = 10_000, *, seed: int
) -> Estimate:
    """Return a Monte-Carlo estimate of KL(q‖p): the mean of ln q(x) − ln p(x) over n samples x ~ q.

    Args:
        q: The distribution that is sampled.
        p: The distribution it is compared with.
        n: Number of samples.
        seed: Seed of the samples.

    >>> estimate = monte_carlo_kl(Normal(1.0, 2.0), Normal(0.0, 1.0), 4000, seed=0)
    >>> abs(estimate.value - 1.306853) < 4 * estimate.standard_error
    True
    """
    x = q.sample((n,), seed=seed)
    return Estimate.of((q.log_prob(x) - p.log_prob(x)).numpy())


def monte_carlo_entropy(p: Distribution, n: int = 10_000, *, seed: int) -> Estimate:
    """Return a Monte-Carlo estimate of the entropy of p: the mean of −ln p(x) over n samples x ~ p.

    >>> estimate = monte_carlo_entropy(Normal(0.0, 1.0), 4000, seed=0)
    >>> abs(estimate.value - Normal(0.0, 1.0).entropy().item()) < 4 * estimate.standard_error
    True
    """
    return Estimate.of((-p.log_prob(p.sample((n,), seed=seed))).numpy())


check_calls(__name__)
