"""Vectorised elementary functions."""
