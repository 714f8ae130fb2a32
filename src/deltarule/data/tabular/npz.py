"""Arrays in NPZ files as data sets."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.arrays import check_arrays
from deltarule.data.dataset import Dataset, Task
from deltarule.data.tabular.datasets import single_precision, table_dataset
from deltarule.errors import DataError
from deltarule.visible import listed

Array = npt.NDArray[Any]
_INPUTS, _TARGETS = ("inputs", "X", "x", "data"), ("targets", "y", "labels", "target")


def npz_arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an NPZ file by name; arrays of pickled objects are a DataError.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.npz"
    >>> np.savez(file, x=np.arange(2))
    >>> npz_arrays(file)
    {'x': array([0, 1])}
    """
    where = f"file {file}"
    if not file.exists():
        raise DataError(
            where,
            expected="a file that exists",
            got="none",
            hint=f"Looked in {Path.cwd()}.",
        )
    if not zipfile.is_zipfile(file):
        raise DataError(
            where,
            expected="an .npz file, as numpy.savez writes it",
            got="other content",
        )
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (
        ValueError,
        OSError,
        EOFError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = (
            "arrays of Python objects"
            if "pickle" in str(error)
            else f"{type(error).__name__}: {error}"
        )
        raise DataError(
            where, expected="an .npz file of plain arrays", got=reason
        ) from error


def _is_one_hot(targets: Array) -> bool:
    """Return whether targets are rows with a single 1 and zeros."""
    if targets.ndim != 2 or not np.isin(targets, (0, 1)).all():
        return False
    return bool((targets.sum(axis=1) == 1).all())


def read_npz(file: Path, target: str | None, task: Task | None) -> Dataset:
    """Return an NPZ file as a data set; one-hot targets become labels.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.npz"
    >>> np.savez(file, inputs=np.eye(2), targets=np.eye(2))
    >>> read_npz(file, None, None).targets.tolist()
    [0, 1]
    """
    held = npz_arrays(file)
    input_arrays = (held[n] for n in _INPUTS if n in held and n != target)
    inputs = next(input_arrays, None)
    candidates = (target,) if target else _TARGETS
    targets = next((held[name] for name in candidates if name in held), None)
    if inputs is None or targets is None:
        raise DataError(
            f"file {file}",
            expected=f"arrays inputs (or X) and {target or 'targets (or y)'}",
            got=f"the arrays {listed(held) or 'none'}",
        )
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    elif _is_one_hot(targets):
        targets = targets.argmax(axis=1)
    x, _ = check_arrays(
        inputs, targets if targets.dtype.kind in "fiub" else None, where=f"file {file}"
    )
    if len(targets) != len(x):
        raise DataError(
            f"file {file}", expected=f"{len(x)} targets", got=str(len(targets))
        )
    return table_dataset(
        file, single_precision(x, f"inputs of {file}"), targets, (), task
    )
