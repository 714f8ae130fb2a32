"""One model of a joint run: its rows, its books, and the session that its callbacks see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from deltarule.optim import Optimizer, Schedule
from deltarule.runtime.buffers import Array
from deltarule.train.callbacks import Callback
from deltarule.train.history import History
from deltarule.train.joint import Kind
from deltarule.train.loop import Plan
from deltarule.train.program import learned, running

Rows = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


class Member:
    """A model with everything that is its own; it ends by itself, whatever the others do."""

    def __init__(
        self, kind: Kind, optimizer: Optimizer, plan: Plan, rows: Rows, held: Rows | None, callbacks: Sequence[Callback]
    ) -> None:
        self.kind, self.task, self.optimizer, self.plan = kind, kind.task, optimizer, plan
        self.rows, self.held, self.callbacks = rows, held, list(callbacks)
        self.history = History()
        self.stop, self.learning_rate_factor = False, 1.0
        self.step = 0
        self.current: dict[str, Array] = {}  # weights at the end of the last epoch
        self.chosen: dict[str, Array] | None = None  # weights that a callback wants to go on with
        self._final: dict[str, Array] = {}
        self._ended = False

    # ---------------------------------------------------------------- what callbacks see

    def weights(self) -> dict[str, Array]:
        """Return copies of parameters and running state by name."""
        return {name: value.copy() for name, value in (self.current | (self.chosen or {}) | self._final).items()}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Go on with other weights; after the last step, leave the model with them."""
        if self._ended:
            self._final = dict(weights)
        else:
            self.chosen = {**(self.chosen or {}), **weights}

    def update_model(self) -> None:
        """Give the model's tensors the current weights."""
        weights = self.weights()
        for name, tensor in (*learned(self.task.model), *running(self.task.model)):
            tensor.assign(weights[name])

    # ---------------------------------------------------------------- what the joint run tells

    @property
    def at_work(self) -> bool:
        """Whether there is another epoch to run."""
        return not self.stop and len(self.history.epochs) < self.plan.epochs

    def order(self, epoch: int) -> Rows:
        """Return the rows of an epoch in the order in which they are used."""
        return self.rows[self.plan.order(epoch)]

    def begin(self) -> None:
        """Tell the callbacks that training begins."""
        for callback in self.callbacks:
            callback.on_train_begin(self)

    def account(self, losses: Numbers, sizes: npt.NDArray[np.int64], seconds: float) -> None:
        """Enter an epoch's steps into the books."""
        self.step += len(losses)
        self.history.step_losses.extend(losses.tolist())
        self.history.steps = self.step
        self.history.samples += int(sizes[: len(losses)].sum())
        self.history.train_seconds += seconds

    def diverged(self, reason: str) -> None:
        """End this model's training; it keeps the weights that it has."""
        self.stop, self.history.stop_reason = True, reason

    def end_epoch(self, logs: dict[str, float]) -> None:
        """Enter the values of an epoch, and tell the callbacks."""
        self.history.epochs.append(logs)
        for callback in self.callbacks:
            callback.on_epoch_end(self, len(self.history.epochs), logs)
        for callback in self.callbacks:
            callback.on_consistent(self, last=False)

    def rate(self) -> float:
        """Return the learning rate of the last step."""
        rate = self.optimizer.learning_rate
        now = rate.at(max(0, self.step - 1)) if isinstance(rate, Schedule) else rate
        return float(now * self.learning_rate_factor)

    def end(self, interrupted: bool) -> None:
        """Let callbacks choose the weights, and give them to the model."""
        self.history.interrupted = interrupted
        self.history.stopped_early = self.stop and len(self.history.epochs) < self.plan.epochs
        self._ended = True
        for callback in self.callbacks:
            callback.on_train_end(self)
        for callback in self.callbacks:
            callback.on_consistent(self, last=True)
        self.update_model()
