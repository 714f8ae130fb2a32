"""What a person sees: lines that stay, a live line on a terminal only, nothing when silent."""

from __future__ import annotations

import io
import os
import re
import signal
import time

import pytest
from rich.console import Console

from deltarule.train import Callback, EarlyStopping, fit, fit_many
from deltarule.train.monitoring.progress import Silent, Terminal, progress_for

OPTIONS = {
    "loss": "cross_entropy",
    "epochs": 3,
    "batch_size": 10,
    "metrics": ["accuracy"],
    "validation_split": 0.2,
}


def test_a_pipe_gets_plain_lines(network, blobs, capsys):
    fit(network(), *blobs, **OPTIONS, threads=2)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert (
        err == ""
        and len(lines) == 4
        and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    )
    assert re.fullmatch(
        r"engine \w+, 2 threads, compiled in [\d.]+ (µs|ms|s)", lines[0]
    )
    value = r"\d\.\d{4}"
    for number, line in enumerate(lines[1:], 1):
        assert re.fullmatch(
            rf"epoch {number}/3  loss {value}  accuracy {value}  val_loss {value}  val_accuracy {value}  "
            r"rate 0.01|0.001  [\d,.]+ samples/s".replace("0.01|0.001", "[0-9.e-]+"),
            line,
        ), line


def test_silence(network, blobs, capsys):
    fit(network(), *blobs, **OPTIONS, verbose=0)
    assert capsys.readouterr() == ("", "")


def _on_a_terminal(network, blobs, live):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    fit(
        network(),
        *blobs,
        **{**OPTIONS, "epochs": 40},
        progress=Terminal(console, live=live),
    )
    return screen.getvalue()


def test_a_terminal_gets_a_live_line_that_goes_away(network, blobs):
    text = _on_a_terminal(network, blobs, live=True)
    assert (
        "\x1b[?25l" in text and "\x1b[?25h" in text
    )  # the cursor is hidden, and back in the end
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
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == "interrupted after step 7: the model keeps what was learned"
    )


def test_the_live_line_goes_away_after_an_error(network, blobs):
    class Fault(Callback):
        def on_epoch_end(self, session, epoch, logs):
            raise RuntimeError("mine")

    screen = io.StringIO()
    with pytest.raises(RuntimeError):
        fit(
            network(),
            *blobs,
            **OPTIONS,
            callbacks=[Fault()],
            progress=Terminal(Console(file=screen, force_terminal=True)),
        )
    assert (
        screen.getvalue().rstrip().endswith("\x1b[?25h")
        or "\x1b[?25h" in screen.getvalue()
    )


def _many(network, blobs, **options):
    models = [network(seed=i, n_hidden=8 + 8 * (i % 2)) for i in range(4)]
    options = {
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "learning_rate": [0.1, 0.1, 1e30, 0.1],
    } | options
    return fit_many(models, *blobs, **options)


def test_many_models_in_a_pipe_get_a_line_a_program_and_a_last_one(
    network, blobs, capsys
):
    found = _many(network, blobs, epochs=[3, 5, 7, 9], verbose=1)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert (
        err == ""
        and len(lines) == 3
        and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    )
    for line in lines[:2]:
        assert re.fullmatch(
            r"engine cpu, 2 models side by side, compiled in [\d.]+ (µs|ms|s)", line
        ), line
    epochs, bad = (
        sum(len(history.epochs) for history in found),
        sum(history.diverged for history in found),
    )
    assert bad == 1
    assert re.fullmatch(
        rf"4/4 models finished  {epochs} epochs  [\d,.]+ samples/s  [\d.]+ (µs|ms|s)  1 diverged",
        lines[2],
    ), lines[2]


def test_many_models_are_silent_unless_asked(network, blobs, capsys):
    _many(network, blobs, epochs=2)
    assert capsys.readouterr() == ("", "")


def test_many_models_on_a_terminal_get_a_live_line_that_goes_away(network, blobs):
    class Slow(Callback):
        def on_epoch_end(self, session, epoch, logs):
            time.sleep(0.01)

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    _many(
        network,
        blobs,
        epochs=20,
        verbose=1,
        progress=console,
        callbacks=[Slow(), EarlyStopping("loss", patience=1)],
    )
    text = screen.getvalue()
    assert (
        "\x1b[?25l" in text and "\x1b[?25h" in text and "━" in text and "left" in text
    )
    assert re.search(
        r"[0-4]/4 models finished  .+ left  [━─]{24}  [\d,]+/[\d,]+ epochs", text
    )


def test_what_a_callback_raises_takes_the_live_line_of_many_models_away(network, blobs):
    class Fault(Callback):
        def on_epoch_end(self, session, epoch, logs):
            raise RuntimeError("mine")

    screen = io.StringIO()
    with pytest.raises(RuntimeError, match="mine"):
        _many(
            network,
            blobs,
            verbose=1,
            progress=Console(file=screen, force_terminal=True),
            callbacks=[Fault()],
        )
    assert (
        screen.getvalue().count("\x1b[?25l")
        == screen.getvalue().count("\x1b[?25h")
        == 1
    )


def test_an_interrupt_of_many_models_is_told(network, blobs, capsys):
    class Press(Callback):
        def on_epoch_end(self, session, epoch, logs):
            os.kill(os.getpid(), signal.SIGINT)

    _many(network, blobs, epochs=500, verbose=1, callbacks=[Press()])
    last = capsys.readouterr().out.splitlines()[-1]
    assert "/4 models finished" in last and last.endswith(
        "interrupted: the models keep what was learned"
    )


def test_verbosity():
    assert isinstance(progress_for(0), Silent)
    assert isinstance(progress_for(1), Terminal) and isinstance(
        progress_for(2), Terminal
    )
