"""Training many models in one program."""
