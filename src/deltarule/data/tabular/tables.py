"""Readers of tables: files of any format, data frames and SQL queries as data sets; arrays in NPZ files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.columns.column_types import Kind
from deltarule.data.columns.dates import check_date_format
from deltarule.data.columns.encodings import CategoryColumn
from deltarule.data.columns.table import Table, literal
from deltarule.data.dataset import Dataset, Task
from deltarule.data.schema import TableSchema, is_numeric, target_numbers
from deltarule.data.tabular.csv_files import TextOptions
from deltarule.data.tabular.datasets import table_dataset
from deltarule.data.tabular.npz import read_npz
from deltarule.data.tabular.sources import existing, open_table, query_table
from deltarule.errors import ArgumentError, DataError, DataWarning, user_level
from deltarule.flags import checks_flags
from deltarule.render.numbers import counted

__all__ = ["read_columns", "read_examples", "read_inputs", "read_table"]

_MISSING = ("na", "n/a", "nan", "null", "?")  # of any column, in lower case
_ENDINGS = re.compile(
    r"(\.(csv|tsv|txt|json|jsonl|dat|data))?(\.(gz|bz2|xz|zst|zip))?$", re.IGNORECASE
)


@checks_flags
def read_table(
    source: Any = None,
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
    sql: str | None = None,
) -> Dataset:
    r"""Read a table as a data set.

    The types of columns are inferred. **Numbers**, also with decimal commas, thousands separators, currencies and
    units, are features; missing ones become the median, and a feature ``name (missing)`` says so. **Categories** are
    one-hot encoded as ``name=category``, sorted; of more than 20, those with fewer than five rows are merged. **Dates**
    become days, year and cycles of month, weekday and hour; **texts** hashed words. Columns that identify rows are left
    out, with a warning.

    Text targets are classes, sorted. Integer targets are classes if there are two values, or if the values are few,
    small and frequent (at most 20, below 1,000, 10 rows each on average; 3 for codes 0, 1, 2 …). Other numbers are a
    regression. ``task_note`` of the data set says how this was decided. Rows without a target are left out, with a
    warning.

    Args:
        source: A file: CSV or text with any separator (UTF-8, UTF-16 or Windows-1252; compressed or not), Parquet,
            JSON, Arrow, Excel or SQLite, or ``.npz`` with ``inputs`` (or ``X``) and ``targets`` (or ``y``); several
            files, by a pattern such as ``"2024-*.csv"``; or a data frame of pandas or Polars, an Arrow table or a
            DuckDB relation.
        target: The column to predict; the last one by default.
        task: ``"classification"`` or ``"regression"``; inferred by default.
        categorical: Columns of categories, also if they hold numbers.
        numeric: Columns of numbers; a cell that is none is missing.
        text: Columns of texts.
        dates: Columns of dates; as a mapping, with their formats as in ``strftime``, "" to detect one.
        ignore: Columns to leave out.
        header: Whether the first line of a text file contains names. By default it does, unless
            its numbers are not plausible names or its texts recur below; a warning says which.
        separator: The character between the cells of a text file; detected by default.
        encoding: The encoding of a text file; detected by default.
        drop_missing: Drop rows with missing cells (empty, NA, NaN, null, ?).
        sql: An SQL query over files in place of a source: ``"SELECT * FROM 'a.csv' JOIN 'b.parquet' USING (id)"``.

    Returns:
        The data set; ``read_inputs`` encodes another file with its ``schema``.

    Raises:
        DataError: The file is missing, empty or malformed, or a number of the target is none (with line and column).

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("size,colour,kind\n1,red,a\n2,blue,b\n3,red,a\n")
    >>> table = read_table(file)
    >>> table.feature_names, table.class_names, table.targets.tolist()
    (('size', 'colour=blue', 'colour=red'), ('a', 'b'), [0, 1, 0])
    """
    if (source is None) == (sql is None):
        raise ArgumentError(
            "read_table",
            expected="a source or sql=",
            got="none" if sql is None else "both",
        )
    if isinstance(source, (str, Path)) and str(source).lower().endswith(".npz"):
        (file,) = existing(source)
        return read_npz(file, target, task)
    formats = given_formats(dates)
    kinds = named_kinds(numeric, text, dates)
    named = {*categorical, *text, *dates, *([] if target is None else [target])}
    options = TextOptions(
        header, separator, encoding, None, frozenset(named), target is None
    )
    whole = query_table(sql) if sql is not None else open_table(source, options)
    table = without(whole, ignore)
    chosen = target if target is not None else table.names[-1]
    rows = with_targets(complete(table) if drop_missing else table, chosen)
    schema = TableSchema.learn(rows, chosen, categorical, kinds, formats)
    name, title = _titles(source)
    is_number = is_numeric(rows, chosen) and chosen not in categorical
    classes: tuple[str, ...] = ()
    if is_number or task == "regression":
        targets: npt.NDArray[Any] = target_numbers(rows, chosen)
    else:
        classes = tuple(rows.levels(chosen))
        targets = rows.codes(chosen, classes)
    features = schema.encode(rows)
    found = table_dataset(
        Path(title), features, targets, schema.feature_names, task, schema, classes
    )
    return replace(found, name=name)


def read_inputs(source: Any, schema: TableSchema) -> npt.NDArray[np.float32]:
    r"""Return the features of another file or data frame, encoded with a schema; the target may be absent.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "new.csv"
    >>> _ = file.write_text("colour,size\nred,2\n")
    >>> table = Table.of({"size": [1, 2], "colour": ["red", "blue"], "y": [0, 1]})
    >>> read_inputs(file, TableSchema.learn(table, target="y")).tolist()
    [[2.0, 0.0, 1.0]]
    """
    return schema.encode(open_by_schema(source, schema))


@checks_flags
def read_examples(
    source: Any,
    schema: TableSchema,
    target: str | None = None,
    *,
    drop_missing: bool = False,
) -> tuple[npt.NDArray[np.float32], list[str]]:
    r"""Return the features of another file, encoded with a schema, and the cells of its target column.

    Args:
        source: A file or data frame, as in ``read_table``.
        schema: The schema of the training data.
        target: The target column; that of the schema by default.
        drop_missing: Drop rows with missing cells.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "new.csv"
    >>> _ = file.write_text("size,y\n4,a\n")
    >>> schema = TableSchema.learn(Table.of({"size": [1], "y": ["a"]}), target="y")
    >>> inputs, cells = read_examples(file, schema)
    >>> inputs.tolist(), cells
    ([[4.0]], ['a'])
    """
    chosen = target if target is not None else schema.target
    table = open_by_schema(source, schema, chosen)
    needed = table.select([*schema.names, chosen])
    rows = with_targets(complete(needed) if drop_missing else needed, chosen)
    return schema.encode(rows), [str(c) for c in rows.array(rows.text(chosen))]


def read_columns(
    source: Any, needed: frozenset[str] | None = None
) -> dict[str, list[str]]:
    r"""Return the columns of a table as text, by name, in the order of the file.

    A missing cell is a DataError; if ``needed`` is given, in these columns only, which alone are returned.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("size,colour\n1,red\n2,blue\n")
    >>> read_columns(file)
    {'size': ['1', '2'], 'colour': ['red', 'blue']}
    """
    table = open_table(source)
    names = [name for name in table.names if needed is None or name in needed]
    columns = {}
    for name in names:
        position = table.first(_is_missing(table, name))
        if position is not None:
            raise DataError(
                table.place(position),
                expected=f"a value in column {name!r}",
                got="a missing one",
            )
        columns[name] = [str(cell) for cell in table.array(table.text(name))]
    return columns


def named_kinds(
    numeric: Iterable[str], text: Iterable[str], dates: Iterable[str]
) -> dict[str, Kind]:
    """Return the types of columns by name.

    >>> named_kinds(["age"], [], ["born"])
    {'age': 'number', 'born': 'date'}
    """
    kinds: dict[str, Kind] = {}
    for name in numeric:
        kinds[name] = "number"
    for name in text:
        kinds[name] = "text"
    for name in dates:
        kinds[name] = "date"
    return kinds


def given_formats(dates: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Return the formats of columns of dates that are named.

    >>> given_formats({"born": "%d.%m.%Y", "died": ""}), given_formats(["born"])
    ({'born': '%d.%m.%Y'}, {})
    """
    named = dates.items() if isinstance(dates, Mapping) else ()
    formats = {name: form for name, form in named if form}
    for name, form in formats.items():
        check_date_format(name, form)
    return formats


