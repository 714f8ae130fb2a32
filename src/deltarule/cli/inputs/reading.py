"""How a table is read, as options of the command line say it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltarule.errors import ArgumentError

if TYPE_CHECKING:
    from deltarule.data.dataset import Task


@dataclass(frozen=True)
class TableOptions:
    """How a file is to be read, as the command line says it; what is not given the file decides."""

    target: str | None = None
    task: Task | None = None
    header: bool | None = None
    ignore: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    drop_missing: bool = False

    def flags(self) -> list[str]:
        """Return the words of the command line that say this again."""
        named = [("--target", self.target), ("--task", self.task)]
        words = [
            word for flag, value in named if value is not None for word in (flag, value)
        ]
        words += (
            []
            if self.header is None
            else ["--header" if self.header else "--no-header"]
        )
        lists = (("--ignore", self.ignore), ("--categorical", self.categorical))
        words += [
            word
            for flag, names in lists
            for name in names
            for word in (flag, quoted(name))
        ]
        return words + ["--drop-missing"] * self.drop_missing

    def require_table(self, what: str, *, but: Sequence[str] = ()) -> None:
        """Raise ArgumentError at the first option that only a table has; ``but`` are those that others have too."""
        for flag in self.flags():
            if flag.startswith("--") and flag not in but:
                expected = (
                    "a file"
                    if flag in {"--target", "--task"}
                    else "a CSV or Parquet file"
                )
                raise ArgumentError(flag, expected=expected, got=what)


DEFAULTS = TableOptions()


def column_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns: an option may be repeated or list several, and quotes keep a comma in a name.

    >>> column_names(["id,name", '"a,b"'])
    ('id', 'name', 'a,b')
    """
    return tuple(
        name.strip()
        for text in given
        for name in next(csv.reader([text], skipinitialspace=True), [])
    )


def quoted(name: str) -> str:
    """Return a name as ``column_names`` reads it."""
    return (
        '"' + name.replace('"', '""') + '"'
        if any(letter in name for letter in ',"')
        else name
    )
