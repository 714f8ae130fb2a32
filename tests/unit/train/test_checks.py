"""What cannot be trained on is refused before a step is run, with the way out."""

from __future__ import annotations

import re

import numpy as np
import pytest

from deltarule import losses, nn, optim
from deltarule.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DTypeError,
    ShapeError,
)
from deltarule.tensor.functional import softmax
from deltarule.train import Callback, ForwardResult, evaluate, fit, predict
from deltarule.train.steps.prepare import held_out, with_class_weight

NO_STEP = {"loss": "cross_entropy", "verbose": 0, "epochs": 1}


def _bad(array, row, value):
    changed = np.array(array, np.float64)
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        (
            lambda x, y: (_bad(x, (5, 2), np.nan), y),
            DataError,
            "NaN in row 5, column 2",
        ),
        (lambda x, y: (_bad(x, 0, -np.inf), y), DataError, "an infinity in row 0"),
        (lambda x, y: (x, _bad(y, 7, np.nan)), DataError, "NaN in row 7"),
        (lambda x, y: (x[:0], y[:0]), DataError, "at least one example"),
        (lambda x, y: (x, y[:-1]), DataError, "53 targets, one for each example"),
        (lambda x, y: (x, y + 1), DataError, "whole numbers 0 … 2 for 3 classes"),
        (lambda x, y: (x, y - 1), DataError, "got -1 in row"),
        (lambda x, y: (x, y.astype(float)), DTypeError, "y.astype('int64')"),
        (lambda x, y: (x, y[:, None]), ShapeError, "y.ravel()"),
        (lambda x, y: (x, np.array(["a"] * len(y))), DTypeError, "LabelEncoder"),
        (lambda x, y: (x, None), ArgumentError, "fit(X, X)"),
        (lambda x, y: (x[:, :3], y), ShapeError, "(3,)|(53, 3)"),
    ],
)
def test_data(network, blobs, change, kind, told):
    model = network()
    with pytest.raises(kind) as caught:
        fit(model, *change(*blobs), **NO_STEP)
    assert any(word in str(caught.value) for word in told.split("|")), str(caught.value)
    assert model.bytes() == network().bytes()


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((53,), "y[:, None]"),
        ((53, 1, 1), "column too many"),
        ((53, 2), "one target for every"),
    ],
)
def test_a_loss_that_would_broadcast_is_refused(network, blobs, shape, hint):
    with pytest.raises(ShapeError, match=re.escape(hint)):
        fit(
            network(n_out=1),
            blobs[0],
            np.zeros(shape),
            loss="mean_squared_error",
            verbose=0,
        )


@pytest.mark.parametrize(
    ("loss", "value", "told"),
    [
        ("binary_cross_entropy", 2, "targets in [0, 1]"),
        ("binary_cross_entropy", -1, "targets in [0, 1]"),
        ("hinge", 0, "the labels -1 and 1"),
    ],
)
def test_targets_outside_the_domain_of_the_loss(network, blobs, loss, value, told):
    y = np.ones((53, 1))
    y[9] = value
    with pytest.raises(DataError, match=re.escape(told)) as caught:
        fit(network(n_out=1), blobs[0], y, loss=loss, verbose=0)
    assert "row 9" in str(caught.value)


def test_a_softmax_before_the_cross_entropy_is_warned_about_once(network, blobs):
    model = network()
    inner = model.apply
    model.apply = lambda *a, **k: ForwardResult(softmax(inner(*a, **k).output))
    with pytest.warns(DataWarning, match="expects logits") as caught:
        fit(model, *blobs, **NO_STEP, batch_size=10)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 0}, "fit epochs"),
        ({"epochs": 2.5}, "fit epochs"),
        ({"batch_size": 0}, "fit batch_size"),
        ({"batch_size": True}, "fit batch_size"),
        ({"validation_split": 1.0}, "validation_split"),
        ({"validation_split": 0.001}, "at least one example"),
        ({"validation_data": np.zeros(3)}, "(inputs, targets)"),
        (
            {
                "validation_data": (np.zeros((2, 4)), np.zeros(2, int)),
                "validation_split": 0.1,
            },
            "got both",
        ),
        ({"class_weight": "equal"}, "'balanced'"),
        ({"class_weight": {3: 1.0}}, "classes 0 … 2"),
        ({"class_weight": [1.0, 2.0]}, "0 … 1 for 2 classes"),
        ({"class_weight": [1.0, 2.0, -1.0]}, "finite numbers ≥ 0"),
        ({"sample_weight": np.ones(52)}, "53 weights"),
        ({"sample_weight": _bad(np.ones(53), 4, -1)}, "-1.0 in row 4"),
        ({"sample_weight": _bad(np.ones(53), 4, np.nan)}, "nan in row 4"),
        ({"loss": "cross_entropie"}, "loss"),
        ({"optimizer": "adamm"}, "optimizer"),
        ({"device": "gpu"}, "device"),
        ({"metrics": "accuracy"}, "metrics=['accuracy']"),
        ({"callbacks": [Callback]}, "derived from train.Callback"),
    ],
)
def test_arguments(network, blobs, options, told):
    model = network()
    with pytest.raises((ArgumentError, DataError), match=re.escape(told)):
        fit(model, *blobs, **{**NO_STEP, **options})
    assert model.bytes() == network().bytes()


