"""Cross-validation folds: plain, stratified by class, or by groups.

``split`` takes only what it needs, ``KFold(5).split(100)``, or the arguments of scikit-learn's
splitters, ``split(X, y, groups)``, so that ``cross_val_score(learner, X, y, cv=data.KFold(5))``
works.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_whole
from deltarule.data.sampling.shuffling import shuffled
from deltarule.errors import DataError
from deltarule.flags import settles_fields

__all__ = ["GroupKFold", "KFold", "StratifiedKFold"]

Rows = npt.NDArray[np.int64]
Pairs = Iterator[tuple[Rows, Rows]]


@dataclass(frozen=True)
class _Folds:
    k: int = 5

    def __init_subclass__(cls) -> None:
        settles_fields(cls)

    def __post_init__(self) -> None:
        check_whole(self.k, f"{type(self).__name__} k", least=2)
        check_whole(getattr(self, "seed", 0), f"{type(self).__name__} seed")

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002  # scikit-learn gives all
        """Return k; the arguments, which scikit-learn passes, are ignored.

        >>> KFold(4).get_n_splits()
        4
        """
        return self.k


def _pairs(assigned: Rows, k: int) -> Pairs:
    for fold in range(k):
        yield np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)


def _count(X: Any, where: str) -> int:
    """Return the number of rows of an array, sparse matrix, table or list."""
    shape = getattr(X, "shape", None)
    try:
        return int(shape[0]) if shape else len(X)
    except TypeError as error:
        raise DataError(
            where, expected="a number of rows, or what has rows", got=type(X).__name__
        ) from error


def _named(X: Any, given: Any, where: str, what: str) -> npt.NDArray[Any]:
    """Return one label or group for each row: those given beside X, or else X itself."""
    array = np.asarray(X if given is None else given)
    if array.ndim != 1 or (given is not None and len(array) != _count(X, where)):
        got = f"an array of shape {array.shape}" + (
            "" if given is None else f" for {_count(X, where)} rows"
        )
        raise DataError(
            where,
            expected=f"{what} (N,), one for each row",
            got=got,
            hint=f"Write split({what}), or split(X, y, groups) with {what} (N,) in their place.",
        )
    return array


@final
@dataclass(frozen=True)
class KFold(_Folds):
    """k-fold cross-validation: each row is in the validation set of exactly one fold.

    The first n mod k folds have one row more. Train a new model for every fold.

    Args:
        k: The number of folds, ≥ 2.
        shuffle: Assign rows to folds at random.
        seed: The random seed.

    >>> [test.tolist() for _, test in KFold(2).split(4)]
    [[0, 1], [2, 3]]
    """

    shuffle: bool = False
    seed: int = 0

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: ARG002  # scikit-learn gives all three
        """Return an iterator over (training rows, validation rows) of the folds.

        ``X`` is the number of rows, or the data; ``y`` and ``groups`` are ignored.

        >>> [(train.tolist(), test.tolist()) for train, test in KFold(2).split([5, 6, 7, 8])]
        [([2, 3], [0, 1]), ([0, 1], [2, 3])]
        """
        n = int(X) if isinstance(X, int | np.integer) else _count(X, "KFold")
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
    """Stratified k-fold cross-validation: the folds preserve the class frequencies.

    The numbers of rows of each class, and of all rows, differ by at most one between folds.

    Args:
        k: The number of folds, ≥ 2.
        seed: The random seed.

    >>> [test.tolist() for _, test in StratifiedKFold(2).split(["a", "b", "a", "b"])]
    [[2, 3], [0, 1]]
    """

    seed: int = 0

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:  # noqa: ARG002  # scikit-learn gives all three
        """Return an iterator over (training rows, validation rows): ``split(labels)`` or ``split(X, labels)``.

        Raises:
            DataError: A class has fewer than k examples.

        >>> folds = StratifiedKFold(2).split([0, 0, 1, 1])
        >>> [test.tolist() for _, test in folds]
        [[1, 3], [0, 2]]
        """
        array = _named(X, y, "StratifiedKFold", "labels")
        classes, member, counts = np.unique(
            array, return_inverse=True, return_counts=True
        )
        if not len(array) or counts.min() < self.k:
            rare = "no examples"
            if len(array):
                rare = f"{counts.min()} of {classes[counts.argmin()]!r}"
            raise DataError(
                "StratifiedKFold", expected=f"{self.k} examples of each class", got=rare
            )
        order = shuffled(len(array), self.seed, "split")
        by_class = order[np.argsort(member[order], kind="stable")]
        assigned = np.empty(len(array), np.int64)
        # rows are assigned to folds in turn, class by class
        assigned[by_class] = np.arange(len(array)) % self.k
        return _pairs(assigned, self.k)


@final
@dataclass(frozen=True)
class GroupKFold(_Folds):
    """Group k-fold cross-validation: all rows of a group are in the same fold.

    The largest groups are assigned first, each to the smallest fold.

    Args:
        k: The number of folds, ≥ 2.

    >>> [test.tolist() for _, test in GroupKFold(2).split(["ann", "bob", "ann", "bob"])]
    [[0, 2], [1, 3]]
    """

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Pairs:
        """Return an iterator over (training rows, validation rows): ``split(groups)`` or ``split(X, y, groups)``.

        Raises:
            DataError: There are fewer than k groups, or no groups are given.

        >>> folds = GroupKFold(2).split(["ann", "ann", "bob", "eve"])
        >>> [test.tolist() for _, test in folds]
        [[0, 1], [2, 3]]
        """
        if groups is None and y is not None:
            raise DataError(
                "GroupKFold",
                expected="groups",
                got="X and y alone",
                hint="Write split(groups), or hand groups=… to cross_val_score and the like.",
            )
        array = _named(X, groups, "GroupKFold", "groups")
        names, member, counts = np.unique(
            array, return_inverse=True, return_counts=True
        )
        if len(names) < self.k:
            raise DataError(
                "GroupKFold", expected=f"at least {self.k} groups", got=str(len(names))
            )
        loads = np.zeros(self.k, np.int64)
        fold_of = np.empty(len(names), np.int64)
        for group in np.argsort(-counts, kind="stable"):
            fold = int(loads.argmin())
            fold_of[group] = fold
            loads[fold] += counts[group]
        return _pairs(fold_of[member], self.k)


check_calls(__name__)
