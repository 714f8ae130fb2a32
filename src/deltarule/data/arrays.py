"""Checks of data before a step is run: every fault names the argument, the place and the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.errors import DataError, DTypeError

Array = npt.NDArray[Any]


def _numeric(value: Any, name: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            name,
            expected="numbers",
            got=f"elements of type {array.dtype}",
            hint="Encode text with data.LabelEncoder or data.one_hot; complex numbers by their parts.",
        )
    return array


def _place(array: Array, bad: Array) -> str:
    index = np.argwhere(bad)[0]
    return "row " + ", position ".join(str(int(i)) for i in index)


def check_finite(array: Array, name: str) -> None:
    """Raise DataError at the first NaN or infinity."""
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array)
    if bad.any():
        kind = "NaN" if np.isnan(array[bad][0]) else "an infinity"
        raise DataError(
            name,
            expected="finite numbers",
            got=f"{kind} in {_place(array, bad)} ({int(bad.sum())} in all)",
            hint="Drop these rows, or fill them (for example with the column's median) before fitting.",
        )


def check_arrays(inputs: Any, targets: Any = None, where: str = "fit") -> tuple[Array, Array | None]:
    """Return inputs and targets as arrays of supported types; raise where they cannot be trained on.

    >>> check_arrays([[1.0], [float("nan")]])
    Traceback (most recent call last):
    ...
    deltarule.errors.DataError: fit inputs: expected finite numbers, got NaN in row 1, position 0 (1 in all).
      Drop these rows, or fill them (for example with the column's median) before fitting.
    """
    x = _numeric(inputs, f"{where} inputs")
    if x.ndim == 0 or len(x) == 0:
        raise DataError(f"{where} inputs", expected="at least one example", got=f"an array of shape {x.shape}")
    check_finite(x, f"{where} inputs")
    x = x.astype(np.float64 if x.dtype == np.float64 else x.dtype if x.dtype.kind in "iub" else np.float32)
    if targets is None:
        return x, None
    y = _numeric(targets, f"{where} targets")
    if y.ndim == 0 or len(y) != len(x):
        raise DataError(
            f"{where} targets",
            expected=f"{len(x)} targets, one for each example",
            got=f"an array of shape {y.shape}",
            hint="Inputs and targets must have the same length along the first axis.",
        )
    check_finite(y, f"{where} targets")
    return x, y.astype(np.int64) if y.dtype.kind in "iub" else y


def check_labels(labels: Array, n_classes: int, where: str = "fit") -> None:
    """Raise DataError unless every label is in 0 … n_classes − 1."""
    if not len(labels):
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        bad = (labels < 0) | (labels >= n_classes)
        raise DataError(
            f"{where} labels",
            expected=f"whole numbers 0 … {n_classes - 1} for {n_classes} classes",
            got=f"{int(labels[bad][0])} in row {int(np.argmax(bad))}",
            hint="Give the model one output per class, or encode labels with data.LabelEncoder.",
        )
