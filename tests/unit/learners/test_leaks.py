"""Features that are the target in another guise are found, and honest data are not accused."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from deltarule import data
from deltarule.errors import ArgumentError, DataError
from deltarule.learners import find_leaks, revealing_features, shared_rows
from deltarule.learners.model_selection.leakage import (
    share_by_interval,
    share_by_value,
    squared_correlation,
)
from support.oracles import pd, pl

RANDOM = np.random.default_rng(0)
COUNTS = np.arange(300)
SKEWED = RANDOM.permutation(300)
LABELS = RANDOM.integers(3, size=300)
NAMES = np.array(["cat", "dog", "eel"])[LABELS]
NOISE = RANDOM.normal(size=(300, 3))

GUISES: dict[str, tuple[Any, Any]] = {
    "twice a count": (2 * COUNTS, COUNTS),
    "twice a count, in another order": (2.0 * SKEWED - 7, SKEWED),
    "the count as a category, twice each": ((COUNTS // 2) * 10, COUNTS // 2),
    "a power of a count": (SKEWED.astype(float) ** 3, SKEWED),
    "a falling exponential of a number": (np.exp(-3 * NOISE[:, 0]), NOISE[:, 0]),
    "labels and noise": (LABELS + 1e-6 * NOISE[:, 0], LABELS),
    "labels as floats and noise": (LABELS + 1e-6 * NOISE[:, 0], LABELS.astype(float)),
    "other codes for labels and noise": (
        np.array([5.0, -1.0, 2.0])[LABELS] + 0.01 * NOISE[:, 0],
        LABELS,
    ),
    "codes for names and noise": (
        np.array([5.0, -1.0, 2.0])[LABELS] + 0.01 * NOISE[:, 0],
        NAMES,
    ),
    "two labels and noise": ((LABELS == 1) + 1e-6 * NOISE[:, 0], LABELS == 1),
    "an integer target and noise": (SKEWED + 1e-3 * NOISE[:, 0], SKEWED),
    "numbers with gaps": (np.where(COUNTS % 5, 3.0 * SKEWED, np.nan), SKEWED),
    "the number of a patient": (
        COUNTS // 4,
        np.random.default_rng(3).integers(2, size=75)[COUNTS // 4],
    ),
    "huge numbers": (SKEWED * 1e300, SKEWED),
    "tiny numbers": (SKEWED * 1e-300, SKEWED),
}


@pytest.mark.parametrize("guise", GUISES)
def test_the_target_in_another_guise_is_found(guise: str) -> None:
    feature, target = GUISES[guise]
    x = np.column_stack([NOISE[:, 1], feature, NOISE[:, 2]])
    leaks = find_leaks(x, NOISE[:2], target)
    assert [(leak.kind, leak.places) for leak in leaks] == [
        ("target among the features", (1,))
    ]
    assert revealing_features(x, target)[0][1] >= 0.9999


@pytest.mark.parametrize(
    "name", ["iris", "wine", "breast_cancer", "digits", "diabetes"]
)
def test_honest_data_are_not_accused(name: str) -> None:
    found = data.load(name)
    x, y = (
        np.asarray(found.inputs, np.float64).reshape(found.n_samples, -1),
        found.targets.ravel(),
    )
    assert revealing_features(x, y) == []
    if name == "diabetes":
        return
    for pair in combinations(
        np.unique(y), 2
    ):  # some pairs are told apart by one feature, as they are in nature
        rows = np.isin(y, pair)
        assert revealing_features(x[rows], y[rows]) == []


def test_chance_is_not_accused() -> None:
    for n in (2, 3, 5, 8, 12, 40):
        for seed in range(40):
            random = np.random.default_rng(seed)
            x = random.normal(size=(n, 5))
            for y in (
                random.normal(size=n),
                random.permutation(n),
                random.integers(2, size=n),
                np.arange(n) % 3,
            ):
                assert revealing_features(x, y) == []


def test_few_rows_that_agree_within_their_categories_are_chance() -> None:
    towns = np.repeat(np.arange(6), 2)
    x = pd.DataFrame({"town": [f"town {i}" for i in towns], "number": towns})
    assert revealing_features(x, towns % 2) == [], (
        "six pairs agree with a chance of 1/64"
    )
    many = np.repeat(np.arange(60), 2)
    x = pd.DataFrame({"town": [f"town {i}" for i in many], "number": many})
    assert revealing_features(x, many % 2) == [(0, 1.0), (1, 1.0)]


def test_a_rare_label_makes_no_leak_of_a_constant() -> None:
    random = np.random.default_rng(0)
    y = np.zeros(20_000, int)
    y[:1] = 1
    x = np.column_stack([np.ones(len(y)), random.integers(3, size=len(y))])
    assert revealing_features(x, y) == []
    assert [
        feature for feature, _ in revealing_features(np.column_stack([x, y]), y)
    ] == [2]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_text_are_compared_as_categories(
    library: str,
) -> None:
    random = np.random.default_rng(0)
    frame = {"pandas": pd, "polars": pl}[library].DataFrame
    columns = {
        "size": NOISE[:, 0].tolist(),
        "colour": random.choice(["red", "blue"], 300).tolist(),
        "kind": np.array(["mammal", "pet", "fish"])[LABELS].tolist(),
        "note": [None if i % 3 else "seen" for i in range(300)],
        "id": [f"row {i}" for i in range(300)],
    }
    table = frame(columns)
    rows = frame({name: values[:4] for name, values in columns.items()})
    leaks = find_leaks(table, rows, NAMES)
    assert [leak.kind for leak in leaks] == ["duplicates", "target among the features"]
    assert leaks[0].places == tuple((i, i) for i in range(4))
    assert (
        str(leaks[1])
        == "target among the features: feature 2 ('kind') alone predicts the target (100.00%)"
    )
    other = frame(
        {name: [*values[:3], values[5]] for name, values in columns.items()}
        | {"id": ["a", "b", "c", "d"]}
    )
    assert shared_rows(table, other) == []


def test_cells_of_several_kinds() -> None:
    rows = [[1, "a"], [2, "b"], [Decimal("2"), "b"], [None, "a"]]
    assert shared_rows(rows, [[2.0, "b"], [float("nan"), "a"], [1, "A"]]) == [
        (1, 0),
        (3, 1),
    ]
    missing = pd.DataFrame(
        {
            "n": pd.array([1, None, 3], "Int64"),
            "when": pd.to_datetime(["2020-01-01", None, "2021-01-01"]),
        }
    )
    assert shared_rows(missing, missing[1:]) == [(1, 0), (2, 1)]
    for bad, message in (
        (
            pd.DataFrame({"a": [1, 3], "b": [[2], [4]]}),
            r"shared_rows, feature 1: expected numbers or categories, got unhashable",
        ),
        ([[1, 2], [3]], "expected rows of equal length"),
        (
            [1.0, 2.0],
            r"rows \(N, features\) of numbers or categories, got float64 of shape \(2,\)",
        ),
        ([[1j, 2]], "got complex128"),
    ):
        with pytest.raises(DataError, match=message):
            shared_rows(bad, bad)
    with pytest.raises(ArgumentError, match="threshold"):
        revealing_features(NOISE, LABELS, threshold="a")  # type: ignore[arg-type]  # on purpose


def test_measures_against_their_definitions() -> None:
    random = np.random.default_rng(0)
    feature, target = (
        random.integers(5, size=200).astype(float),
        random.integers(3, size=200).astype(float),
    )
    feature[:150] = target[:150]
    right = sum(
        np.bincount(target[feature == value].astype(int)).max()
        for value in np.unique(feature)
    )
    assert share_by_value(feature, False, target) == pytest.approx(right / 200)
    a, b = NOISE[:, 0], NOISE[:, 0] + 0.1 * NOISE[:, 1]
    assert squared_correlation(a, b) == pytest.approx(stats.pearsonr(a, b)[0] ** 2)
    assert squared_correlation(a, np.ones(300)) == 0
    far = np.where(LABELS == 1, 10.0, 0.0) + 0.1 * NOISE[:, 0]
    far[np.flatnonzero(LABELS == 1)[:3]] = 0.0
    assert share_by_interval(far, (LABELS == 1).astype(float)) == pytest.approx(
        297 / 300
    )
    assert (
        share_by_interval(0.2 * far + 0.5 * NOISE[:, 1], (LABELS == 1).astype(float))
        == 0
    )
