"""Many models in one program: each is what ``fit`` makes of it by itself."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from deltarule import losses, nn, optim
from deltarule.cli.workloads import WORKLOADS
from deltarule.errors import ArgumentError, DataError
from deltarule.train import (
    Callback,
    EarlyStopping,
    ReduceOnPlateau,
    UseAverages,
    fit,
    fit_many,
)
from deltarule.train.many_models import batched_models
from deltarule.train.many_models.batched_step import TaskSpec, group_compatible
from deltarule.train.steps.step import Task, columns, training_step

FLOAT64 = {"rtol": 1e-8, "atol": 1e-11}


def _rows(n, models, seed=0):
    """Return (training rows, validation rows) of different sizes for each model."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n) for _ in range(models)]
    return [o[: 30 + i % 3] for i, o in enumerate(orders)], [
        o[30 + i % 3 :] for i, o in enumerate(orders)
    ]


def _one_by_one(models, x, y, train, held, seeds, optimizers, **options):
    return [
        fit(
            m,
            x[a],
            y[a],
            optimizer=o,
            seed=s,
            validation_data=(x[b], y[b]),
            verbose=0,
            **options,
        )
        for m, a, b, s, o in zip(models, train, held, seeds, optimizers, strict=True)
    ]


def _same(one, other, history, joint, tolerance):
    for (name, a), (_, b) in zip(
        (*one.named_parameters(), *one.named_state()),
        (*other.named_parameters(), *other.named_state()),
        strict=True,
    ):
        np.testing.assert_allclose(b.numpy(), a.numpy(), **tolerance, err_msg=name)
    np.testing.assert_allclose(joint.step_losses, history.step_losses, **tolerance)
    assert (joint.steps, joint.samples, joint.best_epoch) == (
        history.steps,
        history.samples,
        history.best_epoch,
    )
    assert (joint.stopped_early, joint.stop_reason[:20]) == (
        history.stopped_early,
        history.stop_reason[:20],
    )
    for ours, theirs in zip(joint.epochs, history.epochs, strict=True):
        assert ours.keys() == theirs.keys()
        timed = {"seconds", "samples_per_second"}
        for name in ours.keys() - timed:
            np.testing.assert_allclose(
                ours[name], theirs[name], **tolerance, err_msg=name
            )


