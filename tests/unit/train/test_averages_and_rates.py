"""Averaged weights in validation, the range test of learning rates, penalties of masked layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn, optim
from deltarule.errors import ArgumentError, DataError
from deltarule.optim.wrappers import with_rate
from deltarule.train import (
    Callback,
    EarlyStopping,
    UseAverages,
    checkpoint,
    fit,
    learning_rate_range,
)

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 0.1).astype(np.float32)


def line() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 1, bias=False, seed=1))


class StopAt(Callback):
    every = 1

    def __init__(self, step: int) -> None:
        self.step = step

    def on_steps(self, session: Any) -> None:
        if session.step == self.step:
            raise KeyboardInterrupt


# ---------------------------------------------------------------- averages


def _by_hand(decay: float, rate: float, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent on the whole data, in float64: the weights and their moving average."""
    w = line()[0].weight.numpy().astype(np.float64)
    mean = w.copy()
    for _ in range(epochs):
        w = w - rate * 2 * ((X.astype(np.float64) @ w.T - Y).T @ X) / len(X)
        mean = decay * mean + (1 - decay) * w
    return w, mean


@pytest.mark.parametrize("every", [1, 2])
def test_validation_and_the_model_have_the_averages(every: int) -> None:
    recipe: optim.Optimizer = optim.EMA(inner=optim.SGD(learning_rate=0.05), decay=0.8)
    recipe = (
        optim.GradientAccumulation(inner=recipe, every=every) if every > 1 else recipe
    )
    model = line()
    history = fit(
        model,
        X,
        Y,
        loss="mean_squared_error",
        optimizer=recipe,
        epochs=8 * every,
        batch_size=40,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[UseAverages()],
    )
    weights, mean = _by_hand(0.8, 0.05, 8)
    np.testing.assert_allclose(model[0].weight.numpy(), mean, rtol=1e-5)
    assert np.abs(weights - mean).max() > 0.1
    expected = float(((X @ mean.T - Y) ** 2).mean())
    assert history.epochs[-1]["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert history.epochs[-1]["loss"] != pytest.approx(expected, rel=1e-2)


def test_early_stopping_keeps_the_best_averages_and_runs_resume(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "loss": "mean_squared_error",
        "optimizer": optim.EMA(
            inner=optim.SGD(learning_rate=0.1, momentum=0.9), decay=0.7
        ),
        "epochs": 12,
        "batch_size": 7,
        "verbose": 0,
        "validation_data": (X[:9], Y[:9] + 0.3),
    }
    callbacks = lambda stop: [EarlyStopping(patience=20), UseAverages(), StopAt(stop)]  # noqa: E731  # a new set each
    whole, part, again = line(), line(), line()
    history = fit(whole, X, Y, callbacks=callbacks(0), **options)
    best = min(epoch["val_loss"] for epoch in history.epochs)
    found = float(((whole(X[:9]).numpy() - Y[:9] - 0.3) ** 2).mean())
    assert found == pytest.approx(best, rel=1e-5)
    path = tmp_path / "run.dr"
    fit(part, X, Y, callbacks=callbacks(20), checkpoint=path, **options)
    resumed = fit(
        again, X, Y, callbacks=callbacks(0), checkpoint=path, resume=True, **options
    )
    assert again[0].weight.numpy().tobytes() == whole[0].weight.numpy().tobytes()
    assert resumed.step_losses == history.step_losses


def test_a_checkpoint_with_the_old_name_of_an_optimiser_is_resumed(
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {
        "loss": "mean_squared_error",
        "optimizer": optim.EMA(inner=optim.SGD(learning_rate=0.1), decay=0.7),
        "batch_size": 7,
        "verbose": 0,
        "checkpoint": tmp_path / "run.dr",
    }
    whole, part = line(), line()
    fit(whole, X, Y, epochs=4, **{**options, "checkpoint": tmp_path / "whole.dr"})
    fit(part, X, Y, epochs=2, **options)
    held = checkpoint.read(options["checkpoint"], "checkpoint")
    assert held.document["signature"]["optimizer"]["optimizer"] == "EMA"
    held.document["signature"]["optimizer"]["optimizer"] = "Averaged"
    checkpoint.write(options["checkpoint"], "checkpoint", held.arrays, held.document)
    fit(part, X, Y, epochs=4, resume=True, **options)
    assert part[0].weight.numpy().tobytes() == whole[0].weight.numpy().tobytes()


def test_averages_need_an_optimiser_that_averages() -> None:
    with pytest.raises(ArgumentError, match=r"UseAverages: .* got SGD"):
        fit(
            line(),
            X,
            Y,
            loss="mean_squared_error",
            optimizer="sgd",
            callbacks=[UseAverages()],
            verbose=0,
        )


# ---------------------------------------------------------------- range test


def test_the_range_test_finds_the_rates_that_descend() -> None:
    """On a quadratic of curvature h the loss falls for η < 2/h and grows beyond: both ends are found."""
    model = line()
    before = model.state_dict()
    found = learning_rate_range(
        model,
        X,
        Y,
        loss="mean_squared_error",
        optimizer=optim.SGD(learning_rate=9.0),
        lowest=1e-4,
        highest=100.0,
        batch_size=40,
        steps=120,
    )
    curvature = np.linalg.eigvalsh(2 * X.T.astype(np.float64) @ X / len(X)).max()
    assert found.suggestion < 2 / curvature < (found.highest or np.inf)
    assert found.highest is not None and found.highest < 100
    assert found.suggestion > 1e-3
    np.testing.assert_allclose(
        np.diff(np.log(found.rates)), np.log(1e6) / 119, rtol=1e-9
    )
    first = float(((X @ before["0.weight"].T - Y) ** 2).mean())
    assert found.losses[0] == pytest.approx(first, rel=1e-5)
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    np.testing.assert_array_equal(
        model.state_dict()["0.weight"], before["0.weight"]
    )  # the model stays as it was
    assert "diverges at" in repr(found)


def test_the_range_test_is_one_pass_by_default_and_puts_running_state_back() -> None:
    model = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm(4), nn.Dropout(0.2), nn.Linear(4, 1)
    )
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    large = np.tile(X, (10, 1)), np.tile(Y, (10, 1))
    one = learning_rate_range(
        model, *large, loss="mean_squared_error", batch_size=4, highest=1.0, seed=3
    )
    two = learning_rate_range(
        model, *large, loss="mean_squared_error", batch_size=4, highest=1.0, seed=3
    )
    assert len(one.rates) == 100 and one.losses.tolist() == two.losses.tolist()
    assert {
        name: value.tobytes() for name, value in model.state_dict().items()
    } == before
    small = learning_rate_range(
        model, X, Y, loss="mean_squared_error", batch_size=8, highest=1.0
    )
    assert len(small.rates) == 50
    with pytest.raises(ArgumentError):
        learning_rate_range(model, X, Y, loss="no loss")
    assert {
        name: value.tobytes() for name, value in model.state_dict().items()
    } == before


def test_wrappers_take_the_growing_rate_inside() -> None:
    schedule = optim.ExponentialDecay(0.1, decay=2.0)
    inner = with_rate(
        optim.EMA(inner=optim.GradientAccumulation(inner=optim.Adam(), every=2)),
        schedule,
        "here",
    )
    assert inner.learning_rate == schedule and inner.inner.inner == optim.Adam(
        learning_rate=schedule
    )
    with pytest.raises(ArgumentError, match=r"here optimizer: .* got ParamGroups"):
        with_rate(optim.ParamGroups(), schedule, "here")


def test_misspelt_options_of_the_range_test_are_answered_with_the_right_name() -> None:
    for wrong, right in (
        ("batchsize", "batch_size"),
        ("regularizer", "regularizers"),
        ("sample_weights", "sample_weight"),
        ("lowst", "lowest"),
    ):
        with pytest.raises(ArgumentError, match=r"^learning_rate_range") as caught:
            learning_rate_range(line(), X, Y, loss="mean_squared_error", **{wrong: 1})
        assert f"Did you mean {right}= for {wrong}=?" in caught.value.hint
    with pytest.raises(ArgumentError, match="got callbacks="):
        learning_rate_range(line(), X, Y, loss="mean_squared_error", callbacks=[])


def test_the_range_test_takes_the_options_of_fit_by_name() -> None:
    weights = np.linspace(0.5, 1.5, len(X))
    given = {"loss": "mean_squared_error", "steps": 10, "highest": 1.0}
    plain = learning_rate_range(line(), X, Y, **given)
    weighted = learning_rate_range(line(), X, Y, sample_weight=weights, **given)
    in_order = learning_rate_range(line(), X, Y, shuffle=False, **given)
    by_reference = learning_rate_range(line(), X, Y, device="reference", **given)
    assert not np.array_equal(plain.losses, weighted.losses)
    assert not np.array_equal(plain.losses, in_order.losses)
    np.testing.assert_allclose(plain.losses, by_reference.losses, rtol=1e-4)
    penalised = learning_rate_range(
        line(),
        X,
        Y,
        augment=lambda x, seed, epoch: 2 * x,
        regularizers=[losses.L2(strength=0.1)],
        threads=1,
        **given,
    )
    assert not np.array_equal(plain.losses, penalised.losses)


def test_arguments_of_the_range_test() -> None:
    for wrong in (
        {"lowest": 0.0},
        {"lowest": 1.0, "highest": 0.1},
        {"steps": 4},
        {"steps": 10.0},
    ):
        with pytest.raises(ArgumentError, match="learning_rate_range"):
            learning_rate_range(line(), X, Y, loss="mean_squared_error", **wrong)
    with pytest.raises(DataError, match="three steps with a finite loss"):
        learning_rate_range(
            line(),
            X,
            Y,
            loss="mean_squared_error",
            optimizer="sgd",
            lowest=1e30,
            highest=1e38,
            batch_size=40,
        )


# ---------------------------------------------------------------- masked layers


@pytest.mark.notes("REG-12", "REG-13", "NN-15")
def test_the_row_penalty_sees_the_matrix_of_a_masked_layer() -> None:
    """λ/n·Σ‖W‖_∞: rows of the whole matrix, a subgradient on the edges of the heaviest row alone."""
    mask = [[1, 1, 0], [0, 0, 1], [1, 0, 1]]
    model = nn.Sequential(
        nn.MaskedLinear(mask, bias=False), nn.Linear(3, 1, bias=False)
    )
    model[0].assign_matrix([[1, -2, 0], [0, 0, 2.5], [0.5, 0, 0.25]])
    model[1].weight.assign([[1.0, -4.0, 0.0]])
    penalty = losses.LInfinity(strength=0.5)
    value = penalty(model.named_matrices())
    assert value.item() == pytest.approx(0.25 * (3 + 5))
    slopes = dr.grad(value, [model[0].weight, model[1].weight])
    assert slopes[0].tolist() == [0.25, -0.25, 0, 0, 0] and slopes[1].tolist() == [
        [0.25, -0.25, 0]
    ]

    x = np.zeros((4, 3), np.float32)
    before = model[0].weight.numpy()
    history = fit(
        model,
        x,
        np.zeros((4, 1), np.float32),
        loss="mean_squared_error",
        optimizer=optim.SGD(learning_rate=0.1),
        epochs=1,
        batch_size=4,
        regularizers=[penalty],
        verbose=0,
    )
    assert history.epochs[0]["penalty"] == pytest.approx(2.0)
    np.testing.assert_allclose(
        model[0].weight.numpy(),
        before - 0.1 * np.array([0.25, -0.25, 0, 0, 0]),
        rtol=1e-6,
    )
    assert not model[0].matrix().numpy()[~np.array(mask, bool)].any()


def test_matrices_of_frozen_and_dense_layers() -> None:
    model = nn.Sequential(
        nn.MaskedLinear([[1, 0]]), nn.MaskedLinear(np.ones((2, 1))), nn.Linear(2, 1)
    )
    assert [name for name, _ in model.named_matrices()] == [
        name for name, _ in model.named_parameters()
    ]
    assert dict(model.named_matrices())["0.weight"].shape == (1, 2)
    assert dict(model.named_matrices())["1.weight"] is model[1].weight
    model.freeze("0")
    assert "0.weight" not in dict(model.named_matrices())
