"""Ready-made encoders and decoders, dense and convolutional, for autoencoders and variational autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

from deltarule import nn
from deltarule.errors import ArgumentError
from deltarule.generative.autoencoder import Autoencoder, TiedLinear, Unflatten

Activation = Callable[[], nn.Module]
Upsampling = Literal["transposed", "nearest"]


def dense(sizes: Sequence[int], activation: Activation = nn.ReLU, *, ending: nn.Module | None = None) -> nn.Sequential:
    """Return Linear layers between these sizes with an activation between them, and ``ending`` after the last.

    >>> [layer.label() for layer in dense((4, 3, 2))]
    ['Linear(4→3)', 'ReLU', 'Linear(3→2)']
    """
    if len(sizes) < 2:
        raise ArgumentError("dense sizes", expected="at least two sizes", got=repr(tuple(sizes)))
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(activation())
    return nn.Sequential(*layers, *([] if ending is None else [ending]))


def dense_autoencoder(
    sizes: Sequence[int], activation: Activation = nn.ReLU, *, code_activation: nn.Module | None = None,
    tied: bool = False, **options: Any,
) -> Autoencoder:  # fmt: skip
    """Return an autoencoder whose encoder has these sizes and whose decoder mirrors them (AE-02).

    With two sizes and no activation it is linear and its codes span the principal subspace (AE-04). ``tied``
    decoders use the transposed weights of the encoder. Options: those of ``Autoencoder``.
    """
    encoder = dense(sizes, activation, ending=code_activation)
    if not tied:
        return Autoencoder(encoder, dense(sizes[::-1], activation), **options)
    linear = [layer for layer in encoder if isinstance(layer, nn.Linear)]
    layers: list[nn.Module] = []
    for layer in reversed(linear):
        layers += [TiedLinear(layer), activation()]
    return Autoencoder(encoder, nn.Sequential(*layers[:-1]), **options)


def convolutional_encoder(
    image_shape: Sequence[int], channels: Sequence[int], n_outputs: int, activation: Activation = nn.ReLU
) -> nn.Sequential:
    """Return 3×3 convolutions that halve the image once for each entry of ``channels``, then a dense layer."""
    height, width, depth = _halvable(image_shape, len(channels))
    layers: list[nn.Module] = []
    for before, after in zip((depth, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), activation(), nn.MaxPool2d(2)]
    scale = 2 ** len(channels)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(height // scale * (width // scale) * channels[-1], n_outputs))


def convolutional_decoder(
    image_shape: Sequence[int], channels: Sequence[int], n_inputs: int, activation: Activation = nn.ReLU,
    upsampling: Upsampling = "transposed",
) -> nn.Sequential:  # fmt: skip
    """Return the mirror of ``convolutional_encoder``: each stage doubles the image (AE-13).

    "transposed" doubles by a 4×4 transposed convolution of stride 2, "nearest" by repeating pixels before a 3×3
    convolution.
    """
    if upsampling not in {"transposed", "nearest"}:
        raise ArgumentError("upsampling", expected="'transposed' or 'nearest'", got=repr(upsampling))
    height, width, depth = _halvable(image_shape, len(channels))
    scale = 2 ** len(channels)
    small = (height // scale, width // scale, channels[-1])
    layers: list[nn.Module] = [nn.Linear(n_inputs, small[0] * small[1] * small[2]), activation(), Unflatten(small)]
    down = (*reversed(channels), depth)
    for stage, (before, after) in enumerate(pairwise(down), start=1):
        if upsampling == "transposed":
            layers.append(nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1))
        else:
            layers += [nn.Upsample2d(2), nn.Conv2d(before, after, kernel_size=3, padding=1)]
        if stage < len(channels):
            layers.append(activation())
    return nn.Sequential(*layers)


def _halvable(image_shape: Sequence[int], times: int) -> tuple[int, int, int]:
    if len(image_shape) != 3 or times < 1 or any(size % 2**times for size in image_shape[:2]):
        raise ArgumentError(
            "image_shape", expected=f"(height, width, channels) that can be halved {times} times",
            got=repr(tuple(image_shape)), hint="Pad the images, or use fewer channels stages.",
        )  # fmt: skip
    height, width, depth = image_shape
    return int(height), int(width), int(depth)


def convolutional_autoencoder(
    image_shape: Sequence[int], channels: Sequence[int] = (16, 32), code_size: int = 16,
    activation: Activation = nn.ReLU, upsampling: Upsampling = "transposed", **options: Any,
) -> Autoencoder:  # fmt: skip
    """Return a convolutional autoencoder of images (N, height, width, channels) (AE-13)."""
    encoder = convolutional_encoder(image_shape, channels, code_size, activation)
    return Autoencoder(
        encoder, convolutional_decoder(image_shape, channels, code_size, activation, upsampling), **options
    )
