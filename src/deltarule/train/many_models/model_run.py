"""The run of one model in ``fit_many``: its rows, its history, and the session of its callbacks."""

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
    """The run of one model, with its own plan, callbacks and end."""

    def __init__(
        self,
        spec: TaskSpec,
        optimizer: Optimizer,
        plan: Plan,
        rows: Rows,
        held: Rows | None,
        callbacks: Sequence[Callback],
    ) -> None:
        self.spec = spec
        self.task = spec.task
        self.optimizer = optimizer
        self.plan = plan
        self.rows, self.held, self.callbacks = rows, held, list(callbacks)
        self.history = History()
        self.stop, self.learning_rate_factor = False, 1.0
        self.step = 0
        self._named = spec.named
        self._current: dict[str, Array] = {}  # weights at the end of the last epoch
        self._slots: list[Array] = []  # the optimiser state, at that time
        self._pending: dict[str, Array] = {}  # weights set by a callback
        self._final: dict[str, Array] = {}
        self._factor = 0.0  # the factor in the batched state
        self._began = self._ended = False

    # ---------------------------------------------------------------- the session of callbacks

    def weights(self) -> dict[str, Array]:
        """Return copies of the weights that the model would be left with now."""
        weights = {
            name: value.copy()
            for name, value in (self._current | self._pending).items()
        }
        for callback in self.callbacks if weights else ():
            weights = callback.weights_to_keep(self, weights)
        return weights | {name: value.copy() for name, value in self._final.items()}

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Continue with these weights; after the last step, leave the model with them."""
        (self._final if self._ended else self._pending).update(weights)

    def update_model(self) -> None:
        """Assign the current weights to the model's tensors."""
        for name, value in self.weights().items():
            self._named[name].assign(value)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the trainable parameters, in the order of the optimiser state."""
        return tuple(self._named)[: self.spec.n_learned]

    def slots(self) -> list[Array]:
        """Return copies of the optimiser state."""
        return [value.copy() for value in self._slots]

    # ---------------------------------------------------------------- read by the lanes

    @property
    def replaces_weights(self) -> bool:
        """Whether a callback replaces the training weights for validation and for the model."""
        return any(map(replaces_weights, self.callbacks))

    @property
    def epochs_left(self) -> int:
        """Number of epochs still to run."""
        return self.plan.epochs - len(self.history.epochs)

    @property
    def is_running(self) -> bool:
        """Whether there is another epoch to run."""
        return not self.stop and self.epochs_left > 0

    def values(self) -> dict[str, Array]:
        """Return the values of the model's parameters and running state."""
        return {name: tensor.numpy() for name, tensor in self._named.items()}

    def order(self) -> Rows:
        """Return the rows of the next epoch in order of use."""
        return self.rows[self.plan.order(len(self.history.epochs))]

    @property
    def changed(self) -> bool:
        """Whether a callback has changed the weights or the learning-rate factor; True before the first step."""
        return bool(self._pending) or self._factor != self.learning_rate_factor

    def take_changes(self) -> dict[str, Array]:
        """Return the pending changes of the state."""
        taken = {**self._pending, FACTORS: np.float64(self.learning_rate_factor)}
        self._current = self._current | self._pending
        self._pending = {}
        self._factor = self.learning_rate_factor
        return {name: np.asarray(value) for name, value in taken.items()}

    # ---------------------------------------------------------------- called by the lanes

    def begin(self, state: Mapping[str, Array], slots: Sequence[str]) -> None:
        """Start the run from a state, and call ``on_train_begin``."""
        self.update_state(state, slots)
        self._began = True
        for callback in self.callbacks:
            callback.reset()
        for callback in self.callbacks:
            callback.on_train_begin(self)

    def update_state(self, state: Mapping[str, Array], slots: Sequence[str]) -> None:
        """Store the weights and, if a callback needs them, the optimiser slots, whose names are given."""
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
        """Record the metrics of an epoch's steps, up to the first whose loss or weights are not finite; stop there.

        ``broken`` is the step of the epoch, from 1, whose update was undone because it gave a NaN or infinite weight.
        """
        bad = np.flatnonzero(~np.isfinite(rows[:, : 1 + has_penalty]).all(axis=1))
        n_good = int(bad[0]) if len(bad) else len(rows)
        if broken is not None:
            n_good = broken
        self.step += n_good
        self.history.step_losses.extend(rows[:n_good, 0].tolist())
        self.history.steps = self.step
        self.history.samples += int(sizes[:n_good].sum())
        self.history.train_seconds += seconds
        if broken is not None:
            self._diverge(f"a weight became infinite or NaN in step {self.step}")
        elif len(bad):
            self._diverge(
                f"the loss became {rows[n_good, 0]:g} in step {self.step + 1}"
            )

    def _diverge(self, reason: str) -> None:
        self.stop = self.history.diverged = True
        self.history.stop_reason = reason

    def end_epoch(self, logs: dict[str, float], seconds: float) -> None:
        """Record the values of an epoch, and call the callbacks."""
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
        """Call ``on_train_end``, and update the model; a model whose run never began is unchanged."""
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
