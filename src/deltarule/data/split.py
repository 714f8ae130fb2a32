"""Splits and folds: deterministic by seed, stratified by class, whole groups together (DA-02 … DA-06)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.data.shuffling import shuffled
from deltarule.errors import ArgumentError, DataError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of the parts, ascending; together they are every row once.

    Training rows fit the parameters, validation rows choose hyperparameters, test rows score once (DA-02, DA-05).
    """

    train: Rows
    validation: Rows
    test: Rows


def split(
    n: int, validation: float = 0.0, test: float = 0.2, seed: int = 0, stratify: Any = None, groups: Any = None
) -> Split:
    """Divide n rows into parts of these fractions.

    Split first and only then cut, crop or augment: near-copies on both sides make a model look better than it is
    (DA-06). Where examples come from the same source already, name it in ``groups``.

    Args:
        n: Number of rows.
        validation: Fraction for validation.
        test: Fraction for the test.
        seed: Seed; the same one gives the same parts everywhere.
        stratify: Labels (n,) whose shares every part keeps, to the nearest row.
        groups: What each row belongs to (n,); rows of one group stay together, fractions hold as nearly as the
            groups allow.

    >>> [len(part) for part in (split(10).train, split(10).validation, split(10).test)]
    [8, 0, 2]
    """
    if min(validation, test) < 0 or not validation + test < 1:
        raise ArgumentError("split", expected="fractions ≥ 0 with a sum < 1", got=f"{validation} and {test}")
    if stratify is not None and groups is not None:
        raise ArgumentError("split", expected="stratify or groups", got="both")
    if n < 1:
        raise DataError("split", expected="at least one training example", got=f"{n} rows")
    names = stratify if stratify is not None else groups
    member = _numbered(names, n) if names is not None else np.zeros(n, np.int64)
    order = shuffled(n, seed, "split")
    wanted = (round(n * validation), round(n * test))
    part = _by_group(member, order, wanted) if groups is not None else _by_stratum(member, order, wanted)
    if not (part == 0).any():
        raise DataError("split", expected="at least one training example", got=f"{n} rows")
    return Split(*(np.flatnonzero(part == i).astype(np.int64) for i in range(3)))


def _numbered(names: Any, n: int) -> Rows:
    array = np.asarray(names)
    if array.shape != (n,):
        raise DataError("split", expected=f"one label or group for each of {n} rows", got=f"an array {array.shape}")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _by_stratum(member: Rows, order: Rows, wanted: tuple[int, int]) -> Rows:
    """Return 0, 1 or 2 for each row: from every class its share of the validation and test rows."""
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
    """Divide a total in proportion to counts, by largest remainders, at most ``free`` each."""
    exact = counts * total / max(int(counts.sum()), 1)
    sizes = np.minimum(np.floor(exact).astype(np.int64), free)
    for label in np.argsort(-(exact - sizes), kind="stable"):
        if sizes.sum() == total:
            break
        sizes[label] += sizes[label] < free[label]
    return sizes


def _by_group(member: Rows, order: Rows, wanted: tuple[int, int]) -> Rows:
    """Return 0, 1 or 2 for each row: whole groups, in random order, until a part is as full as it can be."""
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


@dataclass(frozen=True)
class _Folds:
    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 2:
            raise ArgumentError(type(self).__name__, expected="k ≥ 2", got=repr(self.k))


def _pairs(assigned: Rows, k: int) -> Iterator[tuple[Rows, Rows]]:
    for fold in range(k):
        yield np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)


@final
@dataclass(frozen=True)
class KFold(_Folds):
    """k equal folds: each row validates exactly once and trains k − 1 times; fit a fresh model for every fold.

    The first n mod k folds are one row longer (DA-03, DA-04, C-DA-06).

    >>> [test.tolist() for _, test in KFold(2).split(4)]
    [[0, 1], [2, 3]]
    """

    shuffle: bool = False
    seed: int = 0

    def split(self, n: int) -> Iterator[tuple[Rows, Rows]]:
        """Yield (training rows, validation rows) of every fold."""
        if n < self.k:
            raise DataError("KFold", expected=f"at least {self.k} examples", got=str(n))
        order = shuffled(n, self.seed, "split") if self.shuffle else np.arange(n)
        sizes = [n // self.k + (fold < n % self.k) for fold in range(self.k)]
        assigned = np.empty(n, np.int64)
        assigned[order] = np.repeat(np.arange(self.k), sizes)
        return _pairs(assigned, self.k)


@final
@dataclass(frozen=True)
class StratifiedKFold(_Folds):
    """k folds with the classes' shares kept: in each class, and in all, fold sizes differ by one at most."""

    seed: int = 0

    def split(self, labels: Any) -> Iterator[tuple[Rows, Rows]]:
        """Yield (training rows, validation rows) of every fold."""
        array = np.asarray(labels)
        classes, member, counts = np.unique(array, return_inverse=True, return_counts=True)
        if not len(array) or counts.min() < self.k:
            rare = "no examples" if not len(array) else f"{counts.min()} of {classes[counts.argmin()]!r}"
            raise DataError("StratifiedKFold", expected=f"{self.k} examples of each class", got=rare)
        order = shuffled(len(array), self.seed, "split")
        by_class = order[np.argsort(member[order], kind="stable")]
        assigned = np.empty(len(array), np.int64)
        assigned[by_class] = np.arange(len(array)) % self.k  # dealt like cards, class after class
        return _pairs(assigned, self.k)


@final
@dataclass(frozen=True)
class GroupKFold(_Folds):
    """k folds that never divide a group (DA-06)."""

    def split(self, groups: Any) -> Iterator[tuple[Rows, Rows]]:
        """Yield (training rows, validation rows) of every fold; the largest groups are dealt first."""
        names, member, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
        if len(names) < self.k:
            raise DataError("GroupKFold", expected=f"at least {self.k} groups", got=str(len(names)))
        loads = np.zeros(self.k, np.int64)
        fold_of = np.empty(len(names), np.int64)
        for group in np.argsort(-counts, kind="stable"):
            fold = int(loads.argmin())
            fold_of[group] = fold
            loads[fold] += counts[group]
        return _pairs(fold_of[member], self.k)
