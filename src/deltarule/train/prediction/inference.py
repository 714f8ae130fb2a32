"""``evaluate`` and ``predict``: batches through a compiled program in inference mode."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deltarule.arguments import check_calls
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

__all__ = ["evaluate", "predict"]


class Evaluation:
    """Compiled evaluation of loss and metrics on one data set, for any weights of the model.

    >>> import numpy as np
    >>> from deltarule import nn
    >>> task = Task(nn.ReLU(), get_loss("mean_squared_error"))
    >>> x = np.array([[1.0], [3.0]], np.float32)
    >>> evaluation = Evaluation(task, [x, x - 1], batch_size=2, device="cpu")
    >>> evaluation.measure({})
    {'loss': 1.0}
    """

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
        """Return the evaluation on other arrays of the same shapes, with the same machine code."""
        other = copy.copy(self)
        other._arrays, other.engine = list(arrays), self.engine.clone()
        other.__dict__.pop("fingerprint", None)
        return other

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of the data."""
        return fingerprint(self._arrays)

    def prepare(self) -> None:
        """Build and compile the steps."""
        rest = len(self._arrays[0]) % self._size
        for size in (self._size, *([rest] if rest else [])):
            self.engine.prepare(size)

    def measure(self, weights: Mapping[str, Array]) -> dict[str, float] | None:
        """Return loss and metrics for these parameters and running state; None if it was stopped."""
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
    """Return copies of a model's parameters and running state by name.

    >>> from deltarule import nn
    >>> sorted(current_weights(nn.Linear(2, 1)))
    ['bias', 'weight']
    """
    return {name: tensor.numpy() for name, tensor in (*learned(model), *running(model))}


def _checked_batch_size(batch_size: int, where: str) -> int:
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
    """Return loss and metrics on a data set, in inference mode and without penalties.

    Compiled programs are cached with the model, as for ``predict``.

    Args:
        model: The model.
        inputs: N examples along the first axis.
        targets: N targets, as for ``fit``.
        loss: A loss or its name.
        metrics: Names, Metric objects or functions, as for ``fit``.
        batch_size: Examples per step; it does not affect the result beyond rounding.
        device: "cpu" or "reference".
        threads: Number of threads; None lets the engine choose.
        sample_weight: One weight ≥ 0 per example, a factor of its loss; metrics are not weighted.

    Returns:
        "loss" and the metrics by name.

    Raises:
        DataError, ShapeError, DTypeError, ArgumentError: If the data do not fit the model or the loss.

    >>> from deltarule import nn
    >>> evaluate(nn.ReLU(), [[-1.0], [3.0]], [[0.0], [1.0]], "mean_squared_error")
    {'loss': 2.0}
    """
    chosen, size = get_loss(loss), _checked_batch_size(batch_size, "evaluate")
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
    cached: _CachedEvaluation | None = (
        state.evaluations.get(key) if state is not None and key is not None else None
    )
    if cached is not None and cached.is_valid():
        check_targets((len(arrays[0]), *cached.output), arrays, chosen, "evaluate")
        return cached.evaluation.on(arrays).measure(current_weights(model)) or {}
    output = check_outputs(model, arrays, chosen, "evaluate")
    task = Task(model, chosen, get_all(metrics, chosen))
    evaluation = Evaluation(task, arrays, size, device, threads)
    if state is not None and key is not None:
        _cache_evaluation(evaluation, output.shape[1:], state, key)
    return evaluation.measure(current_weights(model)) or {}


_MAX_EVALUATIONS = 4  # per model; the oldest is dropped


@dataclass(frozen=True)
class _CachedEvaluation:
    """A compiled evaluation, the shape of one output, and the dependencies that must be unchanged."""

    evaluation: Evaluation
    output: Shape
    loss: Snapshot
    unchanged: UnchangedTensors

    def is_valid(self) -> bool:
        return self.loss.is_valid() and self.unchanged.is_valid()


def _evaluation_key(
    loss: Loss, metrics: Sequence[MetricLike], *described: Any
) -> Hashable | None:
    """Return the cache key of an evaluation; None for metrics that are functions and unhashable losses."""
    key = (type(loss), loss, tuple(metrics), described)
    try:
        hash(key)
    except TypeError:
        return None
    return key if all(isinstance(metric, str) for metric in metrics) else None


def _cache_evaluation(
    evaluation: Evaluation, output: Shape, state: ModelCache, key: Hashable
) -> None:
    """Build an evaluation, and cache it if all of its dependencies can be tracked."""
    task, loss = evaluation.task, Snapshot.of(evaluation.task.loss)
    if loss is None:
        return
    with tracing.record_trace() as record:
        try:
            evaluation.prepare()
        except DeltaruleError:  # raised again when the caller builds it, untraced
            return
    if record.assigned or not state.snapshot.is_valid() or not loss.is_valid():
        return
    variable = {
        id(tensor) for _, tensor in (*learned(task.model), *running(task.model))
    } - set(record.read)
    known = (*state.snapshot.tensors.values(), *loss.tensors.values())
    without_data = evaluation.on(())  # without the data
    while len(state.evaluations) >= _MAX_EVALUATIONS:
        state.evaluations.pop(next(iter(state.evaluations)), None)
    unchanged = UnchangedTensors(
        tensor for tensor in known if id(tensor) not in variable
    )
    state.evaluations[key] = _CachedEvaluation(without_data, output, loss, unchanged)


def predict(
    model: Trainable,
    inputs: Any,
    batch_size: int = 256,
    device: str = "cpu",
    loss: Loss | None = None,
    threads: int | None = None,
) -> Array:
    """Return the model's outputs for all inputs, (N, …), in inference mode.

    Compiled programs are cached with the model and use its current weights; any other change of the model (a layer, a
    setting, a type) rebuilds them. ``forward`` runs when a program is built, and at every call if it modifies the model
    or draws random numbers in Python. Empty inputs (0, …) give empty outputs (0, K).

    Args:
        model: The model.
        inputs: N examples along the first axis.
        batch_size: Examples per call of the program.
        device: "cpu" or "reference".
        loss: If given, its inverse link is applied to the outputs (softmax or sigmoid for logits).
        threads: Number of threads; None lets the engine choose.

    >>> from deltarule import nn
    >>> predict(nn.ReLU(), [[-1.0], [3.0]]).tolist()
    [[0.0], [3.0]]
    """
    x, _ = check_arrays(inputs, where="predict", least=0)
    state = cache_of(model)
    x = as_model_input(x, model_dtype(model) if state is None else state.kind(model))
    n, size = len(x), min(_checked_batch_size(batch_size, "predict"), max(1, len(x)))
    if n == 0:
        (column,) = columns([x])
        program, _ = prediction_program(
            model, column, 1, None if loss is None else loss.predict
        )
        (output,) = program.outputs
        return np.empty((0, *output.shape[1:]), output.dtype.name)
    whole = n - n % size
    outputs: list[Array] = []
    for start, stop, count in ((0, whole, size), (whole, n, n - whole)):
        if start == stop:
            continue
        run, values = prediction(model, x, count, loss, device, threads, state)
        outputs.extend(
            run(*values, x[row : row + count])[0] for row in range(start, stop, count)
        )
    return np.concatenate(outputs) if len(outputs) > 1 else outputs[0]


check_calls(__name__)
