"""Tables: named columns in an in-process DuckDB database, returned as NumPy arrays."""

from __future__ import annotations

import importlib
import os
import shutil
import weakref
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deltarule.errors import DataError
from deltarule.visible import listed

Array = npt.NDArray[Any]
NUMBER, TEXT, TIME = "DOUBLE", "VARCHAR", "TIMESTAMP"  # the types of columns
_BASE = "cells"  # the relation with the cells
_SMALL = 20_000_000  # cells that are fetched at once


def connect(where: str | None = None) -> Any:
    """Return a connection to a database in memory, or in a file.

    Threads are limited as those of the engine, and nothing is downloaded.

    >>> connect().execute("select 1 + 1").fetchone()
    (2,)
    """
    connection = importlib.import_module("duckdb").connect(
        where or ":memory:", config={"autoinstall_known_extensions": "false"}
    )
    machine = importlib.import_module("deltarule.backends.native.llvm.machine")
    limit = machine.thread_limit(os.environ)
    if limit is not None:
        connection.execute(f"set threads = {limit}")
    return connection


def literal(text: str) -> str:
    """Return a text as an SQL literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier.

    >>> print(identifier("size in m"))
    "size in m"
    """
    return '"' + name.replace('"', '""') + '"'


class StoredColumn(NamedTuple):
    """The SQL expression of a stored column, and its type: DOUBLE, VARCHAR or TIMESTAMP."""

    place: str
    kind: str


