"""What people see in terminals of 80, 100 and 140 columns: nothing is broken in mid-word by the terminal itself."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from deltarule.cli import main as entry
from deltarule.cli.catalogue import COMMANDS
from deltarule.cli.outputs.console import Console
from deltarule.render.table import width
from deltarule.train.many_models.progress import JointProgress
from deltarule.train.monitoring.progress import epoch_line, live_line

WIDTHS = [80, 100, 140]
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def _in_terminal(columns: int, words: list[str], folder: Path) -> list[str]:
    """Run the program in a pseudo-terminal and return the lines that it wrote, live lines among them."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in {"COLUMNS", "LINES", "NO_COLOR"}
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "deltarule", *words],
        cwd=folder,
        stdin=child,
        stdout=child,
        stderr=child,
        env={**environment, "TERM": "xterm"},
        close_fds=True,
    )
    os.close(child)
    said = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(parent)
    assert process.wait(timeout=60) == 0, said.decode(errors="replace")
    return re.split(r"[\r\n]+", _CONTROL.sub("", said.decode("utf-8")))


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_training_fits(tmp_path: Path, columns: int) -> None:
    lines = _in_terminal(columns, ["train", "digits", "--epochs", "2"], tmp_path)
    text = "\n".join(lines)
    assert all(width(line) <= columns for line in lines), max(lines, key=width)
    assert (
        len([line for line in lines if line.startswith("epoch") and "val" in line]) == 2
    )
    assert (
        "(8 − 3 + 2·1)/1 + 1 = 8" in text
        and "(3·3·16 + 1)·32" in text
        and "4640" in text
    )
    assert (
        "1,797 images of 8×8×1 (height × width × channels)" in text
        and "test accuracy" in text
    )
    live = [line for line in lines if "━" in line or " steps" in line]
    assert all(
        re.match(r"epoch \d/2  [\d.]+ .{0,20}left", line) or "left" not in line
        for line in live
    )


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    columns: int,
) -> None:

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert entry.main([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(width(line) <= columns for line in lines), max(lines, key=width)
    examples = lines[lines.index("Examples:") + 1 :]
    assert [line for line in examples if line.startswith("  deltarule")]


def test_help_fits_a_real_terminal(tmp_path: Path) -> None:
    lines = _in_terminal(80, ["train", "--help"], tmp_path)
    assert all(width(line) <= 80 for line in lines) and "Examples:" in lines


NETWORK = """
import deltarule as dr
from deltarule import nn
x, y = dr.symbol("x", (3,)), dr.symbol("y", (1,))
W1, b1, W2, b2 = dr.symbol("W_1", (2, 3)), dr.symbol("b_1", (2,)), dr.symbol("W_2", (1, 2)), dr.symbol("b_2", (1,))
guess = nn.sigmoid(W2 @ nn.relu(W1 @ x + b1) + b2)
loss = -(y * dr.log(guess) + (1 - y) * dr.log(1 - guess)).sum()
"""


@pytest.mark.parametrize("columns", WIDTHS)
def test_what_other_commands_say_fits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(columns))
    Path("net.py").write_text(NETWORK, encoding="utf-8")
    names = ",".join(f"a feature with a long name {i}" for i in range(9))
    rows = [
        [*map(str, range(i, i + 9)), f"class number {i % 3} and its name is long"]
        for i in range(60)
    ]
    lines = "".join(",".join(row) + "\n" for row in rows)
    Path("t.csv").write_text(f"{names},kind\n{lines}", encoding="utf-8")
    for words, status in (
        ("train t.csv --epochs 1 --device reference", 0),
        ("evaluate t.dr t.csv --all", 0),
        ("predict t.dr t.csv", 0),
        ("summary digits --memory", 0),
        ("derive net.py:loss", 0),
        ("grade net.py:loss W_1 x", 1),
        ("exam networks --key --hints", 0),
        ("exam gradients --key", 0),
        ("bench W1 --seconds 0 --threads 1", 0),
    ):
        assert entry.main(words.split()) == status
        for line in capsys.readouterr().out.splitlines():
            assert width(line) <= columns or line.startswith("epoch"), (words, line)


def test_commands_to_be_copied_stay_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    line = "go on with: deltarule train digits --seed 0 --checkpoint run.dr --resume"
    Console().say(line, whole=True)
    Console().say(line)
    assert capsys.readouterr().out.splitlines() == [
        line,
        "go on with: deltarule train digits",
        "    --seed 0 --checkpoint run.dr",
        "    --resume",
    ]


LOGS = {
    "loss": 1.2947,
    "accuracy": 0.5986,
    "val_loss": 0.5366,
    "val_accuracy": 0.8778,
    "learning_rate": 0.002,
    "seconds": 1.0,
}
HEAD = "epoch  1/20  loss 1.2947"


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            None,
            "  accuracy 0.5986  val_loss 0.5366  val_accuracy 0.8778  rate 0.002  24,200 samples/s",
        ),
        (
            110,
            "  accuracy 0.5986  val_loss 0.5366  val_accuracy 0.8778  rate 0.002  24,200 samples/s",
        ),
        (100, " val 0.5366  accuracy 0.5986 val 0.8778  rate 0.002  24,200 samples/s"),
        (80, " val 0.5366  accuracy 0.5986 val 0.8778  rate 0.002"),
        (65, " val 0.5366  accuracy 0.5986 val 0.8778"),
        (40, " val 0.5366\n    accuracy 0.5986 val 0.8778"),
    ],
)
def test_the_line_of_an_epoch_gives_way_in_order(
    columns: int | None, told: str
) -> None:
    assert epoch_line(1, 20, LOGS, 24_200.0, columns) == HEAD + told


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 140, None])
@pytest.mark.parametrize("left", [None, 0.5, 75.0, 4000.0, 90_061.0])
def test_live_lines_fit_and_begin_with_what_is_waited_for(
    columns: int | None, left: float | None
) -> None:
    line = live_line(12, 100, 345, 1234, left, 7_950.0, 0.1234, columns)
    assert columns is None or width(line) <= columns
    assert left is None or (
        line.startswith("epoch  12/100  ")
        and line.partition("/100  ")[2].partition(" left")[1]
    )
    many = JointProgress(3, 128, 60, 20_000, 60_000, 6.0).live_line(columns)
    assert (columns is None or width(many) <= columns) and re.match(
        r"3/128 models finished  .+ left", many
    )
