"""Predict and evaluate: batches, weights, and programs that are kept but never stale."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule import nn, train
from deltarule.errors import DataError
from deltarule.runtime import devices
from deltarule.tensor.tensor import Tensor


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def test_predict_compiles_once_and_sees_new_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, x = _model(), np.random.default_rng(0).random((5, 4), np.float32)
    before = model.predict(x)
    kept = len(devices._compiled)
    weight = model.parameters()[0]
    weight.assign(weight.numpy() * 2)
    after = model.predict(x, threads=None)
    assert len(devices._compiled) == kept
    np.testing.assert_allclose(after, model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(after - before).max() > 1e-3


def test_predict_sees_another_structure_of_the_same_model() -> None:
    class Switched(nn.Module):
        def __init__(self) -> None:
            self.linear, self.squash = nn.Linear(4, 3), nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            value: Tensor = self.squash(self.linear(x))
            return value

    model, x = Switched(), np.random.default_rng(0).random((5, 4), np.float32)
    model.predict(x)
    model.squash = nn.ReLU()
    np.testing.assert_allclose(model.predict(x), model(x).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_evaluate_weighs_the_loss_of_examples(device: str) -> None:
    generator = np.random.default_rng(1)
    model, x, y = (
        _model(),
        generator.random((7, 4), np.float32),
        generator.integers(0, 3, 7),
    )
    weight = generator.random(7)
    logits = model(x).numpy().astype(float)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(7), y]
    found = train.evaluate(
        model,
        x,
        y,
        "cross_entropy",
        ("accuracy",),
        batch_size=3,
        device=device,
        sample_weight=weight,
    )
    assert found["loss"] == pytest.approx((weight * losses).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == y).mean())


def test_evaluate_refuses_weights_of_another_length() -> None:
    with pytest.raises(DataError, match="7 weights"):
        train.evaluate(
            _model(),
            np.zeros((7, 4)),
            np.zeros(7, int),
            "cross_entropy",
            sample_weight=np.ones(6),
        )