@dataclass(frozen=True)
class Table:
    """The columns of a table.

    Attributes:
        where: The name of the file or frame, for errors.
        columns: The columns by name. Texts are stripped; empty ones are NULL.
        connection: The database that holds the cells.
        places: Returns the file and line of a row; None if rows have no lines.
        nested: The types of columns that are neither numbers nor text; they are not read.
        condition: The rows selected, in SQL.
        base: The relation that holds the cells.
        limit: The number of cells up to which all columns of numbers are fetched together.

    >>> table = Table.of({"size": [1.0, None], "colour": ["red", "blue"]})
    >>> table.n_rows, table.names, table.numbers("size").tolist(), table.levels("colour")
    (2, ('size', 'colour'), [1.0, nan], {'blue': 1, 'red': 1})
    """

    where: str
    columns: Mapping[str, StoredColumn]
    connection: Any = field(repr=False)
    places: Callable[[int], str] | None = field(default=None, repr=False)
    nested: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    base: str = _BASE
    limit: int = _SMALL
    _fetched: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls, columns: Mapping[str, Sequence[Any]], where: str = "the table"
    ) -> Table:
        """Return a table of lists of numbers or texts; None is a missing cell."""
        connection = connect()
        stored = {
            name: StoredColumn(f"c{i}", NUMBER if _are_numbers(values) else TEXT)
            for i, (name, values) in enumerate(columns.items())
        }
        declared = ", ".join(f"{place} {kind}" for place, kind in stored.values())
        connection.execute(f"create table {_BASE} ({declared})")
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        if rows:
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"insert into {_BASE} values ({marks})", rows)
        return cls(where, stored, connection)

    @classmethod
    def create(
        cls,
        where: str,
        connection: Any,
        relation: str,
        columns: Mapping[str, StoredColumn],
        places: Callable[[int], str] | None = None,
        nested: Mapping[str, str] | None = None,
        base: str = _BASE,
    ) -> Table:
        """Read the columns of a relation into a table; rows in which every cell is missing are left out.

        Args:
            where: The name of the file or frame, for errors.
            connection: The database.
            relation: The relation, in SQL.
            columns: The SQL expression in the relation, and the type, of each column.
            places: Returns the file and line of a row.
            nested: The types of columns that are not read.
            base: The name of the relation that holds the cells.
        """
        chosen = ", ".join(
            f"{_cell(*column)} as c{i}" for i, column in enumerate(columns.values())
        )
        empty = " and ".join(f"c{i} is null" for i in range(len(columns)))
        connection.execute(
            f"create or replace table {base} as select * from (select {chosen} from {relation}) where not ({empty})"
        )
        stored = {
            name: StoredColumn(f"c{i}", kind)
            for i, (name, (_, kind)) in enumerate(columns.items())
        }
        return cls(where, stored, connection, places, nested or {}, base=base)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.columns)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self._rows("count(*)")[0][0])

    def require(self, name: str) -> StoredColumn:
        """Return a column; raise DataError if it does not exist."""
        if name not in self.columns:
            raise DataError(
                self.where,
                expected=f"a column {name!r}",
                got=f"the columns {listed(self.names)}",
            )
        return self.columns[name]

    def text(self, name: str) -> str:
        """Return the SQL expression of a column as text; integers are written without a fraction."""
        place, kind = self.require(name)
        if kind == TEXT:
            return place
        if kind == NUMBER:
            whole = f"{place} = trunc({place}) and abs({place}) < 1e15"
            integer = f"cast(cast({place} as bigint) as varchar)"
            other = (
                f"case when isnan({place}) then null else cast({place} as varchar) end"
            )
            return f"case when {whole} then {integer} else {other} end"
        return f"cast({place} as varchar)"

    def filter(self, condition: str) -> Table:
        """Return the rows for which an SQL condition holds."""
        both = f"({self.condition}) and ({condition})" if self.condition else condition
        return replace(self, condition=both, _fetched={})

    def slice(self, start: int, stop: int) -> Table:
        """Return the rows with positions start … stop − 1 in the file, of those selected."""
        return self.filter(f"rowid >= {start} and rowid < {stop}")

    def select(self, names: Sequence[str]) -> Table:
        """Return the table with some of its columns."""
        return replace(self, columns={name: self.require(name) for name in names})

    def array(self, expression: str) -> Array:
        """Return an SQL expression for every row; NULL becomes NaN, or None in a text."""
        return _filled(self._query(f"{expression} as value").fetchnumpy()["value"])

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column of numbers; missing cells, and cells of a text column that are no numbers, are NaN."""
        if self.require(name).kind != NUMBER:
            return self.array(self.number(name)).astype(np.float64)
        if name not in self._fetched:
            self._fetch(name)
        return self._fetched[name]

    def _fetch(self, name: str) -> None:
        """Fetch a column of numbers; of a small table, all of them in one query."""
        numeric = [other for other, (_, kind) in self.columns.items() if kind == NUMBER]
        small = self.n_rows * len(numeric) <= self.limit
        chosen = numeric if small else [name]
        self._fetched.clear()
        places = ", ".join(
            f"{self.columns[n].place} as v{i}" for i, n in enumerate(chosen)
        )
        found = self._query(places).fetchnumpy()
        for i, column in enumerate(chosen):
            self._fetched[column] = _filled(found[f"v{i}"]).astype(np.float64)

    def number(self, name: str) -> str:
        """Return the SQL expression of a column as numbers; NULL where a text is not a finite number."""
        place, kind = self.require(name)
        return place if kind == NUMBER else as_number(place)

    def levels(self, name: str) -> dict[str, int]:
        """Return the distinct texts of a column in order, and how often they occur."""
        text = self.text(name)
        rows = self._rows(f"{text}, count(*)", f"{text} is not null", "group by 1")
        return dict(sorted((str(level), int(count)) for level, count in rows))

    def codes(self, name: str, levels: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return for every row the index of its text among the levels: −1 for another, −2 for a missing cell."""
        text = self.text(name)
        if not levels:
            return self.array(f"case when {text} is null then -2 else -1 end").astype(
                np.int64
            )
        listed_ = ", ".join(map(literal, levels))
        code = f"coalesce(cast(enum_code(try_cast({text} as enum({listed_}))) as integer), -1)"
        found = self.array(f"case when {text} is null then -2 else {code} end")
        return found.astype(np.int64)

    def sample(self, name: str, most: int = 1000) -> list[str]:
        """Return distinct texts of a column: at most ``most``, drawn from all rows, in the order of the rows."""
        text = self.text(name)
        drawn = f"group by 1 order by hash(v), v limit {most}"
        rows = self._rows(f"{text} as v, min(rowid)", f"{text} is not null", drawn)
        return [str(value) for value, _ in sorted(rows, key=lambda row: int(row[1]))]

    def values(self, *expressions: str) -> tuple[Any, ...]:
        """Return aggregates, in SQL, over all rows."""
        return tuple(self._rows(", ".join(expressions))[0])

    def count(self, condition: str) -> int:
        """Return the number of rows for which an SQL condition holds."""
        return int(self._rows("count(*)", condition)[0][0])

    def first(self, condition: str) -> int | None:
        """Return the position in the file of the first row for which an SQL condition holds."""
        found = self._rows("min(rowid)", condition)[0][0]
        return None if found is None else int(found)

    def place(self, position: int) -> str:
        """Return the file and line of the row at a position in the file.

        >>> Table.of({"a": [1.0]}, "frame").place(0)
        'frame row 1'
        """
        if self.places is None:
            return f"{self.where} row {position + 1}"
        return self.places(position)

    def keep_folder(self, folder: Path) -> None:
        """Close the database and remove a folder as soon as the table is no longer used."""
        weakref.finalize(self, discard, self.connection, folder)

    def _rows(self, chosen: str, condition: str = "", rest: str = "") -> list[Any]:
        return list(self._query(chosen, condition, rest).fetchall())

    def _query(self, chosen: str, condition: str = "", rest: str = "") -> Any:
        both = " and ".join(f"({c})" for c in (self.condition, condition) if c)
        where = f" where {both}" if both else ""
        return self.connection.execute(
            f"select {chosen} from {self.base}{where} {rest}"
        )


