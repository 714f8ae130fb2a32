"""Memory of the native engine with guards around it: a write beyond an array, or a read of what nobody wrote, shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

from deltarule.backends.native import backend
from deltarule.backends.native.program.memory import CACHE_LINE

_GUARD = 1024  # bytes on each side
_FILL = 0x7F  # 3·10³⁸ in float32, 10³⁰⁶ in float64: whoever reads it is noticed


class Guards:
    """The arrays handed out, each inside a larger one."""

    def __init__(self) -> None:
        self._all: list[tuple[Any, int, int, str]] = []

    def _bytes(self, size: int, label: str) -> Any:
        whole = np.full(size + 2 * _GUARD + CACHE_LINE, _FILL, np.uint8)
        start = _GUARD + -(whole.ctypes.data + _GUARD) % CACHE_LINE
        self._all.append((whole, start, start + size, label))
        return whole[start : start + size]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return an array with guards on both sides."""
        kind = np.dtype(dtype)
        count = math.prod(shape)
        return (
            self._bytes(count * kind.itemsize, f"{kind}{shape}")
            .view(kind)
            .reshape(shape)
        )

    def aligned(self, size: int) -> Any:
        """Return memory at a cache line with guards on both sides."""
        return self._bytes(max(1, size), f"an arena of {size} bytes")

    def broken(self) -> str:
        """Say which guard was overwritten, if any."""
        for whole, start, stop, label in self._all:
            for side, part in (("before", whole[:start]), ("after", whole[stop:])):
                if (part != _FILL).any():
                    return f"writes {int((part != _FILL).sum())} bytes {side} {label}"
        return ""


class _Arrays:
    """NumPy, but for the memory of results."""

    def __init__(self, guards: Guards) -> None:
        self.empty = guards.empty

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextmanager
def guarded() -> Iterator[Guards]:
    """Give programs that run inside memory with guards."""
    guards = Guards()
    with (
        mock.patch.object(backend, "np", _Arrays(guards)),
        mock.patch.object(backend, "aligned", guards.aligned),
    ):
        yield guards
