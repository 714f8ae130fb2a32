"""Tables from files: CSV, NPZ and (where pandas is installed) Parquet."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.dataset import Dataset, Task
from deltarule.data.encoding import LabelEncoder, one_hot
from deltarule.errors import DataError, DependencyError

Array = npt.NDArray[Any]
_FEW = 20  # whole-number targets with at most so many values are classes


def read_table(path: str | Path, target: str | None = None, task: Task | None = None) -> Dataset:
    """Return a file as a data set; ``target`` names the column to predict (CSV: the last one by default).

    Columns of text become one-hot columns, categories sorted; text targets become classes. Whole-number targets
    with at most 20 values are classes unless ``task="regression"``. Missing cells are refused with their place.
    NPZ files hold ``inputs`` (or ``X``) and ``targets`` (or ``y``).
    """
    file = Path(path)
    if not file.exists():
        raise DataError(f"file {file}", expected="a file that exists", got="none", hint=f"Looked in {Path.cwd()}.")
    suffix = file.suffix.lower()
    if suffix == ".npz":
        return _read_npz(file, target, task)
    if suffix == ".csv":
        return _from_columns(file, _read_csv(file), target, task)
    if suffix == ".parquet":
        return _from_columns(file, _read_parquet(file), target, task)
    raise DataError(f"file {file}", expected="a .csv, .npz or .parquet file", got=repr(suffix))


def _read_csv(file: Path) -> dict[str, list[str]]:
    with file.open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.reader(stream))
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise DataError(f"file {file}", expected="a header line and at least one row", got=f"{len(rows)} lines")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) != len(header):
        raise DataError(f"file {file}", expected="column names that differ", got=", ".join(header))
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise DataError(f"file {file} line {number}", expected=f"{len(header)} cells", got=str(len(row)))
        for name, cell in zip(header, row, strict=True):
            if not cell.strip():
                raise DataError(
                    f"file {file} line {number}",
                    expected=f"a value in column {name!r}",
                    got="an empty cell",
                    hint="Fill missing values or drop the row.",
                )
    return {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}


def _read_parquet(file: Path) -> dict[str, list[str]]:
    try:
        pandas = importlib.import_module("pandas")
        frame = pandas.read_parquet(file)
    except ImportError as error:
        raise DependencyError(
            f"file {file}", expected="pandas with a Parquet engine", got="none", hint="pip install pandas pyarrow"
        ) from error
    return {str(name): [str(v) for v in frame[name]] for name in frame.columns}


def _numbers(cells: Sequence[str]) -> Array | None:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return None


def _from_columns(file: Path, columns: dict[str, list[str]], target: str | None, task: Task | None) -> Dataset:
    chosen = target if target is not None else list(columns)[-1]
    if chosen not in columns:
        raise DataError(f"target column of {file}", expected=f"one of {', '.join(columns)}", got=repr(chosen))
    features, names = [], []
    for name, cells in columns.items():
        if name == chosen:
            continue
        numbers = _numbers(cells)
        if numbers is not None:
            features.append(numbers[:, None])
            names.append(name)
        else:
            encoder = LabelEncoder()
            features.append(one_hot(encoder.fit_transform(cells), len(encoder.classes_)))
            names.extend(f"{name}={category}" for category in encoder.classes_)
    if not features:
        raise DataError(f"file {file}", expected="at least one column beside the target", got=", ".join(columns))
    inputs = np.concatenate(features, axis=1).astype(np.float32)
    numbers = _numbers(columns[chosen])
    targets: Array = np.array(columns[chosen]) if numbers is None else numbers
    return _dataset(file, inputs, targets, tuple(names), task)


def _dataset(file: Path, inputs: Array, targets: Array, names: tuple[str, ...], task: Task | None) -> Dataset:
    whole = targets.dtype.kind not in "f" or bool(np.isfinite(targets).all() and (targets == np.floor(targets)).all())
    few = len(np.unique(targets)) <= _FEW
    decided: Task = task or ("classification" if whole and (few or targets.dtype.kind not in "fiub") else "regression")
    if decided == "regression":
        if targets.dtype.kind not in "fiub":
            raise DataError(f"target of {file}", expected="numbers for regression", got="text")
        return Dataset(file.stem, file.name, "regression", inputs, targets.astype(np.float32), names)
    encoder = LabelEncoder()
    labels = encoder.fit_transform(targets.astype(np.int64) if targets.dtype.kind == "f" else targets)
    classes = tuple(str(c) for c in encoder.classes_)
    return Dataset(file.stem, file.name, "classification", inputs, labels, names, classes)


def _read_npz(file: Path, target: str | None, task: Task | None) -> Dataset:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError) as error:
        raise DataError(f"file {file}", expected="an .npz file of plain arrays", got=str(error)) from error
    inputs = next((held[name] for name in ("inputs", "X", "x") if name in held), None)
    targets = next((held[name] for name in (target, "targets", "y") if name and name in held), None)
    if inputs is None or targets is None:
        raise DataError(f"file {file}", expected="arrays inputs and targets (or X and y)", got=", ".join(held))
    return _dataset(file, inputs.astype(np.float32), targets, (), task)
