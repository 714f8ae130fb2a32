"""One model of a joint run: its rows, its books, and the session that its callbacks see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deltarule.optim import Optimizer
from deltarule.runtime.buffers import Array
from deltarule.train.fitting.loop import Plan
from deltarule.train.many_models.batched_step import FACTORS, TaskSpec
from deltarule.train.many_models.row_blocks import Numbers, Rows
from deltarule.train.monitoring.callbacks import Callback, replaces_weights
from deltarule.train.monitoring.history import History


class ModelRun:
    """A model with everything that is its own; it ends by itself, whatever the others do."""

    def __init__(
        self,
        spec: TaskSpec,
        optimizer: Optimizer,
        plan: Plan,
        rows: Rows,
        held: Rows | None,
        callbacks: Sequence[Callback],
    ) -> None:
        self.spec, self.task, self.optimizer, self.plan = (
            spec,
            spec.task,
            optimizer,
            plan,
        )
        self.rows, self.held, self.callbacks = rows, held, list(callbacks)
        self.history = History()
        self.stop, self.learning_rate_factor = False, 1.0
        self.step = 0
        self._named = spec.named
        self._current: dict[str, Array] = {}  # weights at the end of the last epoch
        self._slots: list[Array] = []  # the optimiser's, then
        self._chosen: dict[
            str, Array
        ] = {}  # weights that a callback wants to go on with
        self._final: dict[str, Array] = {}
        self._factor = 0.0  # what the state holds
        self._began = self._ended = False

    # ---------------------------------------------------------------- what callbacks see

    def weights(self) -> dict[str, Array]:
        """Return copies of parameters and running state by name, as they would be left now."""
        weights = {
            name: value.copy() for name, value in (self._current | self._chosen).items()
        }
        for callback in self.callbacks if weights else ():
            weights = callback.weights_to_keep(self, weights)
        return weights | {name: value.copy() for name, value in self._final.items()}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Go on with other weights; after the last step, leave the model with them."""
        (self._final if self._ended else self._chosen).update(weights)

    def update_model(self) -> None:
        """Give the model's tensors the current weights."""
        for name, value in self.weights().items():
            self._named[name].assign(value)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of what is learned, in the order of the optimiser's slots."""
        return tuple(self._named)[: self.spec.n_learned]

    def slots(self) -> list[Array]:
        """Return copies of the optimiser's slots."""
        return [value.copy() for value in self._slots]

    # ---------------------------------------------------------------- what the slots ask

    @property
    def replaces_weights(self) -> bool:
        """Whether a callback keeps other weights than training goes on with."""
        return any(map(replaces_weights, self.callbacks))

    @property
    def epochs_left(self) -> int:
        """Epochs of the plan that are still to be run."""
        return self.plan.epochs - len(self.history.epochs)

    @property
    def is_running(self) -> bool:
        """Whether there is another epoch to run."""
        return not self.stop and self.epochs_left > 0

    def values(self) -> dict[str, Array]:
        """Return the model's own values of parameters and running state."""
        return {name: tensor.numpy() for name, tensor in self._named.items()}

    def order(self) -> Rows:
        """Return the rows of the next epoch in the order in which they are used."""
        return self.rows[self.plan.order(len(self.history.epochs))]

    @property
    def changed(self) -> bool:
        """Whether callbacks have changed what the next step is to find (at first: whether there was a step)."""
        return bool(self._chosen) or self._factor != self.learning_rate_factor

    def take(self) -> dict[str, Array]:
        """Return what has changed."""
        taken = {**self._chosen, FACTORS: np.float64(self.learning_rate_factor)}
        self._current, self._chosen, self._factor = (
            self._current | self._chosen,
            {},
            self.learning_rate_factor,
        )
        return {name: np.asarray(value) for name, value in taken.items()}

    # ---------------------------------------------------------------- what the slots tell

    def begin(self, state: Mapping[str, Array], slots: Sequence[str]) -> None:
        """Tell the callbacks that training begins, from a state."""
        self.update_state(state, slots)
        self._began = True
        for callback in self.callbacks:
            callback.reset()
        for callback in self.callbacks:
            callback.on_train_begin(self)

    def update_state(self, state: Mapping[str, Array], slots: Sequence[str]) -> None:
        """Take note of the weights, and of the optimiser's slots (these are their names), at the end of an epoch."""
        self._current = {name: state[name].copy() for name in self._named}
        self._slots = (
            [state[name].copy() for name in slots] if self.replaces_weights else []
        )

    def record_steps(
        self,
        rows: Numbers,
        sizes: Rows,
        seconds: float,
        has_penalty: bool,
        broken: int | None = None,
    ) -> None:
        """Enter an epoch's steps into the books, up to the first whose loss or weights are not finite; there it ends.

        ``broken`` is the step of the epoch, from 1, that left a weight that is not finite: undone, it counts.
        """
        bad = np.flatnonzero(~np.isfinite(rows[:, : 1 + has_penalty]).all(axis=1))
        good = broken if broken is not None else int(bad[0]) if len(bad) else len(rows)
        self.step += good
        self.history.step_losses.extend(rows[:good, 0].tolist())
        self.history.steps = self.step
        self.history.samples += int(sizes[:good].sum())
        self.history.train_seconds += seconds
        if broken is not None:
            self._diverge(f"a weight became infinite or NaN in step {self.step}")
        elif len(bad):
            self._diverge(f"the loss became {rows[good, 0]:g} in step {self.step + 1}")

    def _diverge(self, reason: str) -> None:
        self.stop = self.history.diverged = True
        self.history.stop_reason = reason

    def end_epoch(self, logs: dict[str, float], seconds: float) -> None:
        """Enter the values of an epoch, and tell the callbacks."""
        speed = self.plan.n_samples / max(seconds, 1e-9)
        logs |= {
            "learning_rate": self._rate(),
            "seconds": seconds,
            "samples_per_second": speed,
        }
        self.history.epochs.append(logs)
        for callback in self.callbacks:
            callback.on_epoch_end(self, len(self.history.epochs), logs)
        for callback in self.callbacks:
            callback.on_consistent(self, last=False)

    def _rate(self) -> float:
        """Return the learning rate of the last step."""
        return self.optimizer.rate_at(max(0, self.step - 1)) * self.learning_rate_factor

    def end(self, interrupted: bool) -> None:
        """Let callbacks choose the weights, and give them to the model; one that never began stays as it is."""
        self.history.interrupted = interrupted
        self.history.stopped_early = self.stop and self.epochs_left > 0
        self._ended = True
        if not self._began:
            return
        for callback in self.callbacks:
            callback.on_train_end(self)
        for callback in self.callbacks:
            callback.on_consistent(self, last=True)
        self.update_model()
