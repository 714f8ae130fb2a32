"""Log densities of independent normal features, by one expression for arrays and tensors, block by block.

All differences x − μ_c together are examples · classes · features numbers. NumPy
computes blocks that stay in the cache; the native engine, used for large data, stores
none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from deltarule.graph.program import Program
from deltarule.learners.base import Array
from deltarule.runtime.devices import compiled
from deltarule.tensor.tensor import symbol

_ROWS = 4096  # examples of a native call
_NUMBERS = 2**15  # differences that NumPy computes at a time
_WORTH_COMPILING = 2**24  # differences


def normal_scores(x: Array, mean: Array, variance: Array) -> Array:
    """Return Σ_j ln N(x_j; μ_cj, σ²_cj) for examples (N, d) and classes c of mean and variance (K, d), (N, K).

    >>> normal_scores(np.array([[0.0], [2.0]]), np.array([[0.0]]), np.array([[1.0]])).round(4).tolist()
    [[-0.9189], [-2.9189]]
    """
    known = mean, 1 / variance, -0.5 * np.log(2 * np.pi * variance).sum(axis=1)
    scores = np.empty((len(x), len(mean)))
    large = len(x) * mean.size >= _WORTH_COMPILING
    done = len(x) - len(x) % _ROWS if large else 0  # whole blocks
    if done:
        run = _compiled_block(*mean.shape)
        for start in range(0, done, _ROWS):
            scores[start : start + _ROWS] = run(x[start : start + _ROWS], *known)
    step = max(1, _NUMBERS // mean.size)
    for start in range(done, len(x), step):
        scores[start : start + step] = _block(x[start : start + step], *known)
    return scores


def _block(x: Any, mean: Any, precision: Any, scale: Any) -> Any:
    """Return scale_c − ½ Σ_j (x_j − μ_cj)²·precision_cj for examples (N, d) and classes c, (N, classes)."""
    gap = x.reshape(x.shape[0], 1, x.shape[1]) - mean
    return scale - 0.5 * (gap * gap * precision).sum(axis=2)


@functools.lru_cache(maxsize=8)
def _compiled_block(classes: int, features: int) -> Callable[..., Array]:
    """Return ``_block`` for a fixed number of examples as a native program, which stores no differences."""
    x, scale = (
        symbol("x", (_ROWS, features), "float64"),
        symbol("scale", (classes,), "float64"),
    )
    mean, precision = (
        symbol(name, (classes, features), "float64") for name in ("mean", "precision")
    )
    inputs = (x, mean, precision, scale)
    run = compiled(
        Program(tuple(t.node for t in inputs), (_block(*inputs).node,)), "cpu"
    )
    return lambda *arrays: run(*arrays)[0]
