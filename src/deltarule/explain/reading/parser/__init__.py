"""The parts of the parser of formulas: names with scripts, indices, derivatives, structures of LaTeX."""