RECIPES = {
    "sgd": [optim.SGD(learning_rate=0.05 * (i + 1), momentum=0.9) for i in range(4)],
    "adam with clipping": [
        optim.Adam(learning_rate=0.01 * (i + 1), clip_norm=0.5 + i) for i in range(4)
    ],
    "decay": [
        optim.AdamW(learning_rate=0.01, weight_decay=0.01 * (i + 1)) for i in range(4)
    ],
    "schedule": [
        optim.SGD(learning_rate=optim.StepDecay(0.2, 0.5, 2 + i)) for i in range(4)
    ],
    "groups": [
        optim.ParamGroups(
            groups={"b*": optim.SGD(learning_rate=0.02 * i)},
            default=optim.SGD(learning_rate=0.1),
        )
        for i in range(1, 5)
    ],
    "L1 steps": [
        optim.Proximal(inner=optim.SGD(learning_rate=0.1 * i), strength=0.01)
        for i in range(1, 5)
    ],
    "nesterov": [
        optim.SGD(learning_rate=0.1, momentum=0.8 + 0.04 * i, nesterov=True)
        for i in range(4)
    ],
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "kind", [{}, {"drop": 0.3, "running": True}, {"frozen": ("w1",)}], ids=str
)
def test_each_is_what_it_would_be_by_itself(network, blobs, recipe, kind):
    x, y = blobs
    ones, others = (
        [network(seed=i, dtype="float64", **kind) for i in range(4)] for _ in range(2)
    )
    train, held = _rows(len(x), 4)
    seeds, optimizers = [3, 1, 1, 7], RECIPES[recipe]
    device = "cpu" if recipe in {"adam with clipping", "nesterov"} else "reference"
    options = {
        "loss": "cross_entropy",
        "epochs": 3,
        "batch_size": 8,
        "metrics": ["accuracy"],
        "device": device,
    }
    expected = _one_by_one(ones, x, y, train, held, seeds, optimizers, **options)
    found = fit_many(
        others,
        x,
        y,
        optimizer=optimizers,
        seed=seeds,
        train_rows=train,
        validation_rows=held,
        **options,
    )
    for a, b, history, joint in zip(ones, others, expected, found, strict=True):
        _same(a, b, history, joint, FLOAT64)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_each_stops_by_itself_with_its_own_best_weights(
    network, blobs, device, monkeypatch
):
    monkeypatch.setattr(
        batched_models, "_MAX_LANES", 2
    )  # so that models wait for a slot
    x, y = blobs
    ones, others = (
        [network(seed=i, dtype="float64") for i in range(5)] for _ in range(2)
    )
    train, held = _rows(len(x), 5, seed=2)
    rates = [1.0, 0.3, 0.05, 0.02, 0.6]
    options = {"loss": "cross_entropy", "epochs": 25, "batch_size": 8, "device": device}
    stopping = lambda: [EarlyStopping(patience=2)]  # noqa: E731  # twice the same
    expected = [
        fit(
            m,
            x[a],
            y[a],
            optimizer=optim.SGD(learning_rate=r),
            validation_data=(x[b], y[b]),
            verbose=0,
            callbacks=stopping(),
            **options,
        )
        for m, a, b, r in zip(ones, train, held, rates, strict=True)
    ]
    found = fit_many(
        others,
        x,
        y,
        optimizer="sgd",
        learning_rate=rates,
        train_rows=train,
        validation_rows=held,
        callbacks=stopping(),
        **options,
    )
    assert len({len(history.epochs) for history in found}) > 2
    for a, b, history, joint in zip(ones, others, expected, found, strict=True):
        _same(a, b, history, joint, FLOAT64)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_each_keeps_its_own_averages(network, blobs, device, every, monkeypatch):
    """Validation measures the averages, early stopping keeps the best of them, training goes on with its own."""
    monkeypatch.setattr(
        batched_models, "_MAX_LANES", 2
    )  # so that models wait for a slot
    x, y = blobs
    ones, others = (
        [network(seed=i, dtype="float64", running=True) for i in range(4)]
        for _ in range(2)
    )
    train, held = _rows(len(x), 4, seed=3)
    recipes = [
        optim.EMA(inner=optim.SGD(learning_rate=rate, momentum=0.9), decay=decay)
        for rate, decay in ((0.3, 0.9), (0.02, 0.5), (1.0, 0.8), (0.1, 0.99))
    ]
    recipes = (
        [optim.GradientAccumulation(inner=recipe, every=every) for recipe in recipes]
        if every > 1
        else recipes
    )
    options = {"loss": "cross_entropy", "epochs": 15, "batch_size": 8, "device": device}
    hooks = lambda: [UseAverages(), EarlyStopping(patience=2)]  # noqa: E731  # twice the same
    expected = _one_by_one_with(ones, x, y, train, held, recipes, hooks, options)
    found = fit_many(
        others,
        x,
        y,
        optimizer=recipes,
        train_rows=train,
        validation_rows=held,
        callbacks=hooks(),
        **options,
    )
    plain = [network(seed=i, dtype="float64", running=True) for i in range(4)]
    fit_many(plain, x, y, optimizer=recipes, train_rows=train, **options)
    for a, b, history, joint in zip(ones, others, expected, found, strict=True):
        _same(a, b, history, joint, FLOAT64)
    assert any(
        np.abs(a.tensors["w1"].numpy() - b.tensors["w1"].numpy()).max() > 0.01
        for a, b in zip(others, plain, strict=True)
    )


def _one_by_one_with(models, x, y, train, held, recipes, hooks, options):
    return [
        fit(
            m,
            x[a],
            y[a],
            optimizer=o,
            validation_data=(x[b], y[b]),
            verbose=0,
            callbacks=hooks(),
            **options,
        )
        for m, a, b, o in zip(models, train, held, recipes, strict=True)
    ]


def test_averages_need_an_optimiser_that_averages_in_many_models_too(network, blobs):
    with pytest.raises(
        ArgumentError,
        match="UseAverages: expected an optimiser that averages the weights, got Adam",
    ):
        fit_many(
            [network(seed=i) for i in range(2)],
            *blobs,
            loss="cross_entropy",
            callbacks=[UseAverages()],
        )


