"""The benchmark workloads of ``deltarule bench``: networks, data, optimisers and floating-point operations per step.

The data are synthetic and equal for all engines: images like those of MNIST (19 % of the pixels are non-zero) or normal
features, with labels from a fixed linear rule, so that the loss can decrease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
import numpy.typing as npt

from deltarule import nn, optim
from deltarule.errors import ArgumentError
from deltarule.losses import get as get_loss
from deltarule.optim import Optimizer
from deltarule.tensor.functional import exp
from deltarule.tensor.random import random_normal
from deltarule.tensor.tensor import Tensor
from deltarule.train.steps.step import StepSpec, Task, columns, training_step

Array = npt.NDArray[Any]
LATENT = 20


@final
class VariationalAutoencoder(nn.Module):
    """A VAE 784-400-20-400-784 with Gaussian posterior and Bernoulli decoder; minimises the negative ELBO over 784."""

    def __init__(self) -> None:
        self.encoder = nn.Linear(784, 400)
        self.moments = nn.Linear(400, 2 * LATENT)
        self.decoder = nn.Sequential(
            nn.Linear(LATENT, 400), nn.ReLU(), nn.Linear(400, 784)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the reconstruction from a sampled latent code."""
        both = self.moments(nn.relu(self.encoder(x)))
        mean, log_variance = both[:, :LATENT], both[:, LATENT:]
        context = nn.context.require("VariationalAutoencoder")
        if context.mode == "inference":
            return self._decoded(mean)
        seed, step, stream = context.draw("VariationalAutoencoder")
        noise = random_normal(mean.shape, seed, step, stream)
        divergence = (exp(log_variance) + mean * mean - log_variance - 1.0).sum(1) * 0.5
        # the loss is a mean over 784 pixels, too
        nn.add_penalty(divergence.mean() / 784.0)
        return self._decoded(mean + noise * exp(log_variance * 0.5))

    def _decoded(self, code: Tensor) -> Tensor:
        logits: Tensor = self.decoder(code)
        return logits


def _mlp(
    *sizes: int, activation: Callable[[], nn.Module] = nn.ReLU, drop: float = 0.0
) -> nn.Module:
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(before, after))
        if i < len(sizes) - 2:
            layers.append(activation())
            if drop:
                layers.append(nn.Dropout(drop_probability=drop))
    return nn.Sequential(*layers)


def _lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _small_lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _vgg_like() -> nn.Module:
    def block(before: int, after: int) -> list[nn.Module]:
        return [
            nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm(after),
            nn.ReLU(),
        ]

    return nn.Sequential(
        *block(3, 32),
        *block(32, 32),
        nn.MaxPool2d(2),
        *block(32, 64),
        *block(64, 64),
        nn.MaxPool2d(2),
        nn.GlobalAvgPool2d(),
        nn.Linear(64, 10),
    )


def _pixels(n: int, generator: np.random.Generator) -> Array:
    x = generator.random((n, 784), dtype=np.float32)
    return x * (generator.random((n, 784), dtype=np.float32) < 0.19)


def _labelled_pixels(n: int, generator: np.random.Generator) -> tuple[Array, Array]:
    x = _pixels(n, generator)
    rule = generator.standard_normal((784, 10), dtype=np.float32)
    return x, ((x - x.mean(0)) @ rule).argmax(1).astype(np.int64)


