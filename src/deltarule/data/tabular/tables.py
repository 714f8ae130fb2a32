"""Readers of tables in CSV, NPZ and (with the extra ``parquet``) Parquet files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_arrays
from deltarule.data.dataset import Dataset, Task
from deltarule.data.preprocessing.encoding import LabelEncoder
from deltarule.data.schema import RawTable, TableSchema, is_numeric, numbers
from deltarule.data.tabular.cells import existing, raw_tables, wanted
from deltarule.data.tabular.tasks import FEW, TaskChoice, choose_task
from deltarule.errors import DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted
from deltarule.visible import listed

__all__ = ["read_columns", "read_examples", "read_inputs", "read_table"]

Array = npt.NDArray[Any]
_INPUTS, _TARGETS = ("inputs", "X", "x", "data"), ("targets", "y", "labels", "target")


@checks_flags
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
    r"""Read a table as a data set.

    Numeric columns are features; text columns are one-hot encoded as ``name=category``, with
    sorted categories. Text targets are classes, sorted. Integer targets are classes if there are
    two values, or if the values are few, small and frequent (at most 20, below 1,000, 10 rows
    each on average; 3 for codes 0, 1, 2 …). Other numbers are a regression. ``task_note`` of the
    data set says how this was decided.

    Args:
        path: A ``.csv`` file (comma, semicolon or tab; UTF-8), a ``.npz`` file with ``inputs`` (or ``X``) and
            ``targets`` (or ``y``), or a ``.parquet`` file.
        target: The column to predict; the last one by default.
        task: ``"classification"`` or ``"regression"``; inferred by default.
        categorical: Columns of numbers that are codes of categories.
        ignore: Columns to leave out (names, record numbers).
        header: Whether the first line of a CSV file contains names. By default it does, unless
            its numbers are not plausible names or its texts recur below; a warning says which.
        drop_missing: Drop rows with missing cells (empty, NA, NaN, null, ?).

    Returns:
        The data set; ``read_inputs`` encodes another file with its ``schema``.

    Raises:
        DataError: A cell is missing or not a number (with its line and column), or the file is
            missing, empty or malformed.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("size,colour,kind\n1,red,a\n2,blue,b\n3,red,a\n")
    >>> table = read_table(file)
    >>> table.feature_names, table.class_names, table.targets.tolist()
    (('size', 'colour=blue', 'colour=red'), ('a', 'b'), [0, 1, 0])
    """
    file = existing(path)
    if file.suffix.lower() == ".npz":
        return _read_npz(file, target, task)
    table = _read(file, header, drop_missing, ignore)
    chosen = target if target is not None else list(table.cells)[-1]
    schema = TableSchema.learn(table, chosen, categorical)
    targets: Array = np.array(table.cells[chosen])
    is_number = is_numeric(table.cells[chosen]) and chosen not in categorical
    if task == "regression" or is_number:
        targets = numbers(table, chosen)
    inputs = schema.encode(table)
    return table_dataset(file, inputs, targets, schema.feature_names, task, schema)


def read_inputs(path: str | Path, schema: TableSchema) -> npt.NDArray[np.float32]:
    r"""Return the features of another file, encoded with a schema; the target column may be absent.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "new.csv"
    >>> _ = file.write_text("colour,size\nred,4\n")
    >>> table = RawTable("old.csv", {"size": ["1", "2"], "colour": ["red", "blue"], "y": ["0", "1"]}, [2, 3])
    >>> read_inputs(file, TableSchema.learn(table, target="y")).tolist()
    [[4.0, 0.0, 1.0]]
    """
    table = _read(existing(path), None, drop_missing=False, ignore=(), schema=schema)
    return schema.encode(table)


@checks_flags
def read_examples(
    path: str | Path,
    schema: TableSchema,
    target: str | None = None,
    *,
    drop_missing: bool = False,
) -> tuple[npt.NDArray[np.float32], list[str]]:
    r"""Return the features of another file, encoded with a schema, and the cells of its target column.

    Args:
        path: A ``.csv`` or ``.parquet`` file.
        schema: The schema of the training data.
        target: The target column; that of the schema by default.
        drop_missing: Drop rows with missing cells.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "new.csv"
    >>> _ = file.write_text("size,y\n4,a\n")
    >>> schema = TableSchema.learn(RawTable("old.csv", {"size": ["1"], "y": ["a"]}, [2]), target="y")
    >>> inputs, cells = read_examples(file, schema)
    >>> inputs.tolist(), cells
    ([[4.0]], ['a'])
    """
    chosen = target if target is not None else schema.target
    table = _read(
        existing(path), None, drop_missing, ignore=(), schema=schema, target=chosen
    )
    return schema.encode(table), list(table.require(chosen))


def read_columns(
    path: str | Path, needed: frozenset[str] | None = None
) -> dict[str, list[str]]:
    r"""Return the columns of a CSV or Parquet file as text, by name, in the order of the file.

    A missing cell is a DataError; if ``needed`` is given, in these columns only.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("size,colour\n1,red\n2,blue\n")
    >>> read_columns(file)
    {'size': ['1', '2'], 'colour': ['red', 'blue']}
    """
    (table,) = raw_tables(existing(path), None)
    wanted(table, only=needed)
    return {name: list(cells) for name, cells in table.cells.items()}


def _read(
    file: Path,
    header: bool | None,
    drop_missing: bool,
    ignore: Sequence[str],
    schema: TableSchema | None = None,
    target: str | None = None,
) -> RawTable:
    """Return the cells of all columns, or of those that a schema needs, without missing ones."""
    known = None if schema is None else schema.names
    needed = (*(known or ()), *(() if target is None else (target,)))
    only = None if schema is None else frozenset(needed)
    (table,) = raw_tables(file, header, known=known)
    for name in needed:
        table.require(name)
    kept = wanted(table, ignore, drop_missing, only)
    if not kept.n_rows:
        raise DataError(
            table.where,
            expected="at least one row without missing cells",
            got=counted(table.n_rows, "row"),
        )
    return kept


def _single(numbers: Array, where: str) -> npt.NDArray[np.float32]:
    """Return numbers as float32; raise DataError where one overflows."""
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
) -> Dataset:
    """Return the data set of a table, as a classification or a regression.

    Args:
        file: The file, for names and errors.
        inputs: The inputs, (N, …).
        targets: The targets as numbers or text, (N,).
        names: The names of the features.
        task: The task; None to infer it from the targets.
        schema: The encoding of the columns, if there is one.

    >>> table = table_dataset(Path("t.npz"), np.ones((2, 1), np.float32), np.array(["b", "a"]), (), None)
    >>> table.class_names, table.targets.tolist()
    (('a', 'b'), [1, 0])
    """
    text = targets.dtype.kind not in "fiub"
    whole = text or bool((targets == np.floor(targets)).all())
    decided, note = task, ""
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
        numeric = _single(targets, f"target of {file}")
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
    encoder = LabelEncoder()
    labels = encoder.fit_transform(
        targets.astype(np.int64) if whole and not text else targets
    )
    classes = tuple(str(category) for category in encoder.classes_)
    return Dataset(
        file.stem,
        file.name,
        "classification",
        inputs,
        labels,
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


def _read_npz(file: Path, target: str | None, task: Task | None) -> Dataset:
    """Return an NPZ file as a data set; one-hot targets become labels."""
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
    return table_dataset(file, _single(x, f"inputs of {file}"), targets, (), task)


check_calls(__name__)
