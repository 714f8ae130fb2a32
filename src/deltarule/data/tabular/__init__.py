"""Readers of tables: files, cells, headers, and the choice of a task."""