def open_by_schema(
    source: Any, schema: TableSchema, target: str | None = None
) -> Table:
    """Return the table of a source whose columns a schema encodes.

    >>> schema = TableSchema.learn(Table.of({"size": [1, 2], "y": [0, 1]}), target="y")
    >>> open_by_schema(Table.of({"size": [1]}).connection.sql("select 1 as size"), schema).names
    ('size',)
    """
    categories = {c.name for c in schema.columns if isinstance(c, CategoryColumn)}
    as_text = categories | ({target} if target is not None else set())
    options = TextOptions(known=schema.names, as_text=frozenset(as_text))
    table = open_table(source, options)
    for name in (*schema.names, *([] if target is None else [target])):
        table.require(name)
    return table


def without(table: Table, ignore: Sequence[str]) -> Table:
    """Return a table without some columns; raise DataError for columns of lists or bytes that are left.

    >>> without(Table.of({"id": [7], "size": [1]}), ["id"]).names
    ('size',)
    """
    for name in ignore:
        if name not in table.nested:
            table.require(name)
    for name, kind in table.nested.items():
        if name not in ignore:
            pictures = "blob" in kind
            way_out = (
                "Write pictures into a folder for each class"
                if pictures
                else "Write a column for each part"
            )
            raise DataError(
                f"{table.where}, column {name!r}",
                expected="numbers or text",
                got=kind,
                hint=f"{way_out}, or leave this one out: ignore=[{name!r}].",
            )
    return table.select([name for name in table.names if name not in ignore])


