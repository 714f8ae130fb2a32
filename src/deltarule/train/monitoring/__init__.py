"""Callbacks, metrics, history, learning curves and progress display."""
