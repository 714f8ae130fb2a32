"""A pytest plugin (``-p support.other_clock``) under which the clock is more than a year ahead."""

from __future__ import annotations

import time

_AHEAD = 400 * 24 * 3600 + 12345
_now, _now_ns = time.time, time.time_ns

time.time = lambda: _now() + _AHEAD
time.time_ns = lambda: _now_ns() + _AHEAD * 10**9
