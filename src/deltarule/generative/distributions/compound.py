"""Distributions built from others: mixtures, and transformations by a bijector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.generative.bijectors import Bijector
from deltarule.generative.distributions.base import Distribution, Noise, floating, like
from deltarule.generative.distributions.discrete import Categorical
from deltarule.generative.distributions.normal import Normal
from deltarule.generative.distributions.positive import Laplace
from deltarule.shapes import Shape, show
from deltarule.tensor.functional import (
    TensorLike,
    as_tensor,
    exp,
    log_softmax,
    logsumexp,
    one_hot,
    softmax,
    where,
)
from deltarule.tensor.tensor import Tensor

__all__ = ["Mixture", "Transformed"]


@final
class Mixture(Distribution):
    """The mixture distribution p(x) = Σₖ softmax(z)ₖ pₖ(x).

    Samples have gradients where the components are ``Normal`` or ``Laplace`` (see ``rsample``).

    Args:
        logits: z, the unnormalized logarithms of the weights, (…, K).
        components: One distribution of batch shape (…, K), whose last batch axis runs over the components.

    >>> from deltarule.generative import Normal
    >>> two = Mixture([0.0, 0.0], Normal([-1.0, 1.0], [1.0, 1.0]))
    >>> round(two.log_prob(0.0).item(), 6), two.variance.item()
    (-1.418939, 2.0)
    """

    def __init__(self, logits: TensorLike, components: Distribution) -> None:
        (self.logits,) = floating(logits)
        self.components = components
        if self.logits.ndim == 0 or components.batch_shape != self.logits.shape:
            raise ShapeError(
                "Mixture",
                expected=f"components of batch shape {show(self.logits.shape)}, as the logits",
                got=show(components.batch_shape),
            )
        self.event_rank = components.event_rank  # type: ignore[misc]  # a mixture has the rank of its components
        self.has_rsample = isinstance(components, Normal | Laplace)  # type: ignore[misc]  # whose cdf is known

    @property
    def batch_shape(self) -> Shape:
        """The components' batch without the last axis."""
        return self.logits.shape[:-1]

    @property
    def event_shape(self) -> Shape:
        """The components' event."""
        return self.components.event_shape

    @property
    def dtype(self) -> DType:
        """The components' type."""
        return self.components.dtype

    def joint(self, value: TensorLike) -> Tensor:
        """Return the log-joint ln softmax(z)ₖ + ln pₖ(value), (…, K)."""
        x = as_tensor(value)
        apart = x.expand_dims(x.ndim - self.event_rank)
        return log_softmax(self.logits) + self.components.log_prob(apart)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        return logsumexp(self.joint(value))

    def responsibilities(self, value: TensorLike) -> Tensor:
        """Return the posterior of the component, p(k | value), (…, K), by Bayes' theorem.

        >>> from deltarule.generative import Normal
        >>> mixture = Mixture([0.0, 0.0], Normal([-1.0, 1.0], 1.0))
        >>> mixture.responsibilities(0.0).tolist()
        [0.5, 0.5]
        """
        return softmax(self.joint(value))

    def cdf(self, value: TensorLike) -> Tensor:
        """Return Σ wₖFₖ(value)."""
        apart = as_tensor(value).expand_dims(-1)
        return (softmax(self.logits) * self.components.cdf(apart)).sum(-1)

    def rsample(
        self,
        shape: Sequence[int] = (),
        *,
        seed: Tensor | int,
        step: Tensor | int = 0,
        stream: int = 0,
    ) -> Tensor:
        """Return the samples of ``sample`` with gradients with respect to all parameters, the logits included.

        A sample solves F(x; θ) = u, so dx/dθ = −(∂F/∂θ)/p(x) (implicit reparameterisation; Figurnov, Mohamed and
        Mnih 2018). Only for normal and Laplace components.
        """
        if not self.has_rsample:
            return super().rsample(shape, seed=seed, step=step, stream=stream)
        x = self.sample(shape, seed=seed, step=step, stream=stream)
        level = self.cdf(x)
        return x - (level - level.detach()) / exp(self.log_prob(x)).detach()

    def _weighted(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return Σₖ wₖ valuesₖ; weights are (…, K), values have the event's axes behind k."""
        for _ in range(self.event_rank):
            weights = weights.expand_dims(-1)
        return (values * weights).sum(-1 - self.event_rank)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return samples of randomly chosen components."""
        chosen = Categorical(self.logits).choose(noise, shape)
        values = self.components.draw(noise, shape)
        return self._weighted(
            values, one_hot(chosen, int(self.logits.shape[-1]), values.dtype)
        )

    @property
    def mean(self) -> Tensor:
        """Σ wₖμₖ."""
        return self._weighted(self.components.mean, softmax(self.logits))

    @property
    def variance(self) -> Tensor:
        """Σ wₖ(σₖ² + (μₖ − μ)²): the variance within and between components."""
        apart = self.components.mean - self.mean.expand_dims(-1 - self.event_rank)
        return self._weighted(
            self.components.variance + apart * apart, softmax(self.logits)
        )


@final
class Transformed(Distribution):
    """The distribution of y = T(x) for x ~ base: ln p(y) = ln p(x) − ln|det ∂T/∂x| at x = T⁻¹(y).

    Args:
        base: The distribution of x.
        bijector: T, see ``generative.bijectors``.

    >>> from deltarule.generative import Normal
    >>> from deltarule.generative.bijectors import Exp
    >>> round(Transformed(Normal(0.0, 1.0), Exp()).log_prob(1.0).item(), 6)  # log-normal
    -0.918939
    """

    def __init__(self, base: Distribution, bijector: Bijector) -> None:
        if bijector.event_rank > base.event_rank:
            raise ShapeError(
                "Transformed",
                expected=f"a base whose events have {bijector.event_rank} axes",
                got=f"{type(base).__name__}, whose events have {base.event_rank}",
            )
        self.base, self.bijector = base, bijector
        self.event_rank = base.event_rank  # type: ignore[misc]  # as the base
        self.has_rsample = base.has_rsample  # type: ignore[misc]  # as the base

    @property
    def batch_shape(self) -> Shape:
        """The base's batch."""
        return self.base.batch_shape

    @property
    def event_shape(self) -> Shape:
        """The image of the base's event."""
        return self.bijector.forward_shape(self.base.event_shape)

    @property
    def dtype(self) -> DType:
        """The base's type."""
        return self.base.dtype

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value), −∞ outside the image of T."""
        y = like(value, self)
        inside = self.bijector.contains(y)
        points = inside
        for _ in range(self.bijector.event_rank):
            points = points.expand_dims(-1)
        x = self.bijector.inverse(where(points | (y != y), y, self.bijector.inner(y)))
        volume = self.bijector.log_det(x)
        extra = self.base.event_rank - self.bijector.event_rank
        if extra:
            volume = volume.sum(tuple(range(volume.ndim - extra, volume.ndim)))
            inside = inside.astype("float32").sum(
                tuple(range(inside.ndim - extra, inside.ndim))
            ) == float(math.prod(inside.shape[inside.ndim - extra :]))
        found = self.base.log_prob(x) - volume
        return where(inside | (found != found), found, -math.inf)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return samples of the base, transformed by T."""
        return self.bijector.forward(self.base.draw(noise, shape))
