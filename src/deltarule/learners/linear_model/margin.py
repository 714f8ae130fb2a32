"""Linear classifiers for any number of classes: softmax regression and support vector machines (CM-07 … CM-14)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from deltarule.dtypes import DType
from deltarule.learners.base import Array, applied, meaning, require
from deltarule.learners.linear_model.newton import Ended
from deltarule.learners.linear_model.penalised import PenalisedClassifier
from deltarule.losses import CrossEntropy, Loss, MulticlassHinge
from deltarule.losses.loss import require_labels
from deltarule.shapes import Shape
from deltarule.tensor.functional import log_softmax, maximum, minimum, one_hot
from deltarule.tensor.tensor import Tensor

_SHARPER = 0.25  # one rounding of the hinge to the one before
_ROUNDINGS = tuple(_SHARPER**power for power in range(6))


@final
class SoftmaxRegression(PenalisedClassifier):
    """P(k|x) = softmax_k(Wx + b), the maximum of the likelihood (CM-07, CM-08).

    The derivative of an example's loss in the scores is softmax(a) − 𝟙(k = y). ``solver="newton"`` takes Newton
    steps; ``"delta"`` is θ ← θ + η(𝟙(k = y) − softmax(a))xᵀ for ``max_iter`` epochs in the order of the data, example
    by example or along means over ``batch_size`` of them. ``partial_fit`` makes one pass of it over a chunk. Steps are
    of ``learning_rate`` or, for None, of min(0.1, 0.2/(½·max w‖x‖² + α)).

    >>> learner = SoftmaxRegression().fit([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]], list("aabbcc"))
    >>> learner.predict([[0.0], [2.5], [5.0]]).tolist()
    ['a', 'b', 'c']
    """

    def _loss(self) -> Loss:
        return CrossEntropy()

    def _curvature(self) -> float:
        return 0.5

    def predict_proba(self, X: Any) -> Array:
        """Return softmax(Wx + b)."""
        return meaning(self._loss(), self._scores(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Return ln softmax(Wx + b)."""
        return applied(log_softmax, self._scores(X))


@final
@dataclass(frozen=True, kw_only=True)
class _RoundedHinge(Loss):
    """Σ_{j≠y} of max(0, 1 + a_j − a_y), a parabola s²/2r below ``rounding`` r and s − r/2 above."""

    rounding: float | Tensor

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels."""
        require_labels("rounded hinge", prediction, target, dtype)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the rounded hinge of every example."""
        hot = one_hot(target, prediction.shape[-1], prediction.dtype)
        right = (hot * prediction).sum(-1, keepdims=True)
        slack = maximum(0, prediction - right + 1) * (1 - hot)
        low = minimum(slack, self.rounding)
        return (low * (slack - low / 2) / self.rounding).sum(-1)


def _rounded(rounding: Tensor) -> Loss:
    return _RoundedHinge(rounding=rounding)


@final
class LinearSVM(PenalisedClassifier):
    """Σ_{j≠y} max(0, 1 + a_j − a_y), or its square, per example (CM-09 … CM-14); subgradient 0 at the kink.

    The plain hinge is rounded within 2⁻¹⁰ of its kink, which Newton steps need.
    With two classes this is the hinge loss max(0, 1 − y·z) of the difference z of the scores. ``solver="delta"``
    takes subgradient steps example by example (or along means over ``batch_size``), as ``partial_fit`` does: of
    ``learning_rate`` or, for None, of a tenth of the largest that is stable, but at most 0.1. That is 0.1 for the plain
    hinge and min(0.1, 0.2/(2K·max w‖x‖² + α)) for its square with K classes, x with its 1 and w its weight.

    >>> LinearSVM().fit([[0.0], [1.0], [3.0], [4.0]], list("aabb")).predict([[1.9], [2.1]]).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        *,
        alpha: float = 1e-3,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        loss: str = "squared_hinge",
        solver: str = "newton",
        learning_rate: float | None = None,
        batch_size: int = 1,
        max_iter: int = 100,
        tol: float = 1e-10,
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
        self.loss = loss

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
        """Return 2K: of the square with all slacks above 0, 2Σ_j (e_j − e_y)(e_j − e_y)ᵀ, or 0."""
        return 2.0 * len(self.classes_) if self.loss == "squared_hinge" else 0.0

    def _minimise(self, made: Any, steps: Any, phi: Array) -> Ended:
        """Round the hinge less and less, each time starting where the line through the last two minima leads."""
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
