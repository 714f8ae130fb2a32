"""The cells of CSV and Parquet files as text, at once or in chunks of rows."""

from __future__ import annotations

import csv
import importlib
import re
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from deltarule.data.schema import MISSING, RawTable, parsed
from deltarule.data.tabular.header import PEEKED, find_header
from deltarule.errors import DataError, DataWarning, DependencyError
from deltarule.render.numbers import counted
from deltarule.visible import listed

_GENERATED_NAME = re.compile(r"column \d+")  # of columns in files without a header
_SHOWN = 6  # cells of a first line that are shown


def existing(path: str | Path) -> Path:
    """Return the path of a table; raise DataError if there is none, or for another file type."""
    file = Path(path)
    if not file.is_file():
        raise DataError(
            f"file {file}",
            expected="a file that exists",
            got="none",
            hint=f"Looked in {Path.cwd()}.",
        )
    if file.suffix.lower() not in {".csv", ".tsv", ".npz", ".parquet"}:
        raise DataError(
            f"file {file}",
            expected="a .csv, .npz or .parquet file",
            got=repr(file.suffix),
        )
    return file


def raw_tables(
    file: Path,
    header: bool | None,
    rows: int | None = None,
    known: Sequence[str] | None = None,
) -> Iterator[RawTable]:
    """Yield the rows of a file in tables of at most ``rows`` rows.

    Args:
        file: A CSV or Parquet file.
        header: Whether the first line of a CSV file contains names; None to infer it.
        rows: The largest number of rows per table; None for one table.
        known: The column names that a model was trained with: a first line that contains them
            is a header.
    """
    if file.suffix.lower() == ".npz":
        raise DataError(
            f"file {file}",
            expected="a .csv or .parquet file with named columns",
            got="'.npz'",
        )
    return (
        _parquet_tables(file, rows)
        if file.suffix.lower() == ".parquet"
        else _csv_tables(file, header, rows, known)
    )


def wanted(
    table: RawTable,
    ignore: Sequence[str] = (),
    drop_missing: bool = False,
    only: frozenset[str] | None = None,
) -> RawTable:
    """Return the selected columns of the rows without missing cells.

    Args:
        table: The table.
        ignore: Columns to leave out.
        drop_missing: Drop rows with missing cells; by default a missing cell is a DataError.
        only: The columns to keep; None for all.
    """
    for name in ignore:
        if name not in table.nested:
            table.require(name)
    _refuse_nested(table, ignore, only)
    columns = {
        name: cells
        for name, cells in table.cells.items()
        if name not in ignore and (only is None or name in only)
    }
    missing = [
        (row, name)
        for name, cells in columns.items()
        for row, cell in enumerate(cells)
        if cell.lower() in MISSING
    ]
    if missing and not drop_missing:
        row, name = min(missing)
        raise DataError(
            table.place(row),
            expected=f"a value in column {name!r}",
            got=f"{columns[name][row]!r} ({counted(len(missing), 'missing cell')})",
            hint="Fill the cells, or leave their rows out: drop_missing=True.",
        )
    dropped = {row for row, _ in missing}
    kept = [row for row in range(table.n_rows) if row not in dropped]
    cells = {name: [column[row] for row in kept] for name, column in columns.items()}
    lines = [table.lines[row] for row in kept]
    return RawTable(table.where, cells, lines, table.unit, table.nested)


def _csv_tables(
    file: Path, header: bool | None, rows: int | None, known: Sequence[str] | None
) -> Iterator[RawTable]:
    where = f"file {file}"
    stream = _csv_rows(file, where)
    first = next(stream, None)
    if first is None:
        raise DataError(where, expected="at least one row", got="an empty file")
    has_number = any(parsed(cell) is not None for cell in first[0])
    uncertain = header is None and known is None and has_number
    peeked = list(islice(stream, PEEKED)) if uncertain else []
    named = header
    if named is None:
        named = _named(where, first[0], [row for row, _ in peeked], known)
    names = first[0] if named else [f"column {i + 1}" for i in range(len(first[0]))]
    stream = chain(peeked, stream) if named else chain([first], peeked, stream)
    del peeked  # rows are released as they are read
    numbered: bool | None = None if names[0] == "" else False
    done = 0
    while part := list(islice(stream, rows)):
        for row, line in part:
            if len(row) != len(names):
                raise DataError(
                    f"{where} line {line}",
                    expected=f"{len(names)} cells",
                    got=str(len(row)),
                )
        indexed = numbered is not False and [row[0] for row, _ in part] == [
            str(done + i) for i in range(len(part))
        ]
        if numbered is None and indexed:
            warnings.warn(
                f"{where}: the unnamed first column numbers the rows and is left out",
                DataWarning,
                5,
            )
        elif numbered and not indexed:
            raise DataError(
                f"{where} line {part[0][1]}",
                expected="rows numbered on",
                got=repr(part[0][0][0]),
            )
        numbered = indexed
        kept = names[indexed:]
        if len(set(kept)) != len(kept) or "" in kept:
            shown = ", ".join(map(repr, kept))
            raise DataError(
                where, expected="column names that differ and are not empty", got=shown
            )
        cells = {
            name: [row[i + indexed] for row, _ in part] for i, name in enumerate(kept)
        }
        yield RawTable(where, cells, [line for _, line in part])
        done += len(part)
    if not done:
        raise DataError(where, expected="at least one row below the header", got="none")


