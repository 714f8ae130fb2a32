"""Layers that act otherwise in training: dropout."""

from __future__ import annotations

from typing import Any, final

from deltarule.nn.account import Account
from deltarule.nn.check import number
from deltarule.nn.context import require
from deltarule.nn.module import Module
from deltarule.shapes import Shape, count
from deltarule.tensor.functional import where
from deltarule.tensor.random import random_uniform
from deltarule.tensor.tensor import Tensor


@final
class Dropout(Module):
    """In training each element is 0 with ``drop_probability`` p, else x/(1 − p); in inference x.

    The scaling keeps the expectation ("inverted" dropout), so that nothing changes at inference. The elements
    dropped depend on (seed, step) and on the place of the layer in the forward pass alone.
    Source: Srivastava et al. 2014.

    >>> from deltarule.tensor.functional import ones
    >>> layer = Dropout(drop_probability=0.5)
    >>> layer(ones((4,))).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> sorted(set(layer(ones((100,)), mode="training", seed=0).tolist()))
    [0.0, 2.0]
    """

    def __init__(self, drop_probability: float = 0.5) -> None:
        self.drop_probability = number(drop_probability, "drop_probability", 0.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with elements dropped in training; raises ArgumentError there without a seed."""
        context = require("Dropout")
        if context.mode == "inference" or self.drop_probability == 0:
            return x
        seed, step, stream = context.draw("Dropout")
        kept = random_uniform(x.shape, seed, step, stream) >= self.drop_probability
        return where(kept, x / (1 - self.drop_probability), 0.0)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        return {"drop_probability": self.drop_probability}

    def account(self, inputs: Shape, output: Shape) -> Account:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: nothing at inference, a choice per element in training."""
        return Account(flops=count(output))

    def label(self) -> str:
        """Return ``Dropout(0.5)``."""
        return f"Dropout({self.drop_probability:g})"
