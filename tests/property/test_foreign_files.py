"""Whatever a model or checkpoint file holds: it is read rightly, or one short CheckpointError says what is wrong."""

from __future__ import annotations

import json
import resource
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

import deltarule as dr
from deltarule import generative, nn, optim, train
from deltarule.errors import CheckpointError, DivergenceError
from deltarule.train import checkpoint
from support import mutations

X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
Y = np.arange(12) % 3
N_MUTATED = 10_000  # of the slow test, over all kinds of file


def dense() -> nn.Sequential:
    return nn.Sequential(
        nn.Standardize(4),
        nn.Linear(4, 3),
        nn.BatchNorm(3),
        nn.LeakyReLU(0.25),
        nn.Linear(3, 3),
    )


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.GroupNorm(1, 2),
        nn.MaxPool2d(2),
        nn.Skip(nn.Conv2d(2, 2, 1)),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.MaskedLinear(np.eye(8)),
        nn.Maxout(8, 2),
        head=nn.Linear(2, 2),
    )


def sequences() -> nn.Sequential:
    return nn.Sequential(
        nn.Embedding(5, 4), nn.TransformerBlock(4, 2), nn.LSTM(4, 3), nn.Linear(3, 2)
    )


def write_model(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.dr"
    if kind == "vae":
        generative.dense_vae((4,), hidden=(3,), latent_size=2).save(path)
    elif kind == "trained":
        model = dense()
        model.fit(X, Y, loss="cross_entropy", epochs=2, verbose=0, device="reference")
        model.freeze("1.bias")
        model.save(path)
    else:
        {"dense": dense, "convolutional": convolutional, "sequences": sequences}[
            kind
        ]().save(path)
    return path


MODELS = ("dense", "convolutional", "sequences", "vae", "trained")


def resume(path: Path, epochs: int = 3) -> None:
    callbacks = [
        train.EarlyStopping("loss", patience=9),
        train.ReduceOnPlateau("loss", patience=5),
    ]
    options = {
        "loss": "cross_entropy",
        "batch_size": 5,
        "optimizer": optim.Adam(),
        "verbose": 0,
        "device": "reference",
    }
    dense().fit(
        X,
        Y,
        epochs=epochs,
        callbacks=callbacks,
        checkpoint=path,
        resume=path.exists(),
        **options,
    )


def answered(path: Path, content: bytes, read) -> str:
    """Return "read" or "refused"; anything else than a short CheckpointError is an error of the test."""
    path.write_bytes(content)
    message = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except (
        DivergenceError
    ):  # the file holds weights that are NaN: read rightly, and training says so
        return "read"
    except CheckpointError as error:
        message = str(error)
    assert len(message) <= 500
    return "refused" if message else "read"


def sweep(original: Path, target: Path, read, seeds: range) -> dict[str, int]:
    counts = {"read": 0, "refused": 0}
    for seed in seeds:
        content = mutations.mutated(original, np.random.default_rng(seed))
        start = time.process_time()
        try:
            counts[answered(target, content, read)] += 1
        except Exception as error:
            raise AssertionError(
                f"seed {seed}: {type(error).__name__}: {str(error)[:300]}"
            ) from error
        assert time.process_time() - start < 20, f"seed {seed} took too long"
    return counts


def read_and_resume(path: Path) -> None:
    resume(path, epochs=2)


@pytest.mark.parametrize("kind", MODELS)
def test_mutated_models(tmp_path, kind):
    counts = sweep(
        write_model(kind, tmp_path), tmp_path / "mutated.dr", dr.load, range(60)
    )
    assert counts["refused"] > 20


def test_mutated_checkpoints(tmp_path):
    original = tmp_path / "run.dr"
    resume(original, epochs=1)
    assert (
        sweep(original, tmp_path / "mutated.dr", read_and_resume, range(60))["refused"]
        > 20
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*MODELS, "checkpoint"])
def test_many_mutated_files(tmp_path, kind):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n = -(-N_MUTATED // (len(MODELS) + 1))
    if kind == "checkpoint":
        resume(original := tmp_path / "run.dr", epochs=1)
        sweep(original, tmp_path / "mutated.dr", read_and_resume, range(1000, 1000 + n))
    else:
        sweep(
            write_model(kind, tmp_path),
            tmp_path / "mutated.dr",
            dr.load,
            range(1000, 1000 + n),
        )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert sys.platform != "linux" or grown < 400_000  # kilobytes


@pytest.mark.parametrize("kind", MODELS)
def test_sizes_are_compared_with_the_arrays_before_memory_is_taken(tmp_path, kind):
    """Every whole number of the architecture, one after the other, made a thousand million."""
    path = write_model(kind, tmp_path)
    header, arrays = mutations.read(path)
    document = json.loads(header["document"])
    numbers = [
        place
        for place in mutations.places(document["architecture"])
        if type(_at(document["architecture"], place)) is int
    ]
    assert numbers
    tracemalloc.start()
    for place in numbers:
        changed = json.loads(header["document"])
        holder = _at(changed["architecture"], place[:-1])
        holder[place[-1]] = 10**9
        answered(
            tmp_path / "large.dr",
            mutations.whole(
                {**header, "document": json.dumps(changed)}, arrays, sealed=True
            ),
            dr.load,
        )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def _at(value, place):
    for key in place:
        value = value[key]
    return value


def test_a_small_file_of_a_large_network_takes_no_memory(tmp_path):
    small = tmp_path / "small.dr"
    architecture = {
        "class": "Linear",
        "arguments": {"in_features": 20_000, "out_features": 20_000},
    }
    checkpoint.write(
        small,
        "model",
        {"weights/bias": np.zeros(3)},
        {"architecture": architecture, "history": None},
    )
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="expected"):
        dr.load(small)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_changed_setting_is_damage(tmp_path):
    path = write_model("dense", tmp_path)
    content = path.read_bytes()
    assert content.count(b"0.25") == 1
    path.write_bytes(content.replace(b"0.25", b"0.75"))
    with pytest.raises(
        CheckpointError, match="expected content as it was written, got other bytes"
    ):
        dr.load(path)
