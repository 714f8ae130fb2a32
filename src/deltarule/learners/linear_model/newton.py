"""Newton steps to the minimum of a linear learner's objective; they end on the gradient and on nothing else.

    J(Φ) = mean over examples of w·loss(Φx̃, y) + ½ Σ αⱼΦⱼ²,  Φ (outputs, features)

in the coordinates of ``design``, where neither place nor unit of a feature spoils the condition. The loss comes with
its derivatives in the scores (``pointwise``); the gradient is Eᵀx̃ + αΦ for the errors −E, the Hessian x̃ᵀDx̃ + α.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import linalg

from deltarule.learners.base import Array
from deltarule.learners.linear_model.design import BLOCK, Design, even_rows
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
    """Where the steps ended: Φ, how many there were, the largest derivative there, and whether it is within tol."""

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
        design: Design,
        labels: Array,
        weights: Array,
        penalty: Array,
        number: float | None = None,
    ) -> None:
        self.loss, self.design, self.penalty = loss, design, penalty
        self.shape = (outputs, design.width)
        self._labels, self._weights = labels, weights
        self._number = () if number is None else (np.array(number, np.float64),)
        rows = even_rows(design.n, min(BLOCK, design.block_rows))
        device = "cpu" if design.n * outputs >= WORTH_COMPILING else "reference"
        self._programs: Pointwise = pointwise(loss, outputs, rows, device)
        self._scores = np.zeros((design.n, outputs))

    def part(self, rows: Array) -> Problem:
        """Return J of some of the examples."""
        made = Problem(
            self.loss,
            self.shape[0],
            self.design.part(rows),
            self._labels[rows],
            self._weights[rows],
            self.penalty,
        )
        made._number = self._number
        return made

    def slopes(self, phi: Array) -> tuple[float, Array]:
        """Return J and ∂J/∂Φ."""
        total, gradient = 0.0, np.zeros(self.shape)
        for rows, block in self.design.blocks():
            scores = self._scores[rows]
            scores[...] = self.design.forward(block, phi)
            value, errors = self._derivatives(rows, scores)
            total += value
            gradient += self.design.backward(block, errors)
        n = self.design.n
        return float(total / n) + 0.5 * float(
            (self.penalty * phi**2).sum()
        ), gradient / n + self.penalty * phi

    def _derivatives(self, rows: slice, scores: Array) -> tuple[float, Array]:
        total, errors = 0.0, np.empty_like(scores)
        for part, (z, y, w) in self._pieces(rows):
            value, found = self._programs.slopes(z, y, w, *self._number)
            total += float(value)
            errors[part] = found[: len(errors[part])]
        return total, errors

    def _pieces(
        self, rows: slice, *others: Array
    ) -> list[tuple[slice, tuple[Array, ...]]]:
        """Return places within a block, with scores, targets, weights (and others) filled up to a program's rows."""
        size, pieces = self._programs.rows, []
        for start in range(rows.start, rows.stop, size):
            part = slice(start, min(start + size, rows.stop))
            inside = slice(part.start - rows.start, part.stop - rows.start)
            of = (
                self._scores[part],
                self._labels[part],
                self._weights[part],
                *(other[inside] for other in others),
            )
            pieces.append((inside, tuple(filled(one, size) for one in of)))
        return pieces

    def hessian(self, columns: Array | None = None) -> Array:
        """Return the second derivatives, (size of Φ, size of Φ), or those of some features and of the biases."""
        outputs = self.shape[0]
        free = np.arange(self.design.features) if columns is None else columns
        width = len(free) + int(self.design.intercept)
        penalty = np.append(self.penalty[free], self.penalty[self.design.features :])
        found = np.zeros((outputs, outputs, width, width))
        for rows, block in self.design.blocks():
            bends = np.empty((outputs, outputs, rows.stop - rows.start))
            for part, (z, y, w) in self._pieces(rows):
                bends[:, :, part] = self._programs.bends(z, y, w, *self._number)[0][
                    :, :, : part.stop - part.start
                ]
            for a in range(outputs):
                for b in range(a, outputs):
                    found[a, b] += self.design.gram(block, bends[a, b], columns)
        for a in range(outputs):
            for b in range(a):
                found[a, b] = found[b, a]
        matrix = (
            found.transpose(0, 2, 1, 3).reshape(outputs * width, outputs * width)
            / self.design.n
        )
        matrix[np.diag_indices_from(matrix)] += np.tile(penalty, outputs)
        return matrix

    def curvature(self, v: Array) -> Array:
        """Return the second derivatives times v, of the shape of Φ."""
        found = np.zeros(self.shape)
        for rows, block in self.design.blocks():
            moved = self.design.forward(block, v)
            images = np.empty_like(moved)
            for part, (z, y, w, along) in self._pieces(rows, moved):
                images[part] = self._programs.images(along, z, y, w, *self._number)[0][
                    : part.stop - part.start
                ]
            found += self.design.backward(block, images)
        return np.asarray(found / self.design.n + self.penalty * v)

    @property
    def worth_a_matrix(self) -> bool:
        """Whether the Hessian is made; else conjugate gradients take products with it."""
        outputs, width = self.shape
        return outputs * width <= (
            _WORTH_A_MATRIX if outputs == 1 else _WORTH_A_MATRIX_OF_SEVERAL
        )


def newton(problem: Problem, phi: Array, max_iter: int, tol: float) -> Ended:
    """Minimise a convex J by Newton steps of lengths that lower it, until no derivative is above ``tol``.

    From Φ = 0, many examples begin at the minimum for a sample of them. Ends elsewhere than at a minimum after
    ``max_iter`` steps, or where rounding allows no descent.
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
    """Return the solution for a matrix of earlier steps, corrected by what the gradient has done since (BFGS)."""
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
    try:
        lower = linalg.cholesky(matrix, lower=True, check_finite=False)
    except linalg.LinAlgError:
        lower = np.zeros_like(matrix)
    diagonal = lower.diagonal()
    if diagonal.min(initial=np.inf) > _REGULAR * diagonal.max(initial=0.0):
        return lambda right: np.asarray(
            linalg.cho_solve((lower, True), right, check_finite=False)
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
    """Solve H x = right for a positive semidefinite H given by its products, the better the smaller the right side.

    So exact that Newton's steps still converge faster than linearly (Dembo, Eisenstat and Steihaug 1982).
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
