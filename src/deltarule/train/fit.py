"""The training loop: epochs of a compiled step, validation, callbacks, checkpoints, interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import StepRunner
from deltarule.data import batches
from deltarule.errors import ArgumentError
from deltarule.losses import Loss
from deltarule.losses import get as get_loss
from deltarule.optim import Optimizer, Schedule
from deltarule.optim import get as get_optimizer
from deltarule.runtime.devices import backend
from deltarule.train import resume as resuming
from deltarule.train.callbacks import Callback
from deltarule.train.divergence import diverged
from deltarule.train.history import History
from deltarule.train.inference import evaluate
from deltarule.train.metrics import Metric, get_all
from deltarule.train.prepare import ClassWeight, check_label_range, held_out, prepared
from deltarule.train.program import Objective, Regularizer, Spec, TrainingProgram, training_program
from deltarule.train.progress import Progress, Silent, Terminal
from deltarule.train.protocol import Trainable

Array = npt.NDArray[Any]
_POLL_SECONDS = 0.05  # how often the main thread looks at progress and at Ctrl-C


@dataclass(frozen=True)
class Plan:
    """What stays the same during a run."""

    epochs: int
    batch_size: int
    seed: int
    shuffle: bool
    device: str
    threads: int | None
    checkpoint: Path | None
    checkpoint_every: int | None
    n_samples: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"fit {name}", expected="a whole number ≥ 1", got=repr(value))
        if self.checkpoint_every is not None and (self.checkpoint is None or self.checkpoint_every < 1):
            raise ArgumentError(
                "fit checkpoint_every",
                expected="a whole number ≥ 1 and a checkpoint path",
                got=repr(self.checkpoint_every),
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the smaller last one included."""
        return -(-self.n_samples // self.batch_size)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the rows of an epoch in the order in which they are used."""
        return batches(self.n_samples, self.batch_size, self.seed, epoch, self.shuffle)


@dataclass
class Counters:
    """Where a run stands: epoch and step within it (both from 0), and sums of this epoch's metrics."""

    epoch: int = 0
    step_in_epoch: int = 0
    sums: list[float] = field(default_factory=list)


class Run:
    """One call of ``fit``: it owns the state while training."""

    def __init__(self, model: Trainable, arrays: list[Array], objective: Objective, optimizer: Optimizer, plan: Plan,
                 callbacks: Sequence[Callback], progress: Progress) -> None:  # fmt: skip
        self.model, self.arrays, self.objective, self.optimizer, self.plan = model, arrays, objective, optimizer, plan
        self.callbacks, self.progress = list(callbacks), progress
        self.history, self.counters = History(), Counters()
        self.stop, self.learning_rate_factor = False, 1.0
        self.programs: dict[int, TrainingProgram] = {}
        self._runners: dict[int, StepRunner] = {}
        self._current: StepRunner | None = None
        self._state: list[Array] | None = None

    # ---------------------------------------------------------------- state

    @property
    def main_program(self) -> TrainingProgram:
        """The program of a full batch."""
        return self.program(min(self.plan.batch_size, self.plan.n_samples))

    def program(self, size: int) -> TrainingProgram:
        """Return the program for a batch size, built once."""
        if size not in self.programs:
            specs = [Spec.of(array) for array in self.arrays]
            self.programs[size] = training_program(self.model, self.objective, self.optimizer, specs, size)
        return self.programs[size]

    def weights(self) -> list[Array]:
        """Return copies of the current state."""
        if self._current is not None:
            return self._current.read()
        if self._state is None:
            self._state = self.main_program.initial_state()
        return [array.copy() for array in self._state]

    def set_weights(self, state: list[Array]) -> None:
        """Go on with another state."""
        self._state, self._current = [np.array(array) for array in state], None

    def _runner(self, size: int) -> StepRunner:
        """Return the runner for a batch size, holding the current state."""
        runner = self._runners.get(size)
        if runner is None:
            start = time.perf_counter()
            runner = backend(self.plan.device).compile_step(self.program(size).step, self.plan.threads)
            self._runners[size] = runner
            self.history.compile_seconds += time.perf_counter() - start
        if runner is not self._current:
            runner.load(self.weights())
            self._current = runner
        return runner

    # ---------------------------------------------------------------- the loop

    def prepare(self) -> None:
        """Build and compile before the first step, so that every error of shape comes first."""
        start = time.perf_counter()
        output = self.model.apply(
            Spec.of(self.arrays[0]).batch("x", min(self.plan.batch_size, self.plan.n_samples)),
            mode="inference", seed=None, step=None,
        ).output  # fmt: skip
        check_label_range(self.arrays[1], output.shape)
        _ = self.main_program
        built = time.perf_counter() - start
        self._runner(min(self.plan.batch_size, self.plan.n_samples))
        self.history.compile_seconds += built

    def train(self, validation: list[Array] | None) -> None:
        """Run epochs until the plan, a callback or an interrupt ends them."""
        for callback in self.callbacks:
            callback.on_train_begin(self)
        try:
            while self.counters.epoch < self.plan.epochs and not self.stop:
                start = time.perf_counter()
                self._epoch()
                self._finish_epoch(validation, time.perf_counter() - start)
            self.history.stopped_early = self.stop and self.counters.epoch < self.plan.epochs
        except KeyboardInterrupt:
            self.history.interrupted = True
        finally:
            for callback in self.callbacks:
                callback.on_train_end(self)
            self.main_program.write_back(self.weights())

    def _epoch(self) -> None:
        """Run what is left of the current epoch, in pieces that end where a checkpoint is due."""
        order, size = self.plan.order(self.counters.epoch), self.plan.batch_size
        total = self.plan.steps_per_epoch
        full = self.plan.n_samples // size
        while self.counters.step_in_epoch < total:
            first = self.counters.step_in_epoch
            last = full if first < full else total
            if self.plan.checkpoint_every:
                due = self.plan.checkpoint_every - self.history.steps % self.plan.checkpoint_every
                last = min(last, first + due)
            rows = order[first * size : last * size]
            self._piece(rows, size if first < full else len(rows))
            if self.plan.checkpoint_every and self.history.steps % self.plan.checkpoint_every == 0:
                self.save()

    def _piece(self, rows: npt.NDArray[np.int64], size: int) -> None:
        """Run some steps of one batch size in a worker thread; stay interruptible and show progress."""
        runner = self._runner(size)
        before = runner.read()
        results: list[Array] = []
        faults: list[BaseException] = []
        first = self.history.steps

        def work() -> None:
            try:
                scalars = (self.learning_rate_factor,)
                results.append(runner.run(self.arrays, rows, first, self.plan.seed, scalars))
            except BaseException as error:  # handed to the main thread below
                faults.append(error)

        start = time.perf_counter()
        worker = threading.Thread(target=work, name="deltarule-train", daemon=True)
        worker.start()
        interrupted = self._watch(worker, runner, size, start)
        self.history.train_seconds += time.perf_counter() - start
        if faults:
            raise faults[0]
        self._account(results[0], before, rows, size)
        if interrupted:
            raise KeyboardInterrupt

    def _watch(self, worker: threading.Thread, runner: StepRunner, size: int, start: float) -> bool:
        """Wait for the worker; return whether Ctrl-C came meanwhile (the step at work is finished first)."""
        interrupted = False
        while worker.is_alive():
            try:
                worker.join(_POLL_SECONDS)
                done = runner.steps_done
                elapsed = time.perf_counter() - start
                if done and elapsed > 0:
                    speed = done * size / elapsed
                    step = self.counters.step_in_epoch + done
                    left = (
                        ((self.plan.epochs - self.counters.epoch) * self.plan.steps_per_epoch - step) * elapsed / done
                    )
                    self.progress.step(self.counters.epoch + 1, step, left, speed)
            except KeyboardInterrupt:
                interrupted = True
                runner.stop()
        return interrupted

    def _account(self, metrics: Array, before: list[Array], rows: npt.NDArray[np.int64], size: int) -> None:
        """Add the metrics of finished steps to the books; a loss that is not finite ends the run."""
        bad = np.flatnonzero(~np.isfinite(metrics[:, 0]))
        good = int(bad[0]) if len(bad) else len(metrics)
        self.history.step_losses.extend(metrics[:good, 0].tolist())
        sums = self.counters.sums or [0.0] * metrics.shape[1]
        self.counters.sums = [s + float(v) * size for s, v in zip(sums, metrics[:good].sum(axis=0), strict=True)]
        first = self.history.steps
        self.history.steps += good
        self.history.samples += good * size
        self.counters.step_in_epoch += good
        if len(bad):
            self._replay_to_fault(before, rows, size, first, good, float(metrics[good, 0]))

    def _replay_to_fault(self, before: list[Array], rows: npt.NDArray[np.int64], size: int, first: int, good: int,
                         loss: float) -> None:  # fmt: skip
        """Go back to the state before the faulty step and raise the error that names it."""
        runner = self._runner(size)
        runner.load(before)
        scalars = (self.learning_rate_factor,)
        runner.run(self.arrays, rows[: good * size], first, self.plan.seed, scalars)
        batch = [array[rows[good * size : (good + 1) * size]] for array in self.arrays]
        program = self.program(size).step
        raise diverged(program, runner.read(), batch, first + good, self.plan.seed, scalars, self.counters.epoch, loss)

    def _finish_epoch(self, validation: list[Array] | None, seconds: float) -> None:
        names = self.main_program.metric_names
        logs = {name: total / self.plan.n_samples for name, total in zip(names, self.counters.sums, strict=True)}
        if validation is not None:
            self.main_program.write_back(self.weights())
            held = evaluate(self.model, validation[0], validation[1], self.objective.loss, self.objective.metrics,
                            max(256, self.plan.batch_size), self.plan.device)  # fmt: skip
            logs.update({f"val_{name}": value for name, value in held.items()})
        logs["learning_rate"] = self._learning_rate()
        logs["seconds"] = seconds
        self.counters = Counters(self.counters.epoch + 1)
        self.history.epochs.append(logs)
        self.progress.epoch(self.counters.epoch, logs, self.plan.n_samples / seconds if seconds > 0 else 0.0)
        for callback in self.callbacks:
            callback.on_epoch_end(self, self.counters.epoch, logs)

    def _learning_rate(self) -> float:
        rate = self.optimizer.learning_rate
        now = rate.at(max(0, self.history.steps - 1)) if isinstance(rate, Schedule) else rate
        return now * self.learning_rate_factor

    # ---------------------------------------------------------------- checkpoints

    def save(self) -> None:
        """Write all that is needed to go on exactly from here."""
        if self.plan.checkpoint is not None:
            resuming.save(self, self.plan.checkpoint)


def fit(
    model: Trainable,
    inputs: Any,
    targets: Any,
    *,
    loss: str | Loss,
    optimizer: str | Optimizer = "adam",
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: tuple[Any, Any] | None = None,
    validation_split: float = 0.0,
    metrics: Sequence[str | Metric] = (),
    regularizers: Sequence[Regularizer] = (),
    callbacks: Sequence[Callback] = (),
    class_weight: ClassWeight = None,
    sample_weight: Any = None,
    seed: int = 0,
    shuffle: bool = True,
    device: str = "cpu",
    threads: int | None = None,
    verbose: int = 1,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> History:
    """Train a model; the same seed gives the same bits.

    Everything is checked before the first step. ``checkpoint`` is written every ``checkpoint_every`` steps and at
    the end; ``resume=True`` goes on from it, to the bit as if never stopped. Ctrl-C ends the run after the current
    step and keeps what was learned. ``validation_split`` holds out a stratified fraction.
    """
    chosen = get_loss(loss)
    arrays = prepared(model, inputs, targets, chosen, class_weight, sample_weight)
    arrays, validation = held_out(arrays, validation_split, seed)
    if validation_data is not None:
        validation = prepared(model, *validation_data, chosen, None, None)
    bound = tuple(metric.bound_to(arrays[1]) for metric in get_all(metrics))
    objective = Objective(chosen, bound, tuple(regularizers), weighted=len(arrays) == 3)
    path = Path(checkpoint) if checkpoint is not None else None
    plan = Plan(epochs, batch_size, int(seed), shuffle, device, threads, path, checkpoint_every, len(arrays[0]))
    progress: Progress = Terminal() if verbose else Silent()
    run = Run(model, arrays, objective, get_optimizer(optimizer), plan, callbacks, progress)
    if resume:
        resuming.load(run, path)
    run.history.engine, run.history.threads = backend(device).name, threads
    progress.begin(run.history.engine, threads, epochs, plan.steps_per_epoch)
    run.prepare()
    progress.compiled(run.history.compile_seconds)
    try:
        run.train(validation)
        run.save()
    finally:
        note = "interrupted: the model keeps what was learned" if run.history.interrupted else ""
        progress.end(note)
    return run.history
