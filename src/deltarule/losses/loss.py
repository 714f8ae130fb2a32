"""What every loss offers: a value per example, a reduction, a check of shapes before a step is run."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, DataWarning, ShapeError
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.shapes import Shape
from deltarule.tensor.functional import as_tensor, sigmoid, softmax
from deltarule.tensor.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]
Link = Literal["identity", "sigmoid", "softmax", "sign"]
_KINDS: dict[str, Callable[..., Loss]] = {}


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """A loss: ``per_example`` (N,) and its reduction over examples (DA-12: the notes disagree on Σ or mean).

    ``name`` is its short name in ``fit(loss=…)``; ``link`` turns the model's output into what is predicted
    ("softmax" and "sigmoid" losses take logits).
    """

    reduction: Reduction = "mean"
    name: ClassVar[str]
    link: ClassVar[Link] = "identity"

    def __init_subclass__(cls) -> None:
        if hasattr(cls, "name"):
            _KINDS[cls.name] = cls

    def __post_init__(self) -> None:
        self._require("reduction", self.reduction in {"mean", "sum", "none"}, "'mean', 'sum' or 'none'")

    def _require(self, field: str, condition: bool, expected: str) -> None:
        if not condition:
            raise ArgumentError(f"{type(self).__name__} {field}", expected=expected, got=repr(getattr(self, field)))

    @abstractmethod
    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every example, (N,)."""

    def __call__(self, prediction: Any, target: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss; weights multiply each example's loss (the mean stays over N)."""
        output, wanted = as_tensor(prediction), as_tensor(target)
        self.check(output.shape, wanted.shape, wanted.dtype)
        values = self.per_example(output, wanted)
        if sample_weight is not None:
            values = values * as_tensor(sample_weight).astype(values.dtype)
        return values if self.reduction == "none" else values.mean() if self.reduction == "mean" else values.sum()

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless predictions and targets have the same shape; nothing broadcasts here."""
        del dtype
        if prediction != target:
            raise ShapeError(
                f"{type(self).__name__}",
                expected=f"targets of the predictions' shape {shapes.show(prediction)}",
                got=shapes.show(target),
                hint=same_shape_hint(prediction, target),
            )

    def predict(self, output: Tensor) -> Tensor:
        """Return what the output means: probabilities for logits, else the output."""
        if self.link == "softmax":
            return softmax(output)
        return sigmoid(output) if self.link == "sigmoid" else output

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data; ``from_config`` makes it again."""
        return {"loss": self.name, **{f.name: getattr(self, f.name) for f in fields(self)}}


def same_shape_hint(prediction: Shape, target: Shape) -> str:
    """Say how to bring targets to the predictions' shape."""
    if prediction[:-1] == target and prediction[-1:] == (1,):
        return "Write y[:, None] to give the targets a column, or let the model end in one value with .squeeze(-1)."
    if target[:-1] == prediction and target[-1:] == (1,):
        return "Write y[:, 0]: the targets have a column too many; they would broadcast to a matrix."
    return "Give one target for every output of the model."


def from_config(config: dict[str, Any]) -> Loss:
    """Return the loss of a ``config()``."""
    arguments = dict(config)
    name = arguments.pop("loss", "")
    if name not in _KINDS:
        raise ArgumentError("loss", expected=f"one of {', '.join(sorted(_KINDS))}", got=repr(name))
    return _KINDS[name](**arguments)


def get(loss: str | Loss) -> Loss:
    """Return a loss by name, or as it is.

    >>> get("cross_entropy").link
    'softmax'
    """
    return loss if isinstance(loss, Loss) else from_config({"loss": loss})


def warn_if_normalized(loss: Loss, prediction: Tensor) -> None:
    """Warn when a loss on logits is fed with probabilities: a softmax or sigmoid at the end of the model."""
    node: Node = prediction.node
    while node.op in {Op.RESHAPE, Op.CAST, Op.BROADCAST}:
        node = node.sources[0]
    function = node.attributes.get("function") if node.op is Op.CALL else None
    if loss.link in {"softmax", "sigmoid"} and function in {"softmax", "sigmoid"}:
        warnings.warn(
            f"{type(loss).__name__} expects logits, but the model ends in {function}: the loss would apply "
            f"{loss.link} twice and train slowly. Remove the last activation (predict_proba applies it).",
            DataWarning,
            stacklevel=3,
        )
