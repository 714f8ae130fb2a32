"""Natural-gradient ascent on the ELBO of normal families.

With ζ = μ + Lε and s = Lᵀ∇ln p(ζ) + ε, the gradients of the ELBO in units of q are g = E[s] (in μ) and M = E[sεᵀ] (in
L); both vanish at the best q, and s itself where q is the posterior. The natural step (Khan and Lin 2017; Opper and
Archambeau 2009) takes the precision I − ρM and moves μ by ρ(I − ρM)⁻¹g: for a normal posterior one step of ρ = 1 is
exact, whatever the units and the correlation of the variables. E is a mean over fixed samples with exact first and
second moments, so that a deterministic function is maximized (Giordano et al. 2024): line searches are possible, and
a constant in ln p has no effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from deltarule.generative.inference.draws import matched_draws
from deltarule.generative.inference.optimality import (
    ROUNDING,
    Density,
    draws_for,
    evaluated,
)
from deltarule.runtime.buffers import Array

# of one step, relative to q's precision: standard deviations grow threefold at most
_LEAST_PRECISION = 0.1
_MOST_CURVED: Final = 500  # most variables for which the full curvature is estimated
_ROUNDS, _HALVINGS = 200, 20
_UNBOUNDED = 1e8  # growth of a standard deviation that counts as unbounded


@dataclass(frozen=True)
class Slopes:
    """ln p at samples of q, and the gradients of the ELBO in units of q.

    >>> slopes = Slopes(np.zeros(3), np.zeros(2), np.array([[1.0, 0.5], [0.5, 2.0]]))
    >>> slopes.diagonal.tolist()
    [1.0, 2.0]
    """

    values: Array
    mean: Array  # g (d,)
    spread: Array  # M (d, d), symmetrized; its diagonal (d,) for many variables

    @property
    def diagonal(self) -> Array:
        """The diagonal of M."""
        return np.asarray(
            np.diag(self.spread) if self.spread.ndim == 2 else self.spread
        )


def slopes_of(values: Array, s: Array, draws: Array, whole: bool) -> Slopes:
    """Return the gradients from s (n, d) at samples ε (n, d).

    M is symmetric in expectation; of a sample its lower triangle is the gradient with respect to a lower triangular L.

    >>> found = slopes_of(np.zeros(2), np.array([[1.0], [3.0]]), np.array([[1.0], [-1.0]]), whole=False)
    >>> type(found).__name__
    'Slopes'
    """
    if not whole:
        return Slopes(values, s.mean(axis=0), (s * draws).mean(axis=0))
    lower = np.tril(s.T @ draws / len(draws))
    return Slopes(values, s.mean(axis=0), lower + np.tril(lower, -1).T)


def _newton_step(slopes: Slopes, rho: float, least: float = 1e-6) -> Array:
    """Return the Newton step of μ, ρ|I − ρM|⁻¹g, an ascent direction also where the ELBO is not concave."""
    if slopes.spread.ndim == 1:
        return np.asarray(
            rho * slopes.mean / np.maximum(np.abs(1 - rho * slopes.spread), least)
        )
    curvature, directions = np.linalg.eigh(
        np.eye(len(slopes.mean)) - rho * slopes.spread
    )
    return np.asarray(
        directions
        @ (rho * (directions.T @ slopes.mean) / np.maximum(np.abs(curvature), least))
    )


def _decrement(slopes: Slopes, spread: Array) -> float:
    """Return the estimated remaining gap in nats, ½gᵀ(I − M)⁻¹g + ¼‖M‖², for M restricted to the family."""
    return 0.5 * float(slopes.mean @ _newton_step(slopes, 1.0)) + 0.25 * float(
        (spread**2).sum()
    )


@dataclass
class Ascent:
    """Natural-gradient ascent of q = 𝒩(μ, LLᵀ); ``factor`` is L (d, d), or standard deviations (d,)."""

    density: Density
    mean: Array
    factor: Array
    seed: int = 0
    steps: int = 0
    elbos: list[tuple[float, float]] = field(
        default_factory=list
    )  # with standard errors
    unbounded: bool = False

    def __post_init__(self) -> None:
        self._first = self._deviations().copy()

    @property
    def _whole(self) -> bool:
        return self.factor.ndim == 2 or len(self.mean) <= _MOST_CURVED

    def _deviations(self) -> Array:
        return (
            np.sqrt((self.factor**2).sum(axis=1))
            if self.factor.ndim == 2
            else self.factor
        )

    def _points(self, draws: Array) -> Array:
        return np.asarray(
            self.mean
            + (draws @ self.factor.T if self.factor.ndim == 2 else draws * self.factor)
        )

    def _log_volume(self) -> float:
        return float(
            np.log(np.diag(self.factor) if self.factor.ndim == 2 else self.factor).sum()
        )

    def slopes(self, draws: Array) -> Slopes | None:
        """Return the gradients at these samples; None if ln p or a gradient is not finite."""
        values, gradient = evaluated(self.density, self._points(draws))
        if not (np.isfinite(values).all() and np.isfinite(gradient).all()):
            return None
        pulled = (
            gradient @ self.factor if self.factor.ndim == 2 else gradient * self.factor
        )
        return slopes_of(values, pulled + draws, draws, self._whole)

    def _free(self, slopes: Slopes) -> Array:
        """Return M restricted to the family: all of it, or its diagonal."""
        return slopes.spread if self.factor.ndim == 2 else slopes.diagonal

    def climb(self, tolerance: float, most_steps: int) -> bool:
        """Maximize the mean over a few samples; return whether it is stationary.

        Its maximum is near that of the ELBO, from which more samples lead on (see ``optimality``).
        """
        n, d = draws_for(len(self.mean)), len(self.mean)
        draws = matched_draws(n, d, np.random.default_rng([self.seed, 0]))
        return self._climb(draws, max(tolerance / 100, ROUNDING), most_steps)

    def _climb(self, draws: Array, enough: float, most_steps: int) -> bool:
        """Maximize the mean over these samples until the remaining gap is at most ``enough`` nats."""
        at = self.slopes(draws)
        for _ in range(_ROUNDS):
            if at is None:
                return False
            self._note(at, draws)
            left = _decrement(at, self._free(at))
            if left <= enough:
                return True
            if self.steps >= most_steps:
                return False
            following = self._step(at, draws, left)
            if following is None:
                return False
            self.steps += 1
            at = following
            if (self._deviations() > _UNBOUNDED * self._first).any():
                self.unbounded = True
                return False
        return False

    def _note(self, at: Slopes, draws: Array) -> None:
        """Record the ELBO, the mean of ln p − ln q over the samples, and its standard error."""
        log_q = (
            -0.5 * (draws**2).sum(axis=1)
            - 0.5 * draws.shape[1] * math.log(2 * math.pi)
            - self._log_volume()
        )
        ratio = at.values - log_q
        self.elbos.append(
            (float(ratio.mean()), float(ratio.std(ddof=1) / math.sqrt(len(ratio))))
        )

    def _step(self, at: Slopes, draws: Array, left: float) -> Slopes | None:
        """Take the longest of the steps 1, ½, ¼ … that increases the ELBO; return None if none does."""
        mean, factor, volume = self.mean, self.factor, self._log_volume()
        largest = (
            float(np.linalg.eigvalsh(at.spread)[-1])
            if factor.ndim == 2
            else float(at.diagonal.max())
        )
        rho = min(1.0, (1 - _LEAST_PRECISION) / largest) if largest > 0 else 1.0
        for _ in range(_HALVINGS):
            self._move(mean, factor, at, rho, _newton_step(at, rho))
            found = self.slopes(draws)
            if found is not None:
                gain = (
                    float((found.values - at.values).mean())
                    + self._log_volume()
                    - volume
                )
                if gain >= 1e-3 * rho * left or left < 1e-7:
                    return found
            self.mean, self.factor = mean, factor
            rho /= 2
        return None

    def _move(
        self, mean: Array, factor: Array, at: Slopes, rho: float, move: Array
    ) -> None:
        if factor.ndim == 1:
            self.mean, self.factor = (
                mean + factor * move,
                factor / np.sqrt(1 - rho * at.diagonal),
            )
            return
        precision = np.eye(len(mean)) - rho * at.spread
        inverse = np.linalg.inv(precision)
        self.mean = mean + factor @ move
        self.factor = factor @ np.linalg.cholesky((inverse + inverse.T) / 2)
