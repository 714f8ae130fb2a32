"""What a neural learner refuses before anything has changed: wrong settings, and a ``warm_start`` that cannot go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from deltarule.errors import ArgumentError, DataError, ShapeError
from deltarule.learners.base import Array, check_labels

_FRESH = "With warm_start=False, or in a clone, the network is made anew."


def form_of(learner: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that say what network is made, sequences as tuples, so that they can be compared."""
    values = {name: getattr(learner, name) for name in names}
    return {name: tuple(value) if isinstance(value, (list, np.ndarray)) else value for name, value in values.items()}


def check_form(learner: Any, before: dict[str, Any]) -> None:
    """Raise ArgumentError if a parameter of the network has another value than when the network was made."""
    for name, value in form_of(learner, list(before)).items():
        own = before[name]
        if value is not own and value != own:
            raise ArgumentError(
                f"{type(learner).__name__} {name}", expected=f"{own!r}, that of the last fit, with warm_start",
                got=repr(value), hint=_FRESH,
            )  # fmt: skip


def check_shape(learner: Any, shape: tuple[int, ...], before: tuple[int, ...]) -> None:
    """Raise ShapeError if examples have another shape than those of the last fit."""
    if shape != before:
        raise ShapeError(
            f"{type(learner).__name__} X", expected=f"examples of shape {before}, as in the last fit", got=str(shape)
        )


def check_classes(learner: Any, y: Array) -> None:
    """Raise DataError if y has other classes, or is of another kind, than in the last fit."""
    check_labels(learner, y)
    many = y.ndim == 2 and type_of_target(y) == "multilabel-indicator"
    found = np.arange(y.shape[1]) if many else np.unique(column_or_1d(y))
    if many != learner._multilabel_ or not np.array_equal(found, learner.classes_):
        kinds = {True: "labels of which any may hold", False: "the classes"}
        raise DataError(
            f"{type(learner).__name__} y",
            expected=f"{kinds[learner._multilabel_]} {learner.classes_.tolist()} of the last fit, with warm_start",
            got=f"{kinds[many]} {found.tolist()}", hint=_FRESH,
        )  # fmt: skip


def check_outputs(learner: Any, name: str, n_outputs: int, before: int) -> None:
    """Raise DataError if the network has another number of outputs than are needed."""
    if n_outputs != before:
        raise DataError(
            f"{type(learner).__name__} {name}", expected=f"what needs {before} outputs, as in the last fit",
            got=f"what needs {n_outputs}", hint=_FRESH,
        )  # fmt: skip
