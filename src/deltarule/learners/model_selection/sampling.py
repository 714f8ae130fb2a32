"""Resampling of imbalanced classes. Apply it to training rows only, after splitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError
from deltarule.learners.base import Array, whole
from deltarule.learners.nearest_neighbors.search import neighbors_of_each

__all__ = ["oversampled", "smote", "undersampled"]

Rows = npt.NDArray[np.int64]


def _rows_by_class(y: Any, where: str) -> list[Rows]:
    labels = np.asarray(y)
    if labels.ndim != 1 or not len(labels):
        raise DataError(where, expected="labels (N,)", got=f"shape {labels.shape}")
    return [np.flatnonzero(labels == c).astype(np.int64) for c in np.unique(labels)]


def oversampled(y: Any, seed: int = 0) -> Rows:
    """Return row numbers in which each class is as frequent as the largest: all rows, and rare ones drawn again.

    >>> np.bincount(np.array([0, 0, 0, 1])[oversampled([0, 0, 0, 1])]).tolist()
    [3, 3]
    """
    random = np.random.default_rng(seed)
    groups = _rows_by_class(y, "oversampled")
    most = max(map(len, groups))
    again = [random.choice(rows, most - len(rows)) for rows in groups]
    return random.permutation(np.concatenate([*groups, *again]))


def undersampled(y: Any, seed: int = 0) -> Rows:
    """Return row numbers in which each class is as frequent as the smallest, drawn without replacement.

    >>> np.bincount(np.array([0, 0, 0, 1])[undersampled([0, 0, 0, 1])]).tolist()
    [1, 1]
    """
    random = np.random.default_rng(seed)
    groups = _rows_by_class(y, "undersampled")
    least = min(map(len, groups))
    return random.permutation(
        np.concatenate([random.choice(rows, least, replace=False) for rows in groups])
    )


def smote(x: Any, y: Any, n_neighbors: int = 5, seed: int = 0) -> tuple[Array, Array]:
    """Return X and y with synthetic examples of the rare classes, up to the size of the largest (Chawla et al. 2002).

    A synthetic example is x + u·(x′ − x), u uniform in [0, 1), x′ one of the
    ``n_neighbors`` nearest examples of the same class.

    Args:
        x: Examples (N, d).
        y: Labels (N,).
        n_neighbors: Number of neighbours to interpolate to.
        seed: Seed of the random numbers.

    Raises:
        DataError: A class with a single example; NaN or infinite features.
        ArgumentError: ``n_neighbors`` is no integer ≥ 1.

    >>> x, y = smote([[0.0], [1.0], [2.0], [5.0], [6.0]], [0, 0, 0, 1, 1])
    >>> x.shape, y.tolist(), bool(5.0 <= x[5, 0] <= 6.0)
    ((6, 1), [0, 0, 0, 1, 1, 1], True)
    """
    features, labels = np.asarray(x, np.float64), np.asarray(y)
    if features.ndim != 2 or len(features) != len(labels):
        raise DataError(
            "smote",
            expected="X (N, features) and y (N,)",
            got=f"{features.shape} and {labels.shape}",
        )
    if not np.isfinite(features).all():
        row = int(np.argmin(np.isfinite(features).all(axis=1)))
        raise DataError(
            "smote X", expected="finite numbers", got=f"NaN or infinity in row {row}"
        )
    if not whole(1)(n_neighbors):
        raise ArgumentError(
            "smote n_neighbors", expected="a whole number ≥ 1", got=repr(n_neighbors)
        )
    random = np.random.default_rng(seed)
    groups = _rows_by_class(labels, "smote")
    most = max(map(len, groups))
    new_x, new_y = [features], [labels]
    for rows in groups:
        missing = most - len(rows)
        if not missing:
            continue
        if len(rows) < 2:
            raise DataError(
                "smote",
                expected="two examples of each class",
                got=f"one of {labels[rows[0]]!r}",
            )
        near = neighbors_of_each(features[rows], min(n_neighbors, len(rows) - 1))[1]
        start = random.integers(len(rows), size=missing)
        other = near[start, random.integers(near.shape[1], size=missing)]
        share = random.random((missing, 1))
        new_x.append(
            features[rows[start]]
            + share * (features[rows[other]] - features[rows[start]])
        )
        new_y.append(np.repeat(labels[rows[:1]], missing))
    return np.concatenate(new_x), np.concatenate(new_y)


check_calls(__name__)
