"""Encoding, scaling, and self-supervised targets."""
