"""Laplace, gamma, beta and Dirichlet distributions, with gradients through their samples."""

from __future__ import annotations

import math
from typing import final

from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.generative.distributions.base import (
    Distribution,
    Elementwise,
    Noise,
    floating,
    full_shape,
    like,
    require,
    within,
)
from deltarule.generative.distributions.gamma_draws import (
    log_standard_gamma,
    standard_gamma,
)
from deltarule.generative.special import (
    digamma,
    lgamma,
    log_beta,
    times_log,
    times_log1p,
)
from deltarule.shapes import Shape
from deltarule.tensor.functional import (
    TensorLike,
    exp,
    log,
    log1p,
    sigmoid,
    softmax,
    where,
)
from deltarule.tensor.tensor import Tensor

__all__ = ["Beta", "Dirichlet", "Gamma", "Laplace"]


@final
class Laplace(Elementwise):
    """The Laplace distribution, ln p(x) = −|x − μ|/b − ln 2b: a prior that corresponds to an L1 penalty.

    Args:
        mean: μ.
        scale: b > 0.

    >>> round(Laplace(0.0, 1.0).log_prob(0.0).item(), 6)
    -0.693147
    """

    has_rsample = True

    def __init__(self, mean: TensorLike = 0.0, scale: TensorLike = 1.0) -> None:
        self.location, self.scale = self._set("Laplace", mean=mean, scale=scale)
        require("Laplace scale", self.scale, 0.0)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        return -abs(like(value, self) - self.location) / self.scale - log(
            self.scale * 2.0
        )

    def cdf(self, value: TensorLike) -> Tensor:
        """Return ½e^((x − μ)/b) below μ, 1 − ½e^((μ − x)/b) above."""
        scaled = (like(value, self) - self.location) / self.scale
        tail = exp(-abs(scaled)) * 0.5
        return where(scaled < 0.0, tail, 1.0 - tail)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return μ ± b·e with an exponential variate e and a random sign."""
        whole = full_shape(shape, self)
        size = -log1p(-noise.uniform(whole, self.dtype))
        sign = where(noise.uniform(whole, self.dtype) < 0.5, -1.0, 1.0).astype(
            self.dtype
        )
        return self.location + self.scale * (size * sign)

    @property
    def mean(self) -> Tensor:
        """μ."""
        return self.location.broadcast_to(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        """2b²."""
        return (self.scale * self.scale * 2.0).broadcast_to(self.batch_shape)

    def entropy(self) -> Tensor:
        """Return 1 + ln 2b."""
        return (log(self.scale * 2.0) + 1.0).broadcast_to(self.batch_shape)


@final
class Gamma(Elementwise):
    """The gamma distribution, ln p(x) = a ln β + (a − 1) ln x − βx − ln Γ(a) for x > 0; −∞ elsewhere.

    At 0 the log-density is its limit: ln β for a = 1, −∞ for a > 1 and ∞ for a < 1.

    Args:
        concentration: The shape parameter a > 0.
        rate: β > 0, the inverse of the scale.

    >>> round(Gamma(2.0, 1.0).log_prob(1.0).item(), 4)
    -1.0
    """

    has_rsample = True

    def __init__(self, concentration: TensorLike, rate: TensorLike = 1.0) -> None:
        self.concentration, self.rate = self._set(
            "Gamma", concentration=concentration, rate=rate
        )
        require("Gamma concentration", self.concentration, 0.0)
        require("Gamma rate", self.rate, 0.0)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        x, a = like(value, self), self.concentration
        outside = (x < 0.0) | (x == math.inf)
        safe = where(outside, 1.0, x)
        inside = (
            a * log(self.rate) + times_log(a - 1.0, safe) - self.rate * safe - lgamma(a)
        )
        return where(outside, -math.inf, inside)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return samples; gradients with respect to a are the implicit ones of ``standard_gamma``."""
        a = self.concentration.broadcast_to(full_shape(shape, self))
        return within(standard_gamma(a, noise) / self.rate, 0.0, math.inf)

    @property
    def mean(self) -> Tensor:
        """a/β."""
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        """a/β²."""
        return self.concentration / (self.rate * self.rate)

    def entropy(self) -> Tensor:
        """Return a − ln β + ln Γ(a) + (1 − a)ψ(a)."""
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1.0 - a) * digamma(a)


