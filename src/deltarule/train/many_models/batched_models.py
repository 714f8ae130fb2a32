"""Models of one form in the slots of one program; a slot whose model has ended takes the next one.

A program has few slots, so that all of its models stay in the cache, and every thread runs slots of its own: no
thread waits for another. Which slot a model has, and in what company, makes no difference to it.
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
from deltarule.train.many_models.joint_step import (
    FACTORS,
    SOUND,
    STEPS,
    constant_rates,
    joint_evaluation_step,
    joint_training_step,
)
from deltarule.train.many_models.model_run import ModelRun
from deltarule.train.many_models.progress import Watch
from deltarule.train.many_models.row_blocks import (
    MetricsBuffer,
    Rows,
    batched_orders,
    cuts,
)
from deltarule.train.steps.aggregation import aggregate_metrics
from deltarule.train.steps.engine import Engine
from deltarule.train.steps.interrupt import Interrupt
from deltarule.train.steps.step import Step, columns

VALIDATION_BATCH = 256
_CACHE_BYTES = 1 << 20  # of state that a program works on
_MOST_SLOTS = 32
_POLL_SECONDS = 0.05  # how often the main thread looks at Ctrl-C


def slots_for(models: int, state_bytes: int, device: str) -> int:
    """Return how many slots a program has: what the cache holds, the models spread evenly over the cores."""
    most = min(_MOST_SLOTS, max(1, _CACHE_BYTES // max(1, state_bytes)))
    at_once = cores(device)
    rounds = math.ceil(models / (at_once * most))
    return math.ceil(models / (at_once * rounds))


class Scheduler:
    """What all threads share: the data, the steps of a form, and the models that wait."""

    def __init__(
        self,
        members: Sequence[ModelRun],
        data: Sequence[Array],
        device: str,
        threads: int | None,
        interrupt: Interrupt,
    ) -> None:
        self.members, self.interrupt = list(members), interrupt
        self.places = {id(member): place for place, member in enumerate(members)}
        self.waiting = deque(members)
        self.blank = len(data[0])
        filled = [np.concatenate([array, np.zeros_like(array[:1])]) for array in data]
        real = np.ones(self.blank + 1, np.float32)
        real[-1] = 0.0
        self.data, self.held_data = [*filled, real], filled
        self.watched = any(
            member.callbacks or member.held is not None for member in members
        )
        state_bytes = 4 * sum(
            value.nbytes for value in members[0].values().values()
        )  # with two slots and a gradient
        self.width = slots_for(len(members), state_bytes, device)
        workers = min(threads or cores(device), math.ceil(len(members) / self.width))
        self.own: dict[str, Array] = {}  # by name, one row a model
        self.failed = False
        self._engines(data, device, max(1, (threads or cores(device)) // workers))
        self._prepare()
        pairs = [(self._engine, self._evaluation)]
        pairs += [
            (self._engine.twin(), self._evaluation.twin()) for _ in range(workers - 1)
        ]
        self.slots = [
            BatchedModels(self, engine, evaluation) for engine, evaluation in pairs
        ]
        interrupt.calls(self.stop)

    def _engines(self, data: Sequence[Array], device: str, threads: int) -> None:
        kinds, width = [member.kind for member in self.members], self.width
        seeds = [member.plan.seed for member in self.members]
        rates = constant_rates([member.optimizer for member in self.members])
        described = columns(data)
        self.constants: dict[bool, dict[int, tuple[Array, ...]]] = {
            False: {},
            True: {},
        }  # by held out, batch size

        def train(size: int) -> Step:
            joint = joint_training_step(kinds, described, size, seeds, rates, width)
            self.own, self.constants[False][size] = joint.own, joint.constants
            return joint.step

        def evaluate(size: int) -> Step:
            joint = joint_evaluation_step(kinds, described, size, width)
            self.constants[True][size] = joint.constants
            return joint.step

        self._engine, self._evaluation = (
            Engine(train, device, threads),
            Engine(evaluate, device, threads),
        )

    def _prepare(self) -> None:
        """Compile for every batch size that occurs."""
        for size in {
            size
            for m in self.members
            for size, _ in cuts(m.plan.n_samples, m.plan.size)
        }:
            self._engine.prepare(size)
        held = [member.held for member in self.members if member.held is not None]
        for size in {
            size for rows in held for size, _ in cuts(len(rows), VALIDATION_BATCH)
        }:
            self._evaluation.prepare(size)
        seconds = self._engine.compile_seconds + self._evaluation.compile_seconds
        for member in self.members:
            member.history.engine, member.history.compile_seconds = (
                self._engine.name,
                seconds,
            )

    @property
    def halted(self) -> bool:
        """Whether all threads are to end: after Ctrl-C, or because one of them has failed."""
        return self.interrupt.requested or self.failed

    def stop(self) -> None:
        """Let all threads end after their current step."""
        for slots in self.slots:
            slots.stop()

    def run(self, watch: Watch) -> None:
        """Train all models; what a thread raises is raised here when all have ended."""
        watch.compiled(
            self._engine.name, len(self.members), self._engine.compile_seconds
        )
        faults: list[BaseException] = []

        def work(slots: BatchedModels) -> None:
            try:
                slots.run()
            except BaseException as error:  # raised again below, in the caller's thread
                faults.append(error)
                self.failed = True

        workers = [
            threading.Thread(target=partial(work, slots), name="deltarule-slots")
            for slots in self.slots
        ]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            try:
                for worker in workers:
                    worker.join(_POLL_SECONDS)
                watch.look()
            except (
                KeyboardInterrupt
            ):  # a second Ctrl-C: the threads end after their current step anyway
                self.interrupt.requested = True
            if self.halted:
                self.stop()
        self.interrupt.calls_nothing()
        try:
            for member in self.members:
                member.end(self.interrupt.requested)
        finally:
            if faults:
                raise faults[0]


class BatchedModels:
    """The slots of one thread."""

    def __init__(self, workshop: Scheduler, engine: Engine, evaluation: Engine) -> None:
        self._shop, self._engine, self._evaluation = workshop, engine, evaluation
        self._members: list[ModelRun | None] = [None] * workshop.width
        self._state: dict[str, Array] = {}
        self._places = [0] * workshop.width  # whose constants a slot has
        engine.brings, evaluation.brings = (
            partial(self._brought, False),
            partial(self._brought, True),
        )

    def stop(self) -> None:
        """End after the current step."""
        self._engine.stop()
        self._evaluation.stop()

    def run(self) -> None:
        """Run epochs until no model is left."""
        self._fill()
        while any(self._members) and not self._shop.halted:
            self._epoch()
            self._fill()
        if any(
            self._members
        ):  # interrupted: their last epoch may not have been looked at
            self._read()
            self._show_weights()

    # ---------------------------------------------------------------- the state

    def _brought(self, held: bool, size: int) -> list[Array]:
        """Return the constants of the models in the slots for steps of a batch size."""
        return [values[self._places] for values in self._shop.constants[held][size]]

    def _fill(self) -> None:
        """Give free slots to models that wait, and load the state if anything in it is new."""
        changed = False
        for i, member in enumerate(self._members):
            if member is None or not member.at_work:
                self._members[i] = None
                if self._shop.waiting and not self._shop.halted:
                    self._members[i] = self._begin(i)
            member = self._members[i]
            if member is not None and member.changed:
                changed = True
                for name, value in member.take().items():
                    if name in self._state:
                        self._state[name][i] = value
        if changed:
            self._load()

    def _load(self) -> None:
        self._engine.load([self._state[name] for name in self._engine.names().all])

    def _begin(self, i: int) -> ModelRun | None:
        """Put the next model into slot i."""
        try:
            member = self._shop.waiting.popleft()
        except IndexError:  # another thread has taken it
            return None
        place = self._places[i] = self._shop.places[id(member)]
        own = {name: values[place] for name, values in self._shop.own.items()}
        fresh = {STEPS: np.int64(0), SOUND: np.bool_(1), **own, **member.values()}
        if not self._state:
            self._state = {
                name: np.stack([np.asarray(value)] * self._shop.width)
                for name, value in fresh.items()
            }
            self._state[FACTORS] = np.ones(self._shop.width)
        for name, value in fresh.items():
            self._state[name][i] = value
        member.begin(
            {name: np.asarray(value) for name, value in fresh.items()},
            self._engine.names().slots,
        )
        return member

    def _read(self) -> None:
        """Take note of the state."""
        self._state |= dict(
            zip(self._engine.names().all, self._engine.read(), strict=True)
        )

    def _show_weights(self) -> None:
        """Let the models see their weights."""
        names = self._engine.names()
        for i, member in enumerate(self._members):
            if member is not None:
                member.see(
                    {name: values[i] for name, values in self._state.items()},
                    names.slots,
                )

    # ---------------------------------------------------------------- an epoch

    def _epoch(self) -> None:
        start, before = time.perf_counter(), dict(self._state)
        books, complete, ran = self._steps()
        seconds = time.perf_counter() - start
        self._read()
        broken = self._undo_breaks(before, ran)
        working = [
            (i, member) for i, member in enumerate(self._members) if member is not None
        ]
        for i, member in working:
            penalty = self._step(member).has_penalty
            member.account(
                books.rows(i), books.sizes(i), seconds, penalty, broken.get(i)
            )
        last = any(
            not member.at_work or member.epochs_left == 1 for _, member in working
        )
        if self._shop.watched or last or not complete:
            self._show_weights()
        held = self._validate() if complete else None
        if held is None:
            return
        for i, member in working:
            if member.at_work:
                logs = aggregate_metrics(
                    member.task, self._step(member), books.rows(i), books.sizes(i)
                )
                member.end_epoch(logs | held.get(i, {}), seconds)

    def _step(self, member: ModelRun) -> Step:
        return self._engine.step(member.plan.size)

    def _steps(self) -> tuple[MetricsBuffer, bool, list[tuple[int, Rows]]]:
        """Run an epoch of every model; return the metrics, whether the epoch was completed, and what was run."""
        orders = [
            member.order() if member is not None else None for member in self._members
        ]
        size = next(
            member.plan.batch_size for member in self._members if member is not None
        )
        books, ran = MetricsBuffer(len(orders)), []
        for width, blocks in batched_orders(orders, size, self._shop.blank):
            found = self._engine.run(self._shop.data, blocks.reshape(-1), width)
            ran.append((width, blocks[: len(found)]))
            books.enter(found, blocks[:, :, 0] != self._shop.blank, width)
            if len(found) < len(blocks) or self._shop.halted:
                return books, False, ran
        return books, True, ran

    def _undo_breaks(
        self, before: dict[str, Array], ran: list[tuple[int, Rows]]
    ) -> dict[int, int]:
        """Put models with weights that are not finite before the step that made them so; return its number by slot.

        Steps are exact, so those of the epoch are run again, to the step that is found by halves.
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
        for i in self._broken(self._state, weights):
            if i in self._broken(before, weights):
                continue
            low, high = 0, len(steps)  # finite after low, broken after high
            while high - low > 1:
                middle = (low + high) // 2
                broken = i in self._broken(
                    self._state_after(before, steps[:middle]), weights
                )
                low, high = (low, middle) if broken else (middle, high)
            kept = self._state_after(before, steps[:low])
            found[i] = sum(block[i, 0] != self._shop.blank for _, block in steps[:high])
            for name, value in kept.items():
                self._state[name][i] = value[i]
        self._load()
        return found

    def _broken(self, state: Mapping[str, Array], weights: Sequence[str]) -> list[int]:
        """Return the slots of models with weights that are not finite."""
        flat = [state[name].reshape(len(self._members), -1) for name in weights]
        fine = np.logical_and.reduce([np.isfinite(value).all(axis=1) for value in flat])
        return [
            i
            for i, member in enumerate(self._members)
            if member is not None and not fine[i]
        ]

    def _state_after(
        self, before: Mapping[str, Array], steps: Sequence[tuple[int, Rows]]
    ) -> dict[str, Array]:
        """Return the state after some steps from a state."""
        names = self._engine.names().all
        self._engine.load([before[name] for name in names])
        for width, group in groupby(steps, key=itemgetter(0)):
            blocks = [block.reshape(-1) for _, block in group]
            while blocks:  # Ctrl-C ends a run after a step
                blocks = blocks[
                    len(
                        self._engine.run(self._shop.data, np.concatenate(blocks), width)
                    ) :
                ]
        return dict(zip(names, self._engine.read(), strict=True))

    def _validate(self) -> dict[int, dict[str, float]] | None:
        """Return loss and metrics on the models' held-out rows, by slot; None after an interrupt."""
        at_work = {
            i: m
            for i, m in enumerate(self._members)
            if m is not None and m.at_work and m.held is not None
        }
        orders = [
            at_work[i].held if i in at_work else None for i in range(len(self._members))
        ]
        books, step, state = MetricsBuffer(len(orders)), None, self._shown(at_work)
        for width, blocks in batched_orders(orders, VALIDATION_BATCH, self._shop.blank):
            step = self._evaluation.step(width)
            self._evaluation.load([state[name] for name in step.names.all])
            found = self._evaluation.run(
                self._shop.held_data, blocks.reshape(-1), width
            )
            books.enter(found, blocks[:, :, 0] != self._shop.blank, width)
            if len(found) < len(blocks):
                return None
        if step is None:
            return {}
        values = {
            i: aggregate_metrics(m.task, step, books.rows(i), books.sizes(i))
            for i, m in at_work.items()
        }
        return {
            i: {f"val_{name}": value for name, value in logs.items()}
            for i, logs in values.items()
        }

    def _shown(self, members: Mapping[int, ModelRun]) -> dict[str, Array]:
        """Return the state to measure: where a callback keeps other weights than training goes on with, those."""
        state = dict(self._state)
        for i, member in members.items():
            for name, value in (
                member.weights() if member.keeps_others else {}
            ).items():
                state[name] = state[name].copy()
                state[name][i] = value
        return state
