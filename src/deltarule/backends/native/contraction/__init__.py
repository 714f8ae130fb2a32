"""Contractions: matrix products and convolutions as packed, register-blocked kernels."""
