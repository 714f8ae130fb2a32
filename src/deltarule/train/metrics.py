"""Metrics: a number per example, averaged over the data (batches weigh by their size)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError
from deltarule.losses import Loss
from deltarule.tensor.functional import argsort
from deltarule.tensor.tensor import Tensor

PerExample = Callable[[Tensor, Tensor, Loss], Tensor]


@dataclass(frozen=True)
class Metric:
    """A named value per example: (model output, target, loss) → (N,). Its mean over examples is reported."""

    name: str
    per_example: PerExample

    def bound_to(self, targets: npt.NDArray[Any]) -> Metric:
        """Return the metric for one data set (only ``r2`` needs to see its targets)."""
        return _r2_for(targets) if self.name == "r2" else self


def _labels(target: Tensor, output: Tensor) -> Tensor:
    """Return labels of label, one-hot or soft targets."""
    return target.argmax(-1) if target.ndim == output.ndim and output.shape[-1] > 1 else target


def _accuracy(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """Whether the class with the highest score (or the side of the threshold) is right."""
    if loss.link in {"sigmoid", "sign"} or output.shape[-1:] == (1,) or output.ndim == 1:
        threshold = 0.0 if loss.link != "identity" else 0.5
        threshold = 0.5 if getattr(loss, "from_logits", True) is False else threshold
        right = (output > threshold) == (target.astype(output.dtype) > (0.0 if loss.link == "sign" else 0.5))
        values = right.astype("float32")
        return values.mean(tuple(range(1, values.ndim))) if values.ndim > 1 else values
    return (output.argmax(-1) == _labels(target, output)).astype("float32")


def _top_5(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """Whether the right class is among the five highest scores."""
    del loss
    best = argsort(-output, axis=-1)[:, :5]
    return (best == _labels(target, output).expand_dims(1)).any(axis=1).astype("float32")


def _absolute(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    del loss
    error = abs(output - target.astype(output.dtype))
    return error.mean(tuple(range(1, error.ndim))) if error.ndim > 1 else error


def _squared(output: Tensor, target: Tensor, loss: Loss) -> Tensor:
    del loss
    error = output - target.astype(output.dtype)
    squares = error * error
    return squares.mean(tuple(range(1, squares.ndim))) if squares.ndim > 1 else squares


def _r2_for(targets: npt.NDArray[Any]) -> Metric:
    variance = float(np.var(np.asarray(targets, np.float64), axis=0).mean())
    return Metric("r2", lambda output, target, loss: 1.0 - _squared(output, target, loss) / max(variance, 1e-30))


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy),
        Metric("top_5_accuracy", _top_5),
        Metric("mean_absolute_error", _absolute),
        Metric("mean_squared_error", _squared),
        Metric("r2", _squared),
    )
}


def get(metric: str | Metric) -> Metric:
    """Return a metric by name, or as it is.

    >>> get("accuracy").name
    'accuracy'
    """
    if isinstance(metric, Metric):
        return metric
    if metric not in METRICS:
        raise ArgumentError(
            "metrics", expected=f"names among {', '.join(METRICS)}, or Metric objects", got=repr(metric)
        )
    return METRICS[metric]


def get_all(metrics: Sequence[str | Metric]) -> list[Metric]:
    """Return metrics by name; a single name is refused with the way out."""
    if isinstance(metrics, str):
        raise ArgumentError("metrics", expected="a list", got=repr(metrics), hint=f"Write metrics=[{metrics!r}].")
    return [get(metric) for metric in metrics]
