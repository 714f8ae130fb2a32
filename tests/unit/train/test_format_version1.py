"""Files of format version 1 stay readable: the models in them, and runs that go on from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn, optim, train
from deltarule.errors import CheckpointError
from deltarule.train import checkpoint

FILES = Path(__file__).parent / "files"
X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
Y = np.arange(12) % 3
AFTER_TWO_EPOCHS = [
    [0.06988304853439331, -0.09425248205661774, 0.08577018976211548],
    [-1.9859187602996826, 0.6589409708976746, -0.519130527973175],
]
AFTER_FOUR = [
    [0.19097673892974854, -0.132480189204216, 0.12149716913700104],
    [-1.5833407640457153, 0.5265856385231018, -0.4370850920677185],
]


@pytest.mark.parametrize("kind", ["model", "checkpoint"])
def test_models_are_read(kind):
    model = dr.load(FILES / f"version1-{kind}.safetensors")
    np.testing.assert_allclose(
        model.predict(X[:2], device="reference"), AFTER_TWO_EPOCHS, rtol=1e-5
    )
    assert checkpoint.read(FILES / f"version1-{kind}.safetensors", kind).version == 1


def resumed(path: Path, callback: train.Callback, **changed) -> nn.Sequential:
    model = nn.Sequential(
        nn.Linear(4, 3), nn.BatchNorm(3), nn.LeakyReLU(0.25), nn.Linear(3, 3)
    )
    options = {
        "validation_data": (X, Y),
        "optimizer": optim.Adam(learning_rate=0.01),
        "batch_size": 5,
        "verbose": 0,
    }
    model.fit(
        X,
        Y,
        loss="cross_entropy",
        epochs=4,
        callbacks=[callback],
        checkpoint=path,
        resume=True,
        device="reference",
        **{**options, **changed},
    )
    return model


def test_a_run_goes_on_and_is_written_in_the_present_version(tmp_path):
    path = Path(
        shutil.copy(FILES / "version1-checkpoint.safetensors", tmp_path / "run.dr")
    )
    model = resumed(path, train.EarlyStopping("val_loss", patience=9))
    np.testing.assert_allclose(
        model.predict(X[:2], device="reference"), AFTER_FOUR, rtol=1e-5
    )
    assert checkpoint.read(path, "checkpoint").version == checkpoint.VERSION


def test_another_run_is_refused(tmp_path):
    path = Path(
        shutil.copy(FILES / "version1-checkpoint.safetensors", tmp_path / "run.dr")
    )
    with pytest.raises(CheckpointError, match="the same batch_size"):
        resumed(path, train.EarlyStopping("val_loss", patience=9), batch_size=4)
    with pytest.raises(CheckpointError, match="the same callbacks"):
        resumed(path, train.TerminateOnNaN())


def test_damage_is_noticed(tmp_path):
    content = (FILES / "version1-model.safetensors").read_bytes()
    (tmp_path / "damaged.dr").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="other bytes"):
        dr.load(tmp_path / "damaged.dr")
