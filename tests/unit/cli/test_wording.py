"""What the library refuses is told in flags: by texts of its own, and through the commands."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

from deltarule.cli import main as entry
from deltarule.cli.catalogue import COMMANDS
from deltarule.cli.outputs.wording import flags_of, in_flags, rewrite_in_flags
from deltarule.errors import ArgumentError, DeltaruleError

TRAIN = flags_of(importlib.import_module(COMMANDS["train"].module).command)


def test_flags_are_those_of_the_command() -> None:
    assert (
        TRAIN["batch_size"] == "--batch-size"
        and TRAIN["device"] == "--device"
        and "name" not in TRAIN
    )
    assert flags_of(None) == {}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ArgumentError("AdamW learning_rate", expected="a number"),
            "--learning-rate: expected a number.",
        ),
        (ArgumentError("device", got="'gpu'"), "--device: got 'gpu'."),
        (
            ArgumentError("fit batch_size", hint="Use batch_size=32."),
            "--batch-size.\n  Use --batch-size 32.",
        ),
        (
            DeltaruleError("fit resume", hint='Add checkpoint="run.dr".'),
            "--resume.\n  Add --checkpoint run.dr.",
        ),
        (
            DeltaruleError("a set of seed", expected="words"),
            "a set of seed: expected words.",
        ),
        (
            DeltaruleError("x", hint="the seed of my_batch_size or a.batch_size"),
            "x.\n  the seed of my_batch_size or a.batch_size",
        ),
        (DeltaruleError("x", hint="Write min_epochs=3."), "x.\n  Write min_epochs=3."),
    ],
)
def test_arguments_become_flags_and_other_words_stay(
    error: DeltaruleError, told: str
) -> None:
    rewrite_in_flags(error, TRAIN)
    assert str(error) == told


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good and bad data, and a model of the good ones."""
    folder = tmp_path_factory.mktemp("wording")
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    np.savez(folder / "good.npz", x=x, y=y)
    np.savez(folder / "column.npz", x=x, y=y[:, None])
    np.savez(folder / "short.npz", x=x, y=y[:30])
    np.savez(folder / "wide.npz", x=x, y=x[:, :2])
    (folder / "words.csv").write_text("a,b,c\n" + "1,2,3.5\n2,3,v\n" * 10)
    assert (
        _run(
            folder,
            "train good.npz --epochs 1 --checkpoint good.dr --report r.html --device reference",
        )
        == 0
    )
    return folder


def _run(folder: Path, line: str) -> int:
    paths = [
        str(folder / word) if "." in word and not word[0].isdigit() else word
        for word in line.split()
    ]
    return entry.main(paths)


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        (
            "train good.npz --learning-rate nan",
            2,
            "'--learning-rate': nan is not a finite number.",
        ),
        (
            "train good.npz --learning-rate -1",
            2,
            "'--learning-rate': -1.0 is not in the range x>0.0.",
        ),
        (
            "train good.npz --device gpu --checkpoint a.dr",
            1,
            "error: --device: expected 'cpu' or 'reference'",
        ),
        (
            "evaluate good.dr good.npz --device gpu",
            1,
            "error: --device: expected 'cpu' or 'reference'",
        ),
        (
            "train good.npz --learning-rate 1e30 --checkpoint a.dr",
            1,
            "\n  Lower --learning-rate, or scale the inputs",
        ),
        ("train good.npz --resume --checkpoint b.dr", 1, "leave --resume out."),
        (
            "train good.npz --resume --checkpoint good.dr --seed 3 --epochs 2",
            1,
            "the same --seed as in the file (0)",
        ),
        (
            "train good.npz --resume --checkpoint good.dr --batch-size 3 --epochs 2",
            1,
            "only --epochs may differ); for",
        ),
        (
            "train words.csv --task regression",
            1,
            "or read the column as categories: --categorical c.",
        ),
        (
            "train wide.npz",
            1,
            "one for each of 40 examples, got an array of shape (40, 2).\n  Choose an array with one",
        ),
        (
            "evaluate good.dr wide.npz",
            1,
            "one for each of 40 examples, got an array of shape (40, 2).",
        ),
        (
            "evaluate good.dr short.npz",
            1,
            "one for each of 40 examples, got an array of shape (30,).",
        ),
        (
            "evaluate good.dr good.npz --target q",
            1,
            "expected arrays inputs and q (or X for inputs), got x, y.",
        ),
    ],
)
def test_wrong_inputs_are_told_in_flags(
    place: Path, line: str, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    line += " --report r.html" if line.startswith("train") else ""
    device = (
        " --device reference"
        if line.startswith("train") and "--device" not in line
        else ""
    )
    assert _run(place, line + device) == status
    said = capsys.readouterr().err
    assert (
        told in said
        and "Traceback" not in said
        and not any(f"{name}=" in said for name in TRAIN)
    )


def test_a_column_of_answers_is_as_good_as_a_list(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = []
    for file in ("good.npz", "column.npz"):
        assert _run(place, f"evaluate good.dr {file} --all --json") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] and '"samples": 40' in answers[0]


def _library_texts() -> list[tuple[str, str]]:
    """Return every text of ``deltarule.data`` that tells people what to write, with the file that holds it."""
    folder = Path(importlib.import_module("deltarule.data").__file__ or "").parent
    found = []
    for path in sorted(folder.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        parts = {
            part
            for node in nodes
            if isinstance(node, ast.JoinedStr)
            for part in node.values
        }
        for node in nodes:
            text = "" if node in parts else _constant(node)
            if re.search(
                r"\b(ignore|header|task|categorical|drop_missing|size)=", text
            ) and not text.count("\n"):
                found.append((path.name, text))
    return found


def _constant(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [
            str(part.value) if isinstance(part, ast.Constant) else ""
            for part in node.values
        ]
        filled = [
            "True"
            if before.endswith("header=")
            else "(3, 4)"
            if before.endswith("size=")
            else "'a'"
            for before in ["", *parts]
        ]
        return "".join(
            part or value for part, value in zip(parts, filled, strict=False)
        )
    return ""


_TABLE_FILES = {
    "csv_files.py",
    "column_types.py",
    "encodings.py",
    "schema.py",
    "image_folder.py",
}


@pytest.mark.parametrize("command", ["train", "summary", "predict", "evaluate"])
def test_what_reading_a_table_advises_is_told_in_flags(command: str) -> None:
    flags = flags_of(importlib.import_module(COMMANDS[command].module).command)
    texts = [
        text
        for file, text in _library_texts()
        if file in _TABLE_FILES and not text.startswith("read_csv(")
    ]
    if command not in {
        "train",
        "summary",
    }:  # where a schema is known, nothing is asked about
        texts = [
            text
            for text in texts
            if "first line" not in text and "leave it out" not in text
        ]
    assert len(texts) >= 3
    for text in texts:
        assert not re.search(r"\b[a-z_]+=['\[(TF]", in_flags(text, flags)), in_flags(
            text, flags
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("with ignore=['a b']", "with --ignore 'a b'"),
        ("with ignore=['it\\'s', 'b']", """with --ignore 'it'"'"'s,b'"""),
        ("with ignore=['a,b']", """with --ignore '"a,b"'"""),
        ("header=True or header=False", "--header or --no-header"),
        ('task="regression"', "--task regression"),
        ("drop_missing=True.", "--drop-missing."),
        ("header=1", "--header 1"),
    ],
)
def test_lists_and_answers_become_flags(text: str, told: str) -> None:
    assert in_flags(text, TRAIN) == told
