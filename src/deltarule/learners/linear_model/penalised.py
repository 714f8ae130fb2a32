"""Linear classifiers that minimise a loss with a penalty, by Newton steps over all examples or the delta rule."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from deltarule.arguments import check_calls
from deltarule.errors import DataError, user_level
from deltarule.learners.base import Array, above, at_least, require, share, whole
from deltarule.learners.linear_model.delta_step import DeltaRule
from deltarule.learners.linear_model.design import Design
from deltarule.learners.linear_model.linear import LinearClassifier, unless_diverged
from deltarule.learners.linear_model.newton import Ended, Problem, newton
from deltarule.learners.linear_model.objective import Data
from deltarule.learners.linear_model.proximal_newton import proximal_newton
from deltarule.learners.pointwise import Family
from deltarule.losses import Loss


@dataclass(kw_only=True, eq=False, repr=False)
class PenalisedClassifier(LinearClassifier):
    """A loss with a penalty on the weights (not on biases), minimised by Newton steps or by the delta rule.

    The penalty is α(½(1 − ρ)‖Θ‖² + ρ‖Θ‖₁) with ρ = ``l1_ratio``; the delta rule
    requires ρ = 0.
    """

    alpha: float = 1e-4
    l1_ratio: float = 0.0
    fit_intercept: bool = True
    solver: str = "newton"
    learning_rate: float | None = 0.1
    batch_size: int = 1
    max_iter: int = 100
    tol: float = 1e-10
    class_weight: Any = None
    warm_start: bool = False

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Compute ``coef_`` and ``intercept_``; a ConvergenceWarning follows where Newton steps do not converge.

        Args:
            X: Examples (N, d), an array or a sparse matrix.
            y: Labels (N,).
            sample_weight: One weight ≥ 0 per example; weight 2 equals the example
                twice.

        >>> from deltarule.learners import LinearSVM
        >>> LinearSVM().fit([[-1.0], [1.0]], ["left", "right"]).predict([[0.5]]).tolist()
        ['right']
        """
        with unless_diverged(self):
            x, labels, weights = self._examples(X, y, sample_weight)
            self._check()
            start = self._start(x.shape[1])
            alpha = self._strength(float(weights.sum()))
            self.n_iter_ = 0
            self.__dict__.pop("learning_rate_", None)  # that of the previous fit
            if self.solver == "delta":
                self._check_smooth("solver='delta'")
                data = (self._inputs(x), labels, weights / weights.mean())
                self.learning_rate_ = self._rate(data, alpha)
                return self._descend(data, start, alpha, self.max_iter)
            theta, ended = self._newton(x, labels, weights, start, alpha)
        self.n_iter_ = ended.steps
        if not ended.converged:
            reason = (
                ""
                if ended.steps >= self.max_iter
                else f": after {ended.steps} rounding allows no descent"
            )
            warnings.warn(
                f"{type(self).__name__} has not converged in max_iter={self.max_iter} Newton steps{reason}; the "
                f"largest derivative is {ended.slope:.1e}, above tol={self.tol}: raise one of the two",
                ConvergenceWarning,
                stacklevel=user_level(),
            )
        return self._keep(theta)

    def _newton(
        self, x: Any, labels: Array, weights: Array, start: Array, alpha: float
    ) -> tuple[Array, Ended]:
        """Return Θ at the minimum, and the result of the Newton steps."""
        used = weights > 0
        if not used.all():
            x, labels, weights = x[used], labels[used], weights[used]
        ridge = alpha * (1 - self.l1_ratio)
        design = Design.of(x, weights, bool(self.fit_intercept), ridge)
        penalty, kinks = design.penalties(ridge), design.kinks(alpha * self.l1_ratio)

        shares, explicit = weights / weights.mean(), design.explicit()

        def made(loss: Loss | Family, number: float | None = None) -> Problem:
            return Problem(
                loss,
                len(start),
                explicit,
                labels,
                shares,
                penalty,
                number,
            )

        bias = start[:, -1] if self.fit_intercept else np.zeros(len(start))

        def steps(problem: Problem, phi: Array) -> Ended:
            if not self.l1_ratio:
                return newton(problem, phi, self.max_iter, self.tol)
            return proximal_newton(
                problem, np.tile(kinks, (len(phi), 1)), phi, self.max_iter, self.tol
            )

        ended = self._minimise(made, steps, design.inner(start[:, : x.shape[1]], bias))
        theta, bias = design.outer(ended.phi)
        if not (np.isfinite(theta).all() and np.isfinite(bias).all()):
            raise DataError(
                f"{type(self).__name__} X",
                expected="features whose coefficients are finite numbers",
                got=f"one of size {np.abs(x).max():g}",
                hint="Scale the features, for instance by StandardScaler().",
            )
        return np.column_stack([theta, bias]) if self.fit_intercept else theta, ended

    def _minimise(self, made: Any, steps: Any, phi: Array) -> Ended:
        """Return the minimum; ``made`` builds the problem of a loss, ``steps`` solves it from Φ."""
        ended: Ended = steps(made(self._loss()), phi)
        return ended

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Make one pass of the delta rule over a chunk, for any ``solver``. The first call needs ``classes``.

        >>> from deltarule.learners import LogisticRegression
        >>> learner = LogisticRegression(learning_rate=0.5)
        >>> learner.partial_fit([[-1.0], [1.0]], [0, 1], classes=[0, 1]).predict([[2.0]]).tolist()
        [1]
        """
        with unless_diverged(self):
            data, theta = self._part(X, y, classes, sample_weight)
            self._check()
            self._check_smooth("partial_fit")
            alpha, before = (
                self._strength(len(data[0])),
                getattr(self, "learning_rate_", np.inf),
            )
            rate = self._rate(data, alpha)
            self.learning_rate_ = (
                min(rate, before) if self.learning_rate is None else rate
            )
            return self._descend(data, theta, alpha, 1)

    def _rate(self, data: Data, alpha: float) -> float:
        """Return η, or for None min(0.1, 0.2/(c·max w‖x‖² + α)), c the largest curvature of the loss in the scores.

        For η(c·w‖x‖² + α) ≤ 2 a step on one example, or on a mean of some, increases no
        parabola of this curvature.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        x, _, weights = data
        longest = float((weights * np.einsum("nd,nd->n", x, x)).max())
        return 0.2 / max(self._curvature() * longest + alpha, 2.0)

    def _descend(self, data: Data, theta: Array, alpha: float, epochs: int) -> Self:
        rule = DeltaRule(
            self._loss(),
            theta,
            data,
            self.learning_rate_,
            alpha,
            self.batch_size,
            bool(self.fit_intercept),
        )
        for _ in range(epochs):
            rule.epoch()
        self.n_iter_ = getattr(self, "n_iter_", 0) + epochs
        return self._keep(rule.theta)

    def _check(self) -> None:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        share(self, "l1_ratio")
        require(self, "solver", {"newton", "delta"}.__contains__, "'newton' or 'delta'")
        require(
            self,
            "learning_rate",
            lambda rate: rate is None or above(0)(rate),
            "a number > 0 or None",
        )
        require(self, "batch_size", whole(1), "a whole number ≥ 1")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", at_least(0), "a number ≥ 0")
        self._check_switches()

    def _check_smooth(self, what: str) -> None:
        """Raise ArgumentError for an ℓ₁ penalty, whose zeros the delta rule does not reach."""
        require(
            self,
            "l1_ratio",
            lambda ratio: ratio == 0,
            f"0 for {what}, the steps of which end at no zeros",
        )

    def _strength(self, mass: float) -> float:
        """Return α of the penalty on the mean loss; ``mass`` is Σw."""
        del mass
        return self.alpha

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the loss of scores and targets, which defines the learner."""

    @abstractmethod
    def _curvature(self) -> float:
        """Return an upper bound of the eigenvalues of the Hessian of an example's loss in its scores."""


check_calls(__name__)
