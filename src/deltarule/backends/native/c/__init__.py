"""Loop programs as C source."""
