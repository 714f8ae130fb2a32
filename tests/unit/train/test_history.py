"""History: plain data both ways, figures, a page that stands alone."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from deltarule.errors import ArgumentError, CheckpointError
from deltarule.train import EarlyStopping, History, fit


@pytest.fixture
def history(network, blobs):
    return fit(
        network(),
        *blobs,
        loss="cross_entropy",
        epochs=4,
        batch_size=10,
        validation_split=0.2,
        verbose=0,
        metrics=["accuracy"],
        callbacks=[EarlyStopping(patience=9)],
    )


def test_plain_data_both_ways(history):
    again = History.from_dict(json.loads(json.dumps(history.to_dict())))
    assert (
        again == history and again.samples_per_second == history.samples_per_second > 0
    )
    with pytest.raises(ArgumentError, match="what to_dict returned"):
        History.from_dict({"los": 1})


def test_books(history):
    assert history.names == [
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
        "samples_per_second",
    ]
    assert (
        len(history["val_loss"]) == 4
        and history.steps == len(history.step_losses) == 20
    )
    assert history.samples == 4 * 42 and history.engine and history.compile_seconds > 0
    assert history.train_seconds == pytest.approx(sum(history["seconds"]))
    with pytest.raises(ArgumentError, match="one of loss"):
        history["los"]


@pytest.mark.notes("REG-14")
def test_figures(history, tmp_path):
    curves = history.plot()
    assert list(curves.svgs) == ["loss", "accuracy", "learning_rate", "step_losses"]
    texts = {
        name: "".join(ElementTree.fromstring(svg).itertext())
        for name, svg in curves.svgs.items()
    }
    for word in (
        "training",
        "validation",
        f"best, epoch {history.best_epoch}",
        "epoch",
    ):
        assert word in texts["loss"]
    assert (
        "best" not in texts["accuracy"] and "validation" not in texts["learning_rate"]
    )
    written = curves.save(tmp_path / "curves.html").read_text(encoding="utf-8")
    assert written.count("<svg") == 4 == curves._repr_html_().count("<svg")


def test_many_steps_are_averaged():
    losses = [float(i) for i in range(1, 2001)]
    curves = History(step_losses=losses).plot()
    assert (
        list(curves.svgs) == ["step_losses"]
        and "mean of 4" in curves.svgs["step_losses"]
    )
    assert len(curves.svgs["step_losses"]) < 60_000


def test_matplotlib_axes_are_drawn_on(history):
    class Axes:
        def __init__(self):
            self.drawn, self.words = [], []

        def plot(self, x, y, style, label):
            self.drawn.append((label, style, list(x), list(y)))

        def set_xlabel(self, text):
            self.words.append(text)

        set_ylabel = set_xlabel

        def legend(self):
            self.words.append("legend")

    axes = Axes()
    assert history.plot(axes, "accuracy") is axes
    assert axes.words == ["epoch", "accuracy", "legend"]
    assert axes.drawn[0] == ("training", "-", [1, 2, 3, 4], history["accuracy"])
    assert axes.drawn[1][:2] == ("validation", "--")
    with pytest.raises(ArgumentError):
        history.plot(axes, "precision")


def test_report_is_one_file_that_needs_no_network(history, tmp_path):
    path = history.report(tmp_path / "deep" / "report.html", "Blobs <3>")
    text = path.read_text(encoding="utf-8")
    assert "Blobs &lt;3&gt;" in text and text.count("<svg") == 4
    assert not re.search("https?://(?!www.w3.org)", text) and "<script" not in text
    assert "the best epoch was" in text and "val accuracy" in text
    with pytest.raises(CheckpointError, match="a place to write to"):
        history.report(path / "below")


def test_report_of_a_run_without_an_epoch(tmp_path):
    text = (
        History(interrupted=True, stop_reason="because")
        .report(tmp_path / "r.html")
        .read_text(encoding="utf-8")
    )
    assert "the run was interrupted" in text and "because" in text
