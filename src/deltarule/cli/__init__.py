"""The command line: one module a command, entered only when the command runs."""
