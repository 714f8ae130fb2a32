"""Algebraic simplification of graphs, with numerically stable forms."""

from deltarule.simplify.simplify import simplify

__all__ = ["simplify"]
