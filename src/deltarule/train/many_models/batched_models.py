"""Train models with equal graphs in the lanes of one program; a lane whose model has finished takes the next one.

A program has few lanes, so that its models stay in the cache, and every thread has its own lanes, so that no thread
waits for another. The result of a model does not depend on its lane or on the other models.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter

import numpy as np

from deltarule.runtime.buffers import Array
from deltarule.runtime.devices import cores
from deltarule.train.many_models.batched_step import (
    FACTORS,
    FINITE,
    STEPS,
    batched_evaluation_step,
    batched_training_step,
    constant_rates,
)
from deltarule.train.many_models.model_run import ModelRun
from deltarule.train.many_models.progress import ManyModelsProgress
from deltarule.train.many_models.row_blocks import (
    MetricsBuffer,
    Rows,
    batch_counts,
    batched_orders,
)
from deltarule.train.steps.aggregation import aggregate_metrics
from deltarule.train.steps.engine import Engine
from deltarule.train.steps.interrupt import Interrupt
from deltarule.train.steps.step import StepSpec, columns

VALIDATION_BATCH = 256
_CACHE_BYTES = 1 << 20  # size of the state of one program
_MAX_LANES = 32
_POLL_SECONDS = 0.05  # between two checks for Ctrl-C


def lanes_for(models: int, state_bytes: int, device: str) -> int:
    """Return the number of lanes of a program: as many as the cache holds, balanced over the cores.

    >>> lanes_for(1, 1000, "reference")
    1
    """
    most = min(_MAX_LANES, max(1, _CACHE_BYTES // max(1, state_bytes)))
    at_once = cores(device)
    rounds = math.ceil(models / (at_once * most))
    return math.ceil(models / (at_once * rounds))


class Scheduler:
    """Shared by all threads: the data, the batched steps, and the queue of models."""

    def __init__(
        self,
        runs: Sequence[ModelRun],
        data: Sequence[Array],
        device: str,
        threads: int | None,
        interrupt: Interrupt,
    ) -> None:
        self.runs, self.interrupt = list(runs), interrupt
        self.index_of = {id(run): index for index, run in enumerate(runs)}
        self.waiting = deque(runs)
        self.padding_row = len(data[0])
        filled = [np.concatenate([array, np.zeros_like(array[:1])]) for array in data]
        mask = np.ones(self.padding_row + 1, np.float32)
        mask[-1] = 0.0
        self.data, self.evaluation_data = [*filled, mask], filled
        self.needs_weights = any(run.callbacks or run.held is not None for run in runs)
        weight_bytes = sum(value.nbytes for value in runs[0].values().values())
        state_bytes = 4 * weight_bytes  # weights, gradient and two optimiser slots
        self.width = lanes_for(len(runs), state_bytes, device)
        workers = min(threads or cores(device), math.ceil(len(runs) / self.width))
        self.initial_slots: dict[str, Array] = {}  # by name, one row per model
        self.failed = False
        self._make_engines(data, device, max(1, (threads or cores(device)) // workers))
        self._compile()
        pairs = [(self._engine, self._evaluation)]
        pairs += [
            (self._engine.clone(), self._evaluation.clone()) for _ in range(workers - 1)
        ]
        self.lanes = [
            BatchedModels(self, engine, evaluation) for engine, evaluation in pairs
        ]
        interrupt.on_interrupt(self.stop)

    def _make_engines(self, data: Sequence[Array], device: str, threads: int) -> None:
        specs, width = [run.spec for run in self.runs], self.width
        seeds = [run.plan.seed for run in self.runs]
        rates = constant_rates([run.optimizer for run in self.runs])
        described = columns(data)
        # by whether the step evaluates, then by batch size
        self.constants: dict[bool, dict[int, tuple[Array, ...]]] = {False: {}, True: {}}

        def train(size: int) -> StepSpec:
            batched = batched_training_step(specs, described, size, seeds, rates, width)
            self.initial_slots = batched.initial_slots
            self.constants[False][size] = batched.constants
            return batched.step

        def evaluate(size: int) -> StepSpec:
            batched = batched_evaluation_step(specs, described, size, width)
            self.constants[True][size] = batched.constants
            return batched.step

        self._engine = Engine(train, device, threads)
        self._evaluation = Engine(evaluate, device, threads)

    def _compile(self) -> None:
        """Compile the steps for all batch sizes."""
        for size in {
            size
            for m in self.runs
            for size, _ in batch_counts(m.plan.n_samples, m.plan.size)
        }:
            self._engine.prepare(size)
        held = [run.held for run in self.runs if run.held is not None]
        for size in {
            size
            for rows in held
            for size, _ in batch_counts(len(rows), VALIDATION_BATCH)
        }:
            self._evaluation.prepare(size)
        seconds = self._engine.compile_seconds + self._evaluation.compile_seconds
        for run in self.runs:
            run.history.engine = self._engine.name
            run.history.compile_seconds = seconds

    @property
    def stopping(self) -> bool:
        """Whether all threads should stop: after Ctrl-C, or after an error in one of them."""
        return self.interrupt.requested or self.failed

    def stop(self) -> None:
        """Stop all threads after their current step."""
        for lanes in self.lanes:
            lanes.stop()

    def run(self, display: ManyModelsProgress) -> None:
        """Train all models; errors of threads are raised when all threads have ended."""
        display.compiled(
            self._engine.name, len(self.runs), self._engine.compile_seconds
        )
        errors: list[BaseException] = []

        def work(lanes: BatchedModels) -> None:
            try:
                lanes.run()
            except BaseException as error:  # raised again below, in the caller's thread
                errors.append(error)
                self.failed = True

        workers = [
            threading.Thread(target=partial(work, lanes), name="deltarule-lanes")
            for lanes in self.lanes
        ]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            try:
                for worker in workers:
                    worker.join(_POLL_SECONDS)
                display.update()
            except (
                KeyboardInterrupt
            ):  # a second Ctrl-C: the threads are already stopping
                self.interrupt.requested = True
            if self.stopping:
                self.stop()
        self.interrupt.clear_callback()
        try:
            for run in self.runs:
                run.end(self.interrupt.requested)
        finally:
            if errors:
                raise errors[0]


class BatchedModels:
    """The lanes of one thread."""

    def __init__(
        self, scheduler: Scheduler, engine: Engine, evaluation: Engine
    ) -> None:
        self._scheduler, self._engine, self._evaluation = scheduler, engine, evaluation
        self._runs: list[ModelRun | None] = [None] * scheduler.width
        self._state: dict[str, Array] = {}
        self._model_of_lane = [
            0
        ] * scheduler.width  # the model whose constants a lane has
        engine.extra_constants = partial(self._model_constants, False)
        evaluation.extra_constants = partial(self._model_constants, True)

    def stop(self) -> None:
        """Stop after the current step."""
        self._engine.stop()
        self._evaluation.stop()

    def run(self) -> None:
        """Run epochs until no model is left."""
        self._fill_lanes()
        while any(self._runs) and not self._scheduler.stopping:
            self._epoch()
            self._fill_lanes()
        if any(self._runs):  # interrupted
            self._read()
            self._update_runs()

    # ---------------------------------------------------------------- the state

    def _model_constants(self, held: bool, size: int) -> list[Array]:
        """Return the constants of the models in the lanes, for steps of a batch size."""
        return [
            values[self._model_of_lane]
            for values in self._scheduler.constants[held][size]
        ]

    def _fill_lanes(self) -> None:
        """Put waiting models into free lanes, and load the state if it has changed."""
        changed = False
        for i, run in enumerate(self._runs):
            if run is None or not run.is_running:
                self._runs[i] = None
                if self._scheduler.waiting and not self._scheduler.stopping:
                    self._runs[i] = self._begin(i)
            run = self._runs[i]
            if run is not None and run.changed:
                changed = True
                for name, value in run.take_changes().items():
                    if name in self._state:
                        self._state[name][i] = value
        if changed:
            self._load()

    def _load(self) -> None:
        self._engine.load([self._state[name] for name in self._engine.names().all])

    def _begin(self, i: int) -> ModelRun | None:
        """Put the next waiting model into lane i."""
        try:
            run = self._scheduler.waiting.popleft()
        except IndexError:  # another thread has taken it
            return None
        index = self._model_of_lane[i] = self._scheduler.index_of[id(run)]
        initial_slots = {
            name: values[index]
            for name, values in self._scheduler.initial_slots.items()
        }
        initial_state = {
            STEPS: np.int64(0),
            FINITE: np.bool_(1),
            **initial_slots,
            **run.values(),
        }
        if not self._state:
            self._state = {
                name: np.stack([np.asarray(value)] * self._scheduler.width)
                for name, value in initial_state.items()
            }
            self._state[FACTORS] = np.ones(self._scheduler.width)
        for name, value in initial_state.items():
            self._state[name][i] = value
        run.begin(
            {name: np.asarray(value) for name, value in initial_state.items()},
            self._engine.names().slots,
        )
        return run

    def _read(self) -> None:
        """Read the state from the engine."""
        self._state |= dict(
            zip(self._engine.names().all, self._engine.read(), strict=True)
        )

    def _update_runs(self) -> None:
        """Update the weights of the model runs."""
        names = self._engine.names()
        for i, run in enumerate(self._runs):
            if run is not None:
                run.update_state(
                    {name: values[i] for name, values in self._state.items()},
                    names.slots,
                )

    # ---------------------------------------------------------------- an epoch

    def _epoch(self) -> None:
        start, before = time.perf_counter(), dict(self._state)
        buffer, complete, ran = self._steps()
        seconds = time.perf_counter() - start
        self._read()
        diverged = self._undo_divergence(before, ran)
        running = [(i, run) for i, run in enumerate(self._runs) if run is not None]
        for i, run in running:
            penalty = self._step(run).has_penalty
            run.record_steps(
                buffer.rows(i), buffer.sizes(i), seconds, penalty, diverged.get(i)
            )
        last = any(not run.is_running or run.epochs_left == 1 for _, run in running)
        if self._scheduler.needs_weights or last or not complete:
            self._update_runs()
        held = self._validate() if complete else None
        if held is None:
            return
        for i, run in running:
            if run.is_running:
                logs = aggregate_metrics(
                    run.task, self._step(run), buffer.rows(i), buffer.sizes(i)
                )
                run.end_epoch(logs | held.get(i, {}), seconds)

    def _step(self, run: ModelRun) -> StepSpec:
        return self._engine.step(run.plan.size)

    def _steps(self) -> tuple[MetricsBuffer, bool, list[tuple[int, Rows]]]:
        """Run an epoch of every model; return the metrics, whether it was completed, and the steps that were run."""
        orders = [run.order() if run is not None else None for run in self._runs]
        size = next(run.plan.batch_size for run in self._runs if run is not None)
        buffer, ran = MetricsBuffer(len(orders)), []
        for width, blocks in batched_orders(orders, size, self._scheduler.padding_row):
            found = self._engine.run(self._scheduler.data, blocks.reshape(-1), width)
            ran.append((width, blocks[: len(found)]))
            buffer.append(found, blocks[:, :, 0] != self._scheduler.padding_row, width)
            if len(found) < len(blocks) or self._scheduler.stopping:
                return buffer, False, ran
        return buffer, True, ran

    def _undo_divergence(
        self, before: dict[str, Array], ran: list[tuple[int, Rows]]
    ) -> dict[int, int]:
        """Restore models with NaN or infinite weights to before the update that produced them; return it by lane.

        Steps are deterministic, so the epoch is replayed, and the step is found by bisection.
        """
        names = self._engine.names()
        weights = [
            name
            for name in (*names.parameters, *names.running)
            if self._state[name].dtype.kind == "f"
        ]
        if all(np.isfinite(self._state[name]).all() for name in weights):
            return {}
        steps = [(width, block) for width, blocks in ran for block in blocks]
        found = {}
        for i in self._non_finite_lanes(self._state, weights):
            if i in self._non_finite_lanes(before, weights):
                continue
            low, high = 0, len(steps)  # finite after low steps, not after high
            while high - low > 1:
                middle = (low + high) // 2
                diverged = i in self._non_finite_lanes(
                    self._state_after(before, steps[:middle]), weights
                )
                low, high = (low, middle) if diverged else (middle, high)
            restored = self._state_after(before, steps[:low])
            found[i] = sum(
                block[i, 0] != self._scheduler.padding_row for _, block in steps[:high]
            )
            for name, value in restored.items():
                self._state[name][i] = value[i]
        self._load()
        return found

    def _non_finite_lanes(
        self, state: Mapping[str, Array], weights: Sequence[str]
    ) -> list[int]:
        """Return the lanes of models with NaN or infinite weights."""
        flat = [state[name].reshape(len(self._runs), -1) for name in weights]
        is_finite = np.logical_and.reduce(
            [np.isfinite(value).all(axis=1) for value in flat]
        )
        return [
            i
            for i, run in enumerate(self._runs)
            if run is not None and not is_finite[i]
        ]

    def _state_after(
        self, before: Mapping[str, Array], steps: Sequence[tuple[int, Rows]]
    ) -> dict[str, Array]:
        """Return the state after running steps from a given state."""
        names = self._engine.names().all
        self._engine.load([before[name] for name in names])
        for width, group in groupby(steps, key=itemgetter(0)):
            blocks = [block.reshape(-1) for _, block in group]
            while blocks:  # Ctrl-C stops a call after a step
                rows = np.concatenate(blocks)
                metrics = self._engine.run(self._scheduler.data, rows, width)
                blocks = blocks[len(metrics) :]
        return dict(zip(names, self._engine.read(), strict=True))

    def _validate(self) -> dict[int, dict[str, float]] | None:
        """Return loss and metrics on the validation rows, by lane; None after an interrupt."""
        validated = {
            i: run
            for i, run in enumerate(self._runs)
            if run is not None and run.is_running and run.held is not None
        }
        orders = [
            validated[i].held if i in validated else None
            for i in range(len(self._runs))
        ]
        buffer, step = MetricsBuffer(len(orders)), None
        state = self._evaluation_state(validated)
        padding_row = self._scheduler.padding_row
        for width, blocks in batched_orders(orders, VALIDATION_BATCH, padding_row):
            step = self._evaluation.step(width)
            self._evaluation.load([state[name] for name in step.names.all])
            found = self._evaluation.run(
                self._scheduler.evaluation_data, blocks.reshape(-1), width
            )
            buffer.append(found, blocks[:, :, 0] != padding_row, width)
            if len(found) < len(blocks):
                return None
        if step is None:
            return {}
        values = {
            i: aggregate_metrics(run.task, step, buffer.rows(i), buffer.sizes(i))
            for i, run in validated.items()
        }
        return {
            i: {f"val_{name}": value for name, value in logs.items()}
            for i, logs in values.items()
        }

    def _evaluation_state(self, runs: Mapping[int, ModelRun]) -> dict[str, Array]:
        """Return the state to evaluate, with weights that callbacks replace."""
        state = dict(self._state)
        for i, run in runs.items():
            for name, value in (run.weights() if run.replaces_weights else {}).items():
                state[name] = state[name].copy()
                state[name][i] = value
        return state
