"""Export of loop programs as C source."""
