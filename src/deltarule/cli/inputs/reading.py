"""Options of the command line for reading tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deltarule.errors import ArgumentError

if TYPE_CHECKING:
    from deltarule.data.dataset import Task


@dataclass(frozen=True)
class TableOptions:
    """Options for reading a table; those not given are detected from the file.

    >>> TableOptions(target="price", ignore=("id",)).flags()
    ['--target', 'price', '--ignore', 'id']
    """

    target: str | None = None
    task: Task | None = None
    header: bool | None = None
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    dates: tuple[tuple[str, str], ...] = ()
    separator: str | None = None
    encoding: str | None = None
    drop_missing: bool = False
    sql: str | None = None

    def flags(self) -> list[str]:
        """Return the command-line arguments for these options."""
        named = [
            ("--sql", self.sql),
            ("--target", self.target),
            ("--task", self.task),
            ("--separator", self.separator),
            ("--encoding", self.encoding),
        ]
        words = [
            word for flag, value in named if value is not None for word in (flag, value)
        ]
        words += (
            []
            if self.header is None
            else ["--header" if self.header else "--no-header"]
        )
        dates = [f"{name}={form}" if form else name for name, form in self.dates]
        lists = (
            ("--ignore", self.ignore),
            ("--categorical", self.categorical),
            ("--numeric", self.numeric),
            ("--text", self.text),
            ("--date", dates),
        )
        words += [
            word
            for flag, names in lists
            for name in names
            for word in (flag, quoted(name))
        ]
        return words + ["--drop-missing"] * self.drop_missing

    def require_table(self, what: str, *, but: Sequence[str] = ()) -> None:
        """Raise ArgumentError if an option is given that applies to tables only; ``but`` lists exceptions."""
        for flag in self.flags():
            if flag.startswith("--") and flag not in but:
                expected = "a file" if flag in {"--target", "--task"} else "a table"
                raise ArgumentError(flag, expected=expected, got=what)


DEFAULTS = TableOptions()


def column_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return the column names of a repeatable, comma-separated option; names with commas are quoted.

    >>> column_names(["id,name", '"a,b"'])
    ('id', 'name', 'a,b')
    """
    return tuple(
        name.strip()
        for text in given
        for name in next(csv.reader([text], skipinitialspace=True), [])
    )


def data_name(source: str) -> str:
    """Return the name of a file without its ending; the characters of a pattern become underscores.

    >>> data_name("folder/new.csv"), data_name("sales-*.csv")
    ('new', 'sales-_')
    """
    return re.sub(r"[*?\[\]]+", "_", Path(source).stem)


def dated_columns(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the columns of ``--date`` and their formats; "" for a format that is detected.

    >>> dated_columns(["born=%d.%m.%Y", "died"])
    (('born', '%d.%m.%Y'), ('died', ''))
    """
    parts = [name.partition("=") for name in column_names(given)]
    return tuple((name, form) for name, _, form in parts)


def quoted(name: str) -> str:
    """Return a column name, quoted for ``column_names`` if necessary.

    >>> quoted("a,b")
    '"a,b"'
    """
    return (
        '"' + name.replace('"', '""') + '"'
        if any(letter in name for letter in ',"')
        else name
    )
