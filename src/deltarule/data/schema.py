"""Schemas: the encoding of table columns as features, learned from one file and applied to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.columns.column_types import Kind, learn_column
from deltarule.data.columns.encodings import Column
from deltarule.data.columns.table import NUMBER, Table
from deltarule.errors import DataError
from deltarule.render.numbers import counted
from deltarule.visible import shown

__all__ = ["TableSchema"]


@dataclass(frozen=True)
class TableSchema:
    """The feature columns in order and the name of the target: the encoding of a table.

    Args:
        columns: The feature columns.
        target: The name of the target column.

    >>> table = Table.of({"size": [1, 2], "colour": ["red", "blue"], "y": [0, 1]})
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
        cls,
        table: Table,
        target: str,
        categorical: Sequence[str] = (),
        kinds: Mapping[str, Kind] | None = None,
        formats: Mapping[str, str] | None = None,
    ) -> TableSchema:
        """Return the schema of a table.

        Args:
            table: The training data.
            target: The name of the target column.
            categorical: Columns of categories, also if they hold numbers.
            kinds: The types of further columns; the others are inferred.
            formats: The formats of columns of dates.

        Raises:
            DataError: A column does not exist or does not have the type named, or there is none beside the target.
        """
        chosen: dict[str, Kind] = {
            **(kinds or {}),
            **dict.fromkeys(categorical, "category"),
        }
        chosen |= dict.fromkeys(formats or {}, "date")
        for name in (target, *chosen):
            table.require(name)
        learned = [
            learn_column(table, name, chosen.get(name), (formats or {}).get(name))
            for name in table.names
            if name != target
        ]
        columns = tuple(column for column in learned if column is not None)
        if not columns:
            beside = [name for name in table.names if name != target]
            raise DataError(
                table.where,
                expected="at least one column with features beside the target",
                got=f"only {target!r}" if not beside else "none that can be used",
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

    def describe(self) -> str:
        """Return the columns with their types and ranges, for the data card.

        >>> table = Table.of({"size": [1, 2, None], "colour": ["red", "blue", "red"], "y": [0, 1, 0]})
        >>> TableSchema.learn(table, target="y").describe()
        '2 columns as 4 features: size (number 1 … 2, some missing), colour (category blue, red)'
        """
        parts = [
            f"{shown(column.name)} ({column.kind} {column.describe()}"
            + (", some missing)" if column.has_missing else ")")
            for column in self.columns
        ]
        features = counted(len(self.feature_names), "feature")
        return f"{counted(len(parts), 'column')} as {features}: {', '.join(parts)}"

    def encode(self, table: Table) -> npt.NDArray[np.float32]:
        """Return the features of a table, (N, features); columns are matched by name, others are ignored.

        Missing cells become the median of the training data, unknown categories no category, both with a
        ``DataWarning`` where the training data had none.

        Raises:
            DataError: A column is missing, or float32 does not hold a number.
        """
        for column in self.columns:
            table.require(column.name)
        features = np.empty((table.n_rows, len(self.feature_names)), np.float32)
        start = 0
        for column in self.columns:
            exact = column.encode(table)
            part = features[:, start : start + exact.shape[1]]
            with np.errstate(over="ignore"):
                part[...] = exact
            if not np.isfinite(part).all():
                self._refuse(table, column, exact, part)
            start += exact.shape[1]
        return features

    @staticmethod
    def _refuse(
        table: Table,
        column: Column,
        exact: npt.NDArray[np.float64],
        part: npt.NDArray[np.float32],
    ) -> None:
        row, feature = (int(i) for i in np.argwhere(~np.isfinite(part))[0])
        value = float(exact[row, feature])
        same = f"{table.number(column.name)} = {value!r}"
        position = None if np.isinf(value) else table.first(same)
        raise DataError(
            table.where if position is None else table.place(position),
            expected=f"a number that float32 holds, up to 3.4e38, in column {column.name!r}",
            got=f"{value:.6g}",
            hint="Choose a larger unit, or take the logarithm.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file."""
        return {
            "columns": [column.to_dict() for column in self.columns],
            "target": self.target,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TableSchema:
        """Return the schema of ``to_dict``."""
        columns = tuple(Column.from_dict(one) for one in plain["columns"])
        return cls(columns, plain["target"])


def is_numeric(table: Table, name: str) -> bool:
    """Return whether more than half of the cells of a column are numbers.

    >>> is_numeric(Table.of({"a": ["1", "2", "?"]}), "a")
    True
    """
    if table.require(name).kind == NUMBER:
        return True
    numeric, present = table.values(
        f"count({table.number(name)})", f"count({table.text(name)})"
    )
    return bool(2 * numeric > present)


def target_numbers(table: Table, name: str) -> npt.NDArray[np.float64]:
    """Return the target column as numbers, (N,); raise DataError for a cell that is none.

    >>> target_numbers(Table.of({"size": ["1", "2"]}), "size").tolist()
    [1.0, 2.0]
    """
    values = table.numbers(name)
    if np.isfinite(values).all():
        return values
    number, text = table.number(name), table.text(name)
    position = table.first(f"{number} is null or not isfinite({number})")
    at = 0 if position is None else position
    (cell,) = table.slice(at, at + 1).values(f"any_value({text})")
    raise DataError(
        table.where if position is None else table.place(position),
        expected=f"a number in column {name!r}",
        got=repr(cell),
        hint=f"Correct the cell, or read the column as categories: categorical=[{name!r}].",
    )


check_calls(__name__)
