"""How well one column predicts another: by its values, by intervals of them, by linear correlation, or by ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from deltarule.errors import DataError

Array = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]

CLASS_SIZE = 5  # examples that a class needs for meaningful quartiles
SPREADS = 10.0  # interquartile ranges between the medians of classes; flowers of iris and wines are at most 5 apart
ON_A_LINE = 4  # different targets: with 3 a squared correlation of 0.9999 is chance once in 150 features
CHANCE = 1e-3  # with which random labels may agree within all values
IN_ORDER = 8  # different targets: a random order is the right or the opposite one with chance 2/8! = 1/20160


def table(x: Any, where: str) -> Array:
    """Return rows (N, features) as float64, or as objects where not all are numbers; raise DataError for others.

    >>> table([[1, 2], [3, 4]], "x").tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    try:
        array = np.asarray(x)
        if array.dtype.kind not in "fiubc":
            # keeps the numbers of rows with numbers and text
            array = np.asarray(x, dtype=object)
    except ValueError as error:
        raise DataError(
            where, expected="rows of equal length", got=str(error)
        ) from error
    if array.ndim < 2 or array.dtype.kind == "c":
        raise DataError(
            where,
            expected="rows (N, features) of numbers or categories",
            got=f"{array.dtype} of shape {array.shape}",
        )
    flat = array.reshape(len(array), math.prod(array.shape[1:]))
    if array.dtype == object:
        return flat
    return np.ascontiguousarray(flat, np.float64) + 0.0  # −0 becomes 0


def coded(tables: Sequence[Array], where: str) -> tuple[list[Numbers], list[bool]]:
    """Return tables with categories encoded, equal ones by equal codes in all, and which of the columns are numeric.

    A column is numeric if all values that are present are; None, NaN, NA and NaT are
    missing and become NaN.

    >>> tables = [np.array([["red"], ["blue"]], object), np.array([["blue"]], object)]
    >>> coded(tables, "colours")
    ([array([[0.],
           [1.]]), array([[1.]])], [False])
    """
    if all(part.dtype != object for part in tables):
        return list(tables), [True] * tables[0].shape[1]
    rows = np.concatenate([part.astype(object) for part in tables])
    columns = [code(rows[:, i], f"{where}, feature {i}") for i in range(rows.shape[1])]
    numbers = np.stack([values for values, _ in columns], axis=1)
    return np.split(numbers, np.cumsum([len(part) for part in tables])[:-1]), [
        ordered for _, ordered in columns
    ]


def code(column: Array, where: str) -> tuple[Numbers, bool]:
    """Return a numeric column, or codes of its categories, and whether it is numeric.

    >>> code(np.array(["red", "blue", "red"], object), "colour")
    (array([0., 1., 0.]), False)
    """
    if column.dtype.kind in "fiub":
        return column.astype(np.float64), True
    cells = column.astype(object).tolist()
    present = [not _missing(cell) for cell in cells]
    ordered = all(
        isinstance(cell, Real | Decimal)
        for cell, there in zip(cells, present, strict=True)
        if there
    )
    codes: dict[Any, int] = {}
    try:
        values = [
            (float(cell) if ordered else float(codes.setdefault(cell, len(codes))))
            if there
            else math.nan
            for cell, there in zip(cells, present, strict=True)
        ]
    except TypeError as error:
        raise DataError(
            where, expected="numbers or categories", got=str(error)
        ) from error
    return np.asarray(values, np.float64) + 0.0, ordered


def _missing(cell: Any) -> bool:
    return (
        cell is None
        or type(cell).__name__ in {"NAType", "NaTType"}
        or (isinstance(cell, float) and cell != cell)
    )


def telling(
    feature: Numbers, ordered: bool, target: Numbers, target_ordered: bool
) -> float:
    """Return how well a feature alone predicts the target, in [0, 1]: the largest of the measures that apply."""
    there = np.isfinite(target)
    feature, target = feature[there], target[there]
    best = share_by_value(feature, ordered, target)
    known = np.isfinite(feature)
    if not ordered or 2 * known.sum() < len(feature) or not known.any():
        return best
    feature, target = feature[known], target[known]
    best = max(best, share_by_interval(feature, target))
    different = len(np.unique(target)) if target_ordered else 0
    if different >= ON_A_LINE:
        best = max(best, squared_correlation(feature, target))
    if different >= IN_ORDER:
        best = max(best, squared_correlation(rankdata(feature), rankdata(target)))
    return best


