"""Weights to and from torch, whole models: outputs agree to 1e-5 both ways, every misfit is told by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltarule import nn
from deltarule.errors import ArgumentError, CheckpointError
from deltarule.interop import torch as exchange
from support.oracles import called, safetensors_torch, tnn, torch


def our_images() -> nn.Module:
    return nn.Sequential(
        first=nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm(6), nn.ReLU()),
        around=nn.Skip(
            nn.Sequential(
                nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False), nn.BatchNorm(6)
            )
        ),
        up=nn.ConvTranspose2d(6, 4, 2, 2),
        norm=nn.LayerNorm((8, 12, 4)),
        classify=nn.Sequential(
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.BatchNorm(96),
            nn.PReLU(96),
            nn.Linear(96, 96),
            nn.Tanh(),
            nn.Linear(96, 5),
        ),
    )


def our_sentences() -> nn.Module:
    return nn.Sequential(
        words=nn.Embedding(11, 4),
        lower=nn.LSTM(4, 8),
        upper=nn.LSTM(8, 8),
        gru=nn.GRU(8, 8),
        attention=nn.MultiHeadAttention(8, 2),
        block=nn.TransformerBlock(8, 2, 12),
        flatten_all=nn.Flatten(),
        head=nn.Linear(40, 3),
    )


SENTENCE_NAMES = {"lower": "lstm"} | {
    f"upper.{ours}": f"lstm.{theirs}_l1"
    for ours, theirs in (
        ("input_weight", "weight_ih"),
        ("hidden_weight", "weight_hh"),
        ("input_bias", "bias_ih"),
        ("hidden_bias", "bias_hh"),
    )
}
MLP = [4, 7, 6, 2]
CASES: dict[
    str,
    tuple[
        Callable[[], nn.Module],
        Callable[[], tnn.Module] | str,
        tuple[int, ...],
        dict[str, str],
    ],
] = {
    "images": (
        our_images,
        "torch_layers.Images",
        (4, 6, 3),
        {"around.inner": "around"},
    ),
    "signals": (
        lambda: nn.Sequential(
            body=nn.Sequential(
                nn.Conv1d(2, 3, 3),
                nn.GroupNorm(3, 3, n_axes=1),
                nn.Flatten(),
                nn.Linear(21, 4),
            )
        ),
        "torch_layers.Signals",
        (9, 2),
        {},
    ),
    "sentences": (our_sentences, "torch_layers.Sentences", (5,), SENTENCE_NAMES),
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 2)
        ),
        lambda: tnn.Sequential(
            tnn.Linear(4, 7), tnn.ReLU(), tnn.Linear(7, 6), tnn.Tanh(), tnn.Linear(6, 2)
        ),
        (4,),
        {},
    ),
}


def _inputs(name: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(1)
    if name == "sentences":
        return random.integers(0, 11, (6, *shape))
    return random.normal(size=(6, *shape)).astype(np.float32)


def _theirs(model: tnn.Module, x: np.ndarray) -> np.ndarray:
    model.eval()
    given = torch.tensor(np.moveaxis(x, -1, 1)) if x.ndim > 2 else torch.tensor(x)
    with torch.no_grad():
        return model(given).numpy()


def _stirred(model: tnn.Module) -> tnn.Module:
    """Give every tensor other numbers than a fresh model has."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.copy_(noise + 0.5 if name.endswith("running_var") else (noise - 0.5))
    return model


@pytest.mark.parametrize("name", CASES)
def test_from_torch_and_back(name: str, tmp_path: Path) -> None:
    ours, theirs, shape, names = CASES[name]
    reference, model, x = _stirred(called(theirs)()), ours(), _inputs(name, shape)
    safetensors_torch.save_file(reference.state_dict(), tmp_path / "theirs.safetensors")
    exchange.load_weights(
        model, tmp_path / "theirs.safetensors", input_shape=shape, names=names
    )
    expected = _theirs(reference, x)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(model.predict(x), expected, atol=1e-5)

    written = exchange.save_weights(
        model, tmp_path / "ours.safetensors", input_shape=shape, names=names
    )
    other = called(theirs)()
    other.load_state_dict(
        safetensors_torch.load_file(written)
    )  # strict: every name and shape
    np.testing.assert_allclose(_theirs(other, x), expected, atol=1e-6)
    for key, value in reference.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(
                other.state_dict()[key].numpy(), value.numpy(), err_msg=key
            )


