"""Losses of embeddings: cosine, contrastive, triplet.

The two or three embeddings of an example are stacked along the second axis of the model's
output: (N, 2, d) or (N, 3, d).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from deltarule import shapes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import ShapeError
from deltarule.losses.loss import Loss, Requirement, one_of
from deltarule.shapes import Shape
from deltarule.tensor.functional import maximum
from deltarule.tensor.tensor import Tensor

__all__ = ["Contrastive", "Cosine", "Triplet", "cosine"]


def cosine(x: Tensor, y: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Return the cosine similarity xᵀy / max(‖x‖‖y‖, ε) along the last axis.

    It is 0, with finite derivatives, where x or y is 0.

    Args:
        x: Vectors, (…, d).
        y: Vectors, (…, d).
        epsilon: The lower bound of the product of the norms.

    >>> from deltarule.tensor.tensor import tensor
    >>> cosine(tensor([3.0, 4.0]), tensor([4.0, 3.0])).item()
    0.9599999785423279
    >>> cosine(tensor([0.0, 0.0]), tensor([1.0, 0.0])).item()
    0.0
    """
    return (x * y).sum(-1) / maximum(x.norm(axis=-1) * y.norm(axis=-1), epsilon)


def _require_stack(where: str, prediction: Shape, target: Shape, n: int) -> None:
    if len(prediction) != 3 or prediction[1] != n or target != prediction[:1]:
        raise ShapeError(
            where,
            expected=f"embeddings (N, {n}, d) and one target for each example, (N,)",
            got=f"outputs {shapes.show(prediction)} and targets {shapes.show(target)}",
            hint=f"Join the {n} embeddings of an example with stack([…], axis=1).",
        )


@final
@dataclass(frozen=True, kw_only=True)
class Cosine(Loss):
    """Cosine loss −y·s with the cosine similarity s = zᵀẑ/(‖z‖‖ẑ‖) and y = ±1.

    Shapes: embeddings z, ẑ stacked as (N, 2, d), and signs y (N,); or outputs z (N, d) and
    targets ẑ (N, d), with y = 1.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        form: "signed" is −y·s; "margin" is 1 − s for y = 1 and max(0, s − margin) for
            y = −1, as PyTorch's ``CosineEmbeddingLoss``.
        margin: The margin in [−1, 1] of ``form="margin"``.
        epsilon: The lower bound of ‖z‖‖ẑ‖.

    >>> Cosine()([[[1.0, 0.0], [2.0, 0.0]]], [1.0]).item()
    -1.0
    """

    form: Literal["signed", "margin"] = "signed"
    margin: float = 0.0
    epsilon: float = 1e-8
    name: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("form", self.form in {"signed", "margin"}, "'signed' or 'margin'")
        self._require("margin", -1 <= self.margin <= 1, "a number in [-1, 1]")
        self._require("epsilon", self.epsilon > 0, "a number > 0")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless outputs are pairs with a sign each, or vectors with a vector each."""
        if len(prediction) == 2:
            super().check(prediction, target, dtype)
        else:
            _require_stack("Cosine", prediction, target, 2)

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that signs are −1 or 1."""
        del target
        if len(prediction) != 3:
            return ()
        hint = "Write y = 2 * y - 1 for 0 and 1."
        return (one_of((-1, 1), "the signs -1 and 1", hint),)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every example."""
        y = target.astype(prediction.dtype)
        if prediction.ndim == 2:
            s = cosine(prediction, y, self.epsilon)
            return -s if self.form == "signed" else 1 - s
        s = cosine(prediction[:, 0], prediction[:, 1], self.epsilon)
        if self.form == "signed":
            return -(y * s)
        similar, dissimilar = 1 - s, maximum(0, s - self.margin)
        return similar * (1 + y) * 0.5 + dissimilar * (1 - y) * 0.5


@final
@dataclass(frozen=True, kw_only=True)
class Contrastive(Loss):
    """Contrastive loss ½yD² + ½(1 − y)max(0, margin − D)², D = ‖z − ẑ‖ (Hadsell et al. 2006).

    Shapes: pairs of embeddings (N, 2, d); targets y (N,), 1 for a similar pair and 0 for a
    dissimilar one. The subgradient of D at 0 is 0.

    >>> Contrastive(reduction="none")([[[0.0], [0.5]], [[0.0], [0.5]]], [1, 0]).tolist()
    [0.125, 0.125]
    """

    margin: float = 1.0
    name: ClassVar[str] = "contrastive"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("margin", self.margin > 0, "a number > 0")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless outputs are pairs."""
        del dtype
        _require_stack("Contrastive", prediction, target, 2)

    def requirements(self, prediction: Shape, target: Shape) -> tuple[Requirement, ...]:
        """Return the requirement that targets are 0 or 1."""
        del prediction, target
        return (one_of((0, 1), "the labels 0 and 1", "1 stands for a similar pair."),)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every pair."""
        y = target.astype(prediction.dtype)
        difference = prediction[:, 0] - prediction[:, 1]
        gap = maximum(0, self.margin - difference.norm(axis=-1))
        return ((difference * difference).sum(-1) * y + gap * gap * (1 - y)) * 0.5


@final
@dataclass(frozen=True, kw_only=True)
class Triplet(Loss):
    """Triplet loss max(0, ‖a − p‖ − ‖a − n‖ + margin) (Schroff et al. 2015).

    Shapes: anchor a, positive p and negative n stacked as (N, 3, d). Targets (N,) are not
    read: pass labels or zeros.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        margin: By how much the negative should be farther from the anchor; > 0.
        squared: Use squared distances, as the paper does.

    >>> Triplet()([[[0.0], [1.0], [3.0]], [[0.0], [2.0], [1.5]]], [0, 0]).item()
    0.75
    """

    margin: float = 1.0
    squared: bool = False
    name: ClassVar[str] = "triplet"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("margin", self.margin > 0, "a number > 0")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless outputs are triples."""
        del dtype
        _require_stack("Triplet", prediction, target, 3)

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every triple."""
        del target
        near = prediction[:, 0] - prediction[:, 1]
        far = prediction[:, 0] - prediction[:, 2]
        if self.squared:
            return maximum(0, (near * near).sum(-1) - (far * far).sum(-1) + self.margin)
        return maximum(0, near.norm(axis=-1) - far.norm(axis=-1) + self.margin)


check_calls(__name__)
