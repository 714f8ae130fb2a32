"""``deltarule train``: data card, model, training, test, files."""

from __future__ import annotations

import hashlib
import platform
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from deltarule import __version__, nn, optim, train
from deltarule.cli import models, options, source
from deltarule.cli.about import About
from deltarule.cli.console import Console
from deltarule.cli.measure import Measured, measure
from deltarule.data import Dataset, Split
from deltarule.render.numbers import count, rate, seconds
from deltarule.report import DataCard, Run, training_page
from deltarule.train.checkpoint import write_atomically

EXAMPLES = options.examples(
    "deltarule train digits",
    "deltarule train wine --model linear --epochs 50 --json",
    "deltarule train flowers.csv --target species --seed 1",
    "deltarule train digits --checkpoint run.dr --checkpoint-every 20     (interrupt it, then:)",
    "deltarule train digits --checkpoint run.dr --checkpoint-every 20 --resume",
)


@dataclass(frozen=True)
class Job:
    """What the command line asks for; None leaves a choice to the model's recipe."""

    name: str
    target: str | None
    model: str | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    seed: int
    threads: int | None
    device: str
    checkpoint: Path | None
    checkpoint_every: int | None
    resume: bool
    report: Path | None


@click.command("train", epilog=EXAMPLES)
@click.argument("name", metavar="NAME|FILE|FOLDER")
@options.target
@click.option("--model", default=None, metavar="M", help="linear, mlp or lenet (default: by the data's shape).")
@click.option("--epochs", type=click.IntRange(min=1), default=None, metavar="N", help="Passes over the data, at most.")
@click.option("--batch-size", type=click.IntRange(min=1), default=None, metavar="B", help="Examples a step.")
@click.option("--learning-rate", type=float, default=None, metavar="R", help="Step size of the optimiser (AdamW).")
@options.seed
@options.threads
@options.device
@click.option("--checkpoint", type=options.PATH, default=None, metavar="PATH", help="The model's file [NAME.dr].")
@click.option("--checkpoint-every", type=click.IntRange(min=1), default=None, metavar="STEPS",
              help="Write the file every so many steps, instead of every epoch.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the file, to the bit as if never stopped.")
@click.option("--report", type=options.PATH, default=None, metavar="PATH", help="The page's file [NAME-report.html].")
@options.as_json
def command(as_json: bool, **given: Any) -> None:
    """Train a network on a bundled data set, a file or a folder.

    NAME is digits, iris, wine, breast_cancer or diabetes; FILE a .csv, .npz or .parquet file; FOLDER holds MNIST's
    files, CIFAR's batches, a folder of pictures for each class, or inputs.npy and targets.npy. 20 % of the rows are
    kept for the test and 10 % to stop at the best epoch. Images get a convolutional network (lenet), tables dense
    layers (mlp). Writes the model, from which a run can be resumed, and a report as one HTML file.
    """
    run_job(Job(**given), Console(as_json))


def run_job(job: Job, console: Console) -> None:
    """Do what the command line asks for."""
    start = time.perf_counter()
    data = source.open_data(job.name, job.target)
    path, page = job.checkpoint or Path(f"{data.name}.dr"), job.report or Path(f"{data.name}-report.html")
    options.check_place(path, "--checkpoint")
    options.check_place(page, "--report")
    name = job.model or models.default_model(data)
    rows = source.divide(data, job.seed)
    card = data_card(data, rows, job.seed)
    console.rows(data.title, card.rows())
    model = models.build(name, data, rows.train, job.seed)
    summary = str(model.summary(input_shape=data.input_shape))
    console.say(summary + "\n")
    history = fit(job, model, name, data, rows, path, console)
    if history.interrupted:
        console.say(f"\nstopped by Ctrl-C; the run so far is in {path}")
        console.say("go on with: " + shlex.join(["deltarule", "train", *arguments(job), "--resume"]))
        raise click.Abort
    measured = measure(model, data, rows.test, job.device)
    about = About.of(data, name, source.target_name(job.name, job.target), job.seed, source.fingerprint(data))
    about.write(path)
    digest = weights_sha256(model)
    run = Run(
        card=card,
        summary=summary,
        loss=models.loss_name(data),
        epochs=tuple(history.epochs),
        score=measured.score,
        timing=timing(history, time.perf_counter() - start),
        command=shlex.join(["deltarule", "train", *arguments(job)]),
        weights_sha256=digest,
        versions=versions(),
        files=(("model", str(path)),),
        best_epoch=history.best_epoch,
    )
    write_atomically(page, training_page(run).encode("utf-8"))
    tell(console, measured, path, page)
    console.finish(record(history, measured, digest, path, page, time.perf_counter() - start))


