"""Tables from files: CSV, NPZ and (with the extra ``parquet``) Parquet."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.data.arrays import check_arrays
from deltarule.data.dataset import Dataset, Task
from deltarule.data.preprocessing.encoding import LabelEncoder
from deltarule.data.schema import RawTable, TableSchema, is_numeric, numbers
from deltarule.data.tabular.cells import existing, raw_tables, wanted
from deltarule.data.tabular.tasks import FEW, Decided, choose_task
from deltarule.errors import DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted
from deltarule.visible import listed

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
    """Return a file as a data set.

    Columns of numbers are features as they are; columns of text become one-hot columns ``name=category``,
    categories sorted. Text targets become classes, sorted. Whole-number targets are classes if there are two of
    them, or if they are few, small and come often (at most 20, below 1,000, in 10 rows each on average; 3 for codes
    0, 1, 2 …); other numbers are a regression, unless ``task`` says otherwise. The data set's ``task_note`` tells.
    A cell that is missing or no number is refused with its line and column.

    Args:
        path: A ``.csv`` file (comma, semicolon or tab; UTF-8), a ``.npz`` file with ``inputs`` (or ``X``) and
            ``targets`` (or ``y``), or a ``.parquet`` file.
        target: The column to predict; the last one by default.
        task: ``"classification"`` or ``"regression"`` where the rule above decides wrongly.
        categorical: Columns of numbers that are codes of categories.
        ignore: Columns to leave out (names, numbers of records).
        header: Whether the first line of a CSV file holds names. By default it does unless it is certain to be data:
            numbers that are no labels such as years, or texts that come again below. A warning tells which.
        drop_missing: Leave out rows with missing cells (empty, NA, NaN, null, ?) instead of refusing them.

    Returns:
        The data set; its ``schema`` reads the features of another file (``read_inputs``).
    """
    file = existing(path)
    if file.suffix.lower() == ".npz":
        return _read_npz(file, target, task)
    table = _read(file, header, drop_missing, ignore)
    chosen = target if target is not None else list(table.cells)[-1]
    schema = TableSchema.learn(table, chosen, categorical)
    targets: Array = np.array(table.cells[chosen])
    if task == "regression" or (
        is_numeric(table.cells[chosen]) and chosen not in categorical
    ):
        targets = numbers(table, chosen)
    return table_dataset(
        file, schema.encode(table), targets, schema.feature_names, task, schema
    )


def read_inputs(path: str | Path, schema: TableSchema) -> npt.NDArray[np.float32]:
    """Return the features of another file, encoded as ``schema`` has learned; its target column may be missing."""
    return schema.encode(
        _read(existing(path), None, drop_missing=False, ignore=(), schema=schema)
    )


@checks_flags
def read_examples(
    path: str | Path,
    schema: TableSchema,
    target: str | None = None,
    *,
    drop_missing: bool = False,
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Return the features of another file, encoded as ``schema`` has learned, and the cells of its target column.

    ``target`` names the column where it is not the one that the schema was learned with.
    """
    chosen = target if target is not None else schema.target
    table = _read(
        existing(path), None, drop_missing, ignore=(), schema=schema, target=chosen
    )
    return schema.encode(table), list(table.require(chosen))


def read_columns(
    path: str | Path, needed: frozenset[str] | None = None
) -> dict[str, list[str]]:
    """Return a CSV or Parquet file as columns of text by name, in the file's order.

    Missing cells are refused, and if ``needed`` is given, in these columns only.
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
    """Return the cells of the wanted columns, none of them missing; of a schema those that it needs."""
    only = (
        None
        if schema is None
        else frozenset(schema.names) | ({target} if target is not None else frozenset())
    )
    (table,) = raw_tables(file, header, known=None if schema is None else schema.names)
    for name in (
        *(schema.names if schema is not None else ()),
        *([target] if target is not None else []),
    ):
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
    """Return numbers in float32, in which all of them have to stay finite."""
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    lost = (
        np.isinf(single) & np.isfinite(numbers)
        if numbers.dtype.kind == "f"
        else np.zeros(1, np.bool_)
    )
    if lost.any():
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
    """Return the data set after deciding between classes and numbers."""
    text = targets.dtype.kind not in "fiub"
    whole = text or bool((targets == np.floor(targets)).all())
    decided, note = (task, "") if task is not None else _decided(targets, text, whole)
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


def _decided(targets: Array, text: bool, whole: bool) -> Decided:
    """Return the task of targets of which nobody said what they are."""
    if text or targets.dtype.kind == "b":
        return Decided("classification", "")
    if targets.ndim != 1:
        return Decided(
            "classification"
            if whole and len(np.unique(targets)) <= FEW
            else "regression",
            "",
        )
    return choose_task(set(np.unique(targets).tolist()), len(targets), whole=whole)


def npz_arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an NPZ file by name; objects, which only unpickling could make, are refused."""
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


def _read_npz(file: Path, target: str | None, task: Task | None) -> Dataset:
    """Return the arrays of an NPZ file, inputs as they are; one-hot targets become labels."""
    held = npz_arrays(file)
    inputs = next(
        (held[name] for name in _INPUTS if name in held and name != target), None
    )
    targets = next(
        (held[name] for name in ((target,) if target else _TARGETS) if name in held),
        None,
    )
    if inputs is None or targets is None:
        raise DataError(
            f"file {file}",
            expected=f"arrays inputs (or X) and {target or 'targets (or y)'}",
            got=f"the arrays {listed(held) or 'none'}",
        )
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    elif (
        targets.ndim == 2
        and np.isin(targets, (0, 1)).all()
        and (targets.sum(axis=1) == 1).all()
    ):
        targets = targets.argmax(axis=1)
    x, _ = check_arrays(
        inputs, targets if targets.dtype.kind in "fiub" else None, where=f"file {file}"
    )
    if len(targets) != len(x):
        raise DataError(
            f"file {file}", expected=f"{len(x)} targets", got=str(len(targets))
        )
    return table_dataset(file, _single(x, f"inputs of {file}"), targets, (), task)
