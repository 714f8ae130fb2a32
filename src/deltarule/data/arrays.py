"""Checks of input data; errors name the argument, the position and a remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError, DTypeError
from deltarule.runtime.devices import cores

__all__ = ["check_arrays", "check_labels"]

Array = npt.NDArray[Any]
_CHUNK = 1 << 20  # elements that are checked at a time
_MANY_CHUNKS = 8  # from which on several threads check them


def _refuse_other_kinds(value: Any, name: str) -> None:
    """Raise for containers that NumPy would wrap as one object, and for masked entries, which it would ignore."""
    kind, expected = f"a {type(value).__name__}", "one array of numbers"
    if isinstance(value, (Mapping, Set)):
        hint = "Join the columns to one array, np.stack(list(columns.values()), axis=1) for a mapping of them."
        raise DTypeError(name, expected=expected, got=kind, hint=hint)
    if hasattr(value, "toarray"):
        raise DTypeError(
            name,
            expected=expected,
            got=f"a sparse {type(value).__name__}",
            hint="Write X.toarray().",
        )
    if isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).any()):
        hint = "Drop these rows, or fill them: X.filled(value)."
        raise DataError(
            name, expected="numbers without gaps", got="a masked array", hint=hint
        )


def _numeric(value: Any, name: str) -> Array:
    _refuse_other_kinds(value, name)
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = array.astype(np.float64)
    except (ValueError, TypeError) as error:
        _refuse_several(value, name)
        raise DTypeError(
            name,
            expected="numbers in rows of equal length",
            got=str(error),
            hint="Encode text with data.LabelEncoder or data.one_hot; pad or cut rows to one length.",
        ) from error
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            name,
            expected="numbers",
            got=f"elements of type {array.dtype}",
            hint="Encode text with data.LabelEncoder or data.one_hot; complex numbers by their parts.",
        )
    return array


def _place(bad: Array) -> str:
    index = [int(i) for i in np.argwhere(bad)[0]]
    words = {2: "column", 3: "position"}.get(bad.ndim, "position")
    rest = ", ".join(map(str, index[1:]))
    return f"row {index[0]}" + (f", {words} {rest}" if rest else "")


def _all_finite(array: Array) -> bool:
    """Check an array in chunks of rows, so that a memory-mapped array is never read as a whole."""
    rows = max(1, _CHUNK // max(1, array[:1].size))
    starts = range(0, len(array), rows)

    def finite(start: int) -> bool:
        return bool(np.isfinite(array[start : start + rows]).all())

    if len(starts) < _MANY_CHUNKS:
        return all(map(finite, starts))
    with ThreadPoolExecutor(cores("cpu")) as pool:
        return all(pool.map(finite, starts))


def check_squares(array: Array, name: str) -> None:
    """Raise DataError if the sum of squares of finite numbers may overflow in their type.

    For computations with variances and distances. Arrays of integers are not checked.

    >>> check_squares(np.array([[1.0, 1e200]]), "PCA X")
    Traceback (most recent call last):
    deltarule.errors.DataError: PCA X: expected numbers up to 2e+153, whose squares are finite in float64, got 1e+200.
      Divide X by its size first (a power of ten changes no digits).
    """
    if array.dtype.kind != "f" or not array.size:
        return
    largest = max(float(array.max()), -float(array.min()))
    limit = math.sqrt(float(np.finfo(array.dtype).max) / array.size) / 4
    if largest > limit:
        also = ", or pass it in float64" if array.dtype.itemsize < 8 else ""
        raise DataError(
            name,
            expected=f"numbers up to {limit:.0e}, whose squares are finite in {array.dtype}",
            got=f"{largest:.4g}",
            hint=f"Divide X by its size first (a power of ten changes no digits){also}.",
        )


def check_spreads(array: Array, name: str, *, each: bool = False) -> None:
    """Raise DataError if numbers (N, d) differ by so little that squares of the differences underflow to 0.

    For computations with variances, in which such features would count as constant.

    Args:
        array: The features.
        name: The name of the array in the message.
        each: Whether every feature that is not constant needs a variance; by default one does.

    >>> check_spreads(np.array([[0.0], [1e-200]]), "PCA X")
    Traceback (most recent call last):
    deltarule.errors.DataError: PCA X: expected differences above 1e-150, ... got 1e-200 in column 0.
      Multiply X by a large number first (a power of ten changes no digits).
    """
    if array.dtype.kind != "f" or not array.size:
        return
    spread = array.max(axis=0) / 2 - array.min(axis=0) / 2
    limit = float(f"{math.sqrt(float(np.finfo(array.dtype).tiny)) * 1e4:.0e}")
    small = (spread > 0) & (spread < limit / 2)
    if small.any() if each else small.any() and spread.max() < limit / 2:
        column = int(np.argmax(small))
        raise DataError(
            name,
            expected=f"differences above {limit:.0e}, whose squares are above 0 in {array.dtype}",
            got=f"{2 * spread[column]:.4g} in column {column}",
            hint="Multiply X by a large number first (a power of ten changes no digits).",
        )


def check_finite(array: Array, name: str) -> None:
    """Raise DataError for the first NaN or infinity.

    >>> check_finite(np.array([1.0, np.inf]), "x")
    Traceback (most recent call last):
    deltarule.errors.DataError: x: expected finite numbers, got an infinity in row 1 (1 in all).
      Drop these rows, or fill them (for example with the column's median) before fitting.
    """
    if array.dtype.kind != "f" or _all_finite(array):
        return
    bad = ~np.isfinite(array)
    if bad.any():
        kind = "NaN" if np.isnan(array[bad][0]) else "an infinity"
        raise DataError(
            name,
            expected="finite numbers",
            got=f"{kind} in {_place(bad)} ({int(bad.sum())} in all)",
            hint="Drop these rows, or fill them (for example with the column's median) before fitting.",
        )


def check_arrays(
    inputs: Any, targets: Any = None, where: str = "fit", least: int = 1
) -> tuple[Array, Array | None]:
    """Return inputs and targets as arrays of supported types; raise if they are not valid.

    Args:
        inputs: The inputs, (N, …): float64 and integers keep their type, other floats become
            float32.
        targets: The targets, (N, …), if any: integers become int64.
        where: The name of the caller, for errors.
        least: The smallest number of examples.

    Raises:
        DTypeError: The elements are not numbers, or rows have different lengths.
        DataError: There are too few examples, NaN or infinities (with row and column), or
            different numbers of inputs and targets.

    >>> check_arrays([[1.0], [float("nan")]])
    Traceback (most recent call last):
    ...
    deltarule.errors.DataError: fit inputs: expected finite numbers, got NaN in row 1, column 0 (1 in all).
      Drop these rows, or fill them (for example with the column's median) before fitting.
    """
    x = _numeric(inputs, f"{where} inputs")
    if x.ndim == 0 or len(x) < least:
        raise DataError(
            f"{where} inputs",
            expected="at least one example",
            got=f"an array of shape {x.shape}",
        )
    check_finite(x, f"{where} inputs")
    x = x.astype(_kept(x.dtype), copy=False)
    if targets is None:
        return x, None
    y = _numeric(targets, f"{where} targets")
    if y.ndim == 0 or len(y) != len(x):
        _refuse_several(inputs, f"{where} inputs", len(y) if y.ndim else None)
        raise DataError(
            f"{where} targets",
            expected=f"{len(x)} targets, one for each example",
            got=f"an array of shape {y.shape}",
            hint="Inputs and targets must have the same length along the first axis.",
        )
    check_finite(y, f"{where} targets")
    return x, y.astype(
        np.int64 if y.dtype.kind in "iub" else _kept(y.dtype), copy=False
    )


def _refuse_several(inputs: Any, name: str, rows: int | None = None) -> None:
    """Raise if the inputs are a list of a few arrays with the same number of rows."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) > 8:
        return
    lengths = {
        item.shape[0] if len(getattr(item, "shape", ())) > 1 else -1 for item in inputs
    }
    if len(lengths) == 1 and -1 not in lengths and (rows is None or lengths == {rows}):
        hint = "Join them, np.concatenate([X1, X2], axis=1); forward takes them apart."
        raise DataError(
            name, expected="one array", got=f"a list of {len(inputs)} arrays", hint=hint
        )


_WIDENED = {"int8": "int32", "int16": "int32", "uint16": "int32", "uint64": "int64"}


def _kept(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in native byte order; floats other than float64 as float32."""
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    if dtype.name in _WIDENED:
        return np.dtype(_WIDENED[dtype.name])
    return dtype.newbyteorder("=")


def check_labels(labels: Array, n_classes: int, where: str = "fit") -> None:
    """Raise DataError unless every label is an integer in 0 … n_classes − 1.

    >>> check_labels(np.array([0, 3]), n_classes=3)
    Traceback (most recent call last):
    deltarule.errors.DataError: fit labels: expected whole numbers 0 … 2 for 3 classes, got 3 in row 1.
      Give the model one output per class, or encode labels with data.LabelEncoder.
    """
    bad = (labels < 0) | (labels >= n_classes)
    if labels.dtype.kind == "f":
        bad |= labels != np.floor(labels)
    if bad.any():
        raise DataError(
            f"{where} labels",
            expected=f"whole numbers 0 … {n_classes - 1} for {n_classes} classes",
            got=f"{labels[bad][0]} in row {int(np.argwhere(bad)[0][0])}",
            hint="Give the model one output per class, or encode labels with data.LabelEncoder.",
        )


def check_whole(value: Any, where: str, least: int | None = None) -> None:
    """Raise ArgumentError unless the value is an integer, and at least ``least``.

    >>> check_whole(0, "KFold k", least=2)
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: KFold k: expected a whole number ≥ 2, got 0.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or (least is not None and value < least):
        limit = "" if least is None else f" ≥ {least}"
        raise ArgumentError(where, expected=f"a whole number{limit}", got=repr(value))


check_calls(__name__)
