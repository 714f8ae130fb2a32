"""Reading of tables that do not fit in memory, in chunks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.dataset import Dataset, Task
from deltarule.data.preprocessing.encoding import LabelEncoder
from deltarule.data.schema import Column, RawTable, TableSchema, numbers, parsed
from deltarule.data.tabular.cells import existing, raw_tables, wanted
from deltarule.data.tabular.tasks import FEW, choose_task
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

__all__ = ["read_chunks"]

Array = npt.NDArray[Any]
Tables = Callable[[], Iterator[RawTable]]


@checks_flags
def read_chunks(
    path: str | Path,
    target: str | None = None,
    task: Task | None = None,
    *,
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    header: bool | None = None,
    drop_missing: bool = False,
    rows: int = 8192,
) -> Iterator[Dataset]:
    r"""Yield the data set that ``read_table`` returns in chunks of at most ``rows`` rows.

    The file is read three times: to distinguish numbers from text, to collect categories and
    classes, and to encode. At most one chunk is in memory. Every chunk has the columns, classes
    and schema of the whole. To train on the data, write it to disk with
    ``data.write_mapped(folder, data.read_chunks(path))``.

    Args:
        path: A ``.csv`` or ``.parquet`` file.
        target: The column to predict; the last one by default.
        task: ``"classification"`` or ``"regression"``; inferred by default.
        categorical: Columns of numbers that are codes of categories.
        ignore: Columns to leave out.
        header: Whether the first line of a CSV file contains names; inferred by default.
        drop_missing: Drop rows with missing cells.
        rows: The largest number of rows per chunk.

    Raises:
        DataError: As ``read_table``; for what concerns the whole file, at the call.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("size,colour,kind\n1,red,a\n2,blue,b\n3,red,a\n")
    >>> [(part.inputs.tolist(), part.targets.tolist()) for part in read_chunks(file, rows=2)]
    [([[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]], [0, 1]), ([[3.0, 0.0, 1.0]], [0])]
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ArgumentError(
            "read_chunks rows", expected="a whole number ≥ 1", got=repr(rows)
        )
    file = existing(path)
    tables = partial(_kept_tables, file, header, rows, tuple(ignore), drop_missing)
    facts = _learned(file, tables, target, task, frozenset(categorical))
    return (_encoded(file, facts, table) for table in tables())


def _kept_tables(
    file: Path,
    header: bool | None,
    rows: int,
    ignore: tuple[str, ...],
    drop_missing: bool,
) -> Iterator[RawTable]:
    for table in raw_tables(file, header, rows):
        kept = wanted(table, ignore, drop_missing)
        if kept.n_rows:
            yield kept


@dataclass(frozen=True)
class _Facts:
    """What is learned from the whole file; the encoder of labels for a classification."""

    schema: TableSchema
    encoder: LabelEncoder | None
    numeric_target: bool
    n_rows: int
    task_note: str = ""


def _learned(
    file: Path,
    tables: Tables,
    target: str | None,
    task: Task | None,
    categorical: frozenset[str],
) -> _Facts:
    numeric, n_rows = _numeric(
        file, tables, categorical | ({target} if target is not None else set())
    )
    chosen = target if target is not None else list(numeric)[-1]
    text = {
        name
        for name, is_number in numeric.items()
        if not is_number or name in categorical
    }
    if len(numeric) < 2:
        raise DataError(
            f"file {file}",
            expected="at least one column beside the target",
            got=f"only {chosen!r}",
        )
    number = chosen not in text or task == "regression"
    categories: dict[str, set[str]] = {name: set() for name in text if name != chosen}
    classes: set[Any] = set()
    whole = True
    for table in tables():
        for name, seen in categories.items():
            seen.update(table.cells[name])
        values = (
            numbers(table, chosen).tolist() if number else list(table.cells[chosen])
        )
        whole = whole and (not number or all(value == int(value) for value in values))
        if task == "classification" or not number or (whole and len(classes) <= FEW):
            classes.update(values)
    columns = tuple(
        Column(name, tuple(sorted(categories.get(name, ()))))
        for name in numeric
        if name != chosen
    )
    decided, note = (
        (task, "") if task or not number else choose_task(classes, n_rows, whole=whole)
    )
    decided = decided or "classification"
    named = {int(value) for value in classes} if number and whole else classes
    encoder = LabelEncoder(sorted(named)) if decided == "classification" else None
    return _Facts(TableSchema(columns, chosen), encoder, number, n_rows, note)


def _numeric(
    file: Path, tables: Tables, needed: frozenset[str] | set[str]
) -> tuple[dict[str, bool], int]:
    """Return whether more than half of the cells of each column are numbers, and the number of rows."""
    hits: dict[str, int] = {}
    n_rows = 0
    for table in tables():
        for name in needed:
            table.require(name)
        for name, cells in table.cells.items():
            hits[name] = hits.get(name, 0) + sum(
                parsed(cell) is not None for cell in cells
            )
        n_rows += table.n_rows
    if not n_rows:
        raise DataError(
            f"file {file}",
            expected="at least one row without missing cells",
            got="none",
        )
    return {name: 2 * count > n_rows for name, count in hits.items()}, n_rows


def _encoded(file: Path, facts: _Facts, table: RawTable) -> Dataset:
    """Return one chunk as a data set."""
    target = facts.schema.target
    values: Array = (
        numbers(table, target)
        if facts.numeric_target
        else np.array(table.cells[target])
    )
    data = Dataset(
        file.stem,
        file.name,
        "regression",
        facts.schema.encode(table),
        values.astype(np.float32) if facts.encoder is None else values,
        facts.schema.feature_names,
        description=f"{counted(facts.n_rows, 'row')} of {file.name}",
        schema=facts.schema,
        task_note=facts.task_note,
    )
    if facts.encoder is None:
        return data
    labels = facts.encoder.transform(values)
    classes = tuple(str(category) for category in facts.encoder.classes_)
    return replace(data, task="classification", targets=labels, class_names=classes)


check_calls(__name__)
