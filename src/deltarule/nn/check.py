"""Validation of layer arguments."""

from __future__ import annotations

from typing import TypeGuard

from deltarule.errors import ArgumentError


def whole_number(value: int, where: str, minimum: int = 0) -> int:
    """Return ``value`` if it is an integer ≥ minimum; otherwise raise ArgumentError.

    >>> whole_number(3, "n_features", minimum=1)
    3
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArgumentError(
            where, expected=f"a whole number ≥ {minimum}", got=repr(value)
        )
    return value


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number(value: float, where: str, low: float, high: float) -> float:
    """Return ``value`` as a float if it is a number in [low, high); otherwise raise ArgumentError.

    >>> number(1, "epsilon", 0.0, float("inf"))
    1.0
    """
    if not (_is_number(value) and low <= value < high):
        raise ArgumentError(
            where, expected=f"a number in [{low}, {high})", got=repr(value)
        )
    return float(value)


def probability(value: float, where: str) -> float:
    """Return ``value`` as a float if it is a number in [0, 1]; otherwise raise ArgumentError.

    >>> probability(0.5, "drop_probability")
    0.5
    """
    if not (_is_number(value) and 0 <= value <= 1):
        raise ArgumentError(where, expected="a number in [0, 1]", got=repr(value))
    return float(value)