def test_validation_data_are_checked_before_a_step(network, blobs):
    x, y = blobs
    model = network()
    for held, kind in (
        ((x, y[:-1]), DataError),
        ((_bad(x, 3, np.nan), y), DataError),
        ((x, y + 5), DataError),
        ((x[:, :2], y), ShapeError),
    ):
        with pytest.raises(kind):
            fit(model, x, y, **NO_STEP, validation_data=held)
    assert model.bytes() == network().bytes()


def test_a_model_without_parameters_is_refused(network, blobs):
    with pytest.raises(ArgumentError, match="unfreeze"):
        fit(network(frozen=("w1", "b1", "w2", "b2")), *blobs, **NO_STEP)


@pytest.mark.notes("C-DA-08")
def test_class_weights(network):
    y = np.array([0] * 10 + [1])
    model = network(dtype="float64")

    def weights(targets, class_weight, *more, rows=None):
        return with_class_weight(model, [targets, targets, *more], class_weight, rows)[
            2
        ]

    np.testing.assert_allclose(np.unique(weights(y, "balanced")), [0.55, 5.5])
    np.testing.assert_array_equal(weights(y, {1: 3.0}), [1.0] * 10 + [3.0])
    np.testing.assert_array_equal(
        weights(y[:, None], [2, 3], np.arange(11.0)), [*range(0, 20, 2), 30]
    )
    np.testing.assert_array_equal(weights(np.eye(2)[y], [2, 3]), [2.0] * 10 + [3.0])
    assert len(with_class_weight(model, [y, y], None, None)) == 2
    with pytest.raises(ArgumentError, match="sample_weight"):
        weights(np.array([0.5]), "balanced")


def test_balanced_class_weights_count_the_rows_that_are_trained_on(network):
    y = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    rows = np.array([0, 1, 2, 4])  # three of class 0, one of class 1, none of class 2
    found = with_class_weight(network(dtype="float64"), [y, y], "balanced", rows)[2]
    np.testing.assert_allclose(found[rows], [4 / (2 * 3)] * 3 + [4 / 2])
    with pytest.raises(DataError, match="none of 1"):
        with_class_weight(network(), [y * 2, y * 2], "balanced", rows)


@pytest.mark.parametrize("class_weight", ["balanced", {1: 5.0}, [1.0, 0.25, 3.0]])
def test_class_weight_weighs_the_training_loss_alone(network, blobs, class_weight):
    """val_loss is the same whether rows are held out or handed over, and what ``evaluate`` gives."""
    x, y = blobs
    rows, held = held_out([x, y], 0.3, 5, losses.CrossEntropy())
    recipe = {
        "loss": "cross_entropy",
        "epochs": 2,
        "verbose": 0,
        "class_weight": class_weight,
        "seed": 5,
    }
    split, given = network(dtype="float64"), network(dtype="float64")
    one = fit(split, x, y, validation_split=0.3, **recipe)
    other = fit(given, x[rows], y[rows], validation_data=held, **recipe)
    np.testing.assert_allclose(one["loss"], other["loss"], rtol=1e-12)
    np.testing.assert_allclose(one["val_loss"], other["val_loss"], rtol=1e-12)
    assert one["val_loss"][-1] == pytest.approx(
        evaluate(given, *held, "cross_entropy")["loss"], rel=1e-12
    )


