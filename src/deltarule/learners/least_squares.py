"""Least squares and its regularised relatives: closed forms where there are any (CM-01 … CM-03, CM-28).

J(θ) = ½Σ w(y − θᵀx)² is a quadratic: ½θᵀGθ − tᵀθ + const for centred data, with the Hessian G = Σ w xxᵀ and
t = Σ w x y. Both grow with the data alone and are computed together, on the native engine where they are large (see
``scatter``). What is left are matrices of d × d, for which a graph would only rename LAPACK's routines.

G has the square of the condition of X. Solutions by G lose as many digits as its condition has; beyond a limit θ comes
from a factorisation of the centred data themselves.
"""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import safe_sparse_dot

from deltarule.cached import cached_property
from deltarule.errors import DataError
from deltarule.learners.base import Array, above, at_least, checked_fit, checked_predict, require, weights_for, whole
from deltarule.learners.moments import Moments
from deltarule.learners.proximal import lasso
from deltarule.learners.scatter import scatters

Pair = tuple[Array, Array]


@final
class _Quadratic:
    """½θᵀGθ − tᵀθ: what is minimised, without its penalty. ``mass`` is Σw.

    ``sums`` returns G (d, d) and t (d, outputs), ``rows`` matrices A and b with AᵀA = G and Aᵀb = t. Each is computed
    when it is needed: with more features than examples, ``regular`` False, G is large and of no use.
    """

    def __init__(self, mass: float, regular: bool, sums: Callable[[], Pair], rows: Callable[[], Pair]) -> None:
        self.mass, self.regular, self.rows = mass, regular, rows
        self._sums = sums

    @cached_property
    def sums(self) -> Pair:
        """G and t."""
        return self._sums()

    def condition(self, alpha: float = 0.0) -> float:
        """Return the ratio of the largest eigenvalue of G + α to the smallest; ∞ where it is singular."""
        if not self.regular:
            return np.inf
        values = linalg.eigvalsh(self.sums[0], check_finite=False) + alpha
        return float(values[-1] / values[0]) if values[0] > 0 else np.inf

    @staticmethod
    def of(x: Array, y: Array, weights: Array, means: Pair) -> _Quadratic:
        """Return J of examples (N, d) with targets (N, outputs), centred about the means."""
        root = np.sqrt(weights)[:, None]
        return _Quadratic(
            float(weights.sum()),
            len(x) >= x.shape[1],
            lambda: scatters(x, y, means, None if (weights == 1).all() else weights),
            lambda: ((x - means[0]) * root, (y - means[1]) * root),
        )

    @staticmethod
    def seen(moments: Moments, d: int, centred: bool) -> _Quadratic:
        """Return J of examples whose moments were counted, targets behind d features."""
        spread = moments.scatter
        if not centred:
            spread = spread + moments.weight * np.outer(moments.mean, moments.mean)

        def rows() -> Pair:
            found = moments.rows()
            if not centred:
                found = np.vstack([found, np.sqrt(moments.weight) * moments.mean])
            return found[:, :d], found[:, d:]

        return _Quadratic(moments.weight, True, lambda: (spread[:d, :d], spread[:d, d:]), rows)


