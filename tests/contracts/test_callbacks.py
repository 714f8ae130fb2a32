"""What every callback has to keep: one object serves for run after run as a new one would, to the bit."""

from __future__ import annotations

import copy
import importlib
import pkgutil

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold

import deltarule
from deltarule import learners, nn, optim, train
from deltarule.generative.inference.variational import Convergence
from deltarule.learners.neural_network.snapshots import Snapshots
from deltarule.train.fitting.resume import Checkpoint


class Longest(train.Callback):
    """A callback as a user writes it: the epoch with the greatest loss, and a rate that follows from it."""

    adjusts_rate = True

    def __init__(self):
        self.reset()

    def reset(self):
        self.worst, self.epochs = 0.0, 0

    def on_epoch_end(self, session, epoch, logs):
        self.worst, self.epochs = max(self.worst, logs["loss"]), self.epochs + 1
        session.learning_rate_factor = 1 / (1 + self.worst + self.epochs)

    def state(self):
        return {"worst": self.worst, "epochs": self.epochs}, {}

    def load_state(self, data, arrays):
        self.worst, self.epochs = data["worst"], data["epochs"]


def elbo(prediction, target):
    return -((prediction - target) ** 2).sum(1)


def elbo_error(prediction, target):
    return (prediction * 0).sum(1)


CALLBACKS = {
    "early stopping": lambda path: train.EarlyStopping(patience=2),
    "early stopping, largest": lambda path: train.EarlyStopping(
        "loss", patience=2, mode="max"
    ),
    "early stopping, last weights": lambda path: train.EarlyStopping(
        patience=2, restore_best=False
    ),
    "plateau": lambda path: train.ReduceOnPlateau(patience=1, factor=0.1),
    "logger": lambda path: train.JSONLinesLogger(path / "log.jsonl"),
    "divergence": lambda path: train.TerminateOnNaN(),
    "factor": lambda path: train.LearningRateFactor(lambda epoch: 1 / epoch),
    "averages": lambda path: train.UseAverages(),
    "snapshots": lambda path: Snapshots(cycle_epochs=2),
    "convergence": lambda path: Convergence(patience=1, stages=1),
    "checkpoint": lambda path: Checkpoint(path / "run.dr"),
    "checkpoint in steps": lambda path: Checkpoint(path / "run.dr", every=3),
    "user's own": lambda path: Longest(),
}
MANY = [name for name in CALLBACKS if "checkpoint" not in name and name != "averages"]


