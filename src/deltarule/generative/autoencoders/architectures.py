"""Predefined dense and convolutional encoders and decoders for autoencoders and variational autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Literal

from deltarule import nn
from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError
from deltarule.flags import checks_flags
from deltarule.generative.autoencoders.annealing import Annealing
from deltarule.generative.autoencoders.autoencoder import Autoencoder, CodePenalty
from deltarule.generative.autoencoders.layers import (
    ConditionPlanes,
    TiedLinear,
    Unflatten,
    Unpool2d,
)
from deltarule.generative.autoencoders.likelihood import (
    BernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from deltarule.generative.autoencoders.vae import VAE
from deltarule.shapes import count

__all__ = [
    "Upsampling",
    "convolutional_autoencoder",
    "convolutional_decoder",
    "convolutional_encoder",
    "convolutional_vae",
    "dense",
    "dense_autoencoder",
    "dense_vae",
]

Activation = Callable[[], nn.Module]
Upsampling = Literal["transposed", "nearest", "unpooling"]


def _sizes(value: Any, where: str, example: str) -> tuple[int, ...]:
    """Return the sizes as a tuple; raises ArgumentError for a single number."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ArgumentError(
            where,
            expected=f"a sequence of whole numbers, such as {example}",
            got=repr(value),
        )
    return tuple(value)


def dense(
    sizes: Sequence[int],
    activation: Activation = nn.ReLU,
    *,
    ending: nn.Module | None = None,
) -> nn.Sequential:
    """Return a multilayer perceptron.

    Args:
        sizes: Sizes of the layers, input and output included.
        activation: Makes the activation between two Linear layers.
        ending: Layer after the last Linear layer.

    >>> [layer.label() for layer in dense((4, 3, 2))]
    ['Linear(4→3)', 'ReLU', 'Linear(3→2)']
    """
    sizes = _sizes(sizes, "dense sizes", "(64, 32, 2)")
    if len(sizes) < 2:
        raise ArgumentError(
            "dense sizes", expected="at least two sizes", got=repr(tuple(sizes))
        )
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(activation())
    return nn.Sequential(*layers, *([] if ending is None else [ending]))


@checks_flags
def dense_autoencoder(
    sizes: Sequence[int],
    activation: Activation = nn.ReLU,
    *,
    code_activation: nn.Module | None = None,
    tied: bool = False,
    penalties: Sequence[CodePenalty] = (),
    corruption: nn.Module | None = None,
) -> Autoencoder:
    """Return an autoencoder with a dense encoder and its mirror image as the decoder.

    With two sizes it is linear, and its codes span the principal subspace (Baldi and Hornik 1989).

    Args:
        sizes: Sizes of the encoder's layers, from the input to the code.
        activation: Makes the activation between two Linear layers.
        code_activation: Layer after the encoder's last Linear layer.
        tied: Whether the decoder uses the transposed weights of the encoder.
        penalties: Penalties on the code, see ``Autoencoder``.
        corruption: Layer applied to the input in training, see ``Autoencoder``.

    >>> import numpy as np
    >>> dense_autoencoder((8, 4, 2)).encode(np.zeros((3, 8))).shape
    (3, 2)
    """
    sizes = _sizes(sizes, "sizes", "(64, 32, 2)")
    encoder = dense(sizes, activation, ending=code_activation)
    if not tied:
        decoder = dense(sizes[::-1], activation)
        return Autoencoder(encoder, decoder, penalties=penalties, corruption=corruption)
    linear = [layer for layer in encoder if isinstance(layer, nn.Linear)]
    layers: list[nn.Module] = []
    for layer in reversed(linear):
        layers += [TiedLinear(layer), activation()]
    decoder = nn.Sequential(*layers[:-1])
    return Autoencoder(encoder, decoder, penalties=penalties, corruption=corruption)


def convolutional_encoder(
    image_shape: Sequence[int],
    channels: Sequence[int],
    out_features: int,
    activation: Activation = nn.ReLU,
) -> nn.Sequential:
    """Return an encoder of 3×3 convolutions, each followed by 2×2 max pooling, and a final Linear layer.

    Args:
        image_shape: (height, width, channels); sizes must be divisible by 2 for each stage.
        channels: Channels after each convolution.
        out_features: Size of the output.
        activation: Makes the activation after each convolution.

    >>> import numpy as np
    >>> convolutional_encoder((8, 8, 1), (4,), 2)(np.zeros((3, 8, 8, 1), np.float32)).shape
    (3, 2)
    """
    channels = _sizes(channels, "channels", "(16, 32)")
    height, width, depth = _halvable(image_shape, len(channels))
    layers: list[nn.Module] = []
    for before, after in zip((depth, *channels), channels, strict=False):
        layers += [
            nn.Conv2d(before, after, kernel_size=3, padding=1),
            activation(),
            nn.MaxPool2d(2),
        ]
    scale = 2 ** len(channels)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(height // scale * (width // scale) * channels[-1], out_features),
    )


