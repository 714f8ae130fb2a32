"""Models by name, with default hyperparameters for training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import nn
from deltarule.data import Dataset
from deltarule.errors import ArgumentError

LOSSES = {"classification": "cross_entropy", "regression": "mean_squared_error"}
METRICS = {"classification": "accuracy", "regression": "r2"}
MODELS = ("linear", "mlp", "lenet")
_HIDDEN = 64  # units of a hidden layer
_CHANNELS = (16, 32)  # feature maps of the two convolutions
_SMALLEST_IMAGE = 4  # two halvings leave one pixel


@dataclass(frozen=True)
class Recipe:
    """Default hyperparameters of a model; ``patience`` is that of early stopping, in epochs.

    >>> RECIPES["mlp"].epochs
    100
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int


RECIPES = {
    "linear": Recipe(
        epochs=200, batch_size=32, learning_rate=0.01, weight_decay=1e-4, patience=20
    ),
    "mlp": Recipe(
        epochs=100, batch_size=32, learning_rate=0.003, weight_decay=1e-2, patience=15
    ),
    "lenet": Recipe(
        epochs=25, batch_size=32, learning_rate=0.002, weight_decay=1e-2, patience=8
    ),
}


def is_image(shape: tuple[int, ...]) -> bool:
    """Return whether a shape is that of images (height × width × channels) large enough to be halved twice.

    >>> is_image((8, 8, 1)), is_image((3, 3, 1)), is_image((64,))
    (True, False, False)
    """
    return len(shape) == 3 and min(shape[:2]) >= _SMALLEST_IMAGE


def default_model(data: Dataset) -> str:
    """Return the default model for a data set: convolutional for images, else dense.

    >>> from deltarule.data import load
    >>> default_model(load("digits")), default_model(load("iris"))
    ('lenet', 'mlp')
    """
    return "lenet" if is_image(data.input_shape) else "mlp"


def build(
    name: str, data: Dataset, rows: npt.NDArray[np.int64], seed: int
) -> nn.Sequential:
    """Return a model for a data set that takes raw inputs and predicts in the units of the target.

    The first layer standardises the inputs, and for regression the last layer maps predictions back to the scale of the
    target; both are fitted on the given rows only.

    Args:
        name: "linear", "mlp" or "lenet".
        data: The data set.
        rows: The training rows.
        seed: Seed of the initial weights.

    >>> from deltarule.data import load
    >>> len(list(build("linear", load("iris"), np.arange(100), seed=0)))
    2
    """
    if name not in MODELS:
        raise ArgumentError(
            "--model", expected=f"one of {', '.join(MODELS)}", got=repr(name)
        )
    if name == "lenet" and not is_image(data.input_shape):
        raise ArgumentError(
            "--model lenet",
            expected=f"images of at least {_SMALLEST_IMAGE}×{_SMALLEST_IMAGE} pixels, height × width × channels",
            got=f"examples of shape {'×'.join(map(str, data.input_shape))}",
            hint="Use --model mlp for tables.",
        )
    scale = nn.Standardize(data.input_shape[-1]).learn(data.inputs[rows])
    n_outputs = data.n_classes if data.task == "classification" else 1
    middle = (
        _lenet(data.input_shape, n_outputs)
        if name == "lenet"
        else _dense(name, data.input_shape, n_outputs)
    )
    end: list[nn.Module] = []
    if data.task == "regression":
        end.append(nn.Standardize(1, inverse=True).learn(targets(data)[rows]))
    return nn.Sequential(scale, *middle, *end, seed=seed)


def targets(data: Dataset) -> npt.NDArray[Any]:
    """Return the targets for the model's loss: labels (N,), or numbers (N, 1).

    >>> from deltarule.data import load
    >>> targets(load("iris")).shape, targets(load("diabetes")).shape
    ((150,), (442, 1))
    """
    return data.targets if data.task == "classification" else data.targets[:, None]


def loss_name(data: Dataset) -> str:
    """Return the loss for the data's task.

    >>> from deltarule.data import load
    >>> loss_name(load("iris"))
    'cross_entropy'
    """
    return LOSSES[data.task]


def metric_name(data: Dataset) -> str:
    """Return the metric for the data's task.

    >>> from deltarule.data import load
    >>> metric_name(load("diabetes"))
    'r2'
    """
    return METRICS[data.task]


def _dense(name: str, shape: tuple[int, ...], n_outputs: int) -> list[nn.Module]:
    """Return dense layers: no hidden layer (linear) or two (mlp)."""
    flat: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
    n_inputs = math.prod(shape)
    if name == "linear":
        return [*flat, nn.Linear(n_inputs, n_outputs)]
    return [
        *flat,
        nn.Linear(n_inputs, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, n_outputs),
    ]


def _lenet(shape: tuple[int, ...], n_outputs: int) -> list[nn.Module]:
    """Return convolution, pooling, convolution, pooling and two dense layers (after LeCun et al. 1998).

    Kernels are 3×3 with a padding of one pixel, so sizes go 8×8 → 4×4 → 2×2.
    """
    height, width, channels = shape
    first, second = _CHANNELS
    n_features = (height // 4) * (width // 4) * second
    return [
        nn.Conv2d(channels, first, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(n_features, _HIDDEN),
        nn.ReLU(),
        nn.Linear(_HIDDEN, n_outputs),
    ]
