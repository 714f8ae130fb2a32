"""Checks of data: each fault is refused with its place."""

import numpy as np
import pytest
from scipy import sparse

from deltarule.data import arrays, check_arrays, check_labels
from deltarule.errors import DataError, DTypeError

GOOD = np.zeros((3, 2), np.float32)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (
            [[1.0, np.nan], [np.inf, 1.0]],
            DataError,
            r"NaN in row 0, column 1 \(2 in all\)",
        ),
        ([[1.0, 2.0], [-np.inf, 1.0]], DataError, "an infinity in row 1, column 0"),
        ([1.0, np.nan], DataError, "NaN in row 1 "),
        (np.full((1, 2, 2, 1), np.nan), DataError, "row 0, position 0, 0, 0"),
        ([], DataError, "at least one example"),
        (np.zeros((0, 4)), DataError, r"\(0, 4\)"),
        (3.0, DataError, r"shape \(\)"),
        ([["a"], ["b"]], DTypeError, "numbers"),
        ([[1.0], [1.0, 2.0]], DTypeError, "equal length"),
        ([[1j]], DTypeError, "complex128"),
        (np.array([[None]]), DataError, "NaN in row 0"),
        (np.array(["2020-01-01"], "datetime64[D]"), DTypeError, "datetime64"),
        ({"a": [1.0, 2.0]}, DTypeError, "got a dict"),
        (sparse.csr_matrix(GOOD), DTypeError, r"Write X\.toarray\(\)"),
        (np.ma.masked_array(GOOD, GOOD == 0), DataError, "got a masked array"),
        ([GOOD, GOOD[:, :1]], DataError, "expected one array, got a list of 2 arrays"),
    ],
)
def test_inputs_that_cannot_be_trained_on(inputs, error, message):
    with pytest.raises(error, match=message):
        check_arrays(inputs)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, 1], DataError, "3 targets"),
        (1, DataError, r"shape \(\)"),
        ([0.0, np.nan, 1.0], DataError, "fit targets.*NaN in row 1"),
        (["a", "b", "c"], DTypeError, "LabelEncoder"),
    ],
)
def test_targets_that_cannot_be_trained_on(targets, error, message):
    with pytest.raises(error, match=message):
        check_arrays(GOOD, targets)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("f2", "f4"),
        ("f4", "f4"),
        ("f8", "f8"),
        (">f8", "f8"),
        (">f4", "f4"),
        ("u1", "u1"),
        (">i4", "i4"),
        ("?", "?"),
    ],
)
def test_types_after_the_check(given, kept):
    x, y = check_arrays(np.ones((2, 1), given), np.ones(2, given))
    assert x.dtype == np.dtype(kept)
    assert x.dtype.isnative
    assert y.dtype == (np.dtype(kept) if kept.startswith("f") else np.int64)
    np.testing.assert_array_equal(x, 1)


def test_several_inputs_are_told():
    with pytest.raises(
        DataError, match="fit inputs: expected one array, got a list of 2 arrays"
    ):
        check_arrays([GOOD, GOOD], [0, 1, 0])
    x, _ = check_arrays([GOOD, GOOD], [0, 1])  # two examples
    assert x.shape == (2, 3, 2)
    with pytest.raises(DataError, match="3 targets"):
        check_arrays(list(GOOD), [0, 1])
    x, _ = check_arrays(np.ma.masked_array(GOOD, mask=False))
    np.testing.assert_array_equal(x, GOOD)


def test_good_arrays_are_not_copied():
    assert check_arrays(GOOD)[0] is GOOD


@pytest.mark.parametrize(
    ("labels", "found"),
    [([0, 1, 3], "3 in row 2"), ([0, -1], "-1 in row 1"), ([0.0, 0.5], "0.5")],
)
def test_labels_outside_the_classes(labels, found):
    with pytest.raises(DataError, match=found):
        check_labels(np.array(labels), 3)
    check_labels(np.array([0, 1, 2]), 3)
    check_labels(np.array([], np.int64), 3)


@pytest.mark.parametrize("place", [None, (0, 0), (57, 2), (99, 2)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found_wherever_it_is(monkeypatch, place, bad):
    monkeypatch.setattr(arrays, "_CHUNK", 12)
    x = np.arange(300, dtype=np.float32).reshape(100, 3)
    if place is None:
        arrays.check_finite(x, "x")
        return
    x[place] = bad
    with pytest.raises(DataError, match=f"row {place[0]}, column {place[1]}"):
        arrays.check_finite(x, "x")
