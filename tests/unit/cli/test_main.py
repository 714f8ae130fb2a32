"""The entry point: lazy commands, errors as plain lines, help with examples."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest

from deltarule.cli import main as entry
from deltarule.cli.catalogue import COMMANDS, Entry
from deltarule.cli.outputs.console import Console
from deltarule.errors import DataError, DataWarning


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_found_and_shows_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = importlib.import_module(COMMANDS[name].module).command
    assert isinstance(command, click.Command) and command.name == name
    assert entry.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert (
        f"Usage: deltarule {name}" in text
        and f"  deltarule {name} " in text.partition("Examples:")[2]
    )
    assert "--json" in text


def test_help_lists_the_commands_and_imports_none_of_their_rooms() -> None:
    code = (
        "import sys; from deltarule.cli.main import main; main(['--help']); "
        "print([m for m in sys.modules if m.startswith(('deltarule.nn', 'deltarule.train', 'deltarule.data', "
        "'deltarule.report', 'rich', 'safetensors', 'llvmlite', 'jax', 'sklearn', 'matplotlib'))])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert told.splitlines()[-1] == "[]"
    assert all(f"  {name} " in told for name in COMMANDS)


def test_unknown_command_is_answered_with_its_neighbour(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert entry.main(["trian", "digits"]) == 2
    assert (
        "There is no command 'trian'. Did you mean 'train'?" in capsys.readouterr().err
    )
    assert entry.main(["xyzzy"]) == 2
    assert "The commands are train, evaluate" in capsys.readouterr().err


def _stand_in(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("fails")
    def command() -> None:
        raise error

    monkeypatch.setattr(sys.modules[__name__], "command", command, raising=False)
    monkeypatch.setitem(sys.modules, "stand_in", sys.modules[__name__])
    monkeypatch.setitem(COMMANDS, "fails", Entry("stand_in", "fails"))


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (
            DataError("inputs", expected="numbers", got="text", hint="Encode it."),
            1,
            "error: inputs: expected numbers, got text.\n  Encode it.\n",
        ),
        (
            PermissionError(13, "Permission denied", "x.dr"),
            1,
            "error: [Errno 13] Permission denied: 'x.dr'\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.UsageError("two names"), 2, "Error: two names\n"),
    ],
)
def test_errors_are_lines_on_stderr_and_a_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    told: str,
) -> None:
    _stand_in(monkeypatch, error)
    assert entry.main(["fails"]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.lstrip("\n").endswith(told) and "Traceback" not in err


def test_a_fault_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        entry.main(["fails"])


def test_a_warning_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("warns")
    def command() -> None:
        warnings.warn("softmax twice", DataWarning, stacklevel=1)

    monkeypatch.setattr(sys.modules[__name__], "command", command, raising=False)
    monkeypatch.setitem(sys.modules, "stand_in", sys.modules[__name__])
    monkeypatch.setitem(COMMANDS, "warns", Entry("stand_in", "warns"))
    before = warnings.showwarning
    assert entry.main(["warns"]) == 0
    assert capsys.readouterr().err == "warning: softmax twice\n"
    assert warnings.showwarning is before


def test_messages_fit_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("warns")
    def command() -> None:
        warnings.warn("one of many columns; " * 12, DataWarning, stacklevel=1)
        raise DataError("table", expected="rows of equal length " * 8, got="others")

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.modules[__name__], "command", command, raising=False)
    monkeypatch.setitem(sys.modules, "stand_in", sys.modules[__name__])
    monkeypatch.setitem(COMMANDS, "warns", Entry("stand_in", "warns"))
    assert entry.main(["warns"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 5 and all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("warning: ")
    assert any(line.startswith("error: ") for line in lines)


def test_reader_that_went_away_is_no_error() -> None:
    command = f"{sys.executable} -c 'import sys; from deltarule.cli.main import main; sys.exit(main())' summary digits"
    told = subprocess.run(
        f"{command} | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("lenet for Handwritten digits") and told.stderr == ""


def test_json_console_writes_one_object_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console(json=True)
    console.say("words")
    console.rows("title", [("a", "b")])
    console.finish({"ŷ": 1.5})
    assert capsys.readouterr().out == '{"ŷ": 1.5}\n'
    Console().finish({"a": 1})
    assert capsys.readouterr().out == ""


def test_long_values_go_on_below_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    Console().rows("title", [("a", "one two three"), ("long", "x")], width=16)
    assert (
        capsys.readouterr().out
        == "title\n  a     one two\n        three\n  long  x\n\n"
    )


def test_a_target_of_one_class_is_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "same.csv"
    table.write_text("a,kind\n" + "\n".join(f"{i},yes" for i in range(20)) + "\n")
    model, page = tmp_path / "same.dr", tmp_path / "same.html"
    assert (
        entry.main(
            ["train", str(table), "--checkpoint", str(model), "--report", str(page)]
        )
        == 1
    )
    told = capsys.readouterr().err
    assert (
        "expected at least two classes, got 'yes' in all 20 rows" in told
        and "--target" in told
    )
    assert not model.exists() and not page.exists()
