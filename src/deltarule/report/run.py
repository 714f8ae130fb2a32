"""The content of a report: a training run as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data import Dataset
from deltarule.render.numbers import counted
from deltarule.visible import shown

__all__ = ["DataCard", "Example", "RunReport", "Score"]

Array = npt.NDArray[Any]
_MAX_NAMES = 12  # that are listed in full


@dataclass(frozen=True)
class DataCard:
    """A description of the data: shapes, classes, split, source and licence.

    Attributes:
        data: The data set.
        seed: Seed of the split.
        parts: Size of each part ("training", "validation", "test").
        class_counts: Number of examples of each class, for each part (empty for regression).
    """

    data: Dataset
    seed: int
    parts: Mapping[str, int]
    class_counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        """Return labels and texts, for a terminal and for a page."""
        found = [
            ("what", self.data.description or self.data.title),
            ("inputs", self._inputs()),
        ]
        found.append(("target", self._target()))
        sizes = ", ".join(f"{name} {size:,}" for name, size in self.parts.items())
        how = "shares of classes kept" if self.class_counts else "at random"
        found.append(("split", f"{sizes}; {how}, seed {self.seed}"))
        found += [("source", self.data.source)] if self.data.source else []
        found += [("licence", self.data.licence)] if self.data.licence else []
        return found

    def _inputs(self) -> str:
        shape = "×".join(map(str, self.data.input_shape))
        if len(self.data.input_shape) == 3:
            return f"{counted(self.data.n_samples, 'image')} of {shape} (height × width × channels)"
        if self.data.schema is not None:
            return f"{counted(self.data.n_samples, 'row')} of {self.data.schema.describe()}"
        names = listed(self.data.feature_names)
        features = (
            counted(int(shape), "feature") if shape.isdigit() else f"{shape} features"
        )
        return f"{counted(self.data.n_samples, 'row')} of {features}" + (
            f": {names}" if names else ""
        )

    def _target(self) -> str:
        if self.data.task == "classification":
            told = f"{counted(self.data.n_classes, 'class')}: {listed(self.data.class_names)}"
        else:
            values = self.data.targets
            told = f"a number, {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}"
        return f"{told} ({self.data.task_note})" if self.data.task_note else told


def listed(names: tuple[str, ...]) -> str:
    """Return names separated by commas; of many, the first ones and the number of the others.

    >>> listed(("a", "b"))
    'a, b'
    """
    kept = names if len(names) <= _MAX_NAMES else names[: _MAX_NAMES - 2]
    return ", ".join(map(shown, kept)) + (
        f" and {len(names) - len(kept)} more" if len(kept) < len(names) else ""
    )


@dataclass(frozen=True)
class Example:
    """A wrong prediction of a test example.

    Attributes:
        row: Row of the example in the data.
        truth: True class, or true value of a regression.
        said: Predicted class or value.
        probability: Probability of the predicted class; None for regression.
        picture: The image (H, W, 1 or 3), or None if the inputs are not images.
    """

    row: int
    truth: str
    said: str
    probability: float | None = None
    picture: Array | None = None


@dataclass(frozen=True)
class Score:
    """The score on the test part.

    Attributes:
        metric: "accuracy" or "r2".
        value: Value of the metric.
        n: Number of examples.
        loss: Value of the loss.
        confusion: Counts (K, K) by true class (rows) and predicted class (columns).
        pairs: Truth and prediction (n, 2) of a regression.
        wrong: The worst examples first.
        n_wrong: Number of wrong predictions.

    >>> Score("r2", 0.5, 100, 0.1).parts()
    ('R² = 0.500', 'on 100 test examples')
    """

    metric: str
    value: float
    n: int
    loss: float
    confusion: Array | None = None
    pairs: Array | None = None
    wrong: tuple[Example, ...] = ()
    n_wrong: int = 0

    def parts(self) -> tuple[str, str]:
        """Return the score, and a description of the sample with a confidence interval.

        >>> Score("accuracy", 0.975, 360, 0.05).parts()
        ('97.5 %', 'of 360 test examples right (95 % interval 95.3 … 98.7 %)')
        """
        if self.metric != "accuracy":
            return f"R² = {self.value:.3f}", f"on {self.n:,} test examples"
        low, high = wilson_interval(round(self.value * self.n), self.n)
        interval = f"95 % interval {100 * low:.1f} … {100 * high:.1f} %"
        return (
            f"{100 * self.value:.1f} %",
            f"of {self.n:,} test examples right ({interval})",
        )


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927).

    (p + z²/2n ± z√(p(1−p)/n + z²/4n²)) / (1 + z²/n) with z = 1.95996

    >>> tuple(round(x, 4) for x in wilson_interval(10, 10))
    (0.7225, 1.0)
    """
    z, share = 1.959963984540054, successes / n
    centre, scale = share + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


@dataclass(frozen=True)
class RunReport:
    """The content of the report of a training run.

    Attributes:
        card: Description of the data.
        summary: Summary of the model as text.
        loss: Name of the loss.
        epochs: Metrics of each epoch, as in ``History.epochs``.
        score: Score on the test part.
        timing: Pairs of a label and a text.
        command: Command line that reproduces the run.
        weights_sha256: Checksum of the weights.
        versions: Pairs of a label and a version.
        files: Pairs of a label and a file.
        best_epoch: Epoch of the weights, if the best one was restored.
    """

    card: DataCard
    summary: str
    loss: str
    epochs: tuple[Mapping[str, float], ...]
    score: Score
    timing: tuple[tuple[str, str], ...]
    command: str
    weights_sha256: str
    versions: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...] = ()
    best_epoch: int | None = None


def confusion_matrix(
    truth: Array, said: Array, n_classes: int
) -> npt.NDArray[np.int64]:
    """Return counts by true class (rows) and predicted class (columns).

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (truth, said), 1)
    return counts
