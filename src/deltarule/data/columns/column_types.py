"""Inference of column types: number, boolean, category, date, text or identifier."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from deltarule.data.columns.dates import TIME_OF_DAY, find_date_format, seconds
from deltarule.data.columns.encodings import (
    BooleanColumn,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    TextColumn,
    numbers,
)
from deltarule.data.columns.number_format import (
    MISSING_NUMBERS,
    NumberFormat,
    find_format,
)
from deltarule.data.columns.table import NUMBER, TIME, Table
from deltarule.errors import DataError, DataWarning, user_level

Kind = Literal["number", "category", "date", "text"]
_BOOLEANS = (
    ("false", "true"),
    ("no", "yes"),
    ("f", "t"),
    ("n", "y"),
    ("off", "on"),
)
_MANY = 20  # categories from which on rare ones are merged
_MOST = 255  # categories with features of their own
_RARE = 5  # rows from which on a category is not rare
_WORDS = 4  # words of a text, on average
_DAY = 86_400
_IDENTIFIER = re.compile(
    r"(?:.*[_\W])?(?i:id|idx|index|key|uuid|guid|row|rowid|row ?names?|row labels|nr|no|num)"
    r"|.*[a-z](?:I[dD]|Idx|Index|Key|No|Nr)|(?i:unnamed: ?\d+)"
)


def learn_column(
    table: Table, name: str, kind: Kind | None = None, form: str | None = None
) -> Column | None:
    """Return the encoding of a column; None for one that identifies rows, which is left out with a warning.

    A column of text is one of numbers if 95 % of its cells are written as numbers in one notation, or more than half
    of them in the usual one. It is one of dates if 95 % of its cells have one date format; of identifiers if its words
    differ in all rows; of texts if they have four words or more on average and mostly differ; else of categories.

    Args:
        table: The training data.
        name: The name of the column.
        kind: The type; inferred by default.
        form: The format of dates.

    >>> learn_column(Table.of({"size": ["1", "n/a", "3"]}), "size").feature_names
    ('size', 'size (missing)')
    >>> learn_column(Table.of({"c": ["red", "blue"]}), "c").feature_names
    ('c=blue', 'c=red')
    """
    stored = table.require(name).kind
    if stored == TIME and kind in {None, "date"}:
        return _date(table, name, "")
    if stored == NUMBER and kind in {None, "number"}:
        return _identifier_or_number(table, name, kind)
    if kind == "category":
        return _category(table, name, table.levels(name), merge=False)
    cells = table.sample(name)
    if kind == "text":
        return TextColumn(name)
    if kind in {None, "number"}:
        notation = _notation(table, name, cells, required=kind == "number")
        if notation is not None:
            return _number(table, name, notation)
    if kind in {None, "date"}:
        found = (form, False) if form is not None else find_date_format(cells)
        if found is not None:
            if found[1]:
                _warn_order(table, name, found[0], cells[0])
            if kind is None or not _is_empty(table, name, found[0]):
                return _date(table, name, found[0])
        if kind == "date":
            raise DataError(
                f"{table.where}, column {name!r}",
                expected="dates in one format",
                got=repr(cells[0]) if cells else "no cells",
                hint="Name the format as strftime writes it, such as %d.%m.%Y.",
            )
    return _words(table, name, cells)


def _notation(
    table: Table, name: str, cells: Sequence[str], *, required: bool
) -> NumberFormat | None:
    """Return how the numbers of a text column are written; None if it is no column of numbers."""
    coded = [c for c in cells if re.fullmatch(r"0\d+", c)]
    if coded and not required and len(coded) * 2 > len(cells):
        return None  # codes such as 007: a number would lose their zeros
    present = [c for c in cells if c.lower() not in MISSING_NUMBERS]
    plain = sum(NumberFormat().parse(c) is not None for c in present)
    found = find_format(cells, comma=_has_commas(cells))
    if found is None and plain * 2 > len(present) > 0:
        return NumberFormat()
    if found is None and required:
        raise DataError(
            f"{table.where}, column {name!r}",
            expected="numbers",
            got=repr(cells[0]) if cells else "no cells",
        )
    return found


def _has_commas(cells: Sequence[str]) -> bool:
    """Return whether a comma is a decimal sign: a cell has one with other than three digits behind it."""
    return any(re.search(r",(\d{1,2}|\d{4,})\D*$", cell) for cell in cells) and not any(
        re.search(r",\d{3}(?!\d)", cell) and "." in cell for cell in cells
    )


def _identifier_or_number(table: Table, name: str, kind: Kind | None) -> Column | None:
    """Return a column of numbers; None if it counts the rows and its name says so."""
    if kind is None and _IDENTIFIER.fullmatch(name):
        values = table.numbers(name)
        steps = np.diff(values)
        unnamed = name.lower().startswith(("row labels", "unnamed"))
        consecutive = len(values) > 1 and bool((steps == 1).all())
        if consecutive or _distinct_integers(values, 2 if unnamed else _MANY):
            _warn_identifier(table, name, "numbers the rows")
            return None
    return _number(table, name, NumberFormat())


def _distinct_integers(values: npt.NDArray[np.float64], least: int) -> bool:
    if len(values) < least or not (values == np.floor(values)).all():
        return False
    return len(np.unique(values)) == len(values)


def _number(table: Table, name: str, notation: NumberFormat) -> Column | None:
    """Return a column of numbers with its median and range; None if every cell is missing."""
    values = numbers(table, name, notation)
    known = values[np.isfinite(values)]
    if not len(known):
        _warn_empty(table, name)
        return None
    return NumberColumn(
        name,
        notation,
        float(np.median(known)),
        float(known.min()),
        float(known.max()),
        bool(np.isnan(values).any()),
    )


def _is_empty(table: Table, name: str, form: str) -> bool:
    """Return whether no cell is a date in a format."""
    return bool(np.isnan(seconds(table, name, form)).all())


def _date(table: Table, name: str, form: str) -> Column | None:
    """Return a column of dates with its range; None if every cell is missing."""
    moments = seconds(table, name, form)
    known = moments[np.isfinite(moments)]
    if not len(known):
        _warn_empty(table, name)
        return None
    return DateColumn(
        name,
        form,
        float(known.min()),
        float(known.max()),
        float(np.sort(known)[len(known) // 2]),
        bool((known % _DAY != 0).any()) or form in TIME_OF_DAY,
        len(known) < len(moments),
    )


def _words(table: Table, name: str, cells: Sequence[str]) -> Column | None:
    """Return a column of booleans, categories or texts; None for identifiers and empty columns."""
    levels = table.levels(name)
    n_rows = sum(levels.values())
    if all(level.lower() in MISSING_NUMBERS for level in levels):
        _warn_empty(table, name)
        return None
    lowered = {level.lower(): level for level in levels}
    for pair in _BOOLEANS:
        if set(lowered) == set(pair) and len(levels) == 2:
            ordered = (lowered[pair[0]], lowered[pair[1]])
            return BooleanColumn(name, ordered, missing=n_rows < table.n_rows)
    words = sum(len(cell.split()) for cell in cells) / len(cells)
    if len(levels) > _MANY and 2 * len(levels) > n_rows and words >= _WORDS:
        return TextColumn(name)
    if len(levels) == n_rows > _MANY:
        _warn_identifier(table, name, "has another text in each row")
        return None
    return _category(table, name, levels, merge=True)


def _category(
    table: Table, name: str, levels: Mapping[str, int], *, merge: bool
) -> Column | None:
    """Return a column of categories; of many, rare ones are merged."""
    n_rows = table.n_rows
    missing = sum(levels.values()) < n_rows
    if not merge or len(levels) <= _MANY:
        return CategoryColumn(name, tuple(levels), missing=missing)
    frequent = sorted(
        (level for level, count in levels.items() if count >= _RARE),
        key=lambda level: (-levels[level], level),
    )[:_MOST]
    if not frequent:
        _warn_identifier(
            table, name, f"has {len(levels)} texts, none of them in {_RARE} rows"
        )
        return None
    kept = tuple(sorted(frequent))
    return CategoryColumn(name, kept, other=len(kept) < len(levels), missing=missing)


def _warn_identifier(table: Table, name: str, why: str) -> None:
    warnings.warn(
        f"{table.where}: column {name!r} {why}, like an identifier, and is left out; "
        f"categorical=[{name!r}] makes it a feature",
        DataWarning,
        stacklevel=user_level(),
    )


def _warn_empty(table: Table, name: str) -> None:
    warnings.warn(
        f"{table.where}: column {name!r} has no values and is left out",
        DataWarning,
        stacklevel=user_level(),
    )


def _warn_order(table: Table, name: str, form: str, cell: str) -> None:
    order = "month, day" if form.index("%m") < form.index("%d") else "day, month"
    warnings.warn(
        f"{table.where}: the dates of column {name!r} are read as {order} ({cell}); name their format if that is "
        "wrong",
        DataWarning,
        stacklevel=user_level(),
    )
