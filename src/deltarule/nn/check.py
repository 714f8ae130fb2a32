"""Checks of layer arguments."""

from __future__ import annotations

from deltarule.errors import ArgumentError


def whole_number(value: int, where: str, minimum: int = 0) -> int:
    """Return ``value`` if it is a whole number ≥ minimum."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ArgumentError(
            where, expected=f"a whole number ≥ {minimum}", got=repr(value)
        )
    return value


def number(value: float, where: str, low: float, high: float) -> float:
    """Return ``value`` if it is a number in [low, high)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not low <= value < high
    ):
        raise ArgumentError(
            where, expected=f"a number in [{low}, {high})", got=repr(value)
        )
    return float(value)


def probability(value: float, where: str) -> float:
    """Return ``value`` if it is a number in [0, 1]."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not 0 <= value <= 1
    ):
        raise ArgumentError(where, expected="a number in [0, 1]", got=repr(value))
    return float(value)