def convolutional_decoder(
    image_shape: Sequence[int],
    channels: Sequence[int],
    in_features: int,
    activation: Activation = nn.ReLU,
    upsampling: Upsampling = "transposed",
) -> nn.Sequential:
    """Return the decoder that mirrors ``convolutional_encoder``: each stage doubles the size of the image.

    Args:
        image_shape: (height, width, channels) of the output.
        channels: Channels of the encoder's stages; the decoder has them in reverse order.
        in_features: Size of the input.
        activation: Makes the activation between two stages.
        upsampling: "transposed" for 4×4 transposed convolutions of stride 2; "nearest" for nearest-neighbour
            upsampling, or "unpooling" for ``Unpool2d``, before a 3×3 convolution.

    >>> import numpy as np
    >>> convolutional_decoder((8, 8, 1), (4,), 2)(np.zeros((3, 2), np.float32)).shape
    (3, 8, 8, 1)
    """
    if upsampling not in {"transposed", "nearest", "unpooling"}:
        raise ArgumentError(
            "upsampling",
            expected="'transposed', 'nearest' or 'unpooling'",
            got=repr(upsampling),
        )
    channels = _sizes(channels, "channels", "(16, 32)")
    height, width, depth = _halvable(image_shape, len(channels))
    scale = 2 ** len(channels)
    small = (height // scale, width // scale, channels[-1])
    layers: list[nn.Module] = [
        nn.Linear(in_features, small[0] * small[1] * small[2]),
        activation(),
        Unflatten(small),
    ]
    down = (*reversed(channels), depth)
    for stage, (before, after) in enumerate(pairwise(down), start=1):
        if upsampling == "transposed":
            layers.append(
                nn.ConvTranspose2d(before, after, kernel_size=4, stride=2, padding=1)
            )
        else:
            larger = nn.Upsample2d(2) if upsampling == "nearest" else Unpool2d(2)
            layers += [larger, nn.Conv2d(before, after, kernel_size=3, padding=1)]
        if stage < len(channels):
            layers.append(activation())
    return nn.Sequential(*layers)


def _halvable(image_shape: Sequence[int], times: int) -> tuple[int, int, int]:
    image_shape = _sizes(image_shape, "image_shape", "(28, 28, 1)")
    if (
        len(image_shape) != 3
        or times < 1
        or any(size % 2**times for size in image_shape[:2])
    ):
        raise ArgumentError(
            "image_shape",
            expected=f"(height, width, channels) that can be halved {times} times",
            got=repr(tuple(image_shape)),
            hint="Pad the images, or use fewer channels stages.",
        )
    height, width, depth = image_shape
    return int(height), int(width), int(depth)


def convolutional_autoencoder(
    image_shape: Sequence[int],
    channels: Sequence[int] = (16, 32),
    code_size: int = 16,
    activation: Activation = nn.ReLU,
    upsampling: Upsampling = "transposed",
    *,
    penalties: Sequence[CodePenalty] = (),
    corruption: nn.Module | None = None,
) -> Autoencoder:
    """Return a convolutional autoencoder of images (N, height, width, channels).

    Args:
        image_shape: (height, width, channels).
        channels: Channels of the encoder's stages.
        code_size: Size of the code.
        activation: Makes the activations.
        upsampling: See ``convolutional_decoder``.
        penalties: Penalties on the code, see ``Autoencoder``.
        corruption: Layer applied to the input in training, see ``Autoencoder``.

    >>> import numpy as np
    >>> convolutional_autoencoder((8, 8, 1), (4,), 2).reconstruct(np.zeros((3, 8, 8, 1))).shape
    (3, 8, 8, 1)
    """
    encoder = convolutional_encoder(image_shape, channels, code_size, activation)
    decoder = convolutional_decoder(
        image_shape, channels, code_size, activation, upsampling
    )
    return Autoencoder(encoder, decoder, penalties=penalties, corruption=corruption)


def _output_shape(
    example_shape: Sequence[int], likelihood: Likelihood
) -> tuple[int, ...]:
    """Return the shape of the decoder's output: twice the last axis with a learned variance of each element."""
    *front, last = example_shape
    twice = (
        isinstance(likelihood, GaussianLikelihood) and likelihood.deviation == "output"
    )
    return (*front, 2 * last if twice else last)


def dense_vae(
    example_shape: Sequence[int],
    latent_size: int = 2,
    hidden: Sequence[int] = (256, 128),
    likelihood: Likelihood | None = None,
    activation: Activation = nn.ReLU,
    *,
    condition_size: int = 0,
    beta: float | Annealing = 1.0,
    n_samples: int = 1,
    bound: Literal["elbo", "importance"] = "elbo",
    prior_deviation: float = 1.0,
) -> VAE:
    """Return a VAE of dense layers; the decoder mirrors the encoder.

    Args:
        example_shape: Shape of one example.
        latent_size: Number of latent variables.
        hidden: Sizes of the encoder's hidden layers.
        likelihood: By default ``BernoulliLikelihood()``.
        activation: Makes the activations.
        condition_size: Size of a condition (conditional VAE).
        beta: Factor β of the divergence, or its schedule, see ``VAE``.
        n_samples: Number of latent samples per example.
        bound: "elbo" or "importance", see ``VAE``.
        prior_deviation: Standard deviation of the prior.

    >>> dense_vae((8, 8, 1), 2, (16,)).sample(3, seed=0).shape
    (3, 8, 8, 1)
    """
    chosen = BernoulliLikelihood() if likelihood is None else likelihood
    shape = _sizes(example_shape, "example_shape", "(28, 28, 1)")
    hidden = _sizes(hidden, "hidden", "(256, 128)")
    if not shape:
        raise ArgumentError(
            "example_shape", expected="at least one axis, such as (4,)", got="()"
        )
    output = _output_shape(shape, chosen)
    inwards = (count(shape) + condition_size, *hidden, 2 * latent_size)
    outwards = (latent_size + condition_size, *reversed(hidden), count(output))
    encoder, decoder = dense(inwards, activation), dense(outwards, activation)
    return VAE(
        nn.Sequential(nn.Flatten(), *encoder),
        nn.Sequential(*decoder, Unflatten(output)),
        latent_size,
        chosen,
        condition_size=condition_size,
        example_shape=shape,
        beta=beta,
        n_samples=n_samples,
        bound=bound,
        prior_deviation=prior_deviation,
    )


def convolutional_vae(
    image_shape: Sequence[int],
    latent_size: int = 2,
    channels: Sequence[int] = (16, 32),
    likelihood: Likelihood | None = None,
    activation: Activation = nn.ReLU,
    upsampling: Upsampling = "transposed",
    *,
    condition_size: int = 0,
    beta: float | Annealing = 1.0,
    n_samples: int = 1,
    bound: Literal["elbo", "importance"] = "elbo",
    prior_deviation: float = 1.0,
) -> VAE:
    """Return a VAE of ``convolutional_encoder`` and ``convolutional_decoder``.

    Args:
        image_shape: (height, width, channels).
        latent_size: Number of latent variables.
        channels: Channels of the encoder's stages.
        likelihood: By default ``BernoulliLikelihood()``.
        activation: Makes the activations.
        upsampling: See ``convolutional_decoder``.
        condition_size: Size of a condition, which the encoder gets as constant channels (``ConditionPlanes``).
        beta: Factor β of the divergence, or its schedule, see ``VAE``.
        n_samples: Number of latent samples per example.
        bound: "elbo" or "importance", see ``VAE``.
        prior_deviation: Standard deviation of the prior.

    >>> convolutional_vae((8, 8, 1), 2, (4,)).sample(3, seed=0).shape
    (3, 8, 8, 1)
    """
    chosen = BernoulliLikelihood() if likelihood is None else likelihood
    channels = _sizes(channels, "channels", "(16, 32)")
    height, width, depth = _halvable(image_shape, len(channels))
    encoder = convolutional_encoder(
        (height, width, depth + condition_size), channels, 2 * latent_size, activation
    )
    if condition_size:
        encoder = nn.Sequential(ConditionPlanes(image_shape, condition_size), *encoder)
    output = _output_shape(image_shape, chosen)
    decoder = convolutional_decoder(
        output, channels, latent_size + condition_size, activation, upsampling
    )
    return VAE(
        encoder,
        decoder,
        latent_size,
        chosen,
        condition_size=condition_size,
        example_shape=tuple(image_shape),
        beta=beta,
        n_samples=n_samples,
        bound=bound,
        prior_deviation=prior_deviation,
    )


check_calls(__name__)
