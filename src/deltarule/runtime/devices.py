"""Devices by name: ``"cpu"`` (machine code, compiled here) and ``"reference"`` (NumPy, the oracle).

The native engine is entered on first use, so that ``import deltarule`` stays instant. Where llvmlite is missing,
the reference backend serves as ``"cpu"`` and says so once.
"""

from __future__ import annotations

import functools
import importlib
import warnings

from deltarule.backends.base import Backend
from deltarule.backends.reference import ReferenceBackend
from deltarule.errors import ArgumentError

DEVICES = ("cpu", "reference")


def backend(device: str) -> Backend:
    """Return the backend of a device.

    >>> backend("reference").name
    'reference'
    """
    if device not in DEVICES:
        raise ArgumentError("device", expected=" or ".join(map(repr, DEVICES)), got=repr(device))
    return _made(device)


@functools.cache
def _made(device: str) -> Backend:
    if device == "reference":
        return ReferenceBackend()
    try:
        native: Backend = importlib.import_module("deltarule.backends.native.backend").NativeBackend()
    except ImportError as error:
        warnings.warn(
            f"the native engine is not available ({error}); NumPy computes instead, many times slower. "
            "Install it with: pip install llvmlite",
            RuntimeWarning,
            stacklevel=3,
        )
        return ReferenceBackend()
    return native
