"""Data sets of features and targets: classes or numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.dataset import Dataset, Task
from deltarule.data.schema import TableSchema
from deltarule.data.tabular.tasks import FEW, TaskChoice, choose_task
from deltarule.errors import DataError
from deltarule.render.numbers import counted

Array = npt.NDArray[Any]


def single_precision(numbers: Array, where: str) -> npt.NDArray[np.float32]:
    """Return numbers as float32; raise DataError where one overflows.

    >>> single_precision(np.array([0.5]), "targets").dtype
    dtype('float32')
    """
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    is_float = numbers.dtype.kind == "f"
    if is_float and (np.isinf(single) & np.isfinite(numbers)).any():
        raise DataError(
            where,
            expected="numbers that float32 holds, up to 3.4e38",
            got=f"{np.abs(numbers).max():.3g}",
            hint="Choose a larger unit, or take the logarithm.",
        )
    return single


def table_dataset(
    file: Path,
    inputs: Array,
    targets: Array,
    names: tuple[str, ...],
    task: Task | None,
    schema: TableSchema | None = None,
    classes: tuple[str, ...] = (),
) -> Dataset:
    """Return the data set of a table, as a classification or a regression.

    Args:
        file: The file, for names and errors.
        inputs: The inputs, (N, …).
        targets: The targets as numbers or text, (N,).
        names: The names of the features.
        task: The task; None to infer it from the targets.
        schema: The encoding of the columns, if there is one.
        classes: The names of the classes, if the targets are labels.

    >>> table = table_dataset(Path("t.npz"), np.ones((2, 1), np.float32), np.array(["b", "a"]), (), None)
    >>> table.class_names, table.targets.tolist()
    (('a', 'b'), [1, 0])
    """
    text = targets.dtype.kind not in "fiub"
    whole = text or bool((targets == np.floor(targets)).all())
    decided, note = ("classification" if classes else task), ""
    if decided is None:
        decided, note = _inferred_task(targets, text, whole)
    about = f"{counted(len(inputs), 'row')} of {file.name}"
    if decided == "regression":
        if text:
            raise DataError(
                f"target of {file}",
                expected="numbers for regression",
                got=f"text such as {targets[0]!r}",
            )
        numeric = single_precision(targets, f"target of {file}")
        return Dataset(
            file.stem,
            file.name,
            "regression",
            inputs,
            numeric,
            names,
            description=about,
            schema=schema,
            task_note=note,
        )
    if targets.ndim != 1:
        raise DataError(
            f"target of {file}",
            expected="one class for each row",
            got=f"an array {targets.shape}",
        )
    labels = targets
    if not classes:
        values = targets.astype(np.int64) if whole and not text else targets
        distinct, labels = np.unique(values, return_inverse=True)
        classes = tuple(str(category) for category in distinct.tolist())
    return Dataset(
        file.stem,
        file.name,
        "classification",
        inputs,
        labels.astype(np.int64),
        names,
        classes,
        about,
        schema=schema,
        task_note=note,
    )


def _inferred_task(targets: Array, text: bool, whole: bool) -> TaskChoice:
    """Infer the task from the targets."""
    if text or targets.dtype.kind == "b":
        return TaskChoice("classification", "")
    values = np.unique(targets)
    if targets.ndim != 1:
        few = whole and len(values) <= FEW
        return TaskChoice("classification" if few else "regression", "")
    return choose_task(set(values.tolist()), len(targets), whole=whole)
