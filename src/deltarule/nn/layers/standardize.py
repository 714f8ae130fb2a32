"""Standardisation as a layer, so that a saved model accepts raw data and predicts in the units of the data."""

from __future__ import annotations

from typing import Any, final

import numpy as np

from deltarule.data import StandardScaler
from deltarule.errors import ShapeError
from deltarule.nn.check import whole_number
from deltarule.nn.layer_cost import LayerCost
from deltarule.nn.module.module import Module
from deltarule.shapes import Shape, count, show
from deltarule.tensor.tensor import Tensor, tensor

__all__ = ["Standardize"]


@final
class Standardize(Module):
    """y = (x − μ)/σ per feature (last axis); with ``inverse=True`` y = σx + μ, back to the units of the data.

    ``mean`` μ and ``deviation`` σ are state of shape (n_features,): saved with the
    model and not trained. ``learn`` computes them from training data; before that μ = 0
    and σ = 1.

    >>> layer = Standardize(2).learn(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> layer(np.array([[1.0, 30.0]], np.float32)).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, n_features: int, *, inverse: bool = False) -> None:
        self.n_features = whole_number(n_features, "n_features", 1)
        self.inverse = inverse
        self.mean = tensor(np.zeros(n_features, np.float32), name="mean")
        self.deviation = tensor(np.ones(n_features, np.float32), name="deviation")

    def learn(self, data: Any) -> Standardize:
        """Compute mean and (biased) deviation of each feature over all other axes; a constant feature keeps σ = 1.

        >>> layer = Standardize(1).learn([[1.0], [3.0]])
        >>> layer([[3.0]]).tolist()
        [[1.0]]
        """
        array = np.asarray(data)
        self._require_features(array.shape)
        scaler = StandardScaler().fit(array.reshape(-1, self.n_features))
        self.mean.assign(np.asarray(scaler.mean_, np.float32))
        self.deviation.assign(np.asarray(scaler.deviation_, np.float32))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return the (inversely) standardised input; raises ShapeError for another number of features."""
        self._require_features(x.shape)
        return (
            x * self.deviation + self.mean
            if self.inverse
            else (x - self.mean) / self.deviation
        )

    def _require_features(self, shape: Shape) -> None:
        if not shape or shape[-1] != self.n_features:
            raise ShapeError(
                "Standardize",
                expected=f"{self.n_features} features (last axis)",
                got=show(shape),
                hint=f"Write Standardize({shape[-1] if shape else 1}).",
            )

    def layer_cost(self, inputs: Shape, output: Shape) -> LayerCost:  # noqa: ARG002  # common signature
        """Return the cost: two operations per element."""
        return LayerCost(
            how="σx + μ" if self.inverse else "(x − μ)/σ", flops=2 * count(output)
        )

    def label(self) -> str:
        """Return ``Standardize(13)``."""
        return f"Standardize({self.n_features}{', inverse' if self.inverse else ''})"
