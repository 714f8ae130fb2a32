"""Numerical proof: every line evaluated and compared."""
