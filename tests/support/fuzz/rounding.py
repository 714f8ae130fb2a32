"""How far rounding may move each result of a program: the program in float64, again with noise after each operation.

Noise stands for the rounding errors that an engine may make (Vignes 1993, stochastic arithmetic). Results that are
exact in every engine get none, so ties and whole numbers stay what they are; where noise makes a result jump, at a
comparison or a sort, nothing can be said of it. This needs no rule for any single operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltarule import dtypes
from deltarule.backends.reference import EVALUATE
from deltarule.graph.node import Node
from deltarule.graph.op import CONTRACTIONS, Op
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import topological
from support.fuzz.case import Array

UNITS = {dtypes.FLOAT32: 2.0**-23, dtypes.FLOAT64: 2.0**-52}
LEAST = {
    dtypes.FLOAT32: 2.0**-126,
    dtypes.FLOAT64: 2.0**-1022,
}  # smaller results may be 0
_EXACT = frozenset(
    {
        Op.INPUT,
        Op.CONSTANT,
        Op.IOTA,
        Op.RANDOM,
        Op.NEGATE,
        Op.ABS,
        Op.SIGN,
        Op.FLOOR,
        Op.STOP_GRADIENT,
        Op.CHECK,
        Op.MAXIMUM,
        Op.MINIMUM,
        Op.WHERE,
        Op.MAX,
        Op.RESHAPE,
        Op.PERMUTE,
        Op.BROADCAST,
        Op.SLICE,
        Op.PAD,
        Op.FLIP,
        Op.CONCATENATE,
        Op.GATHER,
        Op.WINDOWS,
    }
)
_ALGEBRAIC = CONTRACTIONS | {
    Op.ADD,
    Op.SUBTRACT,
    Op.MULTIPLY,
    Op.DIVIDE,
    Op.FMOD,
    Op.SQRT,
    Op.SUM,
    Op.CUMULATIVE_SUM,
    Op.SCATTER_ADD,
    Op.FOLD,
}
_SUMS = CONTRACTIONS | {
    Op.SUM,
    Op.CUMULATIVE_SUM,
    Op.SCATTER_ADD,
    Op.FOLD,
    Op.SOLVE,
    Op.LOG_DETERMINANT,
    Op.CHOLESKY,
}
_LARGEST = float(np.finfo(np.float32).max)
_GRID = (
    2.0**10
)  # numbers that are multiples of 2⁻¹⁰ and not large are added and multiplied exactly


@dataclass(frozen=True)
class Noise:
    """Errors of up to ``units`` of the last place in the type of each node; of 0 units, float32 is only rounded.

    Rounding makes numbers equal that no other error does, such as tanh 13 and 1.
    """

    generator: np.random.Generator
    units: float
    flush: bool = False

    def on(self, node: Node, x: Array, whole: float | None = None) -> Array:
        """Return a value with errors; relative to ``whole`` if given, else to each element."""
        if not self.units:
            return x.astype(node.dtype.name).astype(np.float64)
        kind = node.dtype
        amount = self.units * UNITS[kind] * (2 * self.generator.random(x.shape) - 1)
        noisy = x * (1 + amount) if whole is None else x + amount * whole
        if self.flush:
            noisy = np.where(np.abs(noisy) < LEAST[kind], 0.0, noisy)
        return noisy


def _on_grid(x: Array) -> Array:
    scaled = x * _GRID
    return (scaled == np.rint(scaled)) & (np.abs(scaled) < 2.0**20)


def _noisy(node: Node, sources: Sequence[Array], noise: Noise) -> Array:
    """Return the value of an operation with the errors that an engine may make in it."""
    operands = list(sources)
    exact = all(_on_grid(x).all() for x in operands if x.dtype.kind == "f")
    if node.op in _SUMS and not exact:
        whole = node.op in {Op.SOLVE, Op.LOG_DETERMINANT, Op.CHOLESKY}
        for place, x in enumerate(operands):
            if x.dtype.kind == "f":
                operands[place] = noise.on(
                    node, x, np.abs(x).max(initial=0.0) if whole else None
                )
        if node.op is Op.CHOLESKY:
            operands[0] = np.tril(operands[0]) + np.swapaxes(
                np.tril(operands[0], -1), -1, -2
            )
    result = np.asarray(EVALUATE[node.op](node, *operands))
    if node.op in _EXACT:
        return result
    still = (
        np.full(result.shape, exact)
        if node.op in _SUMS
        else np.ones(result.shape, bool)
    )
    if node.op not in _SUMS:
        for x in operands:
            still &= _on_grid(x) if node.op in _ALGEBRAIC else x == 0
    if node.op in _ALGEBRAIC:
        still &= _on_grid(result)
    return np.where(still, result, noise.on(node, result))


def evaluate(
    outputs: Sequence[Node], values: Mapping[Node, Array], noise: Noise | None = None
) -> list[Array]:
    """Return results in float64 (random numbers and constants as their own type has them), with noise if given."""
    expanded = expand_calls(outputs)
    found: dict[Node, Any] = {}
    with np.errstate(all="ignore"):
        for node in topological(expanded):
            value = _value(
                node, [found[source] for source in node.sources], values, noise
            )
            found[node] = _wide(value, node.dtype)
    return [found[node] for node in expanded]


def _value(
    node: Node, sources: list[Array], values: Mapping[Node, Array], noise: Noise | None
) -> Array:
    if node.op is Op.INPUT:
        return values[node]
    if node.op in {Op.CONSTANT, Op.IOTA, Op.RANDOM}:
        return np.asarray(EVALUATE[node.op](node, *sources), node.dtype.name)
    if node.op is Op.CAST and node.dtype.is_float:
        result = sources[0].astype(np.float64)
        return (
            result
            if noise is None
            else np.where(_on_grid(result), result, noise.on(node, result))
        )
    if noise is None or not node.dtype.is_float:
        return np.asarray(
            EVALUATE[node.op](node, *sources),
            "float64" if node.dtype.is_float else node.dtype.name,
        )
    return _noisy(node, sources, noise)


def _wide(x: Array, kind: dtypes.DType) -> Array:
    """Return floats in float64; those that float32 cannot hold are infinite."""
    if not kind.is_float:
        return x
    x = x.astype(np.float64)
    return (
        np.where(np.abs(x) > _LARGEST, np.copysign(np.inf, x), x)
        if kind is dtypes.FLOAT32
        else x
    )


def spread(
    outputs: Sequence[Node],
    values: Mapping[Node, Array],
    plain: Sequence[Array],
    samples: int,
    units: float,
) -> list[Array]:
    """Return how far noise moved each element at most; infinity where it jumped or stopped being a number."""
    most = [np.zeros(x.shape) for x in plain]
    for sample in range(samples):
        noise = Noise(
            np.random.default_rng(sample),
            units if sample else 0.0,
            flush=sample % 2 == 1,
        )
        with np.errstate(all="ignore"):
            for place, (noisy, x) in enumerate(
                zip(evaluate(outputs, values, noise), plain, strict=True)
            ):
                if x.dtype.kind != "f":
                    moved = np.where(noisy == x, 0.0, np.inf)
                else:
                    moved = np.abs(noisy - x)
                    moved = np.where(np.isfinite(noisy) & np.isfinite(x), moved, np.inf)
                    moved = np.where(
                        (noisy == x) | (np.isnan(noisy) & np.isnan(x)), 0.0, moved
                    )
                most[place] = np.maximum(most[place], moved)
    return most
