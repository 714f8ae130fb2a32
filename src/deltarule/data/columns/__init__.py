"""Columns of tables: stored cells, their types, and their encodings as features."""
