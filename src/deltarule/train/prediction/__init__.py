"""Evaluation and prediction, with a cache of compiled programs."""
