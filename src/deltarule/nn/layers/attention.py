"""Attention: each position takes a mean of values, weighted by the similarity of its query and their keys."""

from __future__ import annotations

import math
from typing import Any, final

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, ShapeError
from deltarule.flags import checks_flags
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, is_static, show
from deltarule.tensor.functional import TensorLike, arange, as_tensor, softmax, where
from deltarule.tensor.tensor import Tensor

__all__ = ["MultiHeadAttention", "scaled_dot_product_attention"]

MASKED_SCORE = -1e30  # score of a masked key: its weight is exactly 0


@checks_flags
def scaled_dot_product_attention(
    query: TensorLike,
    key: TensorLike,
    value: TensorLike,
    mask: TensorLike | None = None,
    *,
    causal: bool = False,
) -> Tensor:
    """softmax(QKᵀ/√d)·V along the keys (Vaswani et al. 2017).

    Args:
        query: Q of shape (…, n, d).
        key: K of shape (…, m, d).
        value: V of shape (…, m, e); the result is (…, n, e).
        mask: True where a query may attend to a key, broadcast to (…, n, m). The weight of a masked key is exactly 0;
            a query without any key returns the mean of all values.
        causal: Whether query i attends only to the keys j ≤ i.

    Raises:
        ShapeError: If the sizes do not fit.

    >>> scaled_dot_product_attention([[0.0]], [[1.0], [2.0]], [[2.0], [4.0]]).tolist()
    [[3.0]]
    """
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    matrices = min(q.ndim, k.ndim, v.ndim) >= 2
    if not matrices or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            "attention",
            expected="queries (…, n, d), keys (…, m, d) and values (…, m, e)",
            got=f"{show(q.shape)}, {show(k.shape)} and {show(v.shape)}",
        )
    transposed = k.permute(*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)
    scores = q @ transposed * (1 / math.sqrt(int(q.shape[-1])))
    if causal:
        n, m = q.shape[-2], k.shape[-2]
        if not is_static((n, m)):
            raise ShapeError(
                "causal attention",
                expected="a known number of positions",
                got=show(q.shape),
            )
        scores = where(
            arange(int(m)) <= arange(int(n)).expand_dims(1), scores, MASKED_SCORE
        )
    if mask is not None:
        scores = where(mask, scores, MASKED_SCORE)
    return softmax(scores) @ v


@final
class MultiHeadAttention(Module):
    """Concatenated heads softmax(Q_i K_iᵀ/√d)·V_i, then a linear map; d = n_features/n_heads (Vaswani et al. 2017).

    Called with x (positions, n_features), or a batch (N, positions, n_features), it is
    self-attention; with (query, key) or (query, key, value) it is cross-attention.
    ``projection_weight`` (3·n_features, n_features) and ``projection_bias`` hold the
    maps to Q, K and V in this order, head after head; ``output_weight`` and
    ``output_bias`` the output map.

    Args:
        n_features: Number of features of a position.
        n_heads: Number of heads, a divisor of n_features.
        bias: Whether the maps have biases.
        causal: Whether a position attends only to itself and earlier ones.
        init: Initialiser of the weights.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> from deltarule.tensor.functional import ones
    >>> MultiHeadAttention(8, n_heads=2)(ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    projection_weight: Tensor
    projection_bias: Tensor
    output_weight: Tensor
    output_bias: Tensor

    def __init__(
        self,
        n_features: int,
        n_heads: int,
        bias: bool = True,
        *,
        causal: bool = False,
        init: str | dict[str, Any] | Initializer = "xavier_uniform",
        seed: int | None = None,
    ) -> None:
        self.n_features = whole_number(n_features, "n_features", 1)
        self.n_heads = whole_number(n_heads, "n_heads", 1)
        if n_features % n_heads:
            raise ArgumentError(
                "n_heads",
                expected=f"a divisor of {n_features} features",
                got=str(n_heads),
            )
        self.has_bias = bias
        self.causal = causal
        self.init = initialisers.get(init) or initialisers.xavier_uniform()
        self._own.seed = seed
        self.declare(
            "projection_weight", (3 * n_features, n_features), self.init, parts=3
        )
        self.declare("output_weight", (n_features, n_features), self.init)
        if bias:
            self.declare("projection_bias", (3 * n_features,), initialisers.zeros())
            self.declare("output_bias", (n_features,), initialisers.zeros())

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None
    ) -> Tensor:
        """Return the output of each position of ``query``; raises ShapeError for another number of features."""
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            same_rank = x.ndim in {2, 3} and x.ndim == query.ndim
            if not same_rank or x.shape[-1] != self.n_features:
                raise ShapeError(
                    "MultiHeadAttention",
                    expected=f"sequences (positions, {self.n_features}), or batches of them",
                    got=show(x.shape),
                )
        if query is key is value:
            joint = self._project(query, 0, 3)
            q, k, v = (
                joint[..., i * self.n_features : (i + 1) * self.n_features]
                for i in range(3)
            )
        else:
            q, k, v = (
                self._project(query, 0, 1),
                self._project(key, 1, 2),
                self._project(value, 2, 3),
            )
        found = scaled_dot_product_attention(
            self._split_heads(q),
            self._split_heads(k),
            self._split_heads(v),
            causal=self.causal,
        )
        rank = found.ndim
        together = found.permute(
            *range(rank - 3), rank - 2, rank - 3, rank - 1
        ).reshape(*query.shape)
        output = together @ self.output_weight.T
        return output + self.output_bias if self.has_bias else output

    def _project(self, x: Tensor, first: int, last: int) -> Tensor:
        """Return the projections first … last − 1 among those to Q, K and V."""
        rows = slice(first * self.n_features, last * self.n_features)
        product = x @ self.projection_weight[rows].T
        return product + self.projection_bias[rows] if self.has_bias else product

    def _split_heads(self, x: Tensor) -> Tensor:
        """Return (…, heads, positions, d)."""
        heads = x.reshape(*x.shape[:-1], self.n_heads, self.n_features // self.n_heads)
        rank = heads.ndim
        return heads.permute(*range(rank - 3), rank - 2, rank - 3, rank - 1)

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: four maps, and products of all pairs of positions."""
        n, e = int(inputs[0]), self.n_features
        softmaxes = 5 * n * n * self.n_heads
        return LayerCost(
            parameters=f"4·({e}·{e} + {e})" if self.has_bias else f"4·{e}·{e}",
            flops=8 * n * e * e + 4 * n * n * e + softmaxes,
            whole_input=True,
        )

    def example_rank(self) -> int:
        """One example is (positions, features)."""
        return 2

    def label(self) -> str:
        """Return ``MultiHeadAttention(64, 8 heads)``."""
        causal = ", causal" if self.causal else ""
        return f"MultiHeadAttention({self.n_features}, {self.n_heads} heads{causal})"


check_calls(__name__)
