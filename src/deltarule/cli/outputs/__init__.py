"""What the command line writes: text, JSON, prediction files, errors."""
