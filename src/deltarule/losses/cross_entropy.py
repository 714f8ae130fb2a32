"""Losses on classes and probabilities. Scores are logits unless ``from_logits=False`` says otherwise."""

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


def classes_required(
    prediction: Shape, target: Shape, ignore_label: int | None = None, more: str = ""
) -> tuple[Requirement, ...]:
    """Return that a label has a class (or is the ignored one), and that a row of shares is a distribution.

    ``more`` is what the loss can do beside about labels without a class.
    """
    n = prediction[-1]
    if not isinstance(n, int):  # an unknown number of classes
        return ()
    if len(target) == len(prediction) - 1:
        hint = "Give the model as many outputs as there are classes."
        if ignore_label is None:
            return (
                Requirement(
                    lambda y: (y < 0) | (y >= n),
                    f"labels 0 … {n - 1}",
                    f"{hint} {more}".rstrip(),
                ),
            )
        expected = f"labels 0 … {n - 1}, or {ignore_label} to be ignored"
        return (
            Requirement(
                lambda y: ((y < 0) | (y >= n)) & (y != ignore_label), expected, hint
            ),
        )
    return (
        Requirement(lambda y: y < -1e-6, "shares ≥ 0"),
        Requirement(
            lambda sums: abs(sums - 1) > 1e-3,
            "rows that sum to 1",
            "For several labels an example use BinaryCrossEntropy().",
            lambda y: y.sum(-1),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Categorical(Loss):
    """What losses on one of several classes share: labels (N,), one-hot or soft rows (N, K).

    Examples (or positions) with the label ``ignore_label`` add nothing and do not count in the mean; where nothing
    counts, the loss is 0.
    """

    class_weights: tuple[float, ...] | None = None
    ignore_label: int | None = None
    link: ClassVar[Link] = "softmax"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = isinstance(self.ignore_label, int | np.integer) and not isinstance(
            self.ignore_label, bool
        )
        self._require(
            "ignore_label", self.ignore_label is None or whole, "a whole number or None"
        )
        object.__setattr__(
            self,
            "ignore_label",
            None if self.ignore_label is None else int(self.ignore_label),
        )
        if self.class_weights is not None:
            object.__setattr__(
                self, "class_weights", tuple(float(w) for w in self.class_weights)
            )
            fits = all(0 <= w < math.inf for w in self.class_weights)
            self._require(
                "class_weights",
                fits and len(self.class_weights) > 0,
                "numbers ≥ 0, one a class",
            )

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

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return that labels have a class and rows are distributions."""
        return classes_required(
            prediction, target, self.ignore_label, "ignore_label= leaves examples out."
        )

    def counted(self, prediction: Tensor, target: Tensor) -> Tensor | None:
        """Return the share of each example's labels that are not ignored."""
        if self.ignore_label is None or target.ndim != prediction.ndim - 1:
            return None
        return over_examples((target != self.ignore_label).astype(prediction.dtype))

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data; files of losses that ignore no label are those of earlier versions."""
        found = super().config()
        if self.ignore_label is None:
            del found["ignore_label"]
        return found

    def _kept(
        self, values: Callable[[Tensor], Tensor], prediction: Tensor, target: Tensor
    ) -> Tensor:
        """Return values for targets, averaged over all but the examples, with 0 for ignored labels."""
        if self.ignore_label is None or target.ndim != prediction.ndim - 1:
            return over_examples(values(target))
        ignored = target == self.ignore_label
        return over_examples(where(ignored, 0.0, values(where(ignored, 0, target))))

    def _rows(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return targets as rows in the predictions' type."""
        labels = target.ndim == prediction.ndim - 1
        return (
            one_hot(target, prediction.shape[-1], prediction.dtype)
            if labels
            else target.astype(prediction.dtype)
        )

    def _weighted(self, rows: Tensor) -> Tensor:
        """Return rows of targets times the weights of the classes."""
        weights = self._weights(rows.dtype)
        return rows if weights is None else rows * weights

    def _weights(self, kind: DType) -> Tensor | None:
        return (
            None
            if self.class_weights is None
            else tensor(np.array(self.class_weights), dtype=kind)
        )


@final
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(_Categorical):
    """−Σ_c y_c ln softmax(z)_c (OUT-10, OUT-17) for labels (N,), one-hot or soft targets (N, classes).

    ``label_smoothing`` α moves the mass α to other classes: convention "K" gives each class α/K (PyTorch),
    "K-1" each wrong class α/(K − 1) and the right one 1 − α (OUT-14, with E001-04 corrected).
    ``class_weights`` w multiply the terms of the sum, −Σ_c w_c y_c ln softmax(z)_c. Labels ``ignore_label`` (−100,
    say) add nothing and do not count in the mean, as PyTorch's ``ignore_index``; a batch of nothing else has loss 0.
    ``from_logits=False`` takes probabilities: −Σ y ln ŷ with logarithms kept ≥ −100 (derivative −y/ŷ, OUT-11).

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
        return self._kept(lambda y: self._values(prediction, y), prediction, target)

    def _values(self, prediction: Tensor, target: Tensor) -> Tensor:
        weights = self._weights(prediction.dtype)
        if (
            target.ndim == prediction.ndim - 1
            and self.from_logits
            and not self.label_smoothing
        ):
            values = cross_entropy(prediction, target)
            return values if weights is None else values * take(weights, target)
        rows = self._weighted(
            self._smoothed(self._rows(prediction, target), prediction.shape[-1])
        )
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
    """−Σ_c y_c a_c for log-probabilities a, as log_softmax gives them; labels (N,) or rows (N, classes) (OUT-17).

    >>> NegativeLogLikelihood()([[-0.5, -1.0]], [1]).item()
    1.0
    """

    name: ClassVar[str] = "negative_log_likelihood"
    link: ClassVar[Link] = "identity"

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return −Σ y a of every example."""

        def values(y: Tensor) -> Tensor:
            return -weighted(self._weighted(self._rows(prediction, y)), prediction).sum(
                -1
            )

        return self._kept(values, prediction, target)


@dataclass(frozen=True, kw_only=True)
class _Binary(Loss):
    """What losses on yes or no share: targets in [0, 1] of the outputs' shape (multi-hot rows for many labels)."""

    link: ClassVar[Link] = "sigmoid"

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return that targets are in [0, 1]."""
        del prediction, target
        hint = "Labels -1 and 1 are for Hinge(): write (y + 1) / 2. For more classes use CrossEntropy()."
        slack = 1e-6  # mixtures of ones are rounded
        return (
            Requirement(
                lambda y: (y < -slack) | (y > 1 + slack), "numbers in [0, 1]", hint
            ),
        )


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
            return over_examples(
                Tensor(f.binary_cross_entropy_of_probabilities(prediction.node, y.node))
            )
        if self.from_logits:  # −ln σ(z) and −ln(1 − σ(z))
            yes, no = (
                weighted(y, softplus(-prediction)),
                weighted(1 - y, softplus(prediction)),
            )
            return over_examples(yes * alpha + no * beta)
        both = stack([prediction, 1 - prediction], -1)
        shares = stack([y * alpha, (1 - y) * beta], -1)
        return over_examples(
            Tensor(f.cross_entropy_of_probabilities(both.node, shares.node))
        )


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
        self._require(
            "balance",
            self.balance is None or 0 <= self.balance <= 1,
            "a number in [0, 1] or None",
        )

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean over the outputs of every example."""
        y = target.astype(prediction.dtype)
        yes, no = softplus(-prediction), softplus(prediction)  # −ln ŷ, −ln(1 − ŷ)
        alpha, beta = (
            (1.0, 1.0) if self.balance is None else (self.balance, 1 - self.balance)
        )
        # 1 − ŷ = e^−softplus(z): the power of a probability as an exponential, smooth also where it is 0
        focus_yes, focus_no = exp(no * -self.gamma), exp(yes * -self.gamma)
        return over_examples(
            weighted(y, yes) * focus_yes * alpha + weighted(1 - y, no) * focus_no * beta
        )


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
        return self._kept(lambda y: self._values(prediction, y), prediction, target)

    def _values(self, prediction: Tensor, target: Tensor) -> Tensor:
        logarithm = Tensor(f.log_softmax(prediction.node, axis=prediction.ndim - 1))
        terms = weighted(self._weighted(self._rows(prediction, target)), logarithm)
        if self.gamma:  # 1 − p, kept off 0 where a power below 1 has no slope
            terms = terms * maximum(-expm1(logarithm), 1e-30) ** self.gamma
        return -terms.sum(-1)
