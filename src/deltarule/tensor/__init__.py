"""The user's handle on the graph: tensors, functions on them, transforms, linear algebra, random numbers."""
