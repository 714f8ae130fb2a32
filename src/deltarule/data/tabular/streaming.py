"""Tables in chunks of rows: the data set of ``read_table``, of which at most one chunk is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.columns.table import Table, discard, on_disk
from deltarule.data.dataset import Dataset, Task
from deltarule.data.preprocessing.encoding import LabelEncoder
from deltarule.data.schema import TableSchema, is_numeric, target_numbers
from deltarule.data.tabular.csv_files import TextOptions
from deltarule.data.tabular.sources import open_table
from deltarule.data.tabular.tables import (
    complete,
    given_formats,
    named_kinds,
    with_targets,
    without,
)
from deltarule.data.tabular.tasks import FEW, choose_task
from deltarule.errors import ArgumentError
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

__all__ = ["read_chunks"]

Array = npt.NDArray[Any]
_TOGETHER = 100_000  # cells of numbers that are fetched together


@checks_flags
def read_chunks(
    path: str | Path,
    target: str | None = None,
    task: Task | None = None,
    *,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    text: Sequence[str] = (),
    dates: Sequence[str] | Mapping[str, str] = (),
    ignore: Sequence[str] = (),
    header: bool | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    drop_missing: bool = False,
    rows: int = 8192,
) -> Iterator[Dataset]:
    r"""Yield the data set that ``read_table`` returns in chunks of at most ``rows`` rows.

    The file is read once, into a database in a temporary folder, from which types, categories and classes are learned
    and the chunks are encoded; at most one chunk is in memory. Every chunk has the columns, classes
    and schema of the whole. To train on the data, write it to disk with
    ``data.write_mapped(folder, data.read_chunks(path))``.

    Args:
        path: A file or a pattern, as in ``read_table``.
        target: The column to predict; the last one by default.
        task: ``"classification"`` or ``"regression"``; inferred by default.
        categorical: Columns of categories, also if they hold numbers.
        numeric: Columns of numbers; a cell that is none is missing.
        text: Columns of texts.
        dates: Columns of dates; as a mapping, with their formats as in ``strftime``, "" to detect one.
        ignore: Columns to leave out.
        header: Whether the first line of a text file contains names; inferred by default.
        separator: The character between the cells of a text file; detected by default.
        encoding: The encoding of a text file; detected by default.
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
    named = {*categorical, *text, *dates, *([] if target is None else [target])}
    options = TextOptions(
        header, separator, encoding, None, frozenset(named), target is None
    )
    formats = given_formats(dates)
    connection, folder = on_disk()
    try:
        opened = without(open_table(path, options, connection), ignore)
        whole = replace(opened, limit=_TOGETHER)
        chosen = target if target is not None else whole.names[-1]
        table = with_targets(complete(whole) if drop_missing else whole, chosen)
        kinds = named_kinds(numeric, text, dates)
        schema = TableSchema.learn(table, chosen, categorical, kinds, formats)
        number = is_numeric(table, chosen) and chosen not in categorical
        facts = _facts(Path(path), table, schema, task, number or task == "regression")
    except BaseException:
        discard(connection, folder)
        raise
    whole.keep_folder(folder)
    return _chunks(whole, table, facts, rows)


@dataclass(frozen=True)
class _Facts:
    """What is learned from the whole file; the encoder of labels for a classification."""

    file: Path
    schema: TableSchema
    encoder: LabelEncoder | None
    numeric_target: bool
    n_rows: int
    task_note: str = ""


def _facts(
    file: Path, table: Table, schema: TableSchema, task: Task | None, number: bool
) -> _Facts:
    n_rows, target = table.n_rows, schema.target
    if not number:
        encoder = LabelEncoder(list(table.levels(target)))
        return _Facts(file, schema, encoder, False, n_rows)
    values = target_numbers(table, target)
    whole = bool((values == np.floor(values)).all())
    distinct = np.unique(values)
    decided, note = task, ""
    if task is None:
        few = set(distinct[: FEW + 1].tolist())
        decided, note = choose_task(few, n_rows, whole=whole)
    if decided == "regression":
        return _Facts(file, schema, None, True, n_rows, note)
    classes = distinct.astype(np.int64) if whole else distinct
    return _Facts(file, schema, LabelEncoder(classes.tolist()), True, n_rows, note)


def _chunks(whole: Table, table: Table, facts: _Facts, rows: int) -> Iterator[Dataset]:
    """Yield the chunks; ``whole`` keeps the database open."""
    positions = table.array("rowid").astype(np.int64)
    for start in range(0, len(positions), rows):
        part = positions[start : start + rows]
        yield _encoded(facts, table.slice(int(part[0]), int(part[-1]) + 1))
    del whole


def _encoded(facts: _Facts, table: Table) -> Dataset:
    """Return one chunk as a data set."""
    target, file = facts.schema.target, facts.file
    values: Array = (
        target_numbers(table, target)
        if facts.numeric_target
        else table.array(table.text(target)).astype(str)
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
