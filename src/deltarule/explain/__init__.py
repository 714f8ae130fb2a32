"""Gradients in matrix calculus: derived, proved, graded, asked in an exam. No derivative of its own."""