def stacked(parts: Sequence[Table], where: str) -> Table:
    """Return the rows of tables with the same columns in one database, one table below the other.

    A column whose types differ becomes text.

    >>> part = Table.of({"a": [1.0]})
    >>> stacked([part, part], "both").numbers("a").tolist()
    [1.0, 1.0]
    """
    first, connection = parts[0], parts[0].connection
    kinds = {
        name: kind if all(p.columns[name].kind == kind for p in parts) else TEXT
        for name, (_, kind) in first.columns.items()
    }
    selects = []
    for part in parts:
        cells = [
            part.text(name) if kind == TEXT else part.columns[name].place
            for name, kind in kinds.items()
        ]
        chosen = ", ".join(f"{cell} as s{i}" for i, cell in enumerate(cells))
        selects.append(f"select {chosen} from {part.base}")
    columns = {
        name: StoredColumn(f"s{i}", kind)
        for i, (name, kind) in enumerate(kinds.items())
    }
    starts = list(accumulate((part.n_rows for part in parts), initial=0))

    def place(position: int) -> str:
        index = bisect_right(starts, position) - 1
        return parts[index].place(position - starts[index])

    return Table.create(
        where, connection, f"({' union all '.join(selects)})", columns, place
    )


def as_number(column: str) -> str:
    """Return the SQL expression of a text column as numbers; NULL where a text is not a finite number.

    >>> connect().execute(f"select {as_number('v')} from (values ('1.5'), ('x'), ('1_0'), ('inf')) t(v)").fetchall()
    [(1.5,), (None,), (None,), (None,)]
    """
    number = f"try_cast({column} as double)"
    return f"case when contains({column}, '_') or not isfinite({number}) then null else {number} end"


def _cell(expression: str, kind: str) -> str:
    """Return the SQL expression of a cell: stripped texts, NULL for empty ones; numbers and times."""
    if kind == TEXT:
        return f"nullif(trim(cast({expression} as varchar), {literal(_BLANKS)}), '')"
    if kind == NUMBER:
        return f"cast({expression} as double)"
    return f"cast({expression} as timestamp)"


_BLANKS = " \t\r\n\v\f\u00a0\u2007\u202f\u3000"


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, (int, float)) for value in values)


def _filled(found: Any) -> Array:
    """Return an array with NaN or None in the place of masked values."""
    mask: npt.NDArray[np.bool_] = np.ma.getmaskarray(found)
    values: Array = np.ma.getdata(found)
    if not mask.any():
        return values
    missing = np.nan if values.dtype.kind == "f" else None
    result: Array = values if missing is not None else values.astype(object)
    result[mask] = missing
    return result


def on_disk() -> tuple[Any, Path]:
    """Return a connection to a new database in a temporary folder, and the folder.

    >>> connection, folder = on_disk()
    >>> (folder / "table.duckdb").exists()
    True
    >>> discard(connection, folder)
    """
    folder = Path(mkdtemp(prefix="deltarule-"))
    return connect(str(folder / "table.duckdb")), folder


def discard(connection: Any, folder: Path) -> None:
    """Close a database and remove its folder.

    >>> connection, folder = on_disk()
    >>> discard(connection, folder)
    >>> folder.exists()
    False
    """
    connection.close()
    shutil.rmtree(folder, ignore_errors=True)
