"""Text files as streams of characters: compression and encoding."""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from deltarule.errors import ArgumentError, DataError, DependencyError
from deltarule.visible import listed

_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_MARKS = {  # byte-order marks
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


@dataclass(frozen=True)
class TextSource:
    """A text file, the first bytes of its compression (none if it is not compressed) and its encoding."""

    file: Path
    kind: bytes
    encoding: str

    def open(self) -> io.TextIOBase:
        """Return a stream of the text."""
        return io.TextIOWrapper(
            _decompressed(self.file, self.kind), self.encoding, newline=""
        )


class NotUnicodeError(DataError):
    """Bytes that are not text in the encoding of a file."""


def compression(file: Path) -> bytes:
    """Return the first bytes of a compressed file, or none."""
    with file.open("rb") as stream:
        start = stream.read(6)
    for magic in (
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ\x00",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04",
    ):
        if start.startswith(magic):
            return magic
    return b""


def _decompressed(file: Path, kind: bytes) -> BinaryIO:
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"": lambda path: path.open("rb"),
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ\x00": lzma.open,
        b"PK\x03\x04": _member,
        b"\x28\xb5\x2f\xfd": _zstandard,
    }
    stream: BinaryIO = openers[kind](file)
    return stream


def _member(file: Path) -> Any:
    """Open the only file in a ZIP archive."""
    archive = zipfile.ZipFile(file)
    inside = [
        name
        for name in archive.namelist()
        if not name.startswith(("__MACOSX", ".")) and not name.endswith("/")
    ]
    if len(inside) != 1:
        raise DataError(
            f"file {file}",
            expected="an archive of one table",
            got=f"the files {listed(inside)}" if inside else "an empty one",
            hint="Unpack it and name the table.",
        )
    return archive.open(inside[0])


def _zstandard(file: Path) -> Any:
    """Open a file compressed by Zstandard."""
    try:
        return importlib.import_module("compression.zstd").open(file)
    except ImportError:
        pass
    try:
        return importlib.import_module("zstandard").open(file, "rb")
    except ImportError as error:
        raise DependencyError(
            f"file {file}",
            expected="the package zstandard, or Python 3.14",
            got="none",
            hint="pip install zstandard, or unpack the file with unzstd.",
        ) from error


def check_encoding(name: str | None) -> None:
    """Raise ArgumentError unless Python knows an encoding.

    >>> check_encoding("klingon")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: encoding: expected one that Python knows (utf-8, cp1252, …), got 'klingon'.
    """
    try:
        codecs.lookup(name or "utf-8")
    except LookupError as error:
        raise ArgumentError(
            "encoding",
            expected="one that Python knows (utf-8, cp1252, …)",
            got=repr(name),
        ) from error


def detect_encoding(file: Path, kind: bytes) -> str:
    """Return the encoding that a byte-order mark names, or UTF-8."""
    try:
        with _decompressed(file, kind) as stream:
            start = stream.read(64)
    except _DAMAGED as error:
        raise _damaged(f"file {file}", error) from error
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    wide = start[1::2].count(0) > len(start) / 4 > 0 and 0 not in start[::2]
    return "utf-16-le" if wide else "utf-8"


def pieces(stream: io.TextIOBase, where: str, size: int) -> Iterator[str]:
    """Yield the first ``size`` characters of a stream, or all of its lines for −1."""
    try:
        if size >= 0:
            yield stream.read(size)
        else:
            yield from stream
    except UnicodeError as error:
        raise not_unicode(where, str(error)) from error
    except _DAMAGED as error:
        raise _damaged(where, error) from error


def _damaged(where: str, error: BaseException) -> DataError:
    return DataError(where, expected="a compressed file that is whole", got=str(error))


def not_unicode(where: str, got: str) -> DataError:
    """Return the error for bytes that are no text in an encoding."""
    return NotUnicodeError(
        where,
        expected="text in the encoding of the file",
        got=got,
        hint="Save the table as UTF-8, or name its encoding.",
    )
