"""Encodings: one-hot rows, labels from categories, standardised features, class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.data.arrays import check_labels
from deltarule.errors import DataError

Array = npt.NDArray[Any]


def one_hot(labels: Any, num_classes: int | None = None) -> npt.NDArray[np.float32]:
    """Return 1 at the label and 0 elsewhere; classes are max + 1 unless given (DA-07).

    >>> one_hot([3, 0, 2]).tolist()
    [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iub":
        raise DataError("one_hot", expected="whole-number labels", got=f"elements of type {array.dtype}")
    n = num_classes if num_classes is not None else int(array.max(initial=-1)) + 1
    check_labels(array.ravel(), n, "one_hot")
    return (array[..., None] == np.arange(n)).astype(np.float32)


def from_one_hot(rows: Any) -> npt.NDArray[np.int64]:
    """Return the labels of one-hot rows.

    >>> from_one_hot([[0, 1], [1, 0]]).tolist()
    [1, 0]
    """
    array = np.asarray(rows)
    if (
        array.ndim < 2
        or not np.array_equal(array.sum(-1), np.ones(array.shape[:-1]))
        or not np.isin(array, (0, 1)).all()
    ):
        raise DataError("from_one_hot", expected="rows with a single 1", got=f"an array of shape {array.shape}")
    return array.argmax(-1)


@final
class LabelEncoder:
    """Categories to labels 0 … K − 1, in a given order or sorted, with aliases (DA-08).

    >>> LabelEncoder(order=["High", "Medium", "Low"], aliases={"Med": "Medium"}).fit_transform(["Med", "Low"]).tolist()
    [1, 2]
    """

    def __init__(self, order: Sequence[Any] | None = None, aliases: Mapping[Any, Any] | None = None) -> None:
        self.order = list(order) if order is not None else None
        self.aliases = dict(aliases or {})
        self.classes_: list[Any] = list(order) if order is not None else []

    def fit(self, values: Sequence[Any]) -> LabelEncoder:
        """Learn the categories (unless their order was given)."""
        if self.order is None:
            self.classes_ = sorted({self.aliases.get(v, v) for v in np.asarray(values).tolist()})
        return self

    def transform(self, values: Sequence[Any]) -> npt.NDArray[np.int64]:
        """Return the label of every category."""
        known = {category: i for i, category in enumerate(self.classes_)}
        labels = []
        for row, value in enumerate(np.asarray(values).tolist()):
            category = self.aliases.get(value, value)
            if category not in known:
                raise DataError(
                    "LabelEncoder",
                    expected=f"one of {', '.join(map(str, self.classes_))}",
                    got=f"{value!r} in row {row}",
                )
            labels.append(known[category])
        return np.array(labels, np.int64)

    def fit_transform(self, values: Sequence[Any]) -> npt.NDArray[np.int64]:
        """Learn the categories and return labels."""
        return self.fit(values).transform(values)

    def inverse_transform(self, labels: Any) -> list[Any]:
        """Return the category of every label."""
        array = np.asarray(labels)
        check_labels(array, len(self.classes_), "LabelEncoder")
        return [self.classes_[i] for i in array]


@final
class StandardScaler:
    """(x − mean)/deviation per feature, learned on the training data only (DA-17); constant features become 0."""

    def __init__(self) -> None:
        self.mean_: Array | None = None
        self.deviation_: Array | None = None

    def fit(self, x: Any) -> StandardScaler:
        """Learn mean and deviation (biased) over the examples."""
        array = np.asarray(x, np.float64)
        self.mean_ = array.mean(axis=0)
        deviation = array.std(axis=0)
        self.deviation_ = np.where(deviation > 0, deviation, 1.0)
        return self

    def transform(self, x: Any) -> npt.NDArray[np.float32]:
        """Return standardised float32 features."""
        if self.mean_ is None or self.deviation_ is None:
            raise DataError("StandardScaler", expected="fit before transform", got="a scaler that saw no data")
        return ((np.asarray(x, np.float64) - self.mean_) / self.deviation_).astype(np.float32)

    def fit_transform(self, x: Any) -> npt.NDArray[np.float32]:
        """Learn and standardise."""
        return self.fit(x).transform(x)


def balanced_class_weights(labels: Any, n_classes: int | None = None) -> npt.NDArray[np.float64]:
    """N/(K·n_c): rare classes weigh more, all classes the same in total (DA-15, C-DA-08).

    >>> balanced_class_weights([0] * 10 + [1])
    array([0.55, 5.5 ])
    """
    array = np.asarray(labels)
    counts = np.bincount(array, minlength=n_classes or 0)
    if (counts == 0).any():
        raise DataError(
            "balanced_class_weights", expected="an example of every class", got=f"none of {counts.argmin()}"
        )
    return np.asarray(len(array) / (len(counts) * counts), np.float64)
