"""Draws of Markov chains: how well they have mixed, how many independent draws they are worth, summaries.

Split R̂ and the effective sample size are those of Gelman et al., Bayesian Data Analysis (2013, 11.4 and 11.5), with
Geyer's (1992) initial positive sequence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from deltarule.errors import DataError
from deltarule.generative.joint import show_summary, summary_rows
from deltarule.runtime.buffers import Array


def _checked(draws: Array, where: str) -> Array:
    array = np.asarray(draws, np.float64)
    if array.ndim != 2 or array.shape[1] < 4:
        raise DataError(where, expected="draws (chains, at least 4)", got=f"shape {array.shape}")
    return array


def _halves(draws: Array) -> Array:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _variances(chains: Array) -> tuple[float, float]:
    """Return the variance within chains, and the estimate of the whole variance from both."""
    n = chains.shape[1]
    within = float(chains.var(axis=1, ddof=1).mean())
    between = float(chains.mean(axis=1).var(ddof=1)) if len(chains) > 1 else 0.0
    return within, within * (n - 1) / n + between


def split_r_hat(draws: Array) -> float:
    """Return √(V̂/W) of the halves of the chains (chains, draws): near 1 when they have mixed, above 1.01 not yet.

    >>> split_r_hat(np.array([[0.0, 1, 0, 1], [10, 11, 10, 11]])) > 5
    True
    """
    within, whole = _variances(_halves(_checked(draws, "split_r_hat")))
    return math.sqrt(whole / within) if within > 0 else math.inf if whole > 0 else 1.0


def _autocovariance(chain: Array) -> Array:
    n = len(chain)
    centred = chain - chain.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    return np.asarray(np.fft.irfft(spectrum * np.conj(spectrum))[:n] / n)


def effective_sample_size(draws: Array) -> float:
    """Return the number of independent draws whose mean is as good: mn/(1 + 2Σρₜ), at most mn·log₁₀(mn).

    ρₜ = 1 − (W − mean autocovariance)/V̂; pairs of neighbours are summed while they are positive and made monotone.
    """
    chains = _halves(_checked(draws, "effective_sample_size"))
    m, n = chains.shape
    within, whole = _variances(chains)
    if whole == 0:
        return float(m * n)
    covariance = np.mean([_autocovariance(chain) for chain in chains], axis=0) * n / (n - 1)
    rho = 1 - (within - covariance) / whole
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: negative[0] if len(negative) else len(pairs)])
    tau = max(-1 + 2 * float(pairs.sum()), 1 / math.log10(m * n))
    return float(m * n / tau)


@final
@dataclass(frozen=True)
class Chains:
    """Draws by variable, (chains, draws, *shape), and what happened at each draw, (chains, draws).

    ``stats`` has "acceptance_rate" (of the proposal), "lp" (ln p of the free numbers), "step_size"; of Hamiltonian
    chains also "energy", "diverging" and "n_steps".
    """

    draws: Mapping[str, Array]
    stats: Mapping[str, Array]

    @property
    def acceptance(self) -> Array:
        """The mean acceptance rate of each chain."""
        return np.asarray(self.stats["acceptance_rate"].mean(axis=1))

    @property
    def n_diverging(self) -> int:
        """How many paths diverged: where they did, the density is too curved for the step, and draws are missing."""
        return int(self.stats["diverging"].sum()) if "diverging" in self.stats else 0

    def _each(self, name: str) -> dict[tuple[int, ...], Array]:
        values = self.draws[name]
        return {place: values[(slice(None), slice(None), *place)] for place in np.ndindex(values.shape[2:])}

    def r_hat(self) -> dict[str, float]:
        """Return the largest split R̂ of each variable's elements."""
        return {name: max(split_r_hat(one) for one in self._each(name).values()) for name in self.draws}

    def effective_sample_size(self) -> dict[str, float]:
        """Return the smallest effective sample size of each variable's elements."""
        return {name: min(effective_sample_size(one) for one in self._each(name).values()) for name in self.draws}

    def flat(self) -> dict[str, Array]:
        """Return the draws of all chains together, (chains·draws, *shape)."""
        return {name: values.reshape(-1, *values.shape[2:]) for name, values in self.draws.items()}

    def summary(self) -> dict[str, dict[str, float]]:
        """Return mean, deviation, quantiles, R̂ and effective sample size of every element."""
        rows = summary_rows(self.flat())
        for name in self.draws:
            for place, one in self._each(name).items():
                label = name + (f"[{','.join(map(str, place))}]" if place else "")
                rows[label] |= {"R̂": split_r_hat(one), "effective": effective_sample_size(one)}
        return rows

    def to_dict(self) -> dict[str, dict[str, Array]]:
        """Return {"posterior": draws, "sample_stats": stats} as ``arviz.from_dict`` takes it, (chain, draw, *shape)."""
        return {"posterior": dict(self.draws), "sample_stats": dict(self.stats)}

    def __str__(self) -> str:
        told = show_summary(self.summary())
        n = next(iter(self.stats.values())).size
        return f"{told}\n{self.n_diverging} of {n:,} paths diverged" if self.n_diverging else told
