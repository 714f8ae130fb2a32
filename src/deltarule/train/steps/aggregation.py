"""From the numbers of single steps to those of an epoch or a data set; the last, smaller batch counts for less."""

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

    A mean loss is averaged over examples (those that count), a summed one added up. All is added in float64, in the
    order of steps.
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
