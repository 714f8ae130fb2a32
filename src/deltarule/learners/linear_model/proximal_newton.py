"""Proximal Newton steps for an ℓ₁ penalty: each minimises the quadratic model with the penalty, by proximal steps.

    F(Φ) = J(Φ) + Σ λⱼ|Φⱼ|,  d = arg min ∇JᵀD + ½DᵀHD + Σ λⱼ|Φⱼ + Dⱼ|   (Lee, Sun and Saunders 2014)

The steps end where the smallest subgradient is within ``tol``: |∂J + λ·sign Φ| where Φ
≠ 0, and |∂J| − λ where Φ = 0. H is formed for the features that are nonzero or violate
this condition, which are few in sparse solutions.
"""

from __future__ import annotations

import numpy as np

from deltarule.learners.base import Array
from deltarule.learners.linear_model.newton import Ended, Problem, sample
from deltarule.learners.linear_model.proximal import elastic_net

_MOST = 1024  # coefficients for which H is formed
_INNER_STEPS, _INNER = 10_000, 1e-12
_TRIALS, _SUFFICIENT, _ROUNDING = 40, 1e-4, 1e-15
_PATIENCE = 8


def subgradient(phi: Array, gradient: Array, kink: Array) -> Array:
    """Return the subgradient of F of smallest norm.

    >>> subgradient(np.array([0.0, 0.0]), np.array([0.5, 3.0]), np.array([1.0, 1.0])).tolist()
    [0.0, 2.0]
    """
    inside = np.sign(gradient) * np.maximum(np.abs(gradient) - kink, 0.0)
    return np.asarray(np.where(phi != 0, gradient + kink * np.sign(phi), inside))


def proximal_newton(
    problem: Problem, kink: Array, phi: Array, max_iter: int, tol: float
) -> Ended:
    """Minimise F from Φ; ``kink`` is λ, (outputs, width). It ends as ``newton`` does."""
    start = sample(problem, phi)
    if start is not None:
        part, roughly = start
        found = proximal_newton(part, kink, phi, max_iter, max(tol, roughly)).phi
        phi = found if _value(problem, found, kink)[0] <= part.slopes(phi)[0] else phi
    value, gradient = _value(problem, phi, kink)
    slope, steps, idle = _largest(phi, gradient, kink), 0, 0
    while slope > tol and steps < max_iter and idle < _PATIENCE:
        along = _direction(problem, phi, gradient, kink)
        found_step = _shortened(problem, phi, value, gradient, kink, along)
        steps += 1
        if found_step is None:
            break
        phi, lower, gradient = found_step
        before, slope = slope, _largest(phi, gradient, kink)
        idle = 0 if lower < value or slope < 0.9 * before else idle + 1
        value = lower
    return Ended(phi, max(1, steps), slope, slope <= tol)


def _value(problem: Problem, phi: Array, kink: Array) -> tuple[float, Array]:
    value, gradient = problem.slopes(phi)
    return value + float((kink * np.abs(phi)).sum()), gradient


def _largest(phi: Array, gradient: Array, kink: Array) -> float:
    return float(np.abs(subgradient(phi, gradient, kink)).max(initial=0.0))


def _shortened(
    problem: Problem,
    phi: Array,
    value: float,
    gradient: Array,
    kink: Array,
    along: Array,
) -> tuple[Array, float, Array] | None:
    """Return Φ, F and ∂J after a step with sufficient decrease of F, or None."""
    gain = float(
        (gradient * along).sum() + (kink * (np.abs(phi + along) - np.abs(phi))).sum()
    )
    length = 1.0
    for _ in range(_TRIALS):
        moved = phi + length * along
        new, slopes = _value(problem, moved, kink)
        if new <= value + _SUFFICIENT * length * gain + _ROUNDING * abs(value):
            return moved, new, slopes
        length /= 2
    return None


def _direction(problem: Problem, phi: Array, gradient: Array, kink: Array) -> Array:
    """Return the step to the minimum of the quadratic model, at the Φ of the last ``slopes``."""
    outputs, features = problem.shape[0], problem.design.features
    columns = _columns(
        subgradient(phi, gradient, kink)[:, :features],
        phi[:, :features],
        _MOST // outputs,
    )
    matrix = problem.hessian(columns)
    chosen = np.append(columns, features) if problem.design.intercept else columns
    known, slopes, kinks = (
        part[:, chosen].reshape(-1, 1) for part in (phi, gradient, kink)
    )
    if outputs > 1 and problem.design.intercept:
        # scores are invariant to a constant added to all biases: make steps along it 0
        biases = np.arange(1, outputs + 1) * len(chosen) - 1
        matrix[np.ix_(biases, biases)] += 1.0
    found, _, _ = elastic_net(
        matrix,
        matrix @ known - slopes,
        matrix.diagonal(),
        kinks,
        np.zeros(len(known)),
        _INNER_STEPS,
        _INNER,
        known,
    )
    along = np.zeros_like(phi)
    along[:, chosen] = (found - known).reshape(outputs, -1)
    return along


def _columns(wrong: Array, phi: Array, most: int) -> Array:
    """Return the features that are nonzero or violate optimality, the worst ones if there are more than ``most``."""
    size = np.abs(wrong).max(axis=0)
    candidates = np.flatnonzero((size > 0) | (phi != 0).any(axis=0))
    worst = candidates[np.argsort(-size[candidates], kind="stable")[:most]]
    return np.sort(worst)
