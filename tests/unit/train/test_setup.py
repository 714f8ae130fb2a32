"""What surrounds the steps: orders made beforehand, weights drawn in blocks, checkpoints of short epochs."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from deltarule import nn
from deltarule.data import batches
from deltarule.data.sampling import shuffling
from deltarule.nn import init
from deltarule.train import Callback, checkpoint, fit
from deltarule.train.fitting import resume
from deltarule.train.fitting.resume import Checkpoint
from deltarule.train.steps import epoch_orders
from deltarule.train.steps.epoch_orders import EpochOrders


def test_orders_are_the_same_whether_made_beforehand_or_not(monkeypatch):
    monkeypatch.setattr(epoch_orders, "_PREFETCH_ROWS", 1)
    made = EpochOrders(lambda epoch: batches(100, 7, 3, epoch), 100, epochs=4)
    made.prefetch(0)
    for epoch in (0, 1, 2, 2, 0, 3, 1):
        found = made.of(epoch).rows(0, 100, 100)
        np.testing.assert_array_equal(found, batches(100, 7, 3, epoch))


def test_what_goes_wrong_beforehand_is_told_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(epoch_orders, "_PREFETCH_ROWS", 1)

    def order(epoch):
        if epoch:
            raise MemoryError("too many rows")
        return np.arange(3)

    made = EpochOrders(order, 3, epochs=2)
    assert made.of(0).rows(0, 3, 3).tolist() == [0, 1, 2]
    with pytest.raises(MemoryError, match="too many rows"):
        made.of(1).rows(0, 3, 1)


@pytest.mark.parametrize("many", [1, 10**9])
def test_a_run_is_the_same_with_orders_made_beforehand(
    monkeypatch, network, blobs, many
):
    monkeypatch.setattr(epoch_orders, "_PREFETCH_ROWS", many)
    model, x, y = network(), *blobs
    history = fit(
        model,
        x,
        y,
        loss="cross_entropy",
        epochs=4,
        batch_size=8,
        validation_split=0.2,
        verbose=0,
    )
    monkeypatch.setattr(epoch_orders, "_PREFETCH_ROWS", 10**9)
    plain = network()
    other = fit(
        plain,
        x,
        y,
        loss="cross_entropy",
        epochs=4,
        batch_size=8,
        validation_split=0.2,
        verbose=0,
    )
    assert model.bytes() == plain.bytes() and history.step_losses == other.step_losses


@pytest.mark.parametrize("held", [0.0, 0.2])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_run_is_the_same_with_a_first_order_made_part_by_part(
    monkeypatch, network, blobs, held, shuffle
):
    seen, plain = [], network()
    options = {"loss": "cross_entropy", "epochs": 2, "batch_size": 8, "verbose": 0}
    options.update(shuffle=shuffle, validation_split=held)
    other = fit(plain, *blobs, **options)
    monkeypatch.setattr(epoch_orders, "_PREFETCH_ROWS", 1)
    monkeypatch.setattr(shuffling, "_FIRST", 10)
    publish = epoch_orders.EpochOrder.publish

    def slowly(self, rows, known):
        publish(self, rows, known)
        seen.append(known)
        time.sleep(0.01)

    monkeypatch.setattr(epoch_orders.EpochOrder, "publish", slowly)
    model = network()
    history = fit(model, *blobs, **options)
    assert model.bytes() == plain.bytes() and history.step_losses == other.step_losses
    assert (len(seen) > 3) == shuffle


def test_rows_are_waited_for_and_whole_batches():
    order, found = epoch_orders.EpochOrder(lambda: np.arange(10)), []
    waiting = threading.Thread(target=lambda: found.append(order.rows(3, 10, 3)))
    waiting.start()
    order.publish(np.arange(10), 5)
    time.sleep(0.01)
    assert not found
    order.publish(np.arange(10), 9)
    waiting.join()
    assert found[0].tolist() == [3, 4, 5, 6, 7, 8]


RULES = [
    init.normal(0.3, 1.0),
    init.uniform(-1.0, 3.0),
    init.he_normal(),
    init.xavier_uniform(),
    init.lecun_normal(),
    init.orthogonal(),
    init.constant(2.0),
]
SHAPES = [(3, 4), (1, 1), (300, 700), (16, 3, 3, 8), (5,), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: repr(rule)[:60])
def test_weights_drawn_in_blocks_are_those_drawn_at_once(rule, shape):
    if len(shape) < 2 and isinstance(rule, (init.VarianceScaling, init.Orthogonal)):
        return  # these are for weights of two axes or more
    if 0 in shape and isinstance(rule, (init.VarianceScaling, init.Orthogonal)):
        return
    for dtype in ("float32", "float64"):
        whole = rule.draw(shape, init.generator(3, "0.weight")).astype(dtype)
        np.testing.assert_array_equal(
            rule.values(shape, init.generator(3, "0.weight"), dtype), whole
        )
        assert rule.values(shape, init.generator(3, "0.weight"), dtype).dtype == dtype


def test_known_numbers_of_uniform_and_normal_weights():
    """The formula, with NumPy's generator, over more than one block."""
    shape = (300, 700)
    uniform = init.generator(0, "w").random(shape) * 2 - 1
    np.testing.assert_array_equal(
        init.xavier_uniform().values(shape, init.generator(0, "w"), "float64"),
        uniform * (np.sqrt(2 / 1000 * 0.5 * 2) * np.sqrt(3)),
    )
    normal = init.generator(0, "w").standard_normal(shape)
    np.testing.assert_array_equal(
        init.normal(0.5, 2.0).values(shape, init.generator(0, "w"), "float64"),
        normal * 0.5 + 2,
    )


