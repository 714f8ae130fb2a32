"""Grading what a person typed: formulas read, evaluated, and compared."""