def test_every_model_has_its_own_factor_on_the_rate(network, blobs):
    x, y = blobs
    ones, others = (
        [network(seed=i, dtype="float64") for i in range(3)] for _ in range(2)
    )
    train, held = _rows(len(x), 3)
    options = {"loss": "cross_entropy", "epochs": 12, "batch_size": 16}
    rates = [2.0, 0.5, 0.01]
    plateau = lambda: [ReduceOnPlateau(patience=1, factor=0.5)]  # noqa: E731  # twice the same
    expected = [
        fit(
            m,
            x[a],
            y[a],
            optimizer=optim.SGD(learning_rate=r),
            validation_data=(x[b], y[b]),
            verbose=0,
            callbacks=plateau(),
            **options,
        )
        for m, a, b, r in zip(ones, train, held, rates, strict=True)
    ]
    found = fit_many(
        others,
        x,
        y,
        optimizer="sgd",
        learning_rate=rates,
        train_rows=train,
        validation_rows=held,
        callbacks=plateau(),
        **options,
    )
    assert (
        found[0]["learning_rate"][-1] < 0.5 and found[2]["learning_rate"] == [0.01] * 12
    )
    for a, b, history, joint in zip(ones, others, expected, found, strict=True):
        _same(a, b, history, joint, FLOAT64)


def test_the_network_of_w5_in_single_precision_is_equal_to_one_in_a_million():
    x, y = WORKLOADS["W5"].arrays()
    x, y = x[:400], y[:400]
    ones, others = ([WORKLOADS["W5"].model() for _ in range(4)] for _ in range(2))
    for seed, (one, other) in enumerate(zip(ones, others, strict=True)):
        one.initialize(seed)
        other.initialize(seed)
    rates = [1e-3, 2e-3, 3e-3, 1e-2]
    options = {"loss": "binary_cross_entropy", "epochs": 20}
    for i, (model, rate) in enumerate(zip(ones, rates, strict=True)):
        fit(
            model,
            x,
            y,
            optimizer=optim.Adam(learning_rate=rate),
            seed=i,
            verbose=0,
            **options,
        )
    fit_many(others, x, y, learning_rate=rates, seed=range(4), **options)
    for one, other in zip(ones, others, strict=True):
        for (_, a), (_, b) in zip(
            one.named_parameters(), other.named_parameters(), strict=True
        ):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=0, atol=1e-6)


def _layers(width, seed, norm=False):
    model = nn.Sequential(
        nn.Conv2d(1, width, kernel_size=3),
        *([nn.BatchNorm(width)] if norm else []),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * width, 3),
    )
    model.initialize(seed)
    return model


def test_convolutions_penalties_and_two_forms_at_once():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6, 6, 1)).astype(np.float32), rng.integers(0, 3, 40)
    sizes = [(4, False), (6, False), (4, False), (4, True)]
    ones, others = (
        [_layers(w, i, norm) for i, (w, norm) in enumerate(sizes)] for _ in range(2)
    )
    penalties = [[losses.L2(strength=0.01 * (i + 1))] for i in range(4)]
    options = {
        "loss": "cross_entropy",
        "optimizer": "adam",
        "epochs": 3,
        "batch_size": 16,
    }
    expected = [
        fit(m, x, y, regularizers=p, verbose=0, **options)
        for m, p in zip(ones, penalties, strict=True)
    ]
    found = fit_many(others, x, y, regularizers=penalties, **options)
    for a, b, history, joint in zip(ones, others, expected, found, strict=True):
        _same(a, b, history, joint, {"rtol": 2e-4, "atol": 2e-6})


def test_numbers_make_no_other_form_and_operations_do():
    x, y = np.zeros((8, 4), np.float32), np.zeros(8, np.int64)
    cross_entropy = losses.get("cross_entropy")
    described = columns([x, y])
    models = [
        nn.Sequential(nn.Linear(4, n), nn.Tanh(), nn.Linear(n, 3)) for n in (5, 5, 6, 5)
    ]
    recipes = [
        optim.Adam(learning_rate=0.1, beta1=0.8),
        optim.Adam(),
        optim.Adam(),
        optim.Adam(weight_decay=0.1),
    ]
    kinds = [
        TaskSpec.of(Task(m, cross_entropy, (), o))
        for m, o in zip(models, recipes, strict=True)
    ]
    drafts = []

    def draft(task):
        drafts.append(task)
        return training_step(task, described, 4)

    assert group_compatible(kinds, draft) == [[0, 1], [2], [3]]
    assert len(drafts) == 4
    rates = [
        TaskSpec.of(
            Task(
                models[i % 2],
                cross_entropy,
                (),
                optim.Adam(learning_rate=0.1 * (i + 1)),
            )
        )
        for i in range(9)
    ]
    assert group_compatible(rates, draft) == [list(range(9))]
    assert len(drafts) == 5  # one step serves for all rates and all weights


