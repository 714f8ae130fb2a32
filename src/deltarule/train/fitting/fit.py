"""``fit``: check the arguments, build the training step, run the loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.flags import checks_flags
from deltarule.losses import Loss, warn_if_normalized
from deltarule.losses import get as get_loss
from deltarule.optim import Optimizer
from deltarule.optim import get as get_optimizer
from deltarule.runtime.buffers import Array
from deltarule.train.fitting.loop import Plan, TrainingLoop, training_engine
from deltarule.train.fitting.resume import Checkpoint, load
from deltarule.train.monitoring.callbacks import Callback, check_every
from deltarule.train.monitoring.history import History
from deltarule.train.monitoring.metrics import MetricLike, get_all
from deltarule.train.monitoring.progress import Progress, progress_for
from deltarule.train.prediction.inference import Evaluation
from deltarule.train.protocol import HasFrozen, Trainable
from deltarule.train.steps.epoch_data import Augment, EpochData
from deltarule.train.steps.prepare import (
    ClassWeight,
    check_outputs,
    checked_seed,
    held_out,
    prepared,
    with_class_weight,
)
from deltarule.train.steps.step import Regularizer, Task, frozen, learned

__all__ = ["fit"]

_LEAST_VALIDATION_BATCH = 256


def _validation_arrays(model: Trainable, data: Any, loss: Loss) -> list[Array]:
    if not isinstance(data, (tuple, list)) or len(data) not in {2, 3}:
        raise ArgumentError(
            "fit validation_data",
            expected="(inputs, targets) or (inputs, targets, sample_weight)",
            got=f"a {type(data).__name__}"
            + (f" of {len(data)}" if isinstance(data, (tuple, list)) else ""),
        )
    weight = data[2] if len(data) == 3 else None
    return prepared(model, data[0], data[1], loss, weight, "validation")


def _with_checkpoint(
    callbacks: Sequence[Callback],
    path: str | Path | None,
    every: int | None,
    resume: bool,
) -> list[Callback]:
    if path is None and (every is not None or resume):
        raise ArgumentError(
            "fit checkpoint",
            expected="a path, with checkpoint_every or resume",
            got="None",
            hint='Add checkpoint="run.dr".',
        )
    if not isinstance(callbacks, (list, tuple)):
        hint = "Write callbacks=[train.EarlyStopping()]."
        raise ArgumentError(
            "fit callbacks", expected="a list", got=repr(callbacks), hint=hint
        )
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ArgumentError(
                "fit callbacks",
                expected="objects of classes derived from train.Callback",
                got=repr(callback),
                hint="Write train.EarlyStopping(), with parentheses.",
            )
        check_every(callback)
    return (
        [*callbacks, Checkpoint(path, every)] if path is not None else list(callbacks)
    )


def _checked_regularizers(
    regularizers: Sequence[Regularizer],
) -> tuple[Regularizer, ...]:
    if isinstance(regularizers, (list, tuple)) and all(map(callable, regularizers)):
        return tuple(regularizers)
    raise ArgumentError(
        "fit regularizers",
        expected="a list of penalties, functions of [(name, parameter)]",
        got=repr(regularizers),
        hint="Write regularizers=[losses.L2(strength=1e-4)].",
    )


def _unfreeze_hint(model: Trainable) -> str:
    """Return the hint for a model without trainable parameters."""
    if frozen(model):
        return "Unfreeze a layer: model.unfreeze()."
    more = "" if isinstance(model, HasFrozen) else ", or unfreeze those that it has"
    return f"Add a layer that has some, such as nn.Linear{more}."


@checks_flags
def fit(
    model: Trainable,
    inputs: Any,
    targets: Any,
    *,
    loss: str | Loss,
    optimizer: str | Optimizer = "adam",
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: Any = None,
    validation_split: float = 0.0,
    metrics: Sequence[MetricLike] = (),
    augment: Augment = None,
    regularizers: Sequence[Regularizer] = (),
    callbacks: Sequence[Callback] = (),
    class_weight: ClassWeight = None,
    sample_weight: Any = None,
    seed: int = 0,
    shuffle: bool = True,
    device: str = "cpu",
    threads: int | None = None,
    verbose: int = 1,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> History:
    """Train a model by gradient descent; the same seed gives bitwise the same weights.

    Every step takes one optimiser step on the loss of a mini-batch B plus penalties,
    L(θ) = (1/|B|) Σᵢ wᵢ ℓ(f(xᵢ; θ), yᵢ) + Σⱼ Rⱼ(θ). The last batch of an epoch may be smaller; the epoch's averages
    weight batches by their size.

    Args:
        model: The model to train; it has its new weights afterwards, also after Ctrl-C or an error.
        inputs: N examples along the first axis.
        targets: N targets: class labels (N,), class probabilities (N, K), or numbers of the output's shape.
        loss: A loss or its name.
        optimizer: An optimiser or its name.
        epochs: Number of passes over the training data.
        batch_size: Examples per step.
        validation_data: (inputs, targets) or (inputs, targets, sample_weight), evaluated after every epoch.
        validation_split: Alternatively, the fraction of the examples to hold out, stratified by class and chosen by
            the seed; examples keep their weights.
        metrics: Names ("accuracy", "mae", "r2" …), Metric objects, or functions (prediction, target) → (N,).
        augment: Augmentation of the training examples, different in every epoch and determined by the seed: one of
            ``data.augment``, a function (inputs, seed, epoch) → inputs, or a list of these. Validation data are not
            augmented.
        regularizers: Penalties: functions [(name, parameter)] → scalar, added to the loss.
        callbacks: Objects of classes derived from ``Callback``.
        class_weight: "balanced" (from the class frequencies of the training rows), {label: weight}, or one weight per
            class. It applies to the training loss only, so ``val_loss`` agrees with ``evaluate``.
        sample_weight: One weight ≥ 0 per example, also in ``val_loss``.
        seed: Seed of shuffling, dropout, augmentation and the validation split.
        shuffle: Whether to shuffle the examples in every epoch.
        device: "cpu" or "reference".
        threads: Number of threads; None lets the engine choose, within DELTARULE_THREADS or OMP_NUM_THREADS.
        verbose: 0 for no output, 1 for one line per epoch and a progress bar on a terminal, 2 for lines only.
        checkpoint: File to write after every epoch, or every ``checkpoint_every`` steps, and at the end. If epochs
            are shorter than writing, some are skipped, so that writing takes at most a quarter of the time.
        checkpoint_every: Exact number of steps between checkpoints.
        resume: Resume from the checkpoint; the result is bitwise that of an uninterrupted run.
        progress: Receives the progress instead of standard output.

    Returns:
        The history: loss and metrics of every epoch, the loss of every step, and how the run ended.

    Raises:
        DataError, ShapeError, DTypeError, ArgumentError: For invalid arguments, before the first step.
        DivergenceError: If the loss or a weight becomes NaN or infinite; it names the step and the operation.
        CheckpointError: If the checkpoint is missing, damaged, or belongs to another run.

    >>> from deltarule import nn
    >>> model = nn.Sequential(nn.Linear(1, 1, seed=0))
    >>> x = [[0.0], [1.0], [2.0], [3.0]]
    >>> history = fit(model, x, x, loss="mean_squared_error", optimizer="sgd", epochs=3, verbose=0)
    >>> history.steps, history["loss"][-1] < history["loss"][0]
    (3, True)
    """
    chosen, recipe = get_loss(loss), get_optimizer(optimizer)
    if not learned(model):
        raise ArgumentError(
            "fit",
            expected="a model with parameters to learn",
            got="none",
            hint=_unfreeze_hint(model),
        )
    arrays = prepared(model, inputs, targets, chosen, sample_weight)
    if validation_data is not None and validation_split:
        raise ArgumentError(
            "fit", expected="validation_data or validation_split", got="both"
        )
    seed = checked_seed(seed)
    rows, held = held_out(arrays, validation_split, seed, chosen)
    if validation_data is not None:
        held = _validation_arrays(model, validation_data, chosen)
    ignored = getattr(chosen, "ignore_label", None)
    epoch_data = EpochData(
        with_class_weight(model, arrays, class_weight, rows, ignored),
        augment,
        seed,
        rows,
    )
    seen = epoch_data.of(0)
    warn_if_normalized(chosen, check_outputs(model, seen, chosen))
    if held is not None:
        check_outputs(model, held, chosen, "validation")
    every_callback = _with_checkpoint(callbacks, checkpoint, checkpoint_every, resume)
    adjustable = any(callback.adjusts_rate for callback in every_callback)
    task = Task(
        model,
        chosen,
        get_all(metrics, chosen),
        recipe,
        _checked_regularizers(regularizers),
        adjustable,
    )
    plan = Plan(epochs, batch_size, epoch_data.n_samples, seed, shuffle)
    largest = max(_LEAST_VALIDATION_BATCH, plan.size)
    validation = (
        None if held is None else Evaluation(task, held, largest, device, threads)
    )
    reporter = progress or progress_for(verbose)
    engine = training_engine(task, seen, device, threads)
    run = TrainingLoop(
        task, recipe, plan, epoch_data, engine, validation, every_callback, reporter
    )
    return _execute(run, threads, checkpoint if resume else None)


def _execute(
    run: TrainingLoop, threads: int | None, resume: str | Path | None
) -> History:
    """Run the loop and report its progress."""
    for callback in run.callbacks:
        callback.reset()
    if resume is not None:
        load(run, resume)
    run.history.engine, run.history.threads = run.engine.name, threads
    run.progress.begin(
        run.engine.name, threads, run.plan.epochs, run.plan.steps_per_epoch
    )
    run.prepare()
    run.progress.compiled(run.engine.compile_seconds)
    try:
        run.train()
    finally:
        run.progress.end(_closing_note(run.history))
    return run.history


def _closing_note(history: History) -> str:
    if history.interrupted:
        return (
            f"interrupted after step {history.steps}: the model keeps what was learned"
        )
    return f"stopped: {history.stop_reason}" if history.stop_reason else ""


check_calls(__name__)
