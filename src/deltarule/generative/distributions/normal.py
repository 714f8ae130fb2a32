"""Normal distributions of scalars, and of vectors with a diagonal, full or low-rank covariance."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import final

import numpy as np

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.generative.distributions.base import (
    Distribution,
    Elementwise,
    Noise,
    floating,
    full_shape,
    known_value,
    like,
    require,
)
from deltarule.shapes import Shape
from deltarule.tensor.functional import TensorLike, erf, eye, log, sqrt
from deltarule.tensor.linalg import cholesky, diagonal, logdet, solve
from deltarule.tensor.tensor import Tensor

__all__ = [
    "DiagonalNormal",
    "FullNormal",
    "LowRankNormal",
    "MultivariateNormal",
    "Normal",
]

LOG_TWO_PI = math.log(2 * math.pi)
_ASYMMETRY = 1e-4  # of a covariance, relative to its diagonal: rounding in float32


@final
class Normal(Elementwise):
    """The normal distribution 𝒩(μ, σ²) of scalars: ln p(x) = −½((x − μ)/σ)² − ln σ − ½ ln 2π.

    Args:
        mean: μ.
        deviation: The standard deviation σ > 0.

    >>> round(Normal(0.0, 1.0).log_prob(0.0).item(), 6)
    -0.918939
    """

    has_rsample = True

    def __init__(self, mean: TensorLike = 0.0, deviation: TensorLike = 1.0) -> None:
        self.location, self.deviation = self._set(
            "Normal", mean=mean, deviation=deviation
        )
        require("Normal deviation", self.deviation, 0.0)

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        scaled = (like(value, self) - self.location) / self.deviation
        return scaled * scaled * -0.5 - log(self.deviation) - 0.5 * LOG_TWO_PI

    def cdf(self, value: TensorLike) -> Tensor:
        """Return ½(1 + erf((x − μ)/σ√2))."""
        return (
            erf((like(value, self) - self.location) / self.deviation * math.sqrt(0.5))
            * 0.5
            + 0.5
        )

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return μ + σε with standard normal ε (the reparameterisation trick; Kingma and Welling 2014)."""
        return self.location + self.deviation * noise.normal(
            full_shape(shape, self), self.dtype
        )

    @property
    def mean(self) -> Tensor:
        """μ."""
        return self.location.broadcast_to(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        """σ²."""
        return (self.deviation * self.deviation).broadcast_to(self.batch_shape)

    def entropy(self) -> Tensor:
        """Return ½ ln(2πeσ²)."""
        return (log(self.deviation) + 0.5 * (1 + LOG_TWO_PI)).broadcast_to(
            self.batch_shape
        )


class MultivariateNormal(Distribution):
    """Base of multivariate normals 𝒩(μ, Σ): ln p(x) = −½[(x − μ)ᵀΣ⁻¹(x − μ) + ln det Σ + k ln 2π].

    >>> FullNormal([0.0, 0.0], covariance=[[2.0, 0.0], [0.0, 1.0]]).mean.shape
    (2,)
    """

    event_rank = 1
    has_rsample = True
    location: Tensor

    @property
    def batch_shape(self) -> Shape:
        """The axes of μ before the last."""
        return self.location.shape[:-1]

    @property
    def event_shape(self) -> Shape:
        """(k,)."""
        return self.location.shape[-1:]

    @property
    def dtype(self) -> DType:
        """The type of the parameters."""
        return self.location.dtype

    @property
    def mean(self) -> Tensor:
        """μ (…, k)."""
        return self.location

    @property
    @abstractmethod
    def covariance(self) -> Tensor:
        """Σ (…, k, k)."""

    @abstractmethod
    def squared_distance(self, error: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance eᵀΣ⁻¹e of deviations e from the mean, (…, k)."""

    @abstractmethod
    def log_determinant(self) -> Tensor:
        """Return ln det Σ.

        >>> round(DiagonalNormal([0.0, 0.0], [2.0, 3.0]).log_determinant().item(), 4)
        3.5835
        """

    def log_prob(self, value: TensorLike) -> Tensor:
        """Return ln p(value)."""
        k = int(self.event_shape[0])
        distance = self.squared_distance(like(value, self) - self.location)
        return (distance + self.log_determinant() + k * LOG_TWO_PI) * -0.5

    def entropy(self) -> Tensor:
        """Return ½(ln det Σ + k(1 + ln 2π))."""
        k = int(self.event_shape[0])
        return ((self.log_determinant() + k * (1 + LOG_TWO_PI)) * 0.5).broadcast_to(
            self.batch_shape
        )


def _require_finite(where: str, tensor: Tensor) -> None:
    known = known_value(tensor)
    if known is not None and not np.isfinite(known).all():
        raise ArgumentError(
            where, expected="finite numbers", got=str(known[~np.isfinite(known)][0])
        )


def _require_matrix(matrix: Tensor, *, symmetric: bool) -> None:
    """Raise ArgumentError if a matrix with a known value is no covariance, or no Cholesky factor of one."""
    known = known_value(matrix)
    if known is None:
        return
    name = "covariance" if symmetric else "factor"
    _require_finite(f"FullNormal {name}", matrix)
    diagonal = np.diagonal(known, axis1=-2, axis2=-1)
    if not (diagonal > 0).all():
        raise ArgumentError(
            f"FullNormal {name}",
            expected="a diagonal > 0",
            got=str(diagonal[~(diagonal > 0)][0]),
        )
    if not symmetric and np.triu(known, 1).any():
        raise ArgumentError(
            "FullNormal factor",
            expected="a lower triangle, zeros above the diagonal",
            got=str(np.triu(known, 1)[np.triu(known, 1) != 0][0]),
            hint="np.tril(L) keeps the triangle.",
        )
    if not symmetric:
        return
    turned = np.swapaxes(known, -1, -2)
    scale = np.sqrt(diagonal[..., :, None] * diagonal[..., None, :])
    if not (np.abs(known - turned) <= _ASYMMETRY * scale).all():
        raise ArgumentError(
            "FullNormal covariance",
            expected="a symmetric matrix",
            got="one that is not",
            hint="Write (S + S.T) / 2, or hand over factor= for a Cholesky factor.",
        )
    if not (np.linalg.eigvalsh((known + turned) / 2) > 0).all():
        raise ArgumentError(
            "FullNormal covariance",
            expected="a positive definite matrix",
            got="one that is not",
        )


def _vector(where: str, mean: Tensor) -> None:
    if mean.ndim == 0:
        raise ShapeError(
            where,
            expected="a mean (…, k)",
            got="a scalar",
            hint="Use Normal for scalars.",
        )


@final
class DiagonalNormal(MultivariateNormal):
    """𝒩(μ, diag σ²): a vector of k independent normal variables.

    Args:
        mean: μ, (…, k).
        deviation: The standard deviations σ > 0, (…, k).

    >>> round(DiagonalNormal([0.0, 4.0], [2.0**0.5, 0.5**0.5]).log_prob([1.0, 2.0]).item(), 5)
    -6.08788
    """

    def __init__(self, mean: TensorLike, deviation: TensorLike) -> None:
        location, self.deviation = floating(mean, deviation)
        shape = shapes.broadcast(
            location.shape, self.deviation.shape, where="DiagonalNormal"
        )
        self.location = location.broadcast_to(shape)
        _vector("DiagonalNormal", self.location)
        require("DiagonalNormal deviation", self.deviation, 0.0)

    def squared_distance(self, error: Tensor) -> Tensor:
        """Return Σ(e/σ)²."""
        scaled = error / self.deviation
        return (scaled * scaled).sum(-1)

    def log_determinant(self) -> Tensor:
        """Return Σ ln σ²."""
        return log(self.deviation.broadcast_to(self.location.shape)).sum(-1) * 2.0

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return μ + σ ⊙ ε with standard normal ε."""
        return self.location + self.deviation * noise.normal(
            full_shape(shape, self), self.dtype
        )

    @property
    def variance(self) -> Tensor:
        """σ²."""
        return (self.deviation * self.deviation).broadcast_to(self.location.shape)

    @property
    def covariance(self) -> Tensor:
        """diag(σ²)."""
        return self.variance.expand_dims(-1) * eye(int(self.event_shape[0]), self.dtype)


@final
class FullNormal(MultivariateNormal):
    """𝒩(μ, Σ) with a covariance matrix, or with its Cholesky factor L, Σ = LLᵀ.

    Args:
        mean: μ, (…, k).
        covariance: Σ, symmetric and positive definite, (…, k, k).
        factor: Instead of the covariance: L, lower triangular with a positive diagonal, (…, k, k).

    Raises:
        ArgumentError: Not exactly one of covariance and factor, or a matrix that is none.
        ShapeError: A matrix whose size is not that of the mean.

    >>> round(FullNormal([0.0, 4.0], covariance=[[2.0, 0.0], [0.0, 0.5]]).log_prob([1.0, 2.0]).item(), 5)
    -6.08788
    """

    def __init__(
        self,
        mean: TensorLike,
        covariance: TensorLike | None = None,
        factor: TensorLike | None = None,
    ) -> None:
        given = covariance if covariance is not None else factor
        if given is None or (covariance is not None and factor is not None):
            raise ArgumentError(
                "FullNormal", expected="a covariance or its factor", got="none or both"
            )
        location, matrix = floating(mean, given)
        _vector("FullNormal", location)
        k = location.shape[-1]
        if matrix.shape[-2:] != (k, k):
            raise ShapeError(
                "FullNormal",
                expected=f"a matrix (…, {k}, {k})",
                got=shapes.show(matrix.shape),
            )
        _require_matrix(matrix, symmetric=factor is None)
        self.factor = cholesky(matrix) if factor is None else matrix
        batch = shapes.broadcast(
            location.shape[:-1], matrix.shape[:-2], where="FullNormal"
        )
        self.location = location.broadcast_to((*batch, k))

    def squared_distance(self, error: Tensor) -> Tensor:
        """Return ‖L⁻¹e‖²."""
        scaled = solve_vectors(self.factor, error)
        return (scaled * scaled).sum(-1)

    def log_determinant(self) -> Tensor:
        """Return 2 Σ ln Lᵢᵢ."""
        return log(matrix_diagonal(self.factor)).sum(-1) * 2.0

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return μ + Lε with standard normal ε."""
        return self.location + times_vectors(
            self.factor, noise.normal(full_shape(shape, self), self.dtype)
        )

    @property
    def variance(self) -> Tensor:
        """The diagonal of Σ."""
        return (self.factor * self.factor).sum(-1).broadcast_to(self.location.shape)

    @property
    def covariance(self) -> Tensor:
        """LLᵀ."""
        k = self.location.shape[-1]
        return (self.factor @ _transposed(self.factor)).broadcast_to(
            (*self.batch_shape, k, k)
        )


@final
class LowRankNormal(MultivariateNormal):
    """𝒩(μ, WWᵀ + diag d): a covariance of k·r + k instead of k(k + 1)/2 parameters.

    Distances use the Woodbury identity, Σ⁻¹ = D⁻¹ − D⁻¹W(I + WᵀD⁻¹W)⁻¹WᵀD⁻¹, and ln det Σ the matrix determinant
    lemma.

    Args:
        mean: μ, (…, k).
        factor: W, (…, k, r).
        diagonal: d > 0, (…, k).

    >>> LowRankNormal([0.0, 0.0], [[1.0], [1.0]], [1.0, 1.0]).covariance.tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """

    def __init__(
        self, mean: TensorLike, factor: TensorLike, diagonal: TensorLike
    ) -> None:
        location, self.factor, self.diagonal = floating(mean, factor, diagonal)
        _vector("LowRankNormal", location)
        k = location.shape[-1]
        if (
            self.factor.ndim < 2
            or self.factor.shape[-2] != k
            or self.diagonal.shape[-1:] != (k,)
        ):
            raise ShapeError(
                "LowRankNormal",
                expected=f"a factor (…, {k}, r) and a diagonal (…, {k})",
                got=f"{shapes.show(self.factor.shape)} and {shapes.show(self.diagonal.shape)}",
            )
        leading = (
            location.shape[:-1],
            self.factor.shape[:-2],
            self.diagonal.shape[:-1],
        )
        self.location = location.broadcast_to(
            (*shapes.broadcast(*leading, where="LowRankNormal"), k)
        )
        require("LowRankNormal diagonal", self.diagonal, 0.0)
        _require_finite("LowRankNormal factor", self.factor)

    def _capacitance(self) -> Tensor:
        """Return I + WᵀD⁻¹W (…, r, r)."""
        scaled = self.factor / self.diagonal.expand_dims(-1)
        return (
            eye(int(self.factor.shape[-1]), self.dtype)
            + _transposed(self.factor) @ scaled
        )

    def squared_distance(self, error: Tensor) -> Tensor:
        """Return eᵀD⁻¹e − vᵀ(I + WᵀD⁻¹W)⁻¹v with v = WᵀD⁻¹e."""
        scaled = error / self.diagonal
        projected = times_vectors(_transposed(self.factor), scaled)
        correction = projected * solve_vectors(self._capacitance(), projected)
        return (error * scaled).sum(-1) - correction.sum(-1)

    def log_determinant(self) -> Tensor:
        """Return ln det(I + WᵀD⁻¹W) + Σ ln d."""
        return logdet(self._capacitance()) + log(self.diagonal).sum(-1)

    def draw(self, noise: Noise, shape: Shape) -> Tensor:
        """Return μ + Wε₁ + √d ⊙ ε₂."""
        whole = full_shape(shape, self)
        rank = int(self.factor.shape[-1])
        shared = times_vectors(
            self.factor, noise.normal((*whole[:-1], rank), self.dtype)
        )
        return (
            self.location
            + shared
            + sqrt(self.diagonal) * noise.normal(whole, self.dtype)
        )

    @property
    def variance(self) -> Tensor:
        """Σ W² + d."""
        return ((self.factor * self.factor).sum(-1) + self.diagonal).broadcast_to(
            self.location.shape
        )

    @property
    def covariance(self) -> Tensor:
        """WWᵀ + diag d."""
        own = self.diagonal.expand_dims(-1) * eye(int(self.event_shape[0]), self.dtype)
        k = self.location.shape[-1]
        return (self.factor @ _transposed(self.factor) + own).broadcast_to(
            (*self.batch_shape, k, k)
        )


def _transposed(matrix: Tensor) -> Tensor:
    axes = list(range(matrix.ndim))
    return matrix.permute(*axes[:-2], axes[-1], axes[-2])


def matrix_diagonal(matrix: Tensor) -> Tensor:
    """Return the diagonals (…, k) of matrices (…, k, k).

    >>> matrix_diagonal(eye(2, "float32")).tolist()
    [1.0, 1.0]
    """
    if matrix.ndim == 2:
        return diagonal(matrix)
    return (matrix * eye(int(matrix.shape[-1]), matrix.dtype)).sum(-1)


def solve_vectors(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return A⁻¹x for vectors x (…, k) and one matrix (k, k), or one for each vector.

    >>> solve_vectors(eye(2, "float32") * 2.0, Tensor(eye(2, "float32").node)).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    if matrix.ndim == 2:
        k = int(matrix.shape[-1])
        return solve(matrix, vectors.reshape(-1, k).T).T.reshape(*vectors.shape)
    whole = shapes.broadcast(matrix.shape[:-2], vectors.shape[:-1], where="solve")
    k = int(matrix.shape[-1])
    columns = vectors.broadcast_to((*whole, k)).expand_dims(-1)
    return solve(matrix.broadcast_to((*whole, k, k)), columns).squeeze(-1)


def times_vectors(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return Ax for vectors x (…, k).

    >>> times_vectors(eye(2, "float32") * 2.0, eye(2, "float32")).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    if matrix.ndim == 2:
        return vectors @ matrix.T
    return (matrix @ vectors.expand_dims(-1)).squeeze(-1)
