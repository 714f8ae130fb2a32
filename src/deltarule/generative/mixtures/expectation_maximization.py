"""Gaussian mixtures by expectation–maximization, as a scikit-learn estimator.

E step: q(z) = p(z|x), so that the ELBO equals the log-likelihood. M step: maximize the expected complete-data
log-likelihood in the parameters. The log-likelihood never decreases (Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, Self, final

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_spreads, check_squares
from deltarule.errors import ArgumentError, DataError, user_level
from deltarule.flags import check_parameters
from deltarule.generative.mixtures.starts import STARTS, covariances_of, given
from deltarule.generative.mixtures.steps import (
    KINDS,
    MixtureParameters,
    collapsed,
    expect,
    log_sum,
    maximize,
)
from deltarule.runtime.buffers import Array

__all__ = ["GaussianMixture"]

_Run = tuple[float, MixtureParameters, list[dict[str, float]], bool]


@final
class GaussianMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Gaussian mixture model p(x) = Σₖ wₖ 𝒩(x; μₖ, Σₖ), fitted by expectation–maximization.

    Args:
        n_components: The number K of components.
        covariance_type: "full", "tied" (one Σ for all), "diag" or "spherical".
        tol: Increase of the mean log-likelihood below which the iterations stop.
        max_iter: Maximal number of iterations; a ``ConvergenceWarning`` is issued if they were too few.
        n_init: Number of initializations, the best of which is kept.
        reg_covar: Added to every variance. The log-likelihood is monotone only up to its size; with 0 a component that
            collapses onto a point or a plane raises DataError.
        init_params: How responsibilities are initialized: "kmeans", "k-means++", "random" or "random_from_data".
        weights_init: Initial weights (K,), instead of those of ``init_params``.
        means_init: Initial means (K, d).
        precisions_init: Initial precisions, shaped as ``covariances_``.
        warm_start: Whether a fit continues from the parameters of the last one.
        random_state: Seed, or a NumPy random state.

    Attributes:
        weights_: w, (K,).
        means_: μ, (K, d), in the order of their first element, or in that of ``means_init``.
        covariances_: Σ: (K, d, d) full, (d, d) tied, (K, d) diag, (K,) spherical.
        precisions_: The inverses of the covariances.
        precisions_cholesky_: Their factors P, PPᵀ = Σ⁻¹.
        converged_: Whether ``tol`` was reached.
        n_iter_: Number of iterations.
        lower_bound_: The mean log-likelihood of the fit.
        history_: The mean log-likelihood and the ELBO E_q[ln p(x, z)] − E_q[ln q] after the E step of every iteration.
            They are equal.

    >>> x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> GaussianMixture(2, random_state=0).fit(x).means_.round(1).ravel().tolist()
    [0.1, 5.1]
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-4,
        max_iter: int = 200,
        n_init: int = 1,
        reg_covar: float = 1e-6,
        init_params: str = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.reg_covar = reg_covar
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.warm_start = warm_start
        self.random_state = random_state

    def _check(self) -> None:
        for name in ("n_components", "max_iter", "n_init"):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, np.integer))
                or value < 1
            ):
                raise ArgumentError(
                    f"GaussianMixture {name}",
                    expected="a whole number ≥ 1",
                    got=repr(value),
                )
        for name, choices in (
            ("covariance_type", KINDS),
            ("init_params", tuple(STARTS)),
        ):
            value = getattr(self, name)
            if value not in choices:
                expected = f"one of {', '.join(map(repr, choices))}"
                raise ArgumentError(
                    f"GaussianMixture {name}", expected=expected, got=repr(value)
                )
        for name in ("tol", "reg_covar"):
            value = getattr(self, name)
            if (
                isinstance(value, bool)
                or not isinstance(value, numbers.Real)
                or not 0 <= float(value) < math.inf
            ):
                raise ArgumentError(
                    f"GaussianMixture {name}", expected="a number ≥ 0", got=repr(value)
                )

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the mixture to the rows of X.

        Raises:
            DataError: A component has collapsed onto a point or a plane, or squares of X overflow.
            ValueError: Fewer examples than components, or X is rejected by scikit-learn.

        >>> mixture = GaussianMixture(2, random_state=0).fit([[0.0], [0.1], [5.0], [5.1]])
        >>> np.sort(mixture.means_.ravel()).round(2).tolist()
        [0.05, 5.05]
        """
        del y
        check_parameters(self, type(self).__init__)
        self._check()
        goes_on = self.warm_start and hasattr(self, "_mixture")
        x = np.asarray(
            validate_data(
                self, X, dtype=np.float64, ensure_min_samples=2, reset=not goes_on
            )
        )
        check_squares(x, "GaussianMixture X")
        check_spreads(x, "GaussianMixture X")
        if len(x) < self.n_components:
            raise ValueError(
                f"n_samples={len(x)} should be >= n_components={self.n_components}"
            )
        self.lower_bound_, mixture, self.history_, self.converged_ = self._best(
            x, goes_on
        )
        if self.means_init is None:
            mixture = mixture.ordered(np.lexsort(mixture.means.T[::-1]))
        self._mixture = mixture
        self.weights_, self.means_, self.covariances_ = (
            mixture.weights,
            mixture.means,
            mixture.covariances,
        )
        self.precisions_, self.precisions_cholesky_ = (
            mixture.precisions,
            mixture.factors,
        )
        self.n_iter_ = len(self.history_)
        if not self.converged_:
            warnings.warn(
                f"GaussianMixture has not converged in max_iter={self.max_iter} iterations; "
                f"raise it, or tol={self.tol}",
                ConvergenceWarning,
                stacklevel=user_level(),
            )
        return self

    def _best(self, x: Array, goes_on: bool) -> _Run:
        """Return the best of all initializations; raises the error of the last one if all fail."""
        if goes_on:
            responsibilities, before, _ = expect(x, self._last())
            return self._climb(x, responsibilities, before)
        generator = check_random_state(self.random_state)
        shape = (self.n_components, x.shape[1])
        user_given = _given_parameters(self, shape)
        best: _Run | None = None
        failure: DataError | None = None
        for _ in range(self.n_init):
            try:
                found = self._climb(x, self._start(x, generator, user_given))
            except DataError as error:
                failure = error
                continue
            if best is None or found[0] > best[0]:
                best = found
        if best is None:
            raise failure if failure is not None else collapsed()
        return best

    def _start(
        self,
        x: Array,
        generator: Any,
        user_given: tuple[Array | None, Array | None, Array | None],
    ) -> Array:
        """Return the initial responsibilities (K, N), by ``init_params`` or from given parameters."""
        weights, means, covariances = user_given
        if weights is None or means is None or covariances is None:
            shares = STARTS[self.init_params](x, self.n_components, generator)
            if weights is None and means is None and covariances is None:
                return shares
            made = maximize(x, shares, self.covariance_type, self.reg_covar)
            weights = made.weights if weights is None else weights
            means = made.means if means is None else means
            covariances = made.covariances if covariances is None else covariances
        given = MixtureParameters.of(weights, means, covariances, self.covariance_type)
        return expect(x, given)[0]

    def _last(self) -> MixtureParameters:
        """Return the parameters of the last fit; raises ArgumentError if their form has changed."""
        last = self._mixture
        for name, own, before in (
            ("n_components", self.n_components, len(last.means)),
            ("covariance_type", self.covariance_type, last.kind),
        ):
            if own != before:
                raise ArgumentError(
                    f"GaussianMixture {name}",
                    expected=f"{before!r}, that of the last fit, with warm_start",
                    got=repr(own),
                    hint="With warm_start=False, or in a clone, the fit starts afresh.",
                )
        return last

    def _climb(
        self, x: Array, responsibilities: Array, before: float = -math.inf
    ) -> _Run:
        """Iterate M and E steps until the mean log-likelihood increases by less than ``tol``."""
        history: list[dict[str, float]] = []
        converged = False
        for _ in range(self.max_iter):
            mixture = maximize(
                x, responsibilities, self.covariance_type, self.reg_covar
            )
            responsibilities, likelihood, bound = expect(x, mixture)
            history.append({"log_likelihood": likelihood, "elbo": bound})
            if likelihood - before < self.tol:
                converged = True
                break
            before = likelihood
        return history[-1]["log_likelihood"], mixture, history, converged

    def _joint(self, x: Any) -> Array:
        check_is_fitted(self)
        checked = np.asarray(validate_data(self, x, dtype=np.float64, reset=False))
        check_squares(checked, "GaussianMixture X")
        return self._mixture.log_joint(checked).T

    def score_samples(self, X: Any) -> Array:
        """Return the log-likelihood ln p(x) of every example.

        >>> mixture = GaussianMixture(1).fit([[-1.0], [1.0]])
        >>> mixture.score_samples([[0.0]]).round(4).tolist()
        [-0.9189]
        """
        return log_sum(self._joint(X).T)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean log-likelihood of the examples."""
        del y
        return float(self.score_samples(X).mean())

    def predict_proba(self, X: Any) -> Array:
        """Return the responsibilities p(k | x), (N, K).

        >>> mixture = GaussianMixture(2, random_state=0).fit([[0.0], [0.1], [5.0], [5.1]])
        >>> mixture.predict_proba([[0.0], [5.0]]).max(axis=1).round(4).tolist()
        [1.0, 1.0]
        """
        return np.asarray(softmax(self._joint(X), axis=1))

    def predict(self, X: Any) -> Array:
        """Return the most probable component of every example.

        >>> mixture = GaussianMixture(2, random_state=0).fit([[0.0], [0.1], [5.0], [5.1]])
        >>> first, second = mixture.predict([[0.05], [5.05]])
        >>> bool(first != second)
        True
        """
        return np.asarray(self._joint(X).argmax(axis=1))

    def fit_predict(self, X: Any, y: Any = None) -> Array:
        """Fit the mixture, and return the most probable component of every example."""
        return self.fit(X, y).predict(X)

    def sample(self, n_samples: int = 1) -> tuple[Array, Array]:
        """Return new examples (n, d) and their components, drawn with ``random_state``.

        >>> mixture = GaussianMixture(2, random_state=0).fit([[0.0], [0.1], [5.0], [5.1]])
        >>> examples, components = mixture.sample(3)
        >>> examples.shape, components.shape
        ((3, 1), (3,))
        """
        check_is_fitted(self)
        if (
            isinstance(n_samples, bool)
            or not isinstance(n_samples, (int, np.integer))
            or n_samples < 1
        ):
            raise ArgumentError(
                "GaussianMixture.sample n",
                expected="a whole number ≥ 1",
                got=repr(n_samples),
            )
        generator = check_random_state(self.random_state)
        labels = generator.choice(len(self.means_), size=n_samples, p=self.weights_)
        noise = generator.normal(size=(n_samples, self.means_.shape[1]))
        if self._mixture.kind in {"diag", "spherical"}:
            deviations = np.sqrt(self.covariances_).reshape(len(self.means_), -1)
            return self.means_[labels] + deviations[labels] * noise, labels
        lower = np.linalg.cholesky(self.covariances_)
        drawn = np.empty_like(noise)
        for k in range(len(self.means_)):
            own = labels == k
            drawn[own] = (
                noise[own] @ (lower if self._mixture.kind == "tied" else lower[k]).T
            )
        return self.means_[labels] + drawn, labels

    def n_parameters(self) -> int:
        """Return the number of free parameters.

        >>> GaussianMixture(2).fit([[0.0, 1.0], [0.1, 1.2], [5.0, 4.0], [5.1, 4.4]]).n_parameters()
        11
        """
        k, d = self.means_.shape
        spread = {
            "full": k * d * (d + 1) // 2,
            "tied": d * (d + 1) // 2,
            "diag": k * d,
            "spherical": k,
        }
        return int(k - 1 + k * d + spread[self._mixture.kind])

    def bic(self, X: Any) -> float:
        """Return the Bayesian information criterion −2 ln p(X) + n_parameters·ln N; lower is better (Schwarz 1978).

        >>> x = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]
        >>> one, two = (GaussianMixture(k, random_state=0).fit(x) for k in (1, 2))
        >>> two.bic(x) < one.bic(x)
        True
        """
        scores = self.score_samples(X)
        return float(-2 * scores.sum() + self.n_parameters() * math.log(len(scores)))

    def aic(self, X: Any) -> float:
        """Return the Akaike information criterion −2 ln p(X) + 2·n_parameters; lower is better (Akaike 1974)."""
        return float(-2 * self.score_samples(X).sum() + 2 * self.n_parameters())


def elbo(joint: Array, responsibilities: Array) -> float:
    """Return the mean ELBO Σₖ q(k)(ln p(x, k) − ln q(k)) of the examples for any responsibilities q, (N, K).

    >>> round(elbo(np.log([[0.1, 0.3]]), np.array([[0.25, 0.75]])), 6) == round(math.log(0.4), 6)
    True
    """
    log_q = np.log(
        responsibilities,
        out=np.zeros_like(responsibilities),
        where=responsibilities > 0,
    )
    return float((responsibilities * (joint - log_q)).sum(axis=1).mean())


def _given_parameters(
    learner: GaussianMixture, shape: tuple[int, int]
) -> tuple[Array | None, Array | None, Array | None]:
    """Return the initial weights, means and covariances that were given, None for the others."""
    k, d = shape
    spread = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[
        learner.covariance_type
    ]
    precisions = given("precisions_init", learner.precisions_init, spread)
    return (
        given("weights_init", learner.weights_init, (k,)),
        given("means_init", learner.means_init, shape),
        None
        if precisions is None
        else covariances_of(precisions, learner.covariance_type),
    )


check_calls(__name__)
