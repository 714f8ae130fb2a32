"""Text files as tables: detected by Deltarule, read by DuckDB."""

from __future__ import annotations

import csv
import importlib
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deltarule.data.columns.table import NUMBER, TEXT, StoredColumn, Table, literal
from deltarule.data.tabular.dialect import Dialect, find_dialect
from deltarule.data.tabular.header import PEEKED, find_header
from deltarule.data.tabular.text_source import (
    NotUnicodeError,
    TextSource,
    check_encoding,
    compression,
    detect_encoding,
    not_unicode,
    pieces,
)
from deltarule.errors import (
    DataError,
    DataWarning,
    user_level,
)
from deltarule.render.numbers import counted
from deltarule.visible import listed

_SAMPLE = 1 << 17  # characters that are examined
_MOST_CELLS = 10_000  # cells that are examined
_NATIVE = {b"": "none", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_GENERATED_NAME = re.compile(r"column \d+")  # of columns in files without a header
_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)?(\.\d*)?([eE][-+]?\d{1,2})?(?<=[\d.])")
_PARALLEL, _IN_ORDER, _REWRITTEN = "parallel", "in order", "rewritten"
_BREAKS = {10: "\ue00a", 13: "\ue00d"}  # line breaks in cells of rewritten files
_FALLBACK = "cp1252"  # Windows-1252, which holds all of ISO 8859-1
_SHOWN = 6  # cells of a first line that are shown
_LABELS = "row labels"  # the name of an unnamed first column


@dataclass(frozen=True)
class TextOptions:
    """What is known of a text file before it is read; the rest is detected.

    Attributes:
        header: Whether the first line holds names.
        separator: The character between cells.
        encoding: The encoding of the text.
        known: The names of the columns that are expected: a first line that holds them is a header.
        as_text: Columns read as text even if they hold numbers.
        last_as_text: Whether the last column is one of them.
    """

    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    known: Sequence[str] | None = None
    as_text: frozenset[str] = frozenset()
    last_as_text: bool = False


def read_text(
    file: Path, connection: Any, options: TextOptions, base: str = "cells"
) -> Table:
    """Return the table in a text file.

    Args:
        file: The file, compressed or not.
        connection: The database that takes the table.
        options: What is known of the file.
        base: The name of the relation in the database.

    Raises:
        DataError: The file is empty, has no row below its header, or is damaged.

    >>> import tempfile
    >>> from deltarule.data.columns.table import connect
    >>> file = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = file.write_text("a|b|1.5", encoding="utf-8")
    >>> read_text(file, connect(), TextOptions(header=False)).names
    ('column 1', 'column 2', 'column 3')
    """
    kind = compression(file)
    check_encoding(options.encoding)
    encoding = options.encoding or detect_encoding(file, kind)
    try:
        return _read_text(TextSource(file, kind, encoding), connection, options, base)
    except NotUnicodeError:
        if options.encoding is not None:
            raise
    _warn(
        f"file {file}: the text is not UTF-8 and is read as Windows-1252; name the encoding if that is wrong"
    )
    return _read_text(TextSource(file, kind, _FALLBACK), connection, options, base)


def _read_text(
    source: TextSource, connection: Any, options: TextOptions, base: str
) -> Table:
    where = f"file {source.file}"
    with source.open() as stream:
        text = "".join(pieces(stream, where, _SAMPLE))
    if not text.strip():
        raise DataError(where, expected="at least one row", got="an empty file")
    complete = len(text) < _SAMPLE
    dialect = find_dialect(text if complete else text[: text.rfind("\n") + 1])
    if options.separator is not None:
        dialect = replace(dialect, separator=options.separator)
    sample = _sample(text, dialect, where, complete)
    names, named = _names(where, sample, options)
    below = [row for row, _ in sample[named:]]
    if not below:
        raise DataError(where, expected="at least one row below the header", got="none")
    skip = sample[1][1] - 1 if named else dialect.skip
    split = named and any("\n" in name or "\r" in name for name in sample[0][0])
    with TemporaryDirectory(prefix="deltarule-") as folder:
        reading = _Reading(
            source, dialect, skip, where, len(names), Path(folder), split
        )
        kinds = _kinds(names, below, options)
        return _load(reading, connection, names, kinds, base)


