"""PCA and ICA."""
