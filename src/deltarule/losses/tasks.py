"""The output activation and loss for a task, and the loss of multi-task models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from deltarule import shapes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from deltarule.losses.loss import Loss, at_least_one, from_config
from deltarule.losses.regression import MeanSquaredError
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.functional import concatenate
from deltarule.tensor.tensor import Tensor

__all__ = ["Head", "Multitask", "head_for"]


@final
@dataclass(frozen=True)
class Head:
    """The output layer for a task: number of outputs, output activation, and loss.

    A loss on logits (``loss.expects_logits``) applies the activation itself; the network then
    ends in a linear layer.

    Attributes:
        outputs: How many outputs the network has, in words.
        activation: The activation that turns outputs into predictions.
        loss: The loss for the task.

    >>> head = head_for("binary")
    >>> head.activation, head.loss.expects_logits
    ('sigmoid', True)
    """

    outputs: str
    activation: str
    loss: Loss


_HEADS = {
    "binary": Head("one", "sigmoid", BinaryCrossEntropy()),
    "multiclass": Head("one per class", "softmax", CrossEntropy()),
    "multilabel": Head("one per label", "sigmoid", BinaryCrossEntropy()),
    "regression": Head("one per number", "identity", MeanSquaredError()),
    "bounded_regression": Head(
        "one per number in [0, 1]", "sigmoid", BinaryCrossEntropy()
    ),
}


def head_for(task: str) -> Head:
    """Return the output activation and loss for a task.

    Tasks: "binary", "multiclass", "multilabel", "regression", "bounded_regression".

    Raises:
        ArgumentError: an unknown task.

    >>> head_for("multiclass").activation, head_for("multiclass").loss.name
    ('softmax', 'cross_entropy')
    """
    if task not in _HEADS:
        raise ArgumentError(
            "head_for", expected=f"one of {', '.join(_HEADS)}", got=repr(task)
        )
    return _HEADS[task]


@final
@dataclass(frozen=True, kw_only=True)
class Multitask(Loss):
    """Multi-task loss Σ_k weight_k·loss_k, with the outputs and targets of the tasks concatenated.

    Shapes: predictions (N, Σ outputs), targets (N, Σ targets). A task with several outputs and
    one target column gets that column as integer labels.

    Args:
        reduction: "mean" or "sum" over examples, or "none" for one value per example.
        losses: The loss of each task.
        outputs: The number of output columns of each task.
        targets: The number of target columns of each task.
        weights: The weight ≥ 0 of each task's loss; all 1 by default.

    >>> both = Multitask(losses=(CrossEntropy(), MeanSquaredError()), outputs=(2, 1), targets=(1, 1))
    >>> round(both([[0.0, 0.0, 3.0]], [[1.0, 1.0]]).item(), 6)
    4.693147
    """

    losses: tuple[Loss, ...] = ()
    outputs: tuple[int, ...] = ()
    targets: tuple[int, ...] = ()
    weights: tuple[float, ...] | None = None
    name: ClassVar[str] = "multitask"

    def __post_init__(self) -> None:
        super().__post_init__()
        losses = tuple(
            from_config(x) if isinstance(x, dict) else x for x in self.losses
        )
        object.__setattr__(self, "losses", losses)
        n = len(losses)
        self._require("losses", n > 0, "at least one loss")
        for name in ("outputs", "targets"):
            columns = getattr(self, name)
            valid = len(columns) == n and min(columns) > 0
            self._require(name, valid, "a number of columns for each loss")
        weights = (1.0,) * n if self.weights is None else tuple(self.weights)
        object.__setattr__(self, "weights", weights)
        valid = len(weights) == n and min(weights) >= 0
        self._require("weights", valid, "a number ≥ 0 for each loss")

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless the number of columns is right and each task's part fits its loss."""
        outputs = (*prediction[:1], sum(self.outputs))
        targets = (*prediction[:1], sum(self.targets))
        if (prediction, target) != (outputs, targets):
            raise ShapeError(
                "Multitask",
                expected=f"outputs {shapes.show(outputs)} and targets {shapes.show(targets)}",
                got=f"outputs {shapes.show(prediction)} and targets {shapes.show(target)}",
            )
        for loss, n_outputs, n_targets in zip(
            self.losses, self.outputs, self.targets, strict=True
        ):
            if not _takes_labels(n_outputs, n_targets):
                loss.check((prediction[0], n_outputs), (target[0], n_targets), dtype)

    def check_values(self, prediction: Shape, target: Array) -> None:
        """Raise DataError where a target does not fit the loss of its task."""
        start = 0
        for loss, n_outputs, n_targets in zip(
            self.losses, self.outputs, self.targets, strict=True
        ):
            part = target[:, start : start + n_targets]
            labels = _takes_labels(n_outputs, n_targets)
            loss.check_values(
                (prediction[0], n_outputs), part[:, 0] if labels else part
            )
            start += n_targets

    def checked(self, prediction: Shape, target: Tensor) -> Tensor:
        """Return the targets with checks that run with the loss, each task's by its own loss."""
        columns, start = [], 0
        for loss, n_outputs, n_targets in zip(
            self.losses, self.outputs, self.targets, strict=True
        ):
            part = target[:, start : start + n_targets]
            labels = _takes_labels(n_outputs, n_targets)
            found = loss.checked(
                (prediction[0], n_outputs), part[:, 0] if labels else part
            )
            columns.append(found.expand_dims(-1) if labels else found)
            start += n_targets
        return concatenate(columns, axis=-1)

    def _parts(
        self, prediction: Tensor, target: Tensor
    ) -> list[tuple[Loss, Tensor, Tensor]]:
        parts, i, j = [], 0, 0
        for loss, n_outputs, n_targets in zip(
            self.losses, self.outputs, self.targets, strict=True
        ):
            y = target[:, j : j + n_targets]
            y = y[:, 0].astype("int64") if _takes_labels(n_outputs, n_targets) else y
            parts.append((loss, prediction[:, i : i + n_outputs], y))
            i, j = i + n_outputs, j + n_targets
        return parts

    def per_example(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum of the tasks' losses of every example."""
        weights: Sequence[float] = self.weights or ()
        parts = zip(self._parts(prediction, target), weights, strict=True)
        values = [self._of_task(loss, z, y) * weight for (loss, z, y), weight in parts]
        return sum(values[1:], values[0])

    def _of_task(self, loss: Loss, prediction: Tensor, target: Tensor) -> Tensor:
        """Return a task's values; ignored examples are not counted in a mean."""
        values = loss.per_example(prediction, target)
        counted = loss.counted(prediction, target)
        if counted is None or self.reduction != "mean":
            return values
        return values / at_least_one(counted.mean())

    def predict(self, output: Tensor) -> Tensor:
        """Return the predictions of the tasks, concatenated."""
        parts, i = [], 0
        for loss, n_outputs in zip(self.losses, self.outputs, strict=True):
            parts.append(loss.predict(output[:, i : i + n_outputs]))
            i += n_outputs
        return concatenate(parts, axis=-1)

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data."""
        return {**super().config(), "losses": [loss.config() for loss in self.losses]}


def _takes_labels(n_outputs: int, n_targets: int) -> bool:
    return n_targets == 1 and n_outputs > 1


check_calls(__name__)
