"""Every command where the output is no UTF-8: nothing is lost or broken, JSON stays JSON, files are UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deltarule.cli import main as entry
from deltarule.cli.catalogue import COMMANDS

ENCODINGS = ["cp1252", "cp437", "latin-1", "ascii"]
LOSS = """
import deltarule as dr
from deltarule import nn
x, y = dr.symbol("x", (3,)), dr.symbol("y", (2,))
W, b = dr.symbol("W_1", (2, 3)), dr.symbol("b_1", (2,))
loss = ((nn.sigmoid(W @ x + b) - y) ** 2).sum() / 2
z = W @ x + b
"""
LINES = {
    "train": "train täble.csv --epochs 2 --device reference --checkpoint m.dr --report r.html",
    "evaluate": "evaluate m.dr täble.csv --all --output said.csv",
    "predict": "predict m.dr täble.csv",
    "summary": "summary m.dr --memory",
    "derive": "derive net.py:loss --html d.html --latex d.tex",
    "derive a vector": "derive net.py:z --wrt x",
    "grade": "grade net.py:loss W_1 δ₁xᵀ",
    "exam": "exam networks --key --hints --html e.html --latex e.tex",
    "exam numbers": "exam optimizers --seed 3 --key",
    "export": "export m.dr --c m.c",
    "bench": "bench W1 --seconds 0 --threads 1",
    "error": "train täble.csv --target größe",
    "usage": "train täble.csv --größe",
    "no command": "größe",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encodings")
    rows = "".join(
        f"{i},{'猫' if i % 2 else '犬'},{['α→β', 'naïve', '½'][i % 3]}\n"
        for i in range(60)
    )
    (folder / "täble.csv").write_text("größe,art,klasse\n" + rows, encoding="utf-8")
    (folder / "net.py").write_text(LOSS, encoding="utf-8")
    return folder


def _under(
    encoding: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Run a command with streams of an encoding and return its status and what it said, decoded."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")
        for _ in range(2)
    )
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        patched.setattr(sys, "stderr", err)
        status = entry.main(words)
        out.flush()
        err.flush()
    said = [stream.buffer.getvalue().decode(encoding) for stream in (out, err)]  # type: ignore[attr-defined]
    return status, said[0], said[1]


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    folder = Path.cwd()
    os.chdir(place)
    try:
        assert entry.main([*LINES["train"].split(), "--json"]) == 0
    finally:
        os.chdir(folder)
    return place


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """What was said in UTF-8, by command line."""
    return {}


def _once(
    known: dict[str, Any], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    key = " ".join(words)
    if key not in known:
        known[key] = _under("utf-8", words, monkeypatch)
    found: tuple[int, str, str] = known[key]
    return found


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", LINES)
def test_commands_speak_every_encoding(
    trained: Path,
    known: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    encoding: str,
) -> None:
    monkeypatch.chdir(trained)
    words = LINES[name].split()
    right = _once(known, words, monkeypatch)
    status, out, err = _under(encoding, words, monkeypatch)
    assert status == right[0]
    for said, wanted in ((out, right[1]), (err, right[2])):
        assert "?" not in said or "?" in wanted
        assert len(said.splitlines()) == len(wanted.splitlines())
        assert "Traceback" not in said
    assert (
        "\\u2" not in out
    )  # what the package writes itself is spelled; \u732b is 猫 of the data


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize(
    "name", [name for name in LINES if name not in {"error", "usage", "no command"}]
)
def test_json_is_the_same_in_every_encoding(
    trained: Path,
    known: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    encoding: str,
) -> None:
    monkeypatch.chdir(trained)
    words = [*LINES[name].split(), "--json"]
    found, right = (
        json.loads(said[1])
        for said in (
            _under(encoding, words, monkeypatch),
            _once(known, words, monkeypatch),
        )
    )
    assert _shape(found) == _shape(right)
    if name in {"evaluate", "derive", "grade", "exam"}:
        assert found == right


def _shape(value: object) -> object:
    """Return keys and kinds: times differ from run to run."""
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return (
        [_shape(item) for item in value]
        if isinstance(value, list)
        else type(value).__name__
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_speaks_every_encoding(
    monkeypatch: pytest.MonkeyPatch, command: str, encoding: str
) -> None:
    words = [*command.split(), "--help"]
    right, found = (_under(one, words, monkeypatch) for one in ("utf-8", encoding))
    assert found[0] == right[0] == 0
    assert len(found[1].splitlines()) == len(right[1].splitlines())


def test_files_are_utf8_whatever_the_output(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    for name in ("train", "evaluate", "predict", "derive", "exam", "export"):
        assert _under("ascii", LINES[name].split(), monkeypatch)[0] == 0
    texts = {
        name: (trained / name).read_text(encoding="utf-8")
        for name in ("r.html", "said.csv", "d.html", "e.tex")
    }
    assert (
        "α→β" in texts["r.html"]
        and "α→β" in texts["said.csv"]
        and "δ" in texts["d.html"]
    )
    assert "prediction,truth,p(naïve),p(½),p(α→β)" in texts["said.csv"]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict"])
def test_a_process_under_another_encoding(trained: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    words = [sys.executable, "-m", "deltarule", *LINES["train"].split()]
    done = subprocess.run(
        words, cwd=trained, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode(encoding.partition(":")[0])
    assert (
        "Standardize" in said
        and "2->64" in said.replace("3->64", "2->64")
        and "test accuracy" in said
    )


def test_fitting_in_python_needs_no_utf8(trained: Path) -> None:
    code = """
import numpy as np
from deltarule import nn
eye = np.eye(2, dtype="f4")
nn.Sequential(nn.Linear(2, 2)).fit(eye * 1e-9, eye * 1e-9, loss="mean_squared_error", epochs=1, device="reference")
"""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        check=False,
        cwd=trained,
    )
    assert done.returncode == 0, done.stderr
    assert b"epoch 1/1  loss" in done.stdout
