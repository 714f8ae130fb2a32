"""The figures of a training report: learning curves, confusion matrices, wrong predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deltarule.render.html import Block, Table
from deltarule.render.numbers import number, percent
from deltarule.render.svg import Series, scatter
from deltarule.report.blocks import (
    Array,
    Charts,
    Confusion,
    Gallery,
    Note,
    Photo,
    share,
)
from deltarule.report.run import Example, Score
from deltarule.train.monitoring.curves import curves, series_of

MAX_CLASSES = 20  # of a confusion matrix; of more classes the confusions are listed
_WIDTH, _HEIGHT = 420.0, 260.0
_UNITS = {
    "cross_entropy": "nats per example",
    "mean_squared_error": "squared units of the target",
}


def learning_curves(
    epochs: Sequence[Mapping[str, float]],
    names: Sequence[str],
    loss: str,
    best_epoch: int | None = None,
) -> list[Block]:
    """Return a chart of each quantity over epochs, for training and validation.

    Args:
        epochs: Metrics of each epoch.
        names: The quantities, "loss" and metrics.
        loss: Name of the loss, for the unit.
        best_epoch: Epoch to mark.

    >>> learning_curves([], ("loss",), "cross_entropy")
    [Note(text='No epoch was finished.')]
    """
    known = [
        name
        for name in names
        if any(np.isfinite(one.y).any() for one in series_of(epochs, name))
    ]
    unit = _UNITS.get(loss, "per example")
    drawn = curves(
        epochs, (), best_epoch, names=known, unit=unit, size=(_WIDTH, _HEIGHT)
    )
    if not known:
        return [Note("No epoch was finished.")]
    return [Charts(list(drawn.svgs.values()))]


def confusion(counts: Array, classes: Sequence[str], most: int = 15) -> list[Block]:
    """Return the confusion matrix, or a table of the most frequent confusions if there are many classes.

    >>> len(confusion(np.array([[3, 1], [0, 2]]), ["cat", "dog"]))
    2
    """
    if len(classes) <= MAX_CLASSES:
        told = (
            "Rows are the true classes, columns what the model said. “Found” is the share of a class that was "
            "recognised (recall), “right” the share of such answers that were true (precision)."
        )
        return [Confusion(counts, classes), Note(told)]
    off = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    found = [divmod(int(k), len(counts)) for k in order if off.flat[k] > 0]
    rows = [
        (
            classes[i],
            classes[j],
            f"{counts[i, j]:,}",
            share(counts[i, j], counts[i].sum()),
        )
        for i, j in found
    ]
    return [Table(rows, ("true class", "taken for", "times", "of the class"), "<<>>")]


def wrong_examples(score: Score) -> list[Block]:
    """Return the wrong predictions, worst first: images if there are any, else a table.

    >>> wrong_examples(Score("accuracy", 1.0, 10, 0.0))
    [Note(text='None: every test example was classified correctly.')]
    """
    if score.metric != "accuracy":
        rows = [(e.row, e.truth, e.said) for e in score.wrong]
        told = f"The {len(rows)} test examples with the largest errors. Rows count from 0 in the data."
        return [Note(told), Table(rows, ("row", "truth", "prediction"), ">>>")]
    if not score.wrong:
        return [Note("None: every test example was classified correctly.")]
    shown = len(score.wrong)
    many = (
        f"The {shown} worst of {score.n_wrong}"
        if shown < score.n_wrong
        else f"All {shown}"
    )
    told_all = Note(f"{many}, the most confident first. Rows count from 0 in the data.")
    photos = [_photo(example) for example in score.wrong if example.picture is not None]
    if photos:
        return [told_all, Gallery(photos)]
    table = [
        (e.row, e.truth, e.said, percent(e.probability or 0.0, 1)) for e in score.wrong
    ]
    return [
        told_all,
        Table(table, ("row", "truth", "the model said", "with probability"), "><<>"),
    ]


def _photo(example: Example) -> Photo:
    sure = percent(example.probability or 0.0, 1)
    told = f"row {example.row}: true class {example.truth}, the model said {example.said} with probability {sure}"
    caption = f"is {example.truth}, said {example.said}"
    return Photo(
        np.asarray(example.picture), caption, f"{sure} · row {example.row}", told
    )


def predictions(pairs: Array) -> list[Block]:
    """Return a scatter plot of predictions over true values, with the diagonal.

    >>> len(predictions(np.array([[1.0, 1.1], [2.0, 1.9]])))
    2
    """
    truth, said = pairs[:, 0].tolist(), pairs[:, 1].tolist()
    error = float(np.abs(pairs[:, 0] - pairs[:, 1]).mean())
    picture = scatter(
        [Series("", truth, said)],
        "Prediction over truth",
        "truth",
        "prediction",
        _WIDTH,
        360,
        diagonal=True,
    )
    return [
        Charts([picture]),
        Note(f"Dashed: prediction = truth. Mean absolute error {number(error, 3)}."),
    ]
