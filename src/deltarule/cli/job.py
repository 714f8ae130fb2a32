"""Training jobs of the command line, and the facts that every run reports."""

from __future__ import annotations

import hashlib
import platform
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from deltarule import __version__, nn, train
from deltarule.cli.inputs.reading import TableOptions
from deltarule.cli.outputs.console import Console
from deltarule.cli.outputs.wording import in_current_flags
from deltarule.data import Dataset, Split
from deltarule.render.numbers import counted, rate, seconds
from deltarule.report import DataCard
from deltarule.visible import shown


@dataclass(frozen=True)
class Job:
    """The arguments of ``deltarule train``; None means the default of the model's recipe."""

    name: str
    reading: TableOptions
    model: str | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    latent_size: int | None
    seed: int
    threads: int | None
    device: str
    checkpoint: Path | None
    checkpoint_every: int | None
    resume: bool
    report: Path | None


def data_card(data: Dataset, rows: Split, seed: int) -> DataCard:
    """Return the data card of a split data set."""
    parts = {"training": rows.train, "validation": rows.validation, "test": rows.test}
    counts = {
        part: tuple(
            np.bincount(data.targets[chosen], minlength=data.n_classes).tolist()
        )
        for part, chosen in parts.items()
        if data.task == "classification"
    }
    described = replace(data, task_note=in_current_flags(data.task_note))
    return DataCard(
        described, seed, {part: len(chosen) for part, chosen in parts.items()}, counts
    )


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters, in the order of their names, as little-endian float32.

    >>> weights_sha256(nn.Linear(1, 1, bias=False, init="zeros"))[:8]
    'df3f6198'
    """
    digest = hashlib.sha256()
    for _, tensor in sorted(
        model.named_parameters(include_frozen=True), key=lambda pair: pair[0]
    ):
        values: npt.NDArray[Any] = tensor.numpy()
        digest.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()


def run_summary(
    history: train.History, digest: str, path: Path, page: Path, total: float
) -> dict[str, Any]:
    """Return the common part of the JSON result of training runs: epochs, speed, times, files."""
    return {
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "steps": history.steps,
        "samples_per_second": history.samples_per_second,
        "compile_seconds": history.compile_seconds,
        "train_seconds": history.train_seconds,
        "total_seconds": total,
        "engine": history.engine,
        "weights_sha256": digest,
        "checkpoint": str(path),
        "report": str(page),
    }


def arguments(job: Job) -> list[str]:
    """Return the command-line arguments that reproduce a job, always including the seed."""
    pairs = {
        "--model": job.model,
        "--epochs": job.epochs,
        "--batch-size": job.batch_size,
        "--learning-rate": job.learning_rate,
        "--latent-size": job.latent_size,
        "--seed": job.seed,
        "--threads": job.threads,
        "--device": None if job.device == "cpu" else job.device,
        "--checkpoint": job.checkpoint,
        "--checkpoint-every": job.checkpoint_every,
        "--report": job.report,
    }
    given = [
        str(part) for pair in pairs.items() if pair[1] is not None for part in pair
    ]
    data = [] if job.reading.sql is not None else [job.name]
    return [*data, *job.reading.flags(), *given]


def command_line(job: Job, *more: str) -> str:
    """Return the command that reproduces a job."""
    return shlex.join(["deltarule", "train", *arguments(job), *more])


def stopped(job: Job, path: Path, console: Console) -> click.Abort:
    """Print how to resume an interrupted run, and return the exception to raise."""
    console.say(f"\nstopped; the run so far is in {shown(path)}")
    console.say("go on with: " + command_line(job, "--resume"), whole=True)
    return click.Abort()


def timing(history: train.History, total: float) -> tuple[tuple[str, str], ...]:
    """Return the durations of a run as labels and texts."""
    threads = (
        "" if history.threads is None else f", {counted(history.threads, 'thread')}"
    )
    steps = (
        f"{counted(history.steps, 'step')} in {counted(len(history.epochs), 'epoch')}"
    )
    return (
        (
            "training",
            f"{seconds(history.train_seconds)} for {steps}, {rate(history.samples_per_second, 'samples')}",
        ),
        ("compiling", seconds(history.compile_seconds)),
        ("whole run", seconds(total)),
        ("engine", f"{history.engine}{threads}, on {platform.machine()}"),
    )


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions of deltarule, Python and NumPy.

    >>> [name for name, _ in versions()]
    ['deltarule', 'Python', 'NumPy']
    """
    return (
        ("deltarule", __version__),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
    )
