"""Probability distributions as expressions of the graph: densities, samples, moments, entropies."""

from deltarule.generative.distributions.base import Distribution, Noise
from deltarule.generative.distributions.compound import Mixture, Transformed
from deltarule.generative.distributions.discrete import (
    Bernoulli,
    Categorical,
    Multinomial,
    Poisson,
)
from deltarule.generative.distributions.normal import (
    DiagonalNormal,
    FullNormal,
    LowRankNormal,
    MultivariateNormal,
    Normal,
)
from deltarule.generative.distributions.positive import Beta, Dirichlet, Gamma, Laplace

__all__ = [
    "Bernoulli",
    "Beta",
    "Categorical",
    "DiagonalNormal",
    "Dirichlet",
    "Distribution",
    "FullNormal",
    "Gamma",
    "Laplace",
    "LowRankNormal",
    "Mixture",
    "Multinomial",
    "MultivariateNormal",
    "Noise",
    "Normal",
    "Poisson",
    "Transformed",
]
