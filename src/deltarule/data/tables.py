"""Tables from files: CSV, NPZ and (with the extra ``parquet``) Parquet."""

from __future__ import annotations

import csv
import importlib
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.arrays import check_arrays
from deltarule.data.dataset import Dataset, Task
from deltarule.data.encoding import LabelEncoder
from deltarule.data.schema import MISSING, RawTable, TableSchema, is_numeric, numbers, parsed
from deltarule.errors import DataError, DataWarning, DependencyError

Array = npt.NDArray[Any]
FEW = 20  # whole-number targets with at most so many values are classes
_INPUTS, _TARGETS = ("inputs", "X", "x", "data"), ("targets", "y", "labels", "target")


def read_table(
    path: str | Path,
    target: str | None = None,
    task: Task | None = None,
    *,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    header: bool | None = None,
    drop_missing: bool = False,
) -> Dataset:
    """Return a file as a data set.

    Columns of numbers are features as they are; columns of text become one-hot columns ``name=category``,
    categories sorted. Text targets become classes, sorted; whole-number targets with at most 20 values are
    classes, other numbers a regression, unless ``task`` says otherwise. A cell that is missing or no number is
    refused with its line and column.

    Args:
        path: A ``.csv`` file (comma, semicolon or tab; UTF-8), a ``.npz`` file with ``inputs`` (or ``X``) and
            ``targets`` (or ``y``), or a ``.parquet`` file.
        target: The column to predict; the last one by default.
        task: ``"classification"`` or ``"regression"`` where the rule above decides wrongly.
        categorical: Columns of numbers that are codes of categories.
        ignore: Columns to leave out (names, numbers of records).
        header: Whether the first line of a CSV file holds names; by default it does unless a cell of it is a number.
        drop_missing: Leave out rows with missing cells (empty, NA, NaN, null, ?) instead of refusing them.

    Returns:
        The data set; its ``schema`` reads the features of another file (``read_inputs``).
    """
    file = _existing(path)
    if file.suffix.lower() == ".npz":
        return _read_npz(file, target, task)
    table = _read(file, header, drop_missing, ignore)
    chosen = target if target is not None else list(table.cells)[-1]
    schema = TableSchema.learn(table, chosen, categorical)
    targets: Array = np.array(table.cells[chosen])
    if task == "regression" or (is_numeric(table.cells[chosen]) and chosen not in categorical):
        targets = numbers(table, chosen)
    return _dataset(file, schema.encode(table), targets, schema.feature_names, task, schema)


def read_inputs(path: str | Path, schema: TableSchema) -> npt.NDArray[np.float32]:
    """Return the features of another file, encoded as ``schema`` has learned; its target column may be missing."""
    return schema.encode(_read(_existing(path), header=True, drop_missing=False, ignore=(), only=_needed(schema)))


def _needed(schema: TableSchema) -> frozenset[str]:
    return frozenset(column.name for column in schema.columns)


def read_columns(path: str | Path) -> dict[str, list[str]]:
    """Return a CSV or Parquet file as columns of text by name, in the file's order; missing cells are refused."""
    table = _read(_existing(path), header=None, drop_missing=False, ignore=())
    return {name: list(cells) for name, cells in table.cells.items()}


def _existing(path: str | Path) -> Path:
    file = Path(path)
    if not file.is_file():
        raise DataError(f"file {file}", expected="a file that exists", got="none", hint=f"Looked in {Path.cwd()}.")
    if file.suffix.lower() not in {".csv", ".tsv", ".npz", ".parquet"}:
        raise DataError(f"file {file}", expected="a .csv, .npz or .parquet file", got=repr(file.suffix))
    return file


def _read(
    file: Path, header: bool | None, drop_missing: bool, ignore: Sequence[str], only: frozenset[str] | None = None
) -> RawTable:
    """Return the cells of the wanted columns, none of them missing."""
    if file.suffix.lower() == ".npz":
        raise DataError(f"file {file}", expected="a .csv or .parquet file with named columns", got="'.npz'")
    table = _read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file, header)
    for name in ignore:
        table.require(name)
    wanted = {n: c for n, c in table.cells.items() if n not in ignore and (only is None or n in only)}
    missing = [
        (row, name) for name, cells in wanted.items() for row, cell in enumerate(cells) if cell.lower() in MISSING
    ]
    if missing and not drop_missing:
        row, name = min(missing)
        raise DataError(
            table.place(row),
            expected=f"a value in column {name!r}",
            got=f"{wanted[name][row]!r} ({len(missing)} missing cells in the file)",
            hint="Fill the cells, or leave their rows out: drop_missing=True.",
        )
    gone = {row for row, _ in missing}
    kept = [row for row in range(table.n_rows) if row not in gone]
    if not kept:
        raise DataError(table.where, expected="at least one row without missing cells", got=f"{table.n_rows} rows")
    cells = {name: [column[row] for row in kept] for name, column in wanted.items()}
    return RawTable(table.where, cells, [table.lines[row] for row in kept], table.unit)


