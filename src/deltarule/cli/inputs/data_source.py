"""Open the data given on the command line: a bundled data set, a file, or a folder."""

from __future__ import annotations

import glob
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.cli.inputs.reading import DEFAULTS, TableOptions
from deltarule.data import BUNDLED, Dataset, Split, load, read_folder, read_table, split
from deltarule.errors import ArgumentError, DataError

Array = npt.NDArray[Any]
TEST, VALIDATION = 0.2, 0.1  # fractions of the rows


def open_data(name: str, reading: TableOptions = DEFAULTS) -> Dataset:
    """Return a bundled data set, or the content of a file or folder; grey images get a channel axis.

    >>> open_data("iris").n_samples
    150
    """
    if reading.sql is not None:
        return _read_file(name, reading)
    known = name.replace("-", "_")
    if known in BUNDLED:
        reading.require_table(f"the bundled data set {name!r}, which has its own")
        return load(known)
    if not Path(name).exists() and not glob.glob(name) and Path(name).suffix == "":
        raise ArgumentError(
            f"data set {name!r}",
            expected=f"one of {', '.join(BUNDLED)}, or a file of a table, or a folder",
            got="neither",
        )
    if Path(name).is_dir():
        reading.require_table(f"the folder {name!r}, which has its own")
    elif Path(name).suffix.lower() == ".npz":
        reading.require_table("arrays", but=("--target", "--task"))
    data = read_folder(name) if Path(name).is_dir() else _read_file(name, reading)
    targets_per_example(name, data.targets, data.n_samples)
    if data.n_samples < 1 / min(TEST, VALIDATION):
        raise DataError(
            f"file {name}",
            expected="at least 10 rows",
            got=f"{data.n_samples}",
            hint="Collect more data.",
        )
    return replace(data, inputs=with_channels(data.inputs))


def _read_file(name: str, reading: TableOptions) -> Dataset:
    return read_table(
        None if reading.sql is not None else name,
        reading.target,
        reading.task,
        categorical=reading.categorical,
        numeric=reading.numeric,
        text=reading.text,
        dates=dict(reading.dates),
        ignore=reading.ignore,
        header=reading.header,
        separator=reading.separator,
        encoding=reading.encoding,
        drop_missing=reading.drop_missing,
        sql=reading.sql,
    )


def targets_per_example(name: str, targets: Array, n: int) -> Array:
    """Return targets (N,) from (N,) or (N, 1); raise DataError for other shapes.

    >>> targets_per_example("file.npz", np.zeros((3, 1)), 3).shape
    (3,)
    """
    if targets.shape not in {(n,), (n, 1)}:
        hint = "Choose an array with one number or class per example with --target."
        got = f"an array of shape {targets.shape}"
        raise DataError(
            f"targets of {name}",
            expected=f"one for each of {n} examples",
            got=got,
            hint=hint,
        )
    return targets.reshape(n)


def target_name(data: Dataset, target: str | None) -> str:
    """Return the name of the target column or array of a file; empty for bundled data sets and folders.

    >>> target_name(open_data("iris"), None)
    ''
    """
    return data.schema.target if data.schema is not None else target or ""


def with_channels(inputs: Array) -> Array:
    """Return images (N, height, width) with a channel axis; other arrays unchanged.

    >>> with_channels(np.zeros((5, 8, 8))).shape
    (5, 8, 8, 1)
    """
    return inputs[..., None] if inputs.ndim == 3 else inputs


def divide(data: Dataset, seed: int) -> Split:
    """Return the rows for training, validation (10 %) and test (20 %), stratified by class.

    >>> rows = divide(open_data("iris"), seed=0)
    >>> len(rows.train), len(rows.validation), len(rows.test)
    (105, 15, 30)
    """
    stratify = data.targets if data.task == "classification" else None
    return split(data.n_samples, VALIDATION, TEST, seed, stratify)


def fingerprint(data: Dataset) -> str:
    """Return the SHA-256 of inputs and targets.

    >>> fingerprint(open_data("iris")) == fingerprint(open_data("iris"))
    True
    """
    digest = hashlib.sha256()
    for array in (data.inputs, data.targets):
        digest.update(str((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
