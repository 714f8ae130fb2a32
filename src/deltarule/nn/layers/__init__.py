"""Layers: the building blocks of networks."""
