"""Tables through the command line: train, evaluate and predict, with names and cells that are hard to read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltarule.cli import main as entry
from deltarule.train import checkpoint

QUICK = ["--epochs", "2", "--device", "reference", "--seed", "0"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _write(name: str, rows: list[list[str]]) -> None:
    with Path(name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)


def _run(
    capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, Any], str]:
    status = entry.main([*words, "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else {}, said.err


CLASSES = [
    ("007", "b", "c"),
    ("1_0", "x", "y"),
    ("1e3", "1000", "z"),
    ("yes", "no", "maybe"),
    ("a=b", "=", "a"),
    ("0x1F", "31", "q"),
    ("Inf", "x", "y"),
    ("3", "3.0", "three"),
    ("٣", "b", "c"),
    (" é", "E", "é"),
]
CATEGORIES = [
    ("k=1", "k=2"),
    ("x>=3", "x<3"),
    ("https://a?b=c", "d"),
    ("a,b", 'say "x"'),
    ("=", "=="),
    ("1 000", "n/b"),
    ("007", "u"),
]


@pytest.mark.parametrize("classes", CLASSES, ids=str)
def test_any_text_can_be_a_class(
    capsys: pytest.CaptureFixture[str], classes: tuple[str, ...]
) -> None:
    _write("t.csv", [["a", "y"], *([str(i % 3), classes[i % 3]] for i in range(60))])
    assert (
        _run(capsys, "train", "t.csv", "--target", "y", "--categorical", "y", *QUICK)[0]
        == 0
    )
    status, found, _ = _run(
        capsys, "evaluate", "t.dr", "t.csv", "--all", "--output", "said.csv"
    )
    assert (
        status == 0
        and found["samples"] == 60
        and set(found["classes"]) == {name.strip() for name in classes}
    )
    with Path("said.csv").open(newline="", encoding="utf-8") as stream:
        truth = [row["truth"].removeprefix("'") for row in csv.DictReader(stream)]
    assert truth == [classes[i % 3].strip() for i in range(60)]


@pytest.mark.parametrize("categories", CATEGORIES, ids=str)
@pytest.mark.parametrize("column", ["c", "c=d", "=", "a b"])
def test_any_text_can_be_a_category(
    capsys: pytest.CaptureFixture[str], column: str, categories: tuple[str, str]
) -> None:
    _write(
        "t.csv", [[column, "y"], *([categories[i % 2], "uv"[i % 2]] for i in range(40))]
    )
    assert (
        _run(
            capsys,
            "train",
            "t.csv",
            "--target",
            "y",
            "--epochs",
            "40",
            "--seed",
            "0",
            "--device",
            "reference",
        )[0]
        == 0
    )
    status, found, _ = _run(capsys, "evaluate", "t.dr", "t.csv", "--all")
    assert status == 0 and found["accuracy"] == 1.0
    assert _run(capsys, "predict", "t.dr", "t.csv")[0] == 0
    with Path("t-predictions.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["prediction"] for row in csv.DictReader(stream)] == ["u", "v"] * 20
    status, _, told = (
        _write("u.csv", [["other"], ["1"]]),
        *_run(capsys, "predict", "t.dr", "u.csv"),
    )[1:]
    assert (
        status == 1 and f"expected a column {column!r}, got the columns other" in told
    )


def test_a_model_file_without_a_schema_still_loads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _write(
        "t.csv",
        [["c", "n", "y"], *([f"k={i % 2}", str(i), "uv"[i % 2]] for i in range(40))],
    )
    assert _run(capsys, "train", "t.csv", *QUICK)[0] == 0
    held = checkpoint.read(Path("t.dr"), "model", "checkpoint")
    about = {
        key: value
        for key, value in held.document["about"].items()
        if key not in {"schema", "drop_missing"}
    }
    checkpoint.write(
        Path("old.dr"), held.kind, held.arrays, {**held.document, "about": about}
    )
    new, old = (
        _run(capsys, "evaluate", name, "t.csv", "--all") for name in ("t.dr", "old.dr")
    )
    assert new == old and new[0] == 0
    assert _run(capsys, "predict", "old.dr", "t.csv")[0] == 0


def test_numeric_names_and_a_numeric_target(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 3)).round(3) * 10
    _write(
        "years.csv",
        [["1990", "2000", "2010"], *(list(map(str, row)) for row in values.tolist())],
    )
    status, found, told = _run(capsys, "train", "years.csv", *QUICK)
    assert (
        status == 0
        and found["test_samples"] == 12
        and "--no-header says otherwise" in told
    )
    status, _, told = _run(capsys, "train", "years.csv", "--header", *QUICK)
    assert status == 0 and told == ""
    assert _run(capsys, "predict", "years.dr", "years.csv")[1]["samples"] == 60
    status, found, told = _run(capsys, "train", "years.csv", "--no-header", *QUICK)
    assert status == 0 and found["test_samples"] == 12 and told == ""
    assert _run(capsys, "predict", "years.dr", "years.csv")[1]["samples"] == 61


def test_the_task_is_told_and_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    _write(
        "jobs.csv",
        [["gnp", "employed"], *([str(i), str(60_000 + 1000 * i)] for i in range(16))],
    )
    assert entry.main(["train", "jobs.csv", *QUICK]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "16 whole numbers in 16 rows read as numbers; --task classification makes them classes"
        in said
    )
    _write(
        "stars.csv", [["x", "stars"], *([str(i), str(1 + i % 5)] for i in range(60))]
    )
    assert "test_accuracy" in _run(capsys, "train", "stars.csv", *QUICK)[1]
    assert (
        "test_r2"
        in _run(capsys, "train", "stars.csv", "--task", "regression", *QUICK)[1]
    )
    assert (
        _run(capsys, "evaluate", "stars.dr", "stars.csv")[1]["samples"] == 12
    )  # the test part, found again


def test_columns_are_left_out_and_read_as_categories(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        [f"p {i}", str(10 * (i % 3)), "" if i == 7 else str(i), "uv"[i % 2]]
        for i in range(60)
    ]
    _write("t.csv", [["who, really", "zip", "n", "y"], *rows])
    status, _, told = _run(capsys, "train", "t.csv", "--drop-missing", *QUICK)
    assert status == 0
    assert """--categorical '"who, really"' makes it a feature""" in told
    status, found, told = _run(
        capsys,
        "train",
        "t.csv",
        "--drop-missing",
        "--ignore",
        '"who, really"',
        "--categorical",
        "zip",
        *QUICK,
    )
    assert status == 0 and told == ""
    assert (
        "--ignore &#x27;&quot;who, really&quot;&#x27; --categorical zip --drop-missing"
        in Path(found["report"]).read_text(encoding="utf-8")
    )
    assert _run(capsys, "evaluate", "t.dr", "t.csv", "--all")[1]["samples"] == 59
    status, found, told = _run(capsys, "predict", "t.dr", "t.csv")
    assert status == 0 and found["samples"] == 60
    assert "column 'n': 1 missing cell, where the training data has none" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["iris", "--task", "regression"],
            "--task: expected a file, got the bundled data set 'iris'",
        ),
        (
            ["iris", "--ignore", "x"],
            "--ignore: expected a table, got the bundled data set 'iris'",
        ),
        (
            ["a.npz", "--no-header"],
            "--no-header: expected a table, got arrays",
        ),
        (
            ["a.npz", "--drop-missing"],
            "--drop-missing: expected a table, got arrays",
        ),
        (["t.csv", "--ignore", "z"], "expected a column 'z', got the columns a, y"),
        (
            ["t.csv", "--categorical", "z"],
            "expected a column 'z', got the columns a, y",
        ),
        (["t.csv", "--task", "regression"], "expected a number in column 'y', got 'u'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    np.savez("a.npz", X=np.zeros((20, 3)), y=np.arange(20) % 2)
    _write("t.csv", [["a", "y"], *([str(i), "uv"[i % 2]] for i in range(20))])
    for command in ("train", "summary"):
        status, _, said = _run(capsys, command, *words)
        assert status == 1 and told in said
    assert _run(capsys, "train", "a.npz", "--task", "regression", *QUICK)[0] == 0
