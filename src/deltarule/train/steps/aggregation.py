"""Aggregate the metrics of steps to those of an epoch or a data set, weighted by batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.train.steps.step import StepSpec, Task

Rows = npt.NDArray[np.float64]


def aggregate_metrics(
    task: Task, step: StepSpec, rows: Rows, sizes: npt.NDArray[Any]
) -> dict[str, float]:
    """Return loss, penalty and metrics from the steps' metrics (steps, metrics) and batch sizes (steps,).

    A mean loss is averaged over the examples that count, a sum is summed. Sums are computed in float64, in the order of
    the steps.
    """
    n = int(sizes.sum())
    summed = task.loss.reduction == "sum"
    weights = rows[:, -1] if step.counts else sizes
    total = float(weights.sum()) or 1.0
    values = {
        "loss": float(
            rows[:, 0].sum() if summed else (rows[:, 0] * weights).sum() / total
        )
    }
    column = 1
    if step.has_penalty:
        values["penalty"] = float((rows[:, 1] * sizes).sum() / n)
        column = 2
    for metric, width in zip(task.metrics, step.widths, strict=True):
        values[metric.name] = metric.value(
            [float(x) for x in rows[:, column : column + width].sum(axis=0)], n
        )
        column += width
    return values
