"""Model selection: search, leakage checks, several fits in one program."""
