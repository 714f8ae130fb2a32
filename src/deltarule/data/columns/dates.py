"""Dates and times in tables: the formats they are written in, and their features."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from deltarule.data.columns.table import TIME, Table, connect, literal
from deltarule.errors import ArgumentError

Array = npt.NDArray[np.float64]
ISO = "ISO 8601"  # year-month-day, with or without a time
TIME_OF_DAY = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
_DAY_FIRST = ("%d.%m.%Y", "%d-%m-%Y", "%d/%m/%Y", "%d.%m.%y", "%d/%m/%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_NAMED = (
    "%Y/%m/%d",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%b %Y",
    "%B %Y",
)
_WHOLE = (*TIME_OF_DAY, "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s?(Z|UTC|[-+]\d{2}(:?\d{2})?)?)?"
)
_LOOKS = re.compile(r"[\d:]+[-/.: T]\d+|[A-Za-z]{3,9}\.?\s+\d|\d\s+[A-Za-z]{3,9}")
_SHARE = 0.95  # of the cells that a format has to read
_FEW = 5  # cells that decide whether a format is tried on all
_DAY = 86_400.0


def find_date_format(cells: Sequence[str]) -> tuple[str, bool] | None:
    """Return the format of dates or times, and whether another order of day and month is possible.

    Of two orders, 3/4/2020 is read as month/day, and 3.4.2020 and 3-4-2020 as day and month.

    Args:
        cells: Distinct cells.

    >>> find_date_format(["2020-01-31", "2021-12-01"])
    ('ISO 8601', False)
    >>> find_date_format(["31/01/2020", "03/04/2020"])
    ('%d/%m/%Y', False)
    >>> find_date_format(["01/02/2020", "03/04/2020"])
    ('%m/%d/%Y', True)
    >>> find_date_format(["red", "blue"]) is None
    True
    """
    enough = _SHARE * len(cells)
    if not cells or sum(_LOOKS.search(cell) is not None for cell in cells) < enough:
        return None
    if sum(_ISO.fullmatch(cell) is not None for cell in cells) >= enough:
        return ISO, False
    dates = [
        day + clock
        for day in (*_MONTH_FIRST, *_DAY_FIRST, *_NAMED)
        for clock in _CLOCKS
    ]
    fitting = [
        form
        for form in (*_WHOLE, *dates)
        if any(_reads(cell, form) for cell in cells[:_FEW])
        and sum(_reads(cell, form) for cell in cells) >= enough
    ]
    if not fitting:
        return None
    swapped = _swapped(fitting[0])
    both = swapped != fitting[0] and swapped in fitting
    return (swapped if both and "/" not in fitting[0] else fitting[0]), both


def check_date_format(name: str, form: str) -> None:
    """Raise ArgumentError for a format of dates that can't be read.

    >>> check_date_format("born", "%Q")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: dates of column 'born': expected a format such as %d.%m.%Y, got '%Q'.
    """
    duckdb = importlib.import_module("duckdb")
    try:
        connect().execute(f"select try_strptime('', {literal(form)})")
    except duckdb.Error as error:
        raise ArgumentError(
            f"dates of column {name!r}",
            expected="a format such as %d.%m.%Y",
            got=repr(form),
        ) from error


def seconds(table: Table, name: str, form: str) -> Array:
    """Return a column of dates or times as seconds since 1970 (times of day: since midnight); NaN where missing.

    >>> from deltarule.data.columns.table import Table
    >>> seconds(Table.of({"t": ["1970-01-02", None]}), "t", ISO).tolist()
    [86400.0, nan]
    """
    place, kind = table.require(name)
    if kind == TIME:
        moment = place
    elif form == ISO:
        moment = f"try_cast({place} as timestamp)"
    else:
        moment = f"try_strptime({table.text(name)}, {literal(form)})"
    found = table.array(f"epoch({moment})").astype(np.float64)
    return found % _DAY if form in TIME_OF_DAY else found


def date_features(
    moments: Array, first: float, *, clock: bool, date: bool
) -> dict[str, Array]:
    """Return features of moments: days since the first, year, month, weekday and hour, the last three as cycles.

    Args:
        moments: Seconds since 1970, (N,).
        first: The first moment of the training data.
        clock: Whether the moments have times of day.
        date: Whether the moments have dates.

    >>> features = date_features(np.array([0.0]), 0.0, clock=False, date=True)
    >>> {name: round(float(value[0]), 3) for name, value in features.items()}  # 1 January 1970, a Thursday
    {'days': 0.0, 'year': 1970.0, 'month sin': 0.0, 'month cos': 1.0, 'weekday sin': 0.434, 'weekday cos': -0.901}
    """
    features: dict[str, Array] = {}
    if date:
        days = np.floor(moments / _DAY)
        known = np.isfinite(days)
        calendar = np.where(known, days, 0).astype("datetime64[D]")
        months = calendar.astype("datetime64[M]").astype(np.int64)
        features["days"] = (moments - first) / _DAY
        features["year"] = np.where(known, 1970.0 + months // 12, np.nan)
        features |= _cycle("month", np.where(known, months % 12, np.nan), 12)
        features |= _cycle("weekday", np.where(known, (days + 3) % 7, np.nan), 7)
    if clock:
        features |= _cycle("hour", moments % _DAY / 3600, 24)
    return features


def _cycle(name: str, values: Array, period: float) -> dict[str, Array]:
    angle = 2 * np.pi * values / period
    return {f"{name} sin": np.sin(angle), f"{name} cos": np.cos(angle)}


def _reads(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)  # only whether it fits
    except ValueError:
        return False
    return True


def _swapped(form: str) -> str:
    """Return a format with day and month exchanged.

    >>> _swapped("%d/%m/%Y")
    '%m/%d/%Y'
    """
    return form.replace("%d", "\\0").replace("%m", "%d").replace("\\0", "%m")
