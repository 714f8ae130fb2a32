"""Contractions: matrix products and convolutions as tiled kernels."""
