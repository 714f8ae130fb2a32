"""Ctrl-C during training: the run ends after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupt:
    """A context in which the first Ctrl-C sets ``requested`` and calls the callback; a second one raises as usual.

    Outside the main thread, and if the program has its own handler, the context does nothing.

    >>> with Interrupt() as interrupt:
    ...     interrupt.request()
    >>> interrupt.requested
    True
    """

    def __init__(self) -> None:
        self.requested = False
        self._notify: Callable[[], None] = _nothing
        self._installed = False

    def __enter__(self) -> Interrupt:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._installed = False

    def on_interrupt(self, notify: Callable[[], None]) -> None:
        """Set the function to call on Ctrl-C."""
        self._notify = notify

    def clear_callback(self) -> None:
        """Remove the function to call on Ctrl-C."""
        self._notify = _nothing

    def request(self) -> None:
        """Request the end of the run, as Ctrl-C does."""
        self.requested = True
        self._notify()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            signal.default_int_handler(number, frame)
        self.request()


def _nothing() -> None:
    """Do nothing."""