def _named(
    where: str, first: list[str], rows: list[list[str]], known: Sequence[str] | None
) -> bool:
    """Return whether the first line is a header; warn if the numbers in it leave that uncertain."""
    if known is not None:
        generated = all(_GENERATED_NAME.fullmatch(name) for name in known)
        return set(known) <= set(first) or not generated
    found = find_header(first, rows)
    if not found.named or not found.certain:
        what, other = ("names of columns", False) if found.named else ("data", True)
        shown = listed(first[:_SHOWN]) + (", …" if len(first) > _SHOWN else "")
        warnings.warn(
            f"{where}: the first line ({shown}) {found.why} and is read as {what}; header={other} says otherwise",
            DataWarning,
            stacklevel=6,
        )
    return found.named


def _csv_rows(file: Path, where: str) -> Iterator[tuple[list[str], int]]:
    """Yield the stripped cells of every line that is not blank, and its line number."""
    before = 0
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            delimiter = _delimiter(stream.readline())
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield [_plain(cell.strip(), delimiter) for cell in row], before + 1
                before = reader.line_num
    except UnicodeDecodeError as error:
        raise DataError(
            where,
            expected="text in UTF-8",
            got=str(error),
            hint="Save the table as UTF-8.",
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{where} line {before + 1}",
            expected="comma-separated cells",
            got=str(error),
        ) from error


def _delimiter(line: str) -> str:
    """Return the most frequent of ``,``, ``;`` and tab in the first line."""
    return max(",;\t", key=line.count)


def _plain(cell: str, delimiter: str) -> str:
    """Return a cell with a decimal point for the decimal comma of a semicolon-separated file."""
    if delimiter != ";" or cell.count(",") != 1:
        return cell
    with_point = cell.replace(",", ".")
    return cell if parsed(with_point) is None else with_point


def _parquet_tables(file: Path, rows: int | None) -> Iterator[RawTable]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise DependencyError(
            f"file {file}",
            expected="the package pyarrow",
            got="none",
            hint="pip install 'deltarule[parquet]'",
        ) from error
    done = 0
    try:
        content = parquet.ParquetFile(file)
        nested = _nested(content.schema_arrow, arrow.types)
        plain = [name for name in content.schema_arrow.names if name not in nested]
        parts = (
            iter((content.read(plain),))
            if rows is None
            else content.iter_batches(rows, columns=plain)
        )
        for part in parts:
            columns = part.to_pydict()
            cells = {
                str(n): ["" if value is None else str(value) for value in c]
                for n, c in columns.items()
            }
            count = part.num_rows
            yield RawTable(
                f"file {file}", cells, range(done + 1, done + count + 1), "row", nested
            )
            done += count
    except (arrow.ArrowInvalid, OSError) as error:
        raise DataError(
            f"file {file}", expected="a Parquet file", got=str(error)
        ) from error


def _nested(schema: Any, types: Any) -> dict[str, str]:
    """Return the types of the columns that are neither numbers nor text: bytes, lists, structs."""
    kinds = (
        types.is_nested,
        types.is_binary,
        types.is_large_binary,
        types.is_fixed_size_binary,
    )
    return {
        field.name: str(field.type)
        for field in schema
        if any(is_kind(field.type) for is_kind in kinds)
    }


def _refuse_nested(
    table: RawTable, ignore: Sequence[str], only: frozenset[str] | None
) -> None:
    for name, kind in table.nested.items():
        if name not in ignore and (only is None or name in only):
            way_out = (
                "Write a column for each part"
                if "binary" not in kind
                else "Write pictures into a folder for each class"
            )
            hint = f"{way_out}, or leave this one out: ignore=[{name!r}]."
            raise DataError(
                f"{table.where}, column {name!r}",
                expected="numbers or text",
                got=kind,
                hint=hint,
            )
