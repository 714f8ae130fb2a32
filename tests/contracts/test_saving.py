"""The contract of saving: every argument of every layer is in the file, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deltarule as dr
from deltarule import nn
from deltarule.nn import saving
from deltarule.nn.module.arguments import parameters
from deltarule.nn.module.module import Module

UNIFORM = {"name": "Uniform", "low": -0.5, "high": 0.5}
# A value of each parameter that is not the default of any layer; PER_LAYER where a layer needs another one.
VALUES: dict[str, Any] = {
    "activation": "relu",
    "align_corners": True,
    "alpha": 0.7,
    "approximate": True,
    "axis": 0,
    "bias": False,
    "bias_init": UNIFORM,
    "causal": True,
    "ceil_mode": True,
    "count_include_pad": False,
    "deviation": 0.3,
    "dilation": 2,
    "drop_probability": 0.3,
    "epsilon": 0.01,
    "factor": 3,
    "groups": 2,
    "hidden_init": UNIFORM,
    "high": 0.8,
    "in_channels": 4,
    "in_features": 4,
    "init": UNIFORM,
    "interpolation": "linear",
    "inverse": True,
    "join": "concatenate",
    "kernel_size": 3,
    "low": -0.3,
    "mask": [[1, 0, 1], [0, 1, 1]],
    "momentum": 0.8,
    "momentum_weighs": "new",
    "n_axes": 3,
    "n_channels": 6,
    "n_features": 6,
    "n_groups": 3,
    "n_heads": 2,
    "hidden_size": 5,
    "input_size": 3,
    "num_embeddings": 7,
    "embedding_dim": 6,
    "negative_slope": 0.3,
    "norm_first": False,
    "offset": 0.4,
    "out_channels": 6,
    "out_features": 3,
    "output_padding": 1,
    "output_size": [9],
    "p": 3.0,
    "padding": 1,
    "pieces": 3,
    "probability": 0.4,
    "return_indices": True,
    "returns": "last",
    "reverse": True,
    "running_variance_kind": "unbiased",
    "scale_and_shift": False,
    "scale_in": "inference",
    "shape": [4, 4],
    "slope": 0.3,
    "stride": 2,
}
PER_LAYER: dict[str, dict[str, Any]] = {
    "Conv2d": {"kernel_size": [3, 2], "padding": "same"},
    "ConvTranspose2d": {"kernel_size": [3, 2]},
    "InstanceNorm": {"scale_and_shift": True},
    "MaskedLinear": {"bias": [True, False]},
    "MaxPool2d": {"kernel_size": [3, 2], "stride": [1, 2]},
    "MaxUnpool2d": {"output_size": [9, 8]},
    "MaxUnpool3d": {"output_size": [9, 8, 7]},
}
NOT_SAVED = {"seed", "keep_probability"}  # initial values; 1 − drop_probability
SUBMODULES = {"Skip", "Parallel", "Sequential", "Heads", "PerNeuron", "GeneralNetwork"}


def _arguments(kind: type[nn.Module]) -> dict[str, Any]:
    values = {**VALUES, **PER_LAYER.get(kind.__name__, {})}
    return {p.name: values[p.name] for p in parameters(kind) if p.name not in NOT_SAVED}


@pytest.mark.parametrize("name", sorted({*saving.LAYERS} - SUBMODULES))
def test_every_argument_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    kind, path = saving.LAYERS[name], tmp_path / "layer.safetensors"
    given = _arguments(kind)
    for parameter in parameters(kind):
        if parameter.name in given:
            assert given[parameter.name] != parameter.default, parameter
    layer = kind(**given)
    assert layer.config() == {"class": name, "arguments": given}
    layer.save(path)
    twin = dr.load(path)
    assert type(twin) is kind
    assert twin.config() == layer.config()
    for name_of, array in layer.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name_of], array)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Skip(nn.ReLU(), nn.Tanh()),
        nn.Parallel(nn.ReLU(), nn.Tanh(), join="concatenate"),
        nn.Sequential(nn.ReLU(), last=nn.Tanh()),
        nn.Heads(a=nn.ReLU(), b=nn.Tanh()),
        nn.PerNeuron([nn.ReLU(), nn.Tanh()]),
        nn.P(2, 3, 1, activations=[nn.ELU(0.3), nn.Tanh()], biases=False),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_containers_are_saved_with_their_submodules(
    layer: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "layer.safetensors"
    layer.save(path)
    twin = dr.load(path)
    assert twin.config() == layer.config() is not None
    assert repr(twin) == repr(layer)


def test_the_table_of_layers_is_that_of_the_public_classes() -> None:
    public = {
        name
        for name in nn.__all__
        if isinstance(kind := getattr(nn, name), type) and issubclass(kind, Module)
    }
    aliases = {"Residual", "Swish"}
    corruption = {"GaussianCorruption", "MaskingCorruption", "SaltAndPepper"}
    assert {*saving.LAYERS} == public - {
        "Activation",
        "Function",
        "Module",
    } - aliases | (corruption)


class ReLU(nn.Activation):
    """A user-defined class with the name of a layer."""

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        return x * x


def test_user_defined_classes_have_no_config() -> None:
    assert ReLU().config() is None
    assert nn.Sequential(nn.Linear(2, 2), ReLU()).config() is None


class Scaled(nn.Module):
    """A user-defined class that describes itself."""

    def forward(self, x: dr.Tensor) -> dr.Tensor:
        return x * 2

    def arguments(self) -> dict[str, Any]:
        return {}


def test_user_defined_classes_may_describe_themselves() -> None:
    assert Scaled().config() == {"class": "Scaled", "arguments": {}}
