"""Hinge losses: zero once the margin is kept (CM-09 … CM-14). The subgradient at the kink is 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from deltarule.dtypes import DType
from deltarule.graph import functions as f
from deltarule.losses.cross_entropy import classes_required
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


@final
@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """max(0, 1 − y·s) for y = ±1, or its square, averaged over outputs (CM-09, CM-10).

    >>> Hinge(reduction="none")([2.0, 0.2, -1.0], [1.0, 1.0, 1.0]).tolist()
    [0.0, 0.800000011920929, 2.0]
    """

    squared: bool = False
    name: ClassVar[str] = "hinge"
    link: ClassVar[Link] = "sign"

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return that targets are −1 or 1."""
        del prediction, target
        return (
            one_of(
                (-1, 1),
                "the labels -1 and 1",
                "Write y = 2 * y - 1 for labels 0 and 1.",
            ),
        )

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the mean hinge over the outputs of every example."""
        values = Tensor(f.hinge(prediction.node, target.astype(prediction.dtype).node))
        return over_examples(values * values if self.squared else values)


@final
@dataclass(frozen=True, kw_only=True)
class MulticlassHinge(Loss):
    """Σ_{j≠y} max(0, margin + a_j − a_y), or the sum of the squares: a sum over classes (CM-11 … CM-14, E000-08).

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
        """Return that labels have a class."""
        return classes_required(prediction, target)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the hinge of every example."""
        if not self.squared:
            return over_examples(
                Tensor(
                    f.multiclass_hinge(prediction.node, target.node, margin=self.margin)
                )
            )
        hot = one_hot(target, prediction.shape[-1], prediction.dtype)
        right = weighted(hot, prediction).sum(-1, keepdims=True)
        slack = weighted(1 - hot, maximum(0, prediction - right + self.margin))
        return over_examples((slack * slack).sum(-1))
