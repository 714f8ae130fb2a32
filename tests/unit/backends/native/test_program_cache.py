"""The cache of compiled programs: a cached program is neither lowered nor generated again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.backends.native.backend import NativeBackend
from deltarule.backends.native.llvm import object_cache
from deltarule.backends.native.llvm.machine import host
from deltarule.backends.native.program import compiled_program
from deltarule.backends.native.program.runner import NativeRunner
from deltarule.graph import build
from deltarule.graph.program import Program
from support import graphs

# Compiles a program and a step, and prints what they give; "known" forbids to lower anything.
_PROCESS = """
import sys
import numpy as np
from support import graphs
from deltarule.backends.native.program import codegen as writer
from deltarule.backends.native.backend import NativeBackend
from deltarule.graph import build
from deltarule.graph.program import Program

def refuse(*_):
    raise AssertionError("lowered again")

if sys.argv[1] == "known":
    writer.lower = writer.lower_step = refuse
x = build.input_node("x", (3, 4))
print(NativeBackend().compile(Program((x,), (build.exp(build.sum_over(x, 0)),)))(np.ones((3, 4)))[0].tolist())
step = graphs.network((20, 32, 10), 16, "momentum")
state, data = graphs.values(step, 64)
runner = NativeBackend().compile_step(step, 2)
runner.load(state)
print(runner.run(data, np.arange(64), 0, 0, (0.1,)).tolist(), float(sum(abs(a).sum() for a in runner.read())))
"""


def _run(word: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DELTARULE_CACHE", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(graphs.__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS, word],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_another_process_finds_what_was_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run("new", tmp_path, monkeypatch)
    assert len(_program_files(tmp_path)) == 2 <= len(list(tmp_path.glob("*.object")))
    assert _run("known", tmp_path, monkeypatch) == first


def _program(factor: float, name: str = "x") -> Program:
    x = build.input_node(name, (2, 3))
    return Program((x,), (build.multiply(x, factor),))


def _program_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.program")}


def test_a_program_file_depends_on_program_threads_and_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTARULE_CACHE", str(tmp_path))
    values = np.ones((2, 3), np.float32)
    for factor, threads in ((2.0, None), (3.0, None), (2.0, 2), (2.0, None)):
        assert (
            NativeBackend().compile(_program(factor), threads)(values)[0] == factor
        ).all()
    assert len(_program_files(tmp_path)) == 3
    monkeypatch.setattr(object_cache, "compiler_digest", lambda: "another compiler")
    NativeBackend().compile(_program(2.0))
    assert len(_program_files(tmp_path)) == 4


def test_steps_of_other_parts_have_other_program_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTARULE_CACHE", str(tmp_path))
    step = graphs.network((20, 32, 10), 16)
    assert NativeRunner(step, host()).compiled == NativeRunner(step, host()).compiled
    measured = NativeRunner(step, host(), measured=True)
    assert len(_program_files(tmp_path)) == 2
    state, data = graphs.values(step, 64)
    measured.load(state)
    measured.run(data, np.arange(64), 0, 0, (0.1,))
    assert len(measured.cycles) > 3 and all(count > 0 for _, count in measured.cycles)


@pytest.mark.parametrize("suffix", ["program", "object"])
def test_damaged_and_missing_files_are_made_again(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTARULE_CACHE", str(tmp_path))
    values = np.ones((2, 3), np.float32)
    for damage in (
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
    ):
        NativeBackend().compile(_program(5.0))
        damage(next(tmp_path.glob(f"*.{suffix}")))
        assert (NativeBackend().compile(_program(5.0))(values)[0] == 5).all()
    assert len(_program_files(tmp_path)) == 1


def test_what_has_no_text_of_its_own_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTARULE_CACHE", str(tmp_path))
    assert compiled_program._file_name(("exp", 1.0), host(), None)
    assert not compiled_program._file_name(("exp", object()), host(), None)
    monkeypatch.setattr(object_cache, "compiler_digest", lambda: "")
    NativeBackend().compile(_program(7.0))
    assert not _program_files(tmp_path)


def test_numpys_numbers_of_threads_are_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTARULE_CACHE", str(tmp_path))
    NativeBackend().compile(_program(2.0), np.int64(1))  # type: ignore[arg-type]  # what users hand over
    assert len(_program_files(tmp_path)) == 1


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(object_cache.os, "replace", full)
    object_cache.write(tmp_path / "a.object", b"code")
    assert not list(tmp_path.iterdir())


def test_a_runner_that_counts_nothing_has_no_cycles() -> None:
    assert NativeRunner(graphs.network((4, 8, 2), 2), host()).cycles == []


def test_nothing_is_kept_where_caching_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DELTARULE_CACHE", "off")
    runner = NativeBackend().compile_step(
        graphs.network((4, 8, 2), 2, dtype=dtypes.FLOAT64)
    )
    assert runner.steps_done == 0
    assert not list(tmp_path.iterdir())
