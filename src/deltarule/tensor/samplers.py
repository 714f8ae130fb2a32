"""Random values of the kinds that may be assumed of an input: one-hot, binary, symmetric, orthogonal and others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from deltarule.runtime.buffers import Array

__all__ = ["SAMPLERS"]


def _one_hot(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    classes = generator.integers(0, shape[-1], shape[:-1])
    return np.asarray(np.eye(shape[-1])[classes])


def _binary(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(generator.integers(0, 2, shape), "float64")


def _nonnegative(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(np.maximum(generator.normal(0.5, size=shape), 0))


def _integer(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(generator.integers(-4, 5, shape), "float64")


def _symmetric(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    values = generator.normal(size=shape)
    return np.asarray((values + values.T) / 2)


def _orthogonal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(np.linalg.qr(generator.normal(size=shape))[0])


SAMPLERS: Final[
    Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]]
] = {
    "one-hot": _one_hot,
    "binary": _binary,
    "nonnegative": _nonnegative,
    "integer": _integer,
    "symmetric": _symmetric,
    "orthogonal": _orthogonal,
}
