"""The training loop: epochs as chunks of steps in a worker thread, with callbacks and progress between chunks.

A chunk is a number of consecutive steps of one batch size, about a second long, that runs in one call of the engine.
Chunks end where a callback is due and at the end of an epoch; where they end does not change the result by a bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from deltarule.data import batches
from deltarule.data.sampling.shuffling import shuffled_in_parts
from deltarule.errors import DivergenceError, whole_number
from deltarule.optim import Optimizer
from deltarule.runtime.buffers import Array
from deltarule.runtime.realize import peek
from deltarule.train.monitoring.callbacks import Callback, replaces_weights
from deltarule.train.monitoring.history import History
from deltarule.train.monitoring.progress import Progress
from deltarule.train.prediction.inference import Evaluation
from deltarule.train.steps.aggregation import aggregate_metrics
from deltarule.train.steps.engine import Engine, in_background
from deltarule.train.steps.epoch_data import EpochData
from deltarule.train.steps.epoch_orders import EpochOrder, EpochOrders, Parts
from deltarule.train.steps.interrupt import Interrupt
from deltarule.train.steps.replay_log import NonFiniteWeightsError, ReplayLog
from deltarule.train.steps.step import Task, columns, learned, running, training_step

_CHUNK_SECONDS = 1.0
_FOREGROUND_SECONDS = 0.05  # a shorter chunk runs in the main thread
_FIRST_CHUNK = 32  # steps, while the speed is unknown


@dataclass(frozen=True)
class Plan:
    """The constants of a run: epochs, batch size, number of examples, seed, shuffling.

    >>> plan = Plan(epochs=2, batch_size=4, n_samples=10)
    >>> plan.steps_per_epoch, plan.sizes().tolist()
    (3, [4, 4, 2])
    """

    epochs: int
    batch_size: int
    n_samples: int
    seed: int = 0
    shuffle: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            object.__setattr__(self, name, whole_number(value, f"fit {name}", least=1))

    @property
    def size(self) -> int:
        """Examples in a full batch."""
        return min(self.batch_size, self.n_samples)

    @property
    def whole_steps(self) -> int:
        """Steps per epoch with a full batch."""
        return self.n_samples // self.size

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch, including one on the smaller last batch."""
        return -(-self.n_samples // self.size)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the rows of an epoch in order of use, a function of seed and epoch."""
        return batches(self.n_samples, self.size, self.seed, epoch, self.shuffle)

    def order_in_parts(self, epoch: int) -> Parts:
        """Return the array of ``order(epoch)`` and, as it is filled part by part, the number of valid rows."""
        if not self.shuffle:
            return self.order(epoch), [self.n_samples]
        return shuffled_in_parts(self.n_samples, self.seed, "epoch", epoch)

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the batch size of every step of an epoch."""
        sizes = np.full(self.steps_per_epoch, self.size, np.int64)
        sizes[-1] = self.n_samples - (self.steps_per_epoch - 1) * self.size
        return sizes


@dataclass
class Cursor:
    """The position of a run: epoch, step in the epoch (from 0), total steps, and this epoch's metrics and seconds.

    >>> Cursor(epoch=1, step_in_epoch=2, step=12).step
    12
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    rows: list[npt.NDArray[np.float64]] = field(default_factory=list)
    seconds: float = 0.0


class TrainingLoop:
    """The training loop of one call of ``fit``. It owns the training state, and is the session passed to callbacks."""

    def __init__(
        self,
        task: Task,
        optimizer: Optimizer,
        plan: Plan,
        epoch_data: EpochData,
        engine: Engine,
        validation: Evaluation | None,
        callbacks: Sequence[Callback],
        progress: Progress,
    ) -> None:
        self.task = task
        self.optimizer = optimizer
        self.plan = plan
        self.epoch_data = epoch_data
        self.engine, self.validation, self.progress = engine, validation, progress
        self.callbacks = list(callbacks)
        self.history, self.cursor = History(), Cursor()
        self.stop, self.learning_rate_factor = False, 1.0
        self.interrupt = Interrupt()
        self._final: dict[str, Array] = {}  # weights set by a callback at the end
        self._ended = False
        self._speed = 0.0  # steps per second
        self._validation_seconds = 0.0
        self._orders = EpochOrders(
            lambda epoch: epoch_data.rows(plan.order(epoch)),
            plan.n_samples,
            plan.epochs,
            lambda epoch: epoch_data.parts(*plan.order_in_parts(epoch)),
        )
        self._replay_log = ReplayLog(
            engine, epoch_data.of(0), plan.seed, plan.steps_per_epoch
        )

    # ---------------------------------------------------------------- the session of callbacks

    @property
    def step(self) -> int:
        """Total steps so far."""
        return self.cursor.step

    def weights(self) -> dict[str, Array]:
        """Return copies of the weights that ``fit`` would leave the model with now: parameters and running state."""
        weights = self.training_weights()
        for callback in self.callbacks:
            weights = callback.weights_to_keep(self, weights)
        return weights | self._final

    def training_weights(self) -> dict[str, Array]:
        """Return copies of the weights that the next step starts from: parameters and running state."""
        names = self.engine.names()
        n, m = len(names.parameters), len(names.parameters) + len(names.slots)
        values = [*self.engine.read(slice(0, n)), *self.engine.read(slice(m, None))]
        return dict(zip((*names.parameters, *names.running), values, strict=True))

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the trainable parameters, in the order of the optimiser state."""
        return self.engine.names().parameters

    def slots(self) -> list[Array]:
        """Return copies of the optimiser state."""
        names = self.engine.names()
        n = len(names.parameters)
        return self.engine.read(slice(n, n + len(names.slots)))

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Continue with these weights; after the last step, leave the model with them."""
        if self._ended:
            self._final = dict(weights)
        else:
            self.set_state({**self.training_weights(), **weights}, self.slots())

    def set_state(self, weights: Mapping[str, Array], slots: Sequence[Array]) -> None:
        """Continue from these weights and this optimiser state."""
        names = self.engine.names()
        parameters, running_state = (
            [weights[name] for name in part]
            for part in (names.parameters, names.running)
        )
        self.engine.load(
            [np.array(array) for array in (*parameters, *slots, *running_state)]
        )
        self._replay_log.clear()

    def update_model(self) -> None:
        """Assign the current weights to the model's tensors, as ``fit`` does at its end."""
        weights = self.weights()
        is_own_copy = not self._final and not any(map(replaces_weights, self.callbacks))
        for name, tensor in (*learned(self.task.model), *running(self.task.model)):
            if is_own_copy:
                tensor._set_value(weights[name])
            else:
                tensor.assign(weights[name])

    # ---------------------------------------------------------------- the loop

    def prepare(self) -> None:
        """Build and compile all steps, so that shape errors are raised before training."""
        self._orders.prefetch(self.cursor.epoch)
        for size in dict.fromkeys(self.plan.sizes().tolist()):
            self.engine.prepare(size)
        if self.validation is not None:
            self.validation.prepare()
        first = self.engine.step(self.plan.size)
        if not self.engine.has_state:
            model = self.task.model
            state = [
                *learned(model),
                *(("", slot) for slot in first.slots),
                *running(model),
            ]
            self.engine.load([peek(tensor.node) for _, tensor in state])

    def train(self) -> None:
        """Run epochs to the last one, or until a callback or Ctrl-C ends the run; then update the model."""
        self.interrupt.on_interrupt(self._stop_engines)
        try:
            with self.interrupt:
                self._loop()
        except (
            KeyboardInterrupt
        ):  # a second Ctrl-C, or a handler of the calling program: stop now
            self._discard_steps_after(self._replay_log.restore())
            self.history.interrupted = True
        finally:
            self.update_model()

    def _loop(self) -> None:
        self._call_hooks([callback.on_train_begin for callback in self.callbacks])
        try:
            while self.cursor.epoch < self.plan.epochs and not (
                self.stop or self.interrupt.requested
            ):
                self._epoch()
        except DivergenceError as error:
            if not any(
                [callback.on_divergence(self, error) for callback in self.callbacks]
            ):
                raise
            self.stop, self.history.stop_reason = True, str(error)
        self.history.interrupted = self.interrupt.requested
        self.history.stopped_early = self.stop and self.cursor.epoch < self.plan.epochs
        self._ended = True
        for callback in self.callbacks:
            callback.on_train_end(self)
        for callback in self.callbacks:
            callback.on_consistent(self, last=True)

    def _discard_steps_after(self, step: int | None) -> None:
        """Remove the steps after ``step`` from the history."""
        lost = 0 if step is None else self.cursor.step - step
        if lost > 0:
            del self.history.step_losses[-lost:]
            self.history.steps -= lost

    def _call_hooks(self, hooks: Sequence[Callable[[TrainingLoop], None]]) -> None:
        """Call hooks one after the other; an interrupt raised in one takes effect after the last."""
        for hook in hooks:
            try:
                hook(self)
            except KeyboardInterrupt:
                self.interrupt.request()

    def _stop_engines(self) -> None:
        self.engine.stop()
        if self.validation is not None:
            self.validation.engine.stop()

    def _epoch(self) -> None:
        """Run the rest of the current epoch."""
        order = self._orders.of(self.cursor.epoch)
        self._replay_log.set_data(self.epoch_data.of(self.cursor.epoch))
        while self.cursor.step_in_epoch < self.plan.steps_per_epoch:
            self._run_chunk(order)
            due = [
                c for c in self.callbacks if c.every and self.cursor.step % c.every == 0
            ]
            is_last = self.cursor.step_in_epoch == self.plan.steps_per_epoch
            if due or self.interrupt.requested or is_last:
                self._check_weights()
            self._call_hooks([callback.on_steps for callback in due])
            if self.interrupt.requested:
                return
        self._finish_epoch()

    def _chunk_length(self) -> int:
        """Return the length of the next chunk, which no callback, epoch or change of batch size may interrupt."""
        done = self.cursor.step_in_epoch
        most = self.plan.whole_steps - done if done < self.plan.whole_steps else 1
        wanted = round(self._speed * _CHUNK_SECONDS) if self._speed else _FIRST_CHUNK
        due = [
            callback.every - self.cursor.step % callback.every
            for callback in self.callbacks
            if callback.every
        ]
        return max(1, min(most, wanted, *due))

    def _run_chunk(self, order: EpochOrder) -> None:
        """Run a chunk of steps, in a worker thread unless it is short, and record its metrics."""
        done = self.cursor.step_in_epoch
        size = int(self.plan.sizes()[done])
        first_row = done * self.plan.size
        rows = order.rows(first_row, first_row + self._chunk_length() * size, size)
        count = len(rows) // size
        scalars = (self.learning_rate_factor,) if self.task.adjustable_rate else ()
        self.engine.prepare(size)
        start = time.perf_counter()
        work = partial(self._replay_log.run, rows, size, self.cursor.step, scalars)
        short = self._speed > 0 and count / self._speed < _FOREGROUND_SECONDS
        try:
            metrics = (
                work()
                if short
                else in_background(work, partial(self._poll, start, count))
            )
        except NonFiniteWeightsError as found:
            self._raise_divergence(found.error, found.steps)
        seconds = time.perf_counter() - start
        n_losses = 1 + self.engine.step(size).has_penalty
        is_finite = np.isfinite(metrics[:, :n_losses]).all(axis=1)
        bad = np.flatnonzero(~is_finite)
        good = metrics[: bad[0]] if len(bad) else metrics
        self._record_steps(good, size, seconds)
        if len(bad):
            self._raise_divergence(
                *self._replay_log.loss_error(len(good), float(metrics[bad[0], 0]))
            )
        if size == self.plan.size:
            self._speed = len(metrics) / max(seconds, 1e-9)
        if short:
            self._show_progress(0.0, 0)

    def _poll(self, start: float, count: int) -> None:
        """Show the progress of the running chunk; stop the engine after Ctrl-C."""
        if self.interrupt.requested:
            self.engine.stop()
        self._show_progress(
            time.perf_counter() - start, min(self.engine.steps_done, count)
        )

    def _show_progress(self, elapsed: float, done: int) -> None:
        """Show the progress ``done`` steps into a chunk."""
        speed = done / elapsed if done else self._speed
        step = self.cursor.step_in_epoch + done
        left = (self.plan.epochs - self.cursor.epoch) * self.plan.steps_per_epoch - step
        loss = float(self.history.step_losses[-1]) if self.history.step_losses else None
        self.progress.step(
            self.cursor.epoch + 1,
            step,
            left / speed if speed else None,
            speed * self.plan.size,
            loss,
        )

    def _record_steps(
        self, metrics: npt.NDArray[np.float64], size: int, seconds: float
    ) -> None:
        """Record the metrics of finished steps in the history."""
        self.history.step_losses.extend(metrics[:, 0].tolist())
        self.history.samples += len(metrics) * size
        self.history.train_seconds += seconds
        self.cursor.rows.append(metrics)
        self.cursor.seconds += seconds
        self.cursor.step_in_epoch += len(metrics)
        self.cursor.step += len(metrics)
        self.history.steps = self.cursor.step
        self.history.compile_seconds = self.engine.compile_seconds

    # ---------------------------------------------------------------- the end of an epoch

    def _finish_epoch(self) -> None:
        """Aggregate the metrics of an epoch, validate, and call the callbacks."""
        first = self.engine.step(self.plan.size)
        logs = aggregate_metrics(
            self.task, first, np.concatenate(self.cursor.rows), self.plan.sizes()
        )
        if self.validation is not None:
            held = self._validate(self.validation)
            if held is None:
                return
            logs.update({f"val_{name}": value for name, value in held.items()})
        logs["learning_rate"] = self.learning_rate()
        logs["seconds"] = self.cursor.seconds
        logs["samples_per_second"] = self.plan.n_samples / max(
            self.cursor.seconds, 1e-9
        )
        self.history.epochs.append(logs)
        self.cursor = Cursor(epoch=self.cursor.epoch + 1, step=self.cursor.step)
        number = self.cursor.epoch
        self.progress.epoch(number, logs, logs["samples_per_second"])
        self._call_hooks(
            [
                partial(_on_epoch_end, callback, number, logs)
                for callback in self.callbacks
            ]
        )
        self._call_hooks(
            [partial(_on_consistent, callback) for callback in self.callbacks]
        )

    def _validate(self, validation: Evaluation) -> dict[str, float] | None:
        """Evaluate on the validation data; return None after an interrupt, when the epoch stays unfinished."""
        start = time.perf_counter()
        measure = partial(validation.measure, self.weights())
        short = 0 < self._validation_seconds < _FOREGROUND_SECONDS
        held = measure() if short else in_background(measure, lambda: None)
        self._validation_seconds = time.perf_counter() - start
        return None if self.interrupt.requested else held

    def learning_rate(self) -> float:
        """Return the learning rate of the last step."""
        return (
            self.optimizer.rate_at(max(0, self.cursor.step - 1))
            * self.learning_rate_factor
        )

    def _check_weights(self) -> None:
        """Raise DivergenceError if an update has produced a weight that is NaN or infinite."""
        found = self._replay_log.check()
        if found is not None:
            self._raise_divergence(*found)

    def _raise_divergence(self, error: DivergenceError, steps: int) -> NoReturn:
        """Discard all steps after the first ``steps``, and raise the error."""
        lost = self.cursor.step - steps
        if lost > 0:
            self._discard_steps_after(steps)
            rows = np.concatenate(self.cursor.rows)
            self.cursor.rows = [rows[: len(rows) - lost]]
            self.cursor.step -= lost
            self.cursor.step_in_epoch -= lost
        raise error


def _on_epoch_end(
    callback: Callback, number: int, logs: dict[str, float], run: TrainingLoop
) -> None:
    callback.on_epoch_end(run, number, logs)


def _on_consistent(callback: Callback, run: TrainingLoop) -> None:
    callback.on_consistent(run, last=False)


def training_engine(
    task: Task, arrays: Sequence[Array], device: str, threads: int | None
) -> Engine:
    """Return the engine of a task's training steps."""
    described = columns(arrays)
    return Engine(lambda size: training_step(task, described, size), device, threads)
