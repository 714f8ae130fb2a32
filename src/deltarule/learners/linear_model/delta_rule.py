"""Binary linear classifiers by the delta rule θ ← θ + η·e·x, which differ in the error e (see ``delta_step``).

Perceptron: e = y − step(z); ADALINE: e = y − z; logistic regression: e = y − σ(z), with
z = θᵀ[x, 1]. Each error is minus the derivative of a loss in z, so that only the loss
is defined here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit
from sklearn.exceptions import ConvergenceWarning

from deltarule.arguments import check_calls
from deltarule.errors import user_level
from deltarule.learners.base import Array, above, generator, meaning, require, whole
from deltarule.learners.linear_model.delta_step import DeltaRule, Rows, require_finite
from deltarule.learners.linear_model.linear import BinaryClassifier, unless_diverged
from deltarule.learners.linear_model.objective import Data
from deltarule.learners.linear_model.penalised import PenalisedClassifier
from deltarule.losses import BinaryCrossEntropy, Loss, SquaredError
from deltarule.render.numbers import counted
from deltarule.tensor.tensor import Tensor

__all__ = ["Adaline", "LogisticRegression", "Perceptron"]


@final
@dataclass(frozen=True, kw_only=True)
class _Criterion(Loss):
    """Perceptron criterion (step(z) − y)·z, |z| for misclassified examples; its derivative is step(z) − y."""

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the criterion of each example."""
        return ((prediction >= 0).astype(prediction.dtype) - target) * prediction