def test_a_model_that_diverges_ends_alone(network, blobs):
    x, y = blobs
    ones, others = (
        [network(seed=i, dtype="float64") for i in range(3)] for _ in range(2)
    )
    options = {"loss": "cross_entropy", "epochs": 3, "batch_size": 8}
    for i in (0, 2):
        fit(ones[i], x, y, optimizer=optim.SGD(learning_rate=0.1), verbose=0, **options)
    found = fit_many(
        others, x, y, optimizer="sgd", learning_rate=[0.1, 1e200, 0.1], **options
    )
    assert [len(history.epochs) for history in found] == [3, 0, 3]
    assert "loss became" in found[1].stop_reason and found[1].stopped_early
    assert [history.diverged for history in found] == [False, True, False]
    assert 1 <= found[1].steps < 5
    for i in (0, 2):
        np.testing.assert_allclose(
            others[i].tensors["w1"].numpy(), ones[i].tensors["w1"].numpy(), **FLOAT64
        )


def test_bits_do_not_depend_on_the_number_of_threads(blobs):
    def run(threads):
        models = [
            nn.Sequential(
                nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3)
            )
            for _ in range(6)
        ]
        for i, model in enumerate(models):
            model.initialize(i)
        histories = fit_many(
            models,
            *blobs,
            loss="cross_entropy",
            epochs=4,
            seed=range(6),
            threads=threads,
        )
        values = [
            t.numpy().tobytes() for model in models for _, t in model.named_parameters()
        ]
        return values, [history.step_losses for history in histories]

    assert run(1) == run(2) == run(3)


def test_sample_weights_are_shared(network, blobs):
    x, y = blobs
    weights = np.random.default_rng(0).uniform(0, 2, len(x))
    ones, others = (
        [network(seed=i, dtype="float64") for i in range(2)] for _ in range(2)
    )
    train, _ = _rows(len(x), 2)
    options = {
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "epochs": 2,
        "batch_size": 8,
    }
    for model, rows in zip(ones, train, strict=True):
        fit(model, x[rows], y[rows], sample_weight=weights[rows], verbose=0, **options)
    fit_many(others, x, y, train_rows=train, sample_weight=weights, **options)
    for a, b in zip(ones, others, strict=True):
        np.testing.assert_allclose(
            b.tensors["w2"].numpy(), a.tensors["w2"].numpy(), **FLOAT64
        )


class _CtrlC(Callback):
    """Press Ctrl-C after the second epoch, so many times in all."""

    left = 0

    def on_epoch_end(self, session, epoch, logs):
        if epoch == 2 and _CtrlC.left:
            _CtrlC.left -= 1
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_leaves_every_model_with_what_it_has_learned(
    network, blobs, times
):
    models = [network(seed=i) for i in range(2)]
    before = [model.bytes() for model in models]
    _CtrlC.left = times
    epochs = 1_000_000  # the main thread hears of Ctrl-C when it has its turn
    found = fit_many(
        models, *blobs, loss="cross_entropy", epochs=epochs, callbacks=[_CtrlC()]
    )
    assert [history.interrupted for history in found] == [True, True]
    assert 2 <= max(len(history.epochs) for history in found) < epochs
    for model, old, history in zip(
        models, before, found, strict=True
    ):  # the other thread may not have begun
        assert (model.bytes() != old) == (history.steps > 0)


class _Fails(Callback):
    def on_epoch_end(self, session, epoch, logs):
        if epoch == 2:
            raise ZeroDivisionError("in a callback")


def test_what_a_callback_raises_is_raised_when_all_threads_have_ended(network, blobs):
    models = [network(seed=i) for i in range(3)]
    before = [model.bytes() for model in models]
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        fit_many(
            models,
            *blobs,
            loss="cross_entropy",
            epochs=50,
            callbacks=[[_Fails()], [], []],
            threads=2,
        )
    assert models[0].bytes() != before[0]


