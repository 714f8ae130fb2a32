"""Variational families: normal distributions q(ζ) with a diagonal, low-rank or full covariance.

A richer family has a smaller gap KL(q‖p) and more parameters: mean-field 2d, low-rank d(r + 2), full d(d + 3)/2.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, final

import numpy as np

from deltarule import nn
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.flags import checks_flags
from deltarule.generative.distributions import (
    DiagonalNormal,
    FullNormal,
    LowRankNormal,
    MultivariateNormal,
)
from deltarule.generative.distributions.normal import times_vectors
from deltarule.generative.inference.coordinates import (
    Coordinates,
    Correlated,
    Independent,
    LowRankPlusDiagonal,
)
from deltarule.nn.check import whole_number
from deltarule.runtime.buffers import Array
from deltarule.tensor.functional import exp, eye, log
from deltarule.tensor.tensor import Tensor, parameter, tensor

__all__ = ["Family", "FullCovariance", "LowRank", "MeanField"]

FIRST_DEVIATION = 0.1


class Family(nn.Module):
    """Base of variational families: a normal distribution of d unconstrained variables, initially 𝒩(0, 0.1²I).

    While it is fitted, its parameters may be relative to another normal distribution, the *frame*, which preconditions
    the steps. ``into_frame`` makes the current q the frame, ``out_of_frame`` makes the parameters absolute again;
    neither changes q.

    Args:
        size: The number d of variables.

    >>> family = MeanField(2)
    >>> family.distribution().log_prob([0.0, 0.0]).shape
    ()
    """

    def __init__(self, size: int) -> None:
        self.size = whole_number(size, f"{type(self).__name__} size", 1)
        self._shift, self._scale = np.zeros(self.size), np.ones(self.size)
        self.location = parameter(np.zeros(size), name="location")
        self.log_deviation = parameter(
            np.full(size, np.log(FIRST_DEVIATION)), name="log_deviation"
        )

    @abstractmethod
    def build(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the distribution with these parameters."""

    def _further(self) -> tuple[Tensor, ...]:
        """Return the parameters other than locations and standard deviations."""
        return ()

    @checks_flags
    def distribution(self, *, fixed: bool = False) -> MultivariateNormal:
        """Return q; with ``fixed`` its parameters are constants without gradients.

        >>> MeanField(2).distribution().mean.tolist()
        [0.0, 0.0]
        """
        learned = (self.location, self.log_deviation, *self._further())
        return (
            self._placed(*(x.detach() for x in learned))
            if fixed
            else self._placed(*learned)
        )

    def _placed(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the distribution of parameters relative to the frame."""
        scale = tensor(self._scale)
        return self.build(
            location * scale + tensor(self._shift), log_deviation + log(scale), *further
        )

    def into_frame(self) -> None:
        """Make the current q the frame of the parameters."""
        q = self.distribution(fixed=True)
        mean, scale = q.mean.numpy(), np.sqrt(q.variance.numpy())
        self.log_deviation.assign(
            self.log_deviation.numpy() + np.log(self._scale / scale)
        )
        self.location.assign(np.zeros(self.size))
        self._shift, self._scale = mean, scale

    def out_of_frame(self) -> None:
        """Make the parameters absolute."""
        self.location.assign(self.location.numpy() * self._scale + self._shift)
        self.log_deviation.assign(self.log_deviation.numpy() + np.log(self._scale))
        self._shift, self._scale = np.zeros(self.size), np.ones(self.size)

    def coordinates(self) -> Coordinates:
        """Return the coordinates of the distributions around q; those of all normal distributions if unknown."""
        q = self.distribution(fixed=True)
        return Correlated(q.mean.numpy(), np.linalg.cholesky(q.covariance.numpy()))

    def forward(self, x: Tensor) -> Tensor:
        """Return ln q(x)."""
        return self.distribution().log_prob(x)


@final
class MeanField(Family):
    """Mean-field family Π 𝒩(ζᵢ; μᵢ, σᵢ²): independent variables. It underestimates variances under correlation.

    >>> MeanField(3).n_parameters
    6
    """

    def build(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the diagonal normal."""
        del further
        return DiagonalNormal(location, exp(log_deviation))

    def coordinates(self) -> Coordinates:
        """Return the coordinates of the distributions around q: the variables stay independent."""
        q = self.distribution(fixed=True)
        return Independent(q.mean.numpy(), np.sqrt(q.variance.numpy()))

    def take(self, mean: Array, factor: Array) -> None:
        """Set q to 𝒩(mean, diag factor²)."""
        self.location.assign(mean)
        self.log_deviation.assign(np.log(factor))


@final
class FullCovariance(Family):
    """Full-covariance family 𝒩(μ, LLᵀ), with the diagonal of L parameterized by its logarithm.

    >>> FullCovariance(2).distribution().covariance.numpy().round(4).tolist()
    [[0.01, 0.0], [0.0, 0.01]]
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.below = parameter(np.zeros((size, size)), name="below")
        self._mask = np.tril(np.ones((size, size)), -1)

    def _further(self) -> tuple[Tensor, ...]:
        return (self.below,)

    def build(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the full normal."""
        scale = exp(log_deviation)
        factor = (
            further[0] * tensor(self._mask) + eye(self.size, "float64")
        ) * scale.expand_dims(-1)
        return FullNormal(location, factor=factor)

    def _placed(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return μ = m + Sμ′, L = SL′ in the frame 𝒩(m, SSᵀ)."""
        q = self.build(location, log_deviation, *further)
        if self._scale.ndim == 1 or not isinstance(q, FullNormal):
            return q
        scale = tensor(self._scale)
        return FullNormal(
            times_vectors(scale, q.location) + tensor(self._shift),
            factor=scale @ q.factor,
        )

    def into_frame(self) -> None:
        """Make the current q the frame of the parameters."""
        q = self.distribution(fixed=True)
        self._shift, self._scale = q.mean.numpy(), q.factor.numpy()  # type: ignore[attr-defined]  # a full normal
        for own in (self.location, self.log_deviation, self.below):
            own.assign(np.zeros(own.shape))

    def out_of_frame(self) -> None:
        """Make the parameters absolute."""
        q = self.distribution(fixed=True)
        mean, factor = q.mean.numpy(), q.factor.numpy()  # type: ignore[attr-defined]  # a full normal
        self._shift, self._scale = np.zeros(self.size), np.ones(self.size)
        self.take(mean, factor)

    def take(self, mean: Array, factor: Array) -> None:
        """Set q to 𝒩(mean, LLᵀ) for a factor L."""
        deviations = np.diag(factor)
        self.location.assign(mean)
        self.log_deviation.assign(np.log(deviations))
        self.below.assign(np.tril(factor / deviations[:, None], -1))


@final
class LowRank(Family):
    """Low-rank family 𝒩(μ, WWᵀ + diag σ²) with W (d, r).

    Args:
        size: The number d of variables.
        rank: r.
        seed: Seed of the initial W.

    >>> LowRank(5, rank=2).n_parameters
    20
    """

    def __init__(self, size: int, rank: int = 1, seed: int = 0) -> None:
        super().__init__(size)
        self.rank = whole_number(rank, "LowRank rank", 1)
        self._small = np.random.default_rng(seed).normal(size=(size, rank)) * 0.1
        self.shared = parameter(self._small * FIRST_DEVIATION, name="shared")

    def _further(self) -> tuple[Tensor, ...]:
        return (self.shared,)

    def build(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the low-rank normal."""
        return LowRankNormal(location, further[0], exp(log_deviation * 2.0))

    def _placed(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the distribution of parameters relative to the frame, W included."""
        shared = further[0] * tensor(self._scale).expand_dims(-1)
        return super()._placed(location, log_deviation, shared)

    def into_frame(self) -> None:
        """Make the current q the frame of the parameters."""
        shared = self.shared.numpy() * self._scale[:, None]
        super().into_frame()
        self.shared.assign(shared / self._scale[:, None])

    def out_of_frame(self) -> None:
        """Make the parameters absolute."""
        self.shared.assign(self.shared.numpy() * self._scale[:, None])
        super().out_of_frame()

    def initialize_at(self, mean: Array, deviations: Array) -> None:
        """Initialize q at 𝒩(mean, diag deviations²) with a small W."""
        self.location.assign(mean)
        self.log_deviation.assign(np.log(deviations))
        self.shared.assign(self._small * deviations[:, None])

    def coordinates(self) -> Coordinates:
        """Return the coordinates of the distributions around q, in μ, σ and W."""
        q = self.distribution(fixed=True)
        deviations = np.exp(self.log_deviation.numpy()) * self._scale
        shared = self.shared.numpy() * self._scale[:, None]
        return LowRankPlusDiagonal(q.mean.numpy(), shared, deviations)


_NAMES: dict[str, Any] = {
    "mean_field": MeanField,
    "full": FullCovariance,
    "low_rank": LowRank,
}


def get(family: str | Family, size: int) -> Family:
    """Return the family of a name for d unconstrained variables; a ``Family`` is returned unchanged.

    >>> type(get("full", 2)).__name__
    'FullCovariance'
    """
    if isinstance(family, Family):
        if family.size != size:
            raise ArgumentError(
                "family",
                expected=f"one of {size} variables",
                got=f"one of {family.size}",
            )
        return family
    if family not in _NAMES:
        raise ArgumentError(
            "family",
            expected=f"one of {', '.join(map(repr, _NAMES))}, or a Family",
            got=repr(family),
        )
    made: Family = _NAMES[family](size)
    return made


check_calls(__name__)
