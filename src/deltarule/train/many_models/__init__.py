"""Many models trained in one program."""
