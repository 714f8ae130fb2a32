"""Families q(ζ) of normal distributions to choose from in variational inference (VI-16, VI-22).

More freedom, a smaller gap KL(q‖p) and more numbers to learn: mean-field 2d, low rank d(r + 2), full d(d + 3)/2.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, final

import numpy as np

from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.flags import checks_flags
from deltarule.generative.distributions import DiagonalNormal, FullNormal, LowRankNormal, MultivariateNormal
from deltarule.nn.check import whole_number
from deltarule.tensor.functional import exp, eye
from deltarule.tensor.tensor import Tensor, parameter, tensor

FIRST_DEVIATION = 0.1


class Family(nn.Module):
    """A normal distribution of d free numbers with parameters to learn; q begins at 𝒩(0, 0.1²I)."""

    def __init__(self, size: int) -> None:
        self.size = whole_number(size, f"{type(self).__name__} size", 1)
        self.location = parameter(np.zeros(size), name="location")
        self.log_deviation = parameter(np.full(size, np.log(FIRST_DEVIATION)), name="log_deviation")

    @abstractmethod
    def build(self, location: Tensor, log_deviation: Tensor, *further: Tensor) -> MultivariateNormal:
        """Return the distribution of these parameters."""

    def _further(self) -> tuple[Tensor, ...]:
        """Return what a family learns beside locations and deviations."""
        return ()

    @checks_flags
    def distribution(self, *, fixed: bool = False) -> MultivariateNormal:
        """Return q; with ``fixed`` no gradient reaches its parameters."""
        learned = (self.location, self.log_deviation, *self._further())
        return self.build(*(x.detach() for x in learned)) if fixed else self.build(*learned)

    def forward(self, x: Tensor) -> Tensor:
        """Return ln q(x)."""
        return self.distribution().log_prob(x)


@final
class MeanField(Family):
    """Π 𝒩(ζᵢ; μᵢ, σᵢ²): independent numbers; it underestimates variances of what is correlated.

    >>> MeanField(3).n_parameters
    6
    """

    def build(self, location: Tensor, log_deviation: Tensor, *further: Tensor) -> MultivariateNormal:
        """Return the diagonal normal."""
        del further
        return DiagonalNormal(location, exp(log_deviation))


@final
class FullCovariance(Family):
    """𝒩(μ, LLᵀ): L has ln-scaled diagonal and free numbers below it (those above are not read)."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.below = parameter(np.zeros((size, size)), name="below")
        self._mask = np.tril(np.ones((size, size)), -1)

    def _further(self) -> tuple[Tensor, ...]:
        return (self.below,)

    def build(self, location: Tensor, log_deviation: Tensor, *further: Tensor) -> MultivariateNormal:
        """Return the full normal."""
        scale = exp(log_deviation)
        factor = (further[0] * tensor(self._mask) + eye(self.size, "float64")) * scale.expand_dims(-1)
        return FullNormal(location, factor=factor)


@final
class LowRank(Family):
    """𝒩(μ, WWᵀ + diag σ²) with W (d, r)."""

    def __init__(self, size: int, rank: int = 1, seed: int = 0) -> None:
        super().__init__(size)
        self.rank = whole_number(rank, "LowRank rank", 1)
        small = np.random.default_rng(seed).normal(size=(size, rank)) * 0.1 * FIRST_DEVIATION
        self.shared = parameter(small, name="shared")

    def _further(self) -> tuple[Tensor, ...]:
        return (self.shared,)

    def build(self, location: Tensor, log_deviation: Tensor, *further: Tensor) -> MultivariateNormal:
        """Return the low-rank normal."""
        return LowRankNormal(location, further[0], exp(log_deviation * 2.0))


_NAMES: dict[str, Any] = {"mean_field": MeanField, "full": FullCovariance, "low_rank": LowRank}


def get(family: str | Family, size: int) -> Family:
    """Return a family by name for d free numbers, or as it is.

    >>> type(get("full", 2)).__name__
    'FullCovariance'
    """
    if isinstance(family, Family):
        if family.size != size:
            raise ArgumentError("family", expected=f"one of {size} free numbers", got=f"one of {family.size}")
        return family
    if family not in _NAMES:
        raise ArgumentError("family", expected=f"one of {', '.join(map(repr, _NAMES))}, or a Family", got=repr(family))
    made: Family = _NAMES[family](size)
    return made
