"""Question sheets with verified answer keys."""
