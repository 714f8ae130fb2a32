"""The ``Dataset`` class, and the bundled data sets with their sources and licences."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.schema import TableSchema
from deltarule.errors import ArgumentError
from deltarule.render.numbers import counted
from deltarule.visible import shown

__all__ = ["BUNDLED", "Dataset", "load"]

Array = npt.NDArray[Any]
Task = Literal["classification", "regression"]
BUNDLED = ("digits", "iris", "wine", "breast_cancer", "diabetes")


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets with their names and source.

    Attributes:
        name: The short name.
        title: The full title.
        task: "classification" or "regression".
        inputs: The inputs, (N, …) float32.
        targets: The targets, (N,): int64 labels or float32 numbers.
        feature_names: The names of the columns of a table.
        class_names: The names of the classes; () for regression.
        description: A short description.
        source: The source of the data.
        licence: The licence of the data.
        schema: The encoding of a table's columns as features.
        task_note: Why targets were taken as classes or numbers, if that was inferred.

    >>> load("iris").take(np.array([0, 50, 100])).targets.tolist()
    [0, 1, 2]
    """

    name: str
    title: str
    task: Task
    inputs: Array
    targets: Array
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    description: str = ""
    source: str = ""
    licence: str = ""
    schema: TableSchema | None = None
    task_note: str = ""

    def __repr__(self) -> str:
        """Return a one-line summary.

        >>> load("iris")
        Dataset('iris': classification, 150 examples of shape (4,), 3 classes)
        """
        kind = f", {counted(self.n_classes, 'class')}" if self.class_names else ""
        size = counted(self.n_samples, "example")
        return f"Dataset({shown(self.name)!r}: {self.task}, {size} of shape {self.input_shape}{kind})"

    def take(self, rows: Array) -> Dataset:
        """Return the data set with the given rows only, in the given order.

        >>> from deltarule import data
        >>> digits = data.load("digits")
        >>> digits.take(np.array([0, 2])).targets.tolist()
        [0, 2]
        """
        return replace(self, inputs=self.inputs[rows], targets=self.targets[rows])

    @property
    def n_samples(self) -> int:
        """Number of examples."""
        return len(self.inputs)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.inputs.shape[1:])

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 for regression."""
        return len(self.class_names)


def load(name: str) -> Dataset:
    """Return a bundled data set: digits, iris, wine, breast_cancer or diabetes.

    Raises:
        ArgumentError: an unknown name.

    >>> digits = load("digits")
    >>> digits.inputs.shape, digits.n_classes
    ((1797, 8, 8, 1), 10)
    """
    if name not in BUNDLED:
        raise ArgumentError(
            "data set",
            expected=f"one of {', '.join(BUNDLED)}",
            got=repr(name),
            hint="Files: data.read_table(path).",
        )
    folder = files("deltarule.data") / "bundled"
    card = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with (
        (folder / f"{name}.npz").open("rb") as stream,
        np.load(stream, allow_pickle=False) as arrays,
    ):
        inputs = arrays["inputs"].astype(np.float32) / np.float32(card["input_scale"])
        targets = arrays["targets"].astype(
            np.int64 if card["task"] == "classification" else np.float32
        )
    return Dataset(
        name,
        card["title"],
        card["task"],
        inputs,
        targets,
        tuple(card["feature_names"]),
        tuple(card["class_names"]),
        card["description"],
        card["source"],
        card["licence"],
    )


check_calls(__name__)
