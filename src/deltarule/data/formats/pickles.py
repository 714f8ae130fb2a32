"""Safe reading of untrusted pickles: numeric arrays in plain containers, and nothing else.

A pickle is a program that calls functions by name. Here all names are rejected except the few
with which NumPy writes arrays, and these are mapped to inert classes of this module, whose
content is validated and then converted to arrays.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from pathlib import Path
from typing import Any, final

import numpy as np

from deltarule.arguments import check_calls
from deltarule.errors import DataError

__all__ = ["read_pickle"]

_KINDS = frozenset("uifb")
_DEEPEST = 16
_ARRAY_STATE = 5  # version, shape, type, whether columns come first, bytes
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    struct.error,
    UnicodeError,
    ImportError,
    RecursionError,
)


class _Refused(pickle.UnpicklingError):
    """The file contains more than arrays."""


@final
class _Type:
    """Stands for ``numpy.dtype``: an element type and its byte order."""

    def __init__(self, code: Any = None, align: Any = False, copy: Any = False) -> None:
        del align, copy
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(text, str) or len(text) not in {2, 3}:
            raise _Refused(f"elements of type {text!r}")
        if text[0] not in _KINDS or not text[1:].isdigit():
            raise _Refused(f"elements of type {text!r}")
        self.kind = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in {"<", ">", "|", "="}:
            raise _Refused(f"the byte order {order!r}")
        self.kind = np.dtype(order + self.kind.str[1:])


@final
class _Array:
    """Stands for an array, which ``__setstate__`` validates and creates."""

    def __init__(self) -> None:
        self.value: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != _ARRAY_STATE:
            raise _Refused("an array without its shape, type and bytes")
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Type) or not isinstance(content, bytes):
            raise _Refused("an array of objects")
        sizes = tuple(int(size) for size in shape)
        n_bytes = math.prod(sizes) * kind.kind.itemsize
        if min(sizes, default=1) < 0 or n_bytes != len(content):
            raise _Refused(f"an array {sizes} of {kind.kind} in {len(content)} bytes")
        flat = np.frombuffer(content, kind.kind).astype(kind.kind.newbyteorder("="))
        self.value = flat.reshape(sizes, order="F" if by_columns else "C")


@final
class _Kind:
    """Stands for the class ``numpy.ndarray``, and can't be called."""


def _begin(kind: Any = None, shape: Any = None, code: Any = None) -> _Array:
    del shape, code
    if kind is not _Kind:
        raise _Refused("an array of a class of its own")
    return _Array()


def _latin(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Return bytes as Python 3 writes them in older protocols."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused(f"text in {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*content: Any) -> bytes:
    """Return empty bytes, which Python 3 writes as a call in older protocols."""
    if content:
        raise _Refused("bytes made by a call")
    return b""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _begin,
    ("numpy._core.multiarray", "_reconstruct"): _begin,
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin,
    ("__builtin__", "bytes"): _no_bytes,
}


@final
class _Reader(pickle.Unpickler):
    """An unpickler that maps NumPy's names to the classes above and rejects all others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the substitute for a name; raise for one that is not allowed."""
        if (module, name) not in _ALLOWED:
            raise _Refused(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Reject references to objects outside the file."""
        raise _Refused(f"an object outside the file, {pid!r}")


def _plain(value: Any, known: dict[int, Any], deep: int = 0) -> Any:
    """Return plain containers with arrays in place of ``_Array``; raise for any other object."""
    if deep > _DEEPEST:
        raise _Refused(f"containers in containers, more than {_DEEPEST} deep")
    if isinstance(value, _Array):
        if value.value is None:
            raise _Refused("an array without its bytes")
        return value.value
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if type(value) not in {dict, list, tuple}:
        raise _Refused(f"an object of {type(value).__name__.lstrip('_').lower()}")
    if id(value) not in known:
        parts: list[Any] = [_plain(item, known, deep + 1) for item in _items(value)]
        known[id(value)] = (
            dict(zip(parts[::2], parts[1::2], strict=True))
            if isinstance(value, dict)
            else parts
        )
    made = known[id(value)]
    return tuple(made) if isinstance(value, tuple) else made


def _items(value: Any) -> list[Any]:
    """Return the items of a container; for a dictionary keys and values alternate."""
    return (
        [part for pair in value.items() for part in pair]
        if isinstance(value, dict)
        else list(value)
    )


def read_pickle(path: str | Path) -> Any:
    """Read an untrusted pickle of numeric arrays, numbers, text and bytes in lists, tuples and dictionaries.

    No code of the file is executed. Text of Python 2 is returned as bytes.

    Raises:
        DataError: The file contains anything else, or is damaged.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "data.pickle"
    >>> _ = file.write_bytes(pickle.dumps({"x": np.arange(3)}, protocol=2))
    >>> read_pickle(file)
    {'x': array([0, 1, 2])}
    """
    where = f"file {path}"
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            where, expected="a file that can be read", got=str(error)
        ) from error
    try:
        return _plain(_Reader(io.BytesIO(content), encoding="bytes").load(), {})
    except _Refused as error:
        raise DataError(
            where,
            expected="arrays of numbers in plain containers",
            got=str(error),
            hint="A pickle can run any program; this one asks for more than data and is not read.",
        ) from error
    except _BROKEN as error:
        raise DataError(
            where,
            expected="a whole pickle",
            got=f"{type(error).__name__}: {error}",
            hint="Download it again.",
        ) from error


check_calls(__name__)