@pytest.mark.parametrize("name", CASES)
def test_from_us_to_torch(name: str, tmp_path: Path) -> None:
    ours, theirs, shape, names = CASES[name]
    model, reference, x = ours(), called(theirs)(), _inputs(name, shape)
    state = exchange.state_dict(model, input_shape=shape, names=names)
    reference.load_state_dict(
        {key: torch.tensor(value) for key, value in state.items()}
    )
    np.testing.assert_allclose(model.predict(x), _theirs(reference, x), atol=1e-5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_cells_and_both_directions(kind: str) -> None:
    cell, reference = (
        getattr(nn, f"{kind}Cell")(3, 4),
        getattr(tnn, f"{kind}Cell")(3, 4),
    )
    exchange.load_state_dict(
        cell, {k: v.numpy() for k, v in reference.state_dict().items()}
    )
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    found, expected = cell(x), reference(torch.tensor(x))
    found, expected = (found[0], expected[0]) if kind == "LSTM" else (found, expected)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=1e-6)

    both = nn.Parallel(
        getattr(nn, kind)(3, 4),
        getattr(nn, kind)(3, 4, reverse=True),
        join="concatenate",
    )
    theirs = getattr(tnn, kind)(3, 4, batch_first=True, bidirectional=True)
    tensors = {
        "input_weight": "weight_ih",
        "hidden_weight": "weight_hh",
        "input_bias": "bias_ih",
        "hidden_bias": "bias_hh",
    }
    names = {
        f"branches.{i}.{ours}": f"{there}_l0{'_reverse' * i}"
        for i in (0, 1)
        for ours, there in tensors.items()
    }
    exchange.load_state_dict(
        both, {k: v.numpy() for k, v in theirs.state_dict().items()}, names=names
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(
        both(x).numpy(), theirs(torch.tensor(x))[0].detach().numpy(), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions_become_the_models(kind: str, tmp_path: Path) -> None:
    reference, model = tnn.Linear(4, 3).to(getattr(torch, kind)), nn.Linear(4, 3)
    safetensors_torch.save_file(reference.state_dict(), tmp_path / "a")
    exchange.load_weights(model, tmp_path / "a")
    assert model.weight.dtype.name == "float32"
    np.testing.assert_array_equal(
        model.weight.numpy(), reference.weight.detach().float().numpy()
    )
    read = exchange.read_safetensors(tmp_path / "a")
    assert (
        read["bias"].dtype
        == {
            "float16": np.float16,
            "bfloat16": np.float32,
            "float64": np.float64,
        }[kind]
    )


def test_misfits_are_told_by_name_and_change_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, kernel_size=2), nn.BatchNorm(4))
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    state: dict[str, Any] = exchange.state_dict(model)
    state["0.weight"] = np.zeros((4, 2, 2, 3))
    del state["1.running_var"]
    state["fc.weight"] = np.zeros((2, 2))
    with pytest.raises(ArgumentError) as caught:
        exchange.load_state_dict(model, state)
    message = str(caught.value)
    assert "1 missing, 1 unexpected, 1 of another shape" in message
    assert "missing     1.running_var (4)" in message.replace("(4,)", "(4)")
    assert "unexpected  fc.weight (2, 2)" in message
    assert "0.weight: the model has (4, 3, 2, 2), given (4, 2, 2, 3)" in message
    assert {
        name: value.tobytes() for name, value in model.state_dict().items()
    } == before
    with pytest.raises(
        ArgumentError, match="0 missing, 0 unexpected, 1 of another shape"
    ):
        exchange.load_state_dict(model, state, strict=False)
    del state["0.weight"]
    state["0.bias"] = np.arange(4)
    exchange.load_state_dict(model, state, strict=False)
    assert model[0].bias.tolist() == [0, 1, 2, 3]


def test_arguments() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, kernel_size=2), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(
        ArgumentError,
        match="input_shape: expected the shape of one example, because the model flat",
    ):
        exchange.state_dict(model)
    with pytest.raises(
        ArgumentError,
        match=r"names: expected modules of the model \(0, 1, 2\), got 3, head",
    ):
        exchange.state_dict(
            model, input_shape=(2, 2, 3), names={"head": "fc", "3": "x", "2": "y"}
        )
    named = exchange.state_dict(
        model, input_shape=(2, 2, 3), names={"": "net", "2": "head", "0.bias": "b"}
    )
    assert list(named) == ["net.0.weight", "b", "head.weight", "head.bias"]


def test_shared_modules_are_written_once() -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert list(exchange.state_dict(model)) == ["0.weight", "0.bias"]


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(CheckpointError, match="can be read"):
        exchange.load_weights(model, tmp_path / "nothing")
    torch.save({"weight": torch.zeros(1, 2)}, tmp_path / "pickled.pt")
    with pytest.raises(CheckpointError, match=r"torch\.save are programs"):
        exchange.load_weights(model, tmp_path / "pickled.pt")
    whole = exchange.save_weights(model, tmp_path / "a").read_bytes()
    (tmp_path / "b").write_bytes(whole[:-1])
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        exchange.load_weights(model, tmp_path / "b")
    safetensors_torch.save_file(
        {"weight": torch.zeros(1, 2).to(torch.float8_e5m2)}, tmp_path / "c"
    )
    with pytest.raises(CheckpointError, match="got F8"):
        exchange.load_weights(model, tmp_path / "c")
