"""k nearest neighbours and their search."""
