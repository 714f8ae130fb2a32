"""Arguments of ``fit`` that a person mistypes: one error before the first step, the model unchanged."""

from __future__ import annotations

import os

import numpy as np
import pytest

from deltarule import losses, nn, optim, train
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.train import EarlyStopping, fit, fit_many, predict
from deltarule.train.checkpoint import write_atomically

QUIET = {"loss": "cross_entropy", "verbose": 0, "epochs": 1}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"seed": -1}, "fit seed"),
        ({"seed": 2**80}, "fit seed"),
        ({"seed": None}, "fit seed"),
        ({"seed": "a"}, "fit seed"),
        ({"seed": 1.5}, "fit seed"),
        ({"threads": 0}, "threads: expected a whole number ≥ 1"),
        ({"threads": -1}, "threads: expected a whole number ≥ 1"),
        ({"callbacks": EarlyStopping(patience=2)}, "Write callbacks=["),
        ({"regularizers": [0.1]}, "fit regularizers"),
        ({"regularizers": "l2"}, "fit regularizers"),
        ({"metrics": [3]}, "metrics: expected one of accuracy"),
        ({"metrics": 3}, "metrics: expected a list"),
        ({"batch_size": np.float64(8)}, "fit batch_size"),
    ],
)
def test_wrong_arguments(network, blobs, arguments, told):
    model = network()
    with pytest.raises(ArgumentError) as caught:
        fit(model, *blobs, **{**QUIET, **arguments})
    assert told in str(caught.value)
    assert model.bytes() == network().bytes()


def test_whole_numbers_of_numpy_are_whole_numbers(network, blobs):
    one, other = network(), network()
    fit(one, *blobs, **QUIET, batch_size=8, seed=3)
    fit(
        other,
        *blobs,
        **{**QUIET, "epochs": np.int64(1)},
        batch_size=np.int32(8),
        seed=np.uint8(3),
    )
    assert one.bytes() == other.bytes()


def test_a_seed_of_many_models(network, blobs):
    with pytest.raises(ArgumentError, match="fit seed"):
        fit_many(
            [network(), network()], *blobs, loss="cross_entropy", epochs=1, seed=[1, -1]
        )


@pytest.mark.parametrize("rate", ["0.1", None, [0.1], -1.0, float("nan")])
def test_a_learning_rate_that_is_no_positive_number(rate):
    with pytest.raises(
        ArgumentError, match="Adam learning_rate: expected a number > 0"
    ):
        optim.Adam(learning_rate=rate)


class Forgetful(nn.Module):
    """A network whose author forgot ``return``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        self.layer(x)


def test_a_forward_without_return():
    inputs = np.zeros((4, 2), np.float32)
    for call in (
        lambda: fit(Forgetful(), inputs, [0, 1, 0, 1], **QUIET),
        lambda: predict(Forgetful(), inputs),
    ):
        with pytest.raises(
            ArgumentError,
            match="forward of Forgetful: expected one tensor, got a NoneType",
        ) as caught:
            call()
        assert "return" in caught.value.hint


def test_a_path_that_is_none(blobs):
    model = nn.Sequential(nn.Linear(2, 2))
    for path in (None, 3, ""):
        with pytest.raises(ArgumentError, match="path: expected the name of a file"):
            model.save(path)


def test_a_pipe_is_not_replaced_and_a_link_is_kept(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="a device or a pipe"):
        write_atomically(pipe, b"x")
    assert pipe.is_fifo()
    (tmp_path / "store").mkdir()
    real, link = tmp_path / "store" / "run.dr", tmp_path / "latest.dr"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("threads", 2.5),
        ("threads", True),
        ("threads", "2"),
        ("threads", 0),
        ("verbose", "no"),
        ("verbose", 3),
        ("validation_split", "0.2"),
        ("validation_split", True),
        ("validation_split", None),
        ("epochs", 2.5),
        ("batch_size", True),
        ("seed", 1.5),
        ("shuffle", 1),
    ],
)
def test_options_of_another_type_are_told(network, blobs, option, value):
    with pytest.raises(ArgumentError, match=option):
        fit(
            network(),
            *blobs,
            loss="cross_entropy",
            **{"epochs": 1, "verbose": 0, option: value},
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda: train.EarlyStopping(patience=2.5),
        lambda: train.EarlyStopping(min_delta="1"),
        lambda: train.EarlyStopping(min_delta=True),
        lambda: train.EarlyStopping(monitor=3),
        lambda: train.EarlyStopping(restore_best=1),
        lambda: train.ReduceOnPlateau(factor="0.5"),
        lambda: train.ReduceOnPlateau(patience=True),
        lambda: train.ReduceOnPlateau(min_factor="0"),
        lambda: train.LearningRateFactor(0.5),
    ],
)
def test_options_of_callbacks_of_another_type_are_told(make):
    with pytest.raises(ArgumentError):
        make()


@pytest.mark.parametrize("every", [2.5, True, "3", 0, -1])
def test_the_rhythm_of_a_callback_is_a_whole_number(network, blobs, every):
    class Looking(train.Callback):
        pass

    callback = Looking()
    callback.every = every
    with pytest.raises(ArgumentError, match="Looking every"):
        fit(
            network(),
            *blobs,
            loss="cross_entropy",
            epochs=1,
            verbose=0,
            callbacks=[callback],
        )


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("loss", "categorical_crossentropy", "Did you mean 'cross_entropy'"),
        ("loss", "sparse_categorical_crossentropy", "Did you mean 'cross_entropy'"),
        ("loss", "Binary_CrossEntropy", "Did you mean 'binary_cross_entropy'"),
        ("loss", "MSE", "Did you mean 'mean_squared_error'"),
        ("loss", None, r"got None\.$"),
        ("loss", {"a": "mse"}, "losses.Multitask"),
        ("loss", [1], r"got \[1\]\.$"),
        ("loss", lambda p, t: p - t, "derived from losses.Loss"),
        ("loss", losses.Huber, r"Write losses\.Huber\(\)"),
        ("optimizer", optim.Adam, r"Write optim\.Adam\(\)"),
        ("optimizer", "adamm", "Did you mean 'adam'"),
        ("metrics", ["acc"], "Did you mean 'accuracy'"),
    ],
)
def test_what_was_meant_is_told(network, blobs, option, value, told):
    with pytest.raises(ArgumentError, match=told):
        fit(
            network(),
            *blobs,
            **{"loss": "cross_entropy", "epochs": 1, "verbose": 0, option: value},
        )
