"""A transformer's block, and the positions that attention by itself does not know."""

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


@final
class TransformerBlock(Module):
    """Self-attention, then a layer of n_hidden units at each position, each with a skip path and a layer norm.

    ``norm_first``: x ← x + f(norm(x)) (Xiong et al. 2020); else x ← norm(x + f(x)), as in Vaswani et al. 2017. The
    hidden layer has GELU (BERT, GPT) or ReLU. Dropout, if any, acts on both results before the sums and on the
    hidden layer. Input and output are (positions, n_features), or a batch of them; ``causal`` attention looks back
    only.

    >>> from deltarule.tensor.functional import ones
    >>> TransformerBlock(8, n_heads=2)(ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        n_features: int,
        n_heads: int,
        n_hidden: int | None = None,
        *,
        activation: Literal["gelu", "relu"] = "gelu",
        norm_first: bool = True,
        causal: bool = False,
        drop_probability: float = 0.0,
        epsilon: float = 1e-5,
        seed: int | None = None,
    ) -> None:
        width = (
            4 * n_features
            if n_hidden is None
            else whole_number(n_hidden, "n_hidden", 1)
        )
        if activation not in {"gelu", "relu"}:
            raise ArgumentError(
                "activation", expected="'gelu' or 'relu'", got=repr(activation)
            )
        self._settings = {
            "n_features": n_features,
            "n_heads": n_heads,
            "n_hidden": width,
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
        """Return as many vectors as came in; raises ShapeError for other features."""
        if self.norm_first:
            x = x + self._dropped(self.attention(self.attention_norm(x)))
            return x + self._position_wise(self.output_norm(x))
        x = self.attention_norm(x + self._dropped(self.attention(x)))
        result: Tensor = self.output_norm(x + self._position_wise(x))
        return result

    def _position_wise(self, x: Tensor) -> Tensor:
        return self._dropped(self.output(self._dropped(self.gate(self.hidden(x)))))

    def _dropped(self, x: Tensor) -> Tensor:
        return self.dropout(x) if "dropout" in self.__dict__ else x

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this block again."""
        return dict(self._settings)

    def example_rank(self) -> int:
        """One example is (positions, features)."""
        return 2


@final
class SinusoidalPositions(Module):
    """x + P with P[t, 2i] = sin(t/10000^(2i/n)), P[t, 2i + 1] = cos(t/10000^(2i/n)) (Vaswani et al. 2017).

    Sequences (positions, n_features), or a batch of them. Without it attention takes a sequence for a set.

    >>> from deltarule.tensor.functional import zeros
    >>> [round(v, 4) for v in SinusoidalPositions(2)(zeros((2, 2))).flatten().tolist()]
    [0.0, 1.0, 0.8415, 0.5403]
    """

    def __init__(self, n_features: int) -> None:
        self.n_features = whole_number(n_features, "n_features", 2)
        if n_features % 2:
            raise ArgumentError(
                "n_features",
                expected="an even number, a sine and a cosine each",
                got=str(n_features),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the input plus its positions; raises ShapeError for other features or unknown lengths."""
        if (
            x.ndim not in {2, 3}
            or x.shape[-1] != self.n_features
            or not is_static(x.shape[-2:-1])
        ):
            raise ShapeError(
                "SinusoidalPositions",
                expected=f"sequences (positions, {self.n_features}), or batches of them",
                got=show(x.shape),
            )
        angles = np.arange(int(x.shape[-2]))[:, None] / 10000 ** (
            np.arange(0, self.n_features, 2) / self.n_features
        )
        table = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(
            len(angles), self.n_features
        )
        return x + tensor(table.astype(x.dtype.name if x.dtype.is_float else "float32"))

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        return {"n_features": self.n_features}

    def account(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: one sum per element."""
        return LayerCost(flops=count(output))

    def example_rank(self) -> int:
        """One example is (positions, features)."""
        return 2

    def label(self) -> str:
        """Return ``SinusoidalPositions(64)``."""
        return f"SinusoidalPositions({self.n_features})"
