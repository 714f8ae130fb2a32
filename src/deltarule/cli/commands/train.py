"""``deltarule train``: train a model on a data set, evaluate it, and write the model and a report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from deltarule import nn, optim, train
from deltarule.cli import options
from deltarule.cli.commands import train_vae
from deltarule.cli.inputs import data_source, models
from deltarule.cli.inputs.about import ModelMetadata
from deltarule.cli.job import (
    Job,
    command_line,
    data_card,
    run_summary,
    stopped,
    timing,
    versions,
    weights_sha256,
)
from deltarule.cli.outputs.console import Console, width
from deltarule.cli.outputs.help import command as command_with
from deltarule.cli.outputs.measure import Measured, measure
from deltarule.data import Dataset, Split
from deltarule.errors import ArgumentError, DataError
from deltarule.report import RunReport, training_page
from deltarule.train.checkpoint import write_atomically
from deltarule.visible import shown

EXAMPLES = (
    "deltarule train digits",
    "deltarule train wine --model linear --epochs 50 --json",
    "deltarule train flowers.csv --target species --seed 1",
    "deltarule train --sql \"SELECT * FROM 'sales.csv'\" --target price",
    "deltarule train digits --model vae          a generative model of digits, without labels",
    "deltarule train digits --checkpoint run.dr --checkpoint-every 20  interrupt it and resume:",
    "deltarule train digits --checkpoint run.dr --checkpoint-every 20 --resume",
)


@command_with("train", *EXAMPLES)
@click.argument("name", metavar="NAME|FILE|FOLDER", required=False)
@options.table
@click.option(
    "--sql",
    default=None,
    metavar="QUERY",
    help="An SQL query over files, in place of FILE.",
)
@click.option(
    "--model",
    default=None,
    metavar="M",
    help="linear, mlp, lenet (default: by the data's shape) or vae.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Maximum number of epochs.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=None,
    metavar="B",
    help="Examples per step.",
)
@click.option(
    "--learning-rate",
    type=options.Rate(),
    default=None,
    metavar="R",
    help="Learning rate of the optimiser (AdamW).",
)
@click.option(
    "--latent-size",
    type=click.IntRange(min=2),
    default=None,
    metavar="K",
    help="Latent dimensions of a vae [2].",
)
@options.seed
@options.threads
@options.device
@click.option(
    "--checkpoint",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="The model's file [NAME.dr].",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=None,
    metavar="STEPS",
    help="Steps between checkpoints, instead of one per epoch.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Resume from the checkpoint; the result is bitwise that of an uninterrupted run.",
)
@click.option(
    "--report",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="The page's file [NAME-report.html].",
)
@options.as_json
def command(as_json: bool, **given: Any) -> None:
    """Train a network on a bundled data set, a file or a folder.

    NAME is digits, iris, wine, breast_cancer or diabetes; FILE a table (CSV or text with any separator, compressed or
    not, Parquet, JSON, Arrow, Excel, SQLite; several files by a quoted pattern such as 'sales-*.csv') or an .npz file;
    FOLDER holds MNIST's files, CIFAR's batches, a folder of pictures for each class, or inputs.npy and targets.npy.
    20 % of the rows are held out for the test and 10 % for early stopping. Images get a convolutional network (lenet),
    tables dense layers (mlp). Writes the model, from which the run can be resumed, and an HTML report.

    --model vae trains a variational autoencoder of the images; its report shows the ELBO, samples, reconstructions and
    a map of the latent space.
    """
    given["name"] = options.name_or_query(given["name"], given["sql"])
    job, console = Job(reading=options.table_options(given), **given), Console(as_json)
    if job.model == train_vae.NAME:
        train_vae.run_job(job, console)
        return
    if job.model is not None and job.model not in models.MODELS:
        raise ArgumentError(
            "--model",
            expected=f"one of {', '.join([*models.MODELS, train_vae.NAME])}",
            got=repr(job.model),
        )
    if job.latent_size is not None:
        raise ArgumentError(
            "--latent-size",
            expected="--model vae",
            got=f"--model {job.model or '(by the data)'}",
        )
    run_job(job, console)


def run_job(job: Job, console: Console) -> None:
    """Run a training job."""
    start = time.perf_counter()
    data = data_source.open_data(job.name, job.reading)
    path = job.checkpoint or Path(f"{data.name}.dr")
    page = job.report or Path(f"{data.name}-report.html")
    options.check_writable(path, "--checkpoint")
    options.check_writable(page, "--report")
    if data.task == "classification" and len(data.class_names) == 1:
        raise DataError(
            f"target of {job.name}",
            expected="at least two classes",
            got=f"{data.class_names[0]!r} in all {data.n_samples} rows",
            hint="Choose another column with --target.",
        )
    name = job.model or models.default_model(data)
    rows = data_source.divide(data, job.seed)
    card = data_card(data, rows, job.seed)
    console.rows(data.title, card.rows())
    model = models.build(name, data, rows.train, job.seed)
    summary = str(model.summary(input_shape=data.input_shape))
    console.say(model.summary(input_shape=data.input_shape).text(width()) + "\n")
    history = fit(job, model, name, data, rows, path, console)
    if history.interrupted:
        raise stopped(job, path, console)
    measured = measure(model, data, rows.test, job.device)
    target = data_source.target_name(data, job.reading.target)
    about = ModelMetadata.of(
        data,
        name,
        target,
        job.seed,
        data_source.fingerprint(data),
        job.reading.drop_missing,
    )
    about.write(path)
    digest = weights_sha256(model)
    run = RunReport(
        card=card,
        summary=summary,
        loss=models.loss_name(data),
        epochs=tuple(history.epochs),
        score=measured.score,
        timing=timing(history, time.perf_counter() - start),
        command=command_line(job),
        weights_sha256=digest,
        versions=versions(),
        files=(("model", str(path)),),
        best_epoch=history.best_epoch,
    )
    write_atomically(page, training_page(run).encode("utf-8"))
    print_result(console, measured, path, page)
    console.finish(
        record(history, measured, digest, path, page, time.perf_counter() - start)
    )


def fit(
    job: Job,
    model: nn.Module,
    name: str,
    data: Dataset,
    rows: Split,
    path: Path,
    console: Console,
) -> train.History:
    """Train with the options of the job, and the model's recipe as defaults."""
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


def print_result(console: Console, measured: Measured, path: Path, page: Path) -> None:
    """Print the test score and the files."""
    value, words = measured.score.parts()
    label = "test accuracy" if measured.score.metric == "accuracy" else "test"
    console.say(f"\n{label}  {value} {words}")
    console.say(f"model          {shown(path)}")
    console.say(f"report         {shown(page)}")


def record(
    history: train.History,
    measured: Measured,
    digest: str,
    path: Path,
    page: Path,
    total: float,
) -> dict[str, Any]:
    """Return the result for JSON output."""
    return {
        f"test_{measured.score.metric}": measured.score.value,
        "test_loss": measured.score.loss,
        "test_samples": measured.score.n,
        **run_summary(history, digest, path, page, total),
    }
