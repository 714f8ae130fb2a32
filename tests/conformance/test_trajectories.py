"""Two hundred steps of every workload: native against reference backend, and against PyTorch.

In float64 the three agree to many digits. In float32 a pre-activation within rounding of 0 sooner or later falls
on different sides in different summation orders, and from then on runs differ as two runs of one library on two
machines do; there, losses are held together for as long as that takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deltarule.backends.base import Backend
from deltarule.cli.commands.bench import build_step
from deltarule.cli.workloads import LATENT, WORKLOADS
from deltarule.nn.context import FIRST_STREAM
from deltarule.runtime.devices import backend
from deltarule.tensor.random import random_normal, random_uniform
from support.float64 import orders, prepared
from support.oracles import torch

Array = npt.NDArray[Any]
STEPS = 200
QUICK = {"W1", "W2", "W5"}
EXACT = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
    for name in WORKLOADS
]


def _trained(
    engine: Backend, program: Any, state: list[Array], data: list[Array], order: Array
) -> tuple[Array, Any]:
    runner = engine.compile_step(program, 2)
    runner.load(state)
    return runner.run(data, order, 0, 0), runner.read()


@pytest.mark.parametrize("name", EXACT)
def test_native_steps_agree_with_the_reference(name: str) -> None:
    workload, program, state, data = prepared(name, STEPS)
    order = orders(workload, len(data[0]), STEPS)
    (ours, mine), (theirs, wanted) = (
        _trained(backend(device), program, state, data, order)
        for device in ("cpu", "reference")
    )
    assert len(ours) == STEPS
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    for a, b in zip(mine, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


# Steps in float32 until a rectifier or a maximum tips for the first time with these seeds.
SINGLE = {
    "W1": 200,
    "W2": 200,
    "W5": 200,
    "W8": 200,
    "W9": 200,
    "W13": 200,
    "W3": 40,
    "W6": 20,
    "W12": 20,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_follows_the_reference(name: str) -> None:
    workload, steps = WORKLOADS[name], SINGLE[name]
    arrays = workload.data(
        min(workload.examples, steps * workload.batch_size), np.random.default_rng(0)
    )
    step, state = build_step(workload, arrays)
    order = orders(workload, len(arrays[0]), steps)
    ours, theirs = (
        _trained(backend(device), step.program, state, list(arrays), order)[0]
        for device in ("cpu", "reference")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def _network(name: str) -> torch.nn.Module:
    """Return PyTorch's twin of a workload's network, its parameters in the order of ours."""
    nn = torch.nn
    if name in {"W6", "W12"}:
        channels, first, flat = (3, 8, 400) if name == "W6" else (1, 6, 256)
        return nn.Sequential(
            nn.Conv2d(channels, first, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(flat, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, 10),
        )
    if name == "W7":
        layers: list[torch.nn.Module] = []
        for before, after, pool in (
            (3, 32, False),
            (32, 32, True),
            (32, 64, False),
            (64, 64, True),
        ):
            layers += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
            layers += [nn.MaxPool2d(2)] if pool else []
        return nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
        )
    sizes = {
        "W1": (784, 10),
        "W2": (784, 128, 10),
        "W3": (784, 512, 512, 10),
        "W4": (1024, 2048, 2048, 2048, 10),
        "W5": (30, 64, 64, 1),
        "W9": (784, 256, 64, 256, 784),
        "W13": (4, 32, 16, 4),
        "W8": (784, 400, 2 * LATENT, 400, 784),
    }[name]
    inputs = [LATENT if name == "W8" and size == 2 * LATENT else size for size in sizes]
    dense = [
        nn.Linear(before, after)
        for before, after in zip(inputs[:-1], sizes[1:], strict=True)
    ]
    hidden = nn.Tanh if name == "W13" else nn.ReLU
    return nn.Sequential(
        *(part for layer in dense[:-1] for part in (layer, hidden())), dense[-1]
    )


def _loss(
    name: str, network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, step: int
) -> torch.Tensor:
    f = torch.nn.functional
    if name == "W3":
        for place, layer in enumerate(network.children()):
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                drawn = random_uniform(
                    tuple(x.shape), 0, step, FIRST_STREAM + place // 2, "float64"
                ).numpy()
                x = x * torch.from_numpy(drawn >= 0.2) / 0.8
        return f.cross_entropy(x, y)
    if name == "W8":
        encoder, rectifier, moments, _, decoder, _, out = network.children()
        mean, log_variance = moments(rectifier(encoder(x))).split(LATENT, 1)
        noise = torch.from_numpy(
            random_normal(tuple(mean.shape), 0, step, FIRST_STREAM, "float64").numpy()
        )
        logits = out(rectifier(decoder(mean + noise * torch.exp(log_variance / 2))))
        divergence = (log_variance.exp() + mean * mean - log_variance - 1).sum(
            1
        ).mean() / 2
        return f.binary_cross_entropy_with_logits(logits, y) + divergence / 784
    losses = {
        "cross_entropy": f.cross_entropy,
        "mean_squared_error": f.mse_loss,
        "binary_cross_entropy": f.binary_cross_entropy_with_logits,
    }
    return losses[WORKLOADS[name].loss](network(x), y)


def _set(network: torch.nn.Module, state: list[Array]) -> list[torch.nn.Parameter]:
    """Give a network our first parameters: kernels (out, height, width, in) as (out, in, height, width)."""
    parameters = list(network.parameters())
    for parameter, value in zip(parameters, state, strict=False):
        ours = value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
        parameter.data = torch.from_numpy(_flattened(network, parameter, ours).copy())
    return parameters


def _flattened(
    network: torch.nn.Module, parameter: torch.nn.Parameter, value: Array
) -> Array:
    """Reorder the columns of a dense layer that follows images: ours are channels-last, PyTorch's channels-first."""
    flat = [
        i
        for i, layer in enumerate(network.children())
        if isinstance(layer, torch.nn.Flatten)
    ]
    follows = [
        layer for i, layer in enumerate(network.children()) if flat and i == flat[0] + 1
    ]
    if (
        value.ndim != 2
        or not follows
        or follows[0].weight is not parameter
        or value.shape[1] == 64
    ):
        return value
    side = round((value.shape[1] / 16) ** 0.5)
    return (
        value.reshape(len(value), side, side, 16)
        .transpose(0, 3, 1, 2)
        .reshape(len(value), -1)
    )


