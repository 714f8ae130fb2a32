"""Derivations of gradients in matrix calculus, their numerical proof, graded answers and exams.

The derivatives are those of ``grad``: there are no further rules here.
"""
