"""Fusion: a chain of affine layers is one affine layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.arguments import check_calls
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

__all__ = ["affine_map", "fuse_layers"]

Array = npt.NDArray[Any]
Affine = tuple[Array, Array]  # W (m, n), b (m,): x ↦ Wx + b


def affine_map(model: Module, n_features: int | None = None) -> Affine:
    """Return W (m, n) and b (m,) such that the network computes x ↦ Wx + b at inference.

    Supports linear and masked linear layers, the identity, batch normalisation,
    standardisation and dropout, in ``Sequential``, ``Parallel`` and ``Skip``.

    Args:
        model: The network.
        n_features: Number of input features; needed only if no layer determines it.

    Raises:
        ArgumentError: For a layer that is not affine, or if the number of features is unknown.

    >>> from deltarule import nn
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> model[0].weight.assign([[1.0, 2.0], [0.0, 1.0]]), model[1].weight.assign([[1.0, -1.0]])
    (None, None)
    >>> affine_map(model)[0].tolist()
    [[1.0, 1.0]]
    """
    n = n_features or next(
        (size for _, layer in model.named_modules() if (size := _in_features(layer))),
        None,
    )
    if n is None:
        raise ArgumentError(
            "affine_map", expected="n_features, which no layer determines", got="none"
        )
    return _layer_map(model, n)


def fuse_layers(model: Sequential) -> Sequential:
    """Return a network with the same outputs at inference whose adjacent affine layers are merged into one.

    Batch normalisation after a convolution is fused into the convolution's weights.
    Other layers are the same objects as before. The merged layers have new parameters:
    training them does not train the original ones.

    >>> from deltarule import nn
    >>> fuse_layers(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)))
    Sequential(
      0: Linear(4→2)
      1: ReLU
      2: Linear(2→1)
    )
    """
    result: list[Module] = []
    run: list[Module] = []
    for layer in model.flat():
        previous = result[-1] if result and not run else None
        if isinstance(layer, BatchNorm) and isinstance(previous, Convolution):
            result[-1] = _fuse_into_convolution(previous, layer)
        elif _is_affine(layer) and (run or _in_features(layer)):
            run.append(layer)
        else:
            result.extend(_merge(run))
            result.append(layer)
            run = []
    return Sequential(*result, *_merge(run))


def _merge(run: list[Module]) -> list[Module]:
    """Return one Linear for several affine layers; a single layer stays, as do layers without a matrix product."""
    has_product = any(isinstance(layer, (Linear, MaskedLinear)) for layer in run)
    if len(run) < 2 or not has_product:
        return run
    weight, bias = affine_map(Sequential(*run))
    merged = Linear(weight.shape[1], weight.shape[0], seed=0)
    merged.astype(weight.dtype.name)
    merged.weight.assign(weight)
    merged.bias.assign(bias)
    return [merged]


def _fuse_into_convolution(layer: Convolution, norm: BatchNorm) -> Module:
    """Return the convolution with filters and bias scaled and shifted as the batch normalisation would its outputs."""
    scale, shift = _scale_and_shift(norm)
    config = layer.config() or {}
    merged: Any = build(
        {**config, "arguments": {**config["arguments"], "bias": True, "seed": 0}}
    ).astype(layer.weight.dtype)
    merged.weight.assign(
        layer.weight.numpy() * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    )
    merged.bias.assign((layer.bias.numpy() if layer.has_bias else 0) * scale + shift)
    return merged  # type: ignore[no-any-return]  # built from the config of a convolution


def _in_features(layer: Module) -> int | None:
    """Return the number of features that a layer takes, or None if any."""
    if isinstance(layer, (Linear, MaskedLinear)):
        return layer.in_features
    if isinstance(layer, BatchNorm):
        return layer.n_channels
    return layer.n_features if isinstance(layer, Standardize) else None


def _is_affine(layer: Module) -> bool:
    return isinstance(
        layer, (Linear, MaskedLinear, Identity, BatchNorm, Standardize, Dropping)
    )


def _scale_and_shift(layer: BatchNorm | Standardize) -> Affine:
    """Return a and b of x ↦ a ⊙ x + b."""
    if isinstance(layer, BatchNorm):
        scale = 1 / np.sqrt(layer.running_variance.numpy() + layer.epsilon)
        scale = scale * layer.scale.numpy() if layer.scale_and_shift else scale
        shift = layer.shift.numpy() if layer.scale_and_shift else 0
        return scale, shift - layer.running_mean.numpy() * scale
    mean, deviation = layer.mean.numpy(), layer.deviation.numpy()
    return (deviation, mean) if layer.inverse else (1 / deviation, -mean / deviation)


def _layer_map(layer: Module, n: int) -> Affine:
    if isinstance(layer, Linear):
        bias = layer.bias.numpy() if layer.has_bias else np.zeros(layer.out_features)
        return layer.weight.numpy(), bias
    if isinstance(layer, MaskedLinear):
        shift = layer.biases()
        bias = np.zeros(layer.out_features) if shift is None else shift.numpy()
        return layer.matrix().numpy(), bias
    if isinstance(layer, (BatchNorm, Standardize)):
        scale, moved = _scale_and_shift(layer)
        return np.diag(scale), moved
    if isinstance(layer, Dropping):
        kept = layer.keep_probability if layer.scale_in == "inference" else 1.0
        return np.eye(n) * kept, np.zeros(n)
    if isinstance(layer, Identity):
        return np.eye(n), np.zeros(n)
    return _container_map(layer, n)


def _container_map(layer: Module, n: int) -> Affine:
    """Return the map of a container of affine layers."""
    if isinstance(layer, Sequential):
        return _compose(list(layer), n)
    if isinstance(layer, GeneralNetwork):
        pairs = zip(layer.maps, layer.gates, strict=True)
        return _compose([part for pair in pairs for part in pair], n)
    if isinstance(layer, Skip):
        inner = _layer_map(layer.inner, n)
        identity = np.eye(n), np.zeros(n)
        has_shortcut = "shortcut" in layer.__dict__
        shortcut = _layer_map(layer.shortcut, n) if has_shortcut else identity
        return inner[0] + shortcut[0], inner[1] + shortcut[1]
    if isinstance(layer, Parallel):
        branches = [_layer_map(branch, n) for branch in layer.branches]
        weights = [weight for weight, _ in branches]
        biases = [bias for _, bias in branches]
        if layer.join == "concatenate":
            return np.concatenate(weights), np.concatenate(biases)
        return sum(weights[1:], weights[0]), sum(biases[1:], biases[0])
    raise ArgumentError("affine_map", expected="affine layers alone", got=layer.label())


def _compose(layers: list[Module], n: int) -> Affine:
    """Return W_D ⋯ W_1 and Σ_l W_D ⋯ W_{l+1} b_l."""
    weight, bias = np.eye(n), np.zeros(n)
    for layer in layers:
        w, b = _layer_map(layer, len(bias))
        weight, bias = w @ weight, w @ bias + b
    return weight, bias


check_calls(__name__)
