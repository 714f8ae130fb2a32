"""Real signals to the real program while it starts: one line, no traceback, the shell's status."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAIN = ["train", "digits", "--epochs", "500", "--device", "reference"]


def _start(folder: Path, *words: str, script: bool = False) -> subprocess.Popen[str]:
    """Start the program as ``python -m deltarule``, or as the script that pip installs; imports are told on stderr."""
    if script:
        (folder / "deltarule").write_text(
            "import sys\nfrom deltarule.cli.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n",
            encoding="utf-8",
        )
    program = [str(folder / "deltarule")] if script else ["-m", "deltarule"]
    return subprocess.Popen(
        [sys.executable, "-X", "importtime", *program, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _until_guarded(process: subprocess.Popen[str]) -> None:
    """Wait until the first module of the package is imported: from then on an interrupt is expected."""
    assert process.stderr is not None
    for line in process.stderr:
        if "deltarule.startup" in line:
            return
    raise AssertionError("the program ended before it began")


def test_interrupts_are_handled_before_any_other_import(tmp_path: Path) -> None:
    """The handler is installed by the first module of the package that is imported, before any other library."""
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import deltarule"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = [line.rpartition("|")[2].strip() for line in found.stderr.splitlines()]
    first = next(name for name in imported if name.startswith("deltarule."))
    assert first == "deltarule.startup"
    before = imported[: imported.index("deltarule.startup")]
    assert not {"numpy", "importlib.util", "importlib.resources"} & set(before)


@pytest.mark.parametrize("script", [False, True], ids=["module", "script"])
@pytest.mark.parametrize("moment", range(8))
def test_an_interrupt_while_importing_is_one_line(
    tmp_path: Path, moment: int, script: bool
) -> None:
    process = _start(tmp_path, *TRAIN, script=script)
    _until_guarded(process)
    time.sleep(random.Random(moment + 100 * script).uniform(0, 0.06 * (1 + moment)))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    said = [
        line
        for line in err.splitlines()
        if not line.startswith("import time:") and line.strip()
    ]
    assert process.returncode == 130, err[-2000:]
    assert said == ["interrupted"], said
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_in_training_keeps_the_run(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = _start(tmp_path, *TRAIN)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert (
        "the run so far is in digits.dr" in out
        and "--resume" in out
        and (tmp_path / "digits.dr").exists()
    )
    assert "Traceback" not in out + err and err.rstrip().endswith("interrupted")


def test_a_termination_while_importing_ends_at_once(tmp_path: Path) -> None:
    process = _start(tmp_path, *TRAIN)
    _until_guarded(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGTERM, 143} and "Traceback" not in out + err


def test_a_program_that_imports_the_package_keeps_its_handlers() -> None:
    code = (
        "import signal; before = signal.getsignal(signal.SIGINT); import deltarule; "
        "print(signal.getsignal(signal.SIGINT) is before is signal.default_int_handler)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
