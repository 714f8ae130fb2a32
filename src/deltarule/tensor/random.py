"""Random tensors from an explicit seed; draws with different streams are independent.

In a training step the counter is the number of the step; at the prompt it is 0. The generator is the counter-based
Threefry-2x32 (Salmon et al. 2011): the same bits on every backend and for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltarule import dtypes
from deltarule.arguments import check_calls
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.runtime.buffers import leaf
from deltarule.shapes import sizes
from deltarule.tensor.tensor import Tensor

__all__ = ["random_normal", "random_uniform"]


def _counter(value: Tensor | int) -> Node:
    if isinstance(value, Tensor):
        return value.node
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not 0 <= value < 2**32
    ):
        raise ArgumentError(
            "seed or step", expected="a whole number in [0, 2³²)", got=repr(value)
        )
    return leaf(np.asarray(value, np.int64), "counter")


def random_uniform(
    shape: Sequence[Any],
    seed: Tensor | int,
    step: Tensor | int = 0,
    stream: int = 0,
    dtype: str | DType = "float32",
) -> Tensor:
    """Return numbers uniform in [0, 1), which depend on (seed, step, stream, position) only.

    Args:
        shape: Sizes of the axes.
        seed: A whole number in [0, 2³²), or a tensor that holds one.
        step: The counter: another step gives other numbers.
        stream: Distinguishes draws of one seed and step from each other.
        dtype: The element type, a floating-point type.

    >>> bool((random_uniform((3,), seed=7) == random_uniform((3,), seed=7)).all())
    True
    """
    kind = dtypes.dtype(dtype)
    return Tensor(
        build.random_uniform(
            sizes(shape, "random numbers"), _counter(seed), _counter(step), stream, kind
        )
    )


def random_normal(
    shape: Sequence[Any],
    seed: Tensor | int,
    step: Tensor | int = 0,
    stream: int = 0,
    dtype: str | DType = "float32",
) -> Tensor:
    """Return standard normal numbers √(−2 ln(1 − u₁)) cos(2πu₂) (Box and Muller 1958).

    The uniform numbers u₁ and u₂ come from the streams 2·stream and 2·stream + 1 with the top bit set, which
    ``random_uniform`` does not use.

    Args:
        shape: Sizes of the axes.
        seed: A whole number in [0, 2³²), or a tensor that holds one.
        step: The counter: another step gives other numbers.
        stream: Distinguishes draws of one seed and step from each other.
        dtype: The element type, a floating-point type.

    >>> abs(random_normal((10_000,), seed=0).mean().item()) < 0.05
    True
    """
    kind = dtypes.dtype(dtype)
    base = 0x80000000 | (2 * stream & 0x7FFFFFFF)
    size = sizes(shape, "random numbers")
    key, counter = _counter(seed), _counter(step)
    first, second = (
        build.random_uniform(size, key, counter, base + i, kind) for i in (0, 1)
    )
    radius = build.sqrt(build.multiply(build.log1p(build.negate(first)), -2.0))
    angle = build.multiply(second, 2 * math.pi)
    return Tensor(build.multiply(radius, build.cos(angle)))


check_calls(__name__)