class _Counts(Callback):
    """Counts what it is told; class attributes, for models get copies."""

    begun = ended = 0

    def on_train_begin(self, session):
        _Counts.begun += 1

    def on_train_end(self, session):
        _Counts.ended += 1


def test_a_fault_ends_all_threads_soon_and_what_never_began_is_not_ended(
    network, blobs, monkeypatch
):
    monkeypatch.setattr(batched_models, "_MAX_LANES", 2)
    models = [network(seed=i) for i in range(12)]
    _Counts.begun = _Counts.ended = 0
    callbacks = [[_Counts(), _Fails()], *([_Counts()] for _ in range(11))]
    before = models[-1].bytes()
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        fit_many(
            models,
            *blobs,
            loss="cross_entropy",
            epochs=100_000,
            callbacks=callbacks,
            threads=2,
        )
    assert 0 < _Counts.begun == _Counts.ended < 12
    assert models[-1].bytes() == before


def test_rows_of_a_matrix_are_those_of_the_models(network, blobs):
    rows = np.stack([np.arange(20), np.arange(20, 40)])
    (one, two), (three, four) = ([network(seed=i) for i in range(2)] for _ in range(2))
    fit_many([one, two], *blobs, loss="cross_entropy", epochs=2, train_rows=rows)
    fit_many(
        [three, four], *blobs, loss="cross_entropy", epochs=2, train_rows=list(rows)
    )
    assert (one.bytes(), two.bytes()) == (three.bytes(), four.bytes())


def test_what_does_not_fit_is_refused(network, blobs):
    x, y = blobs
    models = [network(seed=i) for i in range(2)]
    options = {"loss": "cross_entropy"}
    for wrong, message in [
        (
            {"seed": [1, 2, 3]},
            "seed: expected one for all models, or a list of 2, got 3 of them",
        ),
        ({"seed": [1, "a"]}, "seed"),
        ({"learning_rate": [0.1]}, "learning_rate"),
        (
            {"learning_rate": 0.1, "optimizer": optim.ParamGroups()},
            "fit_many optimizer: expected one learning rate",
        ),
        ({"optimizer": ["sgd", 3]}, "optimizer"),
        ({"regularizers": [[], [], []]}, "regularizers"),
        ({"train_rows": [np.arange(3)] * 3}, "train_rows"),
        ({"callbacks": [EarlyStopping]}, "callbacks"),
        (
            {"callbacks": EarlyStopping()},
            r"callbacks: expected a list.*\n.*callbacks=\[",
        ),
    ]:
        with pytest.raises(ArgumentError, match=message):
            fit_many(models, x, y, **options, **wrong)
    for rows in ([0, 53], [-1], [], [[0.5], [1.0]]):
        with pytest.raises(DataError, match="train_rows"):
            fit_many(models, x, y, train_rows=np.array(rows), **options)
    with pytest.raises(ArgumentError, match="different objects"):
        fit_many([models[0], models[0]], x, y, **options)
    with pytest.raises(ArgumentError, match="at least one model"):
        fit_many([], x, y, **options)
    with pytest.raises(ArgumentError, match="a model without"):
        fit_many([models[0], network(frozen=("w1", "b1", "w2", "b2"))], x, y, **options)
    with pytest.raises(ArgumentError, match="one element type"):
        fit_many([network(), network(dtype="float64")], x, y, **options)


def test_small_whole_numbers_index_large_tables():
    """Three tables of 100 rows make 300 places, which uint8 does not count to."""
    x = np.random.default_rng(0).integers(0, 100, (48, 2)).astype(np.uint8)
    y = np.random.default_rng(1).normal(size=(48, 1)).astype(np.float32)

    def made():
        models = [
            nn.Sequential(nn.Embedding(100, 3), nn.Flatten(), nn.Linear(6, 1))
            for _ in range(3)
        ]
        for seed, model in enumerate(models):
            model.initialize(seed)
        return models

    together, alone = made(), made()
    options = {
        "loss": "mean_squared_error",
        "optimizer": optim.SGD(learning_rate=0.1),
        "epochs": 2,
        "batch_size": 8,
    }
    histories = fit_many(together, x, y, seed=range(3), **options)
    for seed, (model, other, joint) in enumerate(
        zip(alone, together, histories, strict=True)
    ):
        history = fit(model, x, y, seed=seed, verbose=0, **options)
        _same(model, other, history, joint, {"rtol": 1e-5, "atol": 1e-6})
