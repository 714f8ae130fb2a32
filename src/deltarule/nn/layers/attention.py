"""Attention: every position takes a mean of values, weighted by how its query fits their keys (NN-27)."""

from __future__ import annotations

import math
from typing import Any, final

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

NEVER = -1e30  # the score of a key that is masked: its weight is exactly 0


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

    Q is (…, n, d), K (…, m, d), V (…, m, e); the result is (…, n, e). ``mask`` (broadcast to (…, n, m)) is true
    where a query may look; ``causal`` lets query i look at the keys j ≤ i. A masked key has the weight 0 exactly; a
    query that may look nowhere gets the plain mean of all values. Raises ShapeError if sizes do not fit.

    >>> scaled_dot_product_attention([[0.0]], [[1.0], [2.0]], [[2.0], [4.0]]).tolist()
    [[3.0]]
    """
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    if (
        q.ndim < 2
        or k.ndim < 2
        or v.ndim < 2
        or q.shape[-1] != k.shape[-1]
        or k.shape[-2] != v.shape[-2]
    ):
        raise ShapeError(
            "attention",
            expected="queries (…, n, d), keys (…, m, d) and values (…, m, e)",
            got=f"{show(q.shape)}, {show(k.shape)} and {show(v.shape)}",
        )
    scores = (
        q
        @ k.permute(*range(k.ndim - 2), k.ndim - 1, k.ndim - 2)
        * (1 / math.sqrt(int(q.shape[-1])))
    )
    if causal:
        n, m = q.shape[-2], k.shape[-2]
        if not is_static((n, m)):
            raise ShapeError(
                "causal attention",
                expected="a known number of positions",
                got=show(q.shape),
            )
        scores = where(arange(int(m)) <= arange(int(n)).expand_dims(1), scores, NEVER)
    if mask is not None:
        scores = where(mask, scores, NEVER)
    return softmax(scores) @ v


@final
class MultiHeadAttention(Module):
    """Concatenated heads softmax(Q_i K_iᵀ/√d)·V_i, then a linear map; d = n_features/n_heads (Vaswani et al. 2017).

    Called with x (positions, n_features), or a batch (N, positions, n_features), it is self-attention; with
    (query, key) or (query, key, value) it attends to others. ``projection_weight`` (3·n_features, n_features) and
    ``projection_bias`` hold the maps to Q, K and V in this order, head after head; ``output_weight`` and
    ``output_bias`` the last map.

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
        """Return what each position of ``query`` gathers; raises ShapeError for other features."""
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            if (
                x.ndim not in {2, 3}
                or x.ndim != query.ndim
                or x.shape[-1] != self.n_features
            ):
                raise ShapeError(
                    "MultiHeadAttention",
                    expected=f"sequences (positions, {self.n_features}), or batches of them",
                    got=show(x.shape),
                )
        if query is key is value:
            joint = self._mapped(query, 0, 3)
            q, k, v = (
                joint[..., i * self.n_features : (i + 1) * self.n_features]
                for i in range(3)
            )
        else:
            q, k, v = (
                self._mapped(query, 0, 1),
                self._mapped(key, 1, 2),
                self._mapped(value, 2, 3),
            )
        found = scaled_dot_product_attention(
            self._split(q), self._split(k), self._split(v), causal=self.causal
        )
        rank = found.ndim
        together = found.permute(
            *range(rank - 3), rank - 2, rank - 3, rank - 1
        ).reshape(*query.shape)
        output = together @ self.output_weight.T
        return output + self.output_bias if self.has_bias else output

    def _mapped(self, x: Tensor, first: int, last: int) -> Tensor:
        """Return x under the maps first … last − 1 of Q, K, V."""
        rows = slice(first * self.n_features, last * self.n_features)
        product = x @ self.projection_weight[rows].T
        return product + self.projection_bias[rows] if self.has_bias else product

    def _split(self, x: Tensor) -> Tensor:
        """Return (…, heads, positions, d)."""
        heads = x.reshape(*x.shape[:-1], self.n_heads, self.n_features // self.n_heads)
        rank = heads.ndim
        return heads.permute(*range(rank - 3), rank - 2, rank - 3, rank - 1)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that construct this layer again."""
        return {
            "n_features": self.n_features,
            "n_heads": self.n_heads,
            "bias": self.has_bias,
            "causal": self.causal,
            "init": self.init.config(),
        }

    def account(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # one signature for all layers
        """Return the arithmetic: four maps, and products of all pairs of positions."""
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
