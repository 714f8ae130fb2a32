"""The words (int64) of the memory through which Python and a compiled program talk."""

from __future__ import annotations

ARENA, BARRIER = 0, 1  # addresses
ERROR_FLAG, ERROR_VALUE, ERROR_SIZE = (
    2,
    3,
    4,
)  # what went wrong: OUTSIDE, SINGULAR, INDEFINITE or a check
STEPS, ORDER, METRICS = (
    5,
    6,
    7,
)  # of an epoch: number of steps, addresses of the order and of the metrics
STOP, DONE = 8, 9  # set by Python to end the run; steps that are finished
FIRST_STEP, HALT = 10, 11
TABLE = 16  # addresses of the caller's arrays follow
OUTSIDE, SINGULAR, INDEFINITE = 1, 2, 3
REFUSED = 16  # and above: the message number flag − 16 of the image; ERROR_VALUE has the bits of a float64
