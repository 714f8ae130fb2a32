"""Formulas that a person typed, in mathematics or Python: tokens, syntax tree, graph."""
