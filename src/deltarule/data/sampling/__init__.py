"""Splits, folds, orders and batches."""
