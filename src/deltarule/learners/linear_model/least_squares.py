"""Linear least squares, ridge regression, the lasso and the elastic net.

J(θ) = ½Σ w(y − θᵀx)² is a quadratic, ½θᵀGθ − tᵀθ + const for centred data, with the
Hessian G = Σ w xxᵀ and t = Σ w xy. G has the squared condition number of X: solutions
by G lose as many digits as its condition number has, with features scaled to equal
size. Up to a condition number of 10⁵ they are computed from G, which is the cheapest,
and beyond from the rows (``quadratic``, ``solutions``). For chunks a running
factorisation is stored (``factor``).
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, lsqr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import safe_sparse_dot

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, user_level
from deltarule.learners.base import (
    Array,
    above,
    at_least,
    checked_fit,
    checked_predict,
    require,
    share,
    switch,
    weights_for,
    whole,
)
from deltarule.learners.linear_model.factor import Factor
from deltarule.learners.linear_model.proximal import elastic_net
from deltarule.learners.linear_model.quadratic import (
    MOST_FEATURES,
    OfFactor,
    OfRows,
    OfSparse,
    Quadratic,
)
from deltarule.learners.linear_model.solutions import by_rows, by_sums

__all__ = ["ElasticNet", "Lasso", "LinearRegression", "Ridge"]

_MOST_CONDITION = 1e5  # of G for the normal equations, which leaves ten digits
_MOST_STEPS = 10  # LSQR steps per feature


class _LinearRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """ŷ = xᵀθ + b with θ from ``_solve`` on centred data."""

    fit_intercept: bool
    _relative = True  # whether equal weights leave the minimum as it is

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Compute ``coef_`` and ``intercept_``; sparse X stays sparse.

        Args:
            X: Examples (N, d), an array or a sparse matrix.
            y: Targets (N,) or (N, targets).
            sample_weight: One weight ≥ 0 per example; weight 2 equals the example
                twice.

        >>> learner = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
        >>> learner.coef_.round(6).tolist(), round(float(learner.intercept_), 6)
        ([2.0], 1.0)
        """
        self._check()
        x, targets = checked_fit(
            self, X, y, sparse=True, multi_output=True, y_numeric=True
        )
        weights = weights_for(x, targets, sample_weight)
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        used = weights > 0
        if not used.all():
            x, columns, weights = x[used], columns[used], weights[used]
        if self._relative and (weights == weights[:1]).all():
            weights = np.ones_like(weights)  # the same minimum, and no digit less
        kind = OfSparse if sparse.issparse(x) else OfRows
        self._seen: Factor | None = None
        return self._keep(
            kind(x, columns, weights, bool(self.fit_intercept)), flat=targets.ndim == 1
        )

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add a chunk: the solution is that for all chunks together, up to rounding; after ``fit`` it restarts.

        Only Σw, the means and a factorisation of the centred (x, y) are stored.

        >>> learner = LinearRegression().partial_fit([[0.0], [1.0]], [1.0, 3.0])
        >>> learner.partial_fit([[2.0]], [5.0]).predict([[3.0]]).round(6).tolist()
        [7.0]
        """
        self._check()
        first = getattr(self, "_seen", None) is None
        x, targets = checked_fit(
            self, X, y, sparse=True, multi_output=True, y_numeric=True, reset=first
        )
        columns = targets.reshape(len(targets), -1).astype(np.float64)
        d = x.shape[1]
        seen = (
            Factor(d + columns.shape[1]) if first or self._seen is None else self._seen
        )
        if len(seen) != d + columns.shape[1]:
            raise ValueError(
                f"y has {columns.shape[1]} columns, and other chunks have had another number"
            )
        weights = weights_for(x, targets, sample_weight)
        used = weights > 0
        rows: Any = x.toarray() if sparse.issparse(x) else x  # type: ignore[attr-defined]  # sparse, not an array
        seen = seen.added(np.concatenate([rows, columns], axis=1)[used], weights[used])
        j = OfFactor(seen, d, bool(self.fit_intercept), self._relative)
        self._keep(j, flat=targets.ndim == 1)
        self._seen = seen  # now that nothing was wrong: a chunk counts once
        return self

    def _keep(self, j: Quadratic, flat: bool) -> Self:
        """Solve, and store coefficients in the units of the data; raise DataError for those that are not finite."""
        unit, target_unit = j.units
        theta = self._solve(j)
        with np.errstate(over="ignore"):
            bias = (j.means[1] - j.means[0] @ theta) / target_unit
            theta = theta * unit[:, None] / target_unit
        if not (np.isfinite(theta).all() and np.isfinite(bias).all()):
            raise DataError(
                f"{type(self).__name__} X",
                expected="features and targets whose coefficients are finite numbers",
                got="others",
                hint="Scale the features and targets, for instance by StandardScaler().",
            )
        self.coef_ = theta[:, 0] if flat else theta.T
        self.intercept_ = float(bias[0]) if flat else bias
        return self

    @abstractmethod
    def _solve(self, j: Quadratic) -> Array:
        """Return θ, (d, outputs), in the units of J."""

    def _check(self) -> None:
        """Raise ArgumentError for invalid hyperparameters."""
        switch(self, "fit_intercept")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.sparse = True
        return tags

    def predict(self, X: Any) -> Array:
        """Return ŷ = xᵀθ + b, (N,) or (N, targets) like y.

        >>> learner = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
        >>> learner.predict([[2.0]]).round(6).tolist()
        [5.0]
        """
        return np.asarray(
            safe_sparse_dot(checked_predict(self, X, sparse=True), self.coef_.T)
            + self.intercept_
        )


def _iterated(learner: BaseEstimator, j: OfSparse, alpha: float) -> Array:
    """Return the solution for sparse data of many features by LSQR (Paige and Saunders 1982)."""
    product, targets = j.operator
    found = []
    for target in targets.T:
        theta, reason, *_ = lsqr(
            product,
            target,
            damp=alpha**0.5,
            atol=1e-14,
            btol=1e-14,
            conlim=0,
            iter_lim=_MOST_STEPS * j.features,
        )
        if reason == 7:
            warnings.warn(
                f"{type(learner).__name__} has not converged in {_MOST_STEPS * j.features} steps; bring the features "
                "to one scale, for instance by MaxAbsScaler(), or take Ridge with a larger alpha",
                ConvergenceWarning,
                stacklevel=user_level(),
            )
        found.append(theta)
    return np.stack(found, axis=1)


@final
class LinearRegression(_LinearRegressor):
    """Ordinary least squares: arg min ½Σ wᵢ(yᵢ − θᵀxᵢ − b)² (Hastie et al. 2009, section 3.2).

    Args:
        fit_intercept: Whether to learn the intercept b, else b = 0.
        solver: "normal" solves the normal equations XᵀXθ = Xᵀy; "svd" computes the
            solution from the rows (the smallest θ where XᵀX is singular); "auto" solves
            the normal equations while they are well conditioned.

    Attributes:
        coef_: θ, (d,) or (targets, d).
        intercept_: b, a number or (targets,).
        n_features_in_: Number of features seen by ``fit``.

    >>> LinearRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 1.0, 3.0]).coef_.round(12).tolist()
    [0.9]
    """

    def __init__(self, *, fit_intercept: bool = True, solver: str = "auto") -> None:
        self.fit_intercept = fit_intercept
        self.solver = solver

    def _check(self) -> None:
        super()._check()
        require(
            self,
            "solver",
            {"auto", "normal", "svd"}.__contains__,
            "'auto', 'normal' or 'svd'",
        )

    def _solve(self, j: Quadratic) -> Array:
        free = np.zeros(j.features)
        condition = np.inf if self.solver == "svd" else j.condition(free)
        if self.solver == "normal" and not condition < 1 / np.finfo(np.float64).eps:
            raise DataError(
                "LinearRegression solver='normal'",
                expected="features of which none depends on the others",
                got="a singular XᵀX",
                hint="Write solver='auto' or 'svd', or take Ridge.",
            )
        if self.solver == "normal" or condition < _MOST_CONDITION:
            return by_sums(*j.sums, free)
        if isinstance(j, OfSparse) and j.features > MOST_FEATURES:
            return _iterated(self, j, 0.0)
        return by_rows(*j.rows, free, j.units[0])


@final
class Ridge(_LinearRegressor):
    """Ridge regression: arg min Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖²; the intercept is not penalised (Hoerl and Kennard 1970).

    θ solves (XᵀX + αI)θ = Xᵀy while that matrix, scaled to a diagonal of 1, has a
    condition number below 10⁵; else it is computed by QR factorisation of [X; √α·I], or
    from the singular values of X for fewer examples than features.

    Args:
        alpha: Strength α of the penalty α‖θ‖².
        fit_intercept: Whether to learn the intercept b, else b = 0.

    Attributes:
        coef_: θ, (d,) or (targets, d).
        intercept_: b, a number or (targets,).
        n_features_in_: Number of features seen by ``fit``.

    >>> Ridge(alpha=1.0).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).coef_.round(6).tolist()
    [0.666667]
    """

    _relative = False

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _check(self) -> None:
        super()._check()
        require(self, "alpha", at_least(0), "a number ≥ 0")

    def _solve(self, j: Quadratic) -> Array:
        with np.errstate(over="ignore"):
            ridge = np.minimum((np.sqrt(self.alpha) * j.units[0]) ** 2, 1e300)
        if j.condition(ridge) < _MOST_CONDITION:
            return by_sums(*j.sums, ridge)
        if isinstance(j, OfSparse) and j.features > MOST_FEATURES:
            return _iterated(self, j, self.alpha)
        return by_rows(*j.rows, ridge, j.units[0])


@dataclass(kw_only=True, eq=False, repr=False)
class _ElasticNet(_LinearRegressor):
    """Least squares with the penalty α(ρ‖θ‖₁ + ½(1 − ρ)‖θ‖²), by proximal steps."""

    alpha: float = 1.0
    fit_intercept: bool = True
    max_iter: int = 10_000
    tol: float = 1e-8
    warm_start: bool = False

    def _check(self) -> None:
        super()._check()
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", above(0), "a number > 0")
        switch(self, "warm_start")

    def _share(self) -> float:
        """Return the fraction ρ of ‖θ‖₁ in the penalty."""
        return 1.0

    def _solve(self, j: Quadratic) -> Array:
        strength, unit, target_unit = self.alpha * j.mass, *j.units
        with np.errstate(over="ignore"):
            kink = np.minimum(
                strength * self._share() * unit[:, None] * target_unit, 1e300
            )
            ridge = np.minimum(
                (np.sqrt(strength * (1 - self._share())) * unit) ** 2, 1e300
            )
        if j.features <= MOST_FEATURES:
            gram, target = j.sums
            lengths = gram.diagonal()
        else:
            a, b = j.operator if isinstance(j, OfSparse) else j.rows
            gram, target = (
                LinearOperator(
                    2 * (j.features,), lambda v: a.T @ (a @ v), dtype=np.float64
                ),
                a.T @ b,
            )
            lengths = (
                j.squares() if isinstance(j, OfSparse) else np.einsum("nd,nd->d", a, a)
            )
        start = self._start(j)
        theta, self.n_iter_, ended = elastic_net(
            gram, target, lengths, kink, ridge, self.max_iter, self.tol, start
        )
        if not ended:
            warnings.warn(
                f"{type(self).__name__} has not converged in max_iter={self.max_iter} steps; raise it, or "
                f"tol={self.tol}",
                ConvergenceWarning,
                stacklevel=user_level(),
            )
        return theta

    def _start(self, j: Quadratic) -> Array:
        """Return the initial θ in the units of J: 0, or with ``warm_start`` that of the previous fit."""
        shape = j.features, len(j.units[1])
        if not (self.warm_start and hasattr(self, "coef_")):
            return np.zeros(shape)
        known = np.atleast_2d(self.coef_).T
        if known.shape != shape:
            raise ArgumentError(
                f"{type(self).__name__} warm_start",
                expected=f"{known.shape[0]} features and {known.shape[1]} targets, as in the last fit",
                got=f"{shape[0]} and {shape[1]}",
                hint="Set warm_start=False to start anew.",
            )
        return np.asarray(known / j.units[0][:, None] * j.units[1])


@final
@dataclass(kw_only=True, eq=False, repr=False)
class Lasso(_ElasticNet):
    """Lasso: arg min 1/(2Σw) Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α‖θ‖₁ (Tibshirani 1996), by FISTA (Beck and Teboulle 2009).

    The proximal step of α‖θ‖₁ is soft thresholding, which sets coefficients to exactly
    0. Once the steps agree on which, the others are solved for exactly and the
    optimality conditions are checked: |∂J/∂θ| ≤ α where θ = 0, else ∂J/∂θ = −α·sign θ.

    Args:
        alpha: Strength α of the penalty α‖θ‖₁.
        fit_intercept: Whether to learn the intercept b, else b = 0.
        max_iter: Maximum number of steps; a ``ConvergenceWarning`` follows where they
            do not reach ``tol``.
        tol: Largest relative change of a coefficient at convergence, where no exact
            solution is found before.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: θ, (d,) or (targets, d).
        intercept_: b, a number or (targets,).
        n_iter_: Number of steps.
        n_features_in_: Number of features seen by ``fit``.

    >>> x = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]]
    >>> Lasso(alpha=0.5).fit(x, [0.0, 1.0, 2.0, 3.0]).coef_.round(6).tolist()
    [0.6, 0.0]
    """


@final
@dataclass(kw_only=True, eq=False, repr=False)
class ElasticNet(_ElasticNet):
    """Elastic net: arg min 1/(2Σw) Σ wᵢ(yᵢ − θᵀxᵢ − b)² + α(ρ‖θ‖₁ + ½(1 − ρ)‖θ‖²) (Zou and Hastie 2005).

    ρ = ``l1_ratio``. It lies between :class:`Lasso` (ρ = 1), which selects one of
    several correlated features, and ridge regression (ρ = 0), which shares the
    coefficient among them. The solver is that of the lasso.

    Args:
        alpha: Strength α of the penalty.
        l1_ratio: Fraction ρ of ‖θ‖₁ in the penalty, in [0, 1].
        fit_intercept: Whether to learn the intercept b, else b = 0.
        max_iter: Maximum number of steps; a ``ConvergenceWarning`` follows where they
            do not reach ``tol``.
        tol: Largest relative change of a coefficient at convergence, where no exact
            solution is found before.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: θ, (d,) or (targets, d).
        intercept_: b, a number or (targets,).
        n_iter_: Number of steps.
        n_features_in_: Number of features seen by ``fit``.

    >>> ElasticNet(alpha=0.5, l1_ratio=0.8).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).coef_.round(6).tolist()
    [0.347826]
    """

    l1_ratio: float = 0.5

    def _check(self) -> None:
        super()._check()
        share(self, "l1_ratio")

    def _share(self) -> float:
        return self.l1_ratio


check_calls(__name__)
