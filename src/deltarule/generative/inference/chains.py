"""Convergence diagnostics of Markov chains: R̂, effective sample sizes and summaries, and Pareto k̂ of weights.

Split R̂ and the effective sample size are those of Gelman et al., Bayesian Data Analysis (2013, 11.4 and 11.5), with
Geyer's (1992) initial positive sequence, truncated as in Stan and ArviZ. The rank-normalized versions, in the bulk and
in the tails, are those of Vehtari et al., Bayesian Analysis 16 (2021), and need no finite variance. All of them are
NaN for draws with a NaN or an infinity. ``pareto_k`` diagnoses importance weights (Vehtari et al., JMLR 25, 2024).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal, final

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DataError
from deltarule.generative.inference.joint import show_summary, summary_rows
from deltarule.runtime.buffers import Array

__all__ = ["Chains", "effective_sample_size", "pareto_k", "rank_r_hat", "split_r_hat"]

Kind = Literal["mean", "bulk", "tail"]
_KINDS: Final[tuple[Kind, ...]] = ("bulk", "tail")
_MIXED: Final = 1.01  # R̂ of chains that have mixed (Vehtari et al. 2021)


def _checked(draws: Array, where: str) -> Array:
    array = np.asarray(draws, np.float64)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 4:
        raise DataError(
            where, expected="draws (chains, at least 4)", got=f"shape {array.shape}"
        )
    return array


def _halves(draws: Array) -> Array:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _variances(chains: Array) -> tuple[float, float]:
    """Return the variance within chains, and the estimate of the total variance."""
    n = chains.shape[1]
    within = float(chains.var(axis=1, ddof=1).mean())
    between = float(chains.mean(axis=1).var(ddof=1)) if len(chains) > 1 else 0.0
    return within, within * (n - 1) / n + between


def _r_hat(chains: Array) -> float:
    if not np.isfinite(chains).all():
        return math.nan
    within, whole = _variances(chains)
    return math.sqrt(whole / within) if within > 0 else math.inf if whole > 0 else 1.0


def split_r_hat(draws: Array) -> float:
    """Return split R̂ = √(V̂/W) of draws (chains, draws): near 1 for chains that have mixed, above 1.01 otherwise.

    >>> split_r_hat(np.array([[0.0, 1, 0, 1], [10, 11, 10, 11]])) > 5
    True
    """
    return _r_hat(_halves(_checked(draws, "split_r_hat")))


def normal_scores(values: Array) -> Array:
    """Return the rank-normalized values Φ⁻¹((rank − 3/8)/(n + 1/4)); ties have their average rank.

    >>> normal_scores(np.array([5.0, 1.0, 100.0])).round(3).tolist()
    [0.0, -0.869, 0.869]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    scores = np.array(
        [
            NormalDist().inv_cdf(share)
            for share in (ranks - 0.375) / (values.size + 0.25)
        ]
    )
    return np.asarray(scores[places.reshape(values.shape)])


def rank_r_hat(draws: Array) -> float:
    """Return the rank-normalized split R̂: the larger one of the draws and of their distances from the median.

    The first compares the locations of the chains (chains, draws), the second their scales.

    >>> rank_r_hat(np.random.default_rng(0).normal(size=(4, 500))) < 1.01
    True
    """
    chains = _halves(_checked(draws, "rank_r_hat"))
    if not np.isfinite(chains).all():
        return math.nan
    return max(
        _r_hat(normal_scores(chains)),
        _r_hat(normal_scores(np.abs(chains - np.median(chains)))),
    )


def _autocovariance(chain: Array) -> Array:
    n = len(chain)
    centred = chain - chain.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    return np.asarray(np.fft.irfft(spectrum * np.conj(spectrum))[:n] / n)


