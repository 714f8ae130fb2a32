"""The E step and the M step for Gaussian mixtures, computed in blocks of examples.

A block and its intermediate results fit in the cache; matrix products use BLAS, and those of a matrix with its own
transpose half of the work (syrk). Differences x − μₖ are computed before squaring, which avoids cancellation for data
far from 0; for diagonal covariances squares about one common point suffice, unless a component is so narrow and so far
from it that they would cancel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.linalg import solve_triangular

from deltarule.errors import DataError
from deltarule.runtime.buffers import Array

KINDS: Final = ("full", "tied", "diag", "spherical")
_LOG_TWO_PI: Final = math.log(2 * math.pi)
_EPS: Final = float(np.finfo(np.float64).eps)
_TINY, _HUGE = float(np.finfo(np.float64).tiny), float(np.finfo(np.float64).max)
_NUMBERS: Final = 2**16  # elements of a block
_CANCELS: Final = (
    1e6  # squared distance from the common point, in variances, that costs six digits
)


@dataclass(frozen=True)
class MixtureParameters:
    """Parameters of a mixture: weights (K,), means (K, d), and covariances shaped by ``kind``.

    Covariances are (K, d, d) for "full", (d, d) for "tied", (K, d) for "diag", and (K,) for "spherical".

    >>> one = MixtureParameters.of(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)), "diag")
    >>> one.log_joint(np.zeros((1, 1))).round(4).tolist()
    [[-0.9189]]
    """

    weights: Array
    means: Array
    covariances: Array
    factors: Array  # of the precisions, PPᵀ = Σ⁻¹, shaped as the covariances
    kind: str

    @staticmethod
    def of(
        weights: Array, means: Array, covariances: Array, kind: str
    ) -> MixtureParameters:
        """Return the parameters with their precisions; raises DataError for a singular covariance."""
        return MixtureParameters(
            weights, means, covariances, precision_factors(covariances, kind), kind
        )

    def ordered(self, order: Array) -> MixtureParameters:
        """Return the components reordered."""
        shared = self.kind == "tied"
        covariances, factors = (
            part if shared else part[order] for part in (self.covariances, self.factors)
        )
        return MixtureParameters(
            self.weights[order], self.means[order], covariances, factors, self.kind
        )

    @property
    def precisions(self) -> Array:
        """Σ⁻¹, shaped as the covariances."""
        if self.kind in {"full", "tied"}:
            return np.asarray(self.factors @ np.swapaxes(self.factors, -1, -2))
        return np.asarray(self.factors**2)

    def log_joint(self, x: Array) -> Array:
        """Return ln wₖ + ln 𝒩(x; μₖ, Σₖ), (K, N)."""
        joint = np.empty((len(self.means), len(x)))
        measure = (
            self._squares
            if self.kind in {"full", "tied"}
            else self._independent_squares()
        )
        for rows in blocks(*x.shape):
            measure(x[rows], joint[:, rows])
        joint *= -0.5
        with np.errstate(divide="ignore"):
            joint += (
                np.log(self.weights)
                + self._log_volume()
                - 0.5 * x.shape[1] * _LOG_TWO_PI
            )[:, None]
        return joint

    def _log_volume(self) -> Array:
        """Return ½ ln det Σ⁻¹ of every component (or of the shared covariance)."""
        if self.kind in {"full", "tied"}:
            return np.asarray(
                np.log(np.diagonal(self.factors, axis1=-2, axis2=-1)).sum(axis=-1)
            )
        logs = np.log(self.factors)
        return np.asarray(
            logs.sum(axis=1) if self.kind == "diag" else logs * self.means.shape[1]
        )

    def _squares(self, x: Array, out: Array) -> None:
        """Write the squared Mahalanobis distances (x − μₖ)ᵀ Σₖ⁻¹ (x − μₖ) of a block."""
        for k, mean in enumerate(self.means):
            scaled = (x - mean) @ (
                self.factors if self.kind == "tied" else self.factors[k]
            )
            np.einsum("nd,nd->n", scaled, scaled, out=out[k])

    def _independent_squares(self) -> Any:
        """Return the function that writes the squared distances Σⱼ (xⱼ − μₖⱼ)² pₖⱼ of a block."""
        root = np.broadcast_to(
            self.factors if self.kind == "diag" else self.factors[:, None],
            self.means.shape,
        )
        common = self.means.mean(axis=0)
        scaled = (self.means - common) * root
        if (scaled**2).max(initial=0.0) > _CANCELS:

            def one_by_one(x: Array, out: Array) -> None:
                for k, mean in enumerate(self.means):
                    gap = (x - mean) * root[k]
                    np.einsum("nd,nd->n", gap, gap, out=out[k])

            return one_by_one
        alike = self.kind == "spherical"
        precision, linear, constant = (
            root**2,
            2 * scaled * root,
            (scaled**2).sum(axis=1)[:, None],
        )

        def at_once(x: Array, out: Array) -> None:
            gap = x - common
            np.matmul(linear, gap.T, out=out)
            np.subtract(constant, out, out=out)
            if alike:
                out += precision[:, :1] * np.einsum("nd,nd->n", gap, gap)
            else:
                gap *= gap
                out += precision @ gap.T
            np.maximum(out, 0.0, out=out)

        return at_once


def blocks(n: int, width: int) -> Iterator[slice]:
    """Return slices of rows whose blocks fit in the cache.

    >>> list(blocks(100, 1024))
    [slice(0, 64, None), slice(64, 128, None)]
    """
    size = max(64, _NUMBERS // max(1, width))
    return (slice(start, start + size) for start in range(0, n, size))


def precision_factors(covariances: Array, kind: str) -> Array:
    """Return P with PPᵀ = Σ⁻¹, of each component or of the shared covariance.

    Raises:
        DataError: A covariance that is not positive definite up to rounding.

    >>> precision_factors(np.array([[[4.0]]]), "full").tolist()
    [[[0.5]]]
    """
    if kind in {"diag", "spherical"}:
        if not (covariances > 0).all():
            raise collapsed()
        return np.asarray(1 / np.sqrt(covariances))
    stack = covariances if kind == "full" else covariances[None]
    identity = np.eye(stack.shape[-1])
    factors = np.empty_like(stack)
    for k, covariance in enumerate(stack):
        try:
            lower = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError as error:
            raise collapsed() from error
        # the conditional variance of each feature, given those before it
        left = np.diagonal(lower) ** 2
        if not (left > 4 * _EPS * len(left) * np.diagonal(covariance)).all():
            raise collapsed()
        factors[k] = solve_triangular(lower, identity, lower=True, check_finite=False).T
    return factors if kind == "full" else factors[0]


def collapsed() -> DataError:
    """Return the error for a component with a singular covariance."""
    return DataError(
        "GaussianMixture",
        expected="examples that spread in all directions in every component",
        got="a component on one point, or in a plane (repeated rows, a constant or a redundant feature)",
        hint="Take fewer components, raise reg_covar, or scale the data.",
    )


def expect(x: Array, mixture: MixtureParameters) -> tuple[Array, float, float]:
    """Compute the E step: responsibilities p(k|x), (K, N), and the means of ln p(x) and of the ELBO."""
    joint = mixture.log_joint(x)
    total = bound = 0.0
    for rows in blocks(len(x), 4 * len(joint)):
        part = joint[:, rows]
        top = part.max(axis=0)
        shares = np.exp(part - top)
        sums = shares.sum(axis=0)
        total += float((np.log(sums) + top).sum())
        shares /= sums
        logs = np.log(np.maximum(shares, _TINY))
        bound += float(
            np.vdot(shares, np.maximum(part, -_HUGE) - logs)
        )  # 0 of a component without weight
        joint[:, rows] = shares
    return joint, total / len(x), bound / len(x)


def log_sum(joint: Array) -> Array:
    """Return ln Σₖ exp of (K, N) over the first axis.

    >>> log_sum(np.log([[1.0], [3.0]])).round(4).tolist()
    [1.3863]
    """
    top = joint.max(axis=0)
    return np.asarray(np.log(np.exp(joint - top).sum(axis=0)) + top)


def maximize(
    x: Array, responsibilities: Array, kind: str, reg_covar: float
) -> MixtureParameters:
    """Compute the M step: weighted means and covariances for responsibilities p(k|x), (K, N).

    "full": Σₖ of each component; "tied": one Σ = Σₖ wₖΣₖ; "diag": the diagonal; "spherical": its mean, times I.

    Args:
        x: Examples (N, d).
        responsibilities: p(k|x), (K, N).
        kind: The covariance type.
        reg_covar: Added to every variance.

    Raises:
        DataError: A covariance is singular.
    """
    counts = responsibilities.sum(axis=1) + 10 * _EPS
    common = x.mean(axis=0)
    sums = np.zeros((len(counts), x.shape[1]))
    squares = np.zeros((len(counts), 1 if kind == "spherical" else x.shape[1]))
    for rows in blocks(*x.shape):
        gap = x[rows] - common
        sums += responsibilities[:, rows] @ gap
        if kind == "spherical":
            squares += (
                responsibilities[:, rows] @ np.einsum("nd,nd->n", gap, gap)[:, None]
            )
        elif kind == "diag":
            gap *= gap
            squares += responsibilities[:, rows] @ gap
    shifts = sums / counts[:, None]
    means = shifts + common
    if kind == "full":
        covariances = _own(x, responsibilities, means) / counts[:, None, None]
    elif kind == "tied":
        covariances = _shared(x, responsibilities, means) / counts.sum()
    else:
        between = (
            shifts**2 if kind == "diag" else (shifts**2).sum(axis=1, keepdims=True)
        )
        covariances = squares / counts[:, None] - between
        if (covariances * _CANCELS < between).any():
            covariances = _variances(x, responsibilities, means) / counts[:, None]
        covariances = (
            covariances.sum(axis=1) / x.shape[1] if kind == "spherical" else covariances
        )
    # the mean of equal values has an error of that size
    resolution = float(np.abs(x).max(initial=0.0)) * _EPS
    _regularize(covariances, kind, reg_covar, resolution)
    return MixtureParameters.of(counts / counts.sum(), means, covariances, kind)


def _regularize(
    covariances: Array, kind: str, reg_covar: float, resolution: float
) -> None:
    """Add ``reg_covar`` to all variances; raises DataError if it is 0 and a variance is within rounding error."""
    variances = (
        covariances
        if kind in {"diag", "spherical"}
        else np.diagonal(covariances, axis1=-2, axis2=-1)
    )
    if not reg_covar and not (variances > (4 * resolution) ** 2).all():
        raise collapsed()
    if kind in {"diag", "spherical"}:
        covariances += reg_covar
    else:
        places = np.arange(covariances.shape[-1])
        covariances[..., places, places] += reg_covar


def _own(x: Array, responsibilities: Array, means: Array) -> Array:
    """Return Σₙ rₖₙ(xₙ − μₖ)(xₙ − μₖ)ᵀ, (K, d, d)."""
    spreads = np.zeros((len(means), x.shape[1], x.shape[1]))
    for rows in blocks(*x.shape):
        part, root = x[rows], np.sqrt(responsibilities[:, rows])
        for k, mean in enumerate(means):
            gap = part - mean
            gap *= root[k][:, None]
            spreads[k] += gap.T @ gap
    return spreads


def _variances(x: Array, responsibilities: Array, means: Array) -> Array:
    """Return Σₙ rₖₙ(xₙ − μₖ)² of every feature, (K, d)."""
    spreads = np.zeros_like(means)
    for rows in blocks(*x.shape):
        for k, mean in enumerate(means):
            gap = x[rows] - mean
            gap *= gap
            spreads[k] += responsibilities[k, rows] @ gap
    return spreads


def _shared(x: Array, responsibilities: Array, means: Array) -> Array:
    """Return Σₖₙ rₖₙ(xₙ − μₖ)(xₙ − μₖ)ᵀ, (d, d), from differences to x̂ₙ = Σₖ rₖₙμₖ.

    The remainder is the scatter of the means about x̂ₙ, Σ over pairs k < l of (Σₙ rₖₙrₗₙ)(μₖ − μₗ)(μₖ − μₗ)ᵀ.
    """
    width = x.shape[1]
    spread, overlaps = np.zeros((width, width)), np.zeros((len(means), len(means)))
    for rows in blocks(*x.shape):
        shares = responsibilities[:, rows]
        gap = x[rows] - shares.T @ means
        spread += gap.T @ gap
        overlaps += shares @ shares.T
    for k, mean in enumerate(means):
        gap = (means[:k] - mean) * np.sqrt(overlaps[k, :k])[:, None]
        spread += gap.T @ gap
    return spread
