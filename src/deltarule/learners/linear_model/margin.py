"""Linear classifiers for any number of classes: softmax regression and support vector machines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.learners.base import Array, applied, meaning, require
from deltarule.learners.linear_model.newton import Ended
from deltarule.learners.linear_model.penalised import PenalisedClassifier
from deltarule.losses import CrossEntropy, Loss, MulticlassHinge
from deltarule.losses.loss import require_labels
from deltarule.shapes import Shape
from deltarule.tensor.functional import log_softmax, maximum, minimum, one_hot
from deltarule.tensor.tensor import Tensor

__all__ = ["LinearSVM", "SoftmaxRegression"]

_SHARPER = 0.25  # ratio of successive roundings of the hinge
_ROUNDINGS = tuple(_SHARPER**power for power in range(6))


@final
@dataclass(kw_only=True, eq=False, repr=False)
class SoftmaxRegression(PenalisedClassifier):
    """Multinomial logistic regression P(k|x) = softmax_k(Wx + b), by penalised maximum likelihood.

    The derivative of the loss of an example in the scores is softmax(a) − 𝟙(k = y).
    Reference: Hastie et al. 2009, section 4.4.

    Args:
        alpha: Strength α of the penalty α(½(1 − ρ)‖W‖² + ρ‖W‖₁) on the mean loss;
            biases are not penalised.
        l1_ratio: Fraction ρ of ‖W‖₁ in the penalty, in [0, 1]; above 0 coefficients
            become exactly 0, and ``solver`` is "newton".
        fit_intercept: Whether to learn the biases b, else b = 0.
        solver: "newton", or "delta": the delta rule θ ← θ + η(𝟙(k = y) − softmax(a))xᵀ,
            as ``partial_fit`` uses.
        learning_rate: Step size η of the delta rule; None is min(0.1, 0.2/(½·max w‖x‖²
            + α)), which is stable.
        batch_size: Number of examples per step of the delta rule, in the order of the
            data.
        max_iter: Maximum number of Newton steps, or number of epochs of the delta rule.
        tol: Largest derivative, in features centred and scaled to size 1, at which
            Newton steps end.
        class_weight: None, "balanced", or {class: weight}.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: W, (K, d).
        intercept_: b, (K,).
        classes_: Sorted class labels.
        n_iter_: Number of Newton steps, or epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> learner = SoftmaxRegression().fit([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], list("aabbcc"))
    >>> learner.predict([[0.0], [2.5], [5.0]]).tolist()
    ['a', 'b', 'c']
    """

    def _loss(self) -> Loss:
        return CrossEntropy()

    def _curvature(self) -> float:
        return 0.5

    def predict_proba(self, X: Any) -> Array:
        """Return softmax(Wx + b), (N, K).

        >>> learner = SoftmaxRegression().fit([[-1.0], [1.0]], ["a", "b"])
        >>> learner.predict_proba([[0.0]]).round(4).tolist()
        [[0.5, 0.5]]
        """
        return meaning(self._loss(), self._scores(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Return ln softmax(Wx + b), (N, K)."""
        return applied(log_softmax, self._scores(X))


@final
@dataclass(frozen=True, kw_only=True)
class _RoundedHinge(Loss):
    """Smoothed hinge loss: Σ_{j≠y} of s²/2r for slacks s = 1 + a_j − a_y below ``rounding`` r, else s − r/2."""

    rounding: float | Tensor

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels."""
        require_labels("rounded hinge", prediction, target, dtype)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the smoothed hinge loss of each example."""
        hot = one_hot(target, prediction.shape[-1], prediction.dtype)
        right = (hot * prediction).sum(-1, keepdims=True)
        slack = maximum(0, prediction - right + 1) * (1 - hot)
        low = minimum(slack, self.rounding)
        return (low * (slack - low / 2) / self.rounding).sum(-1)


def _rounded(rounding: Tensor) -> Loss:
    return _RoundedHinge(rounding=rounding)


@final
@dataclass(kw_only=True, eq=False, repr=False)
class LinearSVM(PenalisedClassifier):
    """Linear support vector machine: Σ_{j≠y} max(0, 1 + a_j − a_y) or its square (Weston and Watkins 1999).

    With two classes this is the hinge loss max(0, 1 − y·z) of the difference z of the
    scores (Cortes and Vapnik 1995). The subgradient at the kink is 0. Newton steps
    smooth the plain hinge within 2⁻¹⁰ of its kink.

    Args:
        alpha: Strength α of the penalty α(½(1 − ρ)‖W‖² + ρ‖W‖₁) on the mean loss;
            biases are not penalised.
        l1_ratio: Fraction ρ of ‖W‖₁ in the penalty, in [0, 1]; above 0 coefficients
            become exactly 0, and ``solver`` is "newton".
        fit_intercept: Whether to learn the biases b, else b = 0.
        loss: "squared_hinge" or "hinge".
        solver: "newton", or "delta": subgradient steps, as ``partial_fit`` uses.
        learning_rate: Step size η of the subgradient steps; None is 0.1 for the hinge
            and min(0.1, 0.2/(2K·max w‖x‖² + α)) for its square with K classes, x with
            its 1 and w its weight, which is stable.
        batch_size: Number of examples per subgradient step, in the order of the data.
        max_iter: Maximum number of Newton steps, or number of epochs of subgradient
            steps.
        tol: Largest derivative, in features centred and scaled to size 1, at which
            Newton steps end.
        class_weight: None, "balanced", or {class: weight}.
        warm_start: Whether ``fit`` starts from the coefficients of the previous fit.

    Attributes:
        coef_: W, (K, d).
        intercept_: b, (K,).
        classes_: Sorted class labels.
        n_iter_: Number of Newton steps, or epochs.
        n_features_in_: Number of features seen by ``fit``.

    >>> LinearSVM().fit([[0.0], [1.0], [3.0], [4.0]], list("aabb")).predict([[1.9], [2.1]]).tolist()
    ['a', 'b']
    """

    alpha: float = 1e-3
    loss: str = "squared_hinge"
    learning_rate: float | None = None

    def _check(self) -> None:
        super()._check()
        require(
            self,
            "loss",
            {"hinge", "squared_hinge"}.__contains__,
            "'hinge' or 'squared_hinge'",
        )

    def _loss(self) -> Loss:
        return MulticlassHinge(squared=self.loss == "squared_hinge")

    def _curvature(self) -> float:
        """Return 2K for the square, the largest eigenvalue of 2Σ_j (e_j − e_y)(e_j − e_y)ᵀ; 0 for the hinge."""
        return 2.0 * len(self.classes_) if self.loss == "squared_hinge" else 0.0

    def _minimise(self, made: Any, steps: Any, phi: Array) -> Ended:
        """Smooth the hinge less and less, each time starting from the extrapolation of the last two minima."""
        if self.loss == "squared_hinge":
            return super()._minimise(made, steps, phi)
        taken, minima, ended = 0, [phi], Ended(phi, 0, 0.0, converged=True)
        for rounding in _ROUNDINGS:
            if len(minima) > 2:
                phi = minima[-1] + _SHARPER * (minima[-1] - minima[-2])
            ended = steps(made(_rounded, rounding), phi)
            phi, taken = ended.phi, taken + ended.steps
            minima.append(phi)
            if not ended.converged:
                break
        return replace(ended, steps=taken)


check_calls(__name__)
