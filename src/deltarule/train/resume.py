"""Exact resume: a checkpoint holds the state, the counters, the history and the callbacks of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltarule.errors import ArgumentError, CheckpointError
from deltarule.train import checkpoint
from deltarule.train.history import History

if TYPE_CHECKING:
    from deltarule.train.fit import Run


def _signature(run: Run) -> dict[str, Any]:
    """Return what must be equal for a run to go on as if never stopped."""
    return {
        "loss": run.objective.loss.config(),
        "optimizer": run.optimizer.config(),
        "batch_size": run.plan.batch_size,
        "seed": run.plan.seed,
        "shuffle": run.plan.shuffle,
        "n_samples": run.plan.n_samples,
        "shapes": {name: list(tensor.shape) for name, tensor in run.main_program.parameters},
        "callbacks": [type(callback).__name__ for callback in run.callbacks],
    }


def save(run: Run, path: Path) -> None:
    """Write a checkpoint of a run."""
    arrays = {f"state.{i:04d}": array for i, array in enumerate(run.weights())}
    names = [name for name, _ in run.main_program.parameters]
    states = []
    for number, callback in enumerate(run.callbacks):
        data, kept = callback.state()
        states.append({"data": data, "arrays": len(kept)})
        arrays.update({f"callback.{number}.{i:04d}": array for i, array in enumerate(kept)})
    document = {
        "signature": _signature(run),
        "parameters": names,
        "epoch": run.counters.epoch,
        "step_in_epoch": run.counters.step_in_epoch,
        "sums": run.counters.sums,
        "learning_rate_factor": run.learning_rate_factor,
        "history": run.history.to_dict(),
        "callbacks": states,
        "architecture": run.model.config(),
    }
    checkpoint.write(path, "checkpoint", arrays, document)


def _listed(arrays: dict[str, Any], prefix: str) -> list[Any]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]


def load(run: Run, path: Path | None) -> None:
    """Put a run where the checkpoint left it."""
    if path is None:
        raise ArgumentError("fit resume", expected="a checkpoint path", got="none", hint='Add checkpoint="run.dr".')
    container = checkpoint.read(path, "checkpoint")
    document = container.document
    now = _signature(run)
    for key, value in document["signature"].items():
        if value != _plain(now[key]):
            raise CheckpointError(
                f"resume from {path}",
                expected=f"the same {key} as in the checkpoint ({value})",
                got=str(now[key]),
                hint="Resume with the arguments of the first run, or start anew without resume=True.",
            )
    run.set_weights(_listed(container.arrays, "state."))
    run.counters.epoch, run.counters.step_in_epoch = document["epoch"], document["step_in_epoch"]
    run.counters.sums = document["sums"]
    run.learning_rate_factor = document["learning_rate_factor"]
    run.history = History.from_dict({**document["history"], "interrupted": False})
    for number, (callback, state) in enumerate(zip(run.callbacks, document["callbacks"], strict=True)):
        callback.load_state(state["data"], _listed(container.arrays, f"callback.{number}."))


def _plain(value: Any) -> Any:
    """Return a value as JSON gives it back (tuples become lists)."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
