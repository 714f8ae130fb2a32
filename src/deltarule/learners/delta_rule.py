"""One family (CM-27): θ ← θ + η·e·x with an error e that differs only in what the prediction is.

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
    encode_classes,
    require,
    weights_for,
    with_bias,
)


class _BinaryLinear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A linear boundary between two classes; the second of ``classes_`` is the positive one."""

    coef_: Array
    intercept_: float
    classes_: Array

    def decision_function(self, X: Any) -> Array:
        """Return z = θᵀx + b; the farther from 0, the surer (CM-15)."""
        return np.asarray(checked_predict(self, X) @ self.coef_ + self.intercept_)

    def predict(self, X: Any) -> Array:
        """Return the class: the positive one where z ≥ 0."""
        positive = self.decision_function(X) >= 0
        return np.asarray(self.classes_[positive.astype(int)])

    def _binary(self, x: Array, y: Array) -> Array:
        labels = encode_classes(self, y)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. {type(self).__name__} got {len(self.classes_)} classes: "
                "wrap it in sklearn.multiclass.OneVsRestClassifier."
            )
        del x
        return labels

    def _keep(self, theta: Array) -> None:
        self.coef_, self.intercept_ = theta[:-1].copy(), float(theta[-1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


@final
class Perceptron(_BinaryLinear):
    """Rosenblatt's rule: θ ← θ + η(y − ŷ)x, ŷ = 1 where z ≥ 0, θ₀ = 0, one example after the other (CM-16, CM-17).

    After ``fit``: ``mistakes_`` (per epoch), ``n_mistakes_``, ``converged_`` (an epoch without mistakes came),
    ``mistake_bound_`` (R/γ)² with R the longest augmented input and γ the margin of the solution found, where it
    separates the data (Novikoff 1962, CM-18). Data that no line separates never converge (CM-19): after
    ``max_iter`` epochs fitting ends with a ConvergenceWarning.

    >>> Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]).intercept_
    -3.0
    """

    def __init__(self, *, learning_rate: float = 1.0, max_iter: int = 1000, shuffle: bool = False,
                 random_state: Any = None) -> None:  # fmt: skip
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Go through the data until an epoch has no mistake."""
        x, targets = checked_fit(self, X, y)
        labels = self._binary(x, targets)
        rate = require(self, "learning_rate", above(0), "a number > 0")
        epochs = require(self, "max_iter", at_least(1), "a whole number ≥ 1")
        inputs = with_bias(x)
        theta = np.zeros(inputs.shape[1])
        generator = np.random.default_rng(_seed(self.random_state))
        self.mistakes_: list[int] = []
        for _ in range(epochs):
            order = generator.permutation(len(x)) if self.shuffle else range(len(x))
            mistakes = 0
            for i in order:
                error = labels[i] - int(inputs[i] @ theta >= 0)
                if error:
                    theta += rate * error * inputs[i]
                    mistakes += 1
            self.mistakes_.append(mistakes)
            if mistakes == 0:
                break
        self.n_iter_, self.n_mistakes_ = len(self.mistakes_), sum(self.mistakes_)
        self.converged_ = self.mistakes_[-1] == 0
        self._keep(theta)
        self.mistake_bound_ = _mistake_bound(inputs, labels, theta)
        if not self.converged_:
            warnings.warn(
                f"Perceptron made mistakes in each of {epochs} epochs: the classes may not be linearly separable.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self


def _seed(random_state: Any) -> Any:
    return random_state.randint(2**31) if isinstance(random_state, np.random.RandomState) else random_state


def _mistake_bound(inputs: Array, labels: Array, theta: Array) -> float:
    """(R/γ)² for the unit vector along θ; infinite where it does not separate."""
    length = float(np.linalg.norm(theta))
    margin = float(((2 * labels - 1) * (inputs @ theta)).min()) / length if length else 0.0
    return float((np.linalg.norm(inputs, axis=1).max() / margin) ** 2) if margin > 0 else np.inf


@final
class Adaline(_BinaryLinear):
    """Widrow and Hoff's rule on z itself, targets ±1: θ ← θ + η(y − z)x (CM-21 … CM-23).

    ``rule="original"`` is that (the factor 2 of ∂(y − z)²/∂θ absorbed in η); ``"unit-norm"`` divides x by ‖x‖ (the
    norm, not its square as in normalised LMS), and skips x = 0. ``learning_rate=None`` takes 1/max‖x‖² for the
    original rule, below which it cannot diverge. ``losses_`` holds the mean (y − z)² of every epoch.
    """

    def __init__(self, *, learning_rate: float | None = None, max_iter: int = 50, rule: str = "original") -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.rule = rule

    def fit(self, X: Any, y: Any) -> Self:
        """Go through the data ``max_iter`` times."""
        x, targets = checked_fit(self, X, y)
        signs = 2.0 * self._binary(x, targets) - 1
        require(self, "rule", {"original", "unit-norm"}.__contains__, "'original' or 'unit-norm'")
        epochs = require(self, "max_iter", at_least(1), "a whole number ≥ 1")
        inputs = with_bias(x)
        lengths = np.linalg.norm(inputs, axis=1)
        directions = inputs / lengths[:, None] if self.rule == "unit-norm" else inputs
        rate = self.learning_rate
        if rate is None:
            rate = 0.1 / float(lengths.max()) if self.rule == "unit-norm" else 0.1 / float(lengths.max() ** 2)
        else:
            require(self, "learning_rate", above(0), "a number > 0 or None")
        theta = np.zeros(inputs.shape[1])
        self.losses_: list[float] = []
        for _ in range(epochs):
            total = 0.0
            for row, direction, sign in zip(inputs, directions, signs, strict=True):
                error = sign - row @ theta
                total += float(error**2)
                theta += rate * error * direction
            self.losses_.append(total / len(x))
        self.n_iter_ = epochs
        self._keep(theta)
        return self


@final
class LogisticRegression(_BinaryLinear):
    """P(y = 1|x) = σ(θᵀx + b), the maximum of the likelihood with penalty ½α‖θ‖² (CM-24 … CM-26).

    ``solver="newton"`` takes Newton steps with the Hessian XᵀDX (damped until the loss falls);
    ``"delta"`` is the per-sample delta rule θ ← θ + η(y − σ(z))x for ``max_iter`` epochs.
    """

    def __init__(self, *, alpha: float = 1e-4, solver: str = "newton", learning_rate: float = 0.1,
                 max_iter: int = 100, tol: float = 1e-8, class_weight: Any = None) -> None:  # fmt: skip
        self.alpha = alpha
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn ``coef_`` and ``intercept_``."""
        x, targets = checked_fit(self, X, y)
        labels = self._binary(x, targets)
        require(self, "alpha", at_least(0), "a number ≥ 0")
        require(self, "solver", {"newton", "delta"}.__contains__, "'newton' or 'delta'")
        require(self, "max_iter", at_least(1), "a whole number ≥ 1")
        weights = weights_for(x, targets, sample_weight, self.class_weight)
        inputs = with_bias(x)
        solve = self._newton if self.solver == "newton" else self._delta
        self._keep(solve(inputs, labels.astype(np.float64), weights))
        return self

    def _delta(self, inputs: Array, y: Array, weights: Array) -> Array:
        rate = require(self, "learning_rate", above(0), "a number > 0")
        theta = np.zeros(inputs.shape[1])
        shrink = 1 - rate * self.alpha * np.append(np.ones(inputs.shape[1] - 1), 0.0) / len(y)
        for _ in range(self.max_iter):
            for row, target, weight in zip(inputs, y, weights, strict=True):
                theta = theta * shrink + rate * weight * (target - _sigmoid(row @ theta)) * row
        self.n_iter_ = self.max_iter
        return theta

    def _newton(self, inputs: Array, y: Array, weights: Array) -> Array:
        penalty = np.append(np.full(inputs.shape[1] - 1, self.alpha), 0.0)

        def loss(theta: Array) -> float:
            z = inputs @ theta
            return float((weights * (np.logaddexp(0, z) - y * z)).sum() + 0.5 * (penalty * theta * theta).sum())

        theta = np.zeros(inputs.shape[1])
        now = loss(theta)
        for step in range(1, self.max_iter + 1):
            self.n_iter_ = step
            p = _sigmoid(inputs @ theta)
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
        positive = _sigmoid(self.decision_function(X))
        return np.stack([1 - positive, positive], axis=1)


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))