def test_class_weights_equal_repeated_examples(network, blobs):
    """A weight of 2 on a class is each of its examples twice; sums, so that both have one denominator."""
    x, y = blobs
    recipe = {
        "loss": losses.CrossEntropy(reduction="sum"),
        "optimizer": optim.SGD(learning_rate=0.01),
        "epochs": 3,
        "shuffle": False,
        "verbose": 0,
    }
    weighted, repeated = network(dtype="float64"), network(dtype="float64")
    fit(weighted, x, y, class_weight={1: 2.0}, batch_size=53, **recipe)
    rows = np.concatenate([np.arange(53), np.flatnonzero(y == 1)])
    fit(repeated, x[rows], y[rows], batch_size=len(rows), **recipe)
    np.testing.assert_allclose(
        weighted.tensors["w1"].numpy(), repeated.tensors["w1"].numpy(), rtol=1e-10
    )


def test_class_weights_of_a_binary_loss(network, blobs):
    x, y = blobs
    model, twin = network(n_out=1), network(n_out=1)
    target = (y > 0)[:, None]
    fit(
        model,
        x,
        target,
        loss="binary_cross_entropy",
        class_weight=[1.0, 3.0],
        epochs=2,
        verbose=0,
    )
    weight = np.where(target[:, 0], 3.0, 1.0)
    fit(
        twin,
        x,
        target,
        loss="binary_cross_entropy",
        sample_weight=weight,
        epochs=2,
        verbose=0,
    )
    assert model.bytes() == twin.bytes()


def test_validation_weights_count(network, blobs):
    x, y = blobs
    history = fit(
        network(),
        x,
        y,
        **NO_STEP,
        validation_data=(x, y, np.zeros(53)),
        metrics=["accuracy"],
    )
    assert history["val_loss"] == [0.0] and history["val_accuracy"][0] > 0


def test_predict(network, blobs):
    x, _ = blobs
    model = network(dtype="float64", running=True, drop=0.5)
    p = model.state_dict()
    expected = np.maximum(x @ p["w1"].T + p["b1"] - p["mean"], 0) @ p["w2"].T + p["b2"]
    for size in (1, 7, 53, 100):
        np.testing.assert_allclose(
            predict(model, x, batch_size=size), expected, rtol=1e-6
        )
    probabilities = predict(model, x, loss=losses.get("cross_entropy"))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    for size in (0, -1, 2.0):
        with pytest.raises(ArgumentError, match="batch_size"):
            predict(model, x, batch_size=size)


def test_both_devices_give_the_same_numbers(network, blobs):
    x, y = blobs
    trained = {}
    for device in ("cpu", "reference"):
        model = network(drop=0.3)
        history = fit(
            model,
            x,
            y,
            loss="cross_entropy",
            epochs=3,
            batch_size=10,
            seed=3,
            device=device,
            verbose=0,
        )
        trained[device] = (
            model.tensors["w1"].numpy(),
            history["loss"],
            predict(model, x, device=device),
        )
    for one, other in zip(trained["cpu"], trained["reference"], strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


def test_a_last_batch_that_cannot_be_is_refused_before_the_first_step() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm(4), nn.Linear(4, 1))
    before = [p.numpy() for p in model.parameters()]
    x = np.random.default_rng(0).normal(size=(33, 3)).astype(np.float32)
    with pytest.raises(ShapeError, match="more than one value per channel"):
        model.fit(
            x, x[:, :1], loss="mean_squared_error", epochs=1, batch_size=32, verbose=0
        )
    for value, parameter in zip(before, model.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.numpy(), value)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_an_index_outside_stops_the_run_with_the_weights_from_before(
    device: str,
) -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(8, 1))
    x = np.random.default_rng(0).integers(0, 10, (40, 2))
    x[37, 1] = 10
    before = [p.numpy() for p in model.parameters()]
    with pytest.raises(DataError, match=r"indices in \[0, 10\), got 10"):
        model.fit(
            x,
            np.ones((40, 1)),
            loss="mean_squared_error",
            epochs=1,
            batch_size=4,
            shuffle=False,
            verbose=0,
            device=device,
        )
    for value, parameter in zip(before, model.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.numpy(), value)


def test_numbers_beyond_the_models_type_are_refused() -> None:
    x = np.ones((8, 2))
    x[5, 1] = 1e39
    with pytest.raises(DataError, match=r"1e\+39 in row 5"):
        nn.Sequential(nn.Linear(2, 1)).fit(
            x, x[:, :1], loss="mean_squared_error", epochs=1, verbose=0
        )
