"""Exact resume: a checkpoint holds the state, the counters, the books and the callbacks of a run.

``weights/`` are the model as a reader wants it. Where a callback chose other weights at the end (the best ones),
those to go on from are kept beside them as ``training/``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from deltarule.errors import ArgumentError, CheckpointError
from deltarule.runtime.buffers import Array
from deltarule.train import checkpoint
from deltarule.train.callbacks import Callback
from deltarule.train.history import History
from deltarule.train.program import learned, running
from deltarule.train.protocol import Saveable

if TYPE_CHECKING:
    from deltarule.train.loop import Run


@final
class Checkpoint(Callback):
    """Write the run to a file after every epoch, or every ``every`` steps, and at the end.

    >>> Checkpoint("run.dr", every=100).every
    100
    """

    def __init__(self, path: str | Path, every: int | None = None) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise ArgumentError("Checkpoint every", expected="a whole number of steps ≥ 1", got=repr(every))
        self.path, self.every = Path(path), every

    def on_steps(self, session: Run) -> None:
        """Write between two steps."""
        save(session, self.path)

    def on_consistent(self, session: Run, last: bool) -> None:
        """Write after an epoch, where there is no rhythm in steps, and at the end."""
        if last or self.every is None:
            save(session, self.path)


def _signature(run: Run) -> dict[str, Any]:
    """Return what must be equal for a run to go on as if never stopped, as JSON gives it back."""
    tensors = (*learned(run.task.model), *running(run.task.model))
    plan = {key: value for key, value in asdict(run.plan).items() if key != "epochs"}
    return {
        "loss": _plain(run.task.loss.config()),
        "optimizer": _plain(run.optimizer.config()),
        **plan,
        "metrics": [metric.name for metric in run.task.metrics],
        "parameters": [[name, *tensor.shape] for name, tensor in tensors],
        "callbacks": [type(callback).__name__ for callback in run.callbacks],
        "architecture": _plain(run.task.model.config()),
        "regularizers": [repr(regularizer) for regularizer in run.task.regularizers],
        "training data": run.feed.fingerprint,
        "augmentation": run.feed.description,
    }


def save(run: Run, path: Path) -> None:
    """Write a checkpoint of a run."""
    model = run.task.model
    weights, training = run.weights(), run.training_weights()
    everything = {**model.state_dict(), **weights} if isinstance(model, Saveable) else weights
    arrays = {f"weights/{name}": array for name, array in everything.items()}
    chosen = any(weights[name] is not training[name] and not _same(weights[name], training[name]) for name in weights)
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
        "history": {key: value for key, value in run.history.to_dict().items() if key != "step_losses"},
        "callbacks": states,
    }
    checkpoint.write(path, "checkpoint", arrays, document)


def _same(one: Array, other: Array) -> bool:
    return one.tobytes() == other.tobytes()


def load(run: Run, path: str | Path) -> None:
    """Put a run where the checkpoint left it."""
    container = checkpoint.read(path, "checkpoint")
    document = container.document
    try:
        _refuse_another_run(document["signature"], _signature(run), path)
        weights = container.group("weights/")
        if isinstance(run.task.model, Saveable):
            run.task.model.load_state_dict(weights)
        run.engine.step(run.plan.size)
        slots = container.group("optimizer/")
        run.set_state(weights | container.group("training/"), [slots[f"{i:03d}"] for i in range(len(slots))])
        losses = container.arrays["run/step_losses"].tolist()
        run.history = History.from_dict({**document["history"], "step_losses": losses, "interrupted": False})
        run.stop, run.learning_rate_factor = bool(document["stop"]), float(document["learning_rate_factor"])
        cursor = run.cursor
        for name, value in document["cursor"].items():
            setattr(cursor, name, value)
        cursor.rows = [container.arrays["run/rows"]] if "run/rows" in container.arrays else []
        for number, (callback, data) in enumerate(zip(run.callbacks, document["callbacks"], strict=True)):
            callback.load_state(data, container.group(f"callback/{number}/"))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"file {path}", expected="the entries of a checkpoint", got=f"{type(error).__name__}: {error}"
        ) from error


def _refuse_another_run(kept: dict[str, Any], now: dict[str, Any], path: str | Path) -> None:
    for key in now:
        if kept[key] != now[key]:
            raise CheckpointError(
                f"resume from {path}",
                expected=f"the same {key} as in the file ({kept[key]})",
                got=str(now[key]),
                hint="Resume with the arguments and data of the first run (only epochs may differ); to begin another "
                "run from these weights, use dr.load(path) and fit without resume.",
            )


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back (tuples become lists)."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
