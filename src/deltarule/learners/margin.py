"""Linear classifiers for any number of classes: softmax regression and support vector machines (CM-07 … CM-14)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, final

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin

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
from deltarule.learners.delta_step import delta_steps


class _LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Scores a_j = w_jᵀx + b_j; the largest wins."""

    alpha: float
    solver: str
    learning_rate: float
    batch_size: int
    max_iter: int
    tol: float
    class_weight: Any

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Minimise the mean loss plus ½α‖W‖² (biases are free)."""
        x, targets = checked_fit(self, X, y)
        labels = encode_classes(self, targets)
        self._check()
        weights = weights_for(x, targets, sample_weight, self.class_weight)
        inputs = with_bias(x)
        theta = np.zeros((len(self.classes_), inputs.shape[1]))
        self.n_iter_ = 0
        if self.solver == "newton":
            for smoothing in self._smoothings():
                theta = self._minimize(theta, inputs, labels, weights / weights.sum(), smoothing)
        else:
            for _ in range(self.max_iter):
                self._pass(theta, inputs, labels, weights / weights.mean())
        self.coef_, self.intercept_ = theta[:, :-1], theta[:, -1]
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one pass of the delta rule over a chunk, whatever ``solver`` is. The first call needs ``classes``."""
        first = not hasattr(self, "coef_")
        x, targets = checked_fit(self, X, y, reset=first)
        labels = encode_part(self, targets, classes, first)
        self._check()
        weights = weights_for(x, targets, sample_weight) * class_factors(self, labels)
        inputs = with_bias(x)
        if first:
            self.n_iter_, theta = 0, np.zeros((len(self.classes_), inputs.shape[1]))
        else:
            theta = np.concatenate([self.coef_, self.intercept_[:, None]], axis=1)
        self._pass(theta, inputs, labels, weights)
        self.coef_, self.intercept_ = theta[:, :-1], theta[:, -1]
        return self

    def _check(self) -> None:
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "solver", {"newton", "delta"}.__contains__, "'newton' or 'delta'")
        require(self, "learning_rate", above(0), "a number > 0")
        require(self, "batch_size", whole(1), "a whole number ≥ 1")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        require(self, "tol", above(0), "a number > 0")

    def _pass(self, theta: Array, inputs: Array, labels: Array, weights: Array) -> None:
        """Make one pass of the delta rule: the error is minus the loss's derivative in the scores."""
        finest = self._smoothings()[-1]

        def error(scores: Array, targets: Array) -> Array:
            one = scores.ndim == 1
            slope = self._loss(np.atleast_2d(scores), np.atleast_1d(targets), finest)[1]
            return -slope[0] if one else -slope

        shrink = self.alpha * np.append(np.ones(inputs.shape[1] - 1), 0.0)
        options: dict[str, Any] = {"weights": weights, "shrink": shrink, "batch_size": self.batch_size}
        for _ in delta_steps(theta, inputs, labels, error, self.learning_rate, **options):
            pass
        self.n_iter_ += 1

    def _smoothings(self) -> tuple[float, ...]:
        """Return how far the loss is rounded at its kinks, from coarse to fine (0: it has none)."""
        return (0.0,)

    def _minimize(self, theta: Array, inputs: Array, labels: Array, weights: Array, smoothing: float) -> Array:
        """Newton steps by conjugate gradients, shortened until the objective falls (Lin, Weng and Keerthi 2008)."""
        shrink = self.alpha * np.append(np.ones(inputs.shape[1] - 1), 0.0)

        def objective(w: Array) -> float:
            loss, _ = self._loss(inputs @ w.T, labels, smoothing)
            return float(weights @ loss + 0.5 * (shrink * w * w).sum())

        value = objective(theta)
        for _ in range(self.max_iter):
            scores = inputs @ theta.T
            gradient = (self._loss(scores, labels, smoothing)[1] * weights[:, None]).T @ inputs + shrink * theta
            if float(np.abs(gradient).max()) <= self.tol:
                break
            bend = self._curvature(scores, labels, smoothing)

            def curve(v: Array, bend: Any = bend) -> Array:
                return np.asarray((bend(inputs @ v.T) * weights[:, None]).T @ inputs + (shrink + 1e-12) * v)

            step = _conjugate_gradients(curve, -gradient)
            slope, size = float((gradient * step).sum()), 1.0
            while size > 1e-12 and objective(theta + size * step) > value + 1e-4 * size * slope:
                size /= 2
            before, theta = value, theta + size * step
            value = objective(theta)
            self.n_iter_ += 1
            if before - value <= 1e-16 * max(1.0, abs(value)):
                break
        self.n_iter_ = max(1, self.n_iter_)
        return theta

    @abstractmethod
    def _loss(self, scores: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
        """Return the loss of every example and its derivative in the scores."""

    @abstractmethod
    def _curvature(self, scores: Array, labels: Array, smoothing: float) -> Callable[[Array], Array]:
        """Return v ↦ H v, the second derivative of every example's loss in its scores."""

    def _scores(self, X: Any) -> Array:
        return np.asarray(checked_predict(self, X) @ self.coef_.T + self.intercept_)

    def decision_function(self, X: Any) -> Array:
        """Return the scores; for two classes the difference of the second to the first."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Array:
        """Return the class with the highest score; at a tie the first."""
        best = self._scores(X).argmax(axis=1)
        return np.asarray(self.classes_[best])


def _conjugate_gradients(curve: Callable[[Array], Array], right: Array, most: int = 250) -> Array:
    """Solve H x = right for a positive definite H given by its products."""
    x, residual = np.zeros_like(right), right.copy()
    direction, size = residual.copy(), float((residual * residual).sum())
    goal = 1e-12 * size
    for _ in range(most):
        image = curve(direction)
        bent = float((direction * image).sum())
        if bent <= 0:
            break
        x += (size / bent) * direction
        residual -= (size / bent) * image
        following = float((residual * residual).sum())
        if following <= goal:
            break
        direction = residual + (following / size) * direction
        size = following
    return x


@final
class SoftmaxRegression(_LinearClassifier):
    """P(k|x) = softmax_k(Wx + b), the maximum of the likelihood (CM-07, CM-08).

    The derivative of an example's loss in the scores is softmax(a) − 𝟙(k = y). ``solver="newton"`` takes Newton
    steps; ``"delta"`` is θ ← θ + η(𝟙(k = y) − softmax(a))xᵀ for ``max_iter`` epochs in the order of the data, example
    by example or along means over ``batch_size`` of them. ``partial_fit`` makes one pass of it over a chunk.

    >>> learner = SoftmaxRegression().fit([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], list("aabbcc"))
    >>> learner.predict([[0.0], [2.5], [5.0]]).tolist()
    ['a', 'b', 'c']
    """

    def __init__(
        self, *, alpha: float = 1e-4, solver: str = "newton", learning_rate: float = 0.1, batch_size: int = 1,
        max_iter: int = 100, tol: float = 1e-10, class_weight: Any = None,
    ) -> None:  # fmt: skip
        self.alpha = alpha
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight

    def _loss(self, scores: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
        del smoothing
        rows = np.arange(len(labels))
        slope = softmax(scores, axis=1)
        slope[rows, labels] -= 1
        return -np.asarray(log_softmax(scores, axis=1))[rows, labels], slope

    def _curvature(self, scores: Array, labels: Array, smoothing: float) -> Callable[[Array], Array]:
        del labels, smoothing
        p = np.asarray(softmax(scores, axis=1))  # H = diag(p) − ppᵀ
        return lambda v: p * (v - (p * v).sum(axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> Array:
        """Return softmax(Wx + b)."""
        return np.asarray(softmax(self._scores(X), axis=1))

    def predict_log_proba(self, X: Any) -> Array:
        """Return ln softmax(Wx + b)."""
        return np.asarray(log_softmax(self._scores(X), axis=1))


@final
class LinearSVM(_LinearClassifier):
    """Σ_{j≠y} max(0, 1 + a_j − a_y), or its square, per example (CM-09 … CM-14); subgradient 0 at the kink.

    The plain hinge is rounded within 10⁻³ of its kink, which Newton steps need.
    With two classes this is the hinge loss max(0, 1 − y·z) of the difference z of the scores. ``solver="delta"``
    takes subgradient steps example by example (or along means over ``batch_size``), as ``partial_fit`` does.

    >>> LinearSVM().fit([[0.0], [1.0], [3.0], [4.0]], list("aabb")).predict([[1.9], [2.1]]).tolist()
    ['a', 'b']
    """

    def __init__(self, *, alpha: float = 1e-3, loss: str = "squared_hinge", solver: str = "newton",
                 learning_rate: float = 0.1, batch_size: int = 1, max_iter: int = 100, tol: float = 1e-10,
                 class_weight: Any = None) -> None:  # fmt: skip
        self.alpha = alpha
        self.loss = loss
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight

    def _smoothings(self) -> tuple[float, ...]:
        require(self, "loss", {"hinge", "squared_hinge"}.__contains__, "'hinge' or 'squared_hinge'")
        return (0.0,) if self.loss == "squared_hinge" else (1.0, 0.1, 0.01, 1e-3)

    def _slack(self, scores: Array, labels: Array) -> Array:
        """Return max(0, 1 + a_j − a_y), 0 for the right class."""
        rows = np.arange(len(labels))
        slack = np.maximum(0, 1 + scores - scores[rows, labels][:, None])
        slack[rows, labels] = 0
        return np.asarray(slack)

    def _loss(self, scores: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
        slack = self._slack(scores, labels)
        if self.loss == "squared_hinge":
            values, slope = slack**2, 2 * slack
        else:
            values = np.where(slack < smoothing, slack**2 / (2 * smoothing), slack - smoothing / 2)
            slope = np.minimum(slack / smoothing, 1.0)
        slope[np.arange(len(labels)), labels] = -slope.sum(axis=1)
        return values.sum(axis=1), slope

    def _curvature(self, scores: Array, labels: Array, smoothing: float) -> Callable[[Array], Array]:
        slack = self._slack(scores, labels)
        rows = np.arange(len(labels))
        bend = 2.0 * (slack > 0) if self.loss == "squared_hinge" else ((slack > 0) & (slack < smoothing)) / smoothing

        def product(v: Array) -> Array:
            result = bend * (v - v[rows, labels][:, None])
            result[rows, labels] = -result.sum(axis=1)
            return np.asarray(result)

        return product
