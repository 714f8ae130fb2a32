"""An upper confidence bound of the nats from q to the best normal distribution of its family.

A mean F̂ over fixed samples is at every θ an unbiased estimate of the ELBO F, so E[max F̂ − F̂(q)] ≥ max F − F(q): the
gain of maximizing over fresh samples overestimates the gap, whatever the tails and the skewness of the posterior (Mak,
Morton and Wood 1999). Independent groups of samples give its standard error (Bayraksan and Morton 2006). The maximum
is found by L-BFGS from a point near q, so that a saddle is left; it is a local one where the ELBO has several.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, final

import numpy as np

from deltarule.generative.inference.coordinates import Coordinates, Correlated
from deltarule.generative.inference.draws import matched_draws, stratified_draws
from deltarule.optim.line_search import strong_wolfe
from deltarule.optim.solvers import two_loops
from deltarule.runtime.buffers import Array

# points (n, d) → ln p (n,) and its gradients (n, d)
Density = Callable[[Array], tuple[Array, Array]]

CHUNK: Final = 64  # samples evaluated in one call,
_LARGE_CHUNK, _MANY = 512, 16_384  # and of so many samples
ROUNDING: Final = 1e-9  # nats below which a gap is rounding error
GROUPS: Final = 16  # independent groups of samples
_DEVIATIONS = 3.733  # 99.9 % quantile of Student's t with 15 degrees of freedom
_FIRST, _MOST, _MOST_VALUES = 2048, 262_144, 1 << 23  # samples; numbers in all samples
_PILOT: Final = 256  # samples
_SCORED: Final = 65_536  # samples without gradients
_RARE = 2.0  # least factor of the variance: rare large values of ln p are seldom seen
_SURPRISE = math.log(1000)  # of a probability of 0.1 %
_CAUTION = 10.0  # of what an approximate Hessian says is left
_STEPS, _MEMORY = 100, 20  # of L-BFGS
_MOST_CURVED = 500  # variables up to which curvature scales the steps
_LEAST_CURVATURE = 1e-4
_IDLE = 2  # rounds after which a gap that is not halved stays
_FAR, _REACH = 30.0, 60.0  # from q, where a maximization ends


def evaluated(density: Density, points: Array) -> tuple[Array, Array]:
    """Return ln p and its gradients at many points, evaluated in chunks."""
    n = len(points)
    chunk = CHUNK if n < _MANY else _LARGE_CHUNK
    parts = [density(points[start : start + chunk]) for start in range(0, n, chunk)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def draws_for(d: int) -> int:
    """Return the number of samples that suffice to begin with in d dimensions.

    >>> draws_for(2), draws_for(100)
    (256, 832)
    """
    return max(_PILOT, -(-8 * d // CHUNK) * CHUNK)


class Average(Protocol):
    """A mean over fixed samples that is to be maximized."""

    curvature: Array  # of minus the mean at 0, in the first coordinates

    def at(self, theta: Array) -> tuple[float, Array]:
        """Return minus the gain from 0 to θ, and its gradient; inf where it is not finite."""

    def groups(self, theta: Array) -> tuple[Array, Array]:
        """Return the gain from 0 to θ in every group of samples, and their gradients less the mean one."""


@final
class SampleAverage:
    """The ELBO over fixed samples ζ(θ, ε), with its gradient from those of ln p.

    A quadratic function Q with the mean curvature of ln p, of which the expectation is known, is a control variate:
    E[ln p] = E[ln p − Q] + E[Q]. It is ln p itself where that is quadratic, which leaves no error. Q has samples of its
    own, the second moments of which are exact.
    """

    def __init__(
        self,
        density: Density,
        coordinates: Coordinates,
        draws: Array,
        generator: np.random.Generator,
    ) -> None:
        self.density, self.coordinates, self.draws = density, coordinates, draws
        width, self._zero = coordinates.width, np.zeros(coordinates.size)
        self.own = matched_draws(draws_for(width), width, generator)
        points = coordinates.points(self._zero, self.own)
        slopes = evaluated(density, points)[1]
        self.curvature = coordinates.curvature(slopes, self.own)
        if len(self.curvature) > _MOST_CURVED:
            self.curvature = np.diag(np.diag(self.curvature))
        units = coordinates.units
        matrix = units if units.ndim == 2 else np.diag(units)
        half = np.linalg.solve(matrix.T, self.curvature)
        self._precision = np.linalg.solve(matrix.T, half.T)
        self._quadratic = self._quadratics(points)[0]
        self.values = self._remainder(self._zero)[0]
        self.finite = bool(np.isfinite(self.values).all())

    def _quadratics(self, points: Array) -> tuple[Array, Array]:
        """Return Q and its gradients."""
        error = points - self.coordinates.mean
        slopes = -error @ self._precision
        return 0.5 * (slopes * error).sum(axis=1), slopes

    def _remainder(self, theta: Array) -> tuple[Array, Array]:
        """Return ln p − Q and its gradients at the samples."""
        points = self.coordinates.points(theta, self.draws)
        values, slopes = evaluated(self.density, points)
        quadratic, tangents = self._quadratics(points)
        return values - quadratic, slopes - tangents

    def _gain(self, values: Array, quadratic: Array) -> Array:
        """Return the gains of E[ln p] in every group."""
        change = (values - self.values).reshape(GROUPS, -1).mean(axis=1)
        return np.asarray(change + (quadratic - self._quadratic).mean())

    def at(self, theta: Array) -> tuple[float, Array]:
        """Return minus the gain from 0 to θ, and its gradient; inf where it is not finite."""
        around = self.coordinates
        values, slopes = self._remainder(theta)
        quadratic, tangents = self._quadratics(around.points(theta, self.own))
        entropy, slope = around.entropy(theta)
        gain = float(self._gain(values, quadratic).mean()) + entropy
        gradient = slope + around.pull(theta, slopes, self.draws)
        gradient += around.pull(theta, tangents, self.own)
        if not (math.isfinite(gain) and np.isfinite(gradient).all()):
            return math.inf, np.full(len(theta), math.nan)
        return -gain, -gradient

    def groups(self, theta: Array) -> tuple[Array, Array]:
        """Return the gain from 0 to θ in every group of samples, and their gradients less the mean one."""
        values, slopes = self._remainder(theta)
        around = self.coordinates
        quadratic = self._quadratics(around.points(theta, self.own))[0]
        pairs = zip(np.split(slopes, GROUPS), np.split(self.draws, GROUPS), strict=True)
        gradients = np.stack([around.pull(theta, *pair) for pair in pairs])
        gains = self._gain(values, quadratic) + around.entropy(theta)[0]
        return gains, gradients - gradients.mean(axis=0)


@final
class WeightedAverage:
    """The ELBO over samples of q alone, weighted by qθ/q: E[(qθ/q − 1)(r − c)] − KL(qθ‖q) with r = ln p − ln q.

    For log-joints without gradients. The constant c is the mean of the other groups.
    """

    def __init__(
        self,
        ratio: Array,
        coordinates: Correlated,
        draws: Array,
        *,
        independent: bool = False,
    ) -> None:
        self.coordinates, self.draws = coordinates, draws
        d, diagonal = coordinates.width, np.eye(coordinates.width)
        self.free = np.concatenate([np.ones(d), diagonal[np.tril_indices(d)]])
        if not independent:
            self.free = np.ones(coordinates.size)
        groups = ratio.reshape(GROUPS, -1)
        others = (groups.sum() - groups.sum(axis=1)) / (ratio.size - groups.shape[1])
        self.ratio = (groups - others[:, None]).ravel()
        # I − E[(r − c)(εεᵀ − I)]
        second = (draws * self.ratio[:, None]).T @ draws / len(draws)
        self.curvature = np.eye(d) * (1 + self.ratio.mean()) - second

    def _weighted(self, theta: Array) -> tuple[Array, Array, Array, float]:
        """Return weights, ε of qθ, T and KL(qθ‖q)."""
        shift, triangle = (
            theta[: self.coordinates.width],
            self.coordinates.triangle(theta),
        )
        moved = np.linalg.solve(triangle, (self.draws - shift).T).T
        volume = float(np.log(np.diag(triangle)).sum())
        exponent = 0.5 * ((self.draws**2).sum(axis=1) - (moved**2).sum(axis=1)) - volume
        divergence = (
            0.5 * float(shift @ shift + (triangle**2).sum() - len(shift)) - volume
        )
        return np.exp(exponent), moved, triangle, divergence

    def _slope(self, theta: Array, weighted: Array, moved: Array) -> Array:
        """Return the gradient of Σ w(r − c) for the terms w(r − c)."""
        inverse = np.linalg.inv(self.coordinates.triangle(theta))
        second = (moved * weighted[:, None]).T @ moved
        lower = inverse.T @ (second - np.eye(len(inverse)) * weighted.sum())
        return self._packed(theta, inverse.T @ (weighted @ moved), np.tril(lower))

    def _packed(self, theta: Array, shift: Array, lower: Array) -> Array:
        triangle = self.coordinates.triangle(theta)
        return self.free * self.coordinates.packed(shift, lower, triangle)

    @np.errstate(all="ignore")  # far from q weights overflow: no maximum lies there
    def at(self, theta: Array) -> tuple[float, Array]:
        """Return minus the gain from 0 to θ, and its gradient; inf where it is not finite."""
        weights, moved, triangle, divergence = self._weighted(theta)
        weighted = weights * self.ratio / len(self.draws)
        gain = float(weighted.sum() - self.ratio.mean()) - divergence
        inverse = np.diag(1 / np.diag(triangle))
        gradient = self._slope(theta, weighted, moved)
        gradient -= self._packed(theta, theta[: len(inverse)], triangle - inverse)
        if not (math.isfinite(gain) and np.isfinite(gradient).all()):
            return math.inf, np.full(len(theta), math.nan)
        return -gain, -gradient

    def groups(self, theta: Array) -> tuple[Array, Array]:
        """Return the gain from 0 to θ in every group of samples, and their gradients less the mean one."""
        weights, moved, _, divergence = self._weighted(theta)
        change = ((weights - 1) * self.ratio).reshape(GROUPS, -1).mean(axis=1)
        weighted = weights * self.ratio * (GROUPS / len(weights))
        pairs = zip(np.split(weighted, GROUPS), np.split(moved, GROUPS), strict=True)
        gradients = np.stack([self._slope(theta, *pair) for pair in pairs])
        return change - divergence, gradients - gradients.mean(axis=0)


@final
@dataclass
class Gain:
    """A maximum of an average: its coordinates, and the bound of what q lacks of it."""

    theta: Array
    bound: float = math.inf
    steps: int = 0
    finite: bool = field(default=True)


@np.errstate(all="ignore")  # overflow gives inf, which is no convergence
def maximize(average: Average, start: Array, enough: float, most_steps: int) -> Gain:
    """Maximize by L-BFGS from ``start`` until about ``enough`` nats are left, and bound the gap of θ = 0.

    The step lengths are scaled by the curvature in the mean. What is estimated to be left counts as part of the gap.
    """
    scaled = _preconditioner(average.curvature)
    theta, pairs = start, list[tuple[Array, Array]]()
    steps, left = 0, math.inf

    def at(theta: Array) -> tuple[float, Array]:
        if np.linalg.norm(theta) > _REACH:
            return math.inf, np.full(len(theta), math.nan)
        return average.at(theta)

    value, gradient = at(theta)
    while math.isfinite(value):
        direction = -two_loops(gradient, pairs, scaled)
        if not direction @ gradient < 0:
            pairs, direction = [], -scaled(gradient)
        left = -0.5 * float(direction @ gradient)
        if left <= enough or steps >= min(_STEPS, most_steps):
            break
        found = strong_wolfe(at, theta, value, gradient, direction, 1.0)
        if found is None:
            break
        length, value, following = found
        move, change = length * direction, following - gradient
        if move @ change > 1e-12 * float(np.linalg.norm(move) * np.linalg.norm(change)):
            pairs = [*pairs, (move, change)][-_MEMORY:]
        theta, gradient, steps = theta + move, following, steps + 1
        if np.linalg.norm(theta) > _FAR:
            break
    if not math.isfinite(value):
        return Gain(np.zeros_like(start), finite=False)
    gains, gradients = average.groups(theta)
    steps_back = np.stack([two_loops(one, pairs, scaled) for one in gradients])
    bound = _upper(gains, gradients @ steps_back.T) + _CAUTION * left
    return Gain(theta, bound if math.isfinite(bound) else math.inf, steps)


def _upper(gains: Array, products: Array) -> float:
    """Return the upper confidence bound of the gap, from the gains and the products gⱼᵀH⁻¹gₖ of centred gradients.

    A sample's maximum is off by η with E‖η‖² = Σ gₖᵀH⁻¹gₖ/(K(K − 1)), and a gap of ½‖h‖² looks like ½‖h + η‖²,
    which may be 0 by chance: ‖h‖ ≤ ‖h + η‖ + ‖η‖. The quantile of ‖η‖² is that of Laurent and Massart (2000), of a
    larger variance where one group has most of it, which samples with rare large values show.
    """
    gain, error = max(float(gains.mean()), 0.0), float(gains.std(ddof=1))
    trace, square = float(np.trace(products)), float((products**2).sum())
    freedom = max(trace * trace / square, 1.0) if square > 0 else 1.0
    shift = max(trace, 0.0) / (GROUPS * (GROUPS - 1))
    shift *= 1 + 2 * math.sqrt(_SURPRISE / freedom) + 2 * _SURPRISE / freedom
    largest = float(np.diag(products).max()) / trace if trace > 0 else 0.0
    rare = max(_RARE, GROUPS * largest / 2)
    far = 0.5 * (math.sqrt(2 * gain) + math.sqrt(rare * shift)) ** 2
    return max(far, gain + _DEVIATIONS * error / math.sqrt(GROUPS))


def _preconditioner(curvature: Array) -> Callable[[Array], Array]:
    """Return the product with the inverse curvature, made positive, in the first coordinates."""
    if not np.isfinite(curvature).all():
        return lambda gradient: gradient
    values, axes = np.linalg.eigh(curvature)
    d, inverse = len(values), 1 / np.maximum(np.abs(values), _LEAST_CURVATURE)

    def scaled(gradient: Array) -> Array:
        head = axes @ (inverse * (axes.T @ gradient[:d]))
        return np.concatenate([head, gradient[d:]])

    return scaled


def _enough(tolerance: float) -> float:
    """Return the nats that may be left when a maximization ends."""
    return min(max(tolerance / 1000, ROUNDING / 10), 1e-8)


def _start(size: int, tolerance: float, generator: np.random.Generator) -> Array:
    """Return a random point that is about half the tolerance below a maximum at 0."""
    direction = generator.normal(size=size)
    return np.asarray(direction * (math.sqrt(tolerance) / np.linalg.norm(direction)))


def sizes(width: int) -> list[int]:
    """Return the numbers of samples to be taken one after the other.

    >>> sizes(2)
    [2048, 8192, 32768, 131072, 262144, 262144]
    """
    most = max(min(_MOST, _MOST_VALUES // width // 1024 * 1024), _FIRST)
    found = [_FIRST]
    while found[-1] < most:
        found.append(min(4 * found[-1], most))
    return [*found, most]


@final
@dataclass
class Settled:
    """The result of ``settle``: the distribution, the bound of its gap, and the steps taken."""

    coordinates: Coordinates
    bound: float = math.inf
    steps: int = 0


def settle(
    density: Density,
    coordinates: Coordinates,
    tolerance: float,
    seed: int,
    most_steps: int,
) -> Settled:
    """Maximize the ELBO over more and more fresh samples until the gap is at most ``tolerance``.

    The maximum of one average is the distribution whose gap the next one bounds.
    """
    done, idle = Settled(coordinates), 0
    counts = sizes(coordinates.width)
    for k, n in enumerate(counts):
        before = done.bound
        found = _gain(density, done.coordinates, n, tolerance, [seed, 1, k], most_steps)
        done.bound, done.steps = found.bound, done.steps + found.steps
        most_steps -= found.steps
        reached = found.bound <= tolerance + ROUNDING
        idle = idle + 1 if found.bound > before / 2 else 0
        if reached or not found.finite or idle == _IDLE:
            break
        if most_steps <= 0 or k + 1 == len(counts):
            break
        done.coordinates = done.coordinates.moved(found.theta)
    return done


def gap_bound(
    density: Density, coordinates: Coordinates, tolerance: float, seed: int
) -> float:
    """Return an upper confidence bound of the gap of q, with samples added while these reduce it."""
    before = math.inf
    for k, n in enumerate(sizes(coordinates.width)[:-1]):
        found = _gain(density, coordinates, n, tolerance, [seed, 2, k], _STEPS).bound
        if found <= tolerance + ROUNDING or not found < before / 2:
            break
        before = found
    return min(found, before)


def _gain(
    density: Density,
    coordinates: Coordinates,
    n: int,
    tolerance: float,
    seed: list[int],
    most_steps: int,
) -> Gain:
    generator = np.random.default_rng(seed)
    draws = stratified_draws(n, coordinates.width, generator, GROUPS)
    average = SampleAverage(density, coordinates, draws, generator)
    start = _start(coordinates.size, tolerance, generator)
    if not average.finite:
        return Gain(start, finite=False)
    return maximize(average, start, _enough(tolerance), most_steps)


def bound_without_gradients(
    log_density: Callable[[Array], Array],
    coordinates: Correlated,
    tolerance: float,
    seed: int,
    *,
    independent: bool,
) -> float:
    """Return an upper confidence bound of the gap of q from values of ln p alone.

    Args:
        log_density: Points (n, d) to ln p (n,).
        coordinates: q as a normal distribution with a factor L.
        tolerance: Nats.
        seed: Seed of the samples.
        independent: Whether the family is that of independent variables.
    """
    generator, n = np.random.default_rng([seed, 3]), _SCORED
    draws = stratified_draws(n, coordinates.width, generator, GROUPS)
    points = coordinates.points(np.zeros(coordinates.size), draws)
    ratio = log_density(points) + 0.5 * (draws**2).sum(axis=1)
    if not np.isfinite(ratio).all():
        return math.inf
    average = WeightedAverage(ratio, coordinates, draws, independent=independent)
    start = average.free * _start(coordinates.size, tolerance, generator)
    return maximize(average, start, _enough(tolerance), _STEPS).bound
