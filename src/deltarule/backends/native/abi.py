"""The context: int64 words in memory through which Python and a compiled program communicate."""

from __future__ import annotations

ARENA, BARRIER = 0, 1  # addresses
ERROR_FLAG = (
    2  # OUT_OF_RANGE, SINGULAR, INDEFINITE, or CHECK_FAILED + the number of a message
)
ERROR_VALUE, ERROR_SIZE = (
    3,
    4,
)  # the value to report, and the size of an index that is out of range
STEPS, ORDER, METRICS = (
    5,
    6,
    7,
)  # number of steps; addresses of the row order and the metrics
STOP, DONE = 8, 9  # set by Python to end the run; number of finished steps
FIRST_STEP, HALT = (
    10,
    11,
)  # number of the first step; non-zero after the step that ends the run
TABLE = 16  # addresses of the caller's arrays follow
OUT_OF_RANGE, SINGULAR, INDEFINITE = 1, 2, 3
CHECK_FAILED = (
    16  # plus the number of the check's message; ERROR_VALUE has the bits of a float64
)
