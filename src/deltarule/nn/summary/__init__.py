"""Summaries: one row per layer, with its arithmetic."""
