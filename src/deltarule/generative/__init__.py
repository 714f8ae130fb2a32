"""Generative models: distributions, autoencoders, variational inference, mixtures, samplers.

``GaussianMixture`` and ``LatentTransformer`` are scikit-learn estimators and need that package (extra ``[learn]``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from deltarule.errors import DependencyError
from deltarule.generative import bijectors, figures
from deltarule.generative.autoencoders import saving
from deltarule.generative.autoencoders.annealing import Annealing
from deltarule.generative.autoencoders.architectures import (
    Upsampling,
    convolutional_autoencoder,
    convolutional_decoder,
    convolutional_encoder,
    convolutional_vae,
    dense,
    dense_autoencoder,
    dense_vae,
)
from deltarule.generative.autoencoders.autoencoder import (
    Autoencoder,
    CodePenalty,
    Contractive,
    KLSparsity,
    L1Sparsity,
)
from deltarule.generative.autoencoders.layers import (
    ConditionPlanes,
    TiedLinear,
    Unflatten,
    Unpool2d,
)
from deltarule.generative.autoencoders.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from deltarule.generative.autoencoders.vae import VAE
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
from deltarule.generative.inference.bound import NegativeELBO
from deltarule.generative.inference.chains import (
    Chains,
    effective_sample_size,
    pareto_k,
    rank_r_hat,
    split_r_hat,
)
from deltarule.generative.inference.divergence import (
    Estimate,
    kl_divergence,
    kl_to_standard_normal,
    monte_carlo_entropy,
    monte_carlo_kl,
)
from deltarule.generative.inference.families import (
    Family,
    FullCovariance,
    LowRank,
    MeanField,
)
from deltarule.generative.inference.joint import Variable
from deltarule.generative.inference.samplers import (
    hamiltonian_monte_carlo,
    metropolis_hastings,
)
from deltarule.generative.inference.stationarity import Convergence
from deltarule.generative.inference.variational import VariationalFit, fit_variational
from deltarule.generative.ring import ring_transform
from deltarule.generative.special import digamma, lgamma, log_beta, trigamma
from deltarule.nn.layers.corruption import (
    GaussianCorruption,
    MaskingCorruption,
    SaltAndPepper,
)

if TYPE_CHECKING:  # imported on first use: they need scikit-learn
    from deltarule.generative.autoencoders.transformer import LatentTransformer
    from deltarule.generative.mixtures.expectation_maximization import GaussianMixture

__all__ = [
    "VAE",
    "Annealing",
    "Autoencoder",
    "Bernoulli",
    "BernoulliLikelihood",
    "Beta",
    "Categorical",
    "Chains",
    "CodePenalty",
    "ConditionPlanes",
    "Contractive",
    "Convergence",
    "DiagonalNormal",
    "Dirichlet",
    "Distribution",
    "Estimate",
    "Family",
    "FullCovariance",
    "FullNormal",
    "Gamma",
    "GaussianCorruption",
    "GaussianLikelihood",
    "GaussianMixture",
    "KLSparsity",
    "L1Sparsity",
    "Laplace",
    "LatentTransformer",
    "Likelihood",
    "LowRank",
    "LowRankNormal",
    "MaskingCorruption",
    "MeanField",
    "Mixture",
    "Multinomial",
    "MultivariateNormal",
    "NegativeELBO",
    "Normal",
    "Poisson",
    "SaltAndPepper",
    "TiedLinear",
    "Transformed",
    "Unflatten",
    "Unpool2d",
    "Upsampling",
    "Variable",
    "VariationalFit",
    "bijectors",
    "convolutional_autoencoder",
    "convolutional_decoder",
    "convolutional_encoder",
    "convolutional_vae",
    "dense",
    "dense_autoencoder",
    "dense_vae",
    "digamma",
    "effective_sample_size",
    "figures",
    "fit_variational",
    "hamiltonian_monte_carlo",
    "kl_divergence",
    "kl_to_standard_normal",
    "lgamma",
    "log_beta",
    "metropolis_hastings",
    "monte_carlo_entropy",
    "monte_carlo_kl",
    "pareto_k",
    "rank_r_hat",
    "ring_transform",
    "split_r_hat",
    "trigamma",
]

saving.register(
    Autoencoder,
    BernoulliLikelihood,
    ConditionPlanes,
    GaussianLikelihood,
    Unflatten,
    Unpool2d,
)
saving.register(VAE, make=VAE.from_config)

_ESTIMATORS = {
    "GaussianMixture": "deltarule.generative.mixtures.expectation_maximization",
    "LatentTransformer": "deltarule.generative.autoencoders.transformer",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _ESTIMATORS:
            raise AttributeError(
                f"module 'deltarule.generative' has no attribute {name!r}"
            )
        try:
            return getattr(importlib.import_module(_ESTIMATORS[name]), name)
        except ModuleNotFoundError as error:
            raise DependencyError(
                f"generative.{name}",
                expected="scikit-learn",
                got=str(error),
                hint="Install it with: pip install 'deltarule[learn]'",
            ) from error


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
