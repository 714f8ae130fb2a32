"""Markov chains whose stationary distribution is the posterior: the slow, exact comparison for variational inference.

Both samplers work on the free numbers of ``Joint`` (so constraints need no care), advance all chains at once, and
adapt their step size in the warm-up only (Robbins and Monro 1951), after which the chain is a proper one (VI-20).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from deltarule.errors import DataError
from deltarule.generative.inference.chains import Chains
from deltarule.generative.inference.joint import Joint, LogJoint, Variable
from deltarule.grad.reverse import gradients
from deltarule.nn.check import whole_number
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.jit import jit
from deltarule.tensor.tensor import Tensor

Density = Callable[[Array], tuple[Array, Array]]

_FIRST_SPREAD = 0.5
_DIVERGED = 1000.0  # growth of the energy along a path that no longer follows the density (as in Stan)


@dataclass
class _State:
    """Where the chains stand: points (C, d), log densities (C,), gradients (C, d)."""

    points: Array
    density: Array
    slope: Array

    def accept(
        self, other: _State, log_ratio: Array, generator: np.random.Generator
    ) -> Array:
        """Move the chains whose proposal is accepted, each with probability min(1, e^log_ratio); return which did."""
        moved = np.log(generator.random(len(log_ratio))) < log_ratio
        self.points = np.where(moved[:, None], other.points, self.points)
        self.density = np.where(moved, other.density, self.density)
        self.slope = np.where(moved[:, None], other.slope, self.slope)
        return np.asarray(moved)


Advance = Callable[
    [_State, float, Array], dict[str, Array]
]  # state, step, scales → what happened, by chain


def _accepted(log_ratio: Array) -> Array:
    """Return min(1, e^log_ratio)."""
    return np.asarray(np.exp(np.minimum(log_ratio, 0.0)))


def compiled_density(joint: Joint, device: str, with_slope: bool) -> Density:
    """Return the compiled log density and its gradient for all chains at once."""

    @jit(device=device)
    def both(free: Tensor) -> tuple[Tensor, Tensor]:
        value = joint.log_density(free)
        if not with_slope:
            return value, free
        return value, Tensor(gradients(value.sum().node, [free.node])[0])

    def call(points: Array) -> tuple[Array, Array]:
        value, slope = both(points)
        return value.numpy(), slope.numpy()

    return call


def _start(
    joint: Joint, n_chains: int, generator: np.random.Generator, density: Density
) -> _State:
    points = generator.normal(size=(n_chains, joint.size)) * _FIRST_SPREAD
    value, slope = density(points)
    if not np.isfinite(value).all():
        raise DataError(
            "log_joint",
            expected="finite values near 0 of the free numbers",
            got=str(value[~np.isfinite(value)][0]),
            hint="Give constrained variables a bijector, and centre or scale the others.",
        )
    return _State(points, value, slope)


def _run(
    joint: Joint,
    state: _State,
    advance: Advance,
    target: float,
    first_step: float,
    n_draws: int,
    n_warmup: int,
) -> Chains:
    """Warm up (adapting step size and scales), then draw."""
    whole_number(n_draws, "n_draws", 4)
    whole_number(n_warmup, "n_warmup", 10)
    log_step, scales = math.log(first_step), np.ones(joint.size)
    seen: list[Array] = []
    for t in range(n_warmup):
        share = float(
            np.nanmean(advance(state, math.exp(log_step), scales)["acceptance_rate"])
        )
        log_step += (share - target) * 2.0 / math.sqrt(t % (n_warmup // 2 + 1) + 1)
        seen.append(state.points)
        if t == n_warmup // 2:
            scales = np.maximum(
                np.concatenate(seen[len(seen) // 2 :]).std(axis=0), 1e-6
            )
            log_step = math.log(first_step)
    kept: list[Array] = []
    stats: list[dict[str, Array]] = []
    for _ in range(n_draws):
        told = advance(state, math.exp(log_step), scales)
        kept.append(state.points)
        stats.append(
            {
                **told,
                "lp": state.density,
                "step_size": np.full(len(state.points), math.exp(log_step)),
            }
        )
    draws = joint.arrays(np.stack(kept, axis=1))
    return Chains(
        draws,
        {name: np.stack([told[name] for told in stats], axis=1) for name in stats[0]},
    )


def metropolis_hastings(
    log_joint: LogJoint,
    *,
    variables: Mapping[str, Variable | Shape],
    n_draws: int = 5000,
    n_warmup: int = 2000,
    n_chains: int = 4,
    thin: int = 1,
    seed: int = 0,
    device: str = "cpu",
) -> Chains:
    """Random-walk Metropolis–Hastings: propose ζ′ = ζ + sε, accept with min(1, p(ζ′)/p(ζ)) (VI-20).

    The step s is adapted to an acceptance of 0.3; every ``thin``-th state is kept. Arguments as in
    ``fit_variational``.
    """
    joint, generator = Joint(log_joint, variables), np.random.default_rng(seed)
    density = compiled_density(joint, device, with_slope=False)
    state = _start(joint, whole_number(n_chains, "n_chains", 1), generator, density)
    whole_number(thin, "thin", 1)

    def advance(state: _State, step: float, scales: Array) -> dict[str, Array]:
        rates = []
        for _ in range(thin):
            proposal = state.points + step * scales * generator.normal(
                size=state.points.shape
            )
            value, slope = density(proposal)
            log_ratio = np.nan_to_num(value, nan=-np.inf) - state.density
            state.accept(_State(proposal, value, slope), log_ratio, generator)
            rates.append(_accepted(log_ratio))
        return {"acceptance_rate": np.mean(rates, axis=0)}

    return _run(
        joint, state, advance, 0.3, 2.4 / math.sqrt(joint.size), n_draws, n_warmup
    )


def hamiltonian_monte_carlo(
    log_joint: LogJoint,
    *,
    variables: Mapping[str, Variable | Shape],
    n_draws: int = 1000,
    n_warmup: int = 1000,
    n_chains: int = 4,
    trajectory: float = 1.5,
    max_leapfrog: int = 64,
    seed: int = 0,
    device: str = "cpu",
) -> Chains:
    """Hamiltonian Monte Carlo: leapfrog steps along the gradient, accepted with min(1, e^−ΔH) (Neal 2011).

    The step is adapted to an acceptance of 0.85 and scales to the variances seen in the warm-up; a path's length is
    uniform in (0, 2·``trajectory``) in units of these scales, so that no chain returns to where it was.
    """
    joint, generator = Joint(log_joint, variables), np.random.default_rng(seed)
    density = compiled_density(joint, device, with_slope=True)
    state = _start(joint, whole_number(n_chains, "n_chains", 1), generator, density)

    def advance(state: _State, step: float, scales: Array) -> dict[str, Array]:
        momentum = generator.normal(size=state.points.shape)
        points, slope, value = state.points, state.slope, state.density
        before = 0.5 * (momentum**2).sum(axis=1) - state.density
        moving = momentum
        n_steps = min(
            max_leapfrog, max(1, round(2 * trajectory * generator.random() / step))
        )
        for _ in range(n_steps):
            moving = moving + 0.5 * step * scales * slope
            points = points + step * scales * moving
            value, slope = density(points)
            slope = np.nan_to_num(slope, posinf=0.0, neginf=0.0)
            moving = moving + 0.5 * step * scales * slope
        after = np.nan_to_num(0.5 * (moving**2).sum(axis=1) - value, nan=np.inf)
        moved = state.accept(_State(points, value, slope), before - after, generator)
        return {
            "acceptance_rate": _accepted(before - after),
            "energy": np.where(moved, after, before),
            "diverging": after - before > _DIVERGED,
            "n_steps": np.full(len(points), n_steps),
        }

    return _run(joint, state, advance, 0.85, 0.2, n_draws, n_warmup)
