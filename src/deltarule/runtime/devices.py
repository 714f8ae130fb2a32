"""Devices by name: ``"cpu"`` (native code) and ``"reference"`` (NumPy), and the cache of compiled programs.

The native backend is imported on first use, so that ``import deltarule`` is fast. If llvmlite is not installed,
the reference backend is used as ``"cpu"``, with a warning.
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
from deltarule.errors import ArgumentError, user_level, whole_number
from deltarule.graph.program import Program

DEVICES = ("cpu", "reference")
_MAX_PROGRAMS = 64  # compiled programs in memory; the least recently used is evicted
_compiled: OrderedDict[Hashable, Executable] = OrderedDict()
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    """Replace the lock, which a thread that does not exist in the child may have held."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
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
    return _create(device)


@functools.cache
def _create(device: str) -> Backend:
    if device == "reference":
        return ReferenceBackend()
    try:
        native: Backend = importlib.import_module(
            "deltarule.backends.native.backend"
        ).NativeBackend()
    except ImportError as error:
        warnings.warn(
            f"the native backend is not available ({error}); falling back to NumPy, which is many times slower. "
            "Install it with: pip install llvmlite",
            RuntimeWarning,
            stacklevel=user_level(),
        )
        return ReferenceBackend()
    return native


def checked_threads(threads: int | None) -> int | None:
    """Return a number of threads; raise ArgumentError unless it is a whole number ≥ 1 or None.

    >>> checked_threads(None) is None, checked_threads(2)
    (True, 2)
    """
    return None if threads is None else whole_number(threads, "threads", least=1)


def cores(device: str) -> int:
    """Return the number of cores that a device can use.

    >>> cores("reference")
    1
    """
    machine = getattr(backend(device), "machine", None)
    return int(machine.cores) if machine is not None else 1


def compiled(program: Program, device: str, threads: int | None = None) -> Executable:
    """Return the executable of a program; programs of equal signature share one, which is thread-safe.

    >>> from deltarule.graph.build import exp, input_node
    >>> x, y = input_node("x", (2,)), input_node("x", (2,))
    >>> compiled(Program((x,), (exp(x),)), "reference") is compiled(Program((y,), (exp(y),)), "reference")
    True
    """
    chosen, threads = backend(device), checked_threads(threads)
    key = (device, threads, program.signature())
    with _lock:
        cached = _compiled.get(key)
        if cached is not None:
            _compiled.move_to_end(key)
            return cached
    executable = chosen.compile(program, threads)
    with _lock:  # another thread may have compiled it meanwhile
        executable = _compiled.setdefault(key, executable)
        while len(_compiled) > _MAX_PROGRAMS:
            _compiled.popitem(last=False)
    return executable
