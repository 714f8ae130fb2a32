"""``fit``: the training loop, exact resume, the learning-rate range test."""
