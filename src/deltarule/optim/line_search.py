"""Step lengths along a descent direction: Armijo's backtracking, and the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ValueAndGradient = Callable[[Array], tuple[float, Array]]
Found = tuple[float, float, Array]  # step length, value, gradient
SUFFICIENT, CURVATURE = 1e-4, 0.9  # c₁, c₂
_MOST_TRIALS = 50
_ROUNDING = 4 * float(
    np.finfo(np.float64).eps
)  # values nearer than this share of |f| count as equal


def _rises(new: float, old: float) -> bool:
    """Whether a value is above another by more than rounding (NaN rises)."""
    return not new <= old + _ROUNDING * abs(old)


def backtrack(
    at: ValueAndGradient, x: Array, value: float, gradient: Array, direction: Array
) -> float:
    """Return the first of 1, ½, ¼ … with f(x + td) ≤ f(x) + c₁·t·dᵀ∇f (Armijo), or 0 if there is none."""
    slope = float(direction @ gradient)
    length = 1.0
    for _ in range(_MOST_TRIALS):
        if not _rises(
            at(x + length * direction)[0], value + SUFFICIENT * length * slope
        ):
            return length
        length /= 2
    return 0.0


def descend_convex(
    at: ValueAndGradient, x: Array, value: float, gradient: Array, direction: Array
) -> Found | None:
    """Return a step with f(x + td) ≤ f + c₁·t·dᵀ∇f(x) of a convex f, from t = 1 down, or None.

    From a t that is too long it goes where the tangents at 0 and t meet, which is the minimum where f has one kink
    between them, and at most to t/1000, at least to 0.9·t.
    """
    slope = float(direction @ gradient)
    if not slope < 0:
        return None
    length = 1.0
    for _ in range(_MOST_TRIALS):
        new_value, new_gradient = at(x + length * direction)
        if not _rises(new_value, value + SUFFICIENT * length * slope):
            return length, new_value, new_gradient
        rise = float(direction @ new_gradient) - slope
        meet = (
            length - (new_value - value - slope * length) / rise
            if rise > 0
            else math.nan
        )
        length = (
            min(max(meet, 1e-3 * length), 0.9 * length)
            if math.isfinite(meet)
            else length / 2
        )
    return None


def strong_wolfe(
    at: ValueAndGradient,
    x: Array,
    value: float,
    gradient: Array,
    direction: Array,
    first: float,
) -> Found | None:
    """Return a step with f(x + td) ≤ f + c₁·t·s and |dᵀ∇f(x + td)| ≤ c₂|s|, s = dᵀ∇f(x), or None.

    Source: Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6.
    """
    slope = float(direction @ gradient)
    low: Found = (0.0, value, gradient)
    length = first
    for trial in range(_MOST_TRIALS):
        new_value, new_gradient = at(x + length * direction)
        new: Found = (length, new_value, new_gradient)
        if _rises(new_value, value + SUFFICIENT * length * slope) or (
            trial and _rises(new_value, low[1])
        ):
            return _zoom(at, x, value, slope, direction, low, new)
        new_slope = float(direction @ new_gradient)
        if abs(new_slope) <= -CURVATURE * slope:
            return new
        if new_slope >= 0:
            return _zoom(at, x, value, slope, direction, new, low)
        low, length = new, 2 * length
    return None


def _zoom(
    at: ValueAndGradient,
    x: Array,
    value: float,
    slope: float,
    direction: Array,
    low: Found,
    high: Found,
) -> Found | None:
    """Narrow an interval that holds a step meeting the conditions; ``low`` is its end of smaller value."""
    for _ in range(_MOST_TRIALS):
        length = _between(low, high, direction)
        new_value, new_gradient = at(x + length * direction)
        new: Found = (length, new_value, new_gradient)
        if _rises(new_value, value + SUFFICIENT * length * slope) or _rises(
            new_value, low[1]
        ):
            high = new
        else:
            new_slope = float(direction @ new_gradient)
            if abs(new_slope) <= -CURVATURE * slope:
                return new
            if new_slope * (high[0] - low[0]) >= 0:
                high = low
            low = new
        if abs(high[0] - low[0]) * float(
            np.abs(direction).max(initial=0.0)
        ) <= 1e-16 * (1 + float(np.abs(x).max())):
            break
    return (
        low if low[0] > 0 and low[1] < value else None
    )  # the best point of an interval that rounding closed


def _between(low: Found, high: Found, direction: Array) -> float:
    """The minimiser of the cubic through both ends, or the middle where that lies too near to an end."""
    a, b = low[0], high[0]
    middle = (a + b) / 2
    if not (math.isfinite(high[1]) and np.isfinite(high[2]).all()):
        return middle
    slope_a, slope_b = float(direction @ low[2]), float(direction @ high[2])
    d1 = slope_a + slope_b - 3 * (low[1] - high[1]) / (a - b)
    square = d1 * d1 - slope_a * slope_b
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), b - a)
    denominator = slope_b - slope_a + 2 * d2
    if denominator == 0:
        return middle
    best = b - (b - a) * (slope_b + d2 - d1) / denominator
    margin = 0.1 * abs(b - a)
    return best if min(a, b) + margin <= best <= max(a, b) - margin else middle