@dataclass(frozen=True)
class _Reading:
    """How DuckDB reads a file."""

    source: TextSource
    dialect: Dialect
    skip: int
    where: str
    width: int
    folder: Path
    split_names: bool  # over several lines, which DuckDB does not skip

    @property
    def is_direct(self) -> bool:
        """Whether DuckDB reads the file as it is."""
        return (
            self.dialect.is_simple
            and not self.split_names
            and self.source.encoding in {"utf-8", "utf-8-sig"}
            and self.source.kind in _NATIVE
        )

    def relation(self, kinds: Sequence[str], how: str) -> str:
        """Return the table function, in SQL; ``how`` is one of the ways of ``_load``."""
        path, skip, dialect = self.source.file, self.skip, self.dialect
        packed = _NATIVE.get(self.source.kind, "none")
        if how == _REWRITTEN:
            path, skip, dialect, packed = self._rewritten(), 0, Dialect(), "none"
        declared = ", ".join(f"'c{i}': '{kind}'" for i, kind in enumerate(kinds))
        return (
            f"read_csv({literal(literal_path(path))}, auto_detect=false, header=false, skip={skip}, "
            f"delim={literal(dialect.separator)}, quote={literal(dialect.quote)}, escape={literal(dialect.escape)}, "
            f"compression='{packed}', columns={{{declared}}}, nullstr='', null_padding=true, "
            f"parallel={str(how != _IN_ORDER).lower()}, max_line_size=33554432)"
        )

    def _rewritten(self) -> Path:
        """Return a copy of the rows in UTF-8, separated by commas, with marks in place of line breaks in cells."""
        target = self.folder / "rows.csv"
        if not target.exists():
            with (
                self.source.open() as stream,
                target.open("w", encoding="utf-8", newline="") as out,
            ):
                lines = islice(pieces(stream, self.where, -1), self.skip, None)
                writer = csv.writer(out, lineterminator="\n")
                for row, line in self.dialect.rows(lines, self.where, self.skip):
                    _check_width(row, self.width, f"{self.where} line {line}")
                    writer.writerow([cell.translate(_BREAKS) for cell in row])
        return target

    def place(self, position: int) -> str:
        """Return the file and the line on which a row begins."""
        with self.source.open() as stream:
            lines = islice(stream, self.skip, None)
            rows = self.dialect.rows(lines, self.where, self.skip)
            found = next(islice(rows, position, None), None)
        return self.where if found is None else f"{self.where} line {found[1]}"


def _load(
    reading: _Reading,
    connection: Any,
    names: Sequence[str],
    kinds: Sequence[str],
    base: str,
) -> Table:
    """Read the rows; columns of numbers with a cell that is none are read as text."""
    duckdb = importlib.import_module("duckdb")
    chosen = list(kinds)
    ways = [_PARALLEL, _IN_ORDER, _REWRITTEN] if reading.is_direct else [_REWRITTEN]
    while True:
        relation = reading.relation(chosen, ways[0])
        columns = {
            name: StoredColumn(_restored(f"c{i}", kind, ways[0]), kind)
            for i, (name, kind) in enumerate(zip(names, chosen, strict=True))
        }
        try:
            return Table.create(
                reading.where,
                connection,
                relation,
                columns,
                reading.place,
                base=base,
            )
        except duckdb.ConversionException:
            if NUMBER not in chosen:
                raise
            chosen = [TEXT] * len(chosen)
        except duckdb.Error as error:
            again = any(text in str(error) for text in ("parallel", "invalid state"))
            if len(ways) == 1 or not again:
                raise _refused(reading, str(error)) from error
            ways.pop(0)


def _restored(column: str, kind: str, how: str) -> str:
    """Return the SQL expression of a column, with the line breaks of a rewritten file restored."""
    if kind != TEXT or how != _REWRITTEN:
        return column
    for code, mark in _BREAKS.items():
        column = f"replace({column}, '{mark}', chr({code}))"
    return column


def _refused(reading: _Reading, message: str) -> DataError:
    """Return the error for rows that DuckDB refuses, with the line in the file."""
    line = re.search(r"Line: (\d+)", message)
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    where = f"{reading.where} line {line[1]}" if line else reading.where
    if counts:
        return DataError(where, expected=counted(int(counts[1]), "cell"), got=counts[2])
    if "unterminated quote" in message:
        return DataError(
            where,
            expected="separated cells",
            got="a quotation mark that is not closed",
            hint="Close it, or double quotation marks inside of quotes.",
        )
    if "unicode" in message:
        return not_unicode(where, "bytes that are not UTF-8")
    got = message.partition("\n")[0].removeprefix("Invalid Input Error: ")
    return DataError(where, expected="separated cells", got=got)


