"""``deltarule train NAME --model vae``: train a variational autoencoder of images, and write its report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deltarule import generative, optim, train
from deltarule.cli import options
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
from deltarule.data import Dataset, Split
from deltarule.errors import ArgumentError
from deltarule.generative import VAE, Estimate
from deltarule.generative.figures import Plane
from deltarule.report.generative import Bounds, Drawings, GenerativeRun, generative_page
from deltarule.train.checkpoint import write_atomically

Array = npt.NDArray[Any]
NAME: Final = "vae"
LATENT_SIZE: Final = 2
RECIPE: Final = models.Recipe(
    epochs=150, batch_size=32, learning_rate=0.002, weight_decay=0.0, patience=25
)
_HIDDEN = (
    256,
    128,
)  # units of the encoder's hidden layers, reversed in the decoder
_DRAWS = 500  # samples of z per test image
_MAX_LIKELIHOOD_IMAGES = 1000  # test images for the likelihood estimate
_LINE = 8  # images per row
_SHOWN = 10  # reconstructions; interpolations run between neighbours
_GRID, _SPAN = 12, 2.0


def check(data: Dataset) -> None:
    """Raise ArgumentError unless the data are images with values in [0, 1] and class labels."""
    shape = data.input_shape
    low = float(data.inputs.min())
    high = float(data.inputs.max())
    if len(shape) < 3:
        got = (
            f"a table of {shape[0]} features"
            if len(shape) == 1
            else f"examples of shape {'×'.join(map(str, shape))}"
        )
        hint = "For tables use generative.VAE with a GaussianLikelihood in Python."
    elif not models.is_image(shape) or shape[-1] not in {1, 3}:
        got, hint = f"images of {'×'.join(map(str, shape))}", ""
    elif data.task != "classification":
        got = "images with numbers to predict"
        hint = "Name an array of classes with --target."
    elif low < 0 or high > 1:
        got = f"values from {low:.4g} to {high:.4g}"
        hint = "Scale them: pixels of 0 … 255 are divided by 255."
    else:
        return
    expected = (
        "images of classes, height × width × 1 or 3 channels, with values in [0, 1]"
    )
    raise ArgumentError(
        f"--model {NAME} for {data.name}", expected=expected, got=got, hint=hint
    )


def build(data: Dataset, latent_size: int, seed: int) -> VAE:
    """Return a VAE with dense layers and Bernoulli pixels."""
    model = generative.dense_vae(data.input_shape, latent_size, _HIDDEN)
    model.initialize(seed)
    return model


def run_job(job: Job, console: Console) -> None:
    """Run a training job."""
    start = time.perf_counter()
    data = data_source.open_data(job.name, job.reading)
    check(data)
    path = job.checkpoint or Path(f"{data.name}.dr")
    page = job.report or Path(f"{data.name}-report.html")
    options.check_writable(path, "--checkpoint")
    options.check_writable(page, "--report")
    rows = data_source.divide(data, job.seed)
    card = data_card(data, rows, job.seed)
    console.rows(data.title, card.rows())
    model = build(data, job.latent_size or LATENT_SIZE, job.seed)
    summary = str(model.summary(input_shape=data.input_shape))
    console.say(model.summary(input_shape=data.input_shape).text(width()) + "\n")
    history = fit(job, model, data, rows, path, console)
    if history.interrupted:
        raise stopped(job, path, console)
    bounds = measure(model, data.inputs[rows.test][:_MAX_LIKELIHOOD_IMAGES])
    target = data_source.target_name(data, job.reading.target)
    ModelMetadata.of(data, NAME, target, job.seed, data_source.fingerprint(data)).write(
        path
    )
    digest = weights_sha256(model)
    run = GenerativeRun(
        card,
        summary,
        tuple(history.epochs),
        bounds,
        drawings(model, data, rows.test),
        timing(history, time.perf_counter() - start),
        command_line(job),
        digest,
        versions(),
        (("model", str(path)),),
        history.best_epoch,
    )
    write_atomically(page, generative_page(run).encode("utf-8"))
    console.say()
    console.rows(
        "test images", [*bounds.rows(), ("model", str(path)), ("report", str(page))]
    )
    console.finish(
        record(history, bounds, digest, path, page, time.perf_counter() - start)
    )


def fit(
    job: Job, model: VAE, data: Dataset, rows: Split, path: Path, console: Console
) -> train.History:
    """Train with the options of the job, and the recipe as defaults."""
    rate = RECIPE.learning_rate if job.learning_rate is None else job.learning_rate
    return model.fit(
        data.inputs[rows.train],
        validation_data=data.inputs[rows.validation],
        optimizer=optim.Adam(learning_rate=rate),
        epochs=job.epochs or RECIPE.epochs,
        batch_size=job.batch_size or RECIPE.batch_size,
        callbacks=[train.EarlyStopping("val_loss", patience=RECIPE.patience)],
        seed=job.seed,
        device=job.device,
        threads=job.threads,
        verbose=console.verbose,
        checkpoint=path,
        checkpoint_every=job.checkpoint_every,
        resume=job.resume,
    )


def measure(model: VAE, images: Array) -> Bounds:
    """Return ELBO, its terms, and the estimated log-likelihood of images."""
    weights = model.log_weights(images, _DRAWS)
    elbo = weights.mean(axis=0)
    log_likelihood = np.logaddexp.reduce(weights, axis=0) - np.log(len(weights))
    kl = train.predict(model, images)[:, 2].astype(np.float64)
    return Bounds(
        Estimate.of(elbo),
        Estimate.of(-elbo - kl),
        Estimate.of(kl),
        Estimate.of(log_likelihood),
        len(images),
        _DRAWS,
    )


def drawings(model: VAE, data: Dataset, test: npt.NDArray[np.int64]) -> Drawings:
    """Return the figures of the report: samples, reconstructions, interpolations, latent grid and latent map."""
    images, classes = data.inputs[test], data.targets[test]
    # one image of each class first, then the others
    first = np.unique(classes, return_index=True)[1]
    order = np.concatenate([first, np.delete(np.arange(len(images)), first)])
    shown = images[order[: min(_SHOWN, len(order) // 2 * 2)]]
    lines = [
        model.interpolate(a, b, _LINE)
        for a, b in zip(shown[::2], shown[1::2], strict=False)
    ]
    codes = model.encode(images)[0]
    plane = Plane.through(codes)
    return Drawings(
        model.sample(4 * _LINE, seed=0),
        shown,
        model.reconstruct(shown),
        np.concatenate(lines),
        model.decode(plane.grid(_GRID, _SPAN)),
        plane.points(codes),
        np.array(data.class_names)[classes],
        plane.description,
        _SPAN,
    )


def record(
    history: train.History,
    bounds: Bounds,
    digest: str,
    path: Path,
    page: Path,
    total: float,
) -> dict[str, Any]:
    """Return the result for JSON output."""
    terms = {
        "elbo": bounds.elbo,
        "reconstruction": bounds.reconstruction,
        "kl": bounds.kl,
        "log_likelihood": bounds.log_likelihood,
    }
    found: dict[str, Any] = {}
    for name, estimate in terms.items():
        found |= {
            f"test_{name}": estimate.value,
            f"test_{name}_error": estimate.standard_error,
        }
    return {
        **found,
        "test_samples": bounds.n,
        **run_summary(history, digest, path, page, total),
    }
