"""Predictions of a model and their score on labelled data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import nn
from deltarule.cli.inputs import models
from deltarule.data import Dataset
from deltarule.render.numbers import number
from deltarule.report import Example, Score
from deltarule.report.run import confusion_matrix

Array = npt.NDArray[Any]
_MOST_WRONG = 36  # misclassified examples shown
_MOST_ERRORS = 10  # largest errors of a regression shown


@dataclass(frozen=True)
class Measured:
    """A score, and the outputs from which it was computed: probabilities (n, K) or numbers (n,)."""

    score: Score
    outputs: Array


def outputs(model: nn.Module, inputs: Array, task: str, device: str) -> Array:
    """Return class probabilities (n, K) or predicted numbers (n,)."""
    loss = models.LOSSES[task]
    answers: Array = model.predict_proba(inputs, loss=loss, device=device)
    return answers if task == "classification" else answers[:, 0]


def measure(
    model: nn.Module, data: Dataset, rows: npt.NDArray[np.int64], device: str
) -> Measured:
    """Return the score of a model on rows of a data set."""
    inputs, targets = data.inputs[rows], models.targets(data)[rows]
    metric = models.metric_name(data)
    values = model.evaluate(
        inputs, targets, loss=models.loss_name(data), metrics=[metric], device=device
    )
    answers = outputs(model, inputs, data.task, device)
    if data.task == "classification":
        return Measured(_classified(data, rows, answers, values["loss"]), answers)
    return Measured(_regressed(data, rows, answers, values), answers)


def _classified(
    data: Dataset, rows: npt.NDArray[np.int64], probabilities: Array, loss: float
) -> Score:
    truth, predicted = data.targets[rows], probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(rows)), predicted]
    wrong = np.flatnonzero(predicted != truth)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:_MOST_WRONG]
    pictures = len(data.input_shape) == 3 and data.input_shape[-1] in {1, 3}
    examples = tuple(
        Example(
            int(rows[i]),
            data.class_names[truth[i]],
            data.class_names[predicted[i]],
            float(sure[i]),
            data.inputs[rows[i]] if pictures else None,
        )
        for i in worst
    )
    counts = confusion_matrix(truth, predicted, data.n_classes)
    accuracy = float((predicted == truth).mean())
    return Score(
        "accuracy", accuracy, len(rows), loss, counts, None, examples, len(wrong)
    )


def _regressed(
    data: Dataset,
    rows: npt.NDArray[np.int64],
    predicted: Array,
    values: dict[str, float],
) -> Score:
    truth = data.targets[rows]
    worst = np.argsort(-np.abs(truth - predicted), kind="stable")[:_MOST_ERRORS]
    examples = tuple(
        Example(int(rows[i]), number(float(truth[i])), number(float(predicted[i])))
        for i in worst
    )
    pairs = np.stack([truth, predicted], axis=1)
    return Score(
        "r2", values["r2"], len(rows), values["loss"], None, pairs, examples, len(rows)
    )
