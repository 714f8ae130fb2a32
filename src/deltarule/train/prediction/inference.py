"""Evaluate and predict: batches through a compiled program in inference mode."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deltarule.cached import cached_property
from deltarule.data import check_arrays
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.losses import Loss
from deltarule.losses import get as get_loss
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor import tracing
from deltarule.train.monitoring.metrics import MetricLike, get_all
from deltarule.train.prediction.cached_programs import (
    ModelCache,
    UnchangedTensors,
    cache_of,
    prediction,
)
from deltarule.train.prediction.dependencies import Snapshot
from deltarule.train.protocol import Trainable
from deltarule.train.steps.aggregation import aggregate_metrics
from deltarule.train.steps.engine import Engine
from deltarule.train.steps.epoch_data import fingerprint
from deltarule.train.steps.prepare import (
    as_model_input,
    check_outputs,
    check_targets,
    model_dtype,
    prepared,
)
from deltarule.train.steps.step import (
    Task,
    columns,
    evaluation_step,
    learned,
    prediction_program,
    running,
)


class Evaluation:
    """Loss and metrics of one data set, compiled once and measured for any state of the model."""

    def __init__(
        self,
        task: Task,
        arrays: Sequence[Array],
        batch_size: int,
        device: str,
        threads: int | None = None,
    ) -> None:
        self.task = replace(task, regularizers=(), optimizer=None)
        self._arrays = list(arrays)
        self._size = min(batch_size, len(arrays[0]))
        described = columns(arrays)
        self.engine = Engine(
            lambda size: evaluation_step(self.task, described, size), device, threads
        )

    def on(self, arrays: Sequence[Array]) -> Evaluation:
        """Return the evaluation of other arrays of the same sizes, with the same machine code."""
        other = copy.copy(self)
        other._arrays, other.engine = list(arrays), self.engine.twin()
        other.__dict__.pop("fingerprint", None)
        return other

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of the data."""
        return fingerprint(self._arrays)

    def prepare(self) -> None:
        """Build and compile now."""
        rest = len(self._arrays[0]) % self._size
        for size in (self._size, *([rest] if rest else [])):
            self.engine.prepare(size)

    def measure(self, weights: Mapping[str, Array]) -> dict[str, float] | None:
        """Return loss and metrics for these parameters and running state; None if it was stopped on the way."""
        first = self.engine.step(self._size)
        self.engine.load([weights[name] for name in first.names.all])
        n = len(self._arrays[0])
        whole = n - n % self._size
        rows, sizes = [], []
        for start, stop, size in ((0, whole, self._size), (whole, n, n - whole)):
            if start == stop:
                continue
            order = np.arange(start, stop, dtype=np.int64)
            found = self.engine.run(self._arrays, order, size)
            if len(found) < (stop - start) // size:
                return None
            rows.append(found)
            sizes.extend([size] * len(found))
        return aggregate_metrics(
            self.task, first, np.concatenate(rows), np.array(sizes)
        )


def current_weights(model: Trainable) -> dict[str, Array]:
    """Return the values of a model's parameters and running state by name."""
    return {name: tensor.numpy() for name, tensor in (*learned(model), *running(model))}


def _checked_size(batch_size: int, where: str) -> int:
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(
            f"{where} batch_size", expected="a whole number ≥ 1", got=repr(batch_size)
        )
    return batch_size


def evaluate(
    model: Trainable,
    inputs: Any,
    targets: Any,
    loss: str | Loss,
    metrics: Sequence[MetricLike] = (),
    batch_size: int = 256,
    device: str = "cpu",
    threads: int | None = None,
    sample_weight: Any = None,
) -> dict[str, float]:
    """Return loss and metrics over a data set in inference mode; penalties are left out.

    ``sample_weight`` multiplies the loss of each example, as in ``fit``; metrics count every example once. Programs
    are kept with the model, as those of ``predict``.
    Errors: those of ``fit`` for data that do not fit the model or the loss.
    """
    chosen, size = get_loss(loss), _checked_size(batch_size, "evaluate")
    arrays = prepared(
        model, inputs, targets, chosen, sample_weight=sample_weight, where="evaluate"
    )
    state = cache_of(model)
    named = [(name, id(tensor)) for name, tensor in (*learned(model), *running(model))]
    key = _evaluation_key(
        chosen,
        metrics,
        (*columns(arrays), min(size, len(arrays[0])), len(arrays[0]) % size, *named),
        device,
        threads,
    )
    kept: _CachedEvaluation | None = (
        state.evaluations.get(key) if state is not None and key is not None else None
    )
    if kept is not None and kept.is_valid():
        check_targets((len(arrays[0]), *kept.output), arrays, chosen, "evaluate")
        return kept.evaluation.on(arrays).measure(current_weights(model)) or {}
    output = check_outputs(model, arrays, chosen, "evaluate")
    task = Task(model, chosen, get_all(metrics, chosen))
    evaluation = Evaluation(task, arrays, size, device, threads)
    if state is not None and key is not None:
        _cache_evaluation(evaluation, output.shape[1:], state, key)
    return evaluation.measure(current_weights(model)) or {}