@final
class Beta(Elementwise):
    """The beta distribution, ln p(x) = (a − 1) ln x + (b − 1) ln(1 − x) − ln B(a, b) for 0 ≤ x ≤ 1; −∞ elsewhere.

    At 0 and 1 the log-density is its limit, which is finite for an exponent of 0. Samples lie in (0, 1).

    Args:
        a: First concentration, > 0.
        b: Second concentration, > 0.

    >>> round(Beta(2.0, 2.0).log_prob(0.5).item(), 4)  # ln 1.5
    0.4055
    """

    has_rsample = True

    def __init__(self, a: TensorLike, b: TensorLike) -> None:
        self.a, self.b = self._set("Beta", a=a, b=b)
        require("Beta a", self.a, 0.0)
        require("Beta b", self.b, 0.0)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        x = like(value, self)
        outside = (x < 0.0) | (x > 1.0)
        safe = where(outside, 0.5, x)
        inside = (
            times_log(self.a - 1.0, safe)
            + times_log1p(self.b - 1.0, -safe)
            - log_beta(self.a, self.b)
        )
        return where(outside, -math.inf, inside)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return g/(g + h) of two gamma variates, computed from their logarithms: σ(ln g − ln h)."""
        whole = full_shape(shape, self)
        g = log_standard_gamma(self.a.broadcast_to(whole), noise)
        h = log_standard_gamma(self.b.broadcast_to(whole), noise)
        return within(sigmoid(g - h), 0.0, 1.0)

    @property
    def mean(self) -> Tensor:
        """The mean a/(a + b)."""
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> Tensor:
        """The variance ab/((a + b)²(a + b + 1))."""
        total = self.a + self.b
        return self.a * self.b / (total * total * (total + 1.0))

    def entropy(self) -> Tensor:
        """Return ln B − (a − 1)ψ(a) − (b − 1)ψ(b) + (a + b − 2)ψ(a + b)."""
        a, b = self.a, self.b
        own = (a - 1.0) * digamma(a) + (b - 1.0) * digamma(b)
        return log_beta(a, b) - own + (a + b - 2.0) * digamma(a + b)


@final
class Dirichlet(Distribution):
    """The Dirichlet distribution over the simplex, ln p(x) = Σ(αₖ − 1) ln xₖ − Σ ln Γ(αₖ) + ln Γ(Σα), x (…, K).

    The log-density is −∞ where an element is negative or the sum is not 1 (within 10⁻³); at 0 it is its limit, which
    is finite for αₖ = 1.

    >>> round(Dirichlet([1.0, 1.0, 1.0]).log_prob([0.2, 0.3, 0.5]).item(), 4)  # ln 2!
    0.6931
    """

    event_rank = 1
    has_rsample = True

    def __init__(self, concentration: TensorLike) -> None:
        (self.concentration,) = floating(concentration)
        if self.concentration.ndim == 0 or int(self.concentration.shape[-1]) < 2:
            raise ShapeError(
                "Dirichlet",
                expected="concentrations (…, K ≥ 2)",
                got=str(self.concentration.shape),
            )
        require("Dirichlet concentration", self.concentration, 0.0)

    @property
    def batch_shape(self) -> Shape:
        """The axes before the last."""
        return self.concentration.shape[:-1]

    @property
    def event_shape(self) -> Shape:
        """(K,)."""
        return self.concentration.shape[-1:]

    @property
    def dtype(self) -> DType:
        """The type of the concentrations."""
        return self.concentration.dtype

    @property
    def total(self) -> Tensor:
        """Σα."""
        return self.concentration.sum(-1)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        x, alpha = like(value, self), self.concentration
        outside = ((x < 0.0).astype("float32").sum(-1) > 0.0) | (
            abs(x.sum(-1) - 1.0) > 1e-3
        )
        safe = where(outside.expand_dims(-1), 1.0, x)
        inside = (
            times_log(alpha - 1.0, safe).sum(-1)
            - lgamma(alpha).sum(-1)
            + lgamma(self.total)
        )
        return where(outside, -math.inf, inside)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return gamma variates divided by their sum: the softmax of their logarithms."""
        g = log_standard_gamma(
            self.concentration.broadcast_to(full_shape(shape, self)), noise
        )
        return within(softmax(g), 0.0, 1.0)

    @property
    def mean(self) -> Tensor:
        """α/Σα."""
        return self.concentration / self.concentration.sum(-1, keepdims=True)

    @property
    def variance(self) -> Tensor:
        """m(1 − m)/(Σα + 1) with m = α/Σα."""
        return (
            self.mean
            * (1.0 - self.mean)
            / (self.concentration.sum(-1, keepdims=True) + 1.0)
        )

    def entropy(self) -> Tensor:
        """Return ln B(α) + (Σα − K)ψ(Σα) − Σ(αₖ − 1)ψ(αₖ)."""
        alpha, total = self.concentration, self.total
        k = float(self.event_shape[0])
        own = ((alpha - 1.0) * digamma(alpha)).sum(-1)
        return (
            lgamma(alpha).sum(-1) - lgamma(total) + (total - k) * digamma(total) - own
        )