class _Writes:
    """A clock that stands still but for writing, which takes ``cost``, and epochs, which take ``epoch``."""

    def __init__(self, monkeypatch, epoch, cost):
        self.now, self.written, self.epoch = 100.0, [], epoch

        def save(run, path):
            self.now += cost
            self.written.append(len(run.history.epochs))

        monkeypatch.setattr(resume, "save", save)
        monkeypatch.setattr(resume.time, "perf_counter", lambda: self.now)

    def play(self, callback, epochs):
        class Session:
            history = type("History", (), {"epochs": []})()

        callback.reset()
        for number in range(epochs):
            self.now += self.epoch
            Session.history.epochs.append(number)
            callback.on_consistent(Session, last=False)
        callback.on_consistent(Session, last=True)
        return self.written


def test_long_epochs_are_written_each(monkeypatch):
    writes = _Writes(monkeypatch, epoch=1.0, cost=0.25)
    assert writes.play(Checkpoint("run.dr"), 5) == [1, 2, 3, 4, 5, 5]


def test_writing_takes_a_quarter_of_the_time_of_short_epochs(monkeypatch):
    writes = _Writes(monkeypatch, epoch=0.25, cost=1.0)
    found = writes.play(Checkpoint("run.dr"), 1000)
    assert (
        found[:3] == [1, 13, 25] and found[-1] == 1000
    )  # the first and the last epoch, and between them each 12th
    assert len(found) <= 2 + 1000 * 0.25 / 3.0


def test_the_rhythm_in_steps_is_kept(network, blobs, tmp_path):
    path, seen = tmp_path / "run.dr", []

    class Looking(Callback):
        every = 1

        def on_steps(self, session):
            seen.append(
                checkpoint.read(path, "checkpoint").document["cursor"]["step"]
                if path.is_file()
                else 0
            )

    options = {"loss": "cross_entropy", "epochs": 3, "batch_size": 8, "verbose": 0}
    fit(
        network(),
        *blobs,
        checkpoint=path,
        checkpoint_every=5,
        callbacks=[Looking()],
        **options,
    )
    assert seen == [(step - 1) // 5 * 5 for step in range(1, 22)]


@pytest.mark.parametrize("epochs", [1, 2, 7, 23])
def test_a_run_goes_on_to_the_bit_from_whatever_was_written_last(
    monkeypatch, network, blobs, tmp_path, epochs
):
    """Short epochs, most of which are not written: the process ends without a word after some of them."""
    monkeypatch.setattr(resume, "_REST", 10**6)
    path, whole = tmp_path / "run.dr", network()
    options = {"loss": "cross_entropy", "batch_size": 8, "verbose": 0}
    history = fit(whole, *blobs, epochs=25, **options)

    class KilledError(Exception):
        pass

    class Kill(Callback):
        def on_epoch_end(self, session, epoch, logs):
            if epoch == epochs and session.history.steps == 7 * epochs:
                raise KilledError

    kill = Kill()
    with pytest.raises(KilledError):
        fit(network(), *blobs, epochs=25, checkpoint=path, callbacks=[kill], **options)
    if epochs == 1:
        assert not path.is_file()
        return
    document = checkpoint.read(path, "checkpoint").document
    assert json.dumps(document["cursor"]) and document["cursor"]["epoch"] == 1
    model = network()
    kill.on_epoch_end = lambda session, epoch, logs: None
    again = fit(
        model,
        *blobs,
        epochs=25,
        checkpoint=path,
        resume=True,
        callbacks=[kill],
        **options,
    )
    assert model.bytes() == whole.bytes() and again.step_losses == history.step_losses


def test_fitting_leaves_arrays_that_nobody_else_holds():
    """The model has the engine's copies; what it had before, and what callers have, stays."""
    model = nn.Sequential(nn.Linear(3, 2), seed=0)
    x, y = np.random.default_rng(0).normal(size=(20, 3)), np.zeros((20, 2))
    before, kept = model.state_dict(), model[0].weight
    model.fit(x, y, loss="mean_squared_error", epochs=1, verbose=0)
    first = model.state_dict()
    assert model[0].weight is kept and not np.array_equal(
        first["0.weight"], before["0.weight"]
    )
    changed = first["0.weight"].copy()
    first["0.weight"][:] = 0.0
    np.testing.assert_array_equal(model[0].weight.numpy(), changed)
    model.fit(x, y, loss="mean_squared_error", epochs=1, verbose=0)
    np.testing.assert_array_equal(
        before["0.weight"],
        nn.Sequential(nn.Linear(3, 2), seed=0).state_dict()["0.weight"],
    )
