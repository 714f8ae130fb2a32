"""Classification losses. Predictions are logits unless ``from_logits=False`` is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.graph import functions as f
from deltarule.losses.loss import (
    Link,
    Loss,
    Requirement,
    over_examples,
    require_labels,
    require_weights,
)
from deltarule.shapes import Shape
from deltarule.tensor.functional import (
    binary_cross_entropy,
    cross_entropy,
    exp,
    expm1,
    maximum,
    one_hot,
    softplus,
    stack,
    take,
    weighted,
    where,
)
from deltarule.tensor.tensor import Tensor, tensor

__all__ = [
    "BinaryCrossEntropy",
    "BinaryFocal",
    "CrossEntropy",
    "Focal",
    "NegativeLogLikelihood",
]


def class_requirements(
    prediction: Shape,
    target: Shape,
    ignore_label: int | None = None,
    extra_hint: str = "",
) -> tuple[Requirement, ...]:
    """Return the requirements on class targets: valid labels, or rows that are distributions.

    Args:
        prediction: The shape of the model's output, (N, K).
        target: The shape of the targets: (N,) for labels, (N, K) for probabilities.
        ignore_label: The label of examples that are left out, if there is one.
        extra_hint: A sentence added to the hint of the error for invalid labels.

    >>> class_requirements((8, 3), (8,))[0].expected
    'labels 0 … 2'
    """
    n = prediction[-1]
    if not isinstance(n, int):  # an unknown number of classes
        return ()
    if len(target) == len(prediction) - 1:
        return (_label_requirement(n, ignore_label, extra_hint),)
    return (
        Requirement(lambda y: y < -1e-6, "probabilities ≥ 0"),
        Requirement(
            lambda sums: abs(sums - 1) > 1e-3,
            "rows that sum to 1",
            "For several labels per example use BinaryCrossEntropy().",
            lambda y: y.sum(-1),
        ),
    )


def _label_requirement(
    n: int, ignore_label: int | None, extra_hint: str
) -> Requirement:
    """Return that labels are in 0 … n − 1, or equal to ``ignore_label``."""
    expected = f"labels 0 … {n - 1}"
    hint = "Give the model as many outputs as there are classes."
    if ignore_label is None:
        return Requirement(
            lambda y: (y < 0) | (y >= n), expected, f"{hint} {extra_hint}".rstrip()
        )
    return Requirement(
        lambda y: ((y < 0) | (y >= n)) & (y != ignore_label),
        f"{expected}, or {ignore_label} to be ignored",
        hint,
    )


@dataclass(frozen=True, kw_only=True)
class _Categorical(Loss):
    """Base class of multi-class losses: labels (N,), one-hot or soft targets (N, K).

    Examples (or positions) with the label ``ignore_label`` contribute nothing and are not
    counted in the mean; if no example is counted, the loss is 0.
    """

    class_weight: tuple[float, ...] | None = None
    ignore_label: int | None = None
    link: ClassVar[Link] = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        ignored = self.ignore_label
        if ignored is not None:
            is_integer = isinstance(ignored, int | np.integer)
            valid = is_integer and not isinstance(ignored, bool)
            self._require("ignore_label", valid, "a whole number or None")
            object.__setattr__(self, "ignore_label", int(ignored))
        if self.class_weight is not None:
            weights = tuple(float(w) for w in self.class_weight)
            object.__setattr__(self, "class_weight", weights)
            valid = len(weights) > 0 and all(0 <= w < math.inf for w in weights)
            self._require("class_weight", valid, "numbers ≥ 0, one per class")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels, or have the shape of the predictions."""
        same = target == prediction and len(target) > 0
        if not same or (len(target) == 1 and not dtype.is_float):
            require_labels(type(self).__name__, prediction, target, dtype)
        if self.class_weight is not None and len(self.class_weight) != prediction[-1]:
            raise ShapeError(
                f"{type(self).__name__} class_weight",
                expected=f"{shapes.show((prediction[-1],))} weights, one per class",
                got=str(len(self.class_weight)),
            )

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirements: labels of existing classes, or rows that are distributions."""
        return class_requirements(
            prediction, target, self.ignore_label, "ignore_label= leaves examples out."
        )

    def counted(self, prediction: Tensor, target: Tensor) -> Tensor | None:
        """Return the fraction of each example's labels that are not ignored."""
        if self.ignore_label is None or target.ndim != prediction.ndim - 1:
            return None
        return over_examples((target != self.ignore_label).astype(prediction.dtype))

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data, without ``ignore_label`` if none is set (as earlier releases wrote it)."""
        config = super().config()
        if self.ignore_label is None:
            del config["ignore_label"]
        return config

    def _masked(
        self, values: Callable[[Tensor], Tensor], prediction: Tensor, target: Tensor
    ) -> Tensor:
        """Return ``values(target)`` averaged per example, with 0 for ignored labels."""
        if self.ignore_label is None or target.ndim != prediction.ndim - 1:
            return over_examples(values(target))
        ignored = target == self.ignore_label
        return over_examples(where(ignored, 0.0, values(where(ignored, 0, target))))

    def _rows(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return targets as one-hot or soft rows in the element type of the predictions."""
        if target.ndim == prediction.ndim - 1:
            return one_hot(target, prediction.shape[-1], prediction.dtype)
        return target.astype(prediction.dtype)

    def _weighted(self, rows: Tensor) -> Tensor:
        """Return rows of targets multiplied by the class weights."""
        weights = self._weights(rows.dtype)
        return rows if weights is None else rows * weights

    def _weights(self, dtype: DType) -> Tensor | None:
        if self.class_weight is None:
            return None
        return tensor(np.array(self.class_weight), dtype=dtype)


