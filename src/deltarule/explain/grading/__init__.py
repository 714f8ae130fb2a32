"""Grading of answers: compared with the gradient at random points, with the mistake if it is a known one."""
