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
from deltarule.generative.distributions import (
    DiagonalNormal,
    FullNormal,
    LowRankNormal,
    MultivariateNormal,
)
from deltarule.generative.distributions.normal import times_vectors
from deltarule.generative.inference.natural import DIRECTIONS, low_rank_tangents
from deltarule.nn.check import whole_number
from deltarule.runtime.buffers import Array
from deltarule.tensor.functional import exp, eye, log
from deltarule.tensor.tensor import Tensor, parameter, tensor

FIRST_DEVIATION = 0.1


class Family(nn.Module):
    """A normal distribution of d free numbers with parameters to learn; q begins at 𝒩(0, 0.1²I).

    While it is fitted, its parameters may count from another normal, the *frame*: steps are then in units of what
    is known of the posterior. ``into_frame`` makes the present q the frame, ``out_of_frame`` gives the parameters
    their plain meaning again; q stays as it is.
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
        """Return the distribution of these parameters."""

    def _further(self) -> tuple[Tensor, ...]:
        """Return what a family learns beside locations and deviations."""
        return ()

    @checks_flags
    def distribution(self, *, fixed: bool = False) -> MultivariateNormal:
        """Return q; with ``fixed`` no gradient reaches its parameters."""
        learned = (self.location, self.log_deviation, *self._further())
        return (
            self._placed(*(x.detach() for x in learned))
            if fixed
            else self._placed(*learned)
        )

    def _placed(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the distribution of parameters that count from the frame."""
        scale = tensor(self._scale)
        return self.build(
            location * scale + tensor(self._shift), log_deviation + log(scale), *further
        )

    def into_frame(self) -> None:
        """Let the parameters count from the present q."""
        q = self.distribution(fixed=True)
        mean, scale = q.mean.numpy(), np.sqrt(q.variance.numpy())
        self.log_deviation.assign(
            self.log_deviation.numpy() + np.log(self._scale / scale)
        )
        self.location.assign(np.zeros(self.size))
        self._shift, self._scale = mean, scale

    def out_of_frame(self) -> None:
        """Give the parameters their plain meaning."""
        self.location.assign(self.location.numpy() * self._scale + self._shift)
        self.log_deviation.assign(self.log_deviation.numpy() + np.log(self._scale))
        self._shift, self._scale = np.zeros(self.size), np.ones(self.size)

    def tangents(self) -> Array | str | None:
        """Return which changes of Σ the family can make (see ``natural.gap``); None for all, or if not known."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """Return ln q(x)."""
        return self.distribution().log_prob(x)


@final
class MeanField(Family):
    """Π 𝒩(ζᵢ; μᵢ, σᵢ²): independent numbers; it underestimates variances of what is correlated.

    >>> MeanField(3).n_parameters
    6
    """

    def build(
        self, location: Tensor, log_deviation: Tensor, *further: Tensor
    ) -> MultivariateNormal:
        """Return the diagonal normal."""
        del further
        return DiagonalNormal(location, exp(log_deviation))

    def tangents(self) -> Array | str | None:
        """Return that the numbers stay independent."""
        return "diagonal"

    def take(self, mean: Array, factor: Array) -> None:
        """Become 𝒩(mean, diag factor²)."""
        self.location.assign(mean)
        self.log_deviation.assign(np.log(factor))


@final
class FullCovariance(Family):
    """𝒩(μ, LLᵀ): L has ln-scaled diagonal and free numbers below it (those above are not read)."""

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
        """Let the parameters count from the present q."""
        q = self.distribution(fixed=True)
        self._shift, self._scale = q.mean.numpy(), q.factor.numpy()  # type: ignore[attr-defined]  # a full normal
        for own in (self.location, self.log_deviation, self.below):
            own.assign(np.zeros(own.shape))

    def out_of_frame(self) -> None:
        """Give the parameters their plain meaning."""
        q = self.distribution(fixed=True)
        mean, factor = q.mean.numpy(), q.factor.numpy()  # type: ignore[attr-defined]  # a full normal
        self._shift, self._scale = np.zeros(self.size), np.ones(self.size)
        self.take(mean, factor)

    def take(self, mean: Array, factor: Array) -> None:
        """Become 𝒩(mean, LLᵀ) for a factor L."""
        deviations = np.diag(factor)
        self.location.assign(mean)
        self.log_deviation.assign(np.log(deviations))
        self.below.assign(np.tril(factor / deviations[:, None], -1))


@final
class LowRank(Family):
    """𝒩(μ, WWᵀ + diag σ²) with W (d, r)."""

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
        """Return the distribution of parameters that count from the frame; W is in its units, too."""
        shared = further[0] * tensor(self._scale).expand_dims(-1)
        return super()._placed(location, log_deviation, shared)

    def into_frame(self) -> None:
        """Let the parameters count from the present q."""
        shared = self.shared.numpy() * self._scale[:, None]
        super().into_frame()
        self.shared.assign(shared / self._scale[:, None])

    def out_of_frame(self) -> None:
        """Give the parameters their plain meaning."""
        self.shared.assign(self.shared.numpy() * self._scale[:, None])
        super().out_of_frame()

    def begin(self, mean: Array, deviations: Array) -> None:
        """Begin at 𝒩(mean, diag deviations²), with W small beside them."""
        self.location.assign(mean)
        self.log_deviation.assign(np.log(deviations))
        self.shared.assign(self._small * deviations[:, None])

    def tangents(self) -> Array | str | None:
        """Return what W and the diagonal can change; of many variables the diagonal alone."""
        if self.size > DIRECTIONS:
            return "diagonal"
        q = self.distribution(fixed=True)
        return low_rank_tangents(
            np.linalg.cholesky(q.covariance.numpy()), self.shared.numpy()
        )


_NAMES: dict[str, Any] = {
    "mean_field": MeanField,
    "full": FullCovariance,
    "low_rank": LowRank,
}


def get(family: str | Family, size: int) -> Family:
    """Return a family by name for d free numbers, or as it is.

    >>> type(get("full", 2)).__name__
    'FullCovariance'
    """
    if isinstance(family, Family):
        if family.size != size:
            raise ArgumentError(
                "family",
                expected=f"one of {size} free numbers",
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
