"""Maxout: the maximum of several affine maps."""

from __future__ import annotations

from typing import Any, final

from deltarule.errors import ShapeError
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, show
from deltarule.tensor.tensor import Tensor

__all__ = ["Maxout"]


@final
class Maxout(Module):
    """max(W₁x + b₁, …, W_k x + b_k) with k = ``pieces`` (Goodfellow et al. 2013).

    Two pieces, one of them 0, are a ReLU; one α times the other, a leaky ReLU; x and
    −x, the absolute value. The gradient goes to the largest piece, the first one at a
    tie. ``weight`` is (pieces·out_features, in_features), piece after piece, ``bias``
    (pieces·out_features,).

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        pieces: Number of affine maps per output.
        init: Initialiser of the weights.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> layer = Maxout(2, 1)
    >>> layer.weight.assign([[1.0, 1.0], [2.0, 0.0]])
    >>> layer.bias.assign([0.0, -1.0])
    >>> layer([1.0, -2.0]).tolist()
    [1.0]
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        *,
        init: str | dict[str, Any] | Initializer = "xavier_uniform",
        seed: int | None = None,
    ) -> None:
        self.in_features = whole_number(in_features, "in_features", 1)
        self.out_features = whole_number(out_features, "out_features", 1)
        self.pieces = whole_number(pieces, "pieces", 1)
        self.init = initialisers.get(init)
        self._own.seed = seed
        self.declare(
            "weight", (pieces * out_features, in_features), self.init, parts=pieces
        )
        self.declare("bias", (pieces * out_features,), initialisers.zeros())

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest piece; raises ShapeError if the last axis is not in_features."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(
                "Maxout",
                expected=f"{self.in_features} features (last axis)",
                got=show(x.shape),
            )
        scores = (self.weight @ x if x.ndim == 1 else x @ self.weight.T) + self.bias
        return scores.reshape(*x.shape[:-1], self.pieces, self.out_features).max(
            axis=-2
        )

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: ``pieces`` times that of a linear layer, and the comparisons."""
        n, m, k = self.in_features, self.out_features, self.pieces
        rows = 1
        for size in output[:-1]:
            rows *= size
        return LayerCost(
            parameters=f"{k}·({n}·{m} + {m})",
            flops=rows * m * (2 * n * k + k - 1),
            whole_input=len(output) == 1,
        )

    def example_rank(self) -> int:
        """One example is a vector."""
        return 1

    def label(self) -> str:
        """Return ``Maxout(4→3, 2 pieces)``."""
        return f"Maxout({self.in_features}→{self.out_features}, {self.pieces} pieces)"
