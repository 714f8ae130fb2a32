"""Many models: leaves that depend on the batch size, validation, and divergence, as ``fit`` has them."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest

from deltarule import learners, losses, nn, optim, train
from deltarule.data import batches
from deltarule.errors import GraphError
from deltarule.tensor.tensor import tensor
from deltarule.train import TerminateOnNaN, fit, fit_many


def _batch_share(prediction, target):
    """A metric with a leaf that depends on the batch size."""
    return (
        (prediction - target)[:, 0]
        * tensor(np.float64(1.0 / target.shape[0]))
        * tensor(np.arange(target.shape[0]))
    )


def _numbers():
    random = np.random.default_rng(0)
    x = random.normal(size=(47, 3))
    return x, x @ [[1.0], [2.0], [3.0]] + random.normal(size=(47, 1))


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("batch_size", [1, 5, 16, 47, 60])
def test_leaves_that_depend_on_the_batch_size(device, batch_size):
    """Metrics, penalties and weights with such leaves, and models that come and go in slots, as ``fit`` has them."""
    x, y = _numbers()
    weight = np.linspace(0.1, 5, 47)
    folds = [np.arange(47)[k::4] for k in range(4)]
    rest = [np.setdiff1d(np.arange(47), fold) for fold in folds]
    regularizers = [losses.L2(strength=0.1)]
    recipe = {
        "loss": "mean_squared_error",
        "metrics": ["r2", "rmse", _batch_share],
        "batch_size": batch_size,
        "device": device,
        "regularizers": regularizers,
    }
    epochs = [1, 4, 2, 3]
    models = [nn.Sequential(nn.Linear(3, 1)).astype("float64") for _ in folds]
    for seed, model in enumerate(models):
        model.initialize(seed)
    alone = [copy.deepcopy(model) for model in models]
    found = fit_many(
        models,
        x,
        y,
        train_rows=rest,
        validation_rows=folds,
        sample_weight=weight,
        epochs=epochs,
        seed=[0, 1, 2, 3],
        **recipe,
    )
    for i, (model, history) in enumerate(zip(alone, found, strict=True)):
        held = (x[folds[i]], y[folds[i]], weight[folds[i]])
        own = fit(
            model,
            x[rest[i]],
            y[rest[i]],
            sample_weight=weight[rest[i]],
            validation_data=held,
            epochs=epochs[i],
            seed=i,
            verbose=0,
            **recipe,
        )
        assert [logs.keys() for logs in history.epochs] == [
            logs.keys() for logs in own.epochs
        ]
        for name in set(own.epochs[0]) - {"seconds", "samples_per_second"}:
            np.testing.assert_allclose(
                history[name], own[name], rtol=1e-9, err_msg=name
            )
        np.testing.assert_allclose(
            models[i][0].weight.numpy(), model[0].weight.numpy(), rtol=1e-9
        )


def test_a_search_tells_a_fault_of_the_joint_run(monkeypatch):
    """A program that cannot be built is raised, not hidden by fits one after the other."""

    def broken(*_, **__):
        raise GraphError("joint step", expected="one form", got="two")

    monkeypatch.setattr(train, "fit_many", broken)
    x, y = _numbers()
    base = learners.MLPRegressor((4,), epochs=1, device="reference")
    search = learners.NetworkSearchCV(base, {"learning_rate": [0.1, 0.01]}, cv=2)
    with pytest.raises(GraphError, match="one form"):
        search.fit(x, y[:, 0])
    with pytest.raises(GraphError, match="one form"):
        learners.validation_curve(base, x, y[:, 0], "learning_rate", [0.1, 0.01], cv=2)


class _Rows(nn.Module):
    """A row of a table for each example: what a step does not touch stays as it is, also infinite."""

    def __init__(self):
        self.table = nn.Embedding(20, 1)

    def forward(self, x):
        return self.table(x).flatten(1)


def _diverging(kind):
    """Return model, inputs, targets and options of a run in which a loss, or a weight alone, becomes infinite."""
    if kind == "a row that no later step reads":
        x = np.arange(20).reshape(20, 1)
        y = np.where(x == 7, 1e30, 1.0).astype(np.float64)
        return _Rows, x, y, {"optimizer": optim.SGD(learning_rate=1e9), "batch_size": 1}
    x, y = _numbers()
    rate = {
        "the first update": 1e38,
        "the first loss": 0.1,
        "after some steps": 30.0,
        "the last step": 1e38,
    }[kind]
    y = y * 1e25 if kind == "the first loss" else y
    size = 47 if kind == "the last step" else 5
    return (
        lambda: nn.Sequential(nn.Linear(3, 1)),
        x,
        y,
        {"optimizer": optim.SGD(learning_rate=rate), "batch_size": size},
    )


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize(
    "kind",
    [
        "the first update",
        "the first loss",
        "after some steps",
        "the last step",
        "a row that no later step reads",
    ],
)
def test_a_diverged_model_is_left_as_a_single_fit_leaves_it(kind, device):
    make, x, y, options = _diverging(kind)
    options |= {"loss": "mean_squared_error", "epochs": 30, "device": device}
    alone, models = make(), [make() for _ in range(3)]
    for seed, model in enumerate((alone, *models)):
        model.initialize(max(0, seed - 1))
    own = fit(alone, x, y, verbose=0, callbacks=[TerminateOnNaN()], **options)
    found = fit_many(models, x, y, **options)[0]
    for name, value in alone.state_dict().items():
        assert np.isfinite(value).all()
        np.testing.assert_allclose(models[0].state_dict()[name], value, rtol=1e-4)
    assert found.diverged and found.stopped_early
    assert found.steps == own.steps == len(found.step_losses) == len(own.step_losses)
    assert len(found.epochs) == len(own.epochs)
    number = re.search(r"step (\d+)", own.stop_reason)
    assert number is not None and found.stop_reason.endswith(f"in step {number[1]}")
    if kind == "a row that no later step reads":
        assert int(number[1]) == batches(20, 1, 0, 0, True).tolist().index(7) + 1
