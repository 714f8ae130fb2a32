"""Devices by name: ``"cpu"`` (the fastest engine here), ``"reference"`` (NumPy)."""

from __future__ import annotations

from deltarule.backends.base import Backend
from deltarule.backends.reference import ReferenceBackend
from deltarule.errors import ArgumentError

_BACKENDS: dict[str, Backend] = {"reference": ReferenceBackend(), "cpu": ReferenceBackend()}


def backend(device: str) -> Backend:
    """Return the backend of a device."""
    if device not in _BACKENDS:
        raise ArgumentError("device", expected=" or ".join(map(repr, _BACKENDS)), got=repr(device))
    return _BACKENDS[device]