def complete(table: Table) -> Table:
    """Return the rows without missing cells; raise DataError if there is none.

    >>> complete(Table.of({"size": [1, None, 3]})).numbers("size").tolist()
    [1.0, 3.0]
    """
    missing = " or ".join(f"({_is_missing(table, name)})" for name in table.names)
    kept = table.filter(f"not ({missing})")
    if not kept.n_rows:
        raise DataError(
            table.where,
            expected="at least one row without missing cells",
            got=counted(table.n_rows, "row"),
        )
    return kept


def with_targets(table: Table, target: str) -> Table:
    """Return the rows that have a target, with a warning if there are others.

    >>> with_targets(Table.of({"size": [1, 2], "y": [0, 1]}), "y").n_rows
    2
    """
    missing = _is_missing(table, target)
    count = table.count(missing)
    if not count:
        return table
    if count == table.n_rows:
        raise DataError(
            table.where, expected=f"values in column {target!r}", got="none"
        )
    warnings.warn(
        f"{table.where}: {counted(count, 'row')} without a value of the target {target!r} left out",
        DataWarning,
        stacklevel=user_level(),
    )
    return table.filter(f"not ({missing})")


def _is_missing(table: Table, name: str) -> str:
    """Return the SQL condition that a cell is missing."""
    text = table.text(name)
    return f"{text} is null or lower({text}) in ({', '.join(map(literal, _MISSING))})"


def _titles(source: Any) -> tuple[str, str]:
    """Return the short name and the title of a data set.

    >>> _titles("folder/sales.csv.gz"), _titles("2024-*.csv")
    (('sales', 'sales.csv.gz'), ('2024-_', '2024-*.csv'))
    """
    if source is None:
        return "query", "SQL query"
    if not isinstance(source, (str, Path)):
        return "table", "data frame"
    title = Path(source).name
    return re.sub(r"[*?\[\]]+", "_", _ENDINGS.sub("", title)) or title, title


check_calls(__name__)
