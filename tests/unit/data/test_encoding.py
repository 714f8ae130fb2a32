"""One-hot rows, labels, class weights and standardised features, against the course's tables and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import LabelBinarizer, MultiLabelBinarizer
from sklearn.preprocessing import StandardScaler as TheirScaler
from sklearn.utils.class_weight import compute_class_weight

from deltarule import data
from deltarule.errors import ArgumentError, DataError, ShapeError


@pytest.mark.notes("C-DA-01", "C-DA-02", "C-DA-03", "DA-07")
@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ([4], [[0, 0, 0, 0, 1]]),
        ([3, 0, 2], [[0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]]),
        ([5, 0, 4, 4, 3], np.eye(6)[[5, 0, 4, 4, 3]]),
        ([], np.zeros((0, 0))),
    ],
)
def test_one_hot_of_the_course(labels, rows):
    encoded = data.one_hot(labels)
    np.testing.assert_array_equal(encoded, rows)
    assert encoded.dtype == np.float32


@pytest.mark.notes("C-DA-05", "DA-10")
def test_labels_of_a_multi_class_task_are_the_rows_of_the_identity():
    np.testing.assert_array_equal(data.one_hot(np.arange(4)), np.eye(4))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_one_hot_and_back(labels):
    rows = data.one_hot(labels, 10)
    np.testing.assert_array_equal(data.from_one_hot(rows), labels)
    np.testing.assert_array_equal(
        rows, LabelBinarizer().fit(range(10)).transform(labels)
    )


def test_one_hot_keeps_leading_axes():
    assert data.one_hot([[0, 1], [1, 1]], 3).shape == (2, 2, 3)


@pytest.mark.parametrize("labels", [[0, 3], [-1], [0.5], ["a"]])
def test_one_hot_refuses_labels_outside(labels):
    with pytest.raises(DataError):
        data.one_hot(labels, 3)


@pytest.mark.parametrize("rows", [[[0, 0]], [[1, 1]], [[0.5, 0.5]], [0, 1], [[2, -1]]])
def test_from_one_hot_refuses_other_rows(rows):
    with pytest.raises(DataError, match="single 1"):
        data.from_one_hot(rows)


@pytest.mark.notes("DA-10")
def test_multi_hot_marks_every_label():
    groups = [[0, 2], [], [3, 1, 2]]
    theirs = MultiLabelBinarizer(classes=range(5)).fit_transform(groups)
    np.testing.assert_array_equal(data.multi_hot(groups, 5), theirs)
    assert data.multi_hot([[], []]).shape == (2, 0)
    with pytest.raises(DataError, match=r"0 … 1"):
        data.multi_hot([[0], [2]], 2)


@pytest.mark.notes("C-DA-04", "DA-08")
def test_categories_in_a_given_order_with_an_alias():
    encoder = data.LabelEncoder(
        order=["High", "Medium", "Low"], aliases={"Med": "Medium"}
    )
    labels = encoder.fit_transform(["High", "Medium", "Low", "Med"])
    np.testing.assert_array_equal(
        data.one_hot(labels, 3), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    )
    assert encoder.inverse_transform(labels) == ["High", "Medium", "Low", "Medium"]


def test_label_encoder_at_its_edges():
    assert data.LabelEncoder().fit_transform(["b", "a", "b"]).tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"'c' in row 1"):
        data.LabelEncoder().fit(["a", "b"]).transform(["a", "c"])
    with pytest.raises(DataError, match="fit first"):
        data.LabelEncoder().transform(["a"])
    with pytest.raises(DataError, match="0 … 1"):
        data.LabelEncoder().fit(["a", "b"]).inverse_transform([2])
    with pytest.raises(DataError, match="one type"):
        data.LabelEncoder().fit(np.array([1, "a"], object))
    with pytest.raises(ArgumentError, match="differ"):
        data.LabelEncoder(order=["a", "a"])
    with pytest.raises(ArgumentError, match="'x'"):
        data.LabelEncoder(order=["a"], aliases={"x": "b"})


@pytest.mark.notes("C-DA-08", "DA-15")
def test_balanced_class_weights_of_the_course():
    labels = np.repeat([0, 1], [10_000, 1_000])
    weights = data.balanced_class_weights(labels)
    np.testing.assert_allclose(weights, [0.55, 5.5], rtol=1e-15)
    assert np.bincount(labels, weights[labels])[0] == pytest.approx(
        np.bincount(labels, weights[labels])[1]
    )


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30).map(
        lambda more: [0, 1, 2, 3, 4, *more]
    )
)
def test_balanced_class_weights_agree_with_scikit_learn(labels):
    theirs = compute_class_weight("balanced", classes=np.arange(5), y=np.array(labels))
    np.testing.assert_allclose(data.balanced_class_weights(labels), theirs, rtol=1e-14)


def test_balanced_class_weights_refuse_what_has_no_weight():
    with pytest.raises(DataError, match="none of 1"):
        data.balanced_class_weights([0, 2])
    with pytest.raises(DataError, match="-1 in row 1"):
        data.balanced_class_weights([0, -1])


FEATURES = hnp.arrays(
    np.float64, (7, 3), elements=st.floats(-1e3, 1e3).map(lambda v: round(v, 3))
)


@pytest.mark.notes("DA-17")
@given(FEATURES, FEATURES)
def test_standard_scaler_agrees_with_scikit_learn(train, other):
    ours, theirs = data.StandardScaler().fit(train), TheirScaler().fit(train)
    np.testing.assert_allclose(
        ours.transform(other), theirs.transform(other), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(other)), other, rtol=1e-9, atol=1e-9
    )


def test_standard_scaler_on_constant_features_and_types():
    train = np.full((5, 2), 0.1)
    train[:, 1] = [1, 2, 3, 4, 5]
    scaler = data.StandardScaler().fit(train)
    np.testing.assert_array_equal(scaler.transform(train)[:, 0], 0)
    assert scaler.transform(train).dtype == np.float64
    assert scaler.transform(train.astype(np.float32)).dtype == np.float32
    assert scaler.transform([[1, 2]]).dtype == np.float32
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        scaler.transform(np.zeros((3, 4)))
    with pytest.raises(DataError, match="fit before"):
        data.StandardScaler().transform(train)
    with pytest.raises(DataError, match="row 2, column 1"):
        data.StandardScaler().fit(np.where(train == 3, np.nan, train))
