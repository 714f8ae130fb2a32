"""The page of a training run: everything in one file, every number from the run."""

from __future__ import annotations

import base64
import math
import re
import struct
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from deltarule import report
from deltarule.data import load
from deltarule.report import DataCard, Example, RunReport, Score, training_page
from deltarule.report.blocks import Confusion, Gallery, Photo
from deltarule.report.figures import confusion
from deltarule.report.run import confusion_matrix, listed, wilson_interval
from deltarule.train.monitoring.curves import curves

XHTML = "{http://www.w3.org/1999/xhtml}"


def _classification() -> RunReport:
    digits = load("digits")
    counts = np.diag([36] * 10)
    counts[3, 8] = 2
    wrong = (
        Example(5, "3", "8", 0.91, digits.inputs[5]),
        Example(7, "3", "8", 0.6, digits.inputs[7]),
    )
    parts = {"training": 1258, "validation": 179, "test": 362}
    epochs = (
        {"loss": 2.0, "accuracy": 0.3, "val_loss": 1.9, "val_accuracy": 0.4},
        {"loss": 0.01, "accuracy": 0.99},
    )
    return RunReport(
        card=DataCard(digits, 7, parts, {"test": tuple(counts.sum(axis=1).tolist())}),
        summary="input 8×8×1 <raw> & more",
        loss="cross_entropy",
        epochs=epochs,
        score=Score(
            "accuracy", 360 / 362, 362, 0.03, confusion=counts, wrong=wrong, n_wrong=2
        ),
        timing=(("training", "1.0 s"),),
        command="deltarule train digits --seed 7",
        weights_sha256="ab" * 32,
        versions=(("NumPy", "2.0"),),
        files=(("model", "digits.dr"),),
        best_epoch=2,
    )


def _regression() -> RunReport:
    diabetes = load("diabetes")
    pairs = np.stack([diabetes.targets[:40], diabetes.targets[:40] * 0.5 + 60], axis=1)
    score = Score(
        "r2",
        0.45,
        40,
        3000.0,
        pairs=pairs,
        wrong=(Example(3, "300", "210.0"),),
        n_wrong=40,
    )
    card = DataCard(diabetes, 0, {"training": 310, "test": 88})
    return replace(
        _classification(),
        card=card,
        score=score,
        loss="mean_squared_error",
        best_epoch=None,
    )


@pytest.mark.parametrize(
    "run", [_classification(), _regression()], ids=["classification", "regression"]
)
def test_page_is_one_well_formed_file_that_fetches_nothing(run: RunReport) -> None:
    text = training_page(run)
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert page.tag == f"{XHTML}html"
    addresses = [
        value
        for node in page.iter()
        for key, value in node.attrib.items()
        if key in {"src", "href"}
    ]
    assert all(address.startswith("data:") for address in addresses)
    assert (
        page.find(f".//{XHTML}script") is None
        and "url(" not in text
        and "@import" not in text
    )


def test_page_shows_data_score_model_and_how_to_do_it_again() -> None:
    text = training_page(_classification())
    for wanted in (
        "99.4 %",
        "of 362 test examples right",
        "training 1,258",
        "seed 7",
        "CC BY 4.0",
        "Alpaydin",
        "input 8×8×1 &lt;raw&gt; &amp; more",
        "deltarule train digits --seed 7",
        "ab" * 32,
        "epoch 2",
        "digits.dr",
        "NumPy",
    ):
        assert wanted in text, wanted
    assert (
        text.count("<svg") == 2 and "is 3, said 8" in text and "91.0 % · row 5" in text
    )


def test_learning_curves_are_those_of_a_history() -> None:
    run = _classification()
    page = training_page(run)
    for svg in curves(
        run.epochs,
        names=("loss", "accuracy"),
        unit="nats per example",
        size=(420.0, 260.0),
    ).svgs.values():
        assert svg in page
    assert (
        ">Accuracy</text>" in page
        and ">share right</text>" in page
        and 'stroke-dasharray="5 4"' in page
    )
    assert "No epoch was finished." in training_page(replace(run, epochs=()))
    assert "No epoch was finished." in training_page(
        replace(run, epochs=({"loss": math.nan},))
    )


def test_page_of_a_regression_has_predictions_and_no_confusion_matrix() -> None:
    text = training_page(_regression())
    assert "R² = 0.450" in text and "Largest errors" in text and "Confusion" not in text
    assert text.count('class="fill0"') >= 40
    assert "a number, 25 to 346, mean 152.1" in text


def test_page_without_a_mistake_says_so() -> None:
    run = _classification()
    score = replace(run.score, wrong=(), n_wrong=0, confusion=np.diag([36] * 10))
    assert "None: every test example was classified correctly." in training_page(
        replace(run, score=score)
    )


def test_table_data_lists_wrong_rows_as_a_table() -> None:
    run = _classification()
    iris = load("iris")
    score = Score(
        "accuracy",
        29 / 30,
        30,
        0.1,
        np.diag([10, 10, 10]),
        wrong=(Example(9, "setosa", "virginica", 0.7),),
    )
    page = training_page(
        replace(run, card=replace(run.card, data=iris), score=replace(score, n_wrong=4))
    )
    assert (
        "The 1 worst of 4" in page
        and "<td>virginica</td>" in page
        and "70.0 %" in page
        and "<img" not in page
    )


def test_pictures_hold_the_pixels() -> None:
    pixels = np.array([[[0.0], [2.0]], [[4.0], [1.0]]])
    html = Gallery([Photo(pixels, "caption", "small", 'told "so"')]).html()
    data = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    length = struct.unpack(">I", data[33:37])[0]
    rows = zlib.decompress(data[41 : 41 + length])
    assert rows == bytes([0, 0, 128, 0, 255, 64])
    assert 'alt="told &quot;so&quot;"' in html


def test_confusion_matrix_against_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    truth, said = generator.integers(0, 4, 200), generator.integers(0, 4, 200)
    assert np.array_equal(
        confusion_matrix(truth, said, 4), metrics.confusion_matrix(truth, said)
    )
    html = Confusion(confusion_matrix(truth, said, 4), list("abcd")).html()
    recalls = metrics.recall_score(truth, said, average=None)
    precisions = metrics.precision_score(truth, said, average=None)
    assert re.findall(r'class="edge">(\d+ %)', html) == [
        f"{100 * r:.0f} %" for r in recalls
    ]
    assert re.findall(r"<td>(\d+ %)", html) == [f"{100 * p:.0f} %" for p in precisions]


def test_many_classes_are_shown_by_their_largest_confusions() -> None:
    counts = np.diag([9] * 30)
    counts[4, 17], counts[2, 3] = 5, 2
    html = "".join(
        block.html() for block in confusion(counts, [f"class {i}" for i in range(30)])
    )
    assert html.index("class 17") < html.index("class 3<") and html.count("<tr>") == 3
    assert "36 %" in html and "18 %" in html


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (5, 5), (350, 360), (1, 2)])
def test_wilson_interval_against_scipy(successes: int, n: int) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx(
        (expected.low, expected.high), abs=1e-12
    )


def test_long_lists_of_names_are_cut() -> None:
    assert listed(tuple("abcdefghijkl")).endswith("k, l")
    assert listed(tuple("abcdefghijklmno")).endswith("j and 5 more")


def test_the_old_name_of_a_run_goes_on_working_for_one_release() -> None:
    with pytest.warns(
        DeprecationWarning, match="report.Run is now deltarule.report.RunReport"
    ):
        old = report.Run
    assert old is RunReport
