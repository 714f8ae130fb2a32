"""Losses on classes and probabilities. Scores are logits unless ``from_logits=False`` says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.graph import functions as f
from deltarule.losses.loss import Link, Loss, over_examples, require_labels, require_weights
from deltarule.runtime.buffers import Array
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
)
from deltarule.tensor.tensor import Tensor, tensor


def require_classes(loss: Loss, prediction: Shape, target: Array) -> None:
    """Raise where a label has no class, or a row of shares is negative or does not sum to 1."""
    n = int(prediction[-1])
    if target.ndim == len(prediction) - 1:
        fits = (target >= 0) & (target < n)
        loss.require_values(target, fits, f"labels 0 … {n - 1}", "Give the model as many outputs as there are classes.")
        return
    loss.require_values(target, target >= 0, "shares ≥ 0")
    sums = target.sum(axis=-1)
    loss.require_values(sums, np.abs(sums - 1) <= 1e-3, "rows that sum to 1", "For several labels an example use "
                         "BinaryCrossEntropy().")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Categorical(Loss):
    """What losses on one of several classes share: labels (N,), one-hot or soft rows (N, K)."""

    class_weights: tuple[float, ...] | None = None
    link: ClassVar[Link] = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", tuple(float(w) for w in self.class_weights))
            fits = all(0 <= w < math.inf for w in self.class_weights)
            self._require("class_weights", fits and len(self.class_weights) > 0, "numbers ≥ 0, one a class")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels or rows of the scores' shape."""
        same = target == prediction and len(target) > 0
        if not same or (len(target) == 1 and not dtype.is_float):
            require_labels(type(self).__name__, prediction, target, dtype)
        if self.class_weights is not None and len(self.class_weights) != prediction[-1]:
            raise ShapeError(
                f"{type(self).__name__} class_weights",
                expected=f"{shapes.show((prediction[-1],))} weights, one a class",
                got=str(len(self.class_weights)),
            )

    def check_values(self, prediction: Shape, target: Array) -> None:
        """Raise where a label has no class or a row is no distribution."""
        super().check_values(prediction, target)
        require_classes(self, prediction, target)

    def _weights(self, kind: DType) -> Tensor | None:
        return None if self.class_weights is None else tensor(np.array(self.class_weights), dtype=kind)


@final
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(_Categorical):
    """−Σ_c y_c ln softmax(z)_c (OUT-10, OUT-17) for labels (N,), one-hot or soft targets (N, classes).

    ``label_smoothing`` α moves the mass α to other classes: convention "K" gives each class α/K (PyTorch),
    "K-1" each wrong class α/(K − 1) and the right one 1 − α (OUT-14, with E001-04 corrected).
    ``class_weights`` w multiply the terms of the sum, −Σ_c w_c y_c ln softmax(z)_c.
    ``from_logits=False`` takes probabilities: −Σ y ln ŷ with logarithms kept ≥ −100 (derivative −y/ŷ, OUT-11).

    >>> round(CrossEntropy()([[0.0, 0.0]], [1]).item(), 6)
    0.693147
    """

    label_smoothing: float = 0.0
    smoothing_convention: Literal["K", "K-1"] = "K"
    from_logits: bool = True
    name: ClassVar[str] = "cross_entropy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("label_smoothing", 0 <= self.label_smoothing < 1, "a number in [0, 1)")
        self._require("smoothing_convention", self.smoothing_convention in {"K", "K-1"}, "'K' or 'K-1'")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −Σ y ln softmax(z) of every example."""
        labels, weights = target.ndim == prediction.ndim - 1, self._weights(prediction.dtype)
        if labels and self.from_logits and not self.label_smoothing:
            values = cross_entropy(prediction, target)
            return over_examples(values if weights is None else values * take(weights, target))
        n = prediction.shape[-1]
        rows = one_hot(target, n, prediction.dtype) if labels else target.astype(prediction.dtype)
        rows = self._smoothed(rows, n)
        rows = rows if weights is None else rows * weights
        if self.from_logits:
            return over_examples(cross_entropy(prediction, rows))
        return over_examples(Tensor(f.cross_entropy_of_probabilities(prediction.node, rows.node)))

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
    """−Σ_c y_c a_c for log-probabilities a, as log_softmax gives them; labels (N,) or rows (N, classes) (OUT-17).

    >>> NegativeLogLikelihood()([[-0.5, -1.0]], [1]).item()
    1.0
    """

    name: ClassVar[str] = "negative_log_likelihood"
    link: ClassVar[Link] = "identity"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −Σ y a of every example."""
        labels, weights = target.ndim == prediction.ndim - 1, self._weights(prediction.dtype)
        rows = one_hot(target, prediction.shape[-1], prediction.dtype) if labels else target.astype(prediction.dtype)
        rows = rows if weights is None else rows * weights
        return over_examples(-(rows * prediction).sum(-1))