def fit(
    job: Job, model: nn.Module, name: str, data: Dataset, rows: Split, path: Path, console: Console
) -> train.History:
    """Train with the model's recipe where the command line does not say otherwise."""
    recipe = models.RECIPES[name]
    targets = models.targets(data)
    rate_ = recipe.learning_rate if job.learning_rate is None else job.learning_rate
    return model.fit(
        data.inputs[rows.train],
        targets[rows.train],
        loss=models.loss_name(data),
        optimizer=optim.AdamW(learning_rate=rate_, weight_decay=recipe.weight_decay),
        epochs=job.epochs or recipe.epochs,
        batch_size=job.batch_size or recipe.batch_size,
        validation_data=(data.inputs[rows.validation], targets[rows.validation]),
        metrics=[models.metric_name(data)],
        callbacks=[train.EarlyStopping("val_loss", patience=recipe.patience)],
        seed=job.seed,
        device=job.device,
        threads=job.threads,
        verbose=console.verbose,
        checkpoint=path,
        checkpoint_every=job.checkpoint_every,
        resume=job.resume,
    )


def data_card(data: Dataset, rows: Split, seed: int) -> DataCard:
    """Return the card of a divided data set."""
    parts = {"training": rows.train, "validation": rows.validation, "test": rows.test}
    counts = {
        part: tuple(np.bincount(data.targets[chosen], minlength=data.n_classes).tolist())
        for part, chosen in parts.items()
        if data.task == "classification"
    }
    return DataCard(data, seed, {part: len(chosen) for part, chosen in parts.items()}, counts)


def weights_sha256(model: nn.Module) -> str:
    """Return the SHA-256 of all parameters in the order of their names, as float32, little-endian."""
    digest = hashlib.sha256()
    for _, tensor in sorted(model.named_parameters(include_frozen=True), key=lambda pair: pair[0]):
        values: npt.NDArray[Any] = tensor.numpy()
        digest.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()


def arguments(job: Job) -> list[str]:
    """Return the arguments that repeat a job, the seed always among them."""
    pairs = {
        "--target": job.target, "--model": job.model, "--epochs": job.epochs, "--batch-size": job.batch_size,
        "--learning-rate": job.learning_rate, "--seed": job.seed, "--threads": job.threads,
        "--device": None if job.device == "cpu" else job.device, "--checkpoint": job.checkpoint,
        "--checkpoint-every": job.checkpoint_every, "--report": job.report,
    }  # fmt: skip
    return [job.name, *(str(part) for pair in pairs.items() if pair[1] is not None for part in pair)]


def timing(history: train.History, total: float) -> tuple[tuple[str, str], ...]:
    """Return how long what took, in words."""
    threads = "" if history.threads is None else f", {history.threads} threads"
    steps = f"{count(history.steps)} steps in {len(history.epochs)} epochs"
    return (
        ("training", f"{seconds(history.train_seconds)} for {steps}, {rate(history.samples_per_second, 'samples')}"),
        ("compiling", seconds(history.compile_seconds)),
        ("whole run", seconds(total)),
        ("engine", f"{history.engine}{threads}, on {platform.machine()}"),
    )


def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions that a run depends on."""
    return (("deltarule", __version__), ("Python", platform.python_version()), ("NumPy", np.__version__))


def tell(console: Console, measured: Measured, path: Path, page: Path) -> None:
    """Print the result and the files."""
    value, words = measured.score.parts()
    label = "test accuracy" if measured.score.metric == "accuracy" else "test"
    console.say(f"\n{label}  {value} {words}")
    console.say(f"model          {path}")
    console.say(f"report         {page}")


def record(
    history: train.History, measured: Measured, digest: str, path: Path, page: Path, total: float
) -> dict[str, Any]:
    """Return the answer for programs."""
    return {
        f"test_{measured.score.metric}": measured.score.value,
        "test_loss": measured.score.loss,
        "test_samples": measured.score.n,
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
