"""Whole programs: code generation, work sharing among threads, memory, the runner."""