def _read_csv(file: Path, header: bool | None) -> RawTable:
    where = f"file {file}"
    rows, lines = _csv_rows(file, where)
    if not rows:
        raise DataError(where, expected="at least one row", got="an empty file")
    named = header if header is not None else all(parsed(cell) is None for cell in rows[0])
    names = rows.pop(0) if named else [f"column {i + 1}" for i in range(len(rows[0]))]
    lines = lines[1:] if named else lines
    if not rows:
        raise DataError(where, expected="at least one row below the header", got="none")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise DataError(f"{where} line {line}", expected=f"{len(names)} cells", got=str(len(row)))
    if names[0] == "" and [row[0] for row in rows] == [str(i) for i in range(len(rows))]:
        warnings.warn(f"{where}: the unnamed first column numbers the rows and is left out", DataWarning, stacklevel=4)
        names, rows = names[1:], [row[1:] for row in rows]
    if len(set(names)) != len(names) or "" in names:
        raise DataError(where, expected="column names that differ and are not empty", got=", ".join(map(repr, names)))
    return RawTable(where, {name: [row[i] for row in rows] for i, name in enumerate(names)}, lines)


def _csv_rows(file: Path, where: str) -> tuple[list[list[str]], list[int]]:
    """Return the stripped cells of all lines that are not blank, and the number of the line where each begins."""
    rows, lines = [], []
    before = 0
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            delimiter = _delimiter(stream.readline())
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append([_plain(cell.strip(), delimiter) for cell in row])
                    lines.append(before + 1)
                before = reader.line_num
    except UnicodeDecodeError as error:
        raise DataError(where, expected="text in UTF-8", got=str(error), hint="Save the table as UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{where} line {before + 1}", expected="comma-separated cells", got=str(error)) from error
    return rows, lines


def _delimiter(line: str) -> str:
    """Return the one of ``,`` ``;`` tab that the first line holds most often."""
    return max(",;\t", key=line.count)


def _plain(cell: str, delimiter: str) -> str:
    """Return a cell with a decimal point where a semicolon-separated file writes a decimal comma."""
    if delimiter == ";" and cell.count(",") == 1 and parsed(cell.replace(",", ".")) is not None:
        return cell.replace(",", ".")
    return cell


def _read_parquet(file: Path) -> RawTable:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise DependencyError(
            f"file {file}", expected="the package pyarrow", got="none", hint="pip install 'deltarule[parquet]'"
        ) from error
    try:
        columns = parquet.read_table(file).to_pydict()
    except arrow.ArrowInvalid as error:
        raise DataError(f"file {file}", expected="a Parquet file", got=str(error)) from error
    cells = {str(name): ["" if value is None else str(value) for value in column] for name, column in columns.items()}
    n_rows = len(next(iter(cells.values()), ()))
    return RawTable(f"file {file}", cells, range(1, n_rows + 1), unit="row")


def _dataset(
    file: Path,
    inputs: Array,
    targets: Array,
    names: tuple[str, ...],
    task: Task | None,
    schema: TableSchema | None = None,
) -> Dataset:
    """Return the data set after deciding between classes and numbers."""
    text = targets.dtype.kind not in "fiub"
    whole = text or bool((targets == np.floor(targets)).all())
    few = text or len(np.unique(targets)) <= FEW
    decided: Task = task or ("classification" if whole and few else "regression")
    about = f"{len(inputs):,} rows of {file.name}"
    if decided == "regression":
        if text:
            raise DataError(f"target of {file}", expected="numbers for regression", got=f"text such as {targets[0]!r}")
        numeric = targets.astype(np.float32)
        return Dataset(file.stem, file.name, "regression", inputs, numeric, names, description=about, schema=schema)
    if targets.ndim != 1:
        raise DataError(f"target of {file}", expected="one class for each row", got=f"an array {targets.shape}")
    encoder = LabelEncoder()
    labels = encoder.fit_transform(targets.astype(np.int64) if whole and not text else targets)
    classes = tuple(str(category) for category in encoder.classes_)
    return Dataset(file.stem, file.name, "classification", inputs, labels, names, classes, about, schema=schema)


def _read_npz(file: Path, target: str | None, task: Task | None) -> Dataset:
    """Return the arrays of an NPZ file, inputs as they are; one-hot targets become labels."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"file {file}", expected="an .npz file of plain arrays", got=str(error)) from error
    inputs = next((held[name] for name in _INPUTS if name in held and name != target), None)
    targets = next((held[name] for name in ((target,) if target else _TARGETS) if name in held), None)
    if inputs is None or targets is None:
        raise DataError(
            f"file {file}",
            expected=f"arrays inputs (or X) and {target or 'targets (or y)'}",
            got=f"the arrays {', '.join(held) or 'none'}",
        )
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    elif targets.ndim == 2 and np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all():
        targets = targets.argmax(axis=1)
    x, _ = check_arrays(inputs, targets if targets.dtype.kind in "fiub" else None, where=f"file {file}")
    if len(targets) != len(x):
        raise DataError(f"file {file}", expected=f"{len(x)} targets", got=str(len(targets)))
    return _dataset(file, x.astype(np.float32), targets, (), task)
