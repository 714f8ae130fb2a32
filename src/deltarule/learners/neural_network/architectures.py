"""Standard network architectures by their sizes: multilayer perceptrons and convolutional networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.learners.base import at_least, whole

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def whole_numbers(where: str, values: Any) -> tuple[int, ...]:
    """Return sizes as a tuple (a single number is one size); raise ArgumentError unless all are integers ≥ 1.

    >>> whole_numbers("hidden_sizes", 8), whole_numbers("hidden_sizes", [8, 4])
    ((8,), (8, 4))
    """
    sizes = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    if not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in sizes
    ):
        raise ArgumentError(where, expected="whole numbers ≥ 1", got=repr(values))
    return sizes


def _whole_number(where: str, value: Any) -> int:
    if not whole(1)(value):
        raise ArgumentError(where, expected="a whole number ≥ 1", got=repr(value))
    return int(value)


def activation(where: str, name: str) -> nn.Module:
    """Return a new activation layer by name.

    >>> activation("MLPClassifier", "relu")
    ReLU
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ArgumentError(
            f"{where} activation",
            expected=f"one of {', '.join(ACTIVATIONS)}",
            got=repr(name),
        )
    return ACTIVATIONS[name]()


def _normalised(where: str, batch_norm: bool, size: int) -> list[nn.Module]:
    if not isinstance(batch_norm, (bool, np.bool_)):
        raise ArgumentError(
            f"{where} batch_norm", expected="True or False", got=repr(batch_norm)
        )
    return [nn.BatchNorm(size)] if batch_norm else []


def _dropped(where: str, drop_probability: float) -> list[nn.Module]:
    if not at_least(0)(drop_probability) or drop_probability >= 1:
        raise ArgumentError(
            f"{where} dropout",
            expected="a probability in [0, 1)",
            got=repr(drop_probability),
        )
    return [nn.Dropout(drop_probability)] if drop_probability else []


def dense_layers(
    where: str,
    n_inputs: int,
    sizes: Sequence[int],
    name: str,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> list[nn.Module]:
    """Return hidden layers: Linear, optional BatchNorm, activation and optional Dropout for each size.

    >>> dense_layers("MLPClassifier", 4, (8,), "relu", dropout=0.5)
    [Linear(4→8), ReLU, Dropout(0.5)]
    """
    layers: list[nn.Module] = []
    for size in whole_numbers(f"{where} hidden_sizes", sizes):
        layers += [
            nn.Linear(n_inputs, size),
            *_normalised(where, batch_norm, size),
            activation(where, name),
        ]
        layers += _dropped(where, dropout)
        n_inputs = size
    return layers


def perceptron(
    where: str,
    n_inputs: int,
    sizes: int | Sequence[int],
    n_outputs: int,
    name: str,
    dropout: float,
    batch_norm: bool,
) -> nn.Sequential:
    """Return a multilayer perceptron: hidden layers and a linear output layer.

    >>> perceptron("MLPClassifier", 4, (8,), 3, "relu", 0.0, False)
    Sequential(
      0: Linear(4→8)
      1: ReLU
      2: Linear(8→3)
    )
    """
    widths = whole_numbers(f"{where} hidden_sizes", sizes)
    hidden = dense_layers(where, n_inputs, widths, name, dropout, batch_norm)
    return nn.Sequential(*hidden, nn.Linear((n_inputs, *widths)[-1], n_outputs))


def image_shape(n_features: int) -> tuple[int, int, int]:
    """Return the image shape of a row of features: a square grey image, or an image of one row.

    >>> image_shape(64), image_shape(10)
    ((8, 8, 1), (1, 10, 1))
    """
    side = math.isqrt(n_features)
    return (side, side, 1) if side * side == n_features else (1, n_features, 1)


def convolutional(
    where: str,
    shape: Sequence[int],
    channels: Sequence[int],
    kernel_size: int,
    pool: int,
    sizes: Sequence[int],
    n_outputs: int,
    name: str,
    dropout: float,
    batch_norm: bool,
) -> nn.Sequential:
    """Return blocks of convolution (same size), activation and max pooling, then a multilayer perceptron.

    An axis shorter than the pooling window is not pooled.
    """
    kernel, window = (
        _whole_number(f"{where} kernel_size", kernel_size),
        _whole_number(f"{where} pool", pool),
    )
    if kernel % 2 == 0:
        raise ArgumentError(
            f"{where} kernel_size",
            expected="an odd number, which keeps the size",
            got=repr(kernel),
        )
    height, width, depth = shape
    layers: list[nn.Module] = []
    for size in whole_numbers(f"{where} channels", channels):
        layers.append(nn.Conv2d(depth, size, kernel_size=kernel, padding=kernel // 2))
        layers += [*_normalised(where, batch_norm, size), activation(where, name)]
        windows = tuple(window if axis >= window else 1 for axis in (height, width))
        if max(windows) > 1:
            layers.append(nn.MaxPool2d(windows))
        height, width, depth = height // windows[0], width // windows[1], size
    flat = height * width * depth
    head = perceptron(where, flat, sizes, n_outputs, name, dropout, batch_norm)
    return nn.Sequential(*layers, nn.Flatten(), *head)
