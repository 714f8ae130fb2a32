"""One-hot and multi-hot encoding, label encoding, class weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
from deltarule.data.arrays import check_labels
from deltarule.data.preprocessing.estimator import Estimator
from deltarule.errors import ArgumentError, DataError
from deltarule.visible import listed

__all__ = [
    "LabelEncoder",
    "balanced_class_weights",
    "from_one_hot",
    "multi_hot",
    "one_hot",
]

Array = npt.NDArray[Any]


def one_hot(labels: Any, n_classes: int | None = None) -> npt.NDArray[np.float32]:
    """Return one-hot rows (…, classes) for integer labels (…).

    Args:
        labels: The labels.
        n_classes: The number of classes; the largest label plus 1 by default.

    Raises:
        DataError: A label is not an integer in 0 … n_classes − 1.

    >>> one_hot([3, 0, 2]).tolist()
    [[0.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    array = np.asarray(labels)
    if array.size and array.dtype.kind not in "iub":
        raise DataError(
            "one_hot",
            expected="whole-number labels",
            got=f"elements of type {array.dtype}",
            hint="Turn categories into labels with data.LabelEncoder.",
        )
    n = n_classes if n_classes is not None else int(array.max(initial=-1)) + 1
    check_labels(array.ravel(), n, "one_hot")
    return np.asarray(array[..., None] == np.arange(n), np.float32)


def from_one_hot(rows: Any) -> npt.NDArray[np.int64]:
    """Return the labels of one-hot rows (…, classes).

    Raises:
        DataError: A row does not consist of a single 1 and zeros.

    >>> from_one_hot([[0, 1], [1, 0]]).tolist()
    [1, 0]
    """
    array = np.asarray(rows)
    binary = array.ndim >= 2 and np.isin(array, (0, 1)).all()
    if not binary or not (array.sum(-1) == 1).all():
        raise DataError(
            "from_one_hot",
            expected="rows with a single 1",
            got=f"an array of shape {array.shape}",
        )
    return np.asarray(array.argmax(-1), np.int64)


def multi_hot(
    labels: Iterable[Iterable[int]], n_classes: int | None = None
) -> npt.NDArray[np.float32]:
    """Return multi-hot rows (N, classes), with a 1 for every label of an example.

    They are the targets of multi-label classification, with sigmoids and binary cross-entropy.

    Args:
        labels: The labels of each example.
        n_classes: The number of classes; the largest label plus 1 by default.

    Raises:
        DataError: A label is not in 0 … n_classes − 1.

    >>> multi_hot([[0, 2], [], [1]]).tolist()
    [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    groups = [list(group) for group in labels]
    flat = np.array([label for group in groups for label in group], np.int64)
    n = n_classes if n_classes is not None else int(flat.max(initial=-1)) + 1
    check_labels(flat, n, "multi_hot")
    rows = np.zeros((len(groups), n), np.float32)
    examples = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    rows[examples, flat] = 1.0
    return rows


@final
class LabelEncoder(Estimator):
    """Encode categories as labels 0 … K − 1, in sorted or given order, with aliases.

    It encodes one list of categories (N,), such as targets; encode y before a ``Pipeline``, whose
    steps do not transform targets. For columns of a table use scikit-learn's ``OneHotEncoder``
    or ``OrdinalEncoder``.

    Args:
        order: The categories; label k stands for ``order[k]``. By default they are learned by
            ``fit`` and sorted.
        aliases: Other spellings of categories.

    Attributes:
        classes_: The categories in the order of their labels.

    >>> LabelEncoder(order=["High", "Medium", "Low"], aliases={"Med": "Medium"}).fit_transform(["Med", "Low"]).tolist()
    [1, 2]
    """

    def __init__(
        self,
        order: Sequence[Any] | None = None,
        aliases: Mapping[Any, Any] | None = None,
    ) -> None:
        self.order = order
        self.aliases = aliases
        self.classes_: list[Any] = list(order) if order is not None else []
        if len(set(self.classes_)) != len(self.classes_):
            raise ArgumentError(
                "order", expected="categories that differ", got=str(self.classes_)
            )
        if order is None:
            return
        for alias, category in (aliases or {}).items():
            if category not in self.classes_:
                raise ArgumentError(
                    "aliases",
                    expected="a category of the order for each",
                    got=repr(alias),
                )

    def fit(self, values: Any, y: Any = None) -> LabelEncoder:  # noqa: ARG002  # as every transformer's
        """Learn the categories (unless their order was given); raise DataError unless ``values`` is a list of them.

        >>> LabelEncoder().fit(["cat", "dog", "cat"]).transform(["dog"]).tolist()
        [1]
        """
        categories = self._categories(values)
        if self.order is None:
            found = set(categories)
            try:
                self.classes_ = sorted(found)
            except TypeError as error:
                raise DataError(
                    "LabelEncoder",
                    expected="categories of one type",
                    got=str(error),
                    hint="Give them in order=[…].",
                ) from error
        return self

    def transform(self, values: Any) -> npt.NDArray[np.int64]:
        """Return the label of every category; raise DataError for an unknown one.

        >>> encoder = LabelEncoder().fit(["low", "high"])
        >>> encoder.transform(["low", "high", "low"]).tolist()
        [1, 0, 1]
        >>> encoder.transform(["middle"])
        Traceback (most recent call last):
        deltarule.errors.DataError: LabelEncoder: expected one of high, low, got 'middle' in row 0.
        """
        known = {category: i for i, category in enumerate(self.classes_)}
        labels = []
        for row, category in enumerate(self._categories(values)):
            if category not in known:
                raise DataError(
                    "LabelEncoder",
                    expected=f"one of {listed(self.classes_) or 'no categories (fit first)'}",
                    got=f"{category!r} in row {row}",
                )
            labels.append(known[category])
        return np.array(labels, np.int64)

    def fit_transform(self, values: Any, y: Any = None) -> npt.NDArray[np.int64]:
        """Learn the categories and return labels; ``y`` is ignored.

        >>> LabelEncoder().fit_transform(["cat", "dog", "cat"]).tolist()
        [0, 1, 0]
        """
        return self.fit(values, y).transform(values)

    def inverse_transform(self, labels: Any) -> list[Any]:
        """Return the category of every label.

        >>> encoder = LabelEncoder().fit(["cat", "dog"])
        >>> encoder.inverse_transform([1, 0])
        ['dog', 'cat']
        """
        array = np.asarray(labels)
        check_labels(array, len(self.classes_), "LabelEncoder")
        return [self.classes_[i] for i in array]

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.classes_)

    def _categories(self, values: Any) -> list[Any]:
        """Return the values with aliases replaced by their categories."""
        array = np.asarray(values)
        if array.ndim != 1:
            raise DataError(
                "LabelEncoder",
                expected="one list of categories (N,)",
                got=f"an array of shape {array.shape}",
                hint="Encode a table column by column, or with scikit-learn's OneHotEncoder or OrdinalEncoder.",
            )
        aliases = self.aliases or {}
        return [aliases.get(value, value) for value in array.tolist()]


def balanced_class_weights(
    labels: Any, n_classes: int | None = None
) -> npt.NDArray[np.float64]:
    """Return class weights w_c = N/(K·n_c), inversely proportional to the class frequencies.

    All classes have the same total weight, as with ``class_weight="balanced"`` in scikit-learn.

    Args:
        labels: The labels, (N,).
        n_classes: The number of classes; the largest label plus 1 by default.

    Raises:
        DataError: A label is not a class, or a class has no examples.

    >>> balanced_class_weights([0] * 10 + [1])
    array([0.55, 5.5 ])
    """
    array = np.asarray(labels)
    n = n_classes if n_classes is not None else int(array.max(initial=0)) + 1
    check_labels(array, n, "balanced_class_weights")
    counts = np.bincount(array.astype(np.int64), minlength=n)
    if (counts == 0).any():
        raise DataError(
            "balanced_class_weights",
            expected="an example of every class",
            got=f"none of {counts.argmin()}",
        )
    return np.asarray(len(array) / (n * counts), np.float64)


check_calls(__name__)
