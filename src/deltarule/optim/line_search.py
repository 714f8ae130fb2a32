"""Line searches along a descent direction: Armijo backtracking and the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ValueAndGradient = Callable[[Array], tuple[float, Array]]
Found = tuple[float, float, Array]  # step length, value, gradient
SUFFICIENT_DECREASE, CURVATURE = 1e-4, 0.9  # c₁, c₂
_MAX_TRIALS = 50
# values whose difference is below this fraction of |f| count as equal
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


def _rises(new: float, old: float) -> bool:
    """Whether a value exceeds another by more than rounding; a NaN does."""
    return not new <= old + _ROUNDING * abs(old)


def backtrack(
    at: ValueAndGradient, x: Array, value: float, gradient: Array, direction: Array
) -> float:
    """Return the first t of 1, ½, ¼ … with f(x + td) ≤ f(x) + c₁·t·dᵀ∇f (Armijo 1966), or 0 if there is none.

    Args:
        at: The function that returns f and ∇f at a point.
        x: The current point, (n,).
        value: f(x).
        gradient: ∇f(x).
        direction: The descent direction d.

    >>> x = np.array([1.0])
    >>> backtrack(lambda x: (float(x @ x), 2 * x), x, 1.0, 2 * x, np.array([-8.0]))
    0.125
    """
    slope = float(direction @ gradient)
    length = 1.0
    for _ in range(_MAX_TRIALS):
        new_value = at(x + length * direction)[0]
        if not _rises(new_value, value + SUFFICIENT_DECREASE * length * slope):
            return length
        length /= 2
    return 0.0


def descend_convex(
    at: ValueAndGradient, x: Array, value: float, gradient: Array, direction: Array
) -> Found | None:
    """Return (t, f, ∇f) with f(x + td) ≤ f(x) + c₁·t·dᵀ∇f(x) for a convex f, with t ≤ 1, or None.

    After a step t that is too long, the next one is where the tangents at 0 and t intersect,
    which is the minimum if f has one kink between them; it is limited to [t/1000, 0.9·t].
    The arguments are those of ``backtrack``.

    >>> x = np.array([1.0])
    >>> length, value, _ = descend_convex(lambda x: (float(x @ x), 2 * x), x, 1.0, 2 * x, np.array([-4.0]))
    >>> length, value
    (0.25, 0.0)
    """
    slope = float(direction @ gradient)
    if not slope < 0:
        return None
    length = 1.0
    for _ in range(_MAX_TRIALS):
        new_value, new_gradient = at(x + length * direction)
        if not _rises(new_value, value + SUFFICIENT_DECREASE * length * slope):
            return length, new_value, new_gradient
        rise = float(direction @ new_gradient) - slope
        intersection = math.nan
        if rise > 0:
            intersection = length - (new_value - value - slope * length) / rise
        limited = min(max(intersection, 1e-3 * length), 0.9 * length)
        length = limited if math.isfinite(intersection) else length / 2
    return None


def strong_wolfe(
    at: ValueAndGradient,
    x: Array,
    value: float,
    gradient: Array,
    direction: Array,
    first: float,
) -> Found | None:
    """Return (t, f, ∇f) with f(x + td) ≤ f(x) + c₁·t·s and |dᵀ∇f(x + td)| ≤ c₂|s|, s = dᵀ∇f(x), or None.

    These are the strong Wolfe conditions (Nocedal and Wright 2006, algorithms 3.5 and 3.6).

    Args:
        at: The function that returns f and ∇f at a point.
        x: The current point, (n,).
        value: f(x).
        gradient: ∇f(x).
        direction: The descent direction d.
        first: The first t that is tried.

    >>> x = np.array([1.0])
    >>> length, value, _ = strong_wolfe(lambda x: (float(x @ x), 2 * x), x, 1.0, 2 * x, -2 * x, 1.0)
    >>> round(length, 6), round(value, 6)
    (0.5, 0.0)
    """
    slope = float(direction @ gradient)
    low: Found = (0.0, value, gradient)
    length = first
    for trial in range(_MAX_TRIALS):
        new_value, new_gradient = at(x + length * direction)
        new: Found = (length, new_value, new_gradient)
        too_high = _rises(new_value, value + SUFFICIENT_DECREASE * length * slope)
        if too_high or (trial and _rises(new_value, low[1])):
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
    """Narrow an interval that contains a step meeting the conditions; ``low`` is the end with the smaller value."""
    resolution = 1e-16 * (1 + float(np.abs(x).max()))
    largest = float(np.abs(direction).max(initial=0.0))
    for _ in range(_MAX_TRIALS):
        length = _between(low, high, direction)
        new_value, new_gradient = at(x + length * direction)
        new: Found = (length, new_value, new_gradient)
        too_high = _rises(new_value, value + SUFFICIENT_DECREASE * length * slope)
        if too_high or _rises(new_value, low[1]):
            high = new
        else:
            new_slope = float(direction @ new_gradient)
            if abs(new_slope) <= -CURVATURE * slope:
                return new
            if new_slope * (high[0] - low[0]) >= 0:
                high = low
            low = new
        if abs(high[0] - low[0]) * largest <= resolution:
            break
    # rounding has closed the interval: its best point, if that is below the start
    return low if low[0] > 0 and low[1] < value else None


def _between(low: Found, high: Found, direction: Array) -> float:
    """Return the minimiser of the cubic through both ends, or the midpoint if that is too close to an end."""
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
