"""Detection of the header line of a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from deltarule.data.columns.number_format import parsed

PEEKED = 1000  # rows below the first line that are examined
_ENOUGH = 5  # rows needed to know how the numbers of a column are written
_FIRST_YEAR, _LAST_YEAR = 1000, 2999


class Header(NamedTuple):
    """The result of header detection.

    Attributes:
        named: Whether the first line contains the names of the columns.
        certain: Whether there is no doubt about it.
        why: The reason.

    >>> find_header(["a", "b"], [["1", "2"]])
    Header(named=True, certain=True, why='holds no number')
    """

    named: bool
    certain: bool
    why: str


def find_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> Header:
    """Decide from the first line and the rows below it whether it is a header.

    A header is assumed, as in pandas, unless there is evidence against it. A line without a
    number is a header, and so is one with text above a column of numbers. Other lines are data
    if a cell occurs twice, a text recurs below, or the numbers are not plausible names.
    Plausible names increase from left to right and have equal differences (0, 1, 2), are years,
    or lie outside the range of their columns; in another order they are integers, each outside
    the range of its column (2010, 2000, 1990 above fractions). Integers above columns that are
    all written with a decimal point are names too.

    Args:
        first: The cells of the first line.
        rows: The cells of the rows below it.

    >>> find_header(["country", "1990", "2000"], [["Chile", "0.3", "0.4"]]).named
    True
    >>> find_header(["5.1", "3.5", "setosa"], [["4.9", "3.0", "setosa"]]).named
    False
    """
    values = [parsed(cell) for cell in first]
    below = [[row[i] for row in rows if i < len(row)] for i in range(len(first))]
    numbers = [value for value in values if value is not None]
    texts = [i for i, value in enumerate(values) if value is None and first[i] != ""]
    if not numbers:
        return Header(named=True, certain=True, why="holds no number")
    if len(set(first)) < len(first):
        return Header(named=False, certain=True, why="holds a cell twice")
    if any(_mostly_numbers(below[i]) for i in texts):
        return Header(named=True, certain=True, why="holds a text above numbers")
    if any(first[i] in below[i] for i in texts):
        return Header(
            named=False, certain=True, why="holds a text that comes again below"
        )
    above = [i for i, value in enumerate(values) if value is not None]
    columns = [below[i] for i in above]
    if (
        len(above) > 1
        and not any("." in first[i] for i in above)
        and all(map(_with_points, columns))
    ):
        return Header(
            named=True, certain=False, why="holds whole numbers above decimal ones"
        )
    if _labels(numbers, columns):
        return Header(
            named=True, certain=False, why="holds numbers that read as labels"
        )
    return Header(named=False, certain=False, why="holds numbers that are no labels")


def _with_points(cells: Sequence[str]) -> bool:
    """Return whether most cells are numbers, all of them written with a decimal point."""
    numbers = [cell for cell in cells if parsed(cell) is not None]
    if len(numbers) < _ENOUGH or not _mostly_numbers(cells):
        return False
    return all("." in cell for cell in numbers)


def _mostly_numbers(cells: Sequence[str]) -> bool:
    return 2 * sum(parsed(cell) is not None for cell in cells) > len(cells)


def _labels(numbers: Sequence[float], columns: Sequence[Sequence[str]]) -> bool:
    """Return whether numbers in the first line may be the names of the columns below them."""
    pairs = zip(numbers, columns, strict=True)
    outside = [not _within(number, cells) for number, cells in pairs]
    whole = all(number == int(number) for number in numbers)
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        return whole and all(outside)
    if not whole:
        return any(outside) and len(numbers) > 1
    differences = {later - earlier for earlier, later in pairwise(numbers)}
    equally_spaced = len(numbers) > 2 and len(differences) == 1
    in_years = all(_FIRST_YEAR <= number <= _LAST_YEAR for number in numbers)
    years = in_years and len(numbers) > 1
    return any(outside) or equally_spaced or years


def _within(number: float, cells: Sequence[str]) -> bool:
    """Return whether a number lies in the range of its column, with a margin."""
    held = [value for cell in cells if (value := parsed(cell)) is not None]
    if not _mostly_numbers(cells):
        return not cells
    margin = 2 * (max(held) - min(held)) / len(held)  # twice the mean spacing
    return min(held) - margin <= number <= max(held) + margin
