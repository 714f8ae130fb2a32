"""The steps of UMAP as programs: attraction along edges, repulsion from random points (McInnes et al. 2018).

With ℓ = log d² the log odds of an edge are −log a − bℓ, v = σ(−log a − bℓ), and the
forces are the derivatives of log v (attraction) and log(1 − v) (repulsion) in y:

    ∂log v/∂y = ∂log v/∂ℓ · 2(y − y′)/d²         ∂log(1 − v)/∂y ≈ ∂log(1 − v)/∂ℓ · 2(y − y′)/(d² + 0.001)

Each component is clipped to [−4, 4]; coincident points do not move each other.
Embeddings are passed axis by axis, in float32. Random points are drawn from the step
number and the seed, independently of the number of threads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import StepRunner
from deltarule.graph import build
from deltarule.graph.program import StepProgram
from deltarule.learners.base import Array
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.functional import clip, log, log_sigmoid, minimum, take, where
from deltarule.tensor.random import random_uniform
from deltarule.tensor.tensor import Tensor, symbol
from deltarule.tensor.transforms import grad

WORTH_COMPILING = 250  # steps that take NumPy as long as compilation
_LARGEST_FORCE = 4.0  # of each component
_NEAR = 0.001  # added to d² between points that repel each other
_BLOCK = 64  # new points that are optimised together
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """v = 1/(1 + a·d²ᵇ) by its log a and b.

    >>> from deltarule.tensor.tensor import tensor
    >>> curve = Curve(tensor(0.0), tensor(1.0))
    >>> curve.attraction(tensor([1.0])).tolist()
    [-1.0]
    """

    log_a: Tensor
    b: Tensor

    def attraction(self, square: Tensor) -> Tensor:
        """Return the factor of (y − y′) in the gradient of log v at d²."""
        apart = square > 0.0
        safe = where(apart, square, 1.0)
        level = log(safe)
        slope: Tensor = grad(log_sigmoid(-self.log_a - self.b * level).sum(), level)
        return where(apart, 2.0 * slope / safe, 0.0)

    def repulsion(self, square: Tensor) -> Tensor:
        """Return the factor of (y − y′) in the gradient of log(1 − v) at d²."""
        level = log(where(square > 0.0, square, 1e-30))
        slope: Tensor = grad(log_sigmoid(self.log_a + self.b * level).sum(), level)
        return 2.0 * slope / (_NEAR + square)


def _forces(factor: Callable[[Tensor], Tensor], gaps: Sequence[Tensor]) -> list[Tensor]:
    """Return the force along each axis for differences of points."""
    squares = [gap * gap for gap in gaps]
    strength = factor(sum(squares[1:], squares[0]))
    return [clip(strength * gap, -_LARGEST_FORCE, _LARGEST_FORCE) for gap in gaps]


def _scalars(*names: str) -> list[Tensor]:
    return [symbol(name, (), "float64") for name in names]


def _runner(
    device: str,
    state: Iterable[Tensor],
    batch: Iterable[Tensor],
    counters: Sequence[Tensor],
    scalars: Iterable[Tensor],
    following: Iterable[Tensor],
) -> StepRunner:
    program = StepProgram(
        state=tuple(t.node for t in state),
        batch=tuple(t.node for t in batch),
        step=counters[0].node,
        seed=counters[1].node,
        scalars=tuple(t.node for t in scalars),
        next_state=tuple(simplify([t.node for t in following])),
        metrics=(),
    )
    return backend(device).compile_step(program)


@functools.lru_cache(maxsize=16)
def _edge_step_runner(
    device: str, n: int, k: int, size: int, n_negatives: int
) -> StepRunner:
    """Return one step along ``size`` edges for n points in k dimensions; padding edges have weight 0."""
    y = [symbol("y", (n,), "float32") for _ in range(k)]
    heads, tails = symbol("heads", (size,), "int64"), symbol("tails", (size,), "int64")
    weight = symbol("weight", (size,), "float32")
    step, seed = symbol("step", (), "int64"), symbol("seed", (), "int64")
    scalars = _scalars("rate", "log a", "b")
    rate, *known = (t.astype("float32") for t in scalars)
    curve = Curve(*known)
    start = [take(axis, heads) for axis in y]
    pull = _forces(
        curve.attraction,
        [a - take(axis, tails) for a, axis in zip(start, y, strict=True)],
    )
    total = pull
    if n_negatives:
        drawn = random_uniform((n_negatives, size), seed, step)
        others = minimum((drawn * float(n)).astype("int64"), n - 1)
        away = [a - take(axis, others) for a, axis in zip(start, y, strict=True)]
        push = _forces(curve.repulsion, away)
        total = [one + many.sum(axis=0) for one, many in zip(pull, push, strict=True)]
    moved = [
        axis
        + rate
        * (_gathered(heads, weight * both, n) - _gathered(tails, weight * one, n))
        for axis, both, one in zip(y, total, pull, strict=True)
    ]
    return _runner(device, y, (heads, tails, weight), (step, seed), scalars, moved)


def _gathered(places: Tensor, values: Tensor, n: int) -> Tensor:
    """Return for each of n points the sum of its values."""
    return Tensor(build.scatter_add(places.node, values.node, 0, n))


@final
class EmbeddingOptimizer:
    """An embedding (N, k) under steps along the edges of a graph, each epoch in batches of N/2 edges."""

    def __init__(
        self,
        y: Array,
        heads: Rows,
        tails: Rows,
        n_negatives: int,
        curve: tuple[float, float],
        seed: int,
        steps: int,
    ) -> None:
        n, k = y.shape
        self._size, self._k, self._seed, self._done = max(1, n // 2), k, seed, 0
        self._data = [
            np.append(np.asarray(ends, np.int64), 0) for ends in (heads, tails)
        ]
        self._data.append(np.append(np.ones(len(heads), np.float32), np.float32(0)))
        self._curve = (float(np.log(curve[0])), curve[1])
        device = "cpu" if steps > WORTH_COMPILING else "reference"
        self._runner = _edge_step_runner(device, n, k, self._size, n_negatives).clone()
        self._runner.load(list(y.T))

    def epoch(self, edges: Rows, rate: float) -> None:
        """Step along the edges with these numbers, in their order."""
        missing = -len(edges) % self._size
        order = np.concatenate([edges, np.full(missing, len(self._data[0]) - 1)])
        self._runner.run(
            self._data, order, self._done, self._seed, (rate, *self._curve)
        )
        self._done += len(order) // self._size

    def read(self) -> Array:
        """Return the embedding."""
        return np.stack(self._runner.read(), axis=1).astype(np.float64)


@functools.lru_cache(maxsize=16)
def _settling_runner(
    k: int, n_neighbors: int, drawn: int, n_negatives: int
) -> StepRunner:
    """Return one step of a block of new points, attracted by their neighbours and repelled by ``drawn`` points."""
    y = [symbol("y", (_BLOCK,), "float32") for _ in range(k)]
    near = [symbol("near", (_BLOCK, n_neighbors), "float32") for _ in range(k)]
    weights = symbol("weights", (_BLOCK, n_neighbors), "float32")
    others = [symbol("others", (drawn,), "float32") for _ in range(k)]
    step, seed = symbol("step", (), "int64"), symbol("seed", (), "int64")
    scalars = _scalars("rate", "steps", "log a", "b")
    rate = (scalars[0] * (1.0 - step.astype("float64") / scalars[1])).astype("float32")
    curve = Curve(*(t.astype("float32") for t in scalars[2:]))
    places = [axis.expand_dims(1) for axis in y]
    pull = _forces(curve.attraction, [a - b for a, b in zip(places, near, strict=True)])
    push = _forces(
        curve.repulsion, [a - b for a, b in zip(places, others, strict=True)]
    )
    moved = [
        axis
        + rate * ((weights * one).sum(axis=1) + float(n_negatives) * many.mean(axis=1))
        for axis, one, many in zip(y, pull, push, strict=True)
    ]
    fixed = (*near, weights)
    return _runner("cpu", (*y, *fixed), others, (step, seed), scalars, (*moved, *fixed))


def settled(
    y: Array,
    near: Array,
    weights: Array,
    others: Array,
    n_negatives: int,
    curve: tuple[float, float],
    rate: float,
) -> Array:
    """Return new points (N, k) after gradient steps with a learning rate that decays to 0.

    Args:
        y: Initial points (N, k).
        near: Neighbours (N, n_neighbors, k), which attract.
        weights: Their weights (N, n_neighbors) of sum 1.
        others: Points (steps, drawn, k), which repel by n_negatives times the mean of
            their forces.
        n_negatives: Number of repulsions per attraction.
        curve: a and b.
        rate: Initial learning rate.
    """
    (n, k), (steps, drawn, _) = y.shape, others.shape
    runner = _settling_runner(k, weights.shape[1], drawn, n_negatives).clone()
    data = list(np.ascontiguousarray(others.reshape(-1, k).T, np.float32))
    scalars = (rate, float(steps), float(np.log(curve[0])), curve[1])
    places = np.empty((n, k))
    for start in range(0, n, _BLOCK):
        part = slice(start, min(start + _BLOCK, n))
        block = [*y[part].T, *np.moveaxis(near[part], 2, 0), weights[part]]
        missing = start + _BLOCK - part.stop
        runner.load(
            [
                np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
                for array in block
            ]
        )
        runner.run(data, np.arange(steps * drawn), 0, 0, scalars)
        places[part] = np.stack(runner.read()[:k], axis=1)[: part.stop - start]
    return places
