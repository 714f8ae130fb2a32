"""From the task to the last activation and the loss (OUT-18), and losses of several tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

from deltarule import shapes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, ShapeError
from deltarule.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from deltarule.losses.loss import Loss, at_least_one, from_config
from deltarule.losses.regression import MeanSquaredError
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.functional import concatenate
from deltarule.tensor.tensor import Tensor


@final
@dataclass(frozen=True)
class Head:
    """How a network for a task ends: outputs, the activation that gives the prediction, and the loss.

    A loss on logits (``loss.expects_logits``) applies the activation itself: the network ends in a linear layer.
    """

    outputs: str
    activation: str
    loss: Loss


_HEADS = {
    "binary": Head("one", "sigmoid", BinaryCrossEntropy()),
    "multiclass": Head("one a class", "softmax", CrossEntropy()),
    "multilabel": Head("one a label", "sigmoid", BinaryCrossEntropy()),
    "regression": Head("one a number", "identity", MeanSquaredError()),
    "bounded_regression": Head(
        "one a number in [0, 1]", "sigmoid", BinaryCrossEntropy()
    ),
}


def head_for(task: str) -> Head:
    """Return the end of a network for one of the five tasks of OUT-18.

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
    """Σ_k weight_k·loss_k over the outputs and targets of several tasks, side by side in the last axis (TRF).

    ``outputs`` and ``targets`` say how many columns of each belong to a task. A task of one target column whose
    loss takes labels gets them as whole numbers.

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
        object.__setattr__(
            self,
            "losses",
            tuple(from_config(x) if isinstance(x, dict) else x for x in self.losses),
        )
        n = len(self.losses)
        self._require("losses", n > 0, "at least one loss")
        self._require(
            "outputs",
            len(self.outputs) == n and min(self.outputs) > 0,
            "a number of columns for each loss",
        )
        self._require(
            "targets",
            len(self.targets) == n and min(self.targets) > 0,
            "a number of columns for each loss",
        )
        weights = (1.0,) * n if self.weights is None else tuple(self.weights)
        object.__setattr__(self, "weights", weights)
        self._require(
            "weights",
            len(weights) == n and min(weights) >= 0,
            "a number ≥ 0 for each loss",
        )

    def check(self, prediction: Shape, target: Shape, dtype: DType) -> None:
        """Raise unless the columns are there and each task's part fits its loss."""
        wanted = (
            (*prediction[:1], sum(self.outputs)),
            (*prediction[:1], sum(self.targets)),
        )
        if (prediction, target) != wanted:
            raise ShapeError(
                "Multitask",
                expected=f"outputs {shapes.show(wanted[0])} and targets {shapes.show(wanted[1])}",
                got=f"outputs {shapes.show(prediction)} and targets {shapes.show(target)}",
            )
        for loss, n_outputs, n_targets in zip(
            self.losses, self.outputs, self.targets, strict=True
        ):
            if not _takes_labels(n_outputs, n_targets):
                loss.check((prediction[0], n_outputs), (target[0], n_targets), dtype)

    def check_values(self, prediction: Shape, target: Array) -> None:
        """Raise where a target does not fit its loss."""
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
        """Return targets whose values are not known yet; each task's are checked where the loss is run."""
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
        """Return a task's values; in a mean, examples that it ignores do not count."""
        values, counted = (
            loss.per_example(prediction, target),
            loss.counted(prediction, target),
        )
        if counted is None or self.reduction != "mean":
            return values
        return values / at_least_one(counted.mean())

    def predict(self, output: Tensor) -> Tensor:
        """Return the predictions of the tasks side by side."""
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
