"""Gaussian mixtures by expectation–maximisation, as a scikit-learn estimator (PR-21, VI-21).

E step: q(z) = p(z|x), so that the ELBO touches the log-likelihood. M step: raise the expected complete
log-likelihood in the parameters. The log-likelihood never falls (Dempster, Laird and Rubin 1977).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from deltarule.errors import ArgumentError
from deltarule.runtime.buffers import Array

KINDS: Final = ("full", "tied", "diag", "spherical")
_LOG_TWO_PI: Final = math.log(2 * math.pi)


@dataclass(frozen=True)
class MixtureParameters:
    """Weights (K,), means (K, d) and full covariances (K, d, d), whatever ``kind`` they are restricted to."""

    weights: Array
    means: Array
    covariances: Array

    def log_joint(self, x: Array) -> Array:
        """Return ln wₖ + ln 𝒩(x; μₖ, Σₖ), (N, K)."""
        factors = np.linalg.cholesky(self.covariances)
        volume = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        columns = []
        for mean, factor in zip(self.means, factors, strict=True):
            scaled = np.linalg.solve(factor, (x - mean).T)
            columns.append((scaled**2).sum(axis=0))
        quadratic = np.stack(columns, axis=1)
        return np.asarray(np.log(self.weights) - volume - 0.5 * (quadratic + x.shape[1] * _LOG_TWO_PI))


def maximize(x: Array, responsibilities: Array, kind: str, reg_covar: float) -> MixtureParameters:
    """Return the M step: weighted means and covariances, restricted to ``kind``.

    full: Σₖ by itself; tied: one Σ = Σₖ wₖΣₖ; diag: its diagonal; spherical: the mean of the diagonal, times I.
    """
    d = x.shape[1]
    counts = responsibilities.sum(axis=0) + 10 * np.finfo(np.float64).eps
    means = responsibilities.T @ x / counts[:, None]
    if kind in {"diag", "spherical"}:
        errors = np.stack(
            [(r[:, None] * (x - mean) ** 2).sum(axis=0) for r, mean in zip(responsibilities.T, means, strict=True)]
        )
        variances = errors / counts[:, None]
        if kind == "spherical":
            variances = np.repeat(variances.mean(axis=1, keepdims=True), d, axis=1)
        covariances = variances[:, :, None] * np.eye(d)
    else:
        covariances = np.stack([
            (r[:, None] * (x - mean)).T @ (x - mean) for r, mean in zip(responsibilities.T, means, strict=True)
        ])  # fmt: skip
        if kind == "tied":
            covariances = np.broadcast_to(covariances.sum(axis=0) / counts.sum(), covariances.shape).copy()
        else:
            covariances = covariances / counts[:, None, None]
    return MixtureParameters(counts / counts.sum(), means, covariances + reg_covar * np.eye(d))


def first_responsibilities(x: Array, k: int, generator: Any) -> Array:
    """Return one-hot rows by k-means++ seeds (Arthur and Vassilvitskii 2007) and ten rounds of k-means."""
    centres = x[[generator.randint(len(x))]]
    for _ in range(1, k):
        nearest = ((x[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
        total = nearest.sum()
        share = nearest / total if total > 0 else np.full(len(x), 1 / len(x))
        centres = np.concatenate([centres, x[[generator.choice(len(x), p=share)]]])
    for _ in range(10):
        labels = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.stack([x[labels == j].mean(axis=0) if (labels == j).any() else centres[j] for j in range(k)])
    labels = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    return np.asarray(np.eye(k)[labels])


@final
class GaussianMixture(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """p(x) = Σ wₖ 𝒩(x; μₖ, Σₖ) by EM; ``covariance_type`` "full", "tied", "diag" or "spherical".

    The best of ``n_init`` starts is kept. ``history_`` has, for every round (an M and an E step), the mean
    log-likelihood and the ELBO E_q[ln p(x, z)] − E_q[ln q] after its E step: they are equal, and the last ones belong
    to what was learned. ``ConvergenceWarning`` tells that ``max_iter`` rounds were too few for ``tol``. ``reg_covar``
    is added to every variance, which makes the rise of the log-likelihood exact only up to its size.

    >>> x = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> GaussianMixture(2, random_state=0).fit(x).means_.round(1).ravel().tolist()
    [0.1, 5.1]
    """

    def __init__(self, n_components: int = 1, *, covariance_type: str = "full", tol: float = 1e-4, max_iter: int = 200,
                 n_init: int = 1, reg_covar: float = 1e-6, random_state: Any = None) -> None:  # fmt: skip
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.reg_covar = reg_covar
        self.random_state = random_state

    def _check(self) -> None:
        for name in ("n_components", "max_iter", "n_init"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ArgumentError(f"GaussianMixture {name}", expected="a whole number ≥ 1", got=repr(value))
        if self.covariance_type not in KINDS:
            expected = f"one of {', '.join(map(repr, KINDS))}"
            raise ArgumentError("GaussianMixture covariance_type", expected=expected, got=repr(self.covariance_type))
        if not self.tol >= 0 or not self.reg_covar >= 0:
            raise ArgumentError(
                "GaussianMixture", expected="tol and reg_covar ≥ 0", got=f"{self.tol}, {self.reg_covar}"
            )

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn ``weights_``, ``means_`` and ``covariances_``; components come in the order of their first mean."""
        del y
        self._check()
        x = np.asarray(validate_data(self, X, dtype=np.float64, ensure_min_samples=2))
        if len(x) < self.n_components:
            raise ValueError(f"n_samples={len(x)} should be >= n_components={self.n_components}")
        generator = check_random_state(self.random_state)
        best: tuple[float, MixtureParameters, list[dict[str, float]], bool] | None = None
        for _ in range(self.n_init):
            found = self._climb(x, first_responsibilities(x, self.n_components, generator))
            if best is None or found[0] > best[0]:
                best = found
        if best is None:
            raise ArgumentError("GaussianMixture n_init", expected="a whole number ≥ 1", got=repr(self.n_init))
        self.lower_bound_, mixture, self.history_, self.converged_ = best
        order = np.lexsort(mixture.means.T[::-1])
        self._mixture = MixtureParameters(mixture.weights[order], mixture.means[order], mixture.covariances[order])
        self.weights_, self.means_ = self._mixture.weights, self._mixture.means
        self.covariances_ = _restricted(self._mixture.covariances, self.covariance_type)
        self.n_iter_ = len(self.history_)
        if not self.converged_:
            warnings.warn(
                f"GaussianMixture has not converged in max_iter={self.max_iter} rounds; raise it, or tol={self.tol}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _climb(
        self, x: Array, responsibilities: Array
    ) -> tuple[float, MixtureParameters, list[dict[str, float]], bool]:
        """Make rounds of an M and an E step until the mean log-likelihood grows by less than ``tol``."""
        history: list[dict[str, float]] = []
        before, converged = -math.inf, False
        for _ in range(self.max_iter):
            mixture = maximize(x, responsibilities, self.covariance_type, self.reg_covar)
            joint = mixture.log_joint(x)
            total = logsumexp(joint, axis=1)
            responsibilities = np.exp(joint - total[:, None])
            history.append({"log_likelihood": float(total.mean()), "elbo": elbo(joint, responsibilities)})
            if total.mean() - before < self.tol:
                converged = True
                break
            before = float(total.mean())
        return history[-1]["log_likelihood"], mixture, history, converged

    def _joint(self, x: Any) -> Array:
        check_is_fitted(self)
        return self._mixture.log_joint(np.asarray(validate_data(self, x, dtype=np.float64, reset=False)))

    def score_samples(self, X: Any) -> Array:
        """Return ln p(x) of every example."""
        return np.asarray(logsumexp(self._joint(X), axis=1))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of ln p(x)."""
        del y
        return float(self.score_samples(X).mean())

    def predict_proba(self, X: Any) -> Array:
        """Return p(k | x), (N, K)."""
        joint = self._joint(X)
        return np.asarray(softmax(joint, axis=1))

    def predict(self, X: Any) -> Array:
        """Return the likeliest component of every example."""
        return np.asarray(self._joint(X).argmax(axis=1))

    def fit_predict(self, X: Any, y: Any = None) -> Array:
        """Return the components of the examples that were learned from."""
        return self.fit(X, y).predict(X)

    def sample(self, n_samples: int = 1) -> tuple[Array, Array]:
        """Return new examples (n, d) and their components, by ``random_state``."""
        check_is_fitted(self)
        generator = check_random_state(self.random_state)
        labels = generator.choice(self.n_components, size=n_samples, p=self.weights_)
        factors = np.linalg.cholesky(self._mixture.covariances)
        noise = generator.normal(size=(n_samples, self.means_.shape[1]))
        return self.means_[labels] + np.einsum("nij,nj->ni", factors[labels], noise), labels

    def n_parameters(self) -> int:
        """Return how many numbers are free."""
        k, d = self.means_.shape
        spread = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": k * d, "spherical": k}
        return int(k - 1 + k * d + spread[self.covariance_type])

    def bic(self, X: Any) -> float:
        """Return −2 ln p(X) + n_parameters·ln N; lower is better (Schwarz 1978)."""
        scores = self.score_samples(X)
        return float(-2 * scores.sum() + self.n_parameters() * math.log(len(scores)))

    def aic(self, X: Any) -> float:
        """Return −2 ln p(X) + 2·n_parameters; lower is better (Akaike 1974)."""
        return float(-2 * self.score_samples(X).sum() + 2 * self.n_parameters())


def elbo(joint: Array, responsibilities: Array) -> float:
    """Return the mean over examples of Σₖ q(k)(ln p(x, k) − ln q(k)) for any responsibilities q (VI-17)."""
    log_q = np.log(responsibilities, out=np.zeros_like(responsibilities), where=responsibilities > 0)
    return float((responsibilities * (joint - log_q)).sum(axis=1).mean())


def _restricted(covariances: Array, kind: str) -> Array:
    """Return (K, d, d), (d, d), (K, d) or (K,), as scikit-learn shapes them."""
    if kind == "tied":
        return np.asarray(covariances[0])
    diagonals = np.diagonal(covariances, axis1=1, axis2=2)
    return np.asarray(covariances if kind == "full" else diagonals if kind == "diag" else diagonals[:, 0])
