"""Natural-gradient ascent on the ELBO of normal families, and the remaining gap to the optimum in nats.

With ζ = μ + Lε and s = Lᵀ∇ln p(ζ) + ε, the gradients of the ELBO in units of q are g = E[s] (in μ) and M = E[sεᵀ] (in
L); both vanish at the best q, and s itself where q is the posterior. The natural step (Khan and Lin 2017; Opper and
Archambeau 2009) takes the precision I − ρM and moves μ by ρ(I − ρM)⁻¹g: for a normal posterior one step of ρ = 1 is
exact, whatever the units and the correlation of the variables. E is a mean over fixed samples with exact first and
second moments, so that a deterministic function is maximized (Giordano et al. 2024): line searches are possible, and
a constant in ln p has no effect.

The distance from the best q of a family is about ½gᵀ(I − M)⁻¹g + ¼‖M‖² nats, M projected onto the tangent space of
the family; products over two independent halves of fresh samples estimate it without the bias of a square.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from deltarule.generative.inference.joint import Joint
from deltarule.runtime.buffers import Array
from deltarule.tensor.tensor import tensor

# points (n, d) → ln p (n,) and its gradients (n, d)
Density = Callable[[Array], tuple[Array, Array]]

CHUNK: Final = 64  # samples evaluated in one call
_FIRST, _MOST, _FRESH = 256, 16_384, 4096  # samples
_SETS = 65  # sets of samples
_CHECKS = frozenset({1, 4, 8, 16, 32, 64})  # sets after which the gap is estimated
# of one step, relative to q's precision: standard deviations grow threefold at most
_LEAST_PRECISION = 0.1
ROUNDING: Final = 1e-9  # nats below which a gap is rounding error
DIRECTIONS: Final = 500  # most variables for which the full curvature is estimated
_ROUNDS, _HALVINGS = 200, 20
_UNBOUNDED = 1e8  # growth of a standard deviation that counts as unbounded


def matched_draws(n: int, d: int, generator: np.random.Generator) -> Array:
    """Return n standard normal samples (n, d) with sample mean 0 and, for n ≥ 4d, sample covariance I.

    >>> e = matched_draws(64, 2, np.random.default_rng(0))
    >>> bool(np.allclose(e.T @ e / 64, np.eye(2)))
    True
    """
    half = generator.normal(size=(n // 2, d))
    draws = np.concatenate([half, -half])
    if n >= 4 * d:
        return np.asarray(
            np.linalg.solve(np.linalg.cholesky(draws.T @ draws / n), draws.T).T
        )
    return np.asarray(draws / np.sqrt((draws**2).mean(axis=0)))


def evaluated(density: Density, points: Array) -> tuple[Array, Array]:
    """Return ln p and its gradients at many points, evaluated in chunks."""
    parts = [
        density(points[start : start + CHUNK]) for start in range(0, len(points), CHUNK)
    ]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def draws_for(d: int) -> int:
    """Return the number of samples of an ascent in d dimensions.

    >>> draws_for(2), draws_for(100)
    (256, 832)
    """
    return max(_FIRST, -(-8 * d // CHUNK) * CHUNK)


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
        return self.factor.ndim == 2 or len(self.mean) <= DIRECTIONS

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
        """Maximize the ELBO until the gap at fresh samples is at most ``tolerance``; return whether it is stationary.

        From the maximum for one set of samples, decreasing steps with fresh sets lead to the mean of their maxima.
        """
        n, d = draws_for(len(self.mean)), len(self.mean)
        generator = np.random.default_rng([self.seed, 0])
        if not self._climb(
            matched_draws(n, d, generator), max(tolerance / 100, ROUNDING), most_steps
        ):
            return False
        for k in range(1, _SETS):
            if (
                k in _CHECKS
                and self.gap(max(2 * n, _FRESH)) <= tolerance / 2 + ROUNDING
            ):
                break
            at = self.slopes(matched_draws(n, d, generator))
            # above k the precision would become negative by a step of 1/(k + 1)
            if at is None or float(at.diagonal.max()) > k:
                return False
            self._move(
                self.mean, self.factor, at, 1 / (k + 1), _newton_step(at, 1 / (k + 1))
            )
            self.steps += 1
        return True

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

    def gap(self, n: int) -> float:
        """Return the estimated gap to the best q of the family in nats, from n fresh samples; inf if not finite."""
        tangents = None if self.factor.ndim == 2 else "diagonal"
        return gap(
            self.density, self.mean, self.factor, n, seed=self.seed, tangents=tangents
        )


@np.errstate(all="ignore")  # overflow gives inf, which is no convergence
def gap(
    density: Density,
    mean: Array,
    factor: Array,
    n: int,
    *,
    seed: int,
    tangents: Array | str | None = None,
) -> float:
    """Return the estimated gap between the ELBO of q = 𝒩(μ, LLᵀ) and the maximum of its family; inf if not finite.

    Args:
        density: ln p and its gradients.
        mean: μ, (d,).
        factor: L (d, d), or standard deviations (d,).
        n: Number of fresh samples.
        seed: Seed of the samples.
        tangents: Basis (d², p) of the tangent space of L⁻¹ΣL⁻ᵀ within the family; "diagonal" for independent
            variables; None for all symmetric matrices.
    """
    here = Ascent(density, mean, factor)
    d, halves = len(mean), []
    for part in (1, 2):
        draws = matched_draws(
            -(-n // (2 * CHUNK)) * CHUNK, d, np.random.default_rng([seed, part, n])
        )
        found = here.slopes(draws)
        if found is None:
            return math.inf
        halves.append(found)
    return between_halves(halves[0], halves[1], tangents)


@np.errstate(all="ignore")  # overflow gives inf, which is no convergence
def score_gap(
    joint: Joint, mean: Array, factor: Array, tangents: Array | str | None, seed: int
) -> float:
    """Return the gap without gradients of ln p: g = E[(f − b)ε], M = E[(f − b)(εεᵀ − I)] with f = ln p − ln q."""
    d, halves = len(mean), []
    for part in (1, 2):
        draws = np.random.default_rng([seed, part]).normal(size=(_MOST, d))
        points = mean + (draws @ factor.T if factor.ndim == 2 else draws * factor)
        parts = [
            joint.log_density(tensor(points[i : i + 16 * CHUNK])).numpy()
            for i in range(0, _MOST, 16 * CHUNK)
        ]
        ratio = np.concatenate(parts) + 0.5 * (draws**2).sum(axis=1)
        if not np.isfinite(ratio).all():
            return math.inf
        centred = (ratio - ratio.mean())[:, None]
        second = (centred * draws).T @ draws / _MOST
        halves.append(Slopes(ratio, (centred * draws).mean(axis=0), second))
    return between_halves(halves[0], halves[1], tangents)


@np.errstate(all="ignore")
def between_halves(
    first: Slopes, second: Slopes, tangents: Array | str | None
) -> float:
    """Return the gap ½g₁ᵀ(I − M)⁻¹g₂ + ¼⟨M₁, M₂⟩ from gradients at two independent sets of samples."""
    both = replace(first, mean=second.mean, spread=(first.spread + second.spread) / 2)
    if not all(np.isfinite(part).all() for part in (both.mean, both.spread)):
        return math.inf
    linear = float(first.mean @ _newton_step(both, 1.0, 1e-4))
    if isinstance(tangents, str) or first.spread.ndim == 1:
        square = float(first.diagonal @ second.diagonal)
    elif tangents is None:
        square = float((first.spread * second.spread).sum())
    else:
        square = float(
            (tangents.T @ first.spread.reshape(-1))
            @ (tangents.T @ second.spread.reshape(-1))
        )
    left = 0.5 * linear + 0.25 * square
    return left if math.isfinite(left) else math.inf


def low_rank_tangents(factor: Array, shared: Array) -> Array:
    """Return an orthonormal basis (d², p) of the tangent space of Σ = WWᵀ + diag, whitened by L with LLᵀ = Σ."""
    d, rank = shared.shape
    inverse = np.linalg.inv(factor)
    changes = [np.outer(inverse[:, i], inverse[:, i]).reshape(-1) for i in range(d)]
    for column in (inverse @ shared).T if rank else ():
        for i in range(d):
            change = np.outer(inverse[:, i], column)
            changes.append((change + change.T).reshape(-1))
    basis, sizes, _ = np.linalg.svd(np.array(changes).T, full_matrices=False)
    return np.asarray(basis[:, sizes > 1e-9 * sizes[0]])
