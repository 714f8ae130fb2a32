"""Training steps: building, compiling, running and replaying them."""
