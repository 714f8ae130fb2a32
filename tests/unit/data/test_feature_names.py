"""Scalers inside scikit-learn's compositions: names of columns, frames, clones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.preprocessing import StandardScaler as Reference

from deltarule.data import StandardScaler
from deltarule.errors import ArgumentError, ShapeError
from deltarule.learners import PCA
from support.oracles import pd, pl


@pytest.fixture
def frame() -> Any:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.normal(40, 9, 12),
            "pay": random.normal(3e4, 5e3, 12),
            "city": list("abcabcabcabc"),
        }
    )


def _columns(scaler: Any) -> Any:
    return ColumnTransformer(
        [
            ("numbers", scaler, ["age", "pay"]),
            ("kinds", OneHotEncoder(sparse_output=False), ["city"]),
        ]
    )


@pytest.mark.notes("DA-17")
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_columns_have_the_names_that_scikit_learns_have(
    frame: Any, output: str
) -> None:
    ours, theirs = _columns(StandardScaler()), _columns(Reference())
    found, expected = (
        made.set_output(transform=output).fit_transform(frame)
        for made in (ours, theirs)
    )
    assert (
        ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    )
    assert type(found) is type(expected)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-12)
    if output != "default":
        assert list(found.columns) == list(expected.columns)


def test_frames_come_out_where_asked_for(frame: Any) -> None:
    table = frame[["age", "pay"]].set_index(pd.Index(range(100, 112)))
    scaler = StandardScaler().set_output(transform="pandas")
    found = clone(scaler).fit_transform(table)
    assert found.columns.tolist() == ["age", "pay"] and found.index.tolist() == list(
        range(100, 112)
    )
    assert isinstance(StandardScaler().fit_transform(table), np.ndarray)
    assert isinstance(
        scaler.fit(table).set_output(transform="polars").transform(table), pl.DataFrame
    )
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(StandardScaler().fit_transform(table), pd.DataFrame)
    assert isinstance(scaler.set_output().transform(table), pl.DataFrame)
    images = (
        StandardScaler()
        .set_output(transform="pandas")
        .fit_transform(np.ones((3, 2, 2)))
    )
    assert images.shape == (3, 2, 2)


def test_names_go_through_pipelines_and_unions(frame: Any) -> None:
    table = frame[["age", "pay"]]
    chain = make_pipeline(StandardScaler(), PCA(1)).fit(table)
    assert chain.get_feature_names_out().tolist() == ["pca0"] and chain[
        :-1
    ].get_feature_names_out().tolist() == [
        "age",
        "pay",
    ]
    union = FeatureUnion([("scaled", StandardScaler()), ("turned", PCA(2))]).fit(table)
    assert union.get_feature_names_out().tolist() == [
        "scaled__age",
        "scaled__pay",
        "turned__pca0",
        "turned__pca1",
    ]
    plain = StandardScaler().fit(table.to_numpy())
    assert (
        plain.get_feature_names_out().tolist()
        == Reference().fit(table.to_numpy()).get_feature_names_out().tolist()
    )
    assert (
        plain.get_feature_names_out(["a", "b"]).tolist() == ["a", "b"]
        and plain.n_features_in_ == 2
    )


def test_wrong_names_are_told(frame: Any) -> None:
    scaler = StandardScaler()
    with pytest.raises(ArgumentError, match="fit has seen"):
        scaler.get_feature_names_out()
    scaler.fit(frame[["age", "pay"]])
    with pytest.raises(ShapeError, match="2 names, one a feature"):
        scaler.get_feature_names_out(["a"])
    with pytest.raises(ArgumentError, match="the names of fit"):
        scaler.get_feature_names_out(["a", "b"])
    with pytest.raises(
        ArgumentError, match="set_output transform: expected one of 'default'"
    ):
        scaler.set_output(transform="arrow")
    scaler.fit(frame[["age", "pay"]].to_numpy())
    assert not hasattr(scaler, "feature_names_in_")
