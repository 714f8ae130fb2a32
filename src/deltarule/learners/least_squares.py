"""Least squares and its regularised relatives: closed forms where there are any (CM-01 … CM-03, CM-28).

They are linear algebra on moments of the data, XᵀX and Xᵀy, for which a graph of single examples would do more work.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self, final

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.extmath import safe_sparse_dot

from deltarule.errors import DataError
from deltarule.learners.base import Array, above, at_least, checked_fit, checked_predict, require, weights_for, whole
from deltarule.learners.moments import Moments


def _centred(x: Array, y: Array, weights: Array, intercept: bool) -> tuple[Array, Array, Array, Array]:
    """Return weighted-centred X and y, scaled by √w, and the means."""
    if intercept:
        x_mean = np.average(x, axis=0, weights=weights)
        y_mean = np.average(y, axis=0, weights=weights)
    else:
        x_mean, y_mean = np.zeros(x.shape[1]), np.zeros(y.shape[1])
    root = np.sqrt(weights)[:, None]
    return (x - x_mean) * root, (y - y_mean) * root, x_mean, y_mean


class _LinearRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """ŷ = xᵀθ + b with θ from ``_solve`` on centred data."""

    fit_intercept: bool

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn ``coef_`` and ``intercept_``."""
        x, targets = checked_fit(self, X, y, multi_output=True, y_numeric=True)
        weights = weights_for(x, targets, sample_weight)
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        a, b, x_mean, y_mean = _centred(x, columns, weights, self.fit_intercept)
        theta = self._solve(a, b, float(weights.sum()))
        self._seen: Moments | None = None
        self._keep(theta, x_mean, y_mean, flat=targets.ndim == 1)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add a chunk: the solution is that for all chunks together, up to rounding; after ``fit`` it starts anew.

        Of the chunks only Σw, the means and the scatter of (x, y) are kept.
        """
        first = getattr(self, "_seen", None) is None
        x, targets = checked_fit(self, X, y, multi_output=True, y_numeric=True, reset=first)
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        d = x.shape[1]
        if first:
            self._seen = Moments(d + columns.shape[1], full=True)
        seen = self._seen
        if seen is None or len(seen.mean) != d + columns.shape[1]:
            raise ValueError(f"y has {columns.shape[1]} columns, and other chunks have had another number")
        weights = weights_for(x, targets, sample_weight)
        used = weights > 0
        seen.add(np.concatenate([x, columns], axis=1)[used], weights[used])
        means = seen.mean if self.fit_intercept else np.zeros(len(seen.mean))
        rows = seen.rows() if self.fit_intercept else np.vstack([seen.rows(), np.sqrt(seen.weight) * seen.mean])
        theta = self._solve(rows[:, :d], rows[:, d:], seen.weight)
        self._keep(theta, means[:d], means[d:], flat=targets.ndim == 1)
        return self

    def _keep(self, theta: Array, x_mean: Array, y_mean: Array, flat: bool) -> None:
        self.coef_ = theta[:, 0] if flat else theta.T
        bias = y_mean - x_mean @ theta
        self.intercept_ = float(bias[0]) if flat else bias

    @abstractmethod
    def _solve(self, x: Array, y: Array, mass: float) -> Array:
        """Return θ for centred x and y, rows scaled by √w; ``mass`` is Σw."""

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

    def _solve(self, x: Array, y: Array, mass: float) -> Array:
        del mass
        require(self, "solver", {"auto", "normal", "svd"}.__contains__, "'auto', 'normal' or 'svd'")
        gram = x.T @ x
        if self.solver == "normal" or (self.solver == "auto" and np.linalg.cond(gram) < 1e10):
            try:
                return np.asarray(np.linalg.solve(gram, x.T @ y))
            except np.linalg.LinAlgError as error:
                raise DataError(
                    "LinearRegression solver='normal'", expected="features of which none depends on the others",
                    got="a singular XᵀX", hint="Write solver='auto' or 'svd', or take Ridge.",
                ) from error  # fmt: skip
        return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0])


@final
class Ridge(_LinearRegressor):
    """arg min Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖²; the intercept is not penalised (CM-28)."""

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _solve(self, x: Array, y: Array, mass: float) -> Array:
        del mass
        require(self, "alpha", at_least(0), "a number ≥ 0")
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        shrunk = np.divide(s, s**2 + self.alpha, out=np.zeros_like(s), where=s > 1e-15 * s.max(initial=0.0))
        return np.asarray(vt.T @ (shrunk[:, None] * (u.T @ y)))


@final
class Lasso(_LinearRegressor):
    """arg min 1/(2Σw) Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖₁ by accelerated proximal steps (FISTA, Beck and Teboulle 2009).

    The proximal step of α‖θ‖₁ is soft thresholding; coefficients become exactly 0 (DA-19).
    """

    def __init__(
        self, *, alpha: float = 1.0, fit_intercept: bool = True, max_iter: int = 10_000, tol: float = 1e-8
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def _solve(self, x: Array, y: Array, mass: float) -> Array:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", above(0), "a number > 0")
        gram, target = x.T @ x / mass, x.T @ y / mass
        lipschitz = float(np.linalg.eigvalsh(gram).max(initial=0.0)) or 1.0
        theta = ahead = np.zeros_like(target)
        momentum = 1.0
        for step in range(1, self.max_iter + 1):
            moved = ahead - (gram @ ahead - target) / lipschitz
            new = np.sign(moved) * np.maximum(np.abs(moved) - self.alpha / lipschitz, 0)
            following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            restart = float(((ahead - new) * (new - theta)).sum()) > 0  # O'Donoghue and Candès 2015
            momentum, factor = (1.0, 0.0) if restart else (following, (momentum - 1) / following)
            change = float(np.abs(new - theta).max(initial=0.0))
            theta, ahead = new, new + factor * (new - theta)
            self.n_iter_ = step
            if change <= self.tol * max(1.0, float(np.abs(theta).max(initial=0.0))) and not restart:
                break
        return np.asarray(theta)
