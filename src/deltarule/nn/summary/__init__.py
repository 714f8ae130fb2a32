"""Summaries: a row for each layer, with its arithmetic."""
