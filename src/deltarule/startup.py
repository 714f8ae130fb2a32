"""Ctrl-C while the program is still importing: one line and status 130, whatever the interpreter is about to do.

A KeyboardInterrupt in the middle of an import ends in a traceback, or is swallowed by whoever imports. So while the
command line starts, and while it ends, an interrupt ends the process at once: there is nothing to finish or undo.
Who imports the package in a program of their own is not concerned.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED, TERMINATED = (
    130,
    143,
)  # the shell's status for a program that Ctrl-C, or SIGTERM, ended
_PROGRAMS = frozenset({"deltarule", "deltarule.exe", "deltarule-script.py"})


def is_program() -> bool:
    """Tell whether this process is the command line: ``deltarule …``, or ``python -m deltarule …`` being located."""
    name = sys.argv[0] if getattr(sys, "argv", None) else ""
    folder, base = os.path.split(name)
    return (
        name == "-m"
        or base in _PROGRAMS
        or (base == "__main__.py" and os.path.basename(folder) == "deltarule")
    )


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def leave_at_interrupt() -> None:
    """End the process at once at Ctrl-C, if nobody else has a handler and this is the main thread."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)
    except ValueError:  # another thread than the main one imports
        pass


def raise_at_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, as the program's own code expects it."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Termination:
    """SIGTERM handled as Ctrl-C is, so that a run that a scheduler ends writes its file first; a second one kills."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Begin to handle SIGTERM, if this process is the command line and nobody else does."""
        if is_program() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._pass_on)

    def status(self) -> int:
        """Return the status of a program that was interrupted."""
        return TERMINATED if self.asked else INTERRUPTED

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


if is_program():
    leave_at_interrupt()
