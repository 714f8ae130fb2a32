"""Inference of the task, classification or regression, from numeric targets."""

from __future__ import annotations

from typing import NamedTuple

from deltarule.data.dataset import Task
from deltarule.render.numbers import counted

FEW = 20  # integer targets with more values than this are numbers
_ROWS_PER_CODE = 3  # mean number of rows per class, for codes 0, 1, 2 …
_ROWS_PER_VALUE = 10  # the same for other integers
_LARGE = 1000.0  # integers of this size are measurements or counts


class TaskChoice(NamedTuple):
    """A task, and the reason why it was chosen (empty if there was no choice).

    >>> choose_task({0.5, 1.0}, 30, whole=False)
    TaskChoice(task='regression', why='')
    """

    task: Task
    why: str


def choose_task(values: set[float], n_rows: int, *, whole: bool) -> TaskChoice:
    """Choose classification or regression for numeric targets.

    Two integers are classes. More integers are classes if they are few (at most 20), small
    (below 1,000) and frequent: on average 3 rows per class for codes that count up from 0 or 1,
    and 10 for others. AutoGluon and H2O also decide by the number of distinct values relative to
    the number of rows.

    Args:
        values: The distinct targets.
        n_rows: The number of rows.
        whole: Whether all targets are integers.

    >>> choose_task({0.0, 1.0, 2.0}, 30, whole=True).task
    'classification'
    >>> choose_task({60171.0, 61187.0, 63221.0}, 3, whole=True).task
    'regression'
    """
    count = len(values)
    if not whole or count > FEW:
        return TaskChoice("regression", "")
    ordered = sorted(values)
    codes = count > 0 and ordered[-1] - ordered[0] == count - 1
    codes = codes and ordered[0] in {0.0, 1.0}
    enough = n_rows >= count * (_ROWS_PER_CODE if codes else _ROWS_PER_VALUE)
    numbers = counted(count, "whole number")
    if count <= 2 or (enough and max(-ordered[0], ordered[-1]) < _LARGE):
        reason = f'{numbers} read as classes; task="regression" predicts a number'
        return TaskChoice("classification", reason)
    rows = counted(n_rows, "row")
    reason = (
        f'{numbers} in {rows} read as numbers; task="classification" makes them classes'
    )
    return TaskChoice("regression", reason)
