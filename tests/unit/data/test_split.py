"""Splits and folds: every row once, shares kept, groups together; against scikit-learn where it has a counterpart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import model_selection
from sklearn.neighbors import KNeighborsClassifier

from deltarule import data
from deltarule.errors import ArgumentError, DataError


def assert_partition(parts, n):
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))


@pytest.mark.notes("DA-02", "DA-05")
@given(
    st.integers(2, 200), st.floats(0, 0.45), st.floats(0, 0.45), st.integers(-5, 2**70)
)
def test_parts_are_every_row_once_in_the_wanted_sizes(n, validation, test, seed):
    if round(n * validation) + round(n * test) >= n:
        return
    parts = data.split(n, validation, test, seed)
    assert_partition([parts.train, parts.validation, parts.test], n)
    assert (len(parts.validation), len(parts.test)) == (
        round(n * validation),
        round(n * test),
    )
    again = data.split(n, validation, test, seed)
    np.testing.assert_array_equal(parts.test, again.test)


def test_a_seed_chooses_the_rows_and_all_rows_are_equally_likely():
    assert not np.array_equal(
        data.split(100, seed=0).test, data.split(100, seed=1).test
    )
    counts = np.bincount(
        np.concatenate([data.split(20, test=0.25, seed=s).test for s in range(2000)])
    )
    assert abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


@given(
    st.lists(st.integers(0, 3), min_size=8, max_size=120),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
)
def test_stratified_parts_keep_the_shares_of_the_classes(labels, validation, test):
    y = np.array(labels)
    if round(len(y) * validation) + round(len(y) * test) >= len(y):
        return
    parts = data.split(len(y), validation, test, stratify=y)
    assert_partition([parts.train, parts.validation, parts.test], len(y))
    assert (len(parts.validation), len(parts.test)) == (
        round(len(y) * validation),
        round(len(y) * test),
    )
    for label in np.unique(y):
        of_class = (y == label).sum()
        for rows, share in (
            (parts.validation, len(parts.validation) / len(y)),
            (parts.test, len(parts.test) / len(y)),
        ):
            assert abs((y[rows] == label).sum() - of_class * share) < 2


@pytest.mark.notes("DA-06")
@given(st.lists(st.integers(0, 11), min_size=30, max_size=120), st.integers(0, 99))
def test_no_group_is_in_two_parts(groups, seed):
    g = np.array(groups)
    if len(np.unique(g)) < 4:
        return
    parts = data.split(len(g), 0.2, 0.2, seed, groups=g)
    assert_partition([parts.train, parts.validation, parts.test], len(g))
    held = [set(g[rows]) for rows in (parts.train, parts.validation, parts.test)]
    assert all(held)
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    largest = np.bincount(g).max()
    assert abs(len(parts.test) - 0.2 * len(g)) <= largest + 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"validation": 0.5, "test": 0.5}, ArgumentError, "sum < 1"),
        ({"validation": -0.1}, ArgumentError, "≥ 0"),
        ({"stratify": [0] * 10, "groups": [0] * 10}, ArgumentError, "both"),
        ({"stratify": [0, 1]}, DataError, "each of 10 rows"),
        ({"test": float("nan")}, ArgumentError, "nan"),
        (
            {"validation": "a"},
            ArgumentError,
            "split: expected fractions .* got validation='a' and test=0.2",
        ),
        ({"test": None}, ArgumentError, "test=None"),
        ({"seed": "a"}, ArgumentError, "split seed: expected a whole number, got 'a'"),
    ],
)
def test_split_refuses_what_it_cannot_do(arguments, error, message):
    with pytest.raises(error, match=message):
        data.split(10, **arguments)
    for count in (0, -1):
        with pytest.raises(
            DataError, match=f"training example, got {count} rows".replace("-", "−")
        ):
            data.split(count)
    for rows in ("a", 10.0, [1, 2], True, None):
        with pytest.raises(ArgumentError, match="split n: expected a whole number"):
            data.split(rows)


@pytest.mark.notes("C-DA-06", "DA-03", "DA-04")
def test_k_fold_of_the_course():
    folds = list(data.KFold(5).split(10))
    assert [test.tolist() for _, test in folds] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
        [8, 9],
    ]
    assert len(folds) == 5, "one fresh model for each fold"
    trained = np.bincount(np.concatenate([train for train, _ in folds]))
    np.testing.assert_array_equal(trained, 4)


@given(st.integers(2, 9), st.integers(9, 40))
def test_k_fold_without_shuffling_agrees_with_scikit_learn(k, n):
    theirs = model_selection.KFold(k).split(np.zeros(n))
    for (train, test), (their_train, their_test) in zip(
        data.KFold(k).split(n), theirs, strict=True
    ):
        np.testing.assert_array_equal(train, their_train)
        np.testing.assert_array_equal(test, their_test)


@given(
    st.integers(2, 5),
    st.integers(0, 99),
    st.lists(st.integers(0, 3), min_size=30, max_size=60),
)
def test_folds_validate_every_row_once(k, seed, labels):
    y = np.array(labels)
    assert_partition(
        [test for _, test in data.KFold(k, shuffle=True, seed=seed).split(len(y))],
        len(y),
    )
    if np.unique(y, return_counts=True)[1].min() < k:
        return
    folds = list(data.StratifiedKFold(k, seed=seed).split(y))
    assert_partition([test for _, test in folds], len(y))
    for train, test in folds:
        assert_partition([train, test], len(y))
    sizes = np.array(
        [[(y[test] == label).sum() for label in np.unique(y)] for _, test in folds]
    )
    assert np.ptp(sizes, axis=0).max() <= 1
    assert np.ptp(sizes.sum(axis=1)) <= 1


@pytest.mark.notes("DA-06")
def test_group_k_fold_divides_no_group_and_balances_as_scikit_learn_does():
    groups = np.repeat(np.arange(7), [9, 8, 7, 3, 3, 2, 1])
    folds = [test for _, test in data.GroupKFold(3).split(groups)]
    assert_partition(folds, len(groups))
    theirs = [
        test for _, test in model_selection.GroupKFold(3).split(groups, groups=groups)
    ]
    assert sorted(map(len, folds)) == sorted(map(len, theirs))
    for train, test in data.GroupKFold(3).split(groups):
        assert not set(groups[train]) & set(groups[test])


def test_folds_refuse_too_little():
    for splitter, rows, message in (
        (data.KFold(5), 4, "5 examples"),
        (data.StratifiedKFold(3), [0, 0, 0, 1], "1 of"),
        (data.StratifiedKFold(3), [], "no examples"),
        (data.GroupKFold(3), [0, 0, 1], "3 groups"),
    ):
        with pytest.raises(DataError, match=message):
            list(splitter.split(rows))
    for k in (1, "a", 2.5, None):
        with pytest.raises(ArgumentError, match="KFold k: expected a whole number ≥ 2"):
            data.KFold(k)
    with pytest.raises(ArgumentError, match="StratifiedKFold seed"):
        data.StratifiedKFold(3, seed="a")
    table, names = np.zeros((6, 2)), [0, 1] * 3
    for call, message in (
        (
            lambda: data.StratifiedKFold(2).split(table),
            r"labels \(N,\).*got an array of shape \(6, 2\)",
        ),
        (
            lambda: data.StratifiedKFold(2).split(table, names[:4]),
            r"got an array of shape \(4,\) for 6 rows",
        ),
        (lambda: data.GroupKFold(2).split(table), r"groups \(N,\)"),
        (
            lambda: data.GroupKFold(2).split(table, names),
            r"expected groups, got X and y alone",
        ),
        (
            lambda: data.KFold(2).split(None),
            "a number of rows, or what has rows, got NoneType",
        ),
    ):
        with pytest.raises(DataError, match=message):
            list(call())


@pytest.mark.notes("C-DA-09", "DA-06")
def test_near_copies_on_both_sides_make_a_model_look_good():
    """100 sources of 10 noisy copies with random labels: there is nothing to learn, yet a split of rows says 100 %."""
    random = np.random.default_rng(0)
    source = np.repeat(np.arange(100), 10)
    x = random.normal(size=(100, 5))[source] + 0.01 * random.normal(size=(1000, 5))
    y = random.integers(0, 2, 100)[source]

    def accuracy(parts):
        model = KNeighborsClassifier(1).fit(x[parts.train], y[parts.train])
        return model.score(x[parts.test], y[parts.test])

    assert accuracy(data.split(1000, test=0.2)) == 1.0
    by_group = np.mean(
        [accuracy(data.split(1000, test=0.2, seed=s, groups=source)) for s in range(10)]
    )
    assert 0.35 < by_group < 0.65