# ---------------------------------------------------------------- header, names, types


def _sample(
    text: str, dialect: Dialect, where: str, complete: bool
) -> list[tuple[list[str], int]]:
    """Return the first rows, and the lines on which they begin."""
    lines = islice(io.StringIO(text, newline=""), dialect.skip, None)
    rows: list[tuple[list[str], int]] = []
    cells = 0
    try:
        for row in dialect.rows(lines, where, dialect.skip):
            rows.append(row)
            cells += len(row[0])
            if len(rows) > PEEKED or cells > _MOST_CELLS:
                return rows
    except DataError:
        if complete:
            raise
    return rows if complete else rows[:-1]


def _names(
    where: str, sample: Sequence[tuple[list[str], int]], options: TextOptions
) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether they are in the first line."""
    first, below = sample[0][0], [row for row, _ in sample[1:]]
    first = [first[0].lstrip("#%").strip(), *first[1:]] if first else first
    widths = [len(row) for row in below]
    width = max(widths, default=len(first))
    ended = all(not row[-1] for row in below if row)  # by separators
    if widths and min(widths) == width == len(first) + 1 and not ended:
        first = ["", *first]  # R writes labels of rows without a name above them
    elif width > len(first) and all(not any(row[len(first) :]) for row in below):
        first = [
            *first,
            *[""] * (width - len(first)),
        ]  # separators at the ends of lines
    named = _named(where, first, below, options)
    given = first if named else [f"column {i + 1}" for i in range(len(first))]
    return _distinct(where, given), named


def _named(
    where: str, first: list[str], rows: list[list[str]], options: TextOptions
) -> bool:
    """Return whether the first line is a header; warn if the numbers in it leave that uncertain."""
    if options.header is not None:
        return options.header
    if options.known is not None:
        generated = all(_GENERATED_NAME.fullmatch(name) for name in options.known)
        return set(options.known) <= set(first) or not generated
    found = find_header(first, rows)
    if not found.named or not found.certain:
        what, other = ("names of columns", False) if found.named else ("data", True)
        shown = listed(first[:_SHOWN]) + (", …" if len(first) > _SHOWN else "")
        _warn(
            f"{where}: the first line ({shown}) {found.why} and is read as {what}; header={other} says otherwise"
        )
    return found.named


def _distinct(where: str, names: Sequence[str]) -> list[str]:
    """Return names that differ: unnamed columns are numbered, and so are repeated names."""
    result: list[str] = []
    for i, name in enumerate(names):
        unnamed = _LABELS if i == 0 else f"column {i + 1}"
        candidate, number = name or unnamed, 2
        while candidate in result:
            candidate, number = f"{name or unnamed} ({number})", number + 1
        result.append(candidate)
    repeated = [
        new for new, old in zip(result, names, strict=True) if old and new != old
    ]
    if repeated:
        _warn(
            f"{where}: columns have the same name; the later ones are named {listed(repeated)}"
        )
    return result


def _kinds(
    names: Sequence[str], rows: Sequence[Sequence[str]], options: TextOptions
) -> list[str]:
    """Return the types of the columns: numbers where all cells of the sample are plain numbers."""
    kinds = []
    for i, name in enumerate(names):
        cells = [row[i] for row in rows if i < len(row) and row[i]]
        is_text = name in options.as_text or (
            options.last_as_text and i == len(names) - 1
        )
        plain = cells and all(_PLAIN_NUMBER.fullmatch(cell) for cell in cells)
        kinds.append(NUMBER if plain and not is_text else TEXT)
    return kinds


def _check_width(row: list[str], width: int, where: str) -> None:
    if len(row) > width and any(row[width:]):
        raise DataError(where, expected=counted(width, "cell"), got=str(len(row)))
    del row[width:]


def literal_path(path: Path) -> str:
    """Return a path in which the characters of patterns stand for themselves.

    >>> literal_path(Path("a[1].csv"))
    'a[[]1].csv'
    """
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def _warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=user_level())