@final
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(_Categorical):
    """Cross-entropy of class labels or probabilities: −Σ_c y_c ln softmax(z)_c.

    Shapes: logits z (N, K); targets are labels (N,), or one-hot or soft rows (N, K). The
    derivative is softmax(z) − y.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        class_weight: A factor w_c ≥ 0 per class: −Σ_c w_c y_c ln softmax(z)_c.
        ignore_label: Examples with this label contribute nothing and are not counted in the
            mean, like PyTorch's ``ignore_index``; a batch of only such examples has loss 0.
        label_smoothing: The probability mass α in [0, 1) that is moved to other classes
            (Szegedy et al. 2016).
        smoothing_convention: "K" gives α/K to every class (as PyTorch does), "K-1" gives
            α/(K − 1) to every wrong class and 1 − α to the right one.
        from_logits: False if predictions are probabilities: −Σ_c y_c ln ŷ_c with logarithms
            clamped to ≥ −100, derivative −y/ŷ.

    >>> round(CrossEntropy()([[0.0, 0.0]], [1]).item(), 6)
    0.693147
    >>> round(CrossEntropy(ignore_label=-100)([[0.0, 0.0], [5.0, 0.0]], [1, -100]).item(), 6)
    0.693147
    """

    label_smoothing: float = 0.0
    smoothing_convention: Literal["K", "K-1"] = "K"
    from_logits: bool = True
    name: ClassVar[str] = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(
            "label_smoothing", 0 <= self.label_smoothing < 1, "a number in [0, 1)"
        )
        self._require(
            "smoothing_convention",
            self.smoothing_convention in {"K", "K-1"},
            "'K' or 'K-1'",
        )

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −Σ y ln softmax(z) of every example."""
        return self._masked(lambda y: self._values(prediction, y), prediction, target)

    def _values(self, prediction: Tensor, target: Tensor) -> Tensor:
        has_labels = target.ndim == prediction.ndim - 1
        if has_labels and self.from_logits and not self.label_smoothing:
            weights = self._weights(prediction.dtype)
            values = cross_entropy(prediction, target)
            return values if weights is None else values * take(weights, target)
        smoothed = self._smoothed(self._rows(prediction, target), prediction.shape[-1])
        rows = self._weighted(smoothed)
        if self.from_logits:
            return cross_entropy(prediction, rows)
        return Tensor(f.cross_entropy_of_probabilities(prediction.node, rows.node))

    def _smoothed(self, rows: Tensor, n: int) -> Tensor:
        if not self.label_smoothing:
            return rows
        if self.smoothing_convention == "K":
            return rows * (1 - self.label_smoothing) + self.label_smoothing / n
        wrong = self.label_smoothing / (n - 1)
        return rows * (1 - self.label_smoothing - wrong) + wrong


@final
@dataclass(frozen=True, kw_only=True)
class NegativeLogLikelihood(_Categorical):
    """Negative log-likelihood −Σ_c y_c a_c of log-probabilities a, the output of a log-softmax.

    Shapes: a (N, K); targets are labels (N,), or one-hot or soft rows (N, K).

    >>> NegativeLogLikelihood()([[-0.5, -1.0]], [1]).item()
    1.0
    """

    name: ClassVar[str] = "negative_log_likelihood"
    link: ClassVar[Link] = "identity"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −Σ y a of every example."""

        def values(y: Tensor) -> Tensor:
            rows = self._weighted(self._rows(prediction, y))
            return -weighted(rows, prediction).sum(-1)

        return self._masked(values, prediction, target)


