"""Every layer against torch in float64: outputs, gradients of inputs and parameters, running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn as tnn

import deltarule as dr
from deltarule import nn

TOLERANCE = 1e-10


@dataclass(frozen=True)
class Pair:
    """Our layer, torch's, the shape of a batch, and how torch's parameters are called there."""

    ours: Callable[[], nn.Module]
    torchs: Callable[[], tnn.Module]
    shape: tuple[int, ...]
    names: dict[str, str] | None = None
    state: dict[str, str] | None = None
    name: str = ""

    @property
    def id(self) -> str:
        return f"{type(self.ours()).__name__}{'-' + self.name if self.name else ''}"


class _Last(tnn.Module):
    """A torch module on channels-last arrays."""

    def __init__(self, inner: tnn.Module, pad: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.inner, self.pad = inner, pad

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(tnn.functional.pad(x.movedim(-1, 1), self.pad))
        return y.movedim(1, -1) if y.ndim > 2 else y


class _Global(tnn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=tuple(range(2, x.ndim)))


WEIGHTS = {"weight": "weight", "bias": "bias"}
INNER = {"weight": "inner.weight", "bias": "inner.bias"}
NORM = {"scale": "weight", "shift": "bias"}
INNER_NORM = {"scale": "inner.weight", "shift": "inner.bias"}
RUNNING = {"running_mean": "running_mean", "running_variance": "running_var"}
INNER_RUNNING = {ours: f"inner.{theirs}" for ours, theirs in RUNNING.items()}
VECTORS, SIGNALS, IMAGES, VOLUMES = (5, 4), (3, 9, 2), (3, 7, 6, 4), (2, 4, 5, 3, 2)


def _torch_habits(n: int) -> nn.Module:
    return nn.BatchNorm(n, 0.1, momentum_weighs="new", running_variance_kind="unbiased")


PAIRS = [
    Pair(lambda: nn.Linear(4, 3), lambda: tnn.Linear(4, 3), VECTORS, WEIGHTS),
    Pair(lambda: nn.Linear(4, 3, bias=False), lambda: tnn.Linear(4, 3, bias=False), (4,), {"weight": "weight"},
         name="one"),
    Pair(lambda: nn.Linear(2, 3), lambda: tnn.Linear(2, 3), SIGNALS, WEIGHTS, name="sequences"),
    Pair(lambda: nn.Conv1d(2, 3, 3, 2, 1), lambda: _Last(tnn.Conv1d(2, 3, 3, 2, 1)), SIGNALS, INNER),
    Pair(lambda: nn.Conv1d(2, 3, 4, padding="same"), lambda: _Last(tnn.Conv1d(2, 3, 4), (1, 2)), SIGNALS, INNER,
         name="same"),
    Pair(lambda: nn.Conv2d(4, 6, 3), lambda: _Last(tnn.Conv2d(4, 6, 3)), IMAGES, INNER),
    Pair(lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
         lambda: _Last(tnn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2)), IMAGES, INNER, name="strided"),
    Pair(lambda: nn.Conv2d(4, 4, 3, padding="same", groups=4),
         lambda: _Last(tnn.Conv2d(4, 4, 3, padding="same", groups=4)), IMAGES, INNER, name="depthwise"),
    Pair(lambda: nn.Conv3d(2, 3, 2, padding=1), lambda: _Last(tnn.Conv3d(2, 3, 2, padding=1)), VOLUMES, INNER),
    Pair(lambda: nn.MaxPool1d(2), lambda: _Last(tnn.MaxPool1d(2)), SIGNALS),
    Pair(lambda: nn.MaxPool2d(2), lambda: _Last(tnn.MaxPool2d(2)), IMAGES),
    Pair(lambda: nn.MaxPool2d(3, 2, 1), lambda: _Last(tnn.MaxPool2d(3, 2, 1)), IMAGES, name="padded"),
    Pair(lambda: nn.MaxPool3d(2), lambda: _Last(tnn.MaxPool3d(2)), VOLUMES),
    Pair(lambda: nn.AvgPool1d(2, 1), lambda: _Last(tnn.AvgPool1d(2, 1)), SIGNALS),
    Pair(lambda: nn.AvgPool2d((2, 3), (2, 1), 1), lambda: _Last(tnn.AvgPool2d((2, 3), (2, 1), 1)), IMAGES),
    Pair(lambda: nn.AvgPool3d(2), lambda: _Last(tnn.AvgPool3d(2)), VOLUMES),
    Pair(nn.GlobalAvgPool1d, lambda: _Last(_Global()), SIGNALS),
    Pair(nn.GlobalAvgPool2d, lambda: _Last(_Global()), IMAGES),
    Pair(nn.GlobalAvgPool3d, lambda: _Last(_Global()), VOLUMES),
    Pair(nn.Flatten, tnn.Flatten, IMAGES),
    Pair(lambda: _torch_habits(4), lambda: tnn.BatchNorm1d(4), VECTORS, NORM, RUNNING),
    Pair(lambda: _torch_habits(4), lambda: _Last(tnn.BatchNorm2d(4)), IMAGES, INNER_NORM, INNER_RUNNING, name="images"),
    Pair(lambda: nn.LayerNorm(4), lambda: tnn.LayerNorm(4), VECTORS, NORM),
    Pair(lambda: nn.LayerNorm((7, 6, 4)), lambda: tnn.LayerNorm((7, 6, 4)), IMAGES, NORM, name="images"),
    Pair(nn.Identity, tnn.Identity, VECTORS),
    Pair(nn.ReLU, tnn.ReLU, VECTORS),
    Pair(lambda: nn.LeakyReLU(0.1), lambda: tnn.LeakyReLU(0.1), VECTORS),
    Pair(nn.PReLU, tnn.PReLU, VECTORS, {"alpha": "weight"}),
    Pair(lambda: nn.PReLU(4), lambda: _Last(tnn.PReLU(4)), IMAGES, {"alpha": "inner.weight"}, name="channels"),
    Pair(lambda: nn.ELU(0.7), lambda: tnn.ELU(0.7), VECTORS),
    Pair(nn.SELU, tnn.SELU, VECTORS),
    Pair(nn.GELU, tnn.GELU, VECTORS),
    Pair(lambda: nn.GELU(approximate=True), lambda: tnn.GELU(approximate="tanh"), VECTORS, name="tanh"),
    Pair(nn.SiLU, tnn.SiLU, VECTORS),
    Pair(nn.Softplus, tnn.Softplus, VECTORS),
    Pair(nn.Sigmoid, tnn.Sigmoid, VECTORS),
    Pair(nn.LogSigmoid, tnn.LogSigmoid, VECTORS),
    Pair(nn.Tanh, tnn.Tanh, VECTORS),
    Pair(nn.Softmax, lambda: tnn.Softmax(-1), VECTORS),
    Pair(lambda: nn.LogSoftmax(0), lambda: tnn.LogSoftmax(0), VECTORS),
]  # fmt: skip


def _close(ours: Any, torchs: torch.Tensor, what: str) -> None:
    np.testing.assert_allclose(np.asarray(ours), torchs.detach().numpy(), rtol=0, atol=TOLERANCE, err_msg=what)


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_forward_gradients_and_state(pair: Pair, mode: Any) -> None:
    random = np.random.default_rng(0)
    ours, theirs = pair.ours().astype("float64"), pair.torchs().double().train(mode == "training")
    entries = dict(theirs.state_dict())
    names = {**(pair.names or {}), **(pair.state or {})}
    assert set(names) == {name for name, _ in ours.named_tensors()}
    for name, item in ours.named_tensors():
        value = random.uniform(0.5, 1.5, item.shape)
        item.assign(value)
        stored = torch.tensor(value)
        if name == "weight" and stored.ndim > 2:
            stored = stored.movedim(-1, 1)
        entries[names[name]].copy_(stored)
    array = random.normal(size=pair.shape)
    x, tx = dr.tensor(array), torch.tensor(array, requires_grad=True)

    expected = theirs(tx)
    applied = ours.apply(x, mode=mode) if x.ndim > 1 else None
    output = ours(x) if applied is None else applied.output
    pull = random.normal(size=output.shape)
    wrt = [x, *(p for _, p in ours.named_parameters())]
    slopes = dr.grad((output * dr.tensor(pull)).sum(), wrt)
    _close(output.numpy(), expected, "output")
    (expected * torch.tensor(pull)).sum().backward()
    _close(slopes[0].numpy(), tx.grad, "gradient of the input")
    theirs_by_name = dict(theirs.named_parameters())
    for (name, _), slope in zip(ours.named_parameters(), slopes[1:], strict=True):
        gradient = theirs_by_name[names[name]].grad
        if name == "weight" and gradient.ndim > 2:
            gradient = gradient.movedim(1, -1)
        _close(slope.numpy(), gradient, f"gradient of {name}")

    if pair.state and applied is not None:
        changed = {name: value.numpy() for name, value in applied.state.items()}
        for name, theirs_name in pair.state.items():
            before = dict(ours.named_state())[name].numpy()
            _close(changed.get(name, before), theirs.state_dict()[theirs_name], name)


def test_dropout_scales_as_torch_does() -> None:
    x = np.random.default_rng(0).normal(size=(400, 50))
    ours = nn.Dropout(0.3)(x, mode="training", seed=1).numpy()
    theirs = tnn.Dropout(0.3)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours[ours != 0], (x / 0.7)[ours != 0], rtol=1e-14)
    np.testing.assert_allclose(theirs[theirs != 0], (x / 0.7)[theirs != 0], rtol=1e-14)
    deviation = np.sqrt(0.3 * 0.7 / x.size)
    assert abs(np.mean(ours == 0) - 0.3) < 4 * deviation


def test_a_network_trains_as_in_torch() -> None:
    """Ten steps of gradient descent on a convolutional network give torch's parameters."""
    random = np.random.default_rng(3)
    ours = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm(3, 0.1, momentum_weighs="new", running_variance_kind="unbiased"), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 5), nn.Tanh(), nn.Linear(5, 2),
    ).astype("float64")  # fmt: skip
    theirs = tnn.Sequential(
        tnn.Conv2d(1, 3, 3), tnn.BatchNorm2d(3), tnn.ReLU(), tnn.MaxPool2d(2), tnn.Flatten(), tnn.Linear(27, 5),
        tnn.Tanh(), tnn.Linear(5, 2),
    ).double()  # fmt: skip
    to_first = np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0).ravel()  # channels-last position → channels-first
    with torch.no_grad():
        theirs[0].weight.copy_(torch.tensor(ours[0].weight.numpy()).movedim(-1, 1))
        theirs[5].weight[:, to_first] = torch.tensor(ours[5].weight.numpy())
        theirs[7].weight.copy_(torch.tensor(ours[7].weight.numpy()))
        for i in (0, 5, 7):
            theirs[i].bias.zero_()
    x, y = random.normal(size=(6, 8, 8, 1)), random.normal(size=(6, 2))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    for _ in range(10):
        optimizer.zero_grad()
        ((theirs(torch.tensor(x).movedim(-1, 1)) - torch.tensor(y)) ** 2).mean().backward()
        optimizer.step()
        loss = ((ours(x, mode="training") - y) ** 2).mean()
        parameters = ours.parameters()
        for p, slope in zip(parameters, dr.grad(loss, parameters), strict=True):
            p.assign(p.numpy() - 0.05 * slope.numpy())
    _close(ours[0].weight.numpy(), theirs[0].weight.movedim(1, -1), "convolution")
    _close(ours[5].weight.numpy(), theirs[5].weight[:, to_first], "dense")
    _close(ours[1].running_mean.numpy(), theirs[1].running_mean, "running mean")
    _close(ours[1].running_variance.numpy(), theirs[1].running_var, "running variance")
    theirs.eval()
    _close(ours(x).numpy(), theirs(torch.tensor(x).movedim(-1, 1)), "inference")
