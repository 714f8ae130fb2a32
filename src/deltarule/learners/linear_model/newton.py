"""Newton's method for the objective of a linear learner; it stops on the gradient only.

    J(Φ) = mean over examples of w·loss(Φx̃, y) + ½ Σ αⱼΦⱼ²,  Φ (outputs, features)

in the coordinates of ``design``, where neither offset nor unit of a feature affects the
condition number. The derivatives of the loss are those in the scores (``pointwise``);
the gradient is Eᵀx̃ + αΦ for the errors −E, the Hessian x̃ᵀDx̃ + α.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from scipy import linalg

from deltarule.learners.base import Array
from deltarule.learners.linear_model.design import BLOCK, Design, Explicit, even_rows
from deltarule.learners.pointwise import Family, Pointwise, filled, pointwise
from deltarule.losses import Loss
from deltarule.optim.line_search import descend_convex

WORTH_COMPILING = (
    2**19
)  # scores of an evaluation: below, NumPy ends before the compiler
_WORTH_A_MATRIX = 1024  # coefficients of one output; of several: below, the Hessian takes no longer than its products
_WORTH_A_MATRIX_OF_SEVERAL = 320
_WORTH_A_SAMPLE = 2**12  # examples
_SHARE, _PER_COEFFICIENT = (
    16,
    32,
)  # a sample is a 16th of the examples at least, and has 32 for every coefficient
_MOST_SHARE, _ENOUGH = (
    6,
    512,
)  # beyond 512 for each it need not be larger, nor beyond a 6th of the examples
_MOST_PRODUCTS = 250
_FORCING = 0.1  # of the gradient: what the first systems leave of it
_REUSED = 0.2  # the same matrix serves again where a step has left no more than this share of the gradient
_SUM_ROUNDING = 1e-13  # of the largest second derivative, in sums of them
_PATIENCE = 8  # steps that lower neither J nor the gradient
_ROUGHLY = 1e-4  # largest derivative of a sample's minimum
_REGULAR = 1e-6  # least ratio of the diagonal of Cholesky's factor
_FLAT = 1e-8  # of the largest curvature: what is taken for none, so that a slope along it is followed
_ROUNDING = 1e-12  # of a slope along which nothing curves

Solver = Callable[[Array], Array]
Pair = tuple[Array, Array]  # a step, and the change of the gradient along it


@final
@dataclass(frozen=True)
class Ended:
    """Result of the steps: Φ, their number, the largest derivative at Φ, and whether it is within the tolerance."""

    phi: Array
    steps: int
    slope: float
    converged: bool


@final
class Problem:
    """J and its derivatives; ``hessian`` and ``curvature`` are those at the Φ of the last ``slopes``."""

    def __init__(
        self,
        loss: Loss | Family,
        outputs: int,
        design: Design | Explicit,
        labels: Array,
        weights: Array,
        penalty: Array,
        number: float | None = None,
    ) -> None:
        self.loss, self.design, self.penalty = loss, design.explicit(), penalty
        self.shape = (outputs, design.width)
        self._labels, self._weights = labels, weights
        self._number = number
        numbers = () if number is None else (np.array(number, np.float64),)
        rows = even_rows(design.n, min(BLOCK, design.block_rows))
        device = "cpu" if design.n * outputs >= WORTH_COMPILING else "reference"
        self._programs: Pointwise = pointwise(loss, outputs, rows, device)
        starts = range(0, design.n, rows)
        self._given = [
            (
                filled(labels[start : start + rows], rows),
                filled(weights[start : start + rows], rows),
                *numbers,
            )
            for start in starts
        ]
        self._bends: list[Array | None] = [None] * len(starts)
        # NumPy adds along examples, which then lie next to each other
        order: Literal["C", "F"] = "C" if device == "cpu" else "F"
        self._scores = np.zeros((rows * len(starts), outputs), order=order)

    def part(self, rows: Array) -> Problem:
        """Return J of some of the examples."""
        return Problem(
            self.loss,
            self.shape[0],
            self.design.part(rows),
            self._labels[rows],
            self._weights[rows],
            self.penalty,
            self._number,
        )

    def slopes(self, phi: Array) -> tuple[float, Array]:
        """Return J and ∂J/∂Φ."""
        total, gradient = 0.0, np.zeros(self.shape)
        for rows, block in self.design.blocks():
            self._scores[rows] = self.design.forward(block, phi)
            errors = []
            for number, part, z, given in self._pieces(rows):
                value, found, *bends = self._programs.slopes(z, *given)
                total += float(value)
                self._bends[number] = bends[0] if bends else None
                errors.append(found[: part.stop - part.start])
            gradient += self.design.backward(block, _joined(errors))
        n = self.design.n
        bent = self.penalty * phi
        return total / n + 0.5 * float(np.vdot(bent, phi)), gradient / n + bent

    def _bent(self, number: int, scores: Array, given: Sequence[Array]) -> Array:
        """Return second derivatives of a piece, those that the slopes came with if there are any."""
        known = self._bends[number]
        return self._programs.bends(scores, *given)[0] if known is None else known

    def _pieces(
        self, rows: slice
    ) -> Iterator[tuple[int, slice, Array, tuple[Array, ...]]]:
        """Yield the pieces of a block, filled up to a program's rows.

        They are a number, the place within the block, scores, and (targets, weights, number of the loss).
        """
        size = self._programs.rows
        for start in range(rows.start, rows.stop, size):
            yield (
                start // size,
                slice(start - rows.start, min(start + size, rows.stop) - rows.start),
                self._scores[start : start + size],
                self._given[start // size],
            )

    def hessian(self, columns: Array | None = None) -> Array:
        """Return the second derivatives, (size of Φ, size of Φ), or those of some features and of the biases."""
        outputs, penalty = self.shape[0], self.penalty
        if columns is not None:
            penalty = np.append(penalty[columns], penalty[self.design.features :])
        width = len(penalty)
        found = np.zeros((outputs, width, outputs, width))
        for rows, block in self.design.blocks():
            bends = [
                self._bent(number, z, given)[:, :, : part.stop - part.start]
                for number, part, z, given in self._pieces(rows)
            ]
            joined = bends[0] if len(bends) == 1 else np.concatenate(bends, axis=2)
            gram = functools.partial(self.design.gram, block, columns=columns)
            _add_grams(found, gram, joined)
        found /= self.design.n
        matrix = found.reshape(outputs * width, outputs * width)
        matrix.flat[:: len(matrix) + 1] += np.tile(penalty, outputs)
        return matrix

    def curvature(self, v: Array) -> Array:
        """Return the second derivatives times v, of the shape of Φ."""
        total = np.zeros(self.shape)
        moved = np.zeros_like(self._scores[: self._programs.rows])
        for rows, block in self.design.blocks():
            along, images = self.design.forward(block, v), []
            for _, part, z, given in self._pieces(rows):
                count = part.stop - part.start
                moved[:count], moved[count:] = along[part], 0.0
                images.append(self._programs.images(moved, z, *given)[0][:count])
            total += self.design.backward(block, _joined(images))
        return np.asarray(total / self.design.n + self.penalty * v)

    @property
    def worth_a_matrix(self) -> bool:
        """Whether the Hessian is formed; else conjugate gradients use products with it."""
        outputs, width = self.shape
        return outputs * width <= (
            _WORTH_A_MATRIX if outputs == 1 else _WORTH_A_MATRIX_OF_SEVERAL
        )


def _add_grams(found: Array, gram: Solver, bends: Array) -> None:
    """Add x̃ᵀ diag(bends_ab) x̃ to ``found``, (outputs, width, outputs, width).

    Where one number added to all scores changes no loss, bends of a score with all of them add up to 0, and the
    products of different scores, which have a sign, give the others.
    """
    outputs = len(bends)
    pairs = [(a, b) for a in range(outputs) for b in range(a)]
    size = np.abs(bends).max(initial=0.0)
    relative = outputs > 1 and bool(
        np.abs(bends.sum(axis=1)).max(initial=0.0) <= _SUM_ROUNDING * size
    )
    for a, b in pairs:
        product = gram(bends[a, b])
        found[a, :, b] += product
        found[b, :, a] += product
        if relative:
            found[a, :, a] -= product
            found[b, :, b] -= product
    if not relative:
        for a in range(outputs):
            found[a, :, a] += gram(bends[a, a])


def _joined(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def newton(problem: Problem, phi: Array, max_iter: int, tol: float) -> Ended:
    """Minimise a convex J by Newton steps with line search, until no derivative is above ``tol``.

    From Φ = 0, many examples start at the minimum for a subsample. It ends without
    convergence after ``max_iter`` steps, or where rounding allows no descent.
    """

    def at(flat: Array) -> tuple[float, Array]:
        value, gradient = problem.slopes(flat.reshape(problem.shape))
        return value, gradient.ravel()

    x, bound, solve = _sampled(problem, phi, max_iter, tol)
    value, gradient = at(x)
    if not value <= bound:
        x, solve = phi.ravel(), None
        value, gradient = at(x)
    slope, steps, idle = _largest(gradient), 0, 0
    seen: list[Pair] = []
    while slope > tol and steps < max_iter and idle < _PATIENCE:
        fresh = solve is None
        solve = solve or _solver(problem)
        along = _corrected(solve, seen, -gradient)
        found = descend_convex(at, x, value, gradient, along)
        if found is None and fresh:
            break
        if found is None:  # the matrix is that of an earlier step
            at(x)
            solve, seen = None, []
            continue
        length, lower, slopes = found
        seen.append((length * along, slopes - gradient))
        x, gradient, steps, before = x + length * along, slopes, steps + 1, slope
        slope = _largest(gradient)
        idle = 0 if lower < value or slope < 0.9 * before else idle + 1
        value = lower
        if not (problem.worth_a_matrix and slope <= _REUSED * before):
            solve, seen = None, []
    return Ended(x.reshape(problem.shape), max(1, steps), slope, slope <= tol)


def _corrected(solve: Solver, seen: Sequence[Pair], right: Array) -> Array:
    """Return the solution for the matrix of an earlier step, corrected by the changes of the gradient since (BFGS)."""
    q, shares = right.copy(), []
    known = [
        (step, change, 1 / float(step @ change))
        for step, change in seen
        if step @ change > 0
    ]
    for step, change, scale in reversed(known):
        shares.append(scale * float(step @ q))
        q -= shares[-1] * change
    found = solve(q)
    for (step, change, scale), share in zip(known, reversed(shares), strict=True):
        found = found + (share - scale * float(change @ found)) * step
    return found


def _largest(gradient: Array) -> float:
    return float(np.abs(gradient).max(initial=0.0))


def sample(problem: Problem, phi: Array) -> tuple[Problem, float] | None:
    """Return J of a sample and the derivative that its minimum may have, from Φ = 0 where there are many examples."""
    n = problem.design.n
    size = max(
        n // _SHARE,
        _PER_COEFFICIENT * phi.size,
        min(n // _MOST_SHARE, _ENOUGH * phi.size),
    )
    if problem.design.n < _WORTH_A_SAMPLE or 2 * size > problem.design.n or phi.any():
        return None
    rows = np.random.default_rng(0).choice(problem.design.n, size, replace=False)
    return problem.part(np.sort(rows)), _ROUGHLY


def _sampled(
    problem: Problem, phi: Array, max_iter: int, tol: float
) -> tuple[Array, float, Solver | None]:
    """Return the minimum for a sample, a J that it should not exceed, and the solver there; Φ for few examples."""
    found = sample(problem, phi)
    if found is None:
        return phi.ravel(), np.inf, None
    part, roughly = found
    bound, _ = part.slopes(phi)
    start = newton(part, phi, max_iter, max(tol, roughly)).phi
    if not problem.worth_a_matrix:
        return start.ravel(), bound, None
    part.slopes(start)
    return start.ravel(), bound, _solver(part)


def _solver(problem: Problem) -> Solver:
    """Return right ↦ the solution of H·step = right, H the second derivatives at the Φ of the last ``slopes``."""
    if not problem.worth_a_matrix:
        return lambda right: _conjugate_gradients(
            lambda v: problem.curvature(v.reshape(problem.shape)).ravel(), right
        )
    matrix = problem.hessian()
    outputs, width = problem.shape
    if outputs > 1 and problem.design.intercept:
        biases = slice(width - 1, None, width)
        sums = np.abs(matrix[biases].sum(axis=0)).max()
        if sums <= _SUM_ROUNDING * np.abs(matrix).max():
            # one number added to all biases changes nothing: no step has it, and H may
            # be regular
            matrix[biases, biases] += 1.0
    lower, failed = linalg.lapack.dpotrf(matrix, lower=True, clean=False)
    diagonal = lower.diagonal()
    if not failed and diagonal.min() > _REGULAR * diagonal.max():
        return lambda right: np.asarray(
            linalg.lapack.dpotrs(lower, right, lower=True)[0]
        )
    values, vectors = linalg.eigh(matrix, check_finite=False)
    largest = float(values[-1])
    flat = values <= len(values) * np.finfo(np.float64).eps * largest
    inverse = 1 / np.where(flat, (_FLAT * largest) or 1.0, values)

    def solve(right: Array) -> Array:
        parts = vectors.T @ right
        return np.asarray(
            vectors @ np.where(flat & (np.abs(parts) < _ROUNDING), 0.0, inverse * parts)
        )

    return solve


def _conjugate_gradients(curve: Solver, right: Array) -> Array:
    """Solve H x = right for a positive semidefinite H given by its products, more accurately for a smaller right side.

    The accuracy keeps the convergence of Newton's method superlinear (Dembo, Eisenstat
    and Steihaug 1982).
    """
    x, residual = np.zeros_like(right), right.copy()
    direction, size = residual.copy(), float(residual @ residual)
    goal = min(_FORCING, _largest(right) ** 0.5) ** 2 * size
    for _ in range(_MOST_PRODUCTS):
        image = curve(direction) + 1e-12 * direction
        bent = float(direction @ image)
        if bent <= 0:
            break
        x += (size / bent) * direction
        residual -= (size / bent) * image
        following = float(residual @ residual)
        if following <= goal:
            break
        direction = residual + (following / size) * direction
        size = following
    return x
