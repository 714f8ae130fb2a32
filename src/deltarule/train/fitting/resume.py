"""Exact resume: a checkpoint holds the weights, the optimiser state, the counters, the history and the callbacks.

``weights/`` are the weights of the model. If a callback set others at the end (the best ones), the weights that
training continues from are stored beside them as ``training/``.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np

from deltarule.arguments import with_current_names
from deltarule.backends.validation import check_arrays
from deltarule.errors import ArgumentError, CheckpointError, ShapeError, whole_number
from deltarule.optim.recipe import with_current_names as current_optimizer
from deltarule.renamed import RENAMED_LAYERS
from deltarule.runtime.buffers import Array
from deltarule.shapes import show
from deltarule.train import checkpoint
from deltarule.train.fitting.loop import Cursor, TrainingLoop
from deltarule.train.monitoring.callbacks import Callback
from deltarule.train.monitoring.history import History
from deltarule.train.protocol import Saveable
from deltarule.train.steps.step import learned, running

__all__ = ["Checkpoint"]

_REST = 3.0  # minimum pause between two checkpoints of epochs, in durations of writing


@final
class Checkpoint(Callback):
    """Write a checkpoint after every epoch, or every ``every`` steps, and at the end.

    ``fit(checkpoint=path)`` adds this callback. If epochs are shorter than writing, some are skipped, so that writing
    takes at most a quarter of the time; a run that is killed then repeats at most about three times the duration of
    writing. Every checkpoint resumes bitwise exactly.

    Args:
        path: The file to write.
        every: Exact number of steps between checkpoints; None writes after epochs.

    >>> Checkpoint("run.dr", every=100).every
    100
    """

    def __init__(self, path: str | Path, every: int | None = None) -> None:
        self.reset()
        self.path = Path(path)
        self.every = (
            None if every is None else whole_number(every, "Checkpoint every", least=1)
        )

    def reset(self) -> None:
        """Forget when the file was written and how long it took."""
        self._done, self._took = 0.0, 0.0

    def on_steps(self, session: TrainingLoop) -> None:
        """Write a checkpoint between two steps."""
        save(session, self.path)

    def on_consistent(self, session: TrainingLoop, last: bool) -> None:
        """Write a checkpoint after an epoch, unless ``every`` is given, and at the end."""
        start = time.perf_counter()
        if last or (self.every is None and start - self._done >= _REST * self._took):
            save(session, self.path)
            self._done = time.perf_counter()
            self._took = self._done - start


def _signature(run: TrainingLoop) -> dict[str, Any]:
    """Return what must be equal in both runs for an exact resume, as JSON reads it back."""
    tensors = (*learned(run.task.model), *running(run.task.model))
    plan = {key: value for key, value in asdict(run.plan).items() if key != "epochs"}
    return {
        "loss": _plain(run.task.loss.config()),
        "optimizer": _plain(run.optimizer.config()),
        **plan,
        "metrics": [metric.name for metric in run.task.metrics],
        "parameters": [[name, *tensor.shape] for name, tensor in tensors],
        "callbacks": [
            [type(callback).__name__, _plain(callback.settings())]
            for callback in run.callbacks
        ],
        "architecture": _plain(run.task.model.config()),
        "regularizers": [repr(regularizer) for regularizer in run.task.regularizers],
        "training data": run.epoch_data.fingerprint,
        "augmentation": run.epoch_data.description,
        "validation data": None
        if run.validation is None
        else run.validation.fingerprint,
    }


def save(run: TrainingLoop, path: Path) -> None:
    """Write a checkpoint of a run to a file."""
    model = run.task.model
    weights, training = run.weights(), run.training_weights()
    state_dict = (
        {**model.state_dict(), **weights} if isinstance(model, Saveable) else weights
    )
    arrays = {f"weights/{name}": array for name, array in state_dict.items()}
    chosen = any(
        weights[name] is not training[name]
        and not _is_identical(weights[name], training[name])
        for name in weights
    )
    if chosen:
        arrays |= {f"training/{name}": array for name, array in training.items()}
    arrays |= {f"optimizer/{i:03d}": array for i, array in enumerate(run.slots())}
    if run.cursor.rows:
        arrays["run/rows"] = np.concatenate(run.cursor.rows)
    arrays["run/step_losses"] = np.array(run.history.step_losses, np.float64)
    states = []
    for number, callback in enumerate(run.callbacks):
        data, kept = callback.state()
        states.append(data)
        arrays |= {f"callback/{number}/{name}": array for name, array in kept.items()}
    cursor = {key: value for key, value in asdict(run.cursor).items() if key != "rows"}
    document = {
        "architecture": model.config(),
        "signature": _signature(run),
        "cursor": cursor,
        "stop": run.stop,
        "learning_rate_factor": run.learning_rate_factor,
        "history": {
            key: value
            for key, value in run.history.to_dict().items()
            if key != "step_losses"
        },
        "callbacks": states,
    }
    checkpoint.write(path, "checkpoint", arrays, document)


def _is_identical(one: Array, other: Array) -> bool:
    return one.tobytes() == other.tobytes()


def load(run: TrainingLoop, path: str | Path) -> None:
    """Restore a run from a checkpoint; if that fails, the model is unchanged."""
    container = checkpoint.read(path, "checkpoint")
    where = f"resume from {path}"
    model = run.task.model
    before = model.state_dict() if isinstance(model, Saveable) else {}
    with checkpoint.foreign(where, "the entries of a checkpoint"):
        _require_same_run(container, _signature(run), path)
        try:
            _restore(run, container)
        except BaseException:
            if isinstance(model, Saveable):
                model.load_state_dict(before)
            raise


def _restore(run: TrainingLoop, container: checkpoint.Container) -> None:
    """Restore state, counters, history and callbacks from a checkpoint of the same run."""
    document = container.document
    cursor, history = _cursor(run, container), _history(container)
    stop, factor = document["stop"], document["learning_rate_factor"]
    if not isinstance(stop, bool) or not isinstance(factor, float) or not factor >= 0:
        raise ArgumentError(
            "stop, learning_rate_factor",
            expected="true or false, a number",
            got=f"{stop}, {factor}",
        )
    weights, slots = container.group("weights/"), container.group("optimizer/")
    if isinstance(run.task.model, Saveable):
        run.task.model.load_state_dict(weights)
    program = run.engine.step(run.plan.size).program
    run.set_state(
        weights | container.group("training/"),
        [slots[f"{i:03d}"] for i in range(len(slots))],
    )
    state = run.engine.read()
    check_arrays(program.state[: len(state)], state)
    run.history = history
    run.cursor = cursor
    run.stop = stop
    run.learning_rate_factor = factor
    for number, (callback, data) in enumerate(
        zip(run.callbacks, document["callbacks"], strict=True)
    ):
        kept = container.group(f"callback/{number}/")
        for name, array in kept.items():  # arrays with names of weights are weights
            if name in weights and array.shape != weights[name].shape:
                raise ShapeError(
                    f"weight {name}",
                    expected=show(weights[name].shape),
                    got=show(array.shape),
                )
        callback.load_state(data, kept)


def _history(container: checkpoint.Container) -> History:
    losses = container.arrays["run/step_losses"].tolist()
    return History.from_dict(
        {**container.document["history"], "step_losses": losses, "interrupted": False}
    )


def _cursor(run: TrainingLoop, container: checkpoint.Container) -> Cursor:
    """Return the position of a run; raise ArgumentError for counters that are impossible for its plan."""
    kept = container.document["cursor"]
    rows = [container.arrays["run/rows"]] if "run/rows" in container.arrays else []
    cursor = Cursor(**kept, rows=rows)
    counters = (cursor.epoch, cursor.step_in_epoch, cursor.step)
    if not all(
        type(value) is int and value >= 0 for value in counters
    ) or not isinstance(cursor.seconds, (int, float)):
        raise ArgumentError("cursor", expected="whole numbers ≥ 0", got=str(kept))
    every, n_rows = run.plan.steps_per_epoch, sum(len(part) for part in rows)
    if (
        cursor.step_in_epoch > every
        or cursor.step != cursor.epoch * every + cursor.step_in_epoch
    ):
        raise ArgumentError(
            "cursor", expected=f"steps of epochs of {every} steps", got=str(kept)
        )
    n_losses = len(container.arrays["run/step_losses"])
    if (
        n_rows != cursor.step_in_epoch
        or any(part.ndim != 2 for part in rows)
        or n_losses != cursor.step
    ):
        raise ArgumentError(
            "cursor",
            expected="the metrics of every step",
            got=f"{n_rows} and {n_losses} of {kept}",
        )
    return cursor


def _require_same_run(
    container: checkpoint.Container, now: dict[str, Any], path: str | Path
) -> None:
    kept = dict(container.document["signature"])
    kept["optimizer"] = current_optimizer(kept["optimizer"])
    kept = {name: _current(value, now.get(name)) for name, value in kept.items()}
    if (
        container.version < 2
    ):  # stored the classes of callbacks only, and no validation data
        now = {name: value for name, value in now.items() if name != "validation data"}
        now["callbacks"] = [name for name, _ in now["callbacks"]]
    for key, value in now.items():
        if kept[key] != value:
            raise CheckpointError(
                f"resume from {path}",
                expected=f"the same {key} as in the file ({_excerpt(kept[key], value)})",
                got=_excerpt(value, kept[key]),
                hint="Resume with the arguments and data of the first run (only epochs may differ); to begin another "
                "run from these weights, use dr.load(path) and fit without resume.",
            )


def _current(kept: Any, now: Any) -> Any:
    """Return a saved configuration with the current names of layers, and of arguments as in ``now``."""
    if isinstance(kept, dict) and isinstance(now, dict):
        current = with_current_names(now, kept)
        if "class" in current:
            current["class"] = RENAMED_LAYERS.get(current["class"], current["class"])
        return {name: _current(value, now.get(name)) for name, value in current.items()}
    if isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        return [_current(a, b) for a, b in zip(kept, now, strict=True)]
    return kept


def _excerpt(value: Any, other: Any) -> str:
    """Return a value as text; of lists and dictionaries only the entries that differ from ``other``."""
    if isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        return ", ".join(
            _excerpt(a, b) for a, b in zip(value, other, strict=True) if a != b
        )
    if (
        isinstance(value, dict)
        and isinstance(other, dict)
        and value.keys() == other.keys()
    ):
        return ", ".join(
            f"{key} {_excerpt(value[key], other[key])}"
            for key in value
            if value[key] != other[key]
        )
    return str(value)


def _plain(value: Any) -> Any:
    """Return a value as JSON reads it back (tuples become lists)."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return (
        [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
    )
