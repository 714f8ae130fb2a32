"""Code generation for loop nests, scatters and whole-array routines."""
