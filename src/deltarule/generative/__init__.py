"""Generative models: distributions, autoencoders, variational inference, mixtures, samplers."""

from deltarule.generative import bijectors
from deltarule.generative.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    DiagonalNormal,
    Dirichlet,
    Distribution,
    FullNormal,
    Gamma,
    Laplace,
    LowRankNormal,
    Mixture,
    Multinomial,
    MultivariateNormal,
    Normal,
    Poisson,
    Transformed,
)
from deltarule.generative.divergence import (
    Estimate,
    kl_divergence,
    kl_to_standard_normal,
    monte_carlo_entropy,
    monte_carlo_kl,
)
from deltarule.generative.special import digamma, lgamma, log_beta, trigamma

__all__ = [
    "Bernoulli", "Beta", "Categorical", "DiagonalNormal", "Dirichlet", "Distribution", "Estimate", "FullNormal",
    "Gamma", "Laplace", "LowRankNormal", "Mixture", "Multinomial", "MultivariateNormal", "Normal", "Poisson",
    "Transformed", "bijectors", "digamma", "kl_divergence", "kl_to_standard_normal", "lgamma", "log_beta",
    "monte_carlo_entropy", "monte_carlo_kl", "trigamma",
]  # fmt: skip
