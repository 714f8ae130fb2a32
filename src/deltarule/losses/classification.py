"""Losses on classes. Scores are logits unless a name says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import DTypeError, ShapeError
from deltarule.graph import functions as f
from deltarule.losses.loss import Link, Loss
from deltarule.shapes import Shape
from deltarule.tensor.functional import binary_cross_entropy, cross_entropy, log, one_hot, take
from deltarule.tensor.tensor import Tensor, tensor


def _labels_fit(where: str, scores: Shape, target: Shape, dtype: DType) -> None:
    """Raise unless ``target`` holds one whole-number label an example."""
    if len(scores) < 2 or target != scores[:-1]:
        raise ShapeError(
            where,
            expected=f"one label for each row of scores {shapes.show(scores)}",
            got=shapes.show(target),
            hint="Flatten labels with y.ravel(); the model's last size is the number of classes.",
        )
    if not dtype.is_integer:
        raise DTypeError(
            where,
            expected="whole-number labels 0 … classes − 1",
            got=f"{dtype} targets",
            hint="Write y.astype('int64'), or hand over one-hot rows.",
        )


@final
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """−Σ_c y_c ln softmax(z)_c (OUT-10, OUT-17) for labels (N,), one-hot or soft targets (N, classes).

    ``label_smoothing`` α moves the mass α to other classes: convention "K" gives each class α/K (PyTorch),
    "K-1" each wrong class α/(K − 1) and the right one 1 − α (OUT-14, with E001-04 corrected).
    ``class_weights`` multiply the loss of an example by the weight of its class.

    >>> round(CrossEntropy()([[0.0, 0.0]], [1]).item(), 6)
    0.693147
    """

    label_smoothing: float = 0.0
    smoothing_convention: Literal["K", "K-1"] = "K"
    class_weights: tuple[float, ...] | None = None
    name: ClassVar[str] = "cross_entropy"
    link: ClassVar[Link] = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "a number in [0, 1)")
        self._require("smoothing_convention", self.smoothing_convention in {"K", "K-1"}, "'K' or 'K-1'")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels or rows of the scores' shape."""
        if target != prediction:
            _labels_fit(type(self).__name__, prediction, target, dtype)
        if self.class_weights is not None and len(self.class_weights) != prediction[-1]:
            raise ShapeError(
                "CrossEntropy class_weights",
                expected=f"{prediction[-1]} weights, one a class",
                got=str(len(self.class_weights)),
            )

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −Σ y ln softmax(z) of every example."""
        labels = target.ndim == prediction.ndim - 1
        if labels and not self.label_smoothing:
            values = cross_entropy(prediction, target)
        else:
            n = prediction.shape[-1]
            rows = one_hot(target, n, prediction.dtype) if labels else target.astype(prediction.dtype)
            values = cross_entropy(prediction, self._smoothed(rows, n))
        if self.class_weights is None:
            return values
        weights = tensor(self.class_weights, dtype=prediction.dtype)
        return values * (take(weights, target) if labels else (target.astype(prediction.dtype) * weights).sum(-1))

    def _smoothed(self, rows: Tensor, n: int) -> Tensor:
        if not self.label_smoothing:
            return rows
        if self.smoothing_convention == "K":
            return rows * (1 - self.label_smoothing) + self.label_smoothing / n
        wrong = self.label_smoothing / (n - 1)
        return rows * (1 - self.label_smoothing - wrong) + wrong


@final
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Loss):
    """−(α y ln ŷ + β (1 − y) ln(1 − ŷ)), averaged over outputs, y ∈ [0, 1] (OUT-08, OUT-13, OUT-18 multi-label).

    Predictions are logits, or probabilities with ``from_logits=False`` (kept ``epsilon`` away from 0 and 1).
    ``positive_weight`` α and ``negative_weight`` β weigh the classes.

    >>> round(BinaryCrossEntropy()([0.0], [1.0]).item(), 6)
    0.693147
    """

    positive_weight: float = 1.0
    negative_weight: float = 1.0
    from_logits: bool = True
    epsilon: float = 1e-7
    name: ClassVar[str] = "binary_cross_entropy"
    link: ClassVar[Link] = "sigmoid"

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("positive_weight", "negative_weight"):
            self._require(field, 0 <= getattr(self, field) < math.inf, "a number ≥ 0")

    def predict(self, output: Tensor) -> Tensor:
        """Return probabilities."""
        return super().predict(output) if self.from_logits else output

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the outputs of every example."""
        y = target.astype(prediction.dtype)
        values = self._weighted(prediction, y)
        return values.mean(tuple(range(1, values.ndim))) if values.ndim > 1 else values

    def _weighted(self, prediction: Tensor, y: Tensor) -> Tensor:
        alpha, beta = self.positive_weight, self.negative_weight
        if not self.from_logits:
            p = prediction.clip(self.epsilon, 1 - self.epsilon)
            return -(y * log(p) * alpha + (1 - y) * log(1 - p) * beta)
        if alpha == beta == 1:
            return binary_cross_entropy(prediction, y)
        positive = Tensor(f.softplus((-prediction).node))  # −ln σ(z)
        negative = Tensor(f.softplus(prediction.node))  # −ln(1 − σ(z))
        return y * positive * alpha + (1 - y) * negative * beta


@final
@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """max(0, 1 − y·s) for y = ±1, or its square, averaged over outputs; subgradient 0 at the kink (CM-09, CM-14)."""

    squared: bool = False
    name: ClassVar[str] = "hinge"
    link: ClassVar[Link] = "sign"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean hinge over the outputs of every example."""
        values = Tensor(f.hinge(prediction.node, target.astype(prediction.dtype).node))
        values = values * values if self.squared else values
        return values.mean(tuple(range(1, values.ndim))) if values.ndim > 1 else values


@final
@dataclass(frozen=True, kw_only=True)
class MulticlassHinge(Loss):
    """Σ_{j≠y} max(0, margin + a_j − a_y): a sum over classes (CM-11, CM-13)."""

    margin: float = 1.0
    name: ClassVar[str] = "multiclass_hinge"

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels."""
        _labels_fit(type(self).__name__, prediction, target, dtype)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the hinge of every example."""
        return Tensor(f.multiclass_hinge(prediction.node, target.node, margin=self.margin))
