"""Standardisation as a layer against scikit-learn's StandardScaler."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler as Oracle

from deltarule import nn
from deltarule.errors import ShapeError


@pytest.mark.notes("DA-17")
@pytest.mark.parametrize("shape", [(50, 3), (20, 4, 5, 3)])
def test_standardizes_features_as_scikit_learn_does(shape: tuple[int, ...]) -> None:
    data = np.random.default_rng(0).normal(
        loc=(5.0, -300.0, 0.0), scale=(2.0, 50.0, 1e-3), size=shape
    )
    layer = nn.Standardize(3).learn(data)
    expected = Oracle().fit_transform(data.reshape(-1, 3)).reshape(shape)
    assert np.allclose(layer(data.astype(np.float32)).numpy(), expected, atol=2e-4)


def test_inverse_undoes_it() -> None:
    data = (
        np.random.default_rng(1)
        .normal(loc=100.0, scale=20.0, size=(30, 2))
        .astype(np.float32)
    )
    there, back = (
        nn.Standardize(2).learn(data),
        nn.Standardize(2, inverse=True).learn(data),
    )
    assert np.allclose(back(there(data)).numpy(), data, rtol=1e-6)


def test_constant_feature_becomes_zero() -> None:
    data = np.full((10, 1), 7.0, np.float32)
    assert np.array_equal(
        nn.Standardize(1).learn(data)(data).numpy(), np.zeros((10, 1))
    )


def test_is_state_and_not_learned() -> None:
    model = nn.Sequential(nn.Standardize(2), nn.Linear(2, 1))
    assert [name for name, _ in model.named_state()] == ["0.mean", "0.deviation"]
    assert [name for name, _ in model.named_parameters()] == ["1.weight", "1.bias"]
    assert model[0].config() == {
        "class": "Standardize",
        "arguments": {"n_features": 2, "inverse": False},
    }


def test_other_number_of_features_is_refused() -> None:
    with pytest.raises(
        ShapeError, match=r"expected 3 features \(last axis\), got \(4, 2\)"
    ):
        nn.Standardize(3)(np.zeros((4, 2), np.float32))
