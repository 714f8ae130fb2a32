"""What a person sees: lines that stay, a live line on a terminal only, nothing when silent."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from deltarule.train import Callback, fit
from deltarule.train.progress import Silent, Terminal, for_verbosity

OPTIONS = {"loss": "cross_entropy", "epochs": 3, "batch_size": 10, "metrics": ["accuracy"], "validation_split": 0.2}


def test_a_pipe_gets_plain_lines(network, blobs, capsys):
    fit(network(), *blobs, **OPTIONS, threads=2)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == "" and len(lines) == 4 and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    assert re.fullmatch(r"engine \w+, 2 threads, compiled in [\d.]+ (µs|ms|s)", lines[0])
    value = r"\d\.\d{4}"
    for number, line in enumerate(lines[1:], 1):
        assert re.fullmatch(
            rf"epoch {number}/3  loss {value}  accuracy {value}  val_loss {value}  val_accuracy {value}  "
            r"rate 0.01|0.001  [\d,.]+ samples/s".replace("0.01|0.001", "[0-9.e-]+"), line
        ), line  # fmt: skip


def test_silence(network, blobs, capsys):
    fit(network(), *blobs, **OPTIONS, verbose=0)
    assert capsys.readouterr() == ("", "")


def _on_a_terminal(network, blobs, live):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    fit(network(), *blobs, **{**OPTIONS, "epochs": 40}, progress=Terminal(console, live=live))
    return screen.getvalue()


def test_a_terminal_gets_a_live_line_that_goes_away(network, blobs):
    text = _on_a_terminal(network, blobs, live=True)
    assert "\x1b[?25l" in text and "\x1b[?25h" in text  # the cursor is hidden, and back in the end
    assert "steps" in text and "━" in text and "left" in text
    assert len(re.findall(r"epoch +\d+/40  loss \d", text)) == 40


def test_lines_only(network, blobs):
    text = _on_a_terminal(network, blobs, live=False)
    assert "\x1b[?25l" not in text and "━" not in text and text.count("epoch") == 40


def test_an_interrupt_is_told(network, blobs, capsys):
    class Press(Callback):
        every = 7

        def on_steps(self, session):
            raise KeyboardInterrupt

    fit(network(), *blobs, **OPTIONS, callbacks=[Press()])
    assert capsys.readouterr().out.splitlines()[-1] == "interrupted after step 7: the model keeps what was learned"


def test_the_live_line_goes_away_after_an_error(network, blobs):
    class Fault(Callback):
        def on_epoch_end(self, session, epoch, logs):
            raise RuntimeError("mine")

    screen = io.StringIO()
    with pytest.raises(RuntimeError):
        fit(network(), *blobs, **OPTIONS, callbacks=[Fault()],
            progress=Terminal(Console(file=screen, force_terminal=True)))  # fmt: skip
    assert screen.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in screen.getvalue()


def test_verbosity():
    assert isinstance(for_verbosity(0), Silent)
    assert isinstance(for_verbosity(1), Terminal) and isinstance(for_verbosity(2), Terminal)
