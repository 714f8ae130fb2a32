"""One compiled training step: its program, its data, its engine."""
