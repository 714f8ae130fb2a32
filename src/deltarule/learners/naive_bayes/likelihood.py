"""Closed-form maximum likelihood estimates of common distributions.

arg max Σ wᵢ log p(xᵢ|θ) as plain numbers, which minimising −Σ log p by gradient descent
converges to. Densities and samples are in ``deltarule.generative``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError
from deltarule.learners.linear_model.scatter import scatter

__all__ = ["maximum_likelihood"]

Numbers = npt.NDArray[np.float64]


def _normal(x: Numbers, mass: Numbers) -> dict[str, Any]:
    mean = mass @ x
    return {"mean": mean, "variance": mass @ (x - mean) ** 2}


def _multivariate_normal(x: Numbers, mass: Numbers) -> dict[str, Any]:
    mean = mass @ x
    return {"mean": mean, "covariance": scatter(x, mean, mass)}


def _bernoulli(x: Numbers, mass: Numbers) -> dict[str, Any]:
    _all(np.isin(x, (0, 1)), "observations 0 and 1")
    return {"probability": np.clip(mass @ x, 0.0, 1.0)}


def _categorical(x: Numbers, mass: Numbers) -> dict[str, Any]:
    _all((x >= 0) & (x == np.floor(x)), "classes 0, 1, 2 …")
    return {"probabilities": np.bincount(x.astype(np.int64), mass)}


def _poisson(x: Numbers, mass: Numbers) -> dict[str, Any]:
    _all((x >= 0) & (x == np.floor(x)), "counts 0, 1, 2 …")
    return {"rate": mass @ x}


def _laplace(x: Numbers, mass: Numbers) -> dict[str, Any]:
    """Return the weighted median (the smallest of several) and the mean absolute deviation from it."""
    order = np.argsort(x, kind="stable")
    median = x[order][np.searchsorted(np.cumsum(mass[order]), 0.5 - 1e-12)]
    return {"location": median, "scale": mass @ np.abs(x - median)}


_ESTIMATES: Mapping[str, tuple[int, Callable[[Numbers, Numbers], dict[str, Any]]]] = {
    "normal": (1, _normal),
    "multivariate_normal": (2, _multivariate_normal),
    "bernoulli": (1, _bernoulli),
    "categorical": (1, _categorical),
    "poisson": (1, _poisson),
    "laplace": (1, _laplace),
}


def _all(fits: npt.NDArray[np.bool_], expected: str) -> None:
    if not fits.all():
        raise DataError(
            "maximum_likelihood",
            expected=expected,
            got=f"another value in row {int(np.argmin(fits))}",
        )


def maximum_likelihood(
    distribution: str, x: Any, weights: Any = None
) -> dict[str, Any]:
    """Return the maximum likelihood estimates of the parameters of a distribution from independent observations.

    Args:
        distribution: "normal" (mean and biased variance), "multivariate_normal" (mean
            and biased covariance), "bernoulli", "categorical", "poisson" or "laplace".
        x: Observations (N,), or (N, k) for "multivariate_normal".
        weights: One weight ≥ 0 per observation; None for equal weights.

    Returns:
        The estimates by name.

    Raises:
        ArgumentError: An unknown distribution.
        DataError: Observations outside the support of the distribution, or invalid
            weights.

    >>> {name: round(float(value), 4) for name, value in maximum_likelihood("normal", [1, 2, 6]).items()}
    {'mean': 3.0, 'variance': 4.6667}
    """
    if distribution not in _ESTIMATES:
        raise ArgumentError(
            "maximum_likelihood",
            expected=f"one of {', '.join(_ESTIMATES)}",
            got=repr(distribution),
        )
    rank, estimate = _ESTIMATES[distribution]
    data = np.asarray(x, np.float64)
    if data.ndim != rank or not len(data) or not np.isfinite(data).all():
        raise DataError(
            "maximum_likelihood",
            expected=f"finite observations of {rank} axes",
            got=f"shape {data.shape}",
        )
    mass = np.ones(len(data)) if weights is None else np.asarray(weights, np.float64)
    if mass.shape != (len(data),) or not (mass >= 0).all() or not mass.sum() > 0:
        raise DataError(
            "maximum_likelihood weights",
            expected=f"{len(data)} numbers ≥ 0",
            got=f"shape {mass.shape}",
        )
    return estimate(data, mass / mass.sum())


check_calls(__name__)
