"""``fit_many``: train models for several folds, seeds or hyperparameters in one program."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from rich.console import Console

from deltarule import dtypes
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError
from deltarule.flags import checks_flags
from deltarule.losses import Loss
from deltarule.losses import get as get_loss
from deltarule.optim import Optimizer
from deltarule.optim import get as get_optimizer
from deltarule.optim.wrappers import with_rate
from deltarule.runtime.buffers import Array
from deltarule.runtime.devices import checked_threads
from deltarule.train.fitting.loop import Plan
from deltarule.train.many_models.batched_models import Scheduler
from deltarule.train.many_models.batched_step import TaskSpec, group_compatible
from deltarule.train.many_models.model_run import ModelRun
from deltarule.train.many_models.progress import ManyModelsProgress, TerminalProgress
from deltarule.train.many_models.row_blocks import Rows
from deltarule.train.monitoring.callbacks import Callback
from deltarule.train.monitoring.history import History
from deltarule.train.monitoring.metrics import MetricLike, get_all
from deltarule.train.protocol import Trainable
from deltarule.train.steps.interrupt import Interrupt
from deltarule.train.steps.prepare import check_outputs, checked_seed, prepared
from deltarule.train.steps.step import Regularizer, Task, columns, training_step

__all__ = ["fit_many"]

_INTEGER = (int, np.integer)


@checks_flags
def fit_many(
    models: Sequence[Trainable],
    inputs: Any,
    targets: Any,
    *,
    loss: str | Loss,
    optimizer: str | Optimizer | Sequence[str | Optimizer] = "adam",
    learning_rate: float | Sequence[float] | None = None,
    regularizers: Sequence[Regularizer] | Sequence[Sequence[Regularizer]] = (),
    seed: int | Sequence[int] = 0,
    train_rows: Any = None,
    validation_rows: Any = None,
    epochs: int | Sequence[int] = 10,
    batch_size: int = 32,
    metrics: Sequence[MetricLike] = (),
    callbacks: Sequence[Callback] | Sequence[Sequence[Callback]] = (),
    sample_weight: Any = None,
    shuffle: bool = True,
    device: str = "cpu",
    threads: int | None = None,
    verbose: int = 0,
    progress: Console | None = None,
) -> list[History]:
    """Train M models at once, each as ``fit`` would, batched into one program.

    Every model has its own rows, order, random numbers, hyperparameters and end. The results agree with those of
    ``fit`` for the same seed up to rounding (sums may be added in another order). Models whose steps have equal graphs
    (they differ in numbers, not in operations) share a program; groups with different graphs run one after the other. A
    model whose loss or weights become NaN or infinite stops alone with its last finite weights, and its history has
    ``diverged=True``.

    Args:
        models: The models to train, M distinct objects, each with its own initial weights.
        inputs: N examples along the first axis, shared by all models.
        targets: N targets.
        loss: A loss or its name, for all models.
        optimizer: An optimiser or its name, one for all or one per model.
        learning_rate: Overrides the optimisers' learning rate, one for all or one per model.
        regularizers: Penalties as for ``fit``, one list for all or one per model.
        seed: Seed of shuffling and dropout, one for all or one per model.
        train_rows: Indices of the training rows, one array for all or one per model; None for all rows.
        validation_rows: Indices of the validation rows, likewise; None for no validation.
        epochs: Number of epochs, one for all or one per model.
        batch_size: Examples per step and model.
        metrics: As for ``fit``.
        callbacks: One list for all or one per model; every model gets copies, so ``EarlyStopping`` stops one model.
            Callbacks with ``every`` are not supported.
        sample_weight: One weight ≥ 0 per example.
        shuffle: Whether to shuffle the examples in every epoch.
        device: "cpu" or "reference".
        threads: Number of threads; None lets the engine choose.
        verbose: 0 for no output, 1 for one line per program and a summary, and on a terminal a live line with the
            number of finished models, epochs, samples per second and the remaining time.
        progress: The console to print to instead of standard output.

    Returns:
        The histories in the order of the models. ``train_seconds`` is the time of the whole run, so the sum of
        ``samples`` over it is the throughput.

    Raises:
        ArgumentError, DataError, ShapeError, DTypeError: For invalid arguments, before the first step.

    >>> from deltarule import nn
    >>> models = [nn.Sequential(nn.Linear(1, 1, seed=seed)) for seed in range(3)]
    >>> x = np.arange(4.0)[:, None]
    >>> histories = fit_many(models, x, x, loss="mean_squared_error", optimizer="sgd", seed=range(3), epochs=2)
    >>> [len(history.epochs) for history in histories]
    [2, 2, 2]
    """
    _check_models(models)
    threads = checked_threads(threads)
    n, chosen = len(models), get_loss(loss)
    arrays = prepared(models[0], inputs, targets, chosen, sample_weight, "fit_many")
    callback_lists = _lists_per_model(
        "callbacks", callbacks, n, lambda item: not isinstance(item, (list, tuple))
    )
    for callback in (callback for own in callback_lists for callback in own):
        _check_callback(callback)
    recipes = _recipes(optimizer, learning_rate, n)
    penalties = _lists_per_model("regularizers", regularizers, n, callable)
    adjustable = any(
        callback.adjusts_rate for own in callback_lists for callback in own
    )
    named = get_all(metrics, chosen)
    specs = [
        TaskSpec.of(Task(model, chosen, named, recipe, penalty, adjustable))
        for model, recipe, penalty in zip(models, recipes, penalties, strict=True)
    ]
    _check_specs(specs)
    rows = [
        _all_rows(arrays) if own is None else own
        for own in _rows_per_model("train_rows", train_rows, arrays, n)
    ]
    held = _rows_per_model("validation_rows", validation_rows, arrays, n)
    counts = zip(
        rows,
        _per_model("seed", seed, n, _INTEGER),
        _per_model("epochs", epochs, n, _INTEGER),
        strict=True,
    )
    plans = [
        Plan(int(count), batch_size, len(own), checked_seed(number), shuffle)
        for own, number, count in counts
    ]
    runs = [
        ModelRun(spec, recipe, plan, own, out, copy.deepcopy(list(callbacks)))
        for spec, recipe, plan, own, out, callbacks in zip(
            specs, recipes, plans, rows, held, callback_lists, strict=True
        )
    ]
    _check_outputs(runs, arrays)
    _run(
        runs,
        arrays,
        device,
        threads,
        TerminalProgress(runs, progress) if verbose else ManyModelsProgress(),
    )
    return [run.history for run in runs]


def _run(
    runs: Sequence[ModelRun],
    arrays: Sequence[Array],
    device: str,
    threads: int | None,
    display: ManyModelsProgress,
) -> None:
    """Train the models, group by group."""
    described, size = columns(arrays), runs[0].plan.batch_size
    specs = [run.spec for run in runs]
    groups = group_compatible(
        specs, lambda task: training_step(task, described, min(size, len(arrays[0])))
    )
    interrupt = Interrupt()
    try:
        with interrupt:
            for group in groups:
                Scheduler(
                    [runs[i] for i in group], arrays, device, threads, interrupt
                ).run(display)
    finally:
        display.end(interrupt.requested)


def _check_models(models: Sequence[Trainable]) -> None:
    if not models or len({id(model) for model in models}) < len(models):
        got = "none" if not models else "the same one twice"
        raise ArgumentError(
            "fit_many models",
            expected="at least one model, all of them different objects",
            got=got,
        )


def _check_specs(specs: Sequence[TaskSpec]) -> None:
    if any(not spec.n_learned for spec in specs):
        raise ArgumentError(
            "fit_many models",
            expected="parameters to learn in each",
            got="a model without",
        )
    floats = [
        [dtype for _, _, dtype in spec.state if dtype.is_float] or [dtypes.FLOAT32]
        for spec in specs
    ]
    types = dict.fromkeys(dtypes.promote(*own).name for own in floats)
    if len(types) > 1:
        raise ArgumentError(
            "fit_many models", expected="one element type", got=" and ".join(types)
        )


def _all_rows(arrays: Sequence[Array]) -> Rows:
    return np.arange(len(arrays[0]), dtype=np.int64)


def _per_model(
    name: str, value: Any, n: int, single: type | tuple[type, ...]
) -> list[Any]:
    """Return one value per model: the same one n times, or those of a sequence of n."""
    if isinstance(value, single) and not isinstance(value, bool):
        return [value] * n
    if not isinstance(value, (list, tuple, np.ndarray, range)) or len(value) != n:
        got = (
            f"{len(value)} of them"
            if isinstance(value, (list, tuple, np.ndarray, range))
            else repr(value)
        )
        raise ArgumentError(
            f"fit_many {name}",
            expected=f"one for all models, or a list of {n}",
            got=got,
        )
    wrong = next(
        (
            item
            for item in value
            if not isinstance(item, single) or isinstance(item, bool)
        ),
        None,
    )
    if wrong is not None:
        raise ArgumentError(
            f"fit_many {name}",
            expected=f"one for all models, or a list of {n}",
            got=f"{wrong!r} in it",
        )
    return list(value)


def _recipes(optimizer: Any, learning_rate: Any, n: int) -> list[Optimizer]:
    recipes = [
        get_optimizer(item)
        for item in _per_model("optimizer", optimizer, n, (str, Optimizer))
    ]
    if learning_rate is None:
        return recipes
    rates = _per_model(
        "learning_rate", learning_rate, n, (int, float, np.floating, np.integer)
    )
    return [
        with_rate(recipe, float(rate), "fit_many")
        for recipe, rate in zip(recipes, rates, strict=True)
    ]


def _check_outputs(runs: Sequence[ModelRun], arrays: Sequence[Array]) -> None:
    """Check the outputs of models against the targets of their rows; compatible models are checked together."""
    used: list[tuple[TaskSpec, npt.NDArray[np.bool_]]] = []
    for run in runs:
        is_used = next(
            (is_used for other, is_used in used if run.spec.is_compatible_with(other)),
            None,
        )
        if is_used is None:
            is_used = np.zeros(len(arrays[0]), np.bool_)
            used.append((run.spec, is_used))
        for own in (run.rows, run.held):
            if own is not None:
                is_used[own] = True
    for spec, is_used in used:
        check_outputs(
            spec.task.model,
            [array[is_used] for array in arrays],
            spec.task.loss,
            "fit_many",
        )


def _lists_per_model(
    name: str, value: Sequence[Any], n: int, single: Callable[[Any], bool]
) -> list[tuple[Any, ...]]:
    """Return one tuple per model: the same one n times, or those of n lists."""
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(
            f"fit_many {name}",
            expected="a list",
            got=repr(value),
            hint=f"Write {name}=[…].",
        )
    if all(single(item) for item in value):
        return [tuple(value)] * n
    if len(value) != n or not all(isinstance(own, (list, tuple)) for own in value):
        raise ArgumentError(
            f"fit_many {name}",
            expected=f"{name} for all models, or a list of them for each of {n}",
            got=repr(value),
        )
    return [tuple(own) for own in value]


def _check_callback(callback: Callback) -> None:
    if not isinstance(callback, Callback) or callback.every is not None:
        expected = (
            "callbacks that act at the end of epochs, with parentheses: EarlyStopping()"
        )
        raise ArgumentError("fit_many callbacks", expected=expected, got=repr(callback))


def _rows_per_model(
    name: str, rows: Any, arrays: Sequence[Array], n: int
) -> list[Rows | None]:
    """Return the row indices of every model."""
    total = len(arrays[0])
    if rows is None:
        return [None] * n
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        rows = list(rows)
    flat = not isinstance(rows, (list, tuple)) or (
        len(rows) > 0 and np.ndim(rows[0]) == 0
    )
    found = [_checked_rows(name, rows, total)] * n if flat else []
    if not flat:
        if len(rows) != n:
            raise ArgumentError(
                f"fit_many {name}",
                expected=f"one array, or one for each of {n}",
                got=str(len(rows)),
            )
        found = [_checked_rows(name, own, total) for own in rows]
    return cast("list[Rows | None]", found)


def _checked_rows(name: str, rows: Any, total: int) -> Rows:
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        got = f"{array.dtype} of shape {array.shape}"
        raise DataError(
            f"fit_many {name}", expected="row numbers, at least one", got=got
        )
    if array.min() < 0 or array.max() >= total:
        bad = array.min() if array.min() < 0 else array.max()
        raise DataError(
            f"fit_many {name}",
            expected=f"row numbers in [0, {total})",
            got=str(int(bad)),
        )
    return array.astype(np.int64)


check_calls(__name__)
