"""Atomic files: whole content under threads, processes and kills; no planted link followed; no draft left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deltarule import files

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="links, locks and signals of POSIX"
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_content_and_permissions_are_those_of_any_new_file(tmp_path):
    target, plain = tmp_path / "run.dr", tmp_path / "plain"
    plain.touch()
    for content in (b"one", b"", b"two"):
        files.write_atomically(target, content)
        assert target.read_bytes() == content
    assert target.stat().st_mode == plain.stat().st_mode
    files.write_atomically(target, b"secret", mode=0o600)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(tmp_path) == ["plain", "run.dr"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content_and_no_draft(tmp_path, monkeypatch, step):
    target = tmp_path / "run.dr"
    target.write_bytes(b"old")

    def fail(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space"):
        files.write_atomically(target, b"new")
    assert target.read_bytes() == b"old" and names(tmp_path) == ["run.dr"]


def test_long_names_are_written(tmp_path):
    target = tmp_path / (
        "δ" * 120 + ".dr"
    )  # 243 bytes of the 255 that file systems take
    files.write_atomically(target, b"x")
    assert target.read_bytes() == b"x"


def test_threads_on_one_path_leave_whole_files(tmp_path):
    target, contents = tmp_path / "run.dr", [bytes([i]) * 1_000_000 for i in range(4)]
    files.write_atomically(target, contents[0])
    done = threading.Event()
    torn: list[int] = []

    def read() -> None:
        while not done.is_set():
            torn.extend(
                [len(found)] if (found := target.read_bytes()) not in contents else []
            )

    reader = threading.Thread(target=read)
    writers = [
        threading.Thread(
            target=lambda content=content: [
                files.write_atomically(target, content) for _ in range(10)
            ]
        )
        for content in contents
    ]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert (
        torn == [] and target.read_bytes() in contents and names(tmp_path) == ["run.dr"]
    )


@posix
def test_a_link_planted_as_the_draft_is_not_followed(tmp_path, monkeypatch):
    victim, target = tmp_path / "victim", tmp_path / "run.dr"
    victim.write_bytes(b"precious")
    tokens = iter(["guessed", "other"])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(tokens))
    (tmp_path / ".run.dr.guessed.part").symlink_to(victim)
    with pytest.raises(FileExistsError):
        files.write_atomically(target, b"weights")
    assert victim.read_bytes() == b"precious" and not target.exists()


WRITER = """
import os, sys, pathlib
from deltarule import files
os.fsync = lambda handle: (print("drafted", flush=True), sys.stdin.read())
files.write_atomically(pathlib.Path(sys.argv[1]), b"from the child")
"""


@posix
def test_drafts_of_killed_writers_are_removed_and_those_at_work_are_kept(tmp_path):
    target = tmp_path / "run.dr"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "drafted\n"
    killed, working = children
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(names(tmp_path)) == 2
    assert files.remove_stale_drafts(tmp_path, ".run.dr.") == 1
    files.write_atomically(target, b"ours")
    assert len(names(tmp_path)) == 2 and target.read_bytes() == b"ours"
    working.communicate("")
    assert (
        working.returncode == 0
        and target.read_bytes() == b"from the child"
        and names(tmp_path) == ["run.dr"]
    )


@posix
def test_only_drafts_are_removed(tmp_path):
    for name in ("run.part", ".other.dr.1.part", ".run.dr.txt"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / ".run.dr.fifo.part")
    (tmp_path / ".run.dr.link.part").symlink_to(tmp_path / "run.part")
    before = names(tmp_path)
    assert files.remove_stale_drafts(tmp_path, ".run.dr.") == 0
    assert names(tmp_path) == before
    (tmp_path / ".run.dr.77.part").touch()
    files.write_atomically(tmp_path / "run.dr", b"x")
    assert ".run.dr.77.part" not in names(tmp_path)
    assert files.remove_stale_drafts(tmp_path / "absent") == 0
