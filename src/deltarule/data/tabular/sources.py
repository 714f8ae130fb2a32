"""Sources of tables: files of any format, several files, data frames and SQL queries."""

from __future__ import annotations

import csv
import glob
import importlib
import sqlite3
import warnings
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deltarule.data.columns.table import (
    NUMBER,
    TEXT,
    TIME,
    StoredColumn,
    Table,
    connect,
    identifier,
    literal,
    stacked,
)
from deltarule.data.tabular.csv_files import TextOptions, literal_path, read_text
from deltarule.errors import DataError, DataWarning, DependencyError, user_level
from deltarule.visible import listed

Source = Any  # a path, a pattern, a data frame, an Arrow table or a DuckDB relation
_NUMBERS = [
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
    "REAL",
    "DECIMAL",
]
_TEXTS = ("VARCHAR", "ENUM", "UUID", "BOOLEAN", "JSON", "TIME", "INTERVAL")
_TIMES = ("DATE", "TIMESTAMP")
_MAGIC = {  # first bytes → format
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"FEA1": "arrow",
    b"SQLite format 3\0": "sqlite",
    b"\x89HDF": "HDF5",
    b"\xd0\xcf\x11\xe0": "the old Excel format .xls",
    b"\x80\x04": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x05": "a pickle",
    b"RDX": "an R data file",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}


@dataclass(frozen=True)
class _Relation:
    """A relation of the database, with the names and types of its columns."""

    sql: str
    columns: Sequence[tuple[str, str]]


def open_table(
    source: Source,
    options: TextOptions | None = None,
    connection: Any = None,
) -> Table:
    r"""Return the table of a source.

    Args:
        source: The path of a file; a pattern such as ``"2024-*.csv"``, whose files are read one below the other; a
            data frame of pandas or Polars, an Arrow table, or a DuckDB relation.
        options: What is known of a text file.
        connection: The database that takes the table; a new one in memory by default.

    Raises:
        DataError: There is no such file, or its format is not that of a table.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("a;b\n1;x\n2;y\n")
    >>> open_table(file).names
    ('a', 'b')
    """
    database = connect() if connection is None else connection
    if not isinstance(source, (str, Path)):
        return _read_frame(source, database)
    files = existing(source)
    if len(files) > 1:
        return _read_files(files, database, options or TextOptions(), str(source))
    return _read_file(files[0], database, options or TextOptions())


def query_table(query: str, connection: Any = None) -> Table:
    """Return the result of an SQL query over files, such as ``SELECT * FROM 'a.csv' JOIN 'b.parquet' USING (id)``.

    Raises:
        DataError: The query is not valid, or names a file that does not exist.

    >>> query_table("select 1 as a, 'x' as b").names
    ('a', 'b')
    """
    database = connect() if connection is None else connection
    relation = f"({query.strip().rstrip(';')})"
    return _typed(database, _described(database, relation, "query"), "query")


def existing(source: str | Path) -> list[Path]:
    """Return the files that a path or a pattern names; raise DataError if there is none.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("a.csv", "b.csv"):
    ...     _ = (folder / name).write_text("x")
    >>> [file.name for file in existing(f"{folder}/*.csv")]
    ['a.csv', 'b.csv']
    """
    path = Path(source)
    if path.is_file():
        return [path]
    text = str(source)
    if path.is_dir():
        raise DataError(
            f"file {path}",
            expected="a file",
            got="a folder",
            hint=f"Name its files: {path}/*.csv.",
        )
    files = [Path(name) for name in sorted(glob.glob(text)) if Path(name).is_file()]
    if not files:
        raise DataError(
            f"file {path}",
            expected="a file that exists",
            got="none",
            hint=f"Looked in {Path.cwd()}.",
        )
    return files


def file_format(file: Path) -> str:
    """Return the format of a file by its content: parquet, arrow, sqlite, npz, excel, json or text; else a description.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "data"
    >>> _ = file.write_text('{"a": 1}')
    >>> file_format(file)
    'json'
    """
    with file.open("rb") as stream:
        start = stream.read(4096)
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return name
    if start.startswith(b"PK"):
        if b"[Content_Types].xml" in start or file.suffix.lower() in {".xlsx", ".xlsm"}:
            return "excel"
        return "npz" if file.suffix.lower() == ".npz" else "text"
    ending = file.name.lower().removesuffix(".gz").removesuffix(".zst")
    if ending.endswith((".json", ".jsonl", ".ndjson")):
        return "json"
    text = start.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    if text.startswith(('{"', '{ "', "{\n", "[{", "[\n")):
        return "json"
    return "text"


def _read_file(
    file: Path, database: Any, options: TextOptions, base: str = "cells"
) -> Table:
    where, kind = f"file {file}", file_format(file)
    if file.suffix.lower() == ".npz":
        raise DataError(where, expected="a table with named columns", got="'.npz'")
    if file.suffix.lower() == ".parquet" and kind != "parquet":
        raise DataError(where, expected="a Parquet file", got="other content")
    if kind == "text":
        return read_text(file, database, options, base)
    if kind == "parquet":
        relation = f"read_parquet({literal(literal_path(file))})"
        found = _described(database, relation, where, "a Parquet file")
        return _typed(database, found, where, base=base)
    if kind == "json":
        relation = f"read_json_auto({literal(literal_path(file))})"
        found = _described(database, relation, where, "JSON records")
        return _typed(database, found, where, base=base)
    if kind == "arrow":
        return _read_frame(_arrow(file), database, where, base)
    if kind == "excel":
        return _rows_as_text(_excel(file), file, database, options, base)
    if kind == "sqlite":
        return _rows_as_text(_sqlite(file), file, database, options, base)
    raise DataError(
        where,
        expected="CSV, Parquet, JSON, Arrow, Excel or SQLite",
        got=kind,
        hint="Save the table in one of these formats.",
    )


