"""Backpropagation as a graph → graph transformation: rules, reverse mode, forward mode, checks."""
