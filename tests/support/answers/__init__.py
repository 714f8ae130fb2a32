"""Right answers to questions for gradients, their mutants by kind of mistake, and a judge that does not read them."""
