"""One family (CM-27): θ ← θ + η·e·x with an error e that differs only in what the prediction is (``delta_step``).

Perceptron: e = y − step(z); ADALINE: e = y − z; logistic regression: e = y − σ(z), with z = θᵀ[x, 1].
"""

from __future__ import annotations

import warnings
from typing import Any, Self, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from deltarule.learners.base import (
    Array,
    above,
    at_least,
    checked_fit,
    checked_predict,
    class_factors,
    encode_classes,
    encode_part,
    generator,
    require,
    weights_for,
    whole,
    with_bias,
)
from deltarule.learners.delta_step import delta_steps, linear_error, logistic_error, sigmoid, step_error


class _BinaryLinear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A linear boundary between two classes; the second of ``classes_`` is the positive one."""

    coef_: Array
    intercept_: float
    classes_: Array
    class_weight: Any

    def decision_function(self, X: Any) -> Array:
        """Return z = θᵀx + b; the farther from 0, the surer (CM-15)."""
        return np.asarray(checked_predict(self, X) @ self.coef_ + self.intercept_)

    def predict(self, X: Any) -> Array:
        """Return the class: the positive one where z ≥ 0."""
        positive = self.decision_function(X) >= 0
        return np.asarray(self.classes_[positive.astype(int)])

    def _binary(self, y: Array) -> Array:
        labels = encode_classes(self, y)
        self._refuse_more_classes()
        return labels

    def _refuse_more_classes(self) -> None:
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. {type(self).__name__} got {len(self.classes_)} classes: "
                "wrap it in sklearn.multiclass.OneVsRestClassifier."
            )

    def _part(self, x: Any, y: Any, classes: Any, sample_weight: Any) -> tuple[Array, Array, Array, Array]:
        """Return (inputs with bias, labels, weights, θ so far) of a chunk."""
        first = not hasattr(self, "coef_")
        rows, targets = checked_fit(self, x, y, reset=first)
        labels = encode_part(self, targets, classes, first)
        self._refuse_more_classes()
        weights = weights_for(rows, targets, sample_weight) * class_factors(self, labels)
        theta = np.zeros(rows.shape[1] + 1) if first else np.append(self.coef_, self.intercept_)
        return with_bias(rows), labels, weights, theta

    def _keep(self, theta: Array) -> None:
        self.coef_, self.intercept_ = theta[:-1].copy(), float(theta[-1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


@final
class Perceptron(_BinaryLinear):
    """Rosenblatt's rule: θ ← θ + η(y − ŷ)x, ŷ = 1 where z ≥ 0, θ₀ = 0, one example after the other (CM-16, CM-17).

    After ``fit``: ``mistakes_`` (a number an epoch), ``mistake_log_`` (a row (epoch, example, y − ŷ) for every
    mistake, so that θ = η Σ (y − ŷ)x over the log), ``n_mistakes_``, ``converged_`` (an epoch without mistakes
    came), ``mistake_bound_`` (R/γ)² with R the longest augmented input and γ the margin of the solution found,
    where it separates the data (Novikoff 1962, CM-18); class weights c multiply it by (max c/min c)². Data that no
    line separates never converge (CM-19): after ``max_iter`` epochs fitting ends with a ConvergenceWarning.

    ``partial_fit`` makes one pass over a chunk, with a weight for every example if wanted.

    >>> learner = Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
    >>> learner.intercept_, learner.mistakes_, learner.mistake_log_[:2].tolist()
    (-3.0, [2, 3, 3, 2, 1, 0], [[1, 0, -1], [1, 3, 1]])
    """

    def __init__(self, *, learning_rate: float = 1.0, max_iter: int = 1000, shuffle: bool = False,
                 class_weight: Any = None, random_state: Any = None) -> None:  # fmt: skip
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Go through the data until an epoch has no mistake."""
        x, targets = checked_fit(self, X, y)
        labels = self._binary(targets)
        epochs = require(self, "max_iter", whole(1), "a whole number ≥ 1")
        inputs, weights = with_bias(x), weights_for(x, targets, None, self.class_weight)
        theta = np.zeros(inputs.shape[1])
        random, used = generator(self.random_state), np.flatnonzero(weights > 0)
        log: list[tuple[int, int, int]] = []
        self.mistakes_: list[int] = []
        for epoch in range(1, epochs + 1):
            before = len(log)
            order = random.permutation(used) if self.shuffle else used
            log += [(epoch, row, error) for row, error in self._mistakes(theta, inputs, labels, weights, order)]
            self.mistakes_.append(len(log) - before)
            if len(log) == before:
                break
        self.mistake_log_ = np.array(log, np.int64).reshape(-1, 3)
        self.n_iter_, self.n_mistakes_ = len(self.mistakes_), len(log)
        self.converged_ = self.mistakes_[-1] == 0
        self._keep(theta)
        uneven = float(weights.max() / weights[used].min())
        self.mistake_bound_ = _mistake_bound(inputs[used], labels[used], theta) * uneven**2
        if not self.converged_:
            warnings.warn(
                f"Perceptron made mistakes in each of {epochs} epochs: the classes may not be linearly separable.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _mistakes(
        self, theta: Array, inputs: Array, labels: Array, weights: Array, order: Array
    ) -> list[tuple[int, int]]:
        """Go through the examples once; return (example, y − ŷ) of every mistake."""
        rate = require(self, "learning_rate", above(0), "a number > 0")
        steps = delta_steps(theta, inputs, labels, step_error, rate, weights=weights, order=order)
        return [(int(row), int(error)) for row, error in steps if error]

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one pass over a chunk; ``mistakes_`` gets its number. The first call needs ``classes``."""
        inputs, labels, weights, theta = self._part(X, y, classes, sample_weight)
        found = self._mistakes(theta, inputs, labels, weights, np.arange(len(inputs)))
        self.mistakes_ = [*getattr(self, "mistakes_", []), len(found)]
        self.n_iter_, self.n_mistakes_ = len(self.mistakes_), sum(self.mistakes_)
        self._keep(theta)
        return self


def _mistake_bound(inputs: Array, labels: Array, theta: Array) -> float:
    """(R/γ)² for the unit vector along θ; infinite where it does not separate."""
    length = float(np.linalg.norm(theta))
    margin = float(((2 * labels - 1) * (inputs @ theta)).min()) / length if length else 0.0
    return float((np.linalg.norm(inputs, axis=1).max() / margin) ** 2) if margin > 0 else np.inf


@final
class Adaline(_BinaryLinear):
    """Widrow and Hoff's rule on z itself, targets ±1: θ ← θ + η(y − z)x (CM-21 … CM-23).

    ``rule="original"`` is that (the factor 2 of ∂(y − z)²/∂θ absorbed in η); ``"unit-norm"`` divides x by ‖x‖ (the
    norm, not its square as in normalised LMS; the augmented x is never 0). ``learning_rate=None`` takes a tenth of
    1/max w‖x‖² for the original rule (w: class weights) and of 1/max w‖x‖ for the other, below which none diverges.
    ``losses_`` holds the mean (y − z)² of every epoch; ``partial_fit`` adds one for every chunk.

    >>> learner = Adaline(max_iter=500).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
    >>> learner.predict([[0, 1], [1, 1]]).tolist(), learner.losses_[-1] < learner.losses_[0]
    ([0, 1], True)
    """

    def __init__(self, *, learning_rate: float | None = None, max_iter: int = 50, rule: str = "original",
                 class_weight: Any = None) -> None:  # fmt: skip
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.rule = rule
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Go through the data ``max_iter`` times."""
        x, targets = checked_fit(self, X, y)
        labels = self._binary(targets)
        epochs = require(self, "max_iter", whole(1), "a whole number ≥ 1")
        inputs, weights = with_bias(x), weights_for(x, targets, None, self.class_weight)
        theta = np.zeros(inputs.shape[1])
        self.learning_rate_ = self._rate(inputs, weights)
        self.losses_ = [self._pass(theta, inputs, labels, weights) for _ in range(epochs)]
        self.n_iter_ = epochs
        self._keep(theta)
        return self

    def _rate(self, inputs: Array, weights: Array) -> float:
        require(self, "rule", {"original", "unit-norm"}.__contains__, "'original' or 'unit-norm'")
        if self.learning_rate is not None:
            return float(require(self, "learning_rate", above(0), "a number > 0 or None"))
        lengths = np.linalg.norm(inputs, axis=1)
        return 0.1 / float((weights * (lengths if self.rule == "unit-norm" else lengths**2)).max())

    def _pass(self, theta: Array, inputs: Array, labels: Array, weights: Array) -> float:
        """Go through the examples once; return the mean (y − z)², each measured before its step."""
        unit = self.rule == "unit-norm"
        along = inputs / np.linalg.norm(inputs, axis=1, keepdims=True) if unit else inputs
        signs = 2.0 * labels - 1
        steps = delta_steps(theta, inputs, signs, linear_error, self.learning_rate_, weights=weights, directions=along)
        return sum(float(error**2) for _, error in steps) / len(inputs)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one pass over a chunk, with the rate of the first one. The first call needs ``classes``."""
        first = not hasattr(self, "coef_")
        inputs, labels, weights, theta = self._part(X, y, classes, sample_weight)
        self.learning_rate_ = self._rate(inputs, weights) if first else self.learning_rate_
        self.losses_ = [*getattr(self, "losses_", []), self._pass(theta, inputs, labels, weights)]
        self.n_iter_ = len(self.losses_)
        self._keep(theta)
        return self


@final
class LogisticRegression(_BinaryLinear):
    """P(y = 1|x) = σ(θᵀx + b), the maximum of the likelihood with penalty ½α‖θ‖² (CM-24 … CM-26).

    ``solver="newton"`` takes Newton steps with the Hessian XᵀDX (damped until the loss falls);
    ``"delta"`` is the delta rule θ ← θ + η(y − σ(z))x for ``max_iter`` epochs, example by example or, with
    ``batch_size`` above 1, along means over batches in the order of the data. ``partial_fit`` makes one pass of it.

    >>> learner = LogisticRegression(alpha=0.0).fit([[-1.0], [0.0], [1.0], [2.0]], [0, 1, 0, 1])
    >>> learner.predict_proba([[0.5]]).round(6).tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, *, alpha: float = 1e-4, solver: str = "newton", learning_rate: float = 0.1,
                 batch_size: int = 1, max_iter: int = 100, tol: float = 1e-8,
                 class_weight: Any = None) -> None:  # fmt: skip
        self.alpha = alpha
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn ``coef_`` and ``intercept_``."""
        x, targets = checked_fit(self, X, y)
        labels = self._binary(targets)
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "solver", {"newton", "delta"}.__contains__, "'newton' or 'delta'")
        require(self, "max_iter", whole(1), "a whole number ≥ 1")
        weights = weights_for(x, targets, sample_weight, self.class_weight)
        inputs = with_bias(x)
        if self.solver == "newton":
            self._keep(self._newton(inputs, labels.astype(np.float64), weights))
            return self
        theta = np.zeros(inputs.shape[1])
        for _ in range(self.max_iter):
            self._pass(theta, inputs, labels, weights)
        self.n_iter_ = self.max_iter
        self._keep(theta)
        return self

    def _pass(self, theta: Array, inputs: Array, labels: Array, weights: Array) -> None:
        rate = require(self, "learning_rate", above(0), "a number > 0")
        size = require(self, "batch_size", whole(1), "a whole number ≥ 1")
        shrink = self.alpha * np.append(np.ones(inputs.shape[1] - 1), 0.0) / len(labels)
        options: dict[str, Any] = {"weights": weights, "shrink": shrink, "batch_size": size}
        for _ in delta_steps(theta, inputs, labels, logistic_error, rate, **options):
            pass

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one pass of the delta rule over a chunk, whatever ``solver`` is. The first call needs ``classes``."""
        inputs, labels, weights, theta = self._part(X, y, classes, sample_weight)
        require(self, "alpha", at_least(0), "a number ≥ 0")
        self._pass(theta, inputs, labels, weights)
        self.n_iter_ = getattr(self, "n_iter_", 0) + 1
        self._keep(theta)
        return self

    def _newton(self, inputs: Array, y: Array, weights: Array) -> Array:
        penalty = np.append(np.full(inputs.shape[1] - 1, self.alpha), 0.0)

        def loss(theta: Array) -> float:
            z = inputs @ theta
            return float((weights * (np.logaddexp(0, z) - y * z)).sum() + 0.5 * (penalty * theta * theta).sum())

        theta = np.zeros(inputs.shape[1])
        now = loss(theta)
        for step in range(1, self.max_iter + 1):
            self.n_iter_ = step
            p = sigmoid(inputs @ theta)
            gradient = inputs.T @ (weights * (p - y)) + penalty * theta
            curvature = (inputs * (weights * p * (1 - p))[:, None]).T @ inputs + np.diag(penalty + 1e-12)
            direction = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
            size = 1.0
            while size > 1e-10 and loss(theta - size * direction) > now:
                size /= 2
            theta = theta - size * direction
            before, now = now, loss(theta)
            if before - now <= self.tol * max(1.0, abs(now)):
                break
        return theta

    def predict_proba(self, X: Any) -> Array:
        """Return P(class|x), columns in the order of ``classes_``."""
        positive = sigmoid(self.decision_function(X))
        return np.stack([1 - positive, positive], axis=1)
