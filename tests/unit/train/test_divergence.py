"""NaN and infinity: the step and the first operation are named, the weights before it are kept."""

from __future__ import annotations

import numpy as np
import pytest

from deltarule import optim
from deltarule.errors import DivergenceError
from deltarule.tensor.functional import exp, log, sqrt
from deltarule.tensor.tensor import parameter
from deltarule.train import Callback, ForwardResult, TerminateOnNaN, fit
from deltarule.train.steps import replay_log


class Scale:
    """ŷ = f(w·x) with one weight."""

    def __init__(self, function=lambda z: z, start=1.0):
        self.w, self.function = parameter(np.array([start], np.float32), "w"), function

    def named_parameters(self):
        return [("w", self.w)]

    def named_state(self):
        return []

    def apply(self, inputs, *, mode, seed, step):
        return ForwardResult(self.function(inputs * self.w))

    def config(self):
        return None


X = np.ones((8, 1), np.float32)
TOO_FAST = {
    "loss": "mean_squared_error",
    "optimizer": optim.SGD(learning_rate=30.0),
    "batch_size": 4,
    "verbose": 0,
}


def _diverging_step(rate):
    """Return the first step (from 0) whose loss is not finite, and the weight before it; w ← w − 2·rate·w."""
    w, step = np.float32(1.0), 0
    with np.errstate(all="ignore"):
        while np.isfinite(np.mean(np.square(w * X))):
            w = np.float32(w + -(np.float32(2.0) * w) * np.float32(rate))
            step += 1
    return step, w


@pytest.mark.parametrize("epochs", [40, 400])
def test_a_rate_too_high_is_told_with_its_step(epochs):
    """The loss is w²: it overflows when |w| > √(largest float32)."""
    model = Scale()
    step, w = _diverging_step(30.0)
    with pytest.raises(DivergenceError) as caught:
        fit(model, X, np.zeros((8, 1)), **TOO_FAST, epochs=epochs)
    text = str(caught.value)
    assert f"step {step + 1} (epoch {step // 2 + 1})" in text
    assert "multiply" in text and "Lower the learning rate" in text
    np.testing.assert_allclose(model.w.numpy(), [w], rtol=1e-4)
    assert np.isfinite(model.w.numpy()).all()


@pytest.mark.parametrize(
    ("function", "word", "advice"),
    [
        (
            lambda z: log(z - 1.0),
            "log of subtract (4, 1) in [0, 0]",
            "keep its argument away from 0",
        ),
        (
            lambda z: exp(z * 100.0),
            "exp of multiply (4, 1) in [100, 100]",
            "overflowed",
        ),
        (lambda z: sqrt(z - 2.0), "sqrt of", "inside the root"),
        (lambda z: 1.0 / (z - 1.0), "divide of", "constant to the divisor"),
    ],
)
def test_the_first_operation_is_named_with_advice(function, word, advice):
    with pytest.raises(DivergenceError) as caught:
        fit(
            Scale(function),
            X,
            np.zeros((8, 1)),
            loss="mean_squared_error",
            epochs=2,
            batch_size=4,
            verbose=0,
        )
    assert "step 1 (epoch 1)" in str(caught.value)
    assert word in str(caught.value) and advice in str(caught.value)


class Cascade:
    """log(w·x) with parameters named as those of layers are."""

    def __init__(self, weight, function):
        self.weight, self.function = (
            parameter(np.full((1, 1), weight, np.float32), name="encoder.1.weight"),
            function,
        )

    def named_parameters(self):
        return [("encoder.1.weight", self.weight)]

    def named_state(self):
        return []

    def apply(self, inputs, *, mode, seed, step):
        return ForwardResult(self.function(inputs @ self.weight))

    def config(self):
        return None


@pytest.mark.parametrize(
    ("weight", "function", "place"),
    [(3e38, lambda z: z, "in layer encoder.1"), (-1.0, log, "after layer encoder.1")],
)
def test_the_layer_is_named(weight, function, place):
    with pytest.raises(DivergenceError, match=place):
        fit(
            Cascade(weight, function),
            10 * X,
            np.zeros((8, 1)),
            loss="mean_absolute_error",
            epochs=1,
            batch_size=4,
            verbose=0,
        )


def test_an_update_that_breaks_a_weight_is_told_even_at_the_last_step():
    """The loss √w is 0 at w = 0; its slope is not finite."""
    model = Scale(sqrt, start=0.0)
    with pytest.raises(DivergenceError, match=r"step 1 \(epoch 1\)") as caught:
        fit(
            model,
            X,
            np.zeros((8, 1)),
            loss="mean_absolute_error",
            optimizer=optim.SGD(learning_rate=0.1),
            epochs=1,
            batch_size=8,
            verbose=0,
        )
    assert "makes w NaN or infinite" in str(caught.value)
    assert model.w.numpy() == 0.0


def test_an_update_that_breaks_a_weight_is_told_at_its_own_step():
    """As above, then another step: its loss is NaN, but the update before it is to blame."""
    with pytest.raises(DivergenceError, match=r"step 1 \(epoch 1\)"):
        fit(
            Scale(sqrt, start=0.0),
            X,
            np.zeros((8, 1)),
            loss="mean_absolute_error",
            epochs=3,
            batch_size=4,
            verbose=0,
            optimizer=optim.SGD(learning_rate=0.1),
        )


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_snapshots_before_every_chunk_share_memory_and_restore_the_state(
    device, monkeypatch
):
    monkeypatch.setattr(replay_log, "_SNAPSHOT_SECONDS", -1.0)
    model, seen = Scale(), []

    class Epochs(Callback):
        def on_epoch_end(self, session, epoch, logs):
            seen.append(epoch)

    step, w = _diverging_step(30.0)
    with pytest.raises(DivergenceError, match=rf"step {step + 1} "):
        fit(
            model,
            X,
            np.zeros((8, 1)),
            **TOO_FAST,
            epochs=40,
            device=device,
            callbacks=[Epochs()],
        )
    assert len(seen) == step // 2
    assert model.w.numpy() == w


def test_a_run_may_end_in_peace():
    model = Scale()
    history = fit(
        model, X, np.zeros((8, 1)), **TOO_FAST, epochs=400, callbacks=[TerminateOnNaN()]
    )
    step, _ = _diverging_step(30.0)
    assert (
        history.steps == step
        and history.stopped_early
        and "learning rate" in history.stop_reason
    )
    assert np.isfinite(history.step_losses).all() and np.isfinite(model.w.numpy()).all()


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("rate", [1e39, 1e200])
def test_a_rate_beyond_the_element_type_diverges(device, rate):
    model = Scale()
    with pytest.raises(DivergenceError, match="step 1"):
        fit(
            model,
            X,
            0 * X,
            loss="mean_squared_error",
            optimizer=optim.SGD(learning_rate=rate),
            epochs=1,
            verbose=0,
            device=device,
        )
    assert model.w.item() == 1.0
