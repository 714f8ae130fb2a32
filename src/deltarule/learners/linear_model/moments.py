"""Weighted moments of chunks: sufficient for means, variances and least squares of data larger than memory.

Chunks are merged by the formulas of Chan, Golub and LeVeque (1979), which do not
subtract large squares.
"""

from __future__ import annotations

from typing import final

import numpy as np

from deltarule.learners.base import Array
from deltarule.learners.linear_model.scatter import scatter, squares


def merged(
    weight: float,
    mean: Array,
    scatter: Array,
    other_weight: float,
    other_mean: Array,
    other_scatter: Array,
) -> tuple[Array, Array]:
    """Return mean and scatter of two parts: μ = μ₁ + d·w₂/w and S = S₁ + S₂ + dd·w₁w₂/w, d = μ₂ − μ₁, w = w₁ + w₂.

    dd is d² by feature, or ddᵀ where the scatter has an axis more than the mean.

    >>> merged(1.0, np.array([0.0]), np.array([0.0]), 1.0, np.array([2.0]), np.array([0.0]))
    (array([1.]), array([2.]))
    """
    gap = other_mean - mean
    total = weight + other_weight
    square = np.multiply.outer(gap, gap) if scatter.ndim > gap.ndim else gap * gap
    between = square * (weight * other_weight / total)
    return mean + gap * (other_weight / total), scatter + other_scatter + between


@final
class Moments:
    """Weight, mean and scatter Σ w(x − μ)² (or Σ w(x − μ)(x − μ)ᵀ) of the examples added.

    >>> moments = Moments(2)
    >>> moments.add(np.array([[0.0, 1.0], [2.0, 5.0]]))
    >>> moments.mean.tolist(), moments.scatter.tolist()
    ([1.0, 3.0], [2.0, 8.0])
    """

    def __init__(self, n_features: int, full: bool = False) -> None:
        self.weight = 0.0
        self.mean: Array = np.zeros(n_features)
        self.scatter: Array = np.zeros((n_features, n_features) if full else n_features)

    def add(self, x: Array, weights: Array | None = None) -> None:
        """Add examples (N, n_features) with weights > 0, or of weight 1."""
        mass = float(len(x) if weights is None else weights.sum())
        mean = x.mean(axis=0) if weights is None else weights @ x / mass
        spread = (
            scatter(x, mean, weights)
            if self.scatter.ndim == 2
            else squares(x, mean, weights)
        )
        self.mean, self.scatter = merged(
            self.weight, self.mean, self.scatter, mass, mean, spread
        )
        self.weight += mass
