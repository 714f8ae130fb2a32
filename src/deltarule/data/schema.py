"""Schemas: the encoding of table columns as features, learned from one file and applied to others."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import DataError, DataWarning
from deltarule.visible import listed

__all__ = ["TableSchema"]

MISSING = frozenset({"", "na", "n/a", "nan", "null", "?"})  # compared in lower case
_MANY = 20  # categories from which on a text column gives a warning


@dataclass(frozen=True)
class RawTable:
    """The cells of a table as text.

    Attributes:
        where: The name of the file, for errors.
        cells: The cells by column name.
        lines: The line number of each row.
        unit: What ``lines`` counts: "line" or "row".
        nested: The types of columns that are neither numbers nor text; they are not read.

    >>> RawTable("t.csv", {"size": ["1", "2"]}, [2, 3]).place(1)
    't.csv line 3'
    """

    where: str
    cells: Mapping[str, Sequence[str]]
    lines: Sequence[int]
    unit: str = "line"
    nested: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.lines)

    def place(self, row: int) -> str:
        """Return the file and line of a row."""
        return f"{self.where} {self.unit} {self.lines[row]}"

    def require(self, name: str) -> Sequence[str]:
        """Return a column; raise DataError if it does not exist."""
        if name not in self.cells:
            raise DataError(
                self.where,
                expected=f"a column {name!r}",
                got=f"the columns {listed(self.cells)}",
            )
        return self.cells[name]


@dataclass(frozen=True)
class Column:
    """A column of numbers, or of text with its sorted categories.

    >>> Column("colour", ("blue", "red")).feature_names
    ('colour=blue', 'colour=red')
    """

    name: str
    categories: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name, or one ``name=category`` for each category."""
        if not self.categories:
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories)

    def encode(self, table: RawTable) -> npt.NDArray[np.float64]:
        """Return the column as numbers (N, 1), or as one-hot rows (N, categories)."""
        cells = table.require(self.name)
        if not self.categories:
            values = [
                [_number(cell, table, self.name, row)] for row, cell in enumerate(cells)
            ]
            return np.array(values, np.float64)
        known = {category: index for index, category in enumerate(self.categories)}
        rows = np.zeros((len(cells), len(known)))
        for row, cell in enumerate(cells):
            if cell not in known:
                raise DataError(
                    table.place(row),
                    expected=f"one of {_listed(self.categories)} in column {self.name!r}",
                    got=repr(cell),
                    hint="The model has not seen this category.",
                )
            rows[row, known[cell]] = 1.0
        return rows


@dataclass(frozen=True)
class TableSchema:
    """The feature columns in order and the name of the target: the encoding of a table.

    Args:
        columns: The feature columns.
        target: The name of the target column.

    >>> table = RawTable("t.csv", {"size": ["1", "2"], "colour": ["red", "blue"], "y": ["0", "1"]}, [2, 3])
    >>> schema = TableSchema.learn(table, target="y")
    >>> schema.feature_names
    ('size', 'colour=blue', 'colour=red')
    >>> schema.encode(table).tolist()
    [[1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]
    """

    columns: tuple[Column, ...]
    target: str

    @classmethod
    def learn(
        cls, table: RawTable, target: str, categorical: Sequence[str] = ()
    ) -> TableSchema:
        """Return the schema of a table.

        A column is numeric if more than half of its cells are numbers (other cells are then
        errors), unless it is named in ``categorical``.
        """
        table.require(target)
        for name in categorical:
            table.require(name)
        columns = tuple(
            Column(name)
            if name not in categorical and is_numeric(cells)
            else _categories(name, cells)
            for name, cells in table.cells.items()
            if name != target
        )
        if not columns:
            raise DataError(
                table.where,
                expected="at least one column beside the target",
                got=f"only {target!r}",
            )
        return cls(columns, target)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the feature columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in order."""
        return tuple(name for column in self.columns for name in column.feature_names)

    def encode(self, table: RawTable) -> npt.NDArray[np.float32]:
        """Return the features of a table, (N, features); columns are matched by name, others are ignored."""
        exact = np.concatenate(
            [column.encode(table) for column in self.columns], axis=1
        )
        with np.errstate(over="ignore"):
            single = exact.astype(np.float32)
        if not np.isfinite(single).all():
            row, feature = (int(i) for i in np.argwhere(~np.isfinite(single))[0])
            raise DataError(
                table.place(row),
                expected=f"a number that float32 holds, up to 3.4e38, in column "
                f"{self.feature_names[feature]!r}",
                got=f"{exact[row, feature]:.6g}",
                hint="Choose a larger unit, or take the logarithm.",
            )
        return single

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file."""
        columns = [
            {"name": column.name, "categories": list(column.categories)}
            for column in self.columns
        ]
        return {"columns": columns, "target": self.target}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TableSchema:
        """Return the schema of ``to_dict``."""
        columns = tuple(
            Column(one["name"], tuple(one["categories"])) for one in plain["columns"]
        )
        return cls(columns, plain["target"])


def parsed(cell: str) -> float | None:
    """Return the number in a cell, or None.

    >>> parsed("1.5"), parsed("red"), parsed("nan")
    (1.5, None, None)
    """
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def is_numeric(cells: Sequence[str]) -> bool:
    """Return whether more than half of the cells are numbers.

    >>> is_numeric(["1", "2", "?"])
    True
    """
    return 2 * sum(parsed(cell) is not None for cell in cells) > len(cells)


def _number(cell: str, table: RawTable, name: str, row: int) -> float:
    value = parsed(cell)
    if value is None:
        raise DataError(
            table.place(row),
            expected=f"a number in column {name!r}",
            got=repr(cell),
            hint=f"Correct the cell, or read the column as categories: categorical=[{name!r}].",
        )
    return value


def numbers(table: RawTable, name: str) -> npt.NDArray[np.float64]:
    """Return a column as numbers, (N,).

    >>> numbers(RawTable("t.csv", {"size": ["1", "2"]}, [2, 3]), "size").tolist()
    [1.0, 2.0]
    """
    return Column(name).encode(table)[:, 0]


def _categories(name: str, cells: Sequence[str]) -> Column:
    categories = tuple(sorted(set(cells)))
    if len(categories) > max(_MANY, len(cells) // 4):
        warnings.warn(
            f"column {name!r} holds {len(categories)} different texts in {len(cells)} rows, which become as many "
            f"features: leave it out with ignore=[{name!r}] if it is a name or a number of a record",
            DataWarning,
            stacklevel=4,
        )
    return Column(name, categories)


def _listed(names: Sequence[str], most: int = 8) -> str:
    return listed(names[:most]) + (
        f" … ({len(names)} in all)" if len(names) > most else ""
    )


check_calls(__name__)
