"""Ctrl-C: noticed, obeyed after the step at work; nothing learned is lost."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from deltarule import optim
from deltarule.train import Callback, EarlyStopping, fit
from deltarule.train.steps.engine import in_background
from deltarule.train.steps.interrupt import Interrupt


class Press(Callback):
    """Raise KeyboardInterrupt in one of the hooks."""

    def __init__(self, hook):
        self.hook, self.every = hook, 3

    def _perhaps(self, hook):
        if hook == self.hook:
            raise KeyboardInterrupt

    def on_train_begin(self, session):
        self._perhaps("begin")

    def on_steps(self, session):
        self._perhaps("steps")

    def on_epoch_end(self, session, epoch, logs):
        self._perhaps("epoch")


@pytest.mark.parametrize(
    ("hook", "steps", "epochs"), [("begin", 0, 0), ("steps", 3, 0), ("epoch", 6, 1)]
)
def test_an_interrupt_in_a_callback_keeps_what_was_learned(
    network, blobs, hook, steps, epochs
):
    model, seen = network(), []

    class After(Callback):
        def on_epoch_end(self, session, epoch, logs):
            seen.append(epoch)

    history = fit(
        model,
        *blobs,
        loss="cross_entropy",
        batch_size=10,
        epochs=4,
        verbose=0,
        callbacks=[Press(hook), After()],
    )
    assert (
        history.interrupted and history.steps == steps and len(history.epochs) == epochs
    )
    assert seen == [1] * epochs  # the callbacks after it were not robbed of their turn
    assert (model.bytes() != network().bytes()) == (steps > 0)


def test_best_weights_are_restored_after_an_interrupt(network, blobs):
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, session, epoch, logs):
            kept[epoch] = session.weights()
            if epoch == 4:
                raise KeyboardInterrupt

    model = network()
    history = fit(
        model,
        *blobs,
        loss="cross_entropy",
        epochs=9,
        verbose=0,
        validation_split=0.2,
        callbacks=[EarlyStopping(patience=9, mode="max"), Keep()],
    )
    assert history.interrupted and history.best_epoch < 4
    np.testing.assert_array_equal(
        model.state_dict()["w1"], kept[history.best_epoch]["w1"]
    )


def test_a_signal_ends_the_run_after_the_step_at_work(network, blobs):
    model, handler = network(), signal.getsignal(signal.SIGINT)
    timers = []

    class Later(Callback):
        """Send the signal once training is under way: before, a slow machine may still be compiling."""

        every = 1

        def on_steps(self, session):
            if not timers:
                timers.append(
                    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
                )
                timers[0].start()

    history = fit(
        model,
        *blobs,
        loss="cross_entropy",
        batch_size=4,
        epochs=100_000,
        verbose=0,
        callbacks=[Later()],
        optimizer=optim.SGD(learning_rate=1e-3),
    )
    timers[0].join()
    assert history.interrupted and 0 < history.steps < 100_000 * 14
    assert len(history.step_losses) == history.steps
    assert signal.getsignal(signal.SIGINT) is handler
    again = network()
    epochs, rest = divmod(history.steps, 14)
    assert rest == 0 or len(history.epochs) == epochs
    stop = history.steps

    class Stop(Callback):
        every = 1

        def on_steps(self, session):
            if session.step == stop:
                raise KeyboardInterrupt

    fit(
        again,
        *blobs,
        loss="cross_entropy",
        batch_size=4,
        epochs=100_000,
        verbose=0,
        callbacks=[Stop()],
        optimizer=optim.SGD(learning_rate=1e-3),
    )
    assert again.bytes() == model.bytes()


def test_the_first_request_waits_and_a_second_one_raises():
    calls = []

    def press():
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.01)  # handlers run between two instructions of Python

    with Interrupt() as interrupt:
        interrupt.on_interrupt(lambda: calls.append(1))
        press()
        assert interrupt.requested and calls == [1]
        with pytest.raises(KeyboardInterrupt):
            press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_and_other_threads_are_left_alone():
    mine = lambda number, frame: None  # noqa: E731  # a handler to compare with
    before = signal.signal(signal.SIGINT, mine)
    try:
        with Interrupt():
            assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)
    found = []

    def elsewhere():
        with Interrupt():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [before]


def test_training_in_a_thread_that_is_not_the_main_one(network, blobs):
    model, histories = network(), []
    thread = threading.Thread(
        target=lambda: histories.append(
            fit(model, *blobs, loss="cross_entropy", epochs=2, verbose=0)
        )
    )
    thread.start()
    thread.join()
    other = network()
    fit(other, *blobs, loss="cross_entropy", epochs=2, verbose=0)
    assert len(histories[0].epochs) == 2 and model.bytes() == other.bytes()


def test_errors_in_the_background_come_to_the_front():
    def fault():
        raise RuntimeError("from the worker")

    with pytest.raises(RuntimeError, match="from the worker"):
        in_background(fault, lambda: None)
    assert in_background(lambda: 3, lambda: None) == 3


def test_an_error_in_a_callback_leaves_the_model_with_what_was_learned(network, blobs):
    class Fault(Callback):
        def on_epoch_end(self, session, epoch, logs):
            if epoch == 2:
                raise RuntimeError("mine")

    model, twin = network(), network()
    with pytest.raises(RuntimeError, match="mine"):
        fit(
            model,
            *blobs,
            loss="cross_entropy",
            epochs=5,
            verbose=0,
            callbacks=[Fault()],
        )
    fit(twin, *blobs, loss="cross_entropy", epochs=2, verbose=0)
    assert model.bytes() == twin.bytes()
