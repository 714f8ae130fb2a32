"""The input of commands: data, models, options for tables."""