_MAX_EVALUATIONS = 4  # of one model, the oldest goes first


@dataclass(frozen=True)
class _CachedEvaluation:
    """A compiled evaluation, the shape of one output, and what has to be as it was: loss, tensors that do not learn."""

    evaluation: Evaluation
    output: Shape
    loss: Snapshot
    same: UnchangedTensors

    def is_valid(self) -> bool:
        return self.loss.is_valid() and self.same.is_valid()


def _evaluation_key(
    loss: Loss, metrics: Sequence[MetricLike], *described: Any
) -> Hashable | None:
    """Return what an evaluation is kept by; None for metrics that are functions and losses that have no hash."""
    key = (type(loss), loss, tuple(metrics), described)
    try:
        hash(key)
    except TypeError:
        return None
    return key if all(isinstance(metric, str) for metric in metrics) else None


def _cache_evaluation(
    evaluation: Evaluation, output: Shape, state: ModelCache, key: Hashable
) -> None:
    """Build an evaluation and keep it where all that it depends on can be watched."""
    task, loss = evaluation.task, Snapshot.of(evaluation.task.loss)
    if loss is None:
        return
    with tracing.trace() as record:
        try:
            evaluation.prepare()
        except DeltaruleError:  # told by building it again, untraced
            return
    if record.assigned or not state.snapshot.is_valid() or not loss.is_valid():
        return
    swapped = {
        id(tensor) for _, tensor in (*learned(task.model), *running(task.model))
    } - set(record.read)
    known = (*state.snapshot.tensors.values(), *loss.tensors.values())
    bare = evaluation.on(())  # without the data
    while len(state.evaluations) >= _MAX_EVALUATIONS:
        state.evaluations.pop(next(iter(state.evaluations)), None)
    same = UnchangedTensors(tensor for tensor in known if id(tensor) not in swapped)
    state.evaluations[key] = _CachedEvaluation(bare, output, loss, same)


def predict(
    model: Trainable,
    inputs: Any,
    batch_size: int = 256,
    device: str = "cpu",
    loss: Loss | None = None,
    threads: int | None = None,
) -> Array:
    """Return the model's outputs for all inputs, (N, …); with a loss, what they mean (probabilities for logits).

    Batches of ``batch_size`` go through one compiled program, what is left over through a smaller one. Programs are
    kept with the model: the next call on inputs of that shape runs at once, with the weights that the model has then.
    Where the model has changed otherwise (a layer, a setting, a type), they are built anew: ``forward`` runs when a
    program is built, and at every call where it changes the model or draws numbers of the host. No inputs, (0, …),
    give no outputs, (0, K).
    """
    x, _ = check_arrays(inputs, where="predict", least=0)
    state = cache_of(model)
    x = as_model_input(x, model_dtype(model) if state is None else state.kind(model))
    n, size = len(x), min(_checked_size(batch_size, "predict"), max(1, len(x)))
    if n == 0:
        (column,) = columns([x])
        program, _ = prediction_program(
            model, column, 1, None if loss is None else loss.predict
        )
        (output,) = program.outputs
        return np.empty((0, *output.shape[1:]), output.dtype.name)
    whole = n - n % size
    pieces: list[Array] = []
    for start, stop, count in ((0, whole, size), (whole, n, n - whole)):
        if start == stop:
            continue
        run, values = prediction(model, x, count, loss, device, threads, state)
        pieces.extend(
            run(*values, x[row : row + count])[0] for row in range(start, stop, count)
        )
    return np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
