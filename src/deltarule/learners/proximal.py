"""Accelerated proximal steps for ½θᵀGθ − tᵀθ + α‖θ‖₁ (FISTA, Beck and Teboulle 2009), with restarts.

A step is written once, with operators that arrays and tensors share: NumPy takes the first steps, and where they do
not end it, the same step is compiled and taken many times a call.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltarule.backends.base import StepRunner
from deltarule.graph.program import StepProgram
from deltarule.learners.base import Array
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.functional import where
from deltarule.tensor.tensor import Tensor, symbol

WORTH_COMPILING = 1000  # steps, which take NumPy as long as the compiler needs
_WORTH_CALLING = 2**18  # products of numbers in a step: above, NumPy's calls are no longer what takes its time
_STEPS = 1000  # of a native call, after which it can be interrupted


def lasso(gram: Array, target: Array, alpha: float, max_iter: int, tol: float) -> tuple[Array, int, bool]:
    """Return θ (d, outputs), the number of steps, at most ``max_iter``, and whether they were enough.

    Ends where a step changes no coefficient by more than ``tol`` times the largest one.
    """
    rate = 1 / (float(np.linalg.eigvalsh(gram).max(initial=0.0)) or 1.0)
    scalars = (rate, rate * alpha, tol)
    by_numpy = min(max_iter, WORTH_COMPILING) if gram.size * target.shape[1] <= _WORTH_CALLING else max_iter
    state: list[Any] = [np.zeros_like(target), np.zeros_like(target), np.float64(1.0)]
    for number in range(1, by_numpy + 1):
        *state, ended = _step((gram, target), state, scalars)
        if ended:
            return np.asarray(state[0]), number, True
    if by_numpy == max_iter:
        return np.asarray(state[0]), max_iter, False
    runner = _runner(*target.shape).twin()
    runner.load([gram, target, *state, np.array(False), np.array(by_numpy)])
    number, ended = by_numpy, False
    while number < max_iter and not ended:
        steps = min(max_iter - number, _STEPS)
        runner.run([np.zeros(steps)], np.arange(steps), 0, 0, scalars)
        theta, *_, done, count = runner.read()[2:]
        number, ended = int(count), bool(done)
    return theta, number, ended


def _step(problem: Sequence[Any], state: Sequence[Any], scalars: Sequence[Any]) -> Any:
    """Return the next θ, the point ahead of it, its momentum, and whether this was the last step.

    A step down the gradient, then soft thresholding, the proximal step of ``most``·‖θ‖₁. The momentum starts again
    where it leads uphill (O'Donoghue and Candès 2015).
    """
    (gram, target), (theta, ahead, momentum), (rate, most, tol) = problem, state, scalars
    moved = ahead - rate * (gram @ ahead - target)
    new = _positive(moved - most) - _positive(-moved - most)
    downhill = ((ahead - new) * (new - theta)).sum() <= 0
    going = downhill.astype("float64")
    following = going * (0.5 + (0.25 + momentum * momentum) ** 0.5) + (1 - going)
    change, size = abs(new - theta).max(), abs(theta).max()
    ended = (change <= tol * size) & downhill
    return new, new + going * ((momentum - 1) / following) * (new - theta), following, ended


def _positive(x: Any) -> Any:
    """Return max(x, 0), exactly."""
    return (abs(x) + x) / 2


@functools.lru_cache(maxsize=8)
def _runner(features: int, outputs: int) -> StepRunner:
    """Return the step as a native program that stands still where it has ended, and counts steps until then."""
    shape = (features, outputs)
    gram, target = symbol("gram", (features, features), "float64"), symbol("target", shape, "float64")
    moving = [symbol("theta", shape, "float64"), symbol("ahead", shape, "float64"), symbol("momentum", (), "float64")]
    done, count = symbol("done", (), "bool"), symbol("count", (), "int64")
    scalars = [symbol(name, (), "float64") for name in ("rate", "most", "tol")]
    *moved, ended = _step((gram, target), moving, scalars)
    following: list[Tensor] = [where(done, old, new) for old, new in zip(moving, moved, strict=True)]
    following += [done | ended, count + where(done, 0, 1).astype("int64")]
    program = StepProgram(
        state=tuple(t.node for t in (gram, target, *moving, done, count)),
        batch=(symbol("tick", (1,), "float64").node,),
        step=symbol("step", (), "int64").node,
        seed=symbol("seed", (), "int64").node,
        scalars=tuple(t.node for t in scalars),
        next_state=(gram.node, target.node, *simplify([t.node for t in following])),
        metrics=(),
    )
    return backend("cpu").compile_step(program)
