"""Devices by name: ``"cpu"`` (machine code, compiled here) and ``"reference"`` (NumPy, the oracle).

The native engine is entered on first use, so that ``import deltarule`` stays instant. Where llvmlite is missing,
the reference backend serves as ``"cpu"`` and says so once.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Hashable

from deltarule.backends.base import Backend, Executable
from deltarule.backends.reference import ReferenceBackend
from deltarule.errors import ArgumentError, whole_number
from deltarule.graph.program import Program

DEVICES = ("cpu", "reference")
_KEPT = 64  # compiled programs held in memory, the least recently used goes first
_compiled: OrderedDict[Hashable, Executable] = OrderedDict()
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    """Make the lock free again: a thread that the child does not have may have held it."""
    global _lock  # a lock that nobody can release is replaced
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which knows no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


def backend(device: str) -> Backend:
    """Return the backend of a device.

    >>> backend("reference").name
    'reference'
    """
    if device not in DEVICES:
        raise ArgumentError(
            "device", expected=" or ".join(map(repr, DEVICES)), got=repr(device)
        )
    return _made(device)


@functools.cache
def _made(device: str) -> Backend:
    if device == "reference":
        return ReferenceBackend()
    try:
        native: Backend = importlib.import_module(
            "deltarule.backends.native.backend"
        ).NativeBackend()
    except ImportError as error:
        warnings.warn(
            f"the native engine is not available ({error}); NumPy computes instead, many times slower. "
            "Install it with: pip install llvmlite",
            RuntimeWarning,
            stacklevel=3,
        )
        return ReferenceBackend()
    return native


def checked_threads(threads: int | None) -> int | None:
    """Return a number of threads that was asked for; raises ArgumentError unless it is a whole number ≥ 1 or None.

    >>> checked_threads(None) is None, checked_threads(2)
    (True, 2)
    """
    return None if threads is None else whole_number(threads, "threads", least=1)


def cores(device: str) -> int:
    """Return how many threads of a device can compute at the same time."""
    machine = getattr(backend(device), "machine", None)
    return int(machine.cores) if machine is not None else 1


def compiled(program: Program, device: str, threads: int | None = None) -> Executable:
    """Return the executable of a program; programs of equal signature are compiled once, and may run at once.

    >>> from deltarule.graph.build import exp, input_node
    >>> x, y = input_node("x", (2,)), input_node("x", (2,))
    >>> compiled(Program((x,), (exp(x),)), "reference") is compiled(Program((y,), (exp(y),)), "reference")
    True
    """
    chosen, threads = backend(device), checked_threads(threads)
    key = (device, threads, program.signature())
    with _lock:
        known = _compiled.get(key)
        if known is not None:
            _compiled.move_to_end(key)
            return known
    made = chosen.compile(program, threads)
    with _lock:
        made = _compiled.setdefault(key, made)  # another thread may have been faster
        while len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return made
