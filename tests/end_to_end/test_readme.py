"""The README's programs run, and print what it says they print; so do the examples."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deltarule.cli.catalogue import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", README, flags=re.DOTALL
)
TOLD = {
    "an_exam": "3 of 3 points. This is right.",
    "command_line": "predictions  said.csv",
    "derive_a_gradient": "you stepped over the activation",
    "grade_derivation": "6 of 8 points. The first wrong line is line 4.",
    "generative_models": "figures: asked, denoised, kl_asymmetry, ring, vae_between, vae_grid, vae_map",
    "interrupt_and_resume": "equal to the bit: True",
    "many_models": "sixteen averaged 0.9",
    "module_of_your_own": "still learned: ['head.weight', 'head.bias']",
    "summary_up_to_the_error": "write Linear(400, 84), or insert Linear(400, 120) before it.",
    "tensors_and_gradients": "gradients agree",
    "train_digits": "test accuracy 0.9",
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_first_program_trains_digits_in_ten_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    program = BLOCKS[0][0]
    names: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["accuracy"] > 0.95
    assert "(3·3·1 + 1)·16" in capsys.readouterr().out and Path("digits.dr").exists()
    assert len(re.findall(r"^\S", program, flags=re.MULTILINE)) <= 10


@pytest.mark.parametrize(
    ("program", "printed"), [block for block in BLOCKS if block[1]]
)
def test_printed_output_is_what_the_program_prints(
    program: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(program, "README.md", "exec"), {})
    said = capsys.readouterr().out
    # How large the proof's smallest errors come out depends on the machine's arithmetic.
    assert re.sub(r"\d·10⁻\S+", "ε", said) == re.sub(r"\d·10⁻\S+", "ε", printed)


def test_dependencies_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    declared = {re.split(r"[<>=]", name)[0] for name in project["dependencies"]}
    table = README.partition("| package |")[2].partition("\n\n")[0]
    assert {
        name.lower() for name in re.findall(r"^\| (\w+) \|", table, flags=re.MULTILINE)
    } == declared


def test_commands_and_links_exist() -> None:
    for line in re.findall(r"^deltarule (.*)$", README, flags=re.MULTILINE):
        assert shlex.split(line, comments=True)[0] in COMMANDS
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_example_runs_and_says_what_it_found(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(path), run_name="__main__")
    assert TOLD[path.stem] in capsys.readouterr().out


def test_every_told_example_is_there() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(TOLD)