def _read_files(
    files: Sequence[Path], database: Any, options: TextOptions, pattern: str
) -> Table:
    """Return the rows of several files with the same columns, one file below the other."""
    parts: list[Table] = []
    for i, file in enumerate(files):
        part = _read_file(file, database, options, f"part{i}")
        if parts and set(part.names) != set(parts[0].names):
            raise DataError(
                f"file {file}",
                expected=f"the columns of {files[0]}: {listed(parts[0].names)}",
                got=listed(part.names),
            )
        parts.append(part)
    return stacked(parts, f"files {pattern}")


def _read_frame(
    frame: Any, database: Any, where: str = "the data frame", base: str = "cells"
) -> Table:
    """Return a table of a data frame, an Arrow table or a DuckDB relation."""
    names = getattr(frame, "column_names", getattr(frame, "columns", None))
    if names is None:
        raise DataError(
            "table",
            expected="a path, a data frame of pandas or Polars, an Arrow table or a DuckDB relation",
            got=type(frame).__name__,
        )
    if hasattr(frame, "to_arrow_table") and hasattr(frame, "fetchnumpy"):
        frame = frame.to_arrow_table()
    elif type(frame).__module__.startswith("polars"):
        frame = frame.to_arrow()
    database.register("frame", frame)
    relation = _described(database, "frame", where)
    given = [str(name) for name in names]
    return _typed(database, relation, where, given, base)


def _described(
    database: Any, sql: str, where: str, expected: str = "a valid SQL query"
) -> _Relation:
    """Return a relation with the names and types of its columns."""
    duckdb = importlib.import_module("duckdb")
    try:
        described = database.execute(f"describe select * from {sql}").fetchall()
    except duckdb.Error as error:
        got = str(error).partition("\n\n")[0]
        raise DataError(where, expected=expected, got=got) from error
    return _Relation(sql, [(str(row[0]), str(row[1])) for row in described])


def _typed(
    database: Any,
    relation: _Relation,
    where: str,
    names: Sequence[str] | None = None,
    base: str = "cells",
) -> Table:
    """Return the table of a relation whose columns have types."""
    duckdb = importlib.import_module("duckdb")
    columns: dict[str, StoredColumn] = {}
    nested: dict[str, str] = {}
    given = names or [name for name, _ in relation.columns]
    for name, (place, kind) in zip(given, relation.columns, strict=True):
        bare = kind.partition("(")[0].partition(" ")[0]
        is_list = kind.endswith("]")
        if not is_list and bare in _NUMBERS:
            columns[name] = StoredColumn(identifier(place), NUMBER)
        elif not is_list and bare in _TIMES:
            columns[name] = StoredColumn(identifier(place), TIME)
        elif not is_list and bare in _TEXTS:
            columns[name] = StoredColumn(identifier(place), TEXT)
        else:
            nested[name] = kind.lower()
    if not columns:
        got = listed(nested.values()) or "no columns"
        raise DataError(where, expected="a column of numbers or text", got=got)
    try:
        return Table.create(
            where, database, relation.sql, columns, nested=nested, base=base
        )
    except duckdb.Error as error:
        got = str(error).partition("\n\n")[0]
        raise DataError(where, expected="a table that can be read", got=got) from error


def _arrow(file: Path) -> Any:
    try:
        feather = importlib.import_module("pyarrow.feather")
    except ImportError as error:
        raise DependencyError(
            f"file {file}",
            expected="the package pyarrow",
            got="none",
            hint="pip install 'deltarule[arrow]', or save the table as Parquet.",
        ) from error
    try:
        return feather.read_table(file)
    except Exception as error:  # pyarrow raises many classes
        raise DataError(
            f"file {file}", expected="an Arrow file", got=str(error)
        ) from error


def _excel(file: Path) -> Iterable[Sequence[Any]]:
    """Yield the rows of the first sheet of a workbook."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError as error:
        raise DependencyError(
            f"file {file}",
            expected="the package openpyxl",
            got="none",
            hint="pip install 'deltarule[excel]', or save the sheet as CSV.",
        ) from error
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises many classes
        raise DataError(
            f"file {file}", expected="an Excel workbook", got=str(error)
        ) from error
    sheets = book.sheetnames
    if len(sheets) > 1:
        warnings.warn(
            f"file {file}: the first sheet, {sheets[0]!r}, of {listed(sheets)} is read",
            DataWarning,
            stacklevel=user_level(),
        )
    rows: Iterable[Sequence[Any]] = book.worksheets[0].iter_rows(values_only=True)
    return rows


def _sqlite(file: Path) -> Iterable[Sequence[Any]]:
    """Yield the names and the rows of the only table of an SQLite database."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        found = database.execute(
            "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%'"
        ).fetchall()
        tables = [name for (name,) in found]
        if len(tables) != 1:
            raise DataError(
                f"file {file}",
                expected="a database of one table",
                got=listed(tables) or "none",
                hint="Export the table that you need as CSV: sqlite3 -header -csv FILE 'SELECT …'.",
            )
        rows = database.execute(f"select * from {identifier(tables[0])}")
        yield [column[0] for column in rows.description]
        yield from rows


def _rows_as_text(
    rows: Iterable[Sequence[Any]],
    file: Path,
    database: Any,
    options: TextOptions,
    base: str,
) -> Table:
    """Return the table of rows whose first one holds names."""
    with TemporaryDirectory(prefix="deltarule-") as folder:
        text = Path(folder) / "rows.csv"
        with text.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            for row in rows:
                if any(cell is not None for cell in row):
                    writer.writerow(["" if cell is None else cell for cell in row])
        table = read_text(text, database, options, base)
    return replace(table, where=f"file {file}", places=None)
