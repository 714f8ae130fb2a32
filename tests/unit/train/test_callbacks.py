"""Early stopping, plateaus, factors, the logger: against runs written out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from deltarule import optim
from deltarule.errors import ArgumentError
from deltarule.train import (
    Callback,
    EarlyStopping,
    History,
    JSONLinesLogger,
    LearningRateFactor,
    ReduceOnPlateau,
    fit,
)


class Stage:
    """A session of given values, one an epoch."""

    def __init__(self):
        self.stop, self.learning_rate_factor, self.history, self.step = (
            False,
            1.0,
            History(),
            0,
        )
        self.restored = None

    def weights(self):
        return {"w": np.array([float(self.step)])}

    def set_weights(self, weights):
        self.restored = float(weights["w"][0])

    def play(self, callback, name, values):
        """Return the epoch (from 1) after which the run is stopped."""
        for epoch, value in enumerate(values, 1):
            self.step = epoch
            callback.on_epoch_end(self, epoch, {name: value})
            if self.stop:
                break
        callback.on_train_end(self)
        return epoch


@pytest.mark.notes("REG-14")
@pytest.mark.parametrize(
    ("options", "name", "values", "stopped", "best"),
    [
        ({"patience": 2}, "val_loss", [5, 4, 3, 3.5, 3.2, 1], 5, 3),
        (
            {"patience": 1},
            "val_loss",
            [5, 4, 4, 3],
            3,
            2,
        ),  # no improvement is no improvement
        ({"patience": 3}, "val_loss", [5, 6, 6, 4, 5, 5, 5], 7, 4),
        ({"patience": 2, "min_delta": 0.5}, "val_loss", [5, 4.6, 4.4, 4.3, 4.2], 5, 3),
        (
            {"patience": 2, "monitor": "val_accuracy"},
            "val_accuracy",
            [0.1, 0.5, 0.4, 0.3, 0.9],
            4,
            2,
        ),
        (
            {"patience": 2, "monitor": "val_accuracy", "mode": "min"},
            "val_accuracy",
            [0.5, 0.6, 0.7],
            3,
            1,
        ),
        ({"patience": 2}, "val_loss", [5, math.nan, 4, math.nan, math.nan, 3], 5, 3),
        (
            {"patience": 9},
            "val_loss",
            [3, 2, 1, 2],
            4,
            3,
        ),  # the best weights also without a stop
    ],
)
def test_early_stopping(options, name, values, stopped, best):
    stage, callback = Stage(), EarlyStopping(**options)
    assert stage.play(callback, name, values) == stopped
    assert (callback.best_epoch, stage.history.best_epoch, stage.restored) == (
        best,
        best,
        best,
    )
    assert callback.best == values[best - 1]
    assert stage.stop == (options["patience"] < 9) == bool(stage.history.stop_reason)


def test_early_stopping_may_keep_the_last_weights():
    stage = Stage()
    stage.play(EarlyStopping(patience=1, restore_best=False), "val_loss", [1, 2])
    assert stage.restored is None and stage.stop


@pytest.mark.notes("OPT-30")
def test_the_rate_falls_on_a_plateau():
    stage, factors = Stage(), []
    callback = ReduceOnPlateau(factor=0.1, patience=2, min_factor=0.005)
    for epoch, value in enumerate([5, 4, 4, 4, 3, 3, 3, 3, 3, 3], 1):
        callback.on_epoch_end(stage, epoch, {"val_loss": value})
        factors.append(stage.learning_rate_factor)
    expected = [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005]
    np.testing.assert_allclose(factors, expected)


def test_a_factor_is_a_factor_on_the_rate(network, blobs):
    """Half the rate by the host, half the rate in the recipe: the same numbers; here through momentum too."""
    one, other = network(dtype="float64"), network(dtype="float64")
    recipe = {"loss": "cross_entropy", "epochs": 3, "batch_size": 10, "verbose": 0}
    halved = fit(
        one,
        *blobs,
        **recipe,
        optimizer=optim.SGD(learning_rate=0.2, momentum=0.9),
        callbacks=[LearningRateFactor(lambda epoch: 0.5)],
    )
    fit(other, *blobs, **recipe, optimizer=optim.SGD(learning_rate=0.1, momentum=0.9))
    np.testing.assert_allclose(
        one.tensors["w1"].numpy(), other.tensors["w1"].numpy(), rtol=1e-12
    )
    assert halved["learning_rate"] == [0.1, 0.1, 0.1]


def test_factors_by_epoch_are_a_schedule_by_steps(network, blobs):
    one, other = network(dtype="float64"), network(dtype="float64")
    recipe = {
        "loss": "cross_entropy",
        "epochs": 3,
        "batch_size": 10,
        "verbose": 0,
    }  # 6 steps an epoch
    fit(
        one,
        *blobs,
        **recipe,
        optimizer=optim.SGD(learning_rate=0.2),
        callbacks=[LearningRateFactor(lambda epoch: 0.5 ** (epoch - 1))],
    )
    history = fit(
        other,
        *blobs,
        **recipe,
        optimizer=optim.SGD(learning_rate=optim.StepDecay(0.2, 0.5, 6)),
    )
    np.testing.assert_allclose(
        one.tensors["w1"].numpy(), other.tensors["w1"].numpy(), rtol=1e-9
    )
    np.testing.assert_allclose(history["learning_rate"], [0.2, 0.1, 0.05])


def test_the_logger_writes_one_object_an_epoch(network, blobs, tmp_path):
    path = tmp_path / "log.jsonl"
    history = fit(
        network(),
        *blobs,
        loss="cross_entropy",
        epochs=3,
        batch_size=10,
        verbose=0,
        validation_split=0.2,
        callbacks=[JSONLinesLogger(path)],
    )
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3] and [
        line["step"] for line in lines
    ] == [5, 10, 15]
    assert [line["val_loss"] for line in lines] == history["val_loss"]
    JSONLinesLogger(path).on_epoch_end(Stage(), 4, {"loss": math.nan})
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["loss"] is None
    with pytest.raises(ArgumentError, match="a file to write to"):
        JSONLinesLogger(tmp_path).on_epoch_end(Stage(), 1, {})


def test_a_resumed_run_does_not_log_an_epoch_twice(network, blobs, tmp_path):
    path, log = tmp_path / "run.dr", tmp_path / "log.jsonl"

    class Crash(Callback):
        def __init__(self, epoch):
            self.epoch = epoch

        def on_epoch_end(self, session, epoch, logs):
            if epoch == self.epoch:
                raise RuntimeError("power cut")

    options = {
        "loss": "cross_entropy",
        "epochs": 4,
        "batch_size": 10,
        "verbose": 0,
        "checkpoint": path,
        "checkpoint_every": 7,
    }
    with pytest.raises(RuntimeError):
        fit(network(), *blobs, callbacks=[JSONLinesLogger(log), Crash(3)], **options)
    assert [
        json.loads(line)["epoch"]
        for line in log.read_text(encoding="utf-8").splitlines()
    ] == [1, 2, 3]
    history = fit(
        network(),
        *blobs,
        callbacks=[JSONLinesLogger(log), Crash(0)],
        resume=True,
        **options,
    )
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["loss"] for line in lines] == history["loss"]


def test_hooks_come_in_order_and_see_the_run(network, blobs):
    seen = []
    model = network()

    class Look(Callback):
        every = 4

        def on_train_begin(self, session):
            seen.append("begin")

        def on_steps(self, session):
            seen.append(session.step)

        def on_epoch_end(self, session, epoch, logs):
            session.update_model()
            assert model.bytes() == b"".join(
                {**model.state_dict(), **session.weights()}[n].tobytes()
                for n in model.state_dict()
            )
            seen.append(f"epoch {epoch}")

        def on_consistent(self, session, last):
            seen.append("last" if last else "kept")

        def on_train_end(self, session):
            seen.append("end")

    fit(
        model,
        *blobs,
        loss="cross_entropy",
        epochs=2,
        batch_size=10,
        verbose=0,
        callbacks=[Look()],
    )
    assert seen == [
        "begin",
        4,
        "epoch 1",
        "kept",
        8,
        12,
        "epoch 2",
        "kept",
        "end",
        "last",
    ]


def test_a_callback_may_change_weights_on_the_way(network, blobs):
    """Zeroed after epoch 1, so epoch 2 is a first epoch from zeros, with the optimiser's slots kept."""

    class Zero(Callback):
        def on_epoch_end(self, session, epoch, logs):
            if epoch == 1:
                session.set_weights(
                    {name: value * 0 for name, value in session.weights().items()}
                )

    model = network(dtype="float64")
    history = fit(
        model,
        *blobs,
        loss="cross_entropy",
        epochs=2,
        batch_size=53,
        verbose=0,
        callbacks=[Zero()],
    )
    assert history["loss"][1] == pytest.approx(math.log(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping(patience=0),
        lambda: EarlyStopping(mode="up"),
        lambda: EarlyStopping(min_delta=-1),
        lambda: ReduceOnPlateau(factor=1.0),
        lambda: ReduceOnPlateau(patience=1.5),
        lambda: ReduceOnPlateau(min_factor=2),
    ],
)
def test_arguments(make):
    with pytest.raises(ArgumentError):
        make()


def test_a_monitor_that_nobody_measures(network, blobs):
    with pytest.raises(ArgumentError, match="validation_split"):
        fit(
            network(),
            *blobs,
            loss="cross_entropy",
            verbose=0,
            callbacks=[EarlyStopping()],
        )
    with pytest.raises(ArgumentError, match="one of loss"):
        fit(
            network(),
            *blobs,
            loss="cross_entropy",
            verbose=0,
            callbacks=[ReduceOnPlateau("los")],
        )
