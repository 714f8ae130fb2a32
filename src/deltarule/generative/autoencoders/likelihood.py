"""Likelihoods p(x|z) of a VAE: Bernoulli or Gaussian, with parameters computed by the decoder."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Literal, final

import numpy as np

from deltarule import nn
from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.generative.autoencoders.saving import config_of
from deltarule.losses.loss import over_examples
from deltarule.runtime.buffers import Array
from deltarule.shapes import show
from deltarule.tensor.functional import (
    binary_cross_entropy,
    exp,
    sigmoid,
    softplus,
)
from deltarule.tensor.random import random_normal, random_uniform
from deltarule.tensor.tensor import Tensor, parameter

__all__ = ["BernoulliLikelihood", "GaussianLikelihood", "Likelihood"]

LOG_TWO_PI = math.log(2 * math.pi)


class Likelihood(nn.Module):
    """Base of likelihoods: the distribution p(x|z) whose parameters are the decoder's output.

    >>> from deltarule.generative import BernoulliLikelihood
    >>> from deltarule.tensor.tensor import tensor
    >>> BernoulliLikelihood().mean(tensor([[0.0]])).tolist()
    [[0.5]]
    """

    @abstractmethod
    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the log-likelihood ln p(x|z) of every example, (N,), summed over its elements.

        >>> from deltarule.generative import BernoulliLikelihood
        >>> from deltarule.tensor.tensor import tensor
        >>> round(BernoulliLikelihood().log_prob(tensor([[0.0, 0.0]]), tensor([[1.0, 0.0]])).item(), 4)
        -1.3863
        """

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """Return E[x|z].

        >>> from deltarule.generative import BernoulliLikelihood
        >>> from deltarule.tensor.tensor import tensor
        >>> BernoulliLikelihood().mean(tensor([[0.0, 100.0]])).tolist()
        [[0.5, 1.0]]
        """

    @abstractmethod
    def draw(self, output: Tensor, seed: int, stream: int) -> Tensor:
        """Return a sample x ~ p(x|z) for each output."""

    def check(self, x: Array) -> None:
        """Raise DataError for examples outside the support; by default the support is all numbers."""
        del x

    def forward(self, output: Tensor) -> Tensor:
        """Return E[x|z]."""
        return self.mean(output)


def _same(where: str, output: Tensor, x: Tensor) -> None:
    if output.shape != x.shape:
        raise ShapeError(
            where,
            expected=f"a decoder that gives {show(x.shape)}",
            got=show(output.shape),
        )


@final
class BernoulliLikelihood(Likelihood):
    """Bernoulli likelihood of x in [0, 1], ln p(x|z) = Σ x ln ŷ + (1 − x) ln(1 − ŷ), with ŷ = σ(logits).

    >>> from deltarule.tensor.tensor import tensor
    >>> BernoulliLikelihood().mean(tensor([0.0])).tolist()
    [0.5]
    """

    def config(self) -> dict[str, Any] | None:
        """Return the configuration, which has no settings."""
        return config_of(self, {})

    def check(self, x: Array) -> None:
        """Raise DataError for values outside [0, 1], for which the bound is unbounded above."""
        if x.size and not (x.min() >= 0 and x.max() <= 1):
            raise DataError(
                "BernoulliLikelihood",
                expected="values in [0, 1]",
                got=f"{x.min():.4g} … {x.max():.4g}",
                hint="Scale pixels by 1/255, or use a GaussianLikelihood.",
            )

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Return ln p(x|z) for logits of the shape of x."""
        _same("BernoulliLikelihood", output, x)
        return -over_examples(
            binary_cross_entropy(output, x.astype(output.dtype)), "sum"
        )

    def mean(self, output: Tensor) -> Tensor:
        """Return the probabilities σ(logits)."""
        return sigmoid(output)

    def draw(self, output: Tensor, seed: int, stream: int) -> Tensor:
        """Return samples of zeros and ones."""
        u = random_uniform(output.shape, seed, 0, stream, output.dtype)
        return (u < sigmoid(output)).astype(output.dtype)


@final
class GaussianLikelihood(Likelihood):
    """Gaussian likelihood x ~ 𝒩(f(z), σ²I): ln p(x|z) = −½Σ[(x − f)²/σ² + ln σ² + ln 2π].

    A learned variance is σ² = eˢ + ``least``²: without a lower bound the density of a constant pixel would grow
    without bound.

    Args:
        deviation: The standard deviation σ: a number; "shared" for one learned parameter; "output" for one for each
            element from the decoder, whose last axis then holds means and s side by side (2 × channels).
        least: Lower bound of a learned standard deviation.

    >>> GaussianLikelihood(0.1).deviation
    0.1
    """

    def __init__(
        self,
        deviation: float | Literal["shared", "output"] = 1.0,
        *,
        least: float = 0.01,
    ) -> None:
        if isinstance(deviation, str):
            if deviation not in {"shared", "output"}:
                raise ArgumentError(
                    "GaussianLikelihood",
                    expected="a number, 'shared' or 'output'",
                    got=deviation,
                )
        elif not deviation > 0:
            raise ArgumentError(
                "GaussianLikelihood deviation",
                expected="a number > 0",
                got=repr(deviation),
            )
        if not least > 0:
            raise ArgumentError(
                "GaussianLikelihood least", expected="a number > 0", got=repr(least)
            )
        self.deviation, self.least = deviation, float(least)
        if deviation == "shared":
            self.log_variance = parameter(np.zeros((), np.float32), name="log_variance")

    def config(self) -> dict[str, Any] | None:
        """Return the standard deviation and its lower bound."""
        return config_of(self, {"deviation": self.deviation, "least": self.least})

    def _parts(self, output: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return means and ln σ²."""
        if self.deviation == "shared":
            return output, self._bounded(self.log_variance.astype(output.dtype))
        if isinstance(self.deviation, str):
            half = int(output.shape[-1]) // 2
            return output[..., :half], self._bounded(output[..., half:])
        return output, 2 * math.log(self.deviation)

    def _bounded(self, s: Tensor) -> Tensor:
        """Return ln(eˢ + least²)."""
        floor = 2 * math.log(self.least)
        return softplus(s - floor) + floor

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """Return ln p(x|z)."""
        mean, log_variance = self._parts(output)
        _same("GaussianLikelihood", mean, x)
        error = x.astype(mean.dtype) - mean
        precision = (
            exp(-log_variance)
            if isinstance(log_variance, Tensor)
            else math.exp(-log_variance)
        )
        return (
            over_examples(error * error * precision + log_variance + LOG_TWO_PI, "sum")
            * -0.5
        )

    def mean(self, output: Tensor) -> Tensor:
        """Return f(z)."""
        return self._parts(output)[0]

    def draw(self, output: Tensor, seed: int, stream: int) -> Tensor:
        """Return samples f(z) + σε."""
        mean, log_variance = self._parts(output)
        scale = (
            exp(log_variance * 0.5)
            if isinstance(log_variance, Tensor)
            else math.exp(log_variance / 2)
        )
        return mean + random_normal(mean.shape, seed, 0, stream, mean.dtype) * scale
