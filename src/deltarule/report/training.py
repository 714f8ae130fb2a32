"""The report page of a training run."""

from __future__ import annotations

from deltarule.render.html import Block, Code, Heading, page
from deltarule.report.blocks import Lead, Note, Pairs, style
from deltarule.report.figures import (
    confusion,
    learning_curves,
    predictions,
    wrong_examples,
)
from deltarule.report.run import RunReport

__all__ = ["training_page"]

WHILE_LEARNING = (
    "Training values are means over an epoch's steps, while the model learns; validation values are measured after "
    "the epoch."
)
SAME_BITS = "The same command, versions and machine give the same weights, to the bit, with any number of threads."


def training_page(run: RunReport) -> str:
    """Return the report of a training run as one self-contained HTML page."""
    data, score = run.card.data, run.score
    blocks: list[Block] = [
        Lead(*score.parts()),
        Heading("Data"),
        Pairs(run.card.rows()),
    ]
    blocks += [Heading("Model"), Code(run.summary)]
    drawn = learning_curves(
        run.epochs, ("loss", score.metric), run.loss, run.best_epoch
    )
    blocks += [Heading("Learning curves"), *drawn, Note(_remark(run))]
    if score.confusion is not None:
        blocks += [
            Heading("Confusion matrix of the test part"),
            *confusion(score.confusion, data.class_names),
        ]
        blocks += [Heading("Wrongly classified test examples"), *wrong_examples(score)]
    if score.pairs is not None:
        blocks += [Heading("Predictions on the test part"), *predictions(score.pairs)]
        blocks += [Heading("Largest errors"), *wrong_examples(score)]
    blocks += [Heading("Time"), Pairs(run.timing)]
    blocks += [
        Heading("How to do it again"),
        Code(run.command),
        Note(SAME_BITS),
        Pairs(_made_of(run)),
    ]
    return page(data.title, blocks, "A training run of Deltarule", style=style())


def _remark(run: RunReport) -> str:
    best = f" The weights are those of epoch {run.best_epoch}, the best on the validation part."
    return f"Loss: {run.loss.replace('_', ' ')}. {WHILE_LEARNING}{best if run.best_epoch is not None else ''}"


def _made_of(run: RunReport) -> list[tuple[str, str]]:
    return [("weights", f"SHA-256 {run.weights_sha256}"), *run.versions, *run.files]
