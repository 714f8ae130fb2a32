"""Scalers, encoders and folds inside scikit-learn: pipelines, clones, searches; its own as oracles."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn import model_selection, preprocessing
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from deltarule import data
from deltarule.errors import ArgumentError, DataError
from deltarule.learners import KNNClassifier, SoftmaxRegression

WINE = data.load("wine")
X, Y = np.asarray(WINE.inputs, np.float64), WINE.targets
# Group k has k + 1 rows: the order of groups of one size is not scikit-learn's to promise.
GROUPS = (np.sqrt(8 * np.arange(len(X)) + 1).astype(int) - 1) // 2


def test_the_scaler_is_a_step_of_a_pipeline() -> None:
    ours = make_pipeline(data.StandardScaler(), SoftmaxRegression())
    theirs = make_pipeline(preprocessing.StandardScaler(), SoftmaxRegression())
    np.testing.assert_allclose(
        ours.fit(X, Y).predict_proba(X), theirs.fit(X, Y).predict_proba(X), atol=1e-10
    )
    np.testing.assert_allclose(
        cross_val_score(ours, X, Y, cv=3),
        cross_val_score(theirs, X, Y, cv=3),
        rtol=0,
        atol=0,
    )
    assert "StandardScaler" in repr(ours) and "StandardScaler" in ours._repr_html_()


def test_a_pipeline_of_the_scaler_alone_and_one_that_is_not_fitted() -> None:
    pipe = make_pipeline(data.StandardScaler())
    with pytest.raises(NotFittedError):
        check_is_fitted(pipe)
    with pytest.raises(NotFittedError):
        check_is_fitted(data.StandardScaler())
    wanted = preprocessing.StandardScaler().fit_transform(X)
    np.testing.assert_allclose(pipe.fit(X).transform(X), wanted, atol=1e-12)
    check_is_fitted(pipe)
    columns = ColumnTransformer(
        [("scaled", data.StandardScaler(), [0, 2])], remainder="passthrough"
    ).fit_transform(X)
    np.testing.assert_allclose(columns[:, :2], wanted[:, [0, 2]], atol=1e-12)
    target = TransformedTargetRegressor(
        LinearRegression(), transformer=data.StandardScaler()
    ).fit(X, X[:, 0])
    np.testing.assert_allclose(target.predict(X), X[:, 0], rtol=1e-9)


def test_clones_are_unfitted_and_have_the_same_parameters() -> None:
    scaler = clone(data.StandardScaler().fit(X))
    assert (
        scaler.mean_ is None
        and scaler.get_params() == {}
        and scaler.set_params() is scaler
    )
    with pytest.raises(
        ArgumentError,
        match=r"StandardScaler.set_params: expected no parameters.* got 'copy'",
    ):
        scaler.set_params(copy=True)
    encoder = data.LabelEncoder(order=["low", "high"], aliases={"hi": "high"})
    assert encoder.get_params() == {"order": ["low", "high"], "aliases": {"hi": "high"}}
    assert clone(encoder).fit_transform(["hi", "low"]).tolist() == [1, 0]
    learned = data.LabelEncoder().fit(["b", "a"])
    check_is_fitted(learned)
    assert clone(learned).classes_ == []
    assert encoder.set_params(order=["high", "low"]).transform(
        ["hi", "low"]
    ).tolist() == [0, 1]
    with pytest.raises(ArgumentError, match="order: expected categories that differ"):
        encoder.set_params(order=["a", "a"])
    assert encoder.order == ["high", "low"], "a refused change changes nothing"
    with pytest.raises(ArgumentError, match="one of order, aliases, got 'sort'"):
        encoder.set_params(sort=True)
    with pytest.raises(
        DataError,
        match=r"one list of categories \(N,\), got an array of shape \(2, 1\)",
    ):
        data.LabelEncoder().fit_transform([["a"], ["b"]])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (data.KFold(3), list(model_selection.KFold(3).split(X))),
        (data.StratifiedKFold(3, seed=1), None),
        (
            data.GroupKFold(3),
            list(model_selection.GroupKFold(3).split(X, groups=GROUPS)),
        ),
    ],
    ids=["KFold", "StratifiedKFold", "GroupKFold"],
)
def test_scikit_learn_takes_the_folds(
    ours: data.KFold, theirs: list[tuple[np.ndarray, np.ndarray]] | None
) -> None:
    learner = KNNClassifier(3)
    folds = list(ours.split(X, Y, GROUPS))
    assert ours.get_n_splits(X, Y, GROUPS) == ours.get_n_splits() == len(folds) == 3
    scores = cross_val_score(learner, X, Y, groups=GROUPS, cv=ours)
    np.testing.assert_array_equal(scores, cross_val_score(learner, X, Y, cv=folds))
    if theirs is not None:
        wanted = cross_val_score(learner, X, Y, cv=theirs)
        np.testing.assert_array_equal(np.sort(scores), np.sort(wanted))
    else:
        assert all(
            np.ptp([np.bincount(Y[test])[label] for _, test in folds]) <= 1
            for label in range(3)
        )
    search = GridSearchCV(learner, {"n_neighbors": [1, 3]}, cv=ours).fit(
        X, Y, groups=GROUPS
    )
    assert search.n_splits_ == 3 and clone(search).cv == ours
    assert cross_val_predict(learner, X, Y, groups=GROUPS, cv=ours).shape == Y.shape
    with pytest.raises(DataError, match=r"GroupKFold: expected groups"):
        list(data.GroupKFold(3).split(X, Y))


def test_folds_of_tables_lists_and_sparse_matrices() -> None:
    wanted = [test.tolist() for _, test in data.KFold(2).split(5)]
    for rows in (
        np.int64(5),
        [0] * 5,
        np.zeros((5, 2)),
        sparse.csr_matrix(np.zeros((5, 2))),
    ):
        assert [test.tolist() for _, test in data.KFold(2).split(rows)] == wanted
    by_label = [
        test.tolist()
        for _, test in data.StratifiedKFold(2, seed=np.int64(3)).split([0, 1] * 3)
    ]
    table = sparse.csr_matrix(np.zeros((6, 2)))
    assert [
        test.tolist()
        for _, test in data.StratifiedKFold(2, seed=3).split(table, [0, 1] * 3)
    ] == by_label


def test_data_does_without_scikit_learn() -> None:
    program = (
        "import sys; from deltarule import data; data.StandardScaler().fit_transform([[1.0], [2.0]], [0, 1]);"
        "data.LabelEncoder().get_params(); list(data.KFold(2).split([1, 2], [0, 1]));"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
