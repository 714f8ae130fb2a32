"""The output of commands: text, JSON, prediction files, errors."""
