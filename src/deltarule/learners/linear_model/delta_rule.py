"""One family (CM-27): θ ← θ + η·e·x with an error e that differs only in what the prediction is (``delta_step``).

Perceptron: e = y − step(z); ADALINE: e = y − z; logistic regression: e = y − σ(z), with z = θᵀ[x, 1]. Each is minus
the derivative of a loss in z, which is all that is written down here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit
from sklearn.exceptions import ConvergenceWarning

from deltarule.learners.base import Array, above, generator, meaning, require, whole
from deltarule.learners.linear_model.delta_step import DeltaRule, Rows, require_finite
from deltarule.learners.linear_model.linear import BinaryClassifier, unless_diverged
from deltarule.learners.linear_model.objective import Data
from deltarule.learners.linear_model.penalised import PenalisedClassifier
from deltarule.losses import BinaryCrossEntropy, Loss, SquaredError
from deltarule.render.numbers import counted
from deltarule.tensor.tensor import Tensor


@final
@dataclass(frozen=True, kw_only=True)
class _Criterion(Loss):
    """(step(z) − y)·z: |z| on the wrong side, else 0 (CM-16). Its derivative is step(z) − y, with step(0) = 1."""

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the criterion of every example."""
        return ((prediction >= 0).astype(prediction.dtype) - target) * prediction


@final
class Perceptron(BinaryClassifier):
    """Rosenblatt's rule: θ ← θ + η(y − ŷ)x, ŷ = 1 where z ≥ 0, θ₀ = 0, one example after the other (CM-16, CM-17).

    After ``fit``: ``mistakes_`` (a number an epoch), ``mistake_log_`` (a row (epoch, example, y − ŷ) for every
    mistake, so that θ = η Σ (y − ŷ)x over the log), ``n_mistakes_``, ``converged_`` (an epoch without mistakes
    came), ``mistake_bound_`` (R/γ)² with R the longest augmented input and γ the margin of the solution found,
    where it separates the data (Novikoff 1962, CM-18); class weights c multiply it by (max c/min c)². Data that no
    line separates never converge (CM-19): after ``max_iter`` epochs fitting ends with a ConvergenceWarning.

    ``partial_fit`` makes one pass over a chunk; a weight w of an example multiplies its update, ηw(y − ŷ)x, and weights
    multiply the mistake bound by (max w/min w)² as those of classes do. ``fit`` takes none: in scikit-learn a weight 2
    means the example twice and order is free, but here the second copy meets the θ that the first has moved.

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
        """Go through the data until an epoch has no mistake."""
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
                stacklevel=3,
            )
        return self._keep(rule.theta)

    def _rule(self, data: Data, theta: Array) -> DeltaRule:
        rate = require(self, "learning_rate", above(0), "a number > 0")
        return DeltaRule(_Criterion(), theta, data, rate)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Make one pass over a chunk; ``mistakes_`` gets its number. The first call needs ``classes``."""
        with unless_diverged(self):
            rule = self._rule(*self._part(X, y, classes, sample_weight))
            self.mistakes_ = [
                *getattr(self, "mistakes_", []),
                int(np.count_nonzero(rule.epoch())),
            ]
            self.n_iter_, self.n_mistakes_ = len(self.mistakes_), sum(self.mistakes_)
            return self._keep(rule.theta)


def _mistakes(rule: DeltaRule, order: Rows) -> npt.NDArray[np.int64]:
    """Go through the examples once; return (example, y − ŷ) of every mistake."""
    errors = rule.epoch(order)
    return np.asarray(np.stack([order, errors], axis=1)[errors != 0], np.int64)


def _mistake_bound(inputs: Array, labels: Array, theta: Array) -> float:
    """(R/γ)² for the unit vector along θ; infinite where it does not separate."""
    length = float(np.linalg.norm(theta))
    margin = (
        float(((2 * labels - 1) * (inputs @ theta)).min()) / length if length else 0.0
    )
    return (
        float((np.linalg.norm(inputs, axis=1).max() / margin) ** 2)
        if margin > 0
        else np.inf
    )