@final
class Perceptron(BinaryClassifier):
    """Rosenblatt's perceptron: θ ← θ + η(y − ŷ)x, ŷ = 1 where z ≥ 0, θ₀ = 0, one example at a time (Rosenblatt 1958).

    For linearly separable data the number of mistakes is at most (R/γ)² with R the
    largest norm of an augmented input and γ the margin (Novikoff 1962); class weights c
    multiply the bound by (max c/min c)². Other data never converge: after ``max_iter``
    epochs ``fit`` raises a ConvergenceWarning.

    ``partial_fit`` makes one pass over a chunk; a sample weight w multiplies the
    update, ηw(y − ŷ)x, and the mistake bound by (max w/min w)². ``fit`` takes no sample
    weights: weight 2 would have to equal the example twice, in any order, but the
    second copy is met by the θ that the first has updated.

    Args:
        learning_rate: Step size η.
        fit_intercept: Whether to learn the intercept b, else b = 0.
        max_iter: Maximum number of epochs; fitting ends after an epoch without
            mistakes.
        shuffle: Whether to shuffle the examples before each epoch.
        class_weight: None, "balanced", or {class: weight}.
        random_state: Seed of the random numbers; equal seeds give equal results.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: θ, (d,).
        intercept_: b.
        classes_: Sorted class labels.
        mistakes_: Number of mistakes of each epoch.
        mistake_log_: One row (epoch, example, y − ŷ) per mistake, so that θ = η Σ (y −
            ŷ)x over the log.
        n_mistakes_: Total number of mistakes.
        converged_: Whether the last epoch had no mistakes.
        mistake_bound_: (R/γ)² for the margin of the solution; infinite where it does
            not separate the data.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> learner = Perceptron().fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
    >>> learner.intercept_, learner.mistakes_, learner.mistake_log_[:2].tolist()
    (-3.0, [2, 3, 3, 2, 1, 0], [[1, 0, -1], [1, 3, 1]])
    """

    def __init__(
        self,
        *,
        learning_rate: float = 1.0,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        shuffle: bool = False,
        class_weight: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.warm_start = warm_start
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Run epochs over the data until one has no mistakes.

        >>> Perceptron().fit([[-1.0], [2.0]], ["no", "yes"]).predict([[3.0]]).tolist()
        ['yes']
        """
        with unless_diverged(self):
            return self._learn(*self._all(X, y))

    def _learn(self, data: Data, theta: Array) -> Self:
        epochs = require(self, "max_iter", whole(1), "a whole number ≥ 1")
        rule = self._rule(data, theta)
        inputs, labels, weights = data
        random, used = generator(self.random_state), np.flatnonzero(weights > 0)
        log: list[Array] = []
        while len(log) < epochs and (not log or len(log[-1])):
            mistakes = _mistakes(
                rule, random.permutation(used) if self.shuffle else used
            )
            log.append(np.insert(mistakes, 0, len(log) + 1, axis=1))
        self.mistake_log_ = np.concatenate(log)
        self.mistakes_ = [len(mistakes) for mistakes in log]
        self.n_iter_, self.n_mistakes_ = len(log), len(self.mistake_log_)
        self.converged_ = self.mistakes_[-1] == 0
        uneven = float(weights.max() / weights[used].min())
        self.mistake_bound_ = (
            _mistake_bound(inputs[used], labels[used], rule.theta[0]) * uneven**2
        )
        if not self.converged_:
            warnings.warn(
                f"Perceptron made mistakes in each of {counted(epochs, 'epoch')}: the classes may not be linearly "
                "separable.",
                ConvergenceWarning,
                stacklevel=user_level(),
            )
        return self._keep(rule.theta)

    def _rule(self, data: Data, theta: Array) -> DeltaRule:
        rate = require(self, "learning_rate", above(0), "a number > 0")
        return DeltaRule(_Criterion(), theta, data, rate)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Make one pass over a chunk and append its mistakes to ``mistakes_``. The first call needs ``classes``.

        >>> learner = Perceptron().partial_fit([[2.0]], ["yes"], classes=["no", "yes"])
        >>> learner.partial_fit([[-1.0]], ["no"]).predict([[3.0], [-3.0]]).tolist()
        ['yes', 'no']
        """
        with unless_diverged(self):
            rule = self._rule(*self._part(X, y, classes, sample_weight))
            self.mistakes_ = [
                *getattr(self, "mistakes_", []),
                int(np.count_nonzero(rule.epoch())),
            ]
            self.n_iter_, self.n_mistakes_ = len(self.mistakes_), sum(self.mistakes_)
            return self._keep(rule.theta)


def _mistakes(rule: DeltaRule, order: Rows) -> npt.NDArray[np.int64]:
    """Make one pass over the examples; return (example, y − ŷ) of each mistake."""
    errors = rule.epoch(order)
    return np.asarray(np.stack([order, errors], axis=1)[errors != 0], np.int64)


def _mistake_bound(inputs: Array, labels: Array, theta: Array) -> float:
    """Return (R/γ)² for the unit vector along θ; infinite where it does not separate the classes."""
    length = float(np.linalg.norm(theta))
    margin = (
        float(((2 * labels - 1) * (inputs @ theta)).min()) / length if length else 0.0
    )
    return (
        float((np.linalg.norm(inputs, axis=1).max() / margin) ** 2)
        if margin > 0
        else np.inf
    )


_MOST_MISSING = 0.5  # of the possible decrease of J, after the epochs of ADALINE


@final
class Adaline(BinaryClassifier):
    """Widrow and Hoff's ADALINE, the delta rule on z with targets ±1: θ ← θ + η(y − z)x (Widrow and Hoff 1960).

    The factor 2 of ∂(y − z)²/∂θ is absorbed in η. A learning rate that diverges raises
    DivergenceError. ``partial_fit`` accepts sample weights, which multiply the update;
    weight 2 is not two updates, so ``fit`` accepts none. ``fit`` raises a
    ConvergenceWarning where the epochs achieve less than half of the decrease of
    Σ w(y − z)² that least squares achieves, as for features of very different scales.

    Args:
        learning_rate: Step size η. None is a tenth of 1/max w‖x‖² (w: class weights),
            below which the original rule does not diverge, or of 1/max w‖x‖ for
            "unit-norm"; chunks of ``partial_fit`` reduce it where they need a smaller
            one.
        fit_intercept: Whether to learn the intercept b, else b = 0.
        max_iter: Number of epochs.
        rule: "original", or "unit-norm": x divided by ‖x‖ (not by its square as in
            normalised LMS).
        class_weight: None, "balanced", or {class: weight}.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: θ, (d,).
        intercept_: b.
        classes_: Sorted class labels.
        losses_: Mean (y − z)² of each epoch, or chunk of ``partial_fit``.
        learning_rate_: The step size used.
        n_iter_: Number of epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> learner = Adaline(max_iter=500).fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
    >>> learner.predict([[0, 1], [1, 1]]).tolist(), learner.losses_[-1] < learner.losses_[0]
    ([0, 1], True)
    """

    def __init__(
        self,
        *,
        learning_rate: float | None = None,
        fit_intercept: bool = True,
        max_iter: int = 50,
        rule: str = "original",
        class_weight: Any = None,
        warm_start: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.warm_start = warm_start
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.rule = rule
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Run ``max_iter`` epochs over the data."""
        with unless_diverged(self):
            data, theta = self._all(X, y)
            self.n_iter_ = require(self, "max_iter", whole(1), "a whole number ≥ 1")
            self.learning_rate_ = self._rate(data)
            rule = self._rule(data, theta)
            self.losses_ = [_mean_square(rule.epoch()) for _ in range(self.n_iter_)]
            self._keep(rule.theta)
        missing = self._missing(data, rule.theta[0])
        if missing > _MOST_MISSING:
            warnings.warn(
                f"Adaline has not converged in {counted(self.n_iter_, 'epoch')}: least squares reduces the mean square "
                f"error further, by {missing:.0%} of all that it can be reduced; scale the features, for instance by "
                "StandardScaler(), or increase max_iter.",
                ConvergenceWarning,
                stacklevel=user_level(),
            )
        return self

    def _missing(self, data: Data, theta: Array) -> float:
        """Return (J(θ) − J*)/(J(0) − J*), J the squared error that the rule minimises, with its least value J*."""
        inputs, labels, weights = data
        targets = 2.0 * labels - 1
        if self.rule == "unit-norm":
            lengths = np.linalg.norm(inputs, axis=1)
            weights = weights / np.where(lengths > 0, lengths, 1.0)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            unit = np.abs(inputs).max(axis=0)
            rows = inputs / np.where(unit > 0, unit, 1.0)
            moment = (weights * targets) @ rows
            gram = (rows.T * weights) @ rows
            possible = float(moment @ np.linalg.lstsq(gram, moment, rcond=None)[0])
            start = float(weights.sum())  # targets are ±1
            reached = float(weights @ (targets - inputs @ theta) ** 2)
        missing = reached - (start - possible)
        return missing / possible if possible > 1e-3 * start else 0.0

    def _rate(self, data: Data) -> float:
        require(
            self,
            "rule",
            {"original", "unit-norm"}.__contains__,
            "'original' or 'unit-norm'",
        )
        if self.learning_rate is not None:
            return float(
                require(self, "learning_rate", above(0), "a number > 0 or None")
            )
        lengths = np.linalg.norm(data[0], axis=1)
        return 0.1 / max(
            float(
                (data[2] * (lengths if self.rule == "unit-norm" else lengths**2)).max()
            ),
            1e-300,
        )

    def _rule(self, data: Data, theta: Array) -> DeltaRule:
        """Return the rule; a step along x/‖x‖ is one along x with weight 1/‖x‖."""
        inputs, labels, weights = data
        lengths = np.linalg.norm(inputs, axis=1)
        shares = (
            weights / np.where(lengths > 0, lengths, 1.0)
            if self.rule == "unit-norm"
            else weights
        )
        return DeltaRule(
            SquaredError(scale=0.5),
            theta,
            (inputs, 2 * labels - 1, shares),
            self.learning_rate_,
        )

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Make one pass over a chunk. The first call needs ``classes``.

        >>> learner = Adaline().partial_fit([[-1.0], [2.0]], ["no", "yes"], classes=["no", "yes"])
        >>> learner.predict([[3.0]]).tolist()
        ['yes']
        """
        first = not hasattr(self, "coef_")
        with unless_diverged(self):
            data, theta = self._part(X, y, classes, sample_weight)
            rate = self._rate(data)
            self.learning_rate_ = (
                rate
                if first or self.learning_rate is not None
                else min(rate, self.learning_rate_)
            )
            rule = self._rule(data, theta)
            self.losses_ = [*getattr(self, "losses_", []), _mean_square(rule.epoch())]
            self.n_iter_ = len(self.losses_)
            return self._keep(rule.theta)


def _mean_square(errors: Array) -> float:
    """Return the mean square of errors; raise DivergenceError where it is not finite."""
    with np.errstate(over="ignore"):
        found = (errors**2).mean()
    require_finite(np.atleast_1d(found), "losses")
    return float(found)


@final
@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegression(BinaryClassifier, PenalisedClassifier):
    """Logistic regression P(y = 1|x) = σ(θᵀx + b), by penalised maximum likelihood (Hastie et al. 2009, section 4.4).

    The penalty on the sum of the losses is α(½(1 − ρ)‖θ‖² + ρ‖θ‖₁), ρ = ``l1_ratio``.
    Newton steps use the Hessian XᵀDX, in features that are centred and scaled to size
    1, so that neither offsets nor units of the features matter.

    Args:
        alpha: Strength α of the penalty.
        l1_ratio: Fraction ρ of ‖θ‖₁ in the penalty, in [0, 1]; above 0 coefficients
            become exactly 0, and ``solver`` is "newton".
        fit_intercept: Whether to learn the intercept b, else b = 0.
        solver: "newton", or "delta": the delta rule θ ← θ + η(y − σ(z))x, as
            ``partial_fit`` uses.
        learning_rate: Step size η of the delta rule; None is min(0.1, 0.2/(¼·max w‖x‖²
            + α/Σw)), which is stable.
        batch_size: Number of examples per step of the delta rule, in the order of the
            data.
        max_iter: Maximum number of Newton steps, or number of epochs of the delta rule.
        tol: Largest derivative of the mean at which Newton steps end.
        class_weight: None, "balanced", or {class: weight}.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: θ, (d,).
        intercept_: b.
        classes_: Sorted class labels.
        n_iter_: Number of Newton steps, or epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> learner = LogisticRegression(alpha=0.0).fit([[-1.0], [0.0], [1.0], [2.0]], [0, 1, 0, 1])
    >>> learner.predict_proba([[0.5]]).round(6).tolist()
    [[0.5, 0.5]]
    """

    tol: float = 1e-8

    def _loss(self) -> Loss:
        return BinaryCrossEntropy()

    def _curvature(self) -> float:
        return 0.25

    def _strength(self, mass: float) -> float:
        return self.alpha / mass

    def predict_proba(self, X: Any) -> Array:
        """Return P(class|x), columns ordered as ``classes_``.

        >>> learner = LogisticRegression(alpha=1.0).fit([[-1.0], [1.0]], [0, 1])
        >>> learner.predict_proba([[0.0]]).round(4).tolist()
        [[0.5, 0.5]]
        """
        positive = meaning(self._loss(), self.decision_function(X))
        return np.stack([1 - positive, positive], axis=1)

    def predict_log_proba(self, X: Any) -> Array:
        """Return ln P(class|x), ln σ(−z) and ln σ(z), finite for all scores."""
        scores = self.decision_function(X)
        return np.stack([log_expit(-scores), log_expit(scores)], axis=1)


check_calls(__name__)
