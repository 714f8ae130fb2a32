"""Accelerated proximal gradient steps for ½θᵀGθ − tᵀθ + α‖θ‖₁ (FISTA, Beck and Teboulle 2009), with restarts.

The step is written once, for arrays and tensors: NumPy runs the first steps, and if
these do not converge the same step is compiled and runs many times per call.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import linalg
from scipy.sparse.linalg import LinearOperator

from deltarule.backends.base import StepRunner
from deltarule.graph.program import StepProgram
from deltarule.learners.base import Array
from deltarule.runtime.devices import backend
from deltarule.simplify import simplify
from deltarule.tensor.functional import where
from deltarule.tensor.tensor import Tensor, symbol

WORTH_COMPILING = 1000  # steps that take NumPy as long as compilation
_WORTH_CALLING = 2**18  # products per step, above which NumPy's call overhead is small
_STEPS = 1000  # per native call, after which it can be interrupted


def elastic_net(
    gram: Any,
    target: Array,
    lengths: Array,
    kink: Array,
    ridge: Array,
    max_iter: int,
    tol: float,
    start: Array,
) -> tuple[Array, int, bool]:
    """Return arg min ½θᵀGθ − tᵀθ + Σ kink·|θ| + ½Σ ridge·θ², the number of steps, and whether they converged.

    The steps run with the diagonal scaled to 1. They end where their zeros and signs
    are those of a point that satisfies the optimality conditions, else where no
    coefficient changes by more than ``tol`` times the largest.

    Args:
        gram: G, an array or a linear operator.
        target: t, (d, outputs).
        lengths: The diagonal of G.
        kink: Strength of |θ| for each coefficient, (d, outputs).
        ridge: Strength of ½θ² for each feature, (d,).
        max_iter: Maximum number of steps.
        tol: Largest relative change at convergence.
        start: Initial θ.
    """
    size = np.sqrt(lengths + ridge)
    size = np.where(size > 0, size, 1.0)[:, None]
    target, kink = target / size, kink / size
    if isinstance(gram, np.ndarray):
        gram = (gram + np.diag(ridge)) / (size * size.T)
    else:
        given = gram
        gram = LinearOperator(
            given.shape, lambda v: _along(given, v, size, ridge), dtype=np.float64
        )
    theta, steps, ended = start * size, 0, False
    for roughly in (1e-3, 1e-5, 1e-7, tol):
        if roughly < tol or steps >= max_iter:
            continue
        theta, more, ended = lasso(gram, target, kink, max_iter - steps, roughly, theta)
        steps += more
        exact = _exact(gram, target, kink, theta) if ended else None
        if exact is not None:
            return exact / size, steps, True
    return theta / size, steps, ended


def _along(gram: Any, v: Array, size: Array, ridge: Array) -> Array:
    moved = v.reshape(len(size), -1) / size
    return np.asarray((gram @ moved + ridge[:, None] * moved) / size).reshape(v.shape)


def _exact(gram: Any, target: Array, kink: Array, theta: Array) -> Array | None:
    """Return the minimum over the points with the zeros and signs of θ, if it satisfies the optimality conditions."""
    found = np.zeros_like(theta)
    if not isinstance(gram, np.ndarray):
        return None
    for k in range(theta.shape[1]):
        kept, sign = np.flatnonzero(theta[:, k]), np.sign(theta[:, k])
        part = gram[np.ix_(kept, kept)]
        try:
            factor = linalg.cho_factor(part, check_finite=False)
        except linalg.LinAlgError:
            return None
        if len(kept):
            solved = linalg.cho_solve(
                factor, (target[:, k] - kink[:, k] * sign)[kept], check_finite=False
            )
            found[kept, k] = solved
        slope = gram @ found[:, k] - target[:, k]
        size = np.abs(target[:, k]).max(initial=0.0) + np.abs(found[:, k]).max(
            initial=0.0
        )
        wrong = np.maximum(
            np.abs(slope + kink[:, k] * sign) - np.where(sign == 0, kink[:, k], 0.0),
            0.0,
        )
        if (np.sign(found[:, k]) != sign).any() or wrong.max(
            initial=0.0
        ) > 1e-12 * size:
            return None
    return found


def lasso(
    gram: Any,
    target: Array,
    alpha: Any,
    max_iter: int,
    tol: float,
    start: Array | None = None,
) -> tuple[Array, int, bool]:
    """Return θ (d, outputs), the number of steps, at most ``max_iter``, and whether they converged.

    ``alpha`` is a number, or one for each coefficient. The steps end where no
    coefficient changes by more than ``tol`` times the largest.

    >>> theta, steps, converged = lasso(np.eye(2), np.array([[3.0], [0.5]]), 1.0, 100, 1e-8)
    >>> theta.round(6).tolist(), converged
    ([[2.0], [0.0]], True)
    """
    whole = isinstance(gram, np.ndarray)
    rate = 1 / (_largest_eigenvalue(gram, target.shape[0]) or 1.0)
    most = np.broadcast_to(np.asarray(rate * alpha, np.float64), target.shape)
    scalars = (rate, tol)
    native = whole and gram.size * target.shape[1] <= _WORTH_CALLING
    by_numpy = min(max_iter, WORTH_COMPILING) if native else max_iter
    first = np.zeros_like(target) if start is None else start
    state: list[Any] = [first, first, np.float64(1.0)]
    for number in range(1, by_numpy + 1):
        *state, ended = _step((gram, target, most), state, scalars)
        if ended:
            return np.asarray(state[0]), number, True
    if by_numpy == max_iter:
        return np.asarray(state[0]), max_iter, False
    runner = _runner(*target.shape).clone()
    runner.load(
        [
            gram,
            target,
            np.ascontiguousarray(most),
            *state,
            np.array(False),
            np.array(by_numpy),
        ]
    )
    number, ended = by_numpy, False
    while number < max_iter and not ended:
        steps = min(max_iter - number, _STEPS)
        runner.run([np.zeros(steps)], np.arange(steps), 0, 0, scalars)
        theta, *_, done, count = runner.read()[3:]
        number, ended = int(count), bool(done)
    return theta, number, ended


def _largest_eigenvalue(gram: Any, d: int) -> float:
    """Return the largest eigenvalue, or slightly more if by power iteration with an operator."""
    if isinstance(gram, np.ndarray):
        return float(np.linalg.eigvalsh(gram).max(initial=0.0))
    v, size = np.random.default_rng(0).normal(size=(d, 1)), 0.0
    for _ in range(100):
        v = gram @ (v / np.linalg.norm(v))
        size, before = float(np.linalg.norm(v)), size
        if abs(size - before) <= 1e-4 * size:
            break
    return 1.02 * size


def _step(problem: Sequence[Any], state: Sequence[Any], scalars: Sequence[Any]) -> Any:
    """Return the next θ, the extrapolated point, its momentum, and whether this was the last step.

    A gradient step, then soft thresholding, the proximal step of Σ ``most``·|θ|. The
    momentum is restarted where it points uphill (O'Donoghue and Candès 2015).
    """
    (gram, target, most), (theta, ahead, momentum), (rate, tol) = (
        problem,
        state,
        scalars,
    )
    moved = ahead - rate * (gram @ ahead - target)
    new = _positive(moved - most) - _positive(-moved - most)
    downhill = ((ahead - new) * (new - theta)).sum() <= 0
    going = downhill.astype("float64")
    following = going * (0.5 + (0.25 + momentum * momentum) ** 0.5) + (1 - going)
    change, size = abs(new - theta).max(), abs(theta).max()
    ended = (change <= tol * size) & downhill
    return (
        new,
        new + going * ((momentum - 1) / following) * (new - theta),
        following,
        ended,
    )


def _positive(x: Any) -> Any:
    """Return max(x, 0), exactly."""
    return (abs(x) + x) / 2


@functools.lru_cache(maxsize=8)
def _runner(features: int, outputs: int) -> StepRunner:
    """Return the step as a native program, which is idle after convergence and counts the steps until then."""
    shape = (features, outputs)
    gram, target = (
        symbol("gram", (features, features), "float64"),
        symbol("target", shape, "float64"),
    )
    most = symbol("most", shape, "float64")
    moving = [
        symbol("theta", shape, "float64"),
        symbol("ahead", shape, "float64"),
        symbol("momentum", (), "float64"),
    ]
    done, count = symbol("done", (), "bool"), symbol("count", (), "int64")
    scalars = [symbol(name, (), "float64") for name in ("rate", "tol")]
    *moved, ended = _step((gram, target, most), moving, scalars)
    following: list[Tensor] = [
        where(done, old, new) for old, new in zip(moving, moved, strict=True)
    ]
    following += [done | ended, count + where(done, 0, 1).astype("int64")]
    program = StepProgram(
        state=tuple(t.node for t in (gram, target, most, *moving, done, count)),
        batch=(symbol("tick", (1,), "float64").node,),
        step=symbol("step", (), "int64").node,
        seed=symbol("seed", (), "int64").node,
        scalars=tuple(t.node for t in scalars),
        next_state=(
            gram.node,
            target.node,
            most.node,
            *simplify([t.node for t in following]),
        ),
        metrics=(),
    )
    return backend("cpu").compile_step(program)
