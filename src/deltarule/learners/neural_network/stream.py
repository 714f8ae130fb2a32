"""Incremental training for ``partial_fit``: one compiled step, with the optimiser state kept between chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deltarule import nn
from deltarule.data import batches
from deltarule.errors import DivergenceError
from deltarule.learners.base import Array
from deltarule.losses import Loss
from deltarule.optim import Optimizer
from deltarule.train.fitting.loop import training_engine
from deltarule.train.prediction.inference import current_weights
from deltarule.train.steps.engine import Engine
from deltarule.train.steps.prepare import (
    as_model_input,
    check_outputs,
    model_dtype,
    targets_for,
)
from deltarule.train.steps.step import Task


class Stream:
    """Training chunk by chunk: the step is compiled at the first chunk, once for each batch size that occurs."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        optimizer: Optimizer,
        regularizers: Sequence[Any],
        device: str,
        threads: int | None,
        seed: int,
    ) -> None:
        self._network, self._task = (
            network,
            Task(network, loss, (), optimizer, tuple(regularizers)),
        )
        self._device, self._threads, self._seed = device, threads, seed
        self._engine: Engine | None = None
        self._chunks = self._steps = 0

    def run(
        self, x: Array, targets: Array, weights: Array, batch_size: int, shuffle: bool
    ) -> float:
        """Make one pass over a chunk and return its mean loss; raise DivergenceError where the loss is not finite."""
        kind, loss = model_dtype(self._network), self._task.loss
        arrays = [
            as_model_input(x, kind),
            targets_for(targets, loss, kind),
            weights.astype(kind.name),
        ]
        if self._engine is None:
            check_outputs(self._network, arrays, loss, "partial_fit")
            self._engine = training_engine(
                self._task, arrays, self._device, self._threads
            )
        n = len(x)
        order = batches(n, batch_size, self._seed, self._chunks, shuffle)
        whole = n - n % batch_size
        total = 0.0
        for start, stop, size in ((0, whole, batch_size), (whole, n, n - whole)):
            if start < stop:
                total += size * self._steps_of(
                    self._engine, arrays, order[start:stop], size
                )
        self._chunks += 1
        self._hand_over(self._engine)
        return total / n

    def _steps_of(
        self, engine: Engine, arrays: Sequence[Array], rows: Any, size: int
    ) -> float:
        """Run the batches of one size; return the sum of their losses."""
        step = engine.step(size)
        if not engine.has_state:
            weights = current_weights(self._network)
            parameters, running = (
                [weights[n] for n in part]
                for part in (step.names.parameters, step.names.running)
            )
            engine.load(
                [
                    *parameters,
                    *(np.array(slot.numpy()) for slot in step.slots),
                    *running,
                ]
            )
        losses = engine.run(
            arrays, np.ascontiguousarray(rows), size, self._steps, self._seed
        )[:, 0]
        self._steps += len(losses)
        if not np.isfinite(losses).all():
            raise DivergenceError(
                "partial_fit",
                expected="a finite loss",
                got=f"{losses[~np.isfinite(losses)][0]} in step {self._steps}",
                hint="Scale the inputs, or take a smaller learning_rate.",
            )
        return float(losses.sum())

    def _hand_over(self, engine: Engine) -> None:
        """Write the new values back to the tensors of the network."""
        names, state = engine.names(), engine.read()
        n_parameters, n_running = len(names.parameters), len(names.running)
        values = dict(zip(names.parameters, state[:n_parameters], strict=True))
        values |= dict(zip(names.running, state[len(state) - n_running :], strict=True))
        for name, item in (
            *self._network.named_parameters(),
            *self._network.named_state(),
        ):
            if name in values:
                item.assign(values[name])