def _reconstructed_pixels(
    n: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    x = _pixels(n, generator)
    return x, x


def _features(width: int) -> Callable[[int, np.random.Generator], tuple[Array, Array]]:
    def make(n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        x = generator.standard_normal((n, width), dtype=np.float32)
        return x, (x @ generator.standard_normal((width, 10), dtype=np.float32)).argmax(
            1
        ).astype(np.int64)

    return make


def _binary(n: int, generator: np.random.Generator) -> tuple[Array, Array]:
    x = generator.standard_normal((n, 30), dtype=np.float32)
    return x, (x @ generator.standard_normal((30, 1), dtype=np.float32) > 0).astype(
        np.float32
    )


def _images(
    side: int, channels: int
) -> Callable[[int, np.random.Generator], tuple[Array, Array]]:
    def make(n: int, generator: np.random.Generator) -> tuple[Array, Array]:
        x = generator.standard_normal(
            (n, side, side, channels), dtype=np.float32
        ) * np.float32(0.5)
        rule = generator.standard_normal((channels, 10), dtype=np.float32)
        return x, (x.mean((1, 2)) @ rule).argmax(1).astype(np.int64)

    return make


def _regression(n: int, generator: np.random.Generator) -> tuple[Array, Array]:
    x = generator.standard_normal((n, 4), dtype=np.float32)
    return x, np.tanh(x @ generator.standard_normal((4, 4), dtype=np.float32))


def dense_flops(*sizes: int) -> int:
    """Return the operations of forward pass, weight and input gradients of dense layers, per example.

    The first layer needs no input gradient.

    >>> dense_flops(784, 10)
    31360
    """
    return sum(
        2 * a * b * (2 if i == 0 else 3) for i, (a, b) in enumerate(pairwise(sizes))
    )


def convolution_flops(
    kernel: int, before: int, after: int, height: int, width: int, first: bool = False
) -> int:
    """Return the operations of forward pass, weight and input gradients of a convolution, per example.

    Args:
        kernel: Size of the square kernel.
        before: Input channels.
        after: Output channels.
        height: Height of the output.
        width: Width of the output.
        first: Whether it is the first layer, which needs no input gradient.

    >>> convolution_flops(3, 1, 8, 10, 10, first=True)
    28800
    """
    return 2 * kernel * kernel * before * after * height * width * (2 if first else 3)


@dataclass(frozen=True)
class Workload:
    """A training workload; ``flops`` counts multiplications and additions of contractions per example and step.

    >>> WORKLOADS["W2"].title, WORKLOADS["W2"].batch_size
    ('MLP 784-128-10', 64)
    """

    name: str
    title: str
    batch_size: int
    examples: int
    loss: str
    optimizer: Optimizer
    model: Callable[[], nn.Module]
    data: Callable[[int, np.random.Generator], tuple[Array, Array]]
    flops: int

    def arrays(self) -> tuple[Array, Array]:
        """Return inputs and targets, equal at every call."""
        return self.data(self.examples, np.random.default_rng(0))

    def network(self) -> nn.Module:
        """Return the network, with equal weights at every call."""
        made = self.model()
        made.initialize(0)
        return made


_W6 = (
    convolution_flops(5, 3, 8, 28, 28, True)
    + convolution_flops(5, 8, 16, 10, 10)
    + 3 * 2 * (48000 + 10080 + 840)
)
_W7 = (
    convolution_flops(3, 3, 32, 32, 32, True)
    + convolution_flops(3, 32, 32, 32, 32)
    + convolution_flops(3, 32, 64, 16, 16)
    + convolution_flops(3, 64, 64, 16, 16)
    + 3 * 2 * 640
)
_W12 = (
    convolution_flops(5, 1, 6, 24, 24, True)
    + convolution_flops(5, 6, 16, 8, 8)
    + 3 * 2 * (30720 + 10080 + 840)
)
WORKLOADS: dict[str, Workload] = {
    w.name: w
    for w in (
        Workload(
            "W1",
            "softmax regression 784→10",
            64,
            60_000,
            "cross_entropy",
            optim.SGD(learning_rate=0.05),
            lambda: _mlp(784, 10),
            _labelled_pixels,
            dense_flops(784, 10),
        ),
        Workload(
            "W2",
            "MLP 784-128-10",
            64,
            60_000,
            "cross_entropy",
            optim.SGD(learning_rate=0.02, momentum=0.9),
            lambda: _mlp(784, 128, 10),
            _labelled_pixels,
            dense_flops(784, 128, 10),
        ),
        Workload(
            "W3",
            "MLP 784-512-512-10, dropout 0.2",
            128,
            60_000,
            "cross_entropy",
            optim.Adam(learning_rate=1e-3),
            lambda: _mlp(784, 512, 512, 10, drop=0.2),
            _labelled_pixels,
            dense_flops(784, 512, 512, 10),
        ),
        Workload(
            "W4",
            "MLP 1024-2048-2048-2048-10",
            512,
            8192,
            "cross_entropy",
            optim.Adam(learning_rate=1e-4),
            lambda: _mlp(1024, 2048, 2048, 2048, 10),
            _features(1024),
            dense_flops(1024, 2048, 2048, 2048, 10),
        ),
        Workload(
            "W5",
            "MLP 30-64-64-1",
            32,
            20_480,
            "binary_cross_entropy",
            optim.Adam(learning_rate=1e-3),
            lambda: _mlp(30, 64, 64, 1),
            _binary,
            dense_flops(30, 64, 64, 1),
        ),
        Workload(
            "W6",
            "LeNet-5-like on 32×32×3",
            64,
            10_240,
            "cross_entropy",
            optim.Adam(learning_rate=1e-3),
            _lenet,
            _images(32, 3),
            _W6,
        ),
        Workload(
            "W7",
            "four conv-BN-ReLU, 32 and 64 channels, 32×32×3",
            128,
            2560,
            "cross_entropy",
            optim.SGD(learning_rate=0.02, momentum=0.9),
            _vgg_like,
            _images(32, 3),
            _W7,
        ),
        Workload(
            "W8",
            "VAE 784-400-20-400-784",
            128,
            60_000,
            "binary_cross_entropy",
            optim.Adam(learning_rate=1e-3),
            VariationalAutoencoder,
            _reconstructed_pixels,
            dense_flops(784, 400) + 3 * 2 * (400 * 40 + 20 * 400 + 400 * 784),
        ),
        Workload(
            "W9",
            "autoencoder 784-256-64-256-784",
            128,
            60_000,
            "mean_squared_error",
            optim.RMSProp(learning_rate=1e-3, beta=0.99, epsilon_place="outside"),
            lambda: _mlp(784, 256, 64, 256, 784),
            _reconstructed_pixels,
            dense_flops(784, 256, 64, 256, 784),
        ),
        Workload(
            "W12",
            "LeNet-5 on 28×28×1",
            64,
            60_000,
            "cross_entropy",
            optim.Adam(learning_rate=1e-3),
            _small_lenet,
            _images(28, 1),
            _W12,
        ),
        Workload(
            "W13",
            "tanh net 4-32-16-4, full batch",
            10_000,
            10_000,
            "mean_squared_error",
            optim.Adam(learning_rate=1e-3),
            lambda: _mlp(4, 32, 16, 4, activation=nn.Tanh),
            _regression,
            dense_flops(4, 32, 16, 4),
        ),
    )
}


def workloads_named(names: tuple[str, ...]) -> list[Workload]:
    """Return the workloads with these names; all workloads if there are none.

    >>> [workload.name for workload in workloads_named(("w2", "W6"))]
    ['W2', 'W6']
    """
    unknown = [name for name in names if name.upper() not in WORKLOADS]
    if unknown:
        raise ArgumentError(
            "bench",
            expected=f"names among {', '.join(WORKLOADS)}, W10, W11",
            got=repr(unknown[0]),
        )
    return (
        [WORKLOADS[name.upper()] for name in names]
        if names
        else list(WORKLOADS.values())
    )


def build_step(
    workload: Workload, arrays: Sequence[Array]
) -> tuple[StepSpec, list[Array]]:
    """Return the training step of a workload and its initial state."""
    model = workload.network()
    task = Task(model, get_loss(workload.loss), (), workload.optimizer)
    step = training_step(task, columns(arrays), workload.batch_size)
    values = [tensor.numpy() for _, tensor in model.named_parameters()]
    slots = [tensor.numpy() for tensor in step.slots]
    running = [tensor.numpy() for _, tensor in model.named_state()]
    return step, [*values, *slots, *running, *step.constants]
