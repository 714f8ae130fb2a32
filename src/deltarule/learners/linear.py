"""What linear classifiers share: data with a bias column, scores Θ[x, 1], and fits of a loss with a penalty."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from deltarule.errors import DataError, DivergenceError
from deltarule.learners.base import (
    Array,
    above,
    at_least,
    checked_fit,
    checked_predict,
    class_factors,
    encode_classes,
    encode_part,
    require,
    weights_for,
    whole,
    with_bias,
)
from deltarule.learners.delta_step import DeltaRule
from deltarule.learners.objective import Data, chosen, newton
from deltarule.losses import Loss

_LARGEST = 1e150  # of inputs


@contextmanager
def unless_diverged(learner: Any) -> Iterator[None]:
    """Give a learner back what it knew before where a DivergenceError ends its fit."""
    before = dict(vars(learner))
    try:
        yield
    except DivergenceError:
        vars(learner).clear()
        vars(learner).update(before)
        raise


class LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Scores Θ[x, 1], a row of Θ for each class; the largest wins, at a tie the first.

    A sparse X becomes dense in ``fit`` and ``partial_fit``, and stays sparse where scores are computed.
    """

    coef_: Array
    intercept_: Any
    classes_: Array
    class_weight: Any

    def _all(self, x: Any, y: Any, sample_weight: Any = None) -> tuple[Data, Array]:
        """Return (inputs with bias, targets, weights) and Θ = 0."""
        rows, classes = self._dense(*checked_fit(self, x, y, sparse=True))
        labels = self._targets(encode_classes(self, classes))
        weights = weights_for(rows, classes, sample_weight, self.class_weight)
        return (with_bias(rows), labels, weights), self._zeros(rows)

    def _part(self, x: Any, y: Any, classes: Any, sample_weight: Any) -> tuple[Data, Array]:
        """Return (inputs with bias, targets, weights) of a chunk, and Θ so far."""
        first = not hasattr(self, "coef_")
        rows, own = self._dense(*checked_fit(self, x, y, sparse=True, reset=first))
        labels = self._targets(encode_part(self, own, classes, first))
        weights = weights_for(rows, own, sample_weight) * class_factors(self, labels.astype(np.int64))
        known = None if first else np.column_stack([np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)])
        return (with_bias(rows), labels, weights), self._zeros(rows) if known is None else known

    def _dense(self, x: Any, y: Array) -> tuple[Array, Array]:
        """Return X as an array; raises DataError for numbers whose squares are not finite."""
        rows = x.toarray() if sparse.issparse(x) else x
        largest = max(float(rows.max()), -float(rows.min()))
        if largest > _LARGEST:
            raise DataError(
                f"{type(self).__name__} X", expected=f"numbers up to {_LARGEST:g}, which have finite squares",
                got=f"{largest:g}", hint="Scale the features, for instance by MaxAbsScaler().",
            )  # fmt: skip
        return rows, y

    def _targets(self, labels: Array) -> Array:
        """Return labels as the loss takes them."""
        return labels

    def _zeros(self, x: Array) -> Array:
        return np.zeros((len(self.classes_), x.shape[1] + 1))

    def _keep(self, theta: Array) -> Self:
        self.coef_, self.intercept_ = theta[:, :-1], theta[:, -1]
        return self

    def _scores(self, x: Any) -> Array:
        return np.asarray(checked_predict(self, x, sparse=True) @ self.coef_.T + self.intercept_)

    def decision_function(self, X: Any) -> Array:
        """Return the scores; for two classes the difference of the second to the first."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:
        """Return the class with the highest score; at a tie the first."""
        best = self._scores(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class BinaryClassifier(LinearClassifier):
    """A linear boundary between two classes, Θ of one row; the second of ``classes_`` is the positive one."""

    def decision_function(self, X: Any) -> Array:
        """Return z = θᵀx + b; the farther from 0, the surer (CM-15)."""
        return self._scores(X)

    def predict(self, X: Any) -> Array:
        """Return the class: the positive one where z ≥ 0."""
        positive = self._scores(X) >= 0
        return np.asarray(self.classes_[positive.astype(int)])

    def _targets(self, labels: Array) -> Array:
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. {type(self).__name__} got {len(self.classes_)} classes: "
                "wrap it in sklearn.multiclass.OneVsRestClassifier."
            )
        return labels.astype(np.float64)

    def _zeros(self, x: Array) -> Array:
        return np.zeros((1, x.shape[1] + 1))

    def _keep(self, theta: Array) -> Self:
        self.coef_, self.intercept_ = theta[0, :-1], float(theta[0, -1])
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class PenalisedClassifier(LinearClassifier):
    """A loss and a penalty on the weights (not on biases), minimised by Newton steps or by the delta rule."""

    def __init__(
        self, *, alpha: float = 1e-4, solver: str = "newton", learning_rate: float | None = 0.1, batch_size: int = 1,
        max_iter: int = 100, tol: float = 1e-10, class_weight: Any = None,
    ) -> None:  # fmt: skip
        self.alpha = alpha
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn ``coef_`` and ``intercept_``; a ConvergenceWarning tells that Newton steps were too few."""
        with unless_diverged(self):
            (x, labels, weights), theta = self._all(X, y, sample_weight)
            self._check()
            data, alpha = (x, labels, weights / weights.mean()), self._strength(float(weights.sum()))
            self.n_iter_ = 0
            self.__dict__.pop("learning_rate_", None)  # of earlier data
            if self.solver == "delta":
                self.learning_rate_ = self._rate(data, alpha)
                return self._descend(data, theta, alpha, self.max_iter)
            theta, self.n_iter_, ended = self._minimise(data, theta, alpha)
        if not ended:
            warnings.warn(
                f"{type(self).__name__} has not converged in max_iter={self.max_iter} Newton steps; raise it, or "
                f"tol={self.tol}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self._keep(theta)

    def _minimise(self, data: Data, theta: Array, alpha: float) -> tuple[Array, int, bool]:
        """Return the minimum, the number of Newton steps on the way, and whether they were enough."""
        return newton(chosen(self._loss(), theta, len(data[0])), theta, data, (alpha,), self.max_iter, self.tol)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one pass of the delta rule over a chunk, whatever ``solver`` is. The first call needs ``classes``."""
        with unless_diverged(self):
            data, theta = self._part(X, y, classes, sample_weight)
            self._check()
            alpha, before = self._strength(len(data[0])), getattr(self, "learning_rate_", np.inf)
            rate = self._rate(data, alpha)
            self.learning_rate_ = min(rate, before) if self.learning_rate is None else rate
            return self._descend(data, theta, alpha, 1)

    def _rate(self, data: Data, alpha: float) -> float:
        """Return η, or for None min(0.1, 0.2/(c·max w‖x‖² + α)), c the largest curvature of the loss in the scores.

        A step along one example, or a mean of some, raises no parabola of this curvature where η(c·w‖x‖² + α) ≤ 2.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        x, _, weights = data
        longest = float((weights * np.einsum("nd,nd->n", x, x)).max())
        return 0.2 / max(self._curvature() * longest + alpha, 2.0)

    def _descend(self, data: Data, theta: Array, alpha: float, epochs: int) -> Self:
        rule = DeltaRule(self._loss(), theta, data, self.learning_rate_, alpha, self.batch_size)
        for _ in range(epochs):
            rule.epoch()
        self.n_iter_ = getattr(self, "n_iter_", 0) + epochs
        return self._keep(rule.theta)

    def _check(self) -> None:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "solver", {"newton", "delta"}.__contains__, "'newton' or 'delta'")
        require(self, "learning_rate", lambda rate: rate is None or above(0)(rate), "a number > 0 or None")
        require(self, "batch_size", whole(1), "a whole number ≥ 1")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", at_least(0), "a number ≥ 0")

    def _strength(self, mass: float) -> float:
        """Return α of the penalty on the mean loss; ``mass`` is Σw."""
        del mass
        return self.alpha

    @abstractmethod
    def _loss(self) -> Loss:
        """Return the loss of scores and targets: with its derivatives it is all that tells learners apart."""

    @abstractmethod
    def _curvature(self) -> float:
        """Return the largest eigenvalue that the Hessian of an example's loss in its scores may have."""
