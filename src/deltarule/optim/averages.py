"""Simple and exponential moving averages of a series."""

from __future__ import annotations

from collections.abc import Sequence

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError

__all__ = ["exponential_moving_average", "moving_average"]


def moving_average(series: Sequence[float], n: int) -> list[float]:
    """Return the simple moving average x̄_m = (x_m + … + x_{m−n+1})/n for m ≥ n.

    Raises:
        ArgumentError: n is not a whole number from 1 to the length of the series.

    >>> moving_average([1, 2, 3, 4, 5], 3)
    [2.0, 3.0, 4.0]
    """
    if not 1 <= n <= max(len(series), 1):
        raise ArgumentError(
            "moving_average n",
            expected=f"a whole number from 1 to {len(series)}",
            got=repr(n),
        )
    return [sum(series[i - n + 1 : i + 1]) / n for i in range(n - 1, len(series))]


def exponential_moving_average(
    series: Sequence[float], *, new_weight: float
) -> list[float]:
    """Return the exponential moving average s_1 = y_1, s_t = βy_t + (1 − β)s_{t−1} with β = ``new_weight``.

    β is the weight of the new value, as in statistics; the decay rates d of momentum, RMSProp
    and Adam are weights of the old one: d = 1 − β.

    Raises:
        ArgumentError: ``new_weight`` is not in (0, 1].

    >>> exponential_moving_average([1, 2, 3, 4, 5], new_weight=0.5)
    [1.0, 1.5, 2.25, 3.125, 4.0625]
    """
    if not 0 < new_weight <= 1:
        raise ArgumentError(
            "exponential_moving_average new_weight",
            expected="a number in (0, 1]",
            got=repr(new_weight),
        )
    averages = [float(value) for value in series[:1]]
    for value in series[1:]:
        averages.append(new_weight * value + (1 - new_weight) * averages[-1])
    return averages


check_calls(__name__)
