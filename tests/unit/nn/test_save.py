"""Saving and loading: built-in layers from the file alone, classes of one's own by their values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import deltarule as dr
from deltarule import losses, nn
from deltarule.errors import CheckpointError
from deltarule.nn import saving
from deltarule.train import checkpoint


def _network(**options: object) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding="same"),
        nn.BatchNorm(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Skip(nn.Conv2d(3, 3, (1, 3), padding=(0, 1))),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Parallel(
            nn.Linear(48, 4, init="orthogonal"), nn.Linear(48, 4), join="concatenate"
        ),
        head=nn.Linear(8, 2),
        **options,  # type: ignore[arg-type]  # a seed
    )


def test_a_saved_model_answers_as_before(tmp_path: Path) -> None:
    model, x = (
        _network(seed=3),
        np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype(np.float32),
    )
    model(x, mode="training", seed=0)
    model.freeze("0", "head.bias")
    model.last_loss = losses.get("cross_entropy")
    model.save(tmp_path / "run.dr")
    twin = dr.load(tmp_path / "run.dr")
    np.testing.assert_array_equal(twin(x).numpy(), model(x).numpy())
    assert repr(twin) == repr(model)
    assert [name for name, _ in twin.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]
    assert twin.last_loss == model.last_loss
    probabilities = twin.predict_proba(x)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_float64_stays_float64(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2)).astype("float64")
    model.save(tmp_path / "run.dr")
    twin = dr.load(tmp_path / "run.dr")
    assert twin[0].weight.dtype.name == "float64"
    np.testing.assert_array_equal(twin[0].weight.numpy(), model[0].weight.numpy())


class ModuleState(nn.Module):
    def __init__(self, width: int) -> None:
        self.inner = nn.Linear(3, width)

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        return self.inner(x)


def test_a_class_of_ones_own_is_filled(tmp_path: Path) -> None:
    model, path = ModuleState(4), tmp_path / "own.dr"
    model.inner.weight.assign(np.arange(12).reshape(4, 3))
    model.save(path)
    with pytest.raises(
        CheckpointError,
        match=r"(?s)a ModuleState, which is a user-defined class.*model=ModuleState\(…\)",
    ):
        dr.load(path)
    twin = ModuleState(4)
    assert saving.load(path, model=twin) is twin
    np.testing.assert_array_equal(twin.inner.weight.numpy(), model.inner.weight.numpy())
    with pytest.raises(
        CheckpointError,
        match=r"(?s)values for this ModuleState.*inner.weight: the ModuleState has \(5, 3\), given \(4, 3\)",
    ):
        saving.load(path, model=ModuleState(5))


def test_layers_used_twice_and_functions_are_code(tmp_path: Path) -> None:
    shared = nn.Linear(2, 2)
    assert nn.Sequential(shared, nn.ReLU(), shared).config() is None
    assert nn.Sequential(nn.Function(abs)).config() is None
    assert nn.Skip(nn.Function(abs)).config() is None


def test_unknown_classes_and_arguments_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="layer 'Hologram'"):
        saving.build({"class": "Hologram"})
    with pytest.raises(CheckpointError, match="layer Linear"):
        saving.build({"class": "Linear", "arguments": {"width": 3}})
    with pytest.raises(CheckpointError, match="no such file"):
        dr.load(tmp_path / "nothing.dr")
    (tmp_path / "broken.dr").write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        dr.load(tmp_path / "broken.dr")


def test_a_checkpoint_of_a_run_is_a_model_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    y, path = (x[:, 0] > 0).astype(np.int64), tmp_path / "run.dr"
    model = nn.Sequential(
        nn.Standardize(3).learn(x),
        nn.Linear(3, 4),
        nn.BatchNorm(4),
        nn.ReLU(),
        nn.Linear(4, 2),
    )
    model.freeze("1.bias")
    history = model.fit(
        x, y, loss="cross_entropy", epochs=2, verbose=0, checkpoint=path
    )
    twin = dr.load(path)
    np.testing.assert_array_equal(twin(x).numpy(), model(x).numpy())
    assert [name for name, _ in twin.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]
    assert twin.last_loss == losses.get("cross_entropy")
    assert (
        twin.last_history is not None
        and twin.last_history.step_losses == history.step_losses
    )


def test_a_file_without_the_entries_of_a_model(tmp_path: Path) -> None:
    checkpoint.write(
        tmp_path / "odd.dr", "model", {"weights/x": np.zeros(2)}, {"loss": None}
    )
    with pytest.raises(CheckpointError, match="entries of a model, got KeyError"):
        dr.load(tmp_path / "odd.dr")


def test_a_given_model_is_as_before_where_a_file_does_not_fit(tmp_path: Path) -> None:
    nn.Sequential(nn.Linear(3, 2)).astype("float64").save(tmp_path / "wide.dr")
    model = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(CheckpointError, match="values for this Sequential"):
        dr.load(tmp_path / "wide.dr", model=model)
    assert model[0].weight.dtype.name == "float32"