@dataclass(frozen=True, kw_only=True)
class _Binary(Loss):
    """Base class of binary losses: targets in [0, 1] of the shape of the outputs (multi-hot rows for many labels)."""

    link: ClassVar[Link] = "sigmoid"

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that targets are in [0, 1]."""
        del prediction, target
        hint = "Labels -1 and 1 are for Hinge(): write (y + 1) / 2. For more classes use CrossEntropy()."
        slack = 1e-6  # convex combinations of labels are rounded

        def outside(y: Any) -> Any:
            return (y < -slack) | (y > 1 + slack)

        return (Requirement(outside, "numbers in [0, 1]", hint),)


@final
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(_Binary):
    """Binary cross-entropy −(α y ln ŷ + β (1 − y) ln(1 − ŷ)), ŷ = σ(z), averaged over outputs.

    Shapes: logits z and targets y ∈ [0, 1] both (N,) or (N, outputs); multi-hot rows for
    multi-label classification. The derivative is σ(z) − y for α = β = 1.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        positive_weight: The weight α ≥ 0 of positive targets; larger than β where they are rare.
        negative_weight: The weight β ≥ 0 of negative targets.
        from_logits: False if predictions are probabilities ŷ; logarithms are then clamped to
            ≥ −100, and the derivative is (ŷ − y)/(ŷ(1 − ŷ)).

    >>> round(BinaryCrossEntropy()([0.0], [1.0]).item(), 6)
    0.693147
    """

    positive_weight: float = 1.0
    negative_weight: float = 1.0
    from_logits: bool = True
    name: ClassVar[str] = "binary_cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights(self, "positive_weight", "negative_weight")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the outputs of every example."""
        y = target.astype(prediction.dtype)
        alpha, beta = self.positive_weight, self.negative_weight
        if alpha == beta == 1:
            if self.from_logits:
                return over_examples(binary_cross_entropy(prediction, y))
            values = f.binary_cross_entropy_of_probabilities(prediction.node, y.node)
            return over_examples(Tensor(values))
        if self.from_logits:  # −ln σ(z) and −ln(1 − σ(z))
            positive = weighted(y, softplus(-prediction))
            negative = weighted(1 - y, softplus(prediction))
            return over_examples(positive * alpha + negative * beta)
        probabilities = stack([prediction, 1 - prediction], -1)
        rows = stack([y * alpha, (1 - y) * beta], -1)
        values = f.cross_entropy_of_probabilities(probabilities.node, rows.node)
        return over_examples(Tensor(values))


@final
@dataclass(frozen=True, kw_only=True)
class BinaryFocal(_Binary):
    """Binary focal loss −α_t(1 − p_t)^γ ln p_t, averaged over outputs (Lin et al. 2017).

    p_t is σ(z) for y = 1 and 1 − σ(z) for y = 0; soft targets weight both terms. Shapes:
    logits z and targets both (N,) or (N, outputs).

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        gamma: The focusing parameter γ ≥ 0; 0 is the binary cross-entropy.
        balance: The weight α of y = 1; y = 0 has the weight 1 − α. None weights both with 1.

    >>> round(BinaryFocal(gamma=2.0)([0.0], [1.0]).item(), 6)
    0.173287
    """

    gamma: float = 2.0
    balance: float | None = None
    name: ClassVar[str] = "binary_focal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights(self, "gamma")
        self._require(
            "balance",
            self.balance is None or 0 <= self.balance <= 1,
            "a number in [0, 1] or None",
        )

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the outputs of every example."""
        y = target.astype(prediction.dtype)
        alpha, beta = 1.0, 1.0
        if self.balance is not None:
            alpha, beta = self.balance, 1 - self.balance
        positive = softplus(-prediction)  # −ln ŷ
        negative = softplus(prediction)  # −ln(1 − ŷ)
        # (1 − ŷ)^γ = e^(−γ·softplus(z)): an exponential is smooth also where a probability is 0
        focus_positive = exp(negative * -self.gamma)
        focus_negative = exp(positive * -self.gamma)
        positive_terms = weighted(y, positive) * focus_positive * alpha
        negative_terms = weighted(1 - y, negative) * focus_negative * beta
        return over_examples(positive_terms + negative_terms)


@final
@dataclass(frozen=True, kw_only=True)
class Focal(_Categorical):
    """Focal loss −Σ_c w_c y_c (1 − p_c)^γ ln p_c, p = softmax(z) (Lin et al. 2017).

    Well-classified examples are weighted down. Shapes: logits z (N, K); targets are labels
    (N,), or one-hot or soft rows (N, K).

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        class_weight: A factor w_c ≥ 0 per class.
        ignore_label: Examples with this label contribute nothing and are not counted.
        gamma: The focusing parameter γ ≥ 0; 0 is the cross-entropy.

    >>> round(Focal(gamma=2.0)([[0.0, 0.0]], [1]).item(), 6)
    0.173287
    """

    gamma: float = 2.0
    name: ClassVar[str] = "focal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights(self, "gamma")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the focal loss of every example."""
        return self._masked(lambda y: self._values(prediction, y), prediction, target)

    def _values(self, prediction: Tensor, target: Tensor) -> Tensor:
        log_p = Tensor(f.log_softmax(prediction.node, axis=prediction.ndim - 1))
        terms = weighted(self._weighted(self._rows(prediction, target)), log_p)
        if self.gamma:  # 1 − p, clamped above 0, where a power < 1 has no derivative
            terms = terms * maximum(-expm1(log_p), 1e-30) ** self.gamma
        return -terms.sum(-1)
