"""A run that was stopped and resumed equals, to the bit, the run that was never stopped."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from deltarule import losses, optim
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.train import (
    Callback,
    Checkpoint,
    EarlyStopping,
    ReduceOnPlateau,
    checkpoint,
    fit,
)
from deltarule.train.fitting import loop
from deltarule.train.prediction.inference import Evaluation

CLOCK = {"seconds", "samples_per_second"}


class StopAt(Callback):
    """Press Ctrl-C after a number of steps."""

    def __init__(self, step):
        self.step = step
        self.every = 1

    def on_steps(self, session):
        if session.step == self.step:
            raise KeyboardInterrupt


def values_of(history):
    return [
        {name: value for name, value in epoch.items() if name not in CLOCK}
        for epoch in history.epochs
    ]


def run(
    network,
    blobs,
    path=None,
    stop=0,
    resume=False,
    every=None,
    callbacks=(),
    epochs=3,
    **options,
):
    """Return the model after a run that may be stopped after ``stop`` steps."""
    model = network(drop=0.3, running=True)
    arguments = {
        "loss": "cross_entropy",
        "optimizer": optim.Adam(learning_rate=0.01),
        "batch_size": 10,
        "metrics": ["accuracy"],
        "validation_split": 0.2,
        "seed": 5,
        "verbose": 0,
    }
    history = fit(
        model,
        *blobs,
        epochs=epochs,
        callbacks=[StopAt(stop), *callbacks],
        checkpoint=path,
        checkpoint_every=every,
        resume=resume,
        **{**arguments, **options},
    )
    return model, history


RECIPES = {
    "sgd": optim.SGD(learning_rate=0.1),
    "momentum": optim.SGD(learning_rate=0.1, momentum=0.9),
    "nesterov": optim.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
    "rmsprop": optim.RMSProp(learning_rate=0.01),
    "adam": optim.Adam(learning_rate=0.01, clip_norm=1.0),
    "schedule": optim.Adam(learning_rate=optim.CosineDecay(0.05, steps=12)),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("stop", [1, 4, 5, 7, 13])
def test_stopped_by_an_interrupt_and_resumed(network, blobs, tmp_path, recipe, stop):
    whole, expected = run(network, blobs, optimizer=recipe)
    path = tmp_path / "run.dr"
    part, stopped = run(network, blobs, path, stop, optimizer=recipe)
    assert stopped.interrupted and stopped.steps == stop
    assert part.bytes() != whole.bytes()
    resumed, history = run(network, blobs, path, resume=True, optimizer=recipe)
    assert resumed.bytes() == whole.bytes()
    assert values_of(history) == values_of(expected)
    assert history.step_losses == expected.step_losses
    assert not history.interrupted and history.samples == expected.samples


class Crash(Callback):
    """Lose the power after a number of steps."""

    def __init__(self, step):
        self.step = step
        self.every = 1

    def on_steps(self, session):
        if session.step == self.step:
            raise RuntimeError("power cut")


@pytest.mark.parametrize(("every", "written"), [(1, 7), (2, 6), (3, 6), (5, 5)])
def test_resumed_after_a_crash_from_what_was_written_last(
    network, blobs, tmp_path, every, written
):
    whole, expected = run(network, blobs, callbacks=[Crash(0)])
    path = tmp_path / "run.dr"
    with pytest.raises(RuntimeError, match="power cut"):
        run(network, blobs, path, every=every, callbacks=[Crash(8)])
    assert checkpoint.read(path, "checkpoint").document["cursor"]["step"] == written
    resumed, history = run(
        network, blobs, path, every=every, callbacks=[Crash(0)], resume=True
    )
    assert resumed.bytes() == whole.bytes()
    assert values_of(history) == values_of(expected)


def test_resumed_again_and_again(network, blobs, tmp_path):
    whole, expected = run(network, blobs)
    path = tmp_path / "run.dr"
    run(network, blobs, path, 1)
    for stop in range(2, 15):
        _, history = run(network, blobs, path, stop, resume=True)
        assert history.steps == stop
    resumed, history = run(network, blobs, path, resume=True)
    assert resumed.bytes() == whole.bytes()
    assert values_of(history) == values_of(expected)


def test_more_epochs_go_on_as_if_never_ended(network, blobs, tmp_path):
    whole, _ = run(network, blobs, epochs=5)
    path = tmp_path / "run.dr"
    run(network, blobs, path, epochs=2)
    resumed, history = run(network, blobs, path, epochs=5, resume=True)
    assert resumed.bytes() == whole.bytes() and len(history.epochs) == 5
    again, history = run(network, blobs, path, epochs=5, resume=True)
    assert (
        again.bytes() == whole.bytes() and len(history.epochs) == 5
    )  # there is nothing left to do


@pytest.mark.parametrize("stop", [0, 3, 9, 10, 14])
@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping_and_plateaus_are_resumed(
    network, blobs, tmp_path, stop, patience
):
    def callbacks():
        return [
            EarlyStopping(patience=patience),
            ReduceOnPlateau(patience=1, factor=0.3),
        ]

    options = {"epochs": 40, "optimizer": optim.SGD(learning_rate=1.0)}
    whole, expected = run(network, blobs, callbacks=callbacks(), **options)
    assert expected.stopped_early and expected.best_epoch < len(expected.epochs)
    path = tmp_path / "run.dr"
    run(network, blobs, path, stop, callbacks=callbacks(), **options)
    resumed, history = run(
        network, blobs, path, resume=True, callbacks=callbacks(), **options
    )
    assert resumed.bytes() == whole.bytes()
    assert values_of(history) == values_of(expected)
    assert (history.best_epoch, history.stopped_early) == (expected.best_epoch, True)


def test_the_file_holds_the_best_weights_and_those_to_go_on_from(
    network, blobs, tmp_path
):
    path = tmp_path / "run.dr"
    options = {"optimizer": optim.SGD(learning_rate=1.0), "epochs": 6}
    model, history = run(
        network,
        blobs,
        path,
        callbacks=[EarlyStopping(patience=100, mode="max")],
        **options,
    )
    assert history.best_epoch < 6
    container = checkpoint.read(path, "checkpoint")
    weights = container.group("weights/")
    assert (
        b"".join(weights[name].tobytes() for name in model.state_dict())
        == model.bytes()
    )
    whole, _ = run(network, blobs, **options)
    assert (
        container.group("training/")["w1"].tobytes()
        == whole.state_dict()["w1"].tobytes()
    )
    longer, _ = run(
        network,
        blobs,
        callbacks=[EarlyStopping(patience=100, mode="max")],
        **{**options, "epochs": 9},
    )
    resumed, _ = run(
        network,
        blobs,
        path,
        callbacks=[EarlyStopping(patience=100, mode="max")],
        resume=True,
        **{**options, "epochs": 9},
    )
    assert resumed.bytes() == longer.bytes()


def test_stopped_while_validating(network, blobs, tmp_path, monkeypatch):
    """The epoch stays open: it is validated when the run goes on, and not twice."""
    whole, expected = run(network, blobs)
    path, calls, measure = tmp_path / "run.dr", [], Evaluation.measure

    def pressed(self, weights):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return measure(self, weights)

    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "measure", pressed)
        _, stopped = run(network, blobs, path)
    assert stopped.interrupted and len(stopped.epochs) == 1 and stopped.steps == 10
    resumed, history = run(network, blobs, path, resume=True)
    assert resumed.bytes() == whole.bytes() and values_of(history) == values_of(
        expected
    )


def test_pieces_may_be_cut_anywhere(network, blobs, monkeypatch):
    whole, expected = run(network, blobs)
    for first, seconds in ((1, 0.0), (2, 1e-9), (1000, 1000.0)):
        monkeypatch.setattr(loop, "_FIRST_CHUNK", first)
        monkeypatch.setattr(loop, "_CHUNK_SECONDS", seconds)
        other, history = run(network, blobs, callbacks=[])
        assert other.bytes() == whole.bytes() and values_of(history) == values_of(
            expected
        )


def test_a_seed_gives_the_same_bytes_and_another_one_others(network, blobs):
    one, two, other = (run(network, blobs, seed=seed)[0].bytes() for seed in (5, 5, 6))
    assert one == two != other


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"batch_size": 9}, "batch_size"),
        ({"seed": 6}, "seed"),
        ({"shuffle": False}, "shuffle"),
        ({"loss": losses.CrossEntropy(label_smoothing=0.1)}, "loss"),
        ({"optimizer": optim.Adam(learning_rate=0.02)}, "optimizer"),
        ({"metrics": []}, "metrics"),
        ({"validation_split": 0.1}, "n_samples"),
        ({"sample_weight": np.ones(53)}, "training data"),
        ({"callbacks": [EarlyStopping()]}, "callbacks"),
    ],
)
def test_another_run_is_refused_by_name(network, blobs, tmp_path, changed, named):
    path = tmp_path / "run.dr"
    run(network, blobs, path, epochs=1)
    with pytest.raises(CheckpointError, match=f"same {named} as in the file"):
        run(network, blobs, path, resume=True, **changed)


WATCHED = {
    "monitor": "val_loss",
    "patience": 3,
    "mode": "min",
    "min_delta": 0.0,
    "restore_best": True,
}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"patience": 2}, "patience 3"),
        ({"monitor": "loss"}, "monitor val_loss"),
        ({"mode": "max"}, "mode min"),
        ({"min_delta": 0.1}, "min_delta 0.0"),
        ({"restore_best": False}, "restore_best True"),
    ],
)
def test_other_settings_of_a_callback_are_refused(
    network, blobs, tmp_path, changed, named
):
    path = tmp_path / "run.dr"
    run(network, blobs, path, epochs=1, callbacks=[EarlyStopping(**WATCHED)])
    with pytest.raises(
        CheckpointError, match=rf"same callbacks as in the file \({named}\)"
    ):
        run(
            network,
            blobs,
            path,
            resume=True,
            callbacks=[EarlyStopping(**{**WATCHED, **changed})],
        )
    run(network, blobs, path, resume=True, callbacks=[EarlyStopping(**WATCHED)])


@pytest.mark.parametrize(
    "changed",
    [
        {"factor": 0.3},
        {"patience": 2},
        {"min_factor": 0.1},
        {"monitor": "loss"},
        {"min_delta": 0.5},
    ],
)
def test_another_plateau_rule_is_refused(network, blobs, tmp_path, changed):
    path = tmp_path / "run.dr"
    run(network, blobs, path, epochs=1, callbacks=[ReduceOnPlateau()])
    with pytest.raises(
        CheckpointError, match=rf"same callbacks as in the file \({next(iter(changed))}"
    ):
        run(network, blobs, path, resume=True, callbacks=[ReduceOnPlateau(**changed)])


def test_other_validation_data_are_refused(network, blobs, tmp_path):
    x, y = blobs
    held = {"validation_data": (x[:9], y[:9]), "validation_split": 0.0}
    path, none = tmp_path / "run.dr", tmp_path / "none.dr"
    run(network, blobs, path, epochs=1, **held)
    run(network, blobs, none, epochs=1, validation_split=0.0)
    for data in (
        (x[:8], y[:8]),
        (x[:9] + 1, y[:9]),
        (x[:9], y[1:10]),
        (x[:9], y[:9], np.full(9, 2.0)),
    ):
        with pytest.raises(CheckpointError, match="same validation data"):
            run(network, blobs, path, resume=True, **{**held, "validation_data": data})
    with pytest.raises(CheckpointError, match="same validation data"):
        run(network, blobs, path, resume=True, validation_split=0.0)
    with pytest.raises(CheckpointError, match="same validation data"):
        run(network, blobs, none, resume=True, **held)
    run(network, blobs, path, resume=True, **held)


def test_a_model_is_as_before_where_a_checkpoint_cannot_be_taken_over(
    network, blobs, tmp_path
):
    path = tmp_path / "run.dr"
    run(network, blobs, path, epochs=1)
    container = checkpoint.read(path, "checkpoint")
    checkpoint.write(
        path, "checkpoint", container.arrays, {**container.document, "stop": "no"}
    )
    model = network(drop=0.3, running=True)
    before = model.bytes()
    with pytest.raises(CheckpointError, match="entries of a checkpoint"):
        fit(
            model,
            *blobs,
            loss="cross_entropy",
            epochs=3,
            optimizer=optim.Adam(learning_rate=0.01),
            batch_size=10,
            metrics=["accuracy"],
            validation_split=0.2,
            seed=5,
            verbose=0,
            callbacks=[StopAt(0)],
            checkpoint=path,
            resume=True,
        )
    assert model.bytes() == before


def test_other_data_and_another_model_are_refused(network, blobs, tmp_path):
    path = tmp_path / "run.dr"
    run(network, blobs, path, epochs=1)
    x, y = blobs
    with pytest.raises(CheckpointError, match="training data"):
        run(network, (x + 1e-6, y), path, resume=True)
    with pytest.raises(CheckpointError, match="parameters"):
        run(lambda **kinds: network(n_hidden=9, **kinds), blobs, path, resume=True)


def test_frozen_parameters_come_from_the_file(network, blobs, tmp_path):
    def frozen(seed):
        return lambda **kinds: network(seed=seed, frozen=("w1",), **kinds)

    path = tmp_path / "run.dr"
    whole, _ = run(frozen(0), blobs)
    run(frozen(0), blobs, path, 5)
    resumed, _ = run(frozen(1), blobs, path, resume=True)
    assert resumed.bytes() == whole.bytes()


def test_resume_without_a_file_says_so(network, blobs, tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        run(network, blobs, tmp_path / "none.dr", resume=True)
    with pytest.raises(ArgumentError, match="a path, with checkpoint_every or resume"):
        run(network, blobs, resume=True)
    with pytest.raises(ArgumentError, match="a whole number ≥ 1"):
        run(network, blobs, tmp_path / "run.dr", every=0)


def test_a_checkpoint_callback_of_its_own(network, blobs, tmp_path):
    path = tmp_path / "own.dr"
    model, _ = run(network, blobs, callbacks=[Checkpoint(path, every=4)])
    container = checkpoint.read(path, "checkpoint")
    assert (
        container.group("weights/")["w2"].tobytes()
        == model.state_dict()["w2"].tobytes()
    )