class _LinearRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """ŷ = xᵀθ + b with θ from ``_solve`` on centred data."""

    fit_intercept: bool

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn ``coef_`` and ``intercept_``."""
        x, targets = checked_fit(self, X, y, multi_output=True, y_numeric=True)
        weights = weights_for(x, targets, sample_weight)
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        if self.fit_intercept:
            means = weights @ x / weights.sum(), weights @ columns / weights.sum()
        else:
            means = np.zeros(x.shape[1]), np.zeros(columns.shape[1])
        theta = self._solve(_Quadratic.of(x, columns, weights, means))
        self._seen: Moments | None = None
        self._keep(theta, *means, flat=targets.ndim == 1)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add a chunk: the solution is that for all chunks together, up to rounding; after ``fit`` it starts anew.

        Of the chunks only Σw, the means and the scatter of (x, y) are kept.
        """
        first = getattr(self, "_seen", None) is None
        x, targets = checked_fit(self, X, y, multi_output=True, y_numeric=True, reset=first)
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        d = x.shape[1]
        seen = Moments(d + columns.shape[1], full=True) if first else copy.copy(self._seen)
        if seen is None or len(seen.mean) != d + columns.shape[1]:
            raise ValueError(f"y has {columns.shape[1]} columns, and other chunks have had another number")
        weights = weights_for(x, targets, sample_weight)
        used = weights > 0
        seen.add(np.concatenate([x, columns], axis=1)[used], weights[used])
        means = seen.mean if self.fit_intercept else np.zeros(len(seen.mean))
        theta = self._solve(_Quadratic.seen(seen, d, self.fit_intercept))
        self._seen = seen  # now that nothing was wrong: a chunk counts once
        self._keep(theta, means[:d], means[d:], flat=targets.ndim == 1)
        return self

    def _keep(self, theta: Array, x_mean: Array, y_mean: Array, flat: bool) -> None:
        self.coef_ = theta[:, 0] if flat else theta.T
        bias = y_mean - x_mean @ theta
        self.intercept_ = float(bias[0]) if flat else bias

    @abstractmethod
    def _solve(self, j: _Quadratic) -> Array:
        """Return θ, (d, outputs)."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> Array:
        """Return xᵀθ + b."""
        return np.asarray(safe_sparse_dot(checked_predict(self, X), self.coef_.T) + self.intercept_)


@final
class LinearRegression(_LinearRegressor):
    """arg min ½Σ wᵢ(yᵢ − θᵀxᵢ − b)² (CM-01, CM-02).

    ``solver="normal"`` solves the normal equations XᵀXθ = Xᵀy; ``"svd"`` takes the pseudo-inverse (the smallest θ
    where XᵀX is singular); ``"auto"`` takes the normal equations while they are well conditioned.

    >>> LinearRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 1.0, 3.0]).coef_.round(12).tolist()
    [0.9]
    """

    def __init__(self, *, fit_intercept: bool = True, solver: str = "auto") -> None:
        self.fit_intercept = fit_intercept
        self.solver = solver

    def _solve(self, j: _Quadratic) -> Array:
        require(self, "solver", {"auto", "normal", "svd"}.__contains__, "'auto', 'normal' or 'svd'")
        condition = np.inf if self.solver == "svd" else j.condition()
        if self.solver == "normal" and not condition < 1 / np.finfo(np.float64).eps:
            raise DataError(
                "LinearRegression solver='normal'", expected="features of which none depends on the others",
                got="a singular XᵀX", hint="Write solver='auto' or 'svd', or take Ridge.",
            )  # fmt: skip
        if self.solver == "normal" or condition < 1e10:
            return np.asarray(np.linalg.solve(*j.sums))
        return np.asarray(np.linalg.lstsq(*j.rows(), rcond=None)[0])


@final
class Ridge(_LinearRegressor):
    """arg min Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖²; the intercept is not penalised (CM-28).

    θ solves (XᵀX + αI)θ = Xᵀy while the matrix has a condition below 10⁶, (λ₁ + α)/(λ_d + α) for the eigenvalues λ of
    XᵀX, so that nine digits are left; else θ comes from the singular values s of X, by s/(s² + α).
    """

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _solve(self, j: _Quadratic) -> Array:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        if j.condition(self.alpha) < 1e6:
            gram, target = j.sums
            matrix = gram + self.alpha * np.eye(len(gram))
            return np.asarray(linalg.solve(matrix, target, assume_a="pos", check_finite=False))
        x, y = j.rows()
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        shrunk = np.divide(s, s**2 + self.alpha, out=np.zeros_like(s), where=s > 1e-15 * s.max(initial=0.0))
        return np.asarray(vt.T @ (shrunk[:, None] * (u.T @ y)))


@final
class Lasso(_LinearRegressor):
    """arg min 1/(2Σw) Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖₁ by accelerated proximal steps (FISTA, Beck and Teboulle 2009).

    The proximal step of α‖θ‖₁ is soft thresholding; coefficients become exactly 0 (DA-19). Steps are NumPy's at first,
    and native when many are needed. ``ConvergenceWarning`` tells that ``max_iter`` steps were too few for ``tol``.
    """

    def __init__(
        self, *, alpha: float = 1.0, fit_intercept: bool = True, max_iter: int = 10_000, tol: float = 1e-8
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def _solve(self, j: _Quadratic) -> Array:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", above(0), "a number > 0")
        gram, target = j.sums
        theta, self.n_iter_, ended = lasso(gram / j.mass, target / j.mass, self.alpha, self.max_iter, self.tol)
        if not ended:
            warnings.warn(
                f"Lasso has not converged in max_iter={self.max_iter} steps; raise it, or tol={self.tol}, or bring the "
                "features to one scale, for instance by StandardScaler()",
                ConvergenceWarning,
                stacklevel=3,
            )
        return theta
