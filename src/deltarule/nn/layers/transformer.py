"""Transformer blocks and positional encodings."""

from __future__ import annotations

from typing import Any, Literal, final

import numpy as np

from deltarule.errors import ArgumentError, ShapeError
from deltarule.nn.check import number, whole_number
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.layers.activation import GELU, ReLU
from deltarule.nn.layers.attention import MultiHeadAttention
from deltarule.nn.layers.dropout import Dropout
from deltarule.nn.layers.linear import Linear
from deltarule.nn.layers.normalisation import LayerNorm
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, is_static, show
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["SinusoidalPositions", "TransformerBlock"]


@final
class TransformerBlock(Module):
    """Self-attention, then a position-wise feed-forward network, each with a skip connection and layer normalisation.

    Input and output are (positions, n_features), or a batch of them. With dropout, it
    is applied to both results before the sums and to the hidden layer.

    Args:
        n_features: Number of features of a position.
        n_heads: Number of attention heads.
        hidden_size: Width of the hidden layer; 4·n_features by default.
        activation: "gelu" (BERT, GPT) or "relu".
        norm_first: Pre-norm x ← x + f(norm(x)) (Xiong et al. 2020); else post-norm x ← norm(x + f(x)) (Vaswani et
            al. 2017).
        causal: Whether a position attends only to itself and earlier ones.
        drop_probability: Dropout probability.
        epsilon: The constant ε of the layer normalisations.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> from deltarule.tensor.functional import ones
    >>> TransformerBlock(8, n_heads=2)(ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        n_features: int,
        n_heads: int,
        hidden_size: int | None = None,
        *,
        activation: Literal["gelu", "relu"] = "gelu",
        norm_first: bool = True,
        causal: bool = False,
        drop_probability: float = 0.0,
        epsilon: float = 1e-5,
        seed: int | None = None,
    ) -> None:
        width = 4 * n_features
        if hidden_size is not None:
            width = whole_number(hidden_size, "hidden_size", 1)
        if activation not in {"gelu", "relu"}:
            raise ArgumentError(
                "activation", expected="'gelu' or 'relu'", got=repr(activation)
            )
        self._settings = {
            "n_features": n_features,
            "n_heads": n_heads,
            "hidden_size": width,
            "activation": activation,
            "norm_first": norm_first,
            "causal": causal,
            "epsilon": epsilon,
            "drop_probability": number(drop_probability, "drop_probability", 0.0, 1.0),
        }
        self._own.seed = seed
        self.attention = MultiHeadAttention(n_features, n_heads, causal=causal)
        self.attention_norm = LayerNorm(n_features, epsilon)
        self.hidden = Linear(n_features, width, init="he_normal")
        self.gate = GELU() if activation == "gelu" else ReLU()
        self.output = Linear(width, n_features, init="xavier_uniform")
        self.output_norm = LayerNorm(n_features, epsilon)
        self.norm_first = norm_first
        if drop_probability > 0:
            self.dropout = Dropout(drop_probability)

    def forward(self, x: Tensor) -> Tensor:
        """Return vectors of the same shape as x; raises ShapeError for another number of features."""
        if self.norm_first:
            x = x + self._apply_dropout(self.attention(self.attention_norm(x)))
            return x + self._feed_forward(self.output_norm(x))
        x = self.attention_norm(x + self._apply_dropout(self.attention(x)))
        result: Tensor = self.output_norm(x + self._feed_forward(x))
        return result

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self._apply_dropout(
            self.output(self._apply_dropout(self.gate(self.hidden(x))))
        )

    def _apply_dropout(self, x: Tensor) -> Tensor:
        return self.dropout(x) if "dropout" in self.__dict__ else x

    def arguments(self) -> dict[str, Any]:
        """Return the constructor arguments as plain data."""
        return dict(self._settings)

    def example_rank(self) -> int:
        """One example is (positions, features)."""
        return 2


@final
class SinusoidalPositions(Module):
    """x + P with P[t, 2i] = sin(t/10000^(2i/n)), P[t, 2i + 1] = cos(t/10000^(2i/n)) (Vaswani et al. 2017).

    The input is a sequence (positions, n_features), or a batch of them. Without a
    positional encoding attention does not depend on the order of the positions.

    >>> from deltarule.tensor.functional import zeros
    >>> [round(v, 4) for v in SinusoidalPositions(2)(zeros((2, 2))).flatten().tolist()]
    [0.0, 1.0, 0.8415, 0.5403]
    """

    def __init__(self, n_features: int) -> None:
        self.n_features = whole_number(n_features, "n_features", 2)
        if n_features % 2:
            raise ArgumentError(
                "n_features",
                expected="an even number, for pairs of sine and cosine",
                got=str(n_features),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the input plus the encoding; raises ShapeError for another number of features or unknown lengths."""
        is_sequence = x.ndim in {2, 3} and is_static(x.shape[-2:-1])
        if not is_sequence or x.shape[-1] != self.n_features:
            raise ShapeError(
                "SinusoidalPositions",
                expected=f"sequences (positions, {self.n_features}), or batches of them",
                got=show(x.shape),
            )
        exponents = np.arange(0, self.n_features, 2) / self.n_features
        angles = np.arange(int(x.shape[-2]))[:, None] / 10000**exponents
        pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
        table = pairs.reshape(len(angles), self.n_features)
        return x + tensor(table.astype(x.dtype.name if x.dtype.is_float else "float32"))

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: one sum per element."""
        return LayerCost(flops=count(output))

    def example_rank(self) -> int:
        """One example is (positions, features)."""
        return 2

    def label(self) -> str:
        """Return ``SinusoidalPositions(64)``."""
        return f"SinusoidalPositions({self.n_features})"
