"""The linear (fully connected, dense) layer."""

from __future__ import annotations

from typing import Any, final

from deltarule.errors import ShapeError
from deltarule.nn import init as initialisers
from deltarule.nn.check import whole_number
from deltarule.nn.init import Initializer
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, is_static
from deltarule.tensor.tensor import Tensor

__all__ = ["Linear"]


@final
class Linear(Module):
    """z = Wx + b for one example x, Z = XWᵀ + b for a batch X.

    The input is (…, in_features), the output (…, out_features). ``weight`` is
    (out_features, in_features), ``bias`` (out_features,).

    Args:
        in_features: Number of inputs.
        out_features: Number of outputs.
        bias: Whether to add b.
        init: Initialiser of the weights (see ``nn.init``); "auto" is He before a rectifier and Xavier elsewhere.
        bias_init: Initialiser of the biases.
        seed: Seed of the initial values; None for that of the surrounding network.

    >>> layer = Linear(2, 1)
    >>> layer.weight.assign([[3.0, 4.0]])
    >>> layer([1.0, 2.0]).tolist(), layer([[1.0, 2.0]]).tolist()
    ([11.0], [[11.0]])
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: str | dict[str, Any] | Initializer = "auto",
        bias_init: str | dict[str, Any] | Initializer = "zeros",
        seed: int | None = None,
    ) -> None:
        self.in_features = whole_number(in_features, "in_features", 1)
        self.out_features = whole_number(out_features, "out_features", 1)
        self.has_bias = bias
        self.init = initialisers.get(init)
        self.bias_init = initialisers.get(bias_init) or initialisers.zeros()
        self._own.seed = seed
        self.declare("weight", (out_features, in_features), self.init)
        if bias:
            self.declare("bias", (out_features,), self.bias_init)

    def forward(self, x: Tensor) -> Tensor:
        """Return Wx + b; raises ShapeError if the last axis is not in_features."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            got = x.shape[-1] if x.ndim else "a scalar"
            raise ShapeError(
                "Linear",
                expected=_features(self.in_features),
                got=str(got),
                hint=self._hint(x.shape),
            )
        if x.ndim == 1:
            product = self.weight @ x
        elif x.ndim == 2 or not is_static(x.shape):
            product = x @ self.weight.T
        else:  # one product of matrices, whatever the number of leading axes
            product = (x.reshape(-1, self.in_features) @ self.weight.T).reshape(
                *x.shape[:-1], self.out_features
            )
        return product + self.bias if self.has_bias else product

    def _hint(self, shape: Shape) -> str:
        if len(shape) > 2:
            return "Insert nn.Flatten() before it, so that an example is a vector."
        if not shape or not isinstance(shape[-1], int):
            return f"Give it vectors of {_features(self.in_features)}."
        got = shape[-1]
        return f"Write Linear({got}, {self.out_features}), or insert Linear({got}, {self.in_features}) before it."

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: in_features·out_features + out_features parameters."""
        n, m = self.in_features, self.out_features
        rows = 1
        for size in output[:-1]:
            rows *= size
        return LayerCost(
            parameters=f"{n}·{m} + {m}" if self.has_bias else f"{n}·{m}",
            flops=rows * m * (2 * n - (not self.has_bias)),
            whole_input=len(output) == 1,
        )

    def example_rank(self) -> int:
        """One example is a vector."""
        return 1

    def label(self) -> str:
        """Return ``Linear(120→84)``."""
        return f"Linear({self.in_features}→{self.out_features})"


def _features(n: int) -> str:
    return "1 feature" if n == 1 else f"{n} features"
