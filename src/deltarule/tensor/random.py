"""Random tensors: explicit seed, and a stream for each draw that is to differ from the others.

In a training step the counter is the step's number; at the prompt it is 0. The numbers are those of the
Threefry-2x32 counter-based generator: the same bits on every backend and for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.runtime.buffers import leaf
from deltarule.tensor.tensor import Tensor, sizes


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
    """Numbers uniform in [0, 1), a function of (seed, step, stream, position) alone.

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
    """Standard normal numbers by Box and Muller: √(−2 ln(1 − u₁)) cos(2πu₂).

    Uses the streams 2·stream and 2·stream + 1 with the top bit set, apart from those of ``random_uniform``.
    """
    kind = dtypes.dtype(dtype)
    base = 0x80000000 | (2 * stream & 0x7FFFFFFF)
    first, second = (
        build.random_uniform(
            sizes(shape, "random numbers"),
            _counter(seed),
            _counter(step),
            base + i,
            kind,
        )
        for i in (0, 1)
    )
    radius = build.sqrt(build.multiply(build.log1p(build.negate(first)), -2.0))
    return Tensor(
        build.multiply(radius, build.cos(build.multiply(second, 2 * math.pi)))
    )
