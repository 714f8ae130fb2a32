"""Whether targets are classes or numbers, where nobody said so."""

from __future__ import annotations

from typing import NamedTuple

from deltarule.data.dataset import Task
from deltarule.render.numbers import counted

FEW = 20  # whole-number targets with more values than this are numbers
_ROWS_OF_A_CODE, _ROWS_OF_A_VALUE = (
    3,
    10,
)  # rows that each class needs: of codes 0, 1, 2 …, of other whole numbers
_LARGE = 1000.0  # whole numbers this far from 0 measure or count something


class Decided(NamedTuple):
    """A task, and in words why it was chosen (empty where there was nothing to choose)."""

    task: Task
    why: str


def choose_task(values: set[float], n_rows: int, *, whole: bool) -> Decided:
    """Decide between classes and numbers from the different values of numeric targets and the number of rows.

    Two whole numbers are classes. More of them are classes if they are few (20 at most), small (below 1,000) and
    each comes often enough: 3 rows a class on average for codes that count up from 0 or 1, and 10 for others.
    AutoGluon and H2O decide likewise by the share of different values among the rows.

    >>> choose_task({0.0, 1.0, 2.0}, 30, whole=True).task, choose_task({60171.0, 61187.0, 63221.0}, 3, whole=True).task
    ('classification', 'regression')
    """
    count = len(values)
    if not whole:
        return Decided("regression", "")
    if count > FEW:
        return Decided("regression", "")
    if count <= 2:
        return Decided(
            "classification",
            f"{_some(count)} {_read('classes', 'regression', 'predicts a number')}",
        )
    ordered = sorted(values)
    codes = ordered[0] in {0.0, 1.0} and ordered[-1] - ordered[0] == count - 1
    enough = n_rows >= count * (_ROWS_OF_A_CODE if codes else _ROWS_OF_A_VALUE)
    if enough and max(-ordered[0], ordered[-1]) < _LARGE:
        return Decided(
            "classification",
            f"{_some(count)} {_read('classes', 'regression', 'predicts a number')}",
        )
    reason = f"{_some(count)} in {counted(n_rows, 'row')} {_read('numbers', 'classification', 'makes them classes')}"
    return Decided("regression", reason)


def _some(count: int) -> str:
    return counted(count, "whole number")


def _read(what: str, other: Task, outcome: str) -> str:
    return f'read as {what}; task="{other}" {outcome}'
