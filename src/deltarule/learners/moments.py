"""Weighted moments of chunks: all that means, variances and least squares need of data larger than memory.

Chunks are merged as Chan, Golub and LeVeque (1979) do, so that nothing subtracts large squares.
"""

from __future__ import annotations

from typing import final

import numpy as np

from deltarule.learners.base import Array


@final
class Moments:
    """Weight, mean and scatter Σ w(x − μ)² (or Σ w(x − μ)(x − μ)ᵀ) of what was added."""

    def __init__(self, n_features: int, full: bool = False) -> None:
        self.weight = 0.0
        self.mean: Array = np.zeros(n_features)
        self.scatter: Array = np.zeros((n_features, n_features) if full else n_features)

    def add(self, x: Array, weights: Array) -> None:
        """Add examples (N, n_features) with weights > 0."""
        mass = float(weights.sum())
        mean = weights @ x / mass
        gap, shift = x - mean, mean - self.mean
        total = self.weight + mass
        between = self.weight * mass / total
        if self.scatter.ndim == 2:
            self.scatter = self.scatter + (gap * weights[:, None]).T @ gap + np.outer(shift, shift) * between
        else:
            self.scatter = self.scatter + weights @ (gap * gap) + shift * shift * between
        self.mean = self.mean + shift * (mass / total)
        self.weight = total

    def rows(self) -> Array:
        """Return as many rows as features whose products are the full scatter: RᵀR = Σ w(x − μ)(x − μ)ᵀ."""
        values, vectors = np.linalg.eigh(self.scatter)
        return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)
