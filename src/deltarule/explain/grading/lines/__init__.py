"""A whole derivation that a person typed, graded line by line."""
