"""The gradient descent of t-SNE as one step program: forces, gains and momentum, many iterations per native call.

    t_ij = 1/(1 + ‖yᵢ − yⱼ‖²),  Z = Σ_{i≠j} t_ij,  ∂KL/∂yᵢ = 4 Σⱼ (pᵢⱼ − t_ij/Z) t_ij (yᵢ − yⱼ)

P is exaggerated at first: ε·pᵢⱼ in place of pᵢⱼ. The embedding is passed axis by axis
and P is dense, both float32. All pairs are visited twice per iteration, for Z and for
the forces; t is recomputed and not stored, so that only P takes N² numbers of memory.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deltarule.backends.base import StepRunner
from deltarule.errors import DivergenceError
from deltarule.graph.program import StepProgram
from deltarule.learners.base import Array
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.functional import log, maximum, sqrt, where
from deltarule.tensor.tensor import Tensor, symbol

WORTH_COMPILING = 500  # iterations on few points that take NumPy as long as compilation
_MANY_PAIRS = 2**14  # pairs that take as long as the rest of an iteration of NumPy
_AT_A_TIME = 50  # iterations in a native call
LEAST_GAIN = 0.01


def gaps(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
    """Return the differences of all pairs (N, N), axis by axis.

    >>> from deltarule.tensor.tensor import tensor
    >>> gaps([tensor([0.0, 3.0])], [tensor([0.0, 3.0])])[0].tolist()
    [[0.0, -3.0], [3.0, 0.0]]
    """
    return [
        a.expand_dims(1) - b.expand_dims(0) for a, b in zip(left, right, strict=True)
    ]


def proximity(gap: Sequence[Tensor]) -> Tensor:
    """Return t = 1/(1 + d²) for all pairs (N, N).

    >>> from deltarule.tensor.tensor import tensor
    >>> proximity([tensor([[0.0, 1.0], [-1.0, 0.0]])]).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    squares = [along * along for along in gap]
    return 1.0 / (1.0 + sum(squares[1:], squares[0]))


def partition(t: Tensor) -> Tensor:
    """Return Z, the sum of t over the pairs of different points, in float64.

    >>> from deltarule.tensor.tensor import tensor
    >>> partition(tensor([[1.0, 0.5], [0.5, 1.0]])).item()
    1.0
    """
    return maximum((t.astype("float64").sum(axis=1) - 1.0).sum(), 1e-300)


def divergence(
    rows: Sequence[Tensor], columns: Sequence[Tensor], p: Tensor, exaggeration: Tensor
) -> Tensor:
    """Return the part of KL(P‖Q) that depends on the embedding: −Σᵢⱼ pᵢⱼ log t_ij + log Z, for P of sum 1.

    ``rows`` and ``columns`` are the same embedding, twice: as P and Q are symmetric,
    its gradient is twice that in one.
    """
    t = proximity(gaps(rows, columns))
    return log(partition(t)) - exaggeration * (p * log(t)).sum()


def gradient(y: Sequence[Tensor], p: Tensor, exaggeration: Tensor) -> list[Tensor]:
    """Return the gradient of the divergence, axis by axis."""
    # negated, so that it is another expression than ``gaps`` and is not stored
    back = [a.expand_dims(0) - a.expand_dims(1) for a in y]
    scale = (1.0 / partition(proximity(back))).astype("float32")
    gap = gaps(y, y)
    t = proximity(gap)
    force = (exaggeration * p - scale * t) * t
    return [4.0 * (force * along).sum(axis=1) for along in gap]