def _optimizer(
    name: str, parameters: list[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    settings = WORKLOADS[name].optimizer.config()
    rate = settings["learning_rate"]
    kind = type(WORKLOADS[name].optimizer).__name__
    if kind == "SGD":
        return torch.optim.SGD(parameters, rate, momentum=settings["momentum"])
    return (
        torch.optim.Adam(parameters, rate)
        if kind == "Adam"
        else torch.optim.RMSprop(parameters, rate, alpha=0.99)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_native_steps_agree_with_pytorch(name: str) -> None:
    workload, program, state, data = prepared(name, STEPS)
    order = orders(workload, len(data[0]), STEPS)
    ours, last = _trained(backend("cpu"), program, state, data, order)
    losses = ours[:, 0] + (ours[:, 1] if name == "W8" else 0.0)

    network = _network(name).double()
    optimizer = _optimizer(name, parameters := _set(network, state))
    theirs = []
    for step, rows in enumerate(order.reshape(STEPS, -1)):
        x, y = (torch.from_numpy(array[rows]) for array in data)
        x = x.permute(0, 3, 1, 2) if x.ndim == 4 else x
        optimizer.zero_grad()
        loss = _loss(name, network, x, y, step)
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    np.testing.assert_allclose(losses, theirs, rtol=1e-6)
    for parameter, value in zip(parameters, last, strict=False):
        wanted = value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
        wanted = _flattened(network, parameter, wanted)
        np.testing.assert_allclose(
            parameter.detach().numpy(), wanted, rtol=1e-4, atol=1e-6
        )
