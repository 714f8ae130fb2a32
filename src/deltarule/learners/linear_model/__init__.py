"""Linear models and their solvers."""
