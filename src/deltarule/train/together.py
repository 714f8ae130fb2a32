"""The run of many models of one form in one program: epochs, validation, and each model's own end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from deltarule.runtime.buffers import Array
from deltarule.train.engine import Engine, in_background
from deltarule.train.interrupt import Interrupt
from deltarule.train.joint import FACTORS, SOUND, STEPS, constant_rates, joint_evaluation_step, joint_training_step
from deltarule.train.member import Member, Numbers, Rows
from deltarule.train.program import Layout, columns, learned, running
from deltarule.train.tally import tally

_PIECE_SECONDS = 0.5
_FIRST_PIECE = 32  # steps, before the speed is known
_SHORT_SECONDS = 0.05  # a piece that takes less needs no thread of its own: nobody waits for Ctrl-C
_VALIDATION_BATCH = 256
_WORTH_COMPILING = 4e10  # floating-point operations: about a second
Orders = Sequence[Rows | None]


def cuts(n: int, size: int) -> list[tuple[int, int]]:
    """Return the batches of n rows as (size, how many), the smaller last one apart.

    >>> cuts(10, 4), cuts(8, 4), cuts(3, 4)
    ([(4, 2), (2, 1)], [(4, 2)], [(3, 1)])
    """
    full = min(size, n)
    return [(full, n // full), *([(n % full, 1)] if n % full else [])]


def batched_orders(orders: Orders, size: int, blank: int) -> list[tuple[int, Rows]]:
    """Return (batch size, rows (steps, models, batch size)) for all models at once, larger batches first.

    A model that has no rows (any more) gets the row ``blank``.

    >>> [(n, rows.tolist()) for n, rows in batched_orders([np.arange(3), np.arange(2), None], 2, 9)]
    [(2, [[[0, 1], [0, 1], [9, 9]]]), (1, [[[2], [9], [9]]])]
    """
    plans = [dict(cuts(len(order), size)) if order is not None else {} for order in orders]
    starts = [0] * len(orders)
    found = []
    for width in sorted({width for plan in plans for width in plan}, reverse=True):
        steps = max(plan.get(width, 0) for plan in plans)
        rows = np.full((steps, len(orders), width), blank, np.int64)
        for i, (order, plan) in enumerate(zip(orders, plans, strict=True)):
            count = plan.get(width, 0)
            if order is not None and count:
                rows[:count, i] = order[starts[i] : starts[i] + count * width].reshape(count, width)
                starts[i] += count * width
        found.append((width, rows))
    return found


class _Books:
    """Metrics and batch sizes of every model's steps."""

    def __init__(self, n: int) -> None:
        self._rows: list[list[Numbers]] = [[] for _ in range(n)]
        self.sizes: list[list[int]] = [[] for _ in range(n)]

    def enter(self, metrics: Numbers, real: npt.NDArray[np.bool_], size: int) -> None:
        """Enter steps of one batch size: metrics (steps, metrics, models), and which blocks were real."""
        for i, own in enumerate(self._rows):
            own.append(metrics[real[:, i], :, i])
            self.sizes[i].extend([size] * len(own[-1]))

    def rows(self, i: int) -> Numbers:
        """Return the metrics (steps, metrics) of one model."""
        return np.concatenate(self._rows[i])

    def batch_sizes(self, i: int) -> npt.NDArray[np.int64]:
        """Return the batch sizes (steps,) of one model."""
        return np.array(self.sizes[i], np.int64)


