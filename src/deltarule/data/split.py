"""Splits and folds: deterministic by seed, stratified by class, whole groups together (DA-02 … DA-06)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError, DataError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of the parts; together they are every row once."""

    train: Rows
    validation: Rows
    test: Rows


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed & (2**64 - 1), 0x5B11]))


def split(
    n: int, validation: float = 0.0, test: float = 0.2, seed: int = 0, stratify: Any = None, groups: Any = None
) -> Split:
    """Divide n rows into parts of these fractions.

    ``stratify`` (labels) keeps the classes' shares in every part; ``groups`` keeps rows of one group together, so
    that no near-copy of a training row is tested on (DA-06).

    >>> [len(part) for part in (split(10).train, split(10).validation, split(10).test)]
    [8, 0, 2]
    """
    if min(validation, test) < 0 or validation + test >= 1:
        raise ArgumentError("split", expected="fractions ≥ 0 with a sum < 1", got=f"{validation} and {test}")
    if stratify is not None and groups is not None:
        raise ArgumentError("split", expected="stratify or groups", got="both")
    generator = _generator(seed)
    parts: list[list[Rows]] = [[], [], []]
    if groups is not None:
        names, member = np.unique(np.asarray(groups), return_inverse=True)
        chosen = split(len(names), validation, test, seed)
        for part, wanted in zip(parts, (chosen.train, chosen.validation, chosen.test), strict=True):
            part.append(np.flatnonzero(np.isin(member, wanted)))
    else:
        strata = np.zeros(n, np.int64) if stratify is None else np.unique(np.asarray(stratify), return_inverse=True)[1]
        for label in range(int(strata.max(initial=0)) + 1):
            rows = generator.permutation(np.flatnonzero(strata == label))
            n_test, n_validation = round(len(rows) * test), round(len(rows) * validation)
            for part, piece in zip(parts, np.split(rows[::-1], [len(rows) - n_test - n_validation, len(rows) - n_test]),
                                   strict=True):  # fmt: skip
                part.append(piece)
    train, valid, held_out = (np.sort(np.concatenate(part)).astype(np.int64) for part in parts)
    if not len(train):
        raise DataError("split", expected="at least one training example", got=f"{n} rows")
    return Split(train, valid, held_out)


@dataclass(frozen=True)
class _Folds:
    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 2:
            raise ArgumentError(type(self).__name__, expected="k ≥ 2", got=repr(self.k))


def _pairs(assigned: Rows, k: int) -> Iterator[tuple[Rows, Rows]]:
    for fold in range(k):
        yield np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)


def _dealt(rows: Rows, k: int) -> Rows:
    """Return the fold of each of some rows: equal runs, the first ones one longer."""
    sizes = np.full(k, len(rows) // k)
    sizes[: len(rows) % k] += 1
    return np.repeat(np.arange(k), sizes)


@final
@dataclass(frozen=True)
class KFold(_Folds):
    """k equal folds; each row validates exactly once; fit a fresh model for every fold (DA-03, DA-04).

    >>> [test.tolist() for _, test in KFold(2).split(4)]
    [[0, 1], [2, 3]]
    """

    shuffle: bool = False
    seed: int = 0

    def split(self, n: int) -> Iterator[tuple[Rows, Rows]]:
        """Yield (training rows, validation rows) of every fold."""
        if n < self.k:
            raise DataError("KFold", expected=f"at least {self.k} examples", got=str(n))
        order = _generator(self.seed).permutation(n) if self.shuffle else np.arange(n)
        assigned = np.empty(n, np.int64)
        assigned[order] = _dealt(order, self.k)
        return _pairs(assigned, self.k)


@final
@dataclass(frozen=True)
class StratifiedKFold(_Folds):
    """k folds with the classes' shares kept."""

    seed: int = 0

    def split(self, labels: Any) -> Iterator[tuple[Rows, Rows]]:
        """Yield (training rows, validation rows) of every fold."""
        array = np.asarray(labels)
        assigned = np.empty(len(array), np.int64)
        generator = _generator(self.seed)
        for label in np.unique(array):
            rows = generator.permutation(np.flatnonzero(array == label))
            if len(rows) < self.k:
                raise DataError(
                    "StratifiedKFold", expected=f"{self.k} examples a class", got=f"{len(rows)} of {label!r}"
                )
            assigned[rows] = _dealt(rows, self.k)
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