def share_by_value(feature: Numbers, ordered: bool, target: Numbers) -> float:
    """Return the accuracy when each value predicts its most frequent label.

    It is 0 where that is not meaningful: for more distinct values than half the
    examples; and unless it makes at most half the errors of always predicting the most
    frequent label, of frequency p. With more values V than labels also where chance
    suffices, p^(N − V) > ``CHANCE``, and for numbers unless the labels alternate along
    them, as those of patients by their numbers do and those of a measured size do not.

    >>> share_by_value(np.array([0.0, 0.0, 1.0, 1.0]), False, np.array([0.0, 0.0, 1.0, 1.0]))
    1.0
    """
    n = len(feature)
    values, which = np.unique(feature, return_inverse=True)
    classes, labels, sizes = np.unique(target, return_inverse=True, return_counts=True)
    if len(values) > n / 2 or len(classes) < 2:
        return 0.0
    pairs, counts = np.unique(which * len(classes) + labels, return_counts=True)
    by_count = np.argsort(counts, kind="stable")
    most, label = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    value_of, label_of = np.divmod(pairs[by_count], len(classes))
    most[value_of] = counts[by_count]  # the last one written is the largest
    label[value_of] = label_of
    wrong, most_frequent = n - int(most.sum()), int(sizes.max())
    if 2 * wrong > n - most_frequent:
        return 0.0
    if len(values) > len(classes):
        by_chance = (n - len(values)) * math.log(most_frequent / n) > math.log(CHANCE)
        alternating = 1 + np.count_nonzero(np.diff(label)) > 2 * len(classes)
        if by_chance or (ordered and not alternating):
            return 0.0
    return 1 - wrong / n


def share_by_interval(feature: Numbers, target: Numbers) -> float:
    """Return the accuracy when the feature is cut half-way between the medians of the classes.

    It is 0 unless adjacent medians are ``SPREADS`` interquartile ranges apart: so
    narrow are classes of features derived from labels, by a little noise for instance,
    while measurements that separate classes well reach 3 to 5. Classes with fewer than
    ``CLASS_SIZE`` examples have no interval.
    """
    labels, sizes = np.unique(target, return_inverse=True, return_counts=True)[1:]
    kept = np.flatnonzero(sizes >= CLASS_SIZE)
    if len(kept) < 2:
        return 0.0
    by_class = feature[np.lexsort((feature, labels))]
    first, last = (np.cumsum(sizes) - sizes)[kept], sizes[kept] - 1
    low, middle, high = (
        by_class[first + rank] for rank in (last // 4, last // 2, last - last // 4)
    )
    order = np.argsort(middle, kind="stable")
    spread, middle = (high - low)[order], middle[order]
    gaps = np.diff(middle)
    if (gaps <= 0).any() or (
        gaps < SPREADS * np.maximum(spread[1:], spread[:-1])
    ).any():
        return 0.0
    answers = kept[order][np.searchsorted(middle[:-1] + gaps / 2, feature)]
    return float((answers == labels).mean())


def squared_correlation(feature: Numbers, target: Numbers) -> float:
    """Return the squared correlation r², 0 for a constant.

    >>> round(squared_correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), 6)
    1.0
    """
    a, b = (_centred(values) for values in (feature, target))
    scale = float((a * a).sum() * (b * b).sum())
    return float((a * b).sum()) ** 2 / scale if scale > 0 else 0.0


def _centred(values: Numbers) -> Numbers:
    """Return centred values scaled to a maximum of 1, so that no square overflows or underflows."""
    largest = np.abs(values).max()
    scaled = values / largest if largest > 0 else values
    centred = scaled - scaled.mean()
    widest = np.abs(centred).max()
    return np.asarray(centred / widest if widest > 1e-14 else np.zeros_like(centred))
