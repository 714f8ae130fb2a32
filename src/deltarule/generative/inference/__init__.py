"""Variational inference and Markov chains."""
