"""Smaller, equal graphs; numerically safer ones."""

from deltarule.simplify.simplify import simplify

__all__ = ["simplify"]
