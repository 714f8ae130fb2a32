"""Hinge losses, which are 0 beyond the margin. The subgradient at the kink is 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from deltarule.dtypes import DType
from deltarule.graph import functions as f
from deltarule.losses.cross_entropy import class_requirements
from deltarule.losses.loss import (
    Link,
    Loss,
    Requirement,
    one_of,
    over_examples,
    require_labels,
)
from deltarule.shapes import Shape
from deltarule.tensor.functional import maximum, one_hot, weighted
from deltarule.tensor.tensor import Tensor

__all__ = ["Hinge", "MulticlassHinge"]


@final
@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """Hinge loss max(0, 1 − y·s) for y = ±1, averaged over outputs; its square with ``squared=True``.

    Shapes: scores s and targets y both (N,) or (N, outputs). ``predict`` returns the scores.

    >>> Hinge(reduction="none")([2.0, 0.2, -1.0], [1.0, 1.0, 1.0]).tolist()
    [0.0, 0.800000011920929, 2.0]
    """

    squared: bool = False
    name: ClassVar[str] = "hinge"
    link: ClassVar[Link] = "sign"

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that targets are −1 or 1."""
        del prediction, target
        hint = "Write y = 2 * y - 1 for labels 0 and 1."
        return (one_of((-1, 1), "the labels -1 and 1", hint),)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean hinge over the outputs of every example."""
        values = Tensor(f.hinge(prediction.node, target.astype(prediction.dtype).node))
        return over_examples(values * values if self.squared else values)


@final
@dataclass(frozen=True, kw_only=True)
class MulticlassHinge(Loss):
    """Multi-class hinge loss Σ_{j≠y} max(0, margin + a_j − a_y) (Weston and Watkins 1999).

    Shapes: scores a (N, K), labels y (N,). It is a sum over classes, where PyTorch's
    ``MultiMarginLoss`` divides by K.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        margin: By how much the score of the right class should exceed the others; > 0.
        squared: Sum the squares of the terms.

    >>> MulticlassHinge()([[2.0, 1.5, 4.0, -3.0]], [0]).item()
    3.5
    """

    margin: float = 1.0
    squared: bool = False
    name: ClassVar[str] = "multiclass_hinge"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("margin", self.margin > 0, "a number > 0")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless targets are labels."""
        require_labels(type(self).__name__, prediction, target, dtype)

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that labels are classes."""
        return class_requirements(prediction, target)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the hinge of every example."""
        if not self.squared:
            scores, labels = prediction.node, target.node
            values = f.multiclass_hinge(scores, labels, margin=self.margin)
            return over_examples(Tensor(values))
        right = one_hot(target, prediction.shape[-1], prediction.dtype)
        right_score = weighted(right, prediction).sum(-1, keepdims=True)
        hinges = maximum(0, prediction - right_score + self.margin)
        slack = weighted(1 - right, hinges)
        return over_examples((slack * slack).sum(-1))