def effective_sample_size(draws: Array, kind: Kind = "mean") -> float:
    """Return the effective sample size mn/(1 + 2Σρₜ), at most mn·log₁₀(mn), of m chains of n draws.

    ρₜ = 1 − (W − mean autocovariance)/V̂; sums of adjacent pairs are truncated where they become negative and made
    monotone, and one further positive ρ is included.

    Args:
        draws: One variable, (chains, draws).
        kind: "mean" for the draws themselves; "bulk" for the rank-normalized draws; "tail" for the smaller one of the
            5 % and the 95 % quantile.

    >>> bool(effective_sample_size(np.random.default_rng(0).normal(size=(4, 500))) > 1500)
    True
    """
    array = _checked(draws, "effective_sample_size")
    if kind not in {"mean", "bulk", "tail"}:
        raise ArgumentError(
            "effective_sample_size kind",
            expected="'mean', 'bulk' or 'tail'",
            got=repr(kind),
        )
    if not np.isfinite(array).all():
        return math.nan
    if kind == "tail":
        return min(
            _effective(_halves((array <= np.quantile(array, q)).astype(np.float64)))
            for q in (0.05, 0.95)
        )
    chains = _halves(array)
    return _effective(normal_scores(chains) if kind == "bulk" else chains)


def _effective(chains: Array) -> float:
    m, n = chains.shape
    if np.ptp(chains) < np.finfo(np.float64).resolution:
        return float(m * n)
    covariance = np.mean([_autocovariance(chain) for chain in chains], axis=0)
    within = covariance[0] * n / (n - 1)
    whole = covariance[0] + (float(chains.mean(axis=1).var(ddof=1)) if m > 1 else 0.0)
    rho = 1 - (within - covariance) / whole
    rho[0] = 1.0
    pairs = rho[: 2 * ((n - 3) // 2 + 1)].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0)
    last = int(negative[0]) if len(negative) else len(pairs) - 1
    alone = rho[2 * last] if rho[2 * last] > 0 or pairs[last] >= 0 else 0.0
    tau = -1 + 2 * float(np.minimum.accumulate(pairs[:last]).sum()) + float(alone)
    return float(m * n / max(tau, 1 / math.log10(m * n)))


def pareto_k(log_weights: Array) -> float:
    """Return the shape k̂ of a generalized Pareto distribution fitted to the largest importance weights.

    Means of weights and their standard errors are reliable for k̂ < 0.7; above, a few weights dominate. The largest 3√n
    weights (n/5 for n ≤ 225) are fitted by the method of Zhang and Stephens (2009), with the prior of Vehtari et al.
    The result is NaN for weights with a NaN or an infinity.

    Raises:
        DataError: Fewer than 25 weights.

    >>> pareto_k(np.log(1 / np.random.default_rng(0).random(4000)) * 0.3) < 0.5
    True
    """
    logs = np.asarray(log_weights, np.float64).reshape(-1)
    n = len(logs)
    if n < 25:
        raise DataError("pareto_k", expected="at least 25 weights", got=str(n))
    if np.isnan(logs).any() or logs.max() == np.inf or logs.max() == -np.inf:
        return math.nan
    ordered = np.sort(logs - logs.max())
    n_tail = int(3 * math.sqrt(n)) if n > 225 else n // 5
    cutoff = max(float(ordered[-n_tail - 1]), math.log(np.finfo(np.float64).tiny))
    tail = np.exp(ordered[-n_tail:]) - math.exp(cutoff)
    tail = tail[tail > 0]
    return _pareto_shape(tail) if len(tail) > 4 else math.inf


def _pareto_shape(excess: Array) -> float:
    """Return k̂ of positive excesses in ascending order."""
    n = len(excess)
    n_points = 30 + int(math.sqrt(n))
    b = (1 - np.sqrt(n_points / (np.arange(1, n_points + 1) - 0.5))) / (
        3 * excess[int(n / 4 + 0.5) - 1]
    ) + 1 / excess[-1]
    with np.errstate(all="ignore"):
        k = np.log1p(-b[:, None] * excess).mean(axis=1)
        likelihood = n * (np.log(-b / k) - k - 1)
    weights = np.exp(likelihood - np.nanmax(likelihood))
    weights = np.where(
        weights >= 10 * np.finfo(np.float64).eps * np.nansum(weights), weights, 0.0
    )
    center = float((b * weights).sum() / weights.sum())
    shape = float(np.log1p(-center * excess).mean())
    return (n * shape + 5.0) / (n + 10)


@final
@dataclass(frozen=True)
class Chains:
    """Draws of several Markov chains, with sampler statistics and diagnostics.

    Attributes:
        draws: Draws by variable, (chains, draws, *shape).
        stats: Statistics of each draw, (chains, draws): "acceptance_rate" (of the proposal), "lp" (log density of the
            unconstrained variables) and "step_size"; of Hamiltonian Monte Carlo also "energy", "diverging" and
            "n_steps".

    >>> draws = np.random.default_rng(0).normal(size=(2, 100))
    >>> chains = Chains({"z": draws}, {"acceptance_rate": np.ones((2, 100))})
    >>> chains.flat()["z"].shape, chains.acceptance.tolist()
    ((200,), [1.0, 1.0])
    """

    draws: Mapping[str, Array]
    stats: Mapping[str, Array]

    @property
    def acceptance(self) -> Array:
        """The mean acceptance rate of each chain."""
        return np.asarray(self.stats["acceptance_rate"].mean(axis=1))

    @property
    def n_diverging(self) -> int:
        """Number of divergent transitions, where the curvature is too high for the step size and draws are biased."""
        return int(self.stats["diverging"].sum()) if "diverging" in self.stats else 0

    def _each(self, name: str) -> dict[tuple[int, ...], Array]:
        values = self.draws[name]
        return {
            place: values[(slice(None), slice(None), *place)]
            for place in np.ndindex(values.shape[2:])
        }

    def r_hat(self) -> dict[str, float]:
        """Return the largest rank-normalized R̂ of the elements of each variable; NaN if one of them is.

        >>> draws = np.random.default_rng(0).normal(size=(4, 250))
        >>> bool(Chains({"x": draws}, {}).r_hat()["x"] < 1.01)
        True
        """
        return {
            name: float(np.max([rank_r_hat(one) for one in self._each(name).values()]))
            for name in self.draws
        }

    def effective_sample_size(self, kind: Kind = "bulk") -> dict[str, float]:
        """Return the smallest effective sample size of the elements of each variable.

        >>> draws = np.random.default_rng(0).normal(size=(4, 250))
        >>> bool(Chains({"x": draws}, {}).effective_sample_size()["x"] > 800)
        True
        """

        def smallest(name: str) -> float:
            elements = self._each(name).values()
            return float(np.min([effective_sample_size(one, kind) for one in elements]))

        return {name: smallest(name) for name in self.draws}

    def flat(self) -> dict[str, Array]:
        """Return the draws of all chains together, (chains·draws, *shape).

        >>> draws = np.arange(6.0).reshape(2, 3)
        >>> Chains({"x": draws}, {}).flat()["x"].tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        """
        return {
            name: values.reshape(-1, *values.shape[2:])
            for name, values in self.draws.items()
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """Return mean, standard deviation, quantiles, R̂ and effective sample sizes (bulk, tail) of every element.

        >>> draws = np.random.default_rng(0).normal(size=(4, 250))
        >>> summary = Chains({"x": draws}, {}).summary()
        >>> sorted(summary["x"])[:3]
        ['5%', '50%', '95%']
        """
        rows = summary_rows(self.flat())
        for name in self.draws:
            for place, one in self._each(name).items():
                label = name + (f"[{','.join(map(str, place))}]" if place else "")
                sizes: dict[str, float] = {
                    kind: effective_sample_size(one, kind) for kind in _KINDS
                }
                rows[label] |= {"R̂": rank_r_hat(one), **sizes}
        return rows

    def to_dict(self) -> dict[str, dict[str, Array]]:
        """Return {"posterior": draws, "sample_stats": stats} for ArviZ, each array (chain, draw, *shape).

        ``arviz.from_dict(**chains.to_dict())``; from ArviZ 1.0 on ``arviz.from_dict(chains.to_dict())``.

        >>> draws = np.zeros((2, 3))
        >>> Chains({"x": draws}, {}).to_dict()["posterior"]["x"].shape
        (2, 3)
        """
        return {"posterior": dict(self.draws), "sample_stats": dict(self.stats)}

    def __str__(self) -> str:
        lines = [show_summary(self.summary())]
        n, mixed = next(iter(self.stats.values())).size, self.r_hat()
        worst = max(
            mixed, key=lambda name: math.inf if math.isnan(mixed[name]) else mixed[name]
        )
        if not mixed[worst] <= _MIXED:
            lines.append(
                f"R̂ of {worst} is {mixed[worst]:.3g}, above {_MIXED}: the chains have not mixed. Take more draws, a "
                "longer warm-up, or other variables."
            )
        if self.n_diverging:
            lines.append(f"{self.n_diverging} of {n:,} paths diverged")
        return "\n".join(lines)


check_calls(__name__)
