"""Names from files that try to steer a terminal, and cells that try to be formulas."""

from __future__ import annotations

import csv
import json
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deltarule as dr
from deltarule import data
from deltarule.cli import main as entry
from deltarule.cli.outputs.answers import harmless
from deltarule.errors import DataWarning, DeltaruleError
from deltarule.render.html import Paragraph
from deltarule.visible import shown, visible

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\u202e89\u202c",
    "\u2066x\u2069",
    "\x08\x08",
    "a\rb",
    "\x00",
    "\x7f",
    "\u200fא",
    "\u2028",
    "\ufeffz",
    "\U000e0041",
    "two\nlines",
]


def _harmless(text: str) -> bool:
    return all(
        c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for c in text
    )


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hidden_characters_become_visible(name: str) -> None:
    assert (
        _harmless(visible(name)) and _harmless(shown(name)) and "\n" not in shown(name)
    )
    error = DeltaruleError(name, expected=name, got=name, hint=name)
    assert _harmless(str(error))
    assert (
        "\u202e" not in Paragraph(name).html() and "\x1b" not in Paragraph(name).html()
    )


@given(st.text())
def test_plain_text_stays_and_escapes_are_python_s(text: str) -> None:
    assert _harmless(visible(text).replace("\u200c", "").replace("\u200d", ""))
    if _harmless(text):
        assert visible(text) == text
    assert visible(visible(text)) == visible(text)


def test_words_of_people_stay() -> None:
    for text in ("naïve 猫 ½ δ₂", "नमस्ते", "می\u200cخواهم", "👩\u200d🔬", "a\u00a0b"):
        assert shown(text) == text


@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if name != "\x00"], ids=ascii
)
def test_commands_show_names_without_obeying_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        [f"col{name}umn", f"cat{name}", "y"],
        *([str(i), f"k{name}{i % 2}", f"c{name}{i % 2}"] for i in range(40)),
    ]
    file = f"t{shown(name)}.csv".replace("\\", "_") if "/" in name else f"t{name}.csv"
    with Path(file).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    quick = ["--epochs", "1", "--device", "reference"]
    for words, status in (
        (["train", file, *quick, "--checkpoint", "m.dr"], 0),
        (["evaluate", "m.dr", file, "--all"], 0),
        (["predict", "m.dr", file], 0),
        (["summary", file], 0),
        (["train", file, "--target", f"no{name}ne"], 1),
        (["train", f"{name}.parquet"], 1),
        (["train", file, f"--{name}"], 2),
        ([f"x{name}"], 2),
    ):
        assert entry.main(words) == status
        said = capsys.readouterr()
        assert _harmless(said.out) and _harmless(said.err), words
        assert all(
            not line.startswith("lines") for line in (said.out + said.err).splitlines()
        ), said
    assert entry.main(["evaluate", "m.dr", file, "--all", "--json"]) == 0
    printed = capsys.readouterr().out
    assert _harmless(printed) and json.loads(printed)["classes"] == sorted(
        f"c{name}{i}".strip() for i in range(2)
    )


def test_warnings_and_errors_of_the_library_show_names_too(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "\x1b[2J,x,y\n" + "".join(f"p{i}\u202e,{i},{i % 2}\n" for i in range(60)),
        encoding="utf-8",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        data.read_table(path)
    assert caught and all(_harmless(str(one.message)) for one in caught)
    with pytest.raises(DeltaruleError) as refused:
        data.read_table(path, target="\x1b[31m")
    assert _harmless(str(refused.value))
    x = dr.symbol("\x1b[2Jx", (3,))
    with pytest.raises(DeltaruleError) as refused:
        _ = x @ dr.symbol("y\u202e", (4,))
    assert _harmless(str(refused.value))


FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+cmd",
    "-2+3",
    "@SUM(A1)",
    "\tx",
    "=1",
    "＝1+1",
    "--",
]
NUMBERS = ["-1.5", "+3", "1e-5", "-0", "7"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_disarmed(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", [*NUMBERS, "rose", "a=b", "", " =x", "p(=1)"])
def test_other_cells_stay(text: str) -> None:
    assert harmless(text) == text


def test_predictions_hold_no_formula_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    classes = ["=1+1", "@x", "-1", "rose"]
    with Path("t.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(
            [["a", "y"], *([str(i % 4), classes[i % 4]] for i in range(80))]
        )
    assert (
        entry.main(
            [
                "train",
                "t.csv",
                "--epochs",
                "60",
                "--device",
                "reference",
                "--checkpoint",
                "m.dr",
            ]
        )
        == 0
    )
    for words, cell in (([], "'=1+1"), (["--formulas"], "=1+1")):
        for command in ("predict", "evaluate"):
            assert (
                entry.main([command, "m.dr", "t.csv", "--output", "said.csv", *words])
                == 0
            )
            with Path("said.csv").open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            found = {row["prediction"] for row in rows} | {
                row.get("truth", cell) for row in rows
            }
            assert cell in found and {"-1", "rose"} <= found
            np.testing.assert_allclose(
                sum(float(rows[0][f"p({name})"]) for name in classes), 1, rtol=1e-4
            )
    capsys.readouterr()
