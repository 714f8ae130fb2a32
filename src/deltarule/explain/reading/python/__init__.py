"""Answers in Python on arrays: parsed and built as graphs, never executed."""
