"""Training, validation and test splits: reproducible, stratified by class, or by groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_whole
from deltarule.data.sampling.shuffling import shuffled
from deltarule.errors import ArgumentError, DataError
from deltarule.render.numbers import counted

__all__ = ["Split", "split"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The row indices of a split, sorted; every row is in exactly one part.

    Attributes:
        train: The rows to train on.
        validation: The rows to choose hyperparameters with.
        test: The rows for the final evaluation.

    >>> parts = split(10, validation=0.2, test=0.2)
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (6, 2, 2)
    """

    train: Rows
    validation: Rows
    test: Rows


def split(
    n: int,
    validation: float = 0.0,
    test: float = 0.2,
    seed: int = 0,
    stratify: Any = None,
    groups: Any = None,
) -> Split:
    """Split n rows at random into training, validation and test rows.

    Split before you crop or augment: near-duplicates in several parts are leakage. If examples
    come from common sources, pass these as ``groups``.

    Args:
        n: The number of rows.
        validation: The fraction for validation.
        test: The fraction for testing.
        seed: The random seed.
        stratify: Labels (n,) whose frequencies every part preserves.
        groups: Groups (n,) whose rows stay together; the fractions are met as closely as the
            groups allow.

    Raises:
        ArgumentError: The fractions are not allowed.
        DataError: No training examples are left.

    >>> [len(part) for part in (split(10).train, split(10).validation, split(10).test)]
    [8, 0, 2]
    """
    check_whole(n, "split n")
    check_whole(seed, "split seed")
    fractions = (validation, test)
    numeric = all(isinstance(part, int | float | np.number) for part in fractions)
    if not numeric or min(fractions) < 0 or not sum(fractions) < 1:
        raise ArgumentError(
            "split",
            expected="fractions ≥ 0 with a sum < 1",
            got=f"validation={validation!r} and test={test!r}",
            hint="Write split(n, validation=0.1, test=0.2); labels go to stratify=, groups to groups=.",
        )
    if stratify is not None and groups is not None:
        raise ArgumentError("split", expected="stratify or groups", got="both")
    if n < 1:
        raise DataError(
            "split", expected="at least one training example", got=counted(n, "row")
        )
    names = stratify if stratify is not None else groups
    member = _numbered(names, n) if names is not None else np.zeros(n, np.int64)
    order = shuffled(n, seed, "split")
    wanted = (round(n * validation), round(n * test))
    assign = _by_stratum if groups is None else _by_group
    part = assign(member, order, wanted)
    if not (part == 0).any():
        raise DataError(
            "split", expected="at least one training example", got=counted(n, "row")
        )
    return Split(*(np.flatnonzero(part == i).astype(np.int64) for i in range(3)))


def _numbered(names: Any, n: int) -> Rows:
    array = np.asarray(names)
    if array.shape != (n,):
        raise DataError(
            "split",
            expected=f"one label or group for each of {n} rows",
            got=f"an array {array.shape}",
        )
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _by_stratum(member: Rows, order: Rows, wanted: tuple[int, int]) -> Rows:
    """Return 0, 1 or 2 for each row, with every class in proportion in the validation and test rows."""
    part = np.zeros(len(member), np.int64)
    if not len(member):
        return part
    counts = np.bincount(member)
    free = counts
    taken = np.zeros_like(counts)
    for number, total in ((1, wanted[0]), (2, wanted[1])):
        sizes = _apportioned(counts, total, free)
        for label, size in enumerate(sizes):
            rows = order[member[order] == label]
            part[rows[taken[label] : taken[label] + size]] = number
        taken, free = taken + sizes, free - sizes
    return part


def _apportioned(counts: Rows, total: int, free: Rows) -> Rows:
    """Divide a total in proportion to counts by the largest-remainder method, at most ``free`` each."""
    exact = counts * total / max(int(counts.sum()), 1)
    sizes = np.minimum(np.floor(exact).astype(np.int64), free)
    for label in np.argsort(-(exact - sizes), kind="stable"):
        if sizes.sum() == total:
            break
        sizes[label] += sizes[label] < free[label]
    return sizes


def _by_group(member: Rows, order: Rows, wanted: tuple[int, int]) -> Rows:
    """Return 0, 1 or 2 for each row, with whole groups added in random order until a part is filled."""
    counts = np.bincount(member)
    waiting = list(dict.fromkeys(member[order].tolist()))
    part_of = np.zeros(len(counts), np.int64)
    for number, total in ((2, wanted[1]), (1, wanted[0])):
        filled = 0
        for group in list(waiting):
            better = abs(filled + counts[group] - total) < abs(filled - total)
            if len(waiting) > 1 and total > 0 and (better or filled == 0):
                part_of[group] = number
                filled += int(counts[group])
                waiting.remove(group)
    return np.asarray(part_of[member], np.int64)


check_calls(__name__)