@final
class Adaline(BinaryClassifier):
    """Widrow and Hoff's rule on z itself, targets ±1: θ ← θ + η(y − z)x (CM-21 … CM-23).

    ``rule="original"`` is that (the factor 2 of ∂(y − z)²/∂θ absorbed in η); ``"unit-norm"`` divides x by ‖x‖ (the
    norm, not its square as in normalised LMS; the augmented x is never 0). ``learning_rate=None`` takes a tenth of
    1/max w‖x‖² for the original rule (w: class weights) and of 1/max w‖x‖ for the other, below which none diverges;
    chunks of ``partial_fit`` lower it where they ask for a smaller one. A rate that diverges raises DivergenceError.
    ``losses_`` holds the mean (y − z)² of every epoch; ``partial_fit`` adds one for every chunk. A weight w of an
    example there makes its update ηw(y − z)x, which for w = 2 is not two updates: so ``fit`` takes none.

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
        """Go through the data ``max_iter`` times."""
        with unless_diverged(self):
            data, theta = self._all(X, y)
            self.n_iter_ = require(self, "max_iter", whole(1), "a whole number ≥ 1")
            self.learning_rate_ = self._rate(data)
            rule = self._rule(data, theta)
            self.losses_ = [_mean_square(rule.epoch()) for _ in range(self.n_iter_)]
            return self._keep(rule.theta)

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
        """Return the rule; along x/‖x‖ instead of x is a weight 1/‖x‖."""
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
        """Make one pass over a chunk. The first call needs ``classes``."""
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
    """Return the mean square of errors; raises DivergenceError where it is not finite."""
    with np.errstate(over="ignore"):
        found = (errors**2).mean()
    require_finite(np.atleast_1d(found), "losses")
    return float(found)


@final
class LogisticRegression(BinaryClassifier, PenalisedClassifier):
    """P(y = 1|x) = σ(θᵀx + b), the maximum of the likelihood with penalty α(½(1 − ρ)‖θ‖² + ρ‖θ‖₁) (CM-24 … CM-26).

    ρ is ``l1_ratio``: above 0, coefficients become exactly 0, and Newton steps have the penalty in their model.

    ``solver="newton"`` takes Newton steps with the Hessian XᵀDX until no derivative of the mean is above ``tol``, in
    features that are centred and of size 1, so that neither their place nor their unit matters; ``"delta"`` is the
    delta rule θ ← θ + η(y − σ(z))x for ``max_iter`` epochs, example by example or, with
    ``batch_size`` above 1, along means over batches in the order of the data. ``partial_fit`` makes one pass of it.
    Steps are of ``learning_rate`` or, for None, of min(0.1, 0.2/(¼·max w‖x‖² + α/Σw)).

    >>> learner = LogisticRegression(alpha=0.0).fit([[-1.0], [0.0], [1.0], [2.0]], [0, 1, 0, 1])
    >>> learner.predict_proba([[0.5]]).round(6).tolist()
    [[0.5, 0.5]]
    """

    def __init__(
        self,
        *,
        alpha: float = 1e-4,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        solver: str = "newton",
        learning_rate: float | None = 0.1,
        batch_size: int = 1,
        max_iter: int = 100,
        tol: float = 1e-8,
        class_weight: Any = None,
        warm_start: bool = False,
    ) -> None:
        super().__init__(
            alpha=alpha,
            l1_ratio=l1_ratio,
            fit_intercept=fit_intercept,
            solver=solver,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            class_weight=class_weight,
            warm_start=warm_start,
        )

    def _loss(self) -> Loss:
        return BinaryCrossEntropy()

    def _curvature(self) -> float:
        return 0.25

    def _strength(self, mass: float) -> float:
        return self.alpha / mass

    def predict_proba(self, X: Any) -> Array:
        """Return P(class|x), columns in the order of ``classes_``."""
        positive = meaning(self._loss(), self.decision_function(X))
        return np.stack([1 - positive, positive], axis=1)

    def predict_log_proba(self, X: Any) -> Array:
        """Return ln P(class|x) from the scores, finite however sure: ln σ(−z) and ln σ(z)."""
        scores = self.decision_function(X)
        return np.stack([log_expit(-scores), log_expit(scores)], axis=1)
