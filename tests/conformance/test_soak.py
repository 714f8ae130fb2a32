"""Ten minutes of random models: memory stays flat, and the last model is as exact as the first."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from deltarule import nn, optim

SECONDS = float(os.environ.get("DELTARULE_SOAK_SECONDS", "600"))
WARM_UP = 0.3  # of the time: caches fill
OPTIMIZERS = (optim.SGD, optim.Adam, optim.RMSProp, optim.AdaGrad)
ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.ELU)


def _dense(
    generator: np.random.Generator,
) -> tuple[nn.Sequential, tuple[int, ...], int]:
    """Return a network of random depth and widths, the shape of its inputs, and its number of classes."""
    sizes = generator.integers(1, 80, generator.integers(2, 5))
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [
            nn.Linear(int(before), int(after)),
            generator.choice(np.array(ACTIVATIONS))(),
        ]
        if generator.random() < 0.3:
            layers.append(nn.Dropout(drop_probability=0.3))
        if generator.random() < 0.3:
            layers.append(nn.BatchNorm(int(after)))
    classes = int(generator.integers(2, 12))
    return (
        nn.Sequential(*layers, nn.Linear(int(sizes[-1]), classes)),
        (int(sizes[0]),),
        classes,
    )


def _convolutional(
    generator: np.random.Generator,
) -> tuple[nn.Sequential, tuple[int, ...], int]:
    """Return a convolution, a pooling and a dense layer of random sizes."""
    side, channels, filters = (
        int(n) for n in generator.integers((6, 1, 1), (14, 5, 12))
    )
    kernel = int(generator.integers(1, 4))
    network = nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size=kernel),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(((side - kernel + 1) // 2) ** 2 * filters, 3),
    )
    return network, (side, side, channels), 3


def _resident() -> int:
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _train(seed: int, device: str) -> Any:
    generator = np.random.default_rng(seed)
    network, shape, classes = (_convolutional if generator.random() < 0.3 else _dense)(
        generator
    )
    network.initialize(0)
    n, batch_size = int(generator.integers(4, 200)), int(generator.integers(2, 40))
    n -= n % batch_size == 1  # a batch of one example has no variance to normalise by
    x, y = (
        generator.normal(size=(n, *shape)).astype(np.float32),
        generator.integers(0, classes, n),
    )
    history = network.fit(
        x,
        y,
        loss="cross_entropy",
        optimizer=generator.choice(np.array(OPTIMIZERS))(learning_rate=1e-3),
        epochs=2,
        batch_size=batch_size,
        device=device,
        verbose=0,
        seed=seed,
    )
    return np.asarray(history["loss"]), network.predict(x, device=device)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat_and_results_do_not_drift(
    record_property: Callable[[str, object], None],
) -> None:
    begun = time.monotonic()
    resident: list[int] = []
    seed = 0
    while time.monotonic() - begun < SECONDS or seed < 20:
        ours, _ = _train(seed, "cpu")
        if seed % 10 == 0:
            np.testing.assert_allclose(ours, _train(seed, "reference")[0], rtol=2e-3)
            np.testing.assert_array_equal(ours, _train(seed, "cpu")[0])
        seed += 1
        if time.monotonic() - begun > SECONDS * WARM_UP and seed % 10 == 0:
            resident.append(_resident())
    third = max(1, len(resident) // 3)
    early, late = np.median(resident[:third]), np.median(resident[-third:])
    assert late < early * 1.05 + 2e6, (
        f"{seed} models: {early / 1e6:.0f} MB grew to {late / 1e6:.0f} MB"
    )
    record_property(
        "soak",
        f"{seed} models, resident {early / 1e6:.0f} MB, then {late / 1e6:.0f} MB",
    )
