"""The file format: what is written comes back; what is damaged, foreign or missing is told apart; never half a file."""

from __future__ import annotations

import os
import pickle
import stat
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from deltarule.errors import CheckpointError
from deltarule.train import checkpoint

ARRAYS = {
    "weights/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "weights/t": np.arange(6, dtype=np.float64).reshape(2, 3).T,  # not contiguous
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "mask": np.array([True, False]),
    "bytes": np.array([0, 255], np.uint8),
}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "run.dr"
    checkpoint.write(
        file, "model", ARRAYS, {"history": [0.1, float("inf")], "name": "δ"}
    )
    return file


def test_what_is_written_comes_back(path):
    container = checkpoint.read(path, "model")
    assert container.kind == "model" and container.document == {
        "history": [0.1, float("inf")],
        "name": "δ",
    }
    assert container.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (
            container.arrays[name].dtype == array.dtype
            and container.arrays[name].shape == array.shape
        )
        np.testing.assert_array_equal(container.arrays[name], array)
    assert container.group("weights/").keys() == {"a", "t"}


def test_other_programs_can_read_the_arrays(path):
    np.testing.assert_array_equal(load_file(path)["weights/a"], ARRAYS["weights/a"])


def test_every_truncation_and_flipped_byte_is_noticed(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            checkpoint.read(path, "model")
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    for place in range(start, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CheckpointError):
            checkpoint.read(path, "model")
    path.write_bytes(whole)
    assert checkpoint.read(path, "model").kind == "model"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pickle.dumps({"w": [1.0]}),
        b"\x00" * 64,
        b"\xff" * 64,
        b"PK\x03\x04" + b"0" * 50,
    ],
    ids=["nothing", "text", "a pickle", "zeros", "ones", "a zip"],
)
def test_foreign_content_is_told(tmp_path, content):
    file = tmp_path / "foreign.dr"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        checkpoint.read(file, "model")


def test_a_pickle_is_never_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    file = tmp_path / "harm.dr"
    file.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(CheckpointError):
        checkpoint.read(file, "model")
    assert not (tmp_path / "harm").exists()


def test_a_safetensors_file_of_another_program_is_told_apart(tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"w": np.zeros(2)}, file)
    with pytest.raises(CheckpointError, match="another program"):
        checkpoint.read(file, "model")


def test_kind_and_version_are_checked(path, monkeypatch):
    assert checkpoint.read(path, "checkpoint", "model").kind == "model"
    with pytest.raises(
        CheckpointError, match="expected a checkpoint file, got a model file"
    ):
        checkpoint.read(path, "checkpoint")
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    checkpoint.write(path, "model", ARRAYS, {})
    monkeypatch.setattr(checkpoint, "VERSION", 1)
    with pytest.raises(CheckpointError, match="pip install --upgrade"):
        checkpoint.read(path, "model")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(CheckpointError, match="no such file") as caught:
        checkpoint.read(tmp_path / "none.dr", "model")
    assert isinstance(caught.value, OSError) and str(tmp_path) in str(caught.value)
    with pytest.raises(CheckpointError, match="a folder"):
        checkpoint.read(tmp_path, "model")


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_file(path, monkeypatch, broken):
    before = path.read_bytes()

    def crash(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, broken, crash)
    with pytest.raises(CheckpointError, match="No space left"):
        checkpoint.write(path, "model", {"w": np.zeros(3)}, {})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_folders_are_made_and_permissions_are_those_of_any_file(tmp_path):
    deep = tmp_path / "a" / "b" / "run.dr"
    checkpoint.write(deep, "model", ARRAYS, {})
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert stat.S_IMODE(deep.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match="a place to write to"):
        checkpoint.write(tmp_path / "file" / "run.dr", "model", ARRAYS, {})
