"""Folding: a chain of affine layers is one affine layer (THY-02, LA-25)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.errors import ArgumentError
from deltarule.nn.layers.activation import Identity
from deltarule.nn.layers.containers import Parallel, Sequential, Skip
from deltarule.nn.layers.convolution import Convolution
from deltarule.nn.layers.dropout import Dropping
from deltarule.nn.layers.general_network import GeneralNetwork
from deltarule.nn.layers.linear import Linear
from deltarule.nn.layers.masked_linear import MaskedLinear
from deltarule.nn.layers.normalisation import BatchNorm
from deltarule.nn.layers.standardize import Standardize
from deltarule.nn.module.module import Module
from deltarule.nn.saving import build

Array = npt.NDArray[Any]
Affine = tuple[Array, Array]  # W (m, n), b (m,): x → Wx + b


def affine_map(model: Module, n_features: int | None = None) -> Affine:
    """Return W (m, n) and b (m,) with N x = Wx + b at inference (LA-25).

    For linear layers, masked ones, the identity, batch norms, standardisation and dropout, one after another, side
    by side or with skip paths. ``n_features`` is needed only if no layer tells it. Raises ArgumentError for others.

    >>> from deltarule import nn
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> model[0].weight.assign([[1.0, 2.0], [0.0, 1.0]]), model[1].weight.assign([[1.0, -1.0]])
    (None, None)
    >>> affine_map(model)[0].tolist()
    [[1.0, 1.0]]
    """
    n = n_features or next(
        (size for _, layer in model.named_modules() if (size := _inputs(layer))), None
    )
    if n is None:
        raise ArgumentError(
            "affine_map", expected="n_features, for no layer tells it", got="none"
        )
    return _affine(model, n)


def fold(model: Sequential) -> Sequential:
    """Return a network with the same outputs at inference in which neighbouring affine layers are one ``Linear``.

    A batch norm after a convolution goes into the convolution's weights. Other layers are the same objects as
    before. The folded layers' weights are new parameters, and training them is not training the original ones.

    >>> from deltarule import nn
    >>> fold(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)))
    Sequential(
      0: Linear(4→2)
      1: ReLU
      2: Linear(2→1)
    )
    """
    result: list[Module] = []
    run: list[Module] = []
    for layer in model.flat():
        if (
            isinstance(layer, BatchNorm)
            and not run
            and result
            and isinstance(result[-1], Convolution)
        ):
            result[-1] = _into_convolution(result[-1], layer)
        elif _is_affine(layer) and (run or _inputs(layer)):
            run.append(layer)
        else:
            result.extend(_merged(run))
            result.append(layer)
            run = []
    return Sequential(*result, *_merged(run))


def _merged(run: list[Module]) -> list[Module]:
    """Return one Linear for several affine layers; a single one stays, and so do layers without a product."""
    if len(run) < 2 or not any(
        isinstance(layer, (Linear, MaskedLinear)) for layer in run
    ):
        return run
    weight, bias = affine_map(Sequential(*run))
    merged = Linear(weight.shape[1], weight.shape[0]).astype(weight.dtype.name)
    merged.weight.assign(weight)
    merged.bias.assign(bias)
    return [merged]


def _into_convolution(layer: Convolution, norm: BatchNorm) -> Module:
    """Return the convolution whose filters are scaled and shifted as the batch norm would scale its outputs."""
    scale, shift = _diagonal(norm)
    config = layer.config() or {}
    merged: Any = build(
        {**config, "arguments": {**config["arguments"], "bias": True}}
    ).astype(layer.weight.dtype)
    merged.weight.assign(
        layer.weight.numpy() * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    )
    merged.bias.assign((layer.bias.numpy() if layer.has_bias else 0) * scale + shift)
    return merged  # type: ignore[no-any-return]  # built from the config of a convolution


def _inputs(layer: Module) -> int | None:
    """Return the number of features that a layer takes, if it says so."""
    if isinstance(layer, (Linear, MaskedLinear)):
        return layer.in_features
    if isinstance(layer, BatchNorm):
        return layer.n_channels
    return layer.n_features if isinstance(layer, Standardize) else None


def _is_affine(layer: Module) -> bool:
    return isinstance(
        layer, (Linear, MaskedLinear, Identity, BatchNorm, Standardize, Dropping)
    )


def _diagonal(layer: BatchNorm | Standardize) -> Affine:
    """Return a and b of x → a ⊙ x + b."""
    if isinstance(layer, BatchNorm):
        scale = 1 / np.sqrt(layer.running_variance.numpy() + layer.epsilon)
        scale = scale * layer.scale.numpy() if layer.scale_and_shift else scale
        shift = layer.shift.numpy() if layer.scale_and_shift else 0
        return scale, shift - layer.running_mean.numpy() * scale
    mean, deviation = layer.mean.numpy(), layer.deviation.numpy()
    return (deviation, mean) if layer.inverse else (1 / deviation, -mean / deviation)


def _affine(layer: Module, n: int) -> Affine:
    if isinstance(layer, Linear):
        return layer.weight.numpy(), layer.bias.numpy() if layer.has_bias else np.zeros(
            layer.out_features
        )
    if isinstance(layer, MaskedLinear):
        shift = layer.biases()
        return layer.matrix().numpy(), np.zeros(
            layer.out_features
        ) if shift is None else shift.numpy()
    if isinstance(layer, (BatchNorm, Standardize)):
        scale, moved = _diagonal(layer)
        return np.diag(scale), moved
    if isinstance(layer, Dropping):
        kept = layer.keep_probability if layer.scale_in == "inference" else 1.0
        return np.eye(n) * kept, np.zeros(n)
    if isinstance(layer, Identity):
        return np.eye(n), np.zeros(n)
    return _composed(layer, n)


def _composed(layer: Module, n: int) -> Affine:
    """Return the map of a container of affine layers."""
    if isinstance(layer, Sequential):
        return _chain(list(layer), n)
    if isinstance(layer, GeneralNetwork):
        return _chain(
            [
                part
                for pair in zip(layer.maps, layer.gates, strict=True)
                for part in pair
            ],
            n,
        )
    if isinstance(layer, Skip):
        inner = _affine(layer.inner, n)
        around = (
            _affine(layer.shortcut, n)
            if "shortcut" in layer.__dict__
            else (np.eye(n), np.zeros(n))
        )
        return inner[0] + around[0], inner[1] + around[1]
    if isinstance(layer, Parallel):
        branches = [_affine(branch, n) for branch in layer.branches]
        if layer.join == "concatenate":
            return np.concatenate([w for w, _ in branches]), np.concatenate(
                [b for _, b in branches]
            )
        return sum((w for w, _ in branches[1:]), branches[0][0]), sum(
            (b for _, b in branches[1:]), branches[0][1]
        )
    raise ArgumentError("affine_map", expected="affine layers alone", got=layer.label())


def _chain(layers: list[Module], n: int) -> Affine:
    """Return W_D ⋯ W_1 and Σ_l W_D ⋯ W_{l+1} b_l."""
    weight, bias = np.eye(n), np.zeros(n)
    for layer in layers:
        w, b = _affine(layer, len(bias))
        weight, bias = w @ weight, w @ bias + b
    return weight, bias
