"""Whether the first line of a CSV file holds the names of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from deltarule.data.schema import parsed

PEEKED = 1000  # rows below the first line that are looked at
_ENOUGH = 5  # rows that show how a column is written
_FIRST_YEAR, _LAST_YEAR = 1000, 2999


class Header(NamedTuple):
    """The answer, and what speaks for it; ``certain`` where a first line of names could not look otherwise."""

    named: bool
    certain: bool
    why: str


def find_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> Header:
    """Decide from the first line and rows below it; names are the rule, as in pandas, and their absence needs proof.

    A line without a number is names, and so is one with a text above a column of numbers. Of the others those are
    data in which a cell comes twice, whose text comes again below, or whose numbers are no labels: labels grow from
    left to right, in equal steps (0, 1, 2), as years, or to values that their columns do not hold; in another order
    they are whole, and none is a value that its column may hold (2010, 2000, 1990 above shares), or whole numbers
    stand above columns that are all written with a decimal point.

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
    """Tell whether a column's numbers, which are most of its cells, are all written with a decimal point."""
    numbers = [cell for cell in cells if parsed(cell) is not None]
    return (
        len(numbers) >= _ENOUGH
        and _mostly_numbers(cells)
        and all("." in cell for cell in numbers)
    )


def _mostly_numbers(cells: Sequence[str]) -> bool:
    return 2 * sum(parsed(cell) is not None for cell in cells) > len(cells)


def _labels(numbers: Sequence[float], columns: Sequence[Sequence[str]]) -> bool:
    """Tell whether numbers of the first line may be names of the columns below them."""
    strange = [
        not _within(number, cells)
        for number, cells in zip(numbers, columns, strict=True)
    ]
    whole = all(number == int(number) for number in numbers)
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        return whole and all(strange)
    outside = any(strange)
    if not whole:
        return outside and len(numbers) > 1
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    years = all(_FIRST_YEAR <= number <= _LAST_YEAR for number in numbers)
    return (
        outside
        or (len(numbers) > 2 and len(steps) == 1)
        or (years and len(numbers) > 1)
    )


def _within(number: float, cells: Sequence[str]) -> bool:
    """Tell whether a number is one of the values that its column may hold, as far as the column shows."""
    held = [value for cell in cells if (value := parsed(cell)) is not None]
    if not _mostly_numbers(cells):
        return not cells
    margin = 2 * (max(held) - min(held)) / len(held)  # twice the distance of neighbours
    return min(held) - margin <= number <= max(held) + margin
