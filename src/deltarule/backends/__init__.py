"""Backends: NumPy interpretation and native code generation."""