class Together:
    """Models of one form, trained side by side; the data are shared, every model takes its own rows of them."""

    def __init__(
        self, members: Sequence[Member], data: Sequence[Array], device: str, threads: int | None, interrupt: Interrupt
    ) -> None:
        self._blank = len(data[0])
        self._columns, self._held_columns = columns(data), columns(data[:2])
        filled = [np.concatenate([array, np.zeros_like(array[:1])]) for array in data]
        real = np.ones(self._blank + 1, np.float32)
        real[-1] = 0.0
        self._data, self._held_data = [*filled, real], filled[:2]
        self._device, self._threads, self._interrupt = device, threads, interrupt
        self._watched = any(member.callbacks or member.held is not None for member in members)
        self._compile_seconds, self._speed = 0.0, 0.0
        self._gather(members)
        self._state = self._first_state()

    def _gather(self, members: Sequence[Member]) -> None:
        """Make the engines of these models."""
        self.members = list(members)
        kinds = [member.kind for member in members]
        seeds, rates = [member.plan.seed for member in members], constant_rates([m.optimizer for m in members])
        train = partial(joint_training_step, kinds, self._columns, seeds=seeds, rates=rates)
        evaluate = partial(joint_evaluation_step, kinds, self._held_columns)
        self._engine = Engine(train, self._device, self._threads)
        self._evaluation = Engine(evaluate, self._device, self._threads)
        self._interrupt.calls(self._stop_engines)

    def _stop_engines(self) -> None:
        self._engine.stop()
        self._evaluation.stop()

    # ---------------------------------------------------------------- the run

    def train(self) -> None:
        """Run epochs until every model has come to its end, and leave the models with their weights."""
        everyone = list(self.members)
        for member in everyone:
            member.history.engine, member.history.threads = self._engine.name, self._threads
            member.begin()
        try:
            self._epochs()
        except KeyboardInterrupt:  # a second Ctrl-C: end at once, with the weights of the last epoch
            self._interrupt.requested = True
        for member in everyone:
            member.history.compile_seconds = self._spent
            member.end(self._interrupt.requested)

    def _epochs(self) -> None:
        self._read(self._state)
        self._load()
        epoch = 0
        while any(member.at_work for member in self.members) and not self._interrupt.requested:
            self._epoch(epoch)
            epoch += 1
        if not self._watched:
            self._read(self._engine.read())

    @property
    def _spent(self) -> float:
        return self._compile_seconds + self._engine.compile_seconds + self._evaluation.compile_seconds

    @property
    def _layout(self) -> Layout:
        return self._engine.layout()

    def _first_state(self) -> list[Array]:
        """Compile for every batch size, and return the models' own weights with fresh slots."""
        for size in {size for m in self.members for size, _ in cuts(m.plan.n_samples, m.plan.size)}:
            self._engine.prepare(size)
        for size in {
            size for m in self.members if m.held is not None for size, _ in cuts(len(m.held), _VALIDATION_BATCH)
        }:
            self._evaluation.prepare(size)
        n = len(self.members)
        own = [dict((*learned(m.task.model), *running(m.task.model))) for m in self.members]
        values = {name: np.stack([tensors[name].numpy() for tensors in own]) for name in own[0]}
        values |= {STEPS: np.zeros(n, np.int64), SOUND: np.ones(n, np.bool_), FACTORS: np.ones(n)}
        layout, step = self._layout, self._engine.step(self.members[0].plan.size)
        kept = [values[name] for name in layout.running]
        return [*(values[name] for name in layout.parameters), *(slot.numpy().copy() for slot in step.slots), *kept]

    def _load(self) -> None:
        """Load the state, with what callbacks have changed in it."""
        names = self._layout.names
        for i, member in enumerate(self.members):
            for name, value in (member.chosen or {}).items():
                self._state[names.index(name)][i] = value
            if FACTORS in names:
                self._state[names.index(FACTORS)][i] = member.learning_rate_factor
            member.chosen = None
        self._engine.load(self._state)

    def _read(self, state: list[Array]) -> None:
        """Let the models see their weights in this state."""
        self._state = state
        named = dict(zip(self._layout.names, self._state, strict=True))
        for name in (STEPS, SOUND, FACTORS, *self._layout.slots):
            named.pop(name, None)
        for i, member in enumerate(self.members):
            member.current = {name: values[i] for name, values in named.items()}

    # ---------------------------------------------------------------- an epoch

    def _epoch(self, epoch: int) -> None:
        working = [i for i, member in enumerate(self.members) if member.at_work]
        orders = [member.order(epoch) if member.at_work else None for member in self.members]
        start = time.perf_counter()
        books, complete = self._steps(orders)
        seconds = time.perf_counter() - start
        for i in working:
            self._account(self.members[i], books.rows(i), books.batch_sizes(i), seconds)
        if self._watched:
            self._read(self._engine.read())
        ended = [i for i in working if complete and self.members[i].at_work]
        held = self._validate(ended)
        if held is None:
            return
        step = self._engine.step(self.members[0].plan.size)
        before = [member.learning_rate_factor for member in self.members]
        for i in ended:
            member = self.members[i]
            logs = tally(member.task, step, books.rows(i), books.batch_sizes(i))
            logs |= {f"val_{name}": value for name, value in held.get(i, {}).items()}
            rate = {"learning_rate": member.rate(), "seconds": seconds}
            member.end_epoch(logs | rate | {"samples_per_second": member.plan.n_samples / max(seconds, 1e-9)})
        if not self._compacted():
            after = [member.learning_rate_factor for member in self.members]
            if before != after or any(member.chosen for member in self.members):
                self._load()

    def _account(self, member: Member, rows: Numbers, sizes: npt.NDArray[np.int64], seconds: float) -> None:
        """Enter the steps of an epoch, up to the first whose loss is not finite."""
        objectives = rows[:, : 1 + self._engine.step(member.plan.size).has_penalty]
        bad = np.flatnonzero(~np.isfinite(objectives).all(axis=1))
        good = int(bad[0]) if len(bad) else len(rows)
        member.account(rows[:good, 0], sizes, seconds)
        if len(bad):
            member.diverged(f"the loss became {rows[good, 0]:g} in step {member.step}")

    def _steps(self, orders: Orders) -> tuple[_Books, bool]:
        """Run an epoch; return every model's metrics, and whether the epoch was completed."""
        books = _Books(len(orders))
        for size, blocks in batched_orders(orders, self.members[0].plan.batch_size, self._blank):
            found = self._pieces(blocks, size)
            books.enter(found, blocks[: len(found), :, 0] != self._blank, size)
            if len(found) < len(blocks):
                return books, False
        return books, True

    def _pieces(self, blocks: Rows, size: int) -> Numbers:
        """Run steps in pieces; return their metrics (steps, metrics, models)."""
        found: list[Numbers] = []
        done = 0
        while done < len(blocks) and not self._interrupt.requested:
            count = round(self._speed * _PIECE_SECONDS) if self._speed else _FIRST_PIECE
            piece = blocks[done : done + max(1, count)]
            work: Callable[[], Numbers] = partial(self._engine.run, self._data, piece.reshape(-1), size)
            start = time.perf_counter()
            short = self._speed > 0 and len(piece) / self._speed < _SHORT_SECONDS
            made = work() if short else in_background(work, self._pass_on)
            self._speed = len(made) / max(time.perf_counter() - start, 1e-9)
            found.append(made.reshape(len(made), -1, len(self.members)))
            done += len(made)
        return np.concatenate(found) if found else np.zeros((0, 1, len(self.members)))

    def _pass_on(self) -> None:
        """Pass on a request to stop."""
        if self._interrupt.requested:
            self._engine.stop()

    def _validate(self, places: Sequence[int]) -> dict[int, dict[str, float]] | None:
        """Return loss and metrics on the models' own held-out rows, by place; None after an interrupt."""
        held = {i: own for i in places if (own := self.members[i].held) is not None}
        named = dict(zip(self._layout.names, self._state, strict=True))
        orders = [held.get(i) for i in range(len(self.members))]
        books = _Books(len(orders))
        for size, blocks in batched_orders(orders, _VALIDATION_BATCH, self._blank):
            names = self._evaluation.step(size).layout.names
            self._evaluation.load([named[name] for name in names])
            found = self._evaluation.run(self._held_data, blocks.reshape(-1), size)
            if len(found) < len(blocks):
                return None
            books.enter(found.reshape(len(found), -1, len(orders)), blocks[:, :, 0] != self._blank, size)
        if not held:
            return {}
        step = self._evaluation.step(books.sizes[next(iter(held))][0])
        return {i: tally(self.members[i].task, step, books.rows(i), books.batch_sizes(i)) for i in held}

    def _compacted(self) -> bool:
        """Go on without the models that have ended, if these are half of all and what is left is worth compiling."""
        left = [i for i, member in enumerate(self.members) if member.at_work]
        if not left or 2 * len(left) > len(self.members):
            return False
        rest = [self.members[i] for i in left]
        weights = sum(values[0].size for values in self._state[: len(self._layout.parameters)])
        samples = sum(m.plan.n_samples * (m.plan.epochs - len(m.history.epochs)) for m in self.members if m in rest)
        if 6.0 * weights * samples < _WORTH_COMPILING:
            return False
        if not self._watched:
            self._read(self._engine.read())
        self._state = [values[left] for values in self._state]
        self._compile_seconds, self._speed = self._spent, 0.0
        self._gather(rest)
        self._engine.step(rest[0].plan.size)
        self._load()
        return True
