"""Encodings of table columns as features: numbers, booleans, categories, dates and texts."""

from __future__ import annotations

import itertools
import re
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from deltarule.data.columns.dates import TIME_OF_DAY, date_features, seconds
from deltarule.data.columns.number_format import MISSING_NUMBERS, PLAIN, NumberFormat
from deltarule.data.columns.table import NUMBER, TEXT, Table, literal
from deltarule.errors import DataWarning, user_level
from deltarule.render.numbers import counted, number
from deltarule.visible import listed

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
OTHER, MISSING = "(other)", "(missing)"  # levels of rare and of missing categories
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Column(ABC):
    """The encoding of a column: its features, and what is known of it from the training data.

    Attributes:
        name: The name of the column.
    """

    kind: ClassVar[str] = ""
    name: str

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""

    @abstractmethod
    def encode(self, table: Table) -> Array:
        """Return the features, (N, features)."""

    @abstractmethod
    def describe(self) -> str:
        """Return what is known of the column, for the data card."""

    @property
    def has_missing(self) -> bool:
        """Whether the training data has missing cells in the column."""
        return bool(getattr(self, "indicator", getattr(self, "missing", False)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            "kind": self.kind,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Column:
        """Return the encoding of ``to_dict``; of files without kinds, numbers and categories."""
        values = dict(plain)
        kind = values.pop("kind", None)
        if kind is None:
            categories = tuple(values.get("categories", ()))
            name = str(values["name"])
            return (
                CategoryColumn(name, categories) if categories else NumberColumn(name)
            )
        if "format" in values and isinstance(values["format"], Mapping):
            values["format"] = NumberFormat.from_dict(values["format"])
        for key, value in values.items():
            values[key] = tuple(value) if isinstance(value, list) else value
        found: Column = _KINDS[kind](**values)
        return found


@dataclass(frozen=True)
class NumberColumn(Column):
    """A column of numbers; a missing one becomes the median, and another feature says so.

    Attributes:
        name: The name of the column.
        format: How the numbers are written.
        median: The value of missing cells.
        low: The smallest number of the training data.
        high: The largest one.
        indicator: Whether a feature says that the cell was missing: if one was, in the training data.

    >>> table = Table.of({"age": [20.0, None]})
    >>> column = NumberColumn("age", median=30.0, indicator=True)
    >>> column.feature_names, column.encode(table).tolist()
    (('age', 'age (missing)'), [[20.0, 0.0], [30.0, 1.0]])
    """

    kind = "number"
    format: NumberFormat = PLAIN
    median: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    indicator: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name, and ``name (missing)`` if there is an indicator."""
        return (self.name, f"{self.name} {MISSING}") if self.indicator else (self.name,)

    def encode(self, table: Table) -> Array:
        """Return the numbers, (N, 1), or with the indicator, (N, 2)."""
        values = self.values(table)
        missing = np.isnan(values)
        filled = np.where(missing, self.median, values)
        self._warn(table, values, missing)
        return np.stack([filled, missing], 1) if self.indicator else filled[:, None]

    def values(self, table: Table) -> Array:
        """Return the numbers, (N,); NaN for missing cells and, with a warning, for cells that are no numbers."""
        values = numbers(table, self.name, self.format)
        warn_unread(table, self.name, np.isnan(values), "a number")
        return values

    def describe(self) -> str:
        """Return the range, and the unit."""
        unit = f" {self.format.unit}" if self.format.unit else ""
        return f"{number(self.low)} … {number(self.high)}{unit}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file."""
        plain = super().to_dict()
        return {
            key: value
            for key, value in {**plain, "format": self.format.to_dict()}.items()
            if value not in (-np.inf, np.inf) and value != {}
        }

    def _warn(self, table: Table, values: Array, missing: Mask) -> None:
        if not self.indicator:
            instead = f"the median {number(self.median)}"
            _warn_missing(table, self.name, missing, instead)
        width = self.high - self.low
        outside = (values < self.low - width) | (values > self.high + width)
        if width > 0 and outside.any():
            one = float(values[outside][0])
            warnings.warn(
                f"{table.where}, column {self.name!r}: {counted(int(outside.sum()), 'number')} far outside of the "
                f"training data, {self.describe()}: {number(one)}"
                + (" …" if outside.sum() > 1 else ""),
                DataWarning,
                stacklevel=user_level(),
            )


@dataclass(frozen=True)
class CategoryColumn(Column):
    """A column of categories as indicators; unknown categories have zeros, or count as rare ones.

    Attributes:
        name: The name of the column.
        categories: The categories.
        other: Whether rare categories, and unknown ones, share an indicator.
        missing: Whether missing cells have an indicator.

    >>> table = Table.of({"colour": ["red", None]})
    >>> column = CategoryColumn("colour", ("blue", "red"), missing=True)
    >>> column.feature_names, column.encode(table).tolist()
    (('colour=blue', 'colour=red', 'colour=(missing)'), [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    """

    kind = "category"
    categories: tuple[str, ...] = ()
    other: bool = False
    missing: bool = False

    @property
    def levels(self) -> tuple[str, ...]:
        """The categories, with those of rare and missing ones."""
        return (
            *self.categories,
            *([OTHER] if self.other else []),
            *([MISSING] if self.missing else []),
        )

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One ``name=category`` for each category."""
        return tuple(f"{self.name}={level}" for level in self.levels)

    def codes(self, table: Table) -> npt.NDArray[np.int64]:
        """Return for each row the index of its level; −1 for none, with a warning."""
        found = table.codes(self.name, self.categories)
        unknown, absent = found == -1, found == -2
        if unknown.any() and not self.other:
            self._warn_unknown(table, int(unknown.sum()))
        if not self.missing:
            _warn_missing(table, self.name, absent, "no category")
        last = len(self.levels) - 1
        found[unknown] = len(self.categories) if self.other else -1
        found[absent] = last if self.missing else -1
        return found

    def encode(self, table: Table) -> Array:
        """Return the indicators, (N, levels)."""
        codes = self.codes(table)
        features = np.zeros((len(codes), len(self.levels)))
        known = np.flatnonzero(codes >= 0)
        features[known, codes[known]] = 1.0
        return features

    def describe(self) -> str:
        """Return the categories."""
        rare = ["rare ones together"] if self.other else []
        return _few([*self.categories, *rare])

    def _warn_unknown(self, table: Table, count: int) -> None:
        text = table.text(self.name)
        known = ", ".join(map(literal, self.categories)) or "''"
        unknown = f"{text} is not null and {text} not in ({known})"
        position = table.first(unknown)
        named = sorted(table.filter(unknown).levels(self.name))
        place = table.where if position is None else table.place(position)
        warnings.warn(
            f"{place}, column {self.name!r}: expected one of {_few(self.categories)}, got {_few(named)}; "
            f"{counted(count, 'cell')} read as no category",
            DataWarning,
            stacklevel=user_level(),
        )


@dataclass(frozen=True)
class BooleanColumn(CategoryColumn):
    """A column of two opposite words as one feature, 1 for the second.

    Attributes:
        name: The name of the column.
        categories: The words for no and yes.
        other: Not used.
        missing: Whether missing cells have an indicator.

    >>> column = BooleanColumn("smoker", ("no", "yes"))
    >>> column.feature_names, column.encode(Table.of({"smoker": ["yes", "no"]})).tolist()
    (('smoker=yes',), [[1.0], [0.0]])
    """

    kind = "boolean"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The name with the second word, and ``name=(missing)`` if there is an indicator."""
        return super().feature_names[1:]

    def encode(self, table: Table) -> Array:
        """Return the indicators of all levels but the first."""
        return super().encode(table)[:, 1:]


@dataclass(frozen=True)
class DateColumn(Column):
    """A column of dates or times: days since the first, year, and month, weekday and hour as cycles.

    Attributes:
        name: The name of the column.
        format: The format of the dates.
        first: The first moment of the training data, in seconds since 1970.
        last: The last one.
        middle: The median, which missing cells become.
        clock: Whether there are times of day.
        indicator: Whether a feature says that the cell was missing.

    >>> column = DateColumn("day", "%d.%m.%Y", first=0.0, last=86400.0, middle=0.0)
    >>> column.feature_names[:3], column.encode(Table.of({"day": ["2.1.1970"]}))[0, :2].tolist()
    (('day days', 'day year', 'day month sin'), [1.0, 1970.0])
    """

    kind = "date"
    format: str = ""
    first: float = 0.0
    last: float = 0.0
    middle: float = 0.0
    clock: bool = False
    indicator: bool = False

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, beginning with that of the column."""
        names = [f"{self.name} {part}" for part in self._features(np.zeros(0))]
        return (*names, f"{self.name} {MISSING}") if self.indicator else tuple(names)

    def encode(self, table: Table) -> Array:
        """Return the features, (N, features)."""
        moments = seconds(table, self.name, self.format)
        missing = np.isnan(moments)
        warn_unread(table, self.name, missing, "a date")
        if not self.indicator:
            _warn_missing(table, self.name, missing, "the median of the training data")
        features = list(
            self._features(np.where(missing, self.middle, moments)).values()
        )
        if self.indicator:
            features.append(missing.astype(np.float64))
        return np.stack(features, 1)

    def describe(self) -> str:
        """Return the first and the last moment."""
        unit = "s" if self.clock else "D"
        if self.format in TIME_OF_DAY:
            return "times of day"
        first, last = (
            str(np.datetime64(int(moment), "s").astype(f"datetime64[{unit}]")).replace(
                "T", " "
            )
            for moment in (self.first, self.last)
        )
        return f"{first} … {last}"

    def _features(self, moments: Array) -> dict[str, Array]:
        date = self.format not in TIME_OF_DAY
        return date_features(
            moments, self.first, clock=self.clock or not date, date=date
        )


@dataclass(frozen=True)
class TextColumn(Column):
    """A column of texts: words and pairs of words hashed into buckets, each row of length 1.

    Reference: Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning.

    Attributes:
        name: The name of the column.
        buckets: The number of features.

    >>> column = TextColumn("review", 8)
    >>> rows = column.encode(Table.of({"review": ["good food", "Good food!", None]}))
    >>> rows.shape, bool((rows[0] == rows[1]).all()), rows[2].tolist() == [0.0] * 8
    ((3, 8), True, True)
    """

    kind = "text"
    buckets: int = 64

    @property
    def feature_names(self) -> tuple[str, ...]:
        """One name for each bucket."""
        return tuple(f"{self.name} #{i}" for i in range(self.buckets))

    def encode(self, table: Table) -> Array:
        """Return the hashed words, (N, buckets)."""
        texts = table.array(table.text(self.name))
        features = np.zeros((len(texts), self.buckets))
        for row, text in enumerate(texts):
            words = _WORD.findall(str(text).lower()) if text is not None else []
            for term in (*words, *map(" ".join, itertools.pairwise(words))):
                hashed = zlib.crc32(term.encode())
                features[row, hashed % self.buckets] += 1 if hashed >> 31 else -1
        length = np.linalg.norm(features, axis=1, keepdims=True)
        return features / np.where(length > 0, length, 1)

    def describe(self) -> str:
        """Return the number of features."""
        return f"words in {self.buckets} buckets"


_KINDS: dict[str, Any] = {
    one.kind: one
    for one in (NumberColumn, CategoryColumn, BooleanColumn, DateColumn, TextColumn)
}


def numbers(table: Table, name: str, form: NumberFormat) -> Array:
    """Return a column as numbers written in a format; NaN where a cell is missing or no number.

    >>> numbers(Table.of({"price": ["$1,200", "-"]}), "price", NumberFormat(thousands=",", affixed=True)).tolist()
    [1200.0, nan]
    """
    if table.require(name).kind == NUMBER or form.is_plain:
        return table.numbers(name)
    found: dict[Any, float] = {None: np.nan}
    values = []
    for text in table.array(table.text(name)):
        if text not in found:
            value = form.parse(str(text))
            found[text] = np.nan if value is None else value
        values.append(found[text])
    return np.array(values, np.float64)


def warn_unread(table: Table, name: str, unread: Mask, what: str) -> None:
    """Warn of cells that can't be read as ``what``, less the texts for missing ones.

    >>> table = Table.of({"a": ["1", "n/a"]})
    >>> warn_unread(table, "a", np.isnan(table.numbers("a")), "a number")  # no warning: n/a is a missing number
    """
    if table.require(name).kind != TEXT or not unread.any():
        return
    text = table.text(name)
    odd = [
        str(cell)
        for cell in table.array(text)[unread]
        if cell is not None and str(cell).lower() not in MISSING_NUMBERS
    ]
    if odd:
        position = table.first(f"{text} = {literal(odd[0])}")
        place = table.where if position is None else table.place(position)
        warnings.warn(
            f"{place}: expected {what} in column {name!r}, got {odd[0]!r}; {counted(len(odd), 'cell')} of the column "
            f"read as missing; categorical=[{name!r}] makes it a column of categories",
            DataWarning,
            stacklevel=user_level(),
        )


def _warn_missing(table: Table, name: str, missing: Mask, instead: str) -> None:
    """Warn of missing cells in a column that has none in the training data."""
    if missing.any():
        warnings.warn(
            f"{table.where}, column {name!r}: {counted(int(missing.sum()), 'missing cell')}, "
            f"where the training data has none, read as {instead}",
            DataWarning,
            stacklevel=user_level(),
        )


def _few(names: Sequence[str], most: int = 8) -> str:
    more = f" … ({len(names)} in all)" if len(names) > most else ""
    return listed(names[:most]) + more
