"""Splits, cross-validation folds, shuffling and batches."""
