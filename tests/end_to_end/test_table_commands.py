"""Tables on the command line: options for types, files by a pattern, SQL, columns kept beside the predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from deltarule import data
from deltarule.cli import main as entry

QUICK = ["--epochs", "1", "--device", "reference"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = []
    for i in random.permutation(60):
        day = f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.2020"
        size, colour = ("" if i % 5 else "3,5"), ("rot" if i % 2 else "blau")
        rows.append(f"A{i};{day};{i},50 €;{colour};{size};{i % 2}")
    head = "id;day;price;colour;size;y"
    Path("t.csv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    Path("u1.csv").write_text("\n".join([head, *rows[:30]]), encoding="utf-8")
    Path("u2.csv").write_text("\n".join([head, *rows[30:]]), encoding="utf-8")


def _run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = entry.main(list(words))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_table_is_trained_evaluated_and_predicted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = _run(capsys, "train", "t.csv", *QUICK)
    assert status == 0 and "--categorical id makes it a feature" in err
    said = " ".join(out.split())
    assert "day (date 2020-01-01 … 2020-12-" in said
    assert "price (number 0.5 … 59.5 €)" in said
    assert "size (number 3.5 … 3.5, some missing)" in said
    assert _run(capsys, "evaluate", "t.dr", "t.csv")[0] == 0
    assert _run(capsys, "predict", "t.dr", "t.csv", "--keep", "id,day")[0] == 0
    with Path("t-predictions.csv").open(newline="", encoding="utf-8") as stream:
        kept = [(row["id"], row["day"]) for row in csv.DictReader(stream)]
    columns = data.read_columns("t.csv", frozenset({"id", "day"}))
    assert kept == list(zip(columns["id"], columns["day"], strict=True))
    output = ["--output", "p.npz", "--keep", "id"]
    assert _run(capsys, "predict", "t.dr", "t.csv", *output)[0] == 0
    with np.load("p.npz") as arrays:
        assert arrays["id"].tolist() == columns["id"]


def test_columns_to_keep_must_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "train", "t.csv", *QUICK)[0] == 0
    status, _, err = _run(capsys, "predict", "t.dr", "t.csv", "--keep", "nope")
    assert status == 1 and "expected a column 'nope'" in err
    assert not Path("t-predictions.csv").exists()


def test_types_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--date", "day=%d.%m.%Y", "--text", "id", "--categorical", "size"]
    status, out, _ = _run(capsys, "train", "t.csv", *words, *QUICK)
    assert status == 0
    said = " ".join(out.split())
    assert "id (text words in 64 buckets)" in said and "size (category 3,5" in said
    status, _, err = _run(capsys, "train", "t.csv", "--numeric", "colour", *QUICK)
    assert status == 1 and "column 'colour': expected numbers" in err
    status, _, err = _run(capsys, "train", "t.csv", "--date", "colour", *QUICK)
    assert status == 1 and "column 'colour': expected dates" in err
    status, _, err = _run(capsys, "train", "t.csv", "--separator", "ab", *QUICK)
    assert status == 1 and "--separator: expected one character, or tab" in err


def test_several_files_and_queries(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _run(capsys, "train", "u*.csv", "--ignore", "id", *QUICK)
    assert status == 0 and "60 rows of u*.csv" in out
    query = "SELECT price, colour, y FROM 't.csv' WHERE y IS NOT NULL"
    status, out, _ = _run(
        capsys, "train", "--sql", query, "--target", "y", *QUICK, "--json"
    )
    assert status == 0 and json.loads(out)["checkpoint"] == "query.dr"
    report = Path("query-report.html").read_text(encoding="utf-8")
    assert "deltarule train --sql &#x27;SELECT price" in report
    status, _, err = _run(capsys, "train", "t.csv", "--sql", query)
    assert (
        status == 1 and "expected a data set, file or folder, or --sql, got both" in err
    )
    status, _, err = _run(capsys, "train", "--sql", "SELECT * FROM 'no.csv'")
    assert status == 1 and "query: expected a valid SQL query" in err


def test_what_prediction_meets_for_the_first_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run(capsys, "train", "t.csv", *QUICK)[0] == 0
    Path("new.csv").write_text(
        "colour,price,day,size,more\ngrün,,01.02.2021,4.5,x\nrot,7,,,y\n",
        encoding="utf-8",
    )
    status, _, err = _run(capsys, "predict", "t.dr", "new.csv")
    said = " ".join(err.split())
    assert status == 0
    assert (
        "line 2, column 'colour': expected one of blau, rot, got grün; 1 cell read as no category"
        in said
    )
    assert "column 'price': 1 missing cell" in said