def _all_callbacks():
    for module in pkgutil.walk_packages(deltarule.__path__, "deltarule."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, todo = set(), [train.Callback]
    while todo:
        todo += (below := todo.pop().__subclasses__())
        found |= {kind for kind in below if kind.__module__.startswith("deltarule.")}
    return found


def test_the_contract_covers_every_callback(tmp_path):
    assert _all_callbacks() <= {type(make(tmp_path)) for make in CALLBACKS.values()}


def _problem(number):
    """Two problems whose losses lie far apart, so that what is kept of one is wrong for the other."""
    random = np.random.default_rng(number)
    x = random.normal(size=(40, 3))
    return x, x @ [[1.0], [2.0], [3.0]] if number == 0 else 100 + 30 * random.normal(
        size=(40, 1)
    )


def _run(callback, number, options=None):
    model = nn.Sequential(nn.Linear(3, 1))
    model.initialize(seed=number)
    recipe = optim.EMA(inner=optim.Adam(learning_rate=0.05), decay=0.9)
    history = model.fit(
        *_problem(number),
        loss="mean_squared_error",
        optimizer=recipe,
        epochs=6,
        batch_size=10,
        validation_split=0.25,
        callbacks=[callback],
        metrics=[elbo, elbo_error],
        verbose=0,
        device="reference",
        **(options or {}),
    )
    return model.state_dict(), _without_times(history)


def _without_times(history):
    timed = {"seconds", "samples_per_second"}
    epochs = [
        {key: value for key, value in logs.items() if key not in timed}
        for logs in history.epochs
    ]
    return (
        epochs,
        history.step_losses,
        history.stop_reason,
        history.stopped_early,
        history.best_epoch,
    )


def _same(one, other):
    np.testing.assert_equal(one, other)  # exactly, through dictionaries and lists


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_serves_for_another_run_as_a_new_one(name, tmp_path):
    once, kept = CALLBACKS[name](tmp_path), CALLBACKS[name](tmp_path)
    _run(kept, 0)
    again, fresh = _run(kept, 1), _run(once, 1)
    _same(again, fresh)
    if not isinstance(
        once, train.JSONLinesLogger
    ):  # the state of which is how long the file is
        _same(kept.state(), once.state())


@pytest.mark.parametrize("name", MANY)
def test_a_used_callback_serves_for_many_models(name, tmp_path):
    kept = CALLBACKS[name](tmp_path)
    _run(kept, 0)
    x, y = _problem(1)

    def run(callback):
        models = [nn.Sequential(nn.Linear(3, 1), seed=seed) for seed in range(2)]
        histories = train.fit_many(
            models,
            x,
            y,
            loss="mean_squared_error",
            train_rows=np.arange(30),
            validation_rows=np.arange(30, 40),
            optimizer="adam",
            epochs=6,
            batch_size=10,
            callbacks=[callback],
            metrics=[elbo, elbo_error],
            device="reference",
            seed=[0, 1],
        )
        return [model.state_dict() for model in models], [
            _without_times(history) for history in histories
        ]

    _same(run(kept), run(CALLBACKS[name](tmp_path)))


@pytest.mark.parametrize(
    "name", ["early stopping", "plateau", "snapshots", "user's own"]
)
def test_folds_with_one_callback_equal_folds_with_new_ones(name, tmp_path):
    x, y = (
        np.concatenate([_problem(0)[0]] * 2),
        np.concatenate([_problem(0)[1], _problem(1)[1]])[:, 0],
    )
    shared = CALLBACKS[name](tmp_path)

    def fitted(train_rows, callback):
        learner = learners.MLPRegressor(
            (4,),
            epochs=5,
            callbacks=[callback],
            early_stopping=True,
            random_state=0,
            device="reference",
        )
        return learner.fit(x[train_rows], y[train_rows]).network_.state_dict()

    for train_rows, _ in KFold(4).split(x):
        _same(fitted(train_rows, shared), fitted(train_rows, CALLBACKS[name](tmp_path)))


@pytest.mark.parametrize(
    "name",
    ["early stopping", "plateau", "snapshots", "checkpoint in steps", "user's own"],
)
def test_a_resumed_run_goes_on_with_the_state_of_the_file_and_not_of_the_object(
    name, tmp_path
):
    """The object has seen another run in between; with it or with a new one, the run ends alike."""
    options = {"checkpoint": tmp_path / "resumed.dr", "checkpoint_every": 1}
    whole = _run(CALLBACKS[name](tmp_path), 1, options)
    path, stopped = options["checkpoint"], CALLBACKS[name](tmp_path)

    class Halt(train.Callback):
        every = 5

        def on_steps(self, session):
            raise KeyboardInterrupt

    model = nn.Sequential(nn.Linear(3, 1))
    model.initialize(seed=1)
    recipe = optim.EMA(inner=optim.Adam(learning_rate=0.05), decay=0.9)
    given = {
        "loss": "mean_squared_error",
        "optimizer": recipe,
        "epochs": 6,
        "batch_size": 10,
        "validation_split": 0.25,
        "metrics": [elbo, elbo_error],
        "verbose": 0,
        "device": "reference",
        **options,
    }
    halt = Halt()
    model.fit(*_problem(1), callbacks=[stopped, halt], **given)
    _run(stopped, 0)
    halt.every = 10**9
    history = model.fit(*_problem(1), callbacks=[stopped, halt], resume=True, **given)
    assert path.is_file()
    _same((model.state_dict(), _without_times(history)), whole)


def test_the_logger_adds_to_what_is_there_and_never_takes_lines_of_earlier_runs(
    tmp_path,
):
    """A run that resumes before its first line leaves the lines of the run before."""
    logger = train.JSONLinesLogger(tmp_path / "log.jsonl")
    _run(logger, 0)
    before = logger.path.read_text()
    logger.reset()

    class Session:
        step, history = 2, train.History()

    logger.on_train_begin(Session())
    data = copy.deepcopy(logger.state()[0])
    logger.reset()
    logger.load_state(data, {})
    logger.on_train_begin(Session())
    assert logger.path.read_text() == before


def test_a_learner_with_a_used_callback_can_be_cloned():
    used = train.EarlyStopping(patience=2)
    _run(used, 0)
    learner = clone(
        learners.MLPRegressor(
            (4,), callbacks=[used], epochs=5, early_stopping=True, random_state=0
        )
    )
    x, y = _problem(1)
    twin = clone(learner).set_params(callbacks=[train.EarlyStopping(patience=2)])
    _same(
        learner.fit(x, y[:, 0]).network_.state_dict(),
        twin.fit(x, y[:, 0]).network_.state_dict(),
    )
