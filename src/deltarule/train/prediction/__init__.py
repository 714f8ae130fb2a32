"""Evaluate and predict, with compiled programs kept."""