@dataclass(frozen=True, kw_only=True)
class _Binary(Loss):
    """What losses on yes or no share: targets in [0, 1] of the outputs' shape (multi-hot rows for many labels)."""

    link: ClassVar[Link] = "sigmoid"

    def check_values(self, prediction: Shape, target: Array) -> None:
        """Raise for targets outside [0, 1]."""
        super().check_values(prediction, target)
        hint = "Labels -1 and 1 are for Hinge(): write (y + 1) / 2. For more classes use CrossEntropy()."
        self.require_values(target, (target >= 0) & (target <= 1), "numbers in [0, 1]", hint)


@final
@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(_Binary):
    """−(α y ln ŷ + β (1 − y) ln(1 − ŷ)), averaged over outputs, y ∈ [0, 1] (OUT-08, OUT-13, OUT-18 multi-label).

    Predictions are logits (derivative σ(z) − y), or probabilities with ``from_logits=False`` (logarithms kept
    ≥ −100, derivative (ŷ − y)/(ŷ(1 − ŷ)), OUT-09). ``positive_weight`` α is for y = 1, ``negative_weight`` β for
    y = 0: the rare class takes the larger one (E001-05).

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
            return over_examples(Tensor(f.binary_cross_entropy_of_probabilities(prediction.node, y.node)))
        if self.from_logits:  # −ln σ(z) and −ln(1 − σ(z))
            return over_examples(y * softplus(-prediction) * alpha + (1 - y) * softplus(prediction) * beta)
        both = stack([prediction, 1 - prediction], -1)
        shares = stack([y * alpha, (1 - y) * beta], -1)
        return over_examples(Tensor(f.cross_entropy_of_probabilities(both.node, shares.node)))


@final
@dataclass(frozen=True, kw_only=True)
class BinaryFocal(_Binary):
    """−α_t(1 − p_t)^γ ln p_t with p_t = ŷ for y = 1, 1 − ŷ for y = 0; logits in, averaged over outputs.

    γ = 0 is the binary cross-entropy. ``balance`` α is the weight of y = 1, 1 − α that of y = 0; None leaves
    both at 1. Soft targets mix both terms. Source: Lin et al. 2017.

    >>> round(BinaryFocal(gamma=2.0)([0.0], [1.0]).item(), 6)
    0.173287
    """

    gamma: float = 2.0
    balance: float | None = None
    name: ClassVar[str] = "binary_focal"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights(self, "gamma")
        self._require("balance", self.balance is None or 0 <= self.balance <= 1, "a number in [0, 1] or None")

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the outputs of every example."""
        y = target.astype(prediction.dtype)
        yes, no = softplus(-prediction), softplus(prediction)  # −ln ŷ, −ln(1 − ŷ)
        alpha, beta = (1.0, 1.0) if self.balance is None else (self.balance, 1 - self.balance)
        # 1 − ŷ = e^−softplus(z): the power of a probability as an exponential, smooth also where it is 0
        focus_yes, focus_no = exp(no * -self.gamma), exp(yes * -self.gamma)
        return over_examples(y * focus_yes * yes * alpha + (1 - y) * focus_no * no * beta)


@final
@dataclass(frozen=True, kw_only=True)
class Focal(_Categorical):
    """−Σ_c w_c y_c (1 − p_c)^γ ln p_c with p = softmax(z): well classified examples count less (Lin et al. 2017).

    γ = 0 is the cross-entropy. Targets are labels (N,), one-hot or soft rows.

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
        labels, weights = target.ndim == prediction.ndim - 1, self._weights(prediction.dtype)
        rows = one_hot(target, prediction.shape[-1], prediction.dtype) if labels else target.astype(prediction.dtype)
        rows = rows if weights is None else rows * weights
        logarithm = Tensor(f.log_softmax(prediction.node, axis=prediction.ndim - 1))
        terms = rows * logarithm
        if self.gamma:  # 1 − p, kept off 0 where a power below 1 has no slope
            terms = terms * maximum(-expm1(logarithm), 1e-30) ** self.gamma
        return over_examples(-terms.sum(-1))
