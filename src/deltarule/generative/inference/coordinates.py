"""Coordinates θ ∈ ℝᵖ of the normal distributions around q of a family: θ = 0 is q, in units in which KL ≈ ½‖θ‖².

Samples are smooth functions ζ(θ, ε) of standard normal ε, so that the mean of ln p over fixed ε has a gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from deltarule.runtime.buffers import Array

_ROOT = math.sqrt(2.0)  # ln σ = τ/√2 makes the divergence ½τ²


class Coordinates(Protocol):
    """Normal distributions around one of a family."""

    @property
    def size(self) -> int:
        """The number p of coordinates."""

    @property
    def width(self) -> int:
        """The number of standard normal values of one sample."""

    @property
    def mean(self) -> Array:
        """The mean μ of q, (d,)."""

    @property
    def units(self) -> Array:
        """The units S of the first d coordinates: a matrix, or its diagonal."""

    def points(self, theta: Array, draws: Array) -> Array:
        """Return ζ(θ, ε) (n, d) for draws (n, width)."""

    def pull(self, theta: Array, slopes: Array, draws: Array) -> Array:
        """Return the gradient in θ of the mean of ln p(ζ(θ, ε)), for ∇ln p (n, d)."""

    def entropy(self, theta: Array) -> tuple[float, Array]:
        """Return the entropy relative to θ = 0, and its gradient."""

    def curvature(self, slopes: Array, draws: Array) -> Array:
        """Return −E[Sᵀ∇²ln p S] (d, d) at q, by Stein's identity."""

    def moved(self, theta: Array) -> Coordinates:
        """Return the coordinates around the distribution at θ."""


def _symmetric(matrix: Array) -> Array:
    return np.asarray((matrix + matrix.T) / 2)


@final
@dataclass(frozen=True)
class Independent:
    """Independent variables: ζ = μ + σ(a + e^{τ/√2}ε), θ = (a, τ).

    >>> q = Independent(np.array([1.0]), np.array([2.0]))
    >>> q.points(np.array([0.5, 0.0]), np.array([[1.0]])).tolist()
    [[4.0]]
    """

    mean: Array
    deviations: Array

    @property
    def size(self) -> int:
        """2d."""
        return 2 * len(self.mean)

    @property
    def width(self) -> int:
        """d."""
        return len(self.mean)

    @property
    def units(self) -> Array:
        """σ."""
        return self.deviations

    def points(self, theta: Array, draws: Array) -> Array:
        """Return the samples."""
        shift, log_scale = np.split(theta, 2)
        return np.asarray(
            self.mean + self.deviations * (shift + np.exp(log_scale / _ROOT) * draws)
        )

    def pull(self, theta: Array, slopes: Array, draws: Array) -> Array:
        """Return the gradient of the mean of ln p."""
        scale = np.exp(theta[self.width :] / _ROOT) / _ROOT
        return np.concatenate(
            [
                self.deviations * slopes.mean(axis=0),
                self.deviations
                * np.einsum("nd,nd->d", slopes, draws)
                * scale
                / len(draws),
            ]
        )

    def entropy(self, theta: Array) -> tuple[float, Array]:
        """Return Σ ln σ."""
        slope = np.repeat([0.0, 1 / _ROOT], self.width)
        return float(slope @ theta), slope

    def curvature(self, slopes: Array, draws: Array) -> Array:
        """Return −E[∇²ln p] in units of σ."""
        return _symmetric(-(slopes * self.deviations).T @ draws / len(draws))

    def moved(self, theta: Array) -> Independent:
        """Return the coordinates around the distribution at θ."""
        shift, log_scale = np.split(theta, 2)
        return Independent(
            self.mean + self.deviations * shift,
            self.deviations * np.exp(log_scale / _ROOT),
        )


@final
@dataclass(frozen=True)
class Correlated:
    """Correlated variables: ζ = μ + L(a + Tε) with T lower triangular, Tᵢᵢ = e^{τᵢ/√2}, θ = (a, rows of T).

    >>> q = Correlated(np.zeros(2), np.eye(2))
    >>> q.points(np.array([0.0, 0.0, 0.0, 3.0, 0.0]), np.array([[1.0, 1.0]])).tolist()
    [[1.0, 4.0]]
    """

    mean: Array
    factor: Array

    @property
    def size(self) -> int:
        """d(d + 3)/2."""
        return self.width * (self.width + 3) // 2

    @property
    def width(self) -> int:
        """d."""
        return len(self.mean)

    @property
    def units(self) -> Array:
        """L."""
        return self.factor

    def triangle(self, theta: Array) -> Array:
        """Return T."""
        lower = np.zeros((self.width, self.width))
        lower[np.tril_indices(self.width)] = theta[self.width :]
        np.fill_diagonal(lower, np.exp(np.diag(lower) / _ROOT))
        return lower

    def packed(self, shift: Array, lower: Array, triangle: Array) -> Array:
        """Return the gradient in θ from those in a and T."""
        slope = lower.copy()
        np.fill_diagonal(slope, np.diag(lower) * np.diag(triangle) / _ROOT)
        return np.concatenate([shift, slope[np.tril_indices(self.width)]])

    def points(self, theta: Array, draws: Array) -> Array:
        """Return the samples."""
        moved = self.moved(theta)
        return np.asarray(moved.mean + draws @ moved.factor.T)

    def pull(self, theta: Array, slopes: Array, draws: Array) -> Array:
        """Return the gradient of the mean of ln p."""
        lower = self.factor.T @ (slopes.T @ draws) / len(draws)
        return self.packed(
            slopes.mean(axis=0) @ self.factor, lower, self.triangle(theta)
        )

    def entropy(self, theta: Array) -> tuple[float, Array]:
        """Return ln det T."""
        zero = np.zeros(self.width)
        slope = self.packed(zero, np.eye(self.width), np.eye(self.width))
        return float(slope @ theta), slope

    def curvature(self, slopes: Array, draws: Array) -> Array:
        """Return −E[LᵀHL] for the Hessian H of ln p."""
        return _symmetric(-self.factor.T @ (slopes.T @ draws) / len(draws))

    def moved(self, theta: Array) -> Correlated:
        """Return the coordinates around the distribution at θ."""
        shift = self.mean + self.factor @ theta[: self.width]
        return Correlated(shift, self.factor @ self.triangle(theta))


