"""Modules in the training loop: what is learned, what is kept, what is predicted, what a checkpoint gives back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression

import deltarule as dr
from deltarule import nn, optim
from deltarule.errors import ArgumentError, ShapeError

IRIS = load_iris()
X = ((IRIS.data - IRIS.data.mean(0)) / IRIS.data.std(0)).astype(np.float32)
Y = IRIS.target
QUIET = {"verbose": 0, "device": "reference"}


def _classifier() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 16), nn.BatchNorm(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3)
    )


def test_fit_evaluate_predict() -> None:
    model = _classifier()
    history = model.fit(
        X,
        Y,
        loss="cross_entropy",
        optimizer=optim.Adam(learning_rate=0.02),
        epochs=15,
        batch_size=30,
        metrics=["accuracy"],
        **QUIET,
    )
    assert history is model.last_history
    found = model.evaluate(X, Y, metrics=["accuracy"], device="reference")
    assert found["accuracy"] >= 0.95
    scores, probabilities = (
        model.predict(X, device="reference"),
        model.predict_proba(X, device="reference"),
    )
    np.testing.assert_allclose(scores, model(X).numpy(), rtol=1e-5, atol=1e-6)
    exponentials = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(
        probabilities, exponentials / exponentials.sum(1, keepdims=True), rtol=1e-5
    )
    assert np.mean(probabilities.argmax(1) == Y) == pytest.approx(found["accuracy"])
    assert np.abs(model[1].running_mean.numpy()).max() > 0


def test_a_dense_layer_finds_the_least_squares_solution() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 3))
    y = x @ [[1.0], [-2.0], [0.5]] + 3 + 0.1 * random.normal(size=(64, 1))
    model = nn.Linear(3, 1).astype("float64")
    model.fit(
        x,
        y,
        loss="mean_squared_error",
        optimizer=optim.SGD(learning_rate=0.3),
        epochs=300,
        batch_size=64,
        **QUIET,
    )
    oracle = LinearRegression().fit(x, y)
    np.testing.assert_allclose(model.weight.numpy(), oracle.coef_, atol=1e-10)
    np.testing.assert_allclose(model.bias.numpy(), oracle.intercept_, atol=1e-10)


@pytest.mark.notes("NN-08")
def test_frozen_layers_stay_and_the_rest_learns() -> None:
    model = _classifier()
    model.freeze("0", "1")
    before = model.state_dict()
    model.fit(X, Y, loss="cross_entropy", epochs=2, **QUIET)
    after = model.state_dict()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"4.weight", "4.bias"}


def test_a_checkpoint_gives_the_model_back(tmp_path: Path) -> None:
    model, path = _classifier(), tmp_path / "run.dr"
    model.fit(X, Y, loss="cross_entropy", epochs=2, checkpoint=path, **QUIET)
    twin = dr.load(path)
    np.testing.assert_array_equal(twin(X).numpy(), model(X).numpy())
    assert twin.last_loss == model.last_loss
    assert model.last_history is not None
    assert twin.last_history is not None
    assert twin.last_history.steps == model.last_history.steps
    np.testing.assert_array_equal(
        twin.predict_proba(X, device="reference"),
        model.predict_proba(X, device="reference"),
    )


def test_meaning_needs_a_loss_and_shapes_are_refused_before_a_step() -> None:
    model = _classifier()
    with pytest.raises(ArgumentError, match="a fitted model, or a loss, got neither"):
        model.predict_proba(X)
    assert model.predict_proba(
        X[:2], loss="cross_entropy", device="reference"
    ).shape == (2, 3)
    with pytest.raises(
        ShapeError, match=r"layer 1 \(Linear, \"0\"\): expected 4 features, got 3"
    ):
        model.fit(X[:, :3], Y, loss="cross_entropy", **QUIET)
