"""Markov chain Monte Carlo: Metropolis–Hastings and Hamiltonian Monte Carlo.

Both samplers work on the unconstrained variables of ``Joint``, advance all chains at once, and adapt their step size in
the warm-up only (Robbins and Monro 1951), so that the posterior is the stationary distribution afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import DataError
from deltarule.generative.inference.chains import Chains
from deltarule.generative.inference.joint import Joint, LogJoint, Variable
from deltarule.grad.reverse import gradients
from deltarule.nn.check import whole_number
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.tensor.jit import jit
from deltarule.tensor.tensor import Tensor

__all__ = ["hamiltonian_monte_carlo", "metropolis_hastings"]

Density = Callable[[Array], tuple[Array, Array]]

_INITIAL_DEVIATION = 0.5
_DIVERGED = 1000.0  # energy error of a divergent transition (as in Stan)


@dataclass
class _State:
    """The state of C chains: points (C, d), log densities (C,), gradients (C, d)."""

    points: Array
    density: Array
    slope: Array

    def accept(
        self, other: _State, log_ratio: Array, generator: np.random.Generator
    ) -> Array:
        """Accept each proposal with probability min(1, e^log_ratio), update the chains, and return which moved."""
        moved = np.log(generator.random(len(log_ratio))) < log_ratio
        self.points = np.where(moved[:, None], other.points, self.points)
        self.density = np.where(moved, other.density, self.density)
        self.slope = np.where(moved[:, None], other.slope, self.slope)
        return np.asarray(moved)


# (state, step size, scales) → statistics of each chain
Advance = Callable[[_State, float, Array], dict[str, Array]]


def _accepted(log_ratio: Array) -> Array:
    """Return min(1, e^log_ratio)."""
    return np.asarray(np.exp(np.minimum(log_ratio, 0.0)))


def compiled_density(joint: Joint, device: str, with_slope: bool) -> Density:
    """Return the compiled log density and, with ``with_slope``, its gradient for many points at once."""

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
    points = generator.normal(size=(n_chains, joint.size)) * _INITIAL_DEVIATION
    value, slope = density(points)
    if not np.isfinite(value).all():
        raise DataError(
            "log_joint",
            expected="finite values near 0 of the unconstrained variables",
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
    """Run the warm-up, which adapts step size and scales, and then the sampling phase."""
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
        statistics = advance(state, math.exp(log_step), scales)
        kept.append(state.points)
        stats.append(
            {
                **statistics,
                "lp": state.density,
                "step_size": np.full(len(state.points), math.exp(log_step)),
            }
        )
    draws = joint.arrays(np.stack(kept, axis=1))
    stacked = {name: np.stack([s[name] for s in stats], axis=1) for name in stats[0]}
    return Chains(draws, stacked)


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
    """Sample by random-walk Metropolis–Hastings: propose ζ′ = ζ + sε, accept with probability min(1, p(ζ′)/p(ζ)).

    The step size s is adapted to an acceptance rate of 0.3 (Metropolis et al. 1953; Hastings 1970).

    Args:
        log_joint: Function of the values by name to the log-joint density, as in ``fit_variational``.
        variables: The latent variables by name, as in ``fit_variational``.
        n_draws: Draws of each chain.
        n_warmup: Discarded steps of the warm-up.
        n_chains: Number of chains.
        thin: Keep every ``thin``-th state only.
        seed: Seed of all random numbers.
        device: "cpu" or "reference".

    >>> chains = metropolis_hastings(lambda v: v["z"] * v["z"] * -0.5, variables={"z": ()}, n_draws=500,
    ...                              n_warmup=200, device="reference")
    >>> chains.draws["z"].shape
    (4, 500)
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
    """Sample by Hamiltonian Monte Carlo: leapfrog trajectories, accepted with probability min(1, e^−ΔH) (Neal 2011).

    The warm-up adapts the step size to an acceptance rate of 0.85, and the scales to the variances of the draws.

    Args:
        log_joint: Function of the values by name to the log-joint density, as in ``fit_variational``.
        variables: The latent variables by name, as in ``fit_variational``.
        n_draws: Draws of each chain.
        n_warmup: Discarded steps of the warm-up.
        n_chains: Number of chains.
        trajectory: Mean length of a trajectory in units of the scales; lengths are uniform in (0, 2·trajectory), which
            avoids periodic orbits.
        max_leapfrog: Maximal number of leapfrog steps of a trajectory.
        seed: Seed of all random numbers.
        device: "cpu" or "reference".

    >>> chains = hamiltonian_monte_carlo(lambda v: v["z"] * v["z"] * -0.5, variables={"z": ()}, n_draws=50,
    ...                                  n_warmup=50, device="reference")
    >>> chains.draws["z"].shape, chains.n_diverging
    ((4, 50), 0)
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


check_calls(__name__)
