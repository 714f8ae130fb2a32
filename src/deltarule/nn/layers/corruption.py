"""Layers that corrupt their input during training, for denoising autoencoders."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

from deltarule.nn.check import number
from deltarule.nn.context import require
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count
from deltarule.tensor.functional import where
from deltarule.tensor.random import random_normal, random_uniform
from deltarule.tensor.tensor import Tensor

__all__ = ["GaussianCorruption", "MaskingCorruption", "SaltAndPepper"]


class Corruption(Module):
    """Base class of layers that corrupt their input in training and return it unchanged at inference.

    >>> from deltarule.tensor.functional import ones
    >>> MaskingCorruption(0.5)(ones((2, 3))).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return x, corrupted in training."""
        context = require(type(self).__name__)
        if context.mode == "inference":
            return x
        return self.corrupted(x, *context.draw(type(self).__name__))

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: nothing at inference, one operation per element in training."""
        return LayerCost(flops=count(output))

    @abstractmethod
    def corrupted(
        self, x: Tensor, seed: Tensor | int, step: Tensor | int, stream: int
    ) -> Tensor:
        """Return x with noise from (seed, step, stream)."""


@final
class GaussianCorruption(Corruption):
    """Additive Gaussian noise: x + σε in training (denoising autoencoder, Vincent et al. 2008).

    >>> layer = GaussianCorruption(deviation=0.1)
    >>> layer([1.0, 2.0]).tolist()
    [1.0, 2.0]
    >>> bool((layer([1.0, 2.0], mode="training", seed=0).numpy() == [1.0, 2.0]).any())
    False
    """

    def __init__(self, deviation: float) -> None:
        self.deviation = number(
            deviation, "GaussianCorruption deviation", 0.0, float("inf")
        )

    def corrupted(
        self, x: Tensor, seed: Tensor | int, step: Tensor | int, stream: int
    ) -> Tensor:
        """Return x + σε."""
        return x + random_normal(x.shape, seed, step, stream, x.dtype) * self.deviation


@final
class MaskingCorruption(Corruption):
    """Masking noise: each element is 0 with probability p in training, without rescaling (Vincent et al. 2008).

    >>> from deltarule.tensor.functional import ones
    >>> sorted(set(MaskingCorruption(0.5)(ones((100,)), mode="training", seed=0).tolist()))
    [0.0, 1.0]
    """

    def __init__(self, probability: float) -> None:
        self.probability = number(
            probability, "MaskingCorruption probability", 0.0, 1.0
        )

    def corrupted(
        self, x: Tensor, seed: Tensor | int, step: Tensor | int, stream: int
    ) -> Tensor:
        """Return x with elements set to 0."""
        return where(
            random_uniform(x.shape, seed, step, stream) < self.probability, 0.0, x
        )


@final
class SaltAndPepper(Corruption):
    """Salt-and-pepper noise: each element is ``low`` or ``high``, with probability p/2 each, in training.

    Args:
        probability: The probability p that an element is replaced.
        low: The value of "pepper".
        high: The value of "salt".

    >>> from deltarule.tensor.functional import full
    >>> x = full((100,), 0.5)
    >>> sorted(set(SaltAndPepper(0.5)(x, mode="training", seed=0).tolist()))
    [0.0, 0.5, 1.0]
    """

    def __init__(self, probability: float, low: float = 0.0, high: float = 1.0) -> None:
        self.probability = number(probability, "SaltAndPepper probability", 0.0, 1.0)
        self.low, self.high = float(low), float(high)

    def corrupted(
        self, x: Tensor, seed: Tensor | int, step: Tensor | int, stream: int
    ) -> Tensor:
        """Return x with elements set to low or high."""
        u = random_uniform(x.shape, seed, step, stream)
        return where(
            u < self.probability / 2,
            self.low,
            where(u < self.probability, self.high, x),
        )