@final
@dataclass(frozen=True)
class LowRankPlusDiagonal:
    """Covariances WWᵀ + diag σ²: ζ = μ + s(a + Uη) + σe^{τ/√2}ε, W = sU, with the deviations s of q.

    θ = (a, τ, U − U₀), draws (η, ε).

    >>> q = LowRankPlusDiagonal(np.zeros(1), np.array([[3.0]]), np.array([4.0]))
    >>> q.points(np.zeros(3), np.array([[1.0, 1.0]])).tolist()
    [[7.0]]
    """

    mean: Array
    shared: Array  # W (d, r)
    deviations: Array  # σ (d,)

    @property
    def size(self) -> int:
        """d(r + 2)."""
        return self.shared.size + 2 * len(self.mean)

    @property
    def width(self) -> int:
        """The rank r and d."""
        return sum(self.shared.shape)

    @property
    def units(self) -> Array:
        """The deviations s of q."""
        return np.asarray(np.sqrt((self.shared**2).sum(axis=1) + self.deviations**2))

    def moved(self, theta: Array) -> LowRankPlusDiagonal:
        """Return the coordinates around the distribution at θ."""
        shift, log_scale, shared = np.split(theta, [len(self.mean), 2 * len(self.mean)])
        s = self.units
        return LowRankPlusDiagonal(
            self.mean + s * shift,
            self.shared + s[:, None] * shared.reshape(self.shared.shape),
            self.deviations * np.exp(log_scale / _ROOT),
        )

    def _combined(self, draws: Array) -> Array:
        rank = self.shared.shape[1]
        return np.asarray(
            draws[:, :rank] @ self.shared.T + draws[:, rank:] * self.deviations
        )

    def points(self, theta: Array, draws: Array) -> Array:
        """Return the samples."""
        q = self.moved(theta)
        return np.asarray(q.mean + q._combined(draws))

    def _packed(self, theta: Array, shift: Array, shared: Array, own: Array) -> Array:
        """Return the gradient in θ from those in μ, W and σ."""
        s, q = self.units, self.moved(theta)
        parts = [s * shift, own * q.deviations / _ROOT, (s[:, None] * shared).ravel()]
        return np.concatenate(parts)

    def pull(self, theta: Array, slopes: Array, draws: Array) -> Array:
        """Return the gradient of the mean of ln p."""
        rank, n = self.shared.shape[1], len(draws)
        own = np.einsum("nd,nd->d", slopes, draws[:, rank:]) / n
        shared = slopes.T @ draws[:, :rank] / n
        return self._packed(theta, slopes.mean(axis=0), shared, own)

    def _inner(self) -> tuple[Array, Array]:
        """Return σ⁻²W and I + Wᵀσ⁻²W."""
        scaled = self.shared / self.deviations[:, None] ** 2
        return scaled, np.eye(self.shared.shape[1]) + self.shared.T @ scaled

    def entropy(self, theta: Array) -> tuple[float, Array]:
        """Return half the change of ln det Σ, by the matrix determinant lemma."""
        q = self.moved(theta)
        scaled, inner = q._inner()
        shared = np.linalg.solve(inner, scaled.T).T  # Σ⁻¹W
        own = 1 / q.deviations - (shared * scaled).sum(axis=1) * q.deviations
        change = np.log(q.deviations / self.deviations).sum() + 0.5 * (
            np.linalg.slogdet(inner)[1] - np.linalg.slogdet(self._inner()[1])[1]
        )
        zero = np.zeros(len(self.mean))
        return float(change), self._packed(theta, zero, shared, own)

    def curvature(self, slopes: Array, draws: Array) -> Array:
        """Return −E[∇²ln p] in units of the deviations of q."""
        scaled, inner = self._inner()
        error = self._combined(draws)
        score = error / self.deviations**2 - (error @ scaled) @ np.linalg.solve(
            inner, scaled.T
        )
        s = self.units
        return _symmetric(-(slopes * s).T @ (score * s) / len(draws))
