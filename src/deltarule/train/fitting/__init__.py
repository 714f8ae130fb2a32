"""``fit``: epochs of a compiled step, callbacks, exact resume."""