@functools.lru_cache(maxsize=8)
def _runner(device: str, n: int, k: int) -> StepRunner:
    """Return one iteration for embeddings of n points in k dimensions.

    It iterates until the norm of the gradient is below ``tol`` and leaves the state
    unchanged from then on. The metric is 1 while it moves the embedding.
    """
    y, step, gains = (
        [symbol(name, (n,), "float32") for _ in range(k)]
        for name in ("y", "step", "gains")
    )
    p, going = symbol("p", (n, n), "float32"), symbol("going", (), "float32")
    exaggeration, momentum, tol = batch = [
        symbol(name, (1,), "float32") for name in ("exaggeration", "momentum", "tol")
    ]
    rate = symbol("rate", (), "float64")
    slopes = gradient(y, p, exaggeration[0])
    new_gains = [
        maximum(where(before * slope < 0.0, gain + 0.2, gain * 0.8), LEAST_GAIN)
        for before, slope, gain in zip(step, slopes, gains, strict=True)
    ]
    new_step = [
        momentum[0] * before - rate.astype("float32") * gain * slope
        for before, slope, gain in zip(step, slopes, new_gains, strict=True)
    ]
    new_y = [place + going * moved for place, moved in zip(y, new_step, strict=True)]
    squares = [(slope * slope).sum() for slope in slopes]
    new_going = where(sqrt(sum(squares[1:], squares[0])) < tol[0], 0.0, going)
    *following, moves = simplify(
        [t.node for t in (*new_y, *new_step, *new_gains, p, new_going, going * 1.0)]
    )
    program = StepProgram(
        state=tuple(t.node for t in (*y, *step, *gains, p, going)),
        batch=tuple(t.node for t in batch),
        step=symbol("number", (), "int64").node,
        seed=symbol("seed", (), "int64").node,
        scalars=(rate.node,),
        next_state=tuple(following),
        metrics=(moves,),
    )
    return backend(device).compile_step(program)


@dataclass(frozen=True)
class Schedule:
    """Hyperparameters by iteration: ``exaggeration`` of P and momentum 0.5 at first, then 1 and 0.8.

    >>> schedule = Schedule(exaggeration=12.0, exaggerated=2, max_iter=3, rate=200.0, tol=1e-7)
    >>> schedule.factors()[1].tolist()
    [0.5, 0.5, 0.8]
    """

    exaggeration: float
    exaggerated: int
    max_iter: int
    rate: float
    tol: float  # norm of the gradient at which the descent ends, after the exaggeration

    def factors(self) -> tuple[Array, Array, Array]:
        """Return exaggeration, momentum and tolerance of each iteration."""
        early = np.arange(self.max_iter) < self.exaggerated
        return (
            np.where(early, self.exaggeration, 1.0),
            np.where(early, 0.5, 0.8),
            np.where(early, 0.0, self.tol),
        )


def descend(p: Array, y: Array, schedule: Schedule) -> tuple[Array, int]:
    """Return the embedding (N, k) after the descent from ``y``, in float32, and the number of iterations."""
    n, k = y.shape
    device = (
        "cpu"
        if schedule.max_iter * (1 + n * n / _MANY_PAIRS) > WORTH_COMPILING
        else "reference"
    )
    runner = _runner(device, n, k).clone()
    still, ones = [np.zeros(n)] * k, [np.ones(n)] * k
    runner.load([*y.T, *still, *ones, p, np.ones(())])
    data, n_iter = schedule.factors(), 0
    for start in range(0, schedule.max_iter, _AT_A_TIME):
        order = np.arange(start, min(start + _AT_A_TIME, schedule.max_iter))
        moved = int(runner.run(data, order, start, 0, (schedule.rate,)).sum())
        n_iter += moved
        if moved < len(order):
            break
    found = np.stack(runner.read()[:k], axis=1)
    if not np.isfinite(found).all():
        raise diverged("infinite or NaN coordinates")
    return found, n_iter


def diverged(what: str) -> DivergenceError:
    """Return the error for a diverging embedding.

    >>> print(diverged("nan"))
    TSNE: expected a finite embedding, got nan.
      Use a smaller learning_rate, or "auto".
    """
    return DivergenceError(
        "TSNE",
        expected="a finite embedding",
        got=what,
        hint='Use a smaller learning_rate, or "auto".',
    )
