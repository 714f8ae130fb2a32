"""Handling of Ctrl-C and SIGTERM while the command line starts and ends.

A KeyboardInterrupt during an import shows a traceback, or is caught by the importing code. So while the command line
starts or ends, Ctrl-C ends the process at once with one line and status 130. Programs that import the package are not
affected.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED, TERMINATED = 130, 143  # exit status after Ctrl-C and SIGTERM
_PROGRAMS = frozenset({"deltarule", "deltarule.exe", "deltarule-script.py"})


def is_program() -> bool:
    """Return whether this process is the command line: ``deltarule …`` or ``python -m deltarule …``."""
    name = sys.argv[0] if getattr(sys, "argv", None) else ""
    folder, base = os.path.split(name)
    is_main = base == "__main__.py" and os.path.basename(folder) == "deltarule"
    return name == "-m" or base in _PROGRAMS or is_main


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def leave_at_interrupt() -> None:
    """Let Ctrl-C end the process at once, unless another handler is set or this is not the main thread."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)
    except ValueError:  # imported by a thread other than the main one
        pass


def raise_at_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Termination:
    """Handles SIGTERM like Ctrl-C, so that a run ended by a scheduler is saved; a second signal kills."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Install the handler, if this process is the command line and has no other."""
        if is_program() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._pass_on)

    def status(self) -> int:
        """Return the exit status of an interrupted program."""
        return TERMINATED if self.asked else INTERRUPTED

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


if is_program():
    leave_at_interrupt()
