"""The report page of a variational autoencoder: bound, samples, reconstructions, latent space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deltarule.generative import Estimate, figures
from deltarule.render.html import Block, Code, Figure, Heading, page
from deltarule.report.blocks import Array, Charts, Lead, Note, Pairs, style
from deltarule.report.figures import learning_curves
from deltarule.report.run import DataCard
from deltarule.report.training import SAME_BITS, WHILE_LEARNING

_COLUMNS = 8


@dataclass(frozen=True)
class Bounds:
    """Means over ``n`` test examples in nats, with standard errors, from ``n_draws`` samples of z for each."""

    elbo: Estimate
    reconstruction: Estimate
    kl: Estimate
    log_likelihood: Estimate
    n: int
    n_draws: int

    def rows(self) -> list[tuple[str, str]]:
        """Return labels and texts, for a terminal and for a page."""
        gap = self.log_likelihood.value - self.elbo.value
        drawn = f"by importance sampling, {self.n_draws:,} draws an image"
        return [
            (
                "test ELBO",
                f"{nats(self.elbo)} nats an image, {self.n:,} images: a lower bound of ln p(x)",
            ),
            (
                "reconstruction",
                f"{nats(self.reconstruction)}: −E[ln p(x|z)] under q(z|x)",
            ),
            (
                "KL",
                f"{nats(self.kl)}: from q(z|x) to the prior; ELBO = −(reconstruction + KL)",
            ),
            ("ln p(x)", f"{nats(self.log_likelihood)}, {drawn}"),
            ("gap", f"{gap:.2f}: ln p(x) − ELBO, how far q(z|x) is from the posterior"),
        ]


def nats(estimate: Estimate) -> str:
    """Return a mean with its standard error.

    >>> nats(Estimate(-24.083, 0.331))
    '−24.08 ± 0.33'
    """
    return f"{estimate.value:.2f} ± {estimate.standard_error:.2f}".replace("-", "−")


@dataclass(frozen=True)
class Drawings:
    """Images from a trained model, as arrays (n, height, width, channels).

    Attributes:
        samples: Decodings of samples of the prior.
        originals: Test images.
        reconstructions: Reconstructions of ``originals``.
        between: Interpolations in latent space, in rows of 8 images.
        grid: Decodings of a grid over ± ``span`` of the latent plane.
        codes: Points (N, 2) of test images in the plane.
        labels: Class names (N,) of the points.
        plane: Description of the plane.
        span: Half the side of the grid.
    """

    samples: Array
    originals: Array
    reconstructions: Array
    between: Array
    grid: Array
    codes: Array
    labels: Array
    plane: str
    span: float


@dataclass(frozen=True)
class GenerativeRun:
    """The content of the report of a variational autoencoder (compare ``report.RunReport``)."""

    card: DataCard
    summary: str
    epochs: tuple[Mapping[str, float], ...]
    bounds: Bounds
    drawings: Drawings
    timing: tuple[tuple[str, str], ...]
    command: str
    weights_sha256: str
    versions: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...] = ()
    best_epoch: int | None = None


def generative_page(run: GenerativeRun) -> str:
    """Return the report as one self-contained HTML page."""
    drawn = run.drawings
    best = (
        f" The weights are those of epoch {run.best_epoch}."
        if run.best_epoch is not None
        else ""
    )
    blocks: list[Block] = [
        Lead(
            f"{nats(run.bounds.elbo)} nats",
            f"of ELBO a test image ({run.bounds.n:,} images): ln p(x) is no less",
        ),
        Heading("Data"),
        Pairs(run.card.rows()),
        Heading("Model"),
        Code(run.summary),
        Heading("Learning curves"),
        *learning_curves(run.epochs, ("elbo", "reconstruction", "kl"), "negative_elbo"),
        Note(f"{WHILE_LEARNING}{best}"),
        Heading("Bound and likelihood"),
        Pairs(run.bounds.rows()),
        Note(_GREY),
        Heading("New images"),
        Figure(figures.samples(drawn.samples, _COLUMNS, "")),
        Note(
            "The decoder's means at latent points drawn from the prior; no image of the data is among them."
        ),
        Heading("Reconstructions"),
        Figure(figures.reconstructions(drawn.originals, drawn.reconstructions, "")),
        Note("Above test images, below what the decoder makes of their codes μ(x)."),
        Heading("Latent map"),
        *_map(drawn),
        Heading("From image to image"),
        Figure(figures.samples(drawn.between, _COLUMNS, "")),
        Note("Rows: points on the line between the codes of two test images."),
        Heading("Time"),
        Pairs(run.timing),
        Heading("How to do it again"),
        Code(run.command),
        Note(SAME_BITS),
        Pairs(
            [("weights", f"SHA-256 {run.weights_sha256}"), *run.versions, *run.files]
        ),
    ]
    return page(
        run.card.data.title,
        blocks,
        "A variational autoencoder trained by Deltarule",
        style=style(),
    )


_GREY = (
    "Pixels between 0 and 1 count as shares of black and white, so the numbers compare models of the same images; "
    "they are no densities of grey values. ± is the standard error over the test images."
)


def _map(drawn: Drawings) -> Sequence[Block]:
    axes = (
        ("z₁", "z₂")
        if drawn.plane == "the latent plane"
        else ("first direction", "second direction")
    )
    left = figures.latent_map(
        drawn.codes, drawn.labels, "Test images as points", axes=axes
    )
    right = figures.latent_grid(drawn.grid, "What lies where")
    told = (
        f"Left: {drawn.plane}, in the colours of classes that the model was not told. Right: what the decoder draws "
        f"there, from −{drawn.span:g} to {drawn.span:g} in both directions."
    )
    return [Charts([left, right]), Note(told)]
