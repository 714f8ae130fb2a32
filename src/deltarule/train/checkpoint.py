"""The file format of models and checkpoints: safetensors with JSON metadata, written atomically, without pickle.

Any safetensors reader sees the named arrays. The metadata holds format, version, kind ("model" or "checkpoint"), a JSON
document, and a checksum: the CRC-32 of kind, document and all arrays with their names, types and shapes (in version 1
of names and values only). Groups of arrays share a prefix: ``weights/`` is everything that a model needs for
prediction, in both kinds of file.

A checksum detects corruption, not manipulation, so the content of a file is never trusted: nothing in it is executed,
sizes are compared with the arrays before memory is allocated, and invalid content raises a ``CheckpointError``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deltarule import files
from deltarule.errors import ArgumentError, CheckpointError, DeltaruleError
from deltarule.runtime.buffers import Array

FORMAT, VERSION = "deltarule", 2
_DAMAGED = "Copy the file again, or use an older one."


@dataclass(frozen=True)
class Container:
    """The content of a file: named arrays, a JSON document, its kind and the version of its format.

    >>> Container({"weights/a": np.zeros(2)}, {"note": "zeros"}).group("weights/")["a"].shape
    (2,)
    """

    arrays: dict[str, Array]
    document: dict[str, Any]
    kind: str = ""
    version: int = VERSION

    def group(self, prefix: str) -> dict[str, Array]:
        """Return the arrays whose names start with ``prefix``, by the rest of their names.

        >>> Container({"weights/a": np.zeros(1), "b": np.zeros(1)}, {}).group("weights/").keys()
        dict_keys(['a'])
        """
        return {
            name[len(prefix) :]: array
            for name, array in self.arrays.items()
            if name.startswith(prefix)
        }


def checked_path(path: str | Path) -> Path:
    """Return the path of a file; of a symbolic link, that of its target.

    >>> checked_path("runs/last.dr").name
    'last.dr'
    """
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise ArgumentError("path", expected="the name of a file", got=repr(path))
    return Path(path).resolve() if Path(path).is_symlink() else Path(path)


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file atomically: after a crash it is the old one or the new one, never a part.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(f"{folder}/note.txt", b"new")
    ...     Path(folder, "note.txt").read_text()
    'new'
    """
    target = checked_path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        raise CheckpointError(
            f"file {target}", expected="a place to write to", got="a device or a pipe"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(target, content)
    except OSError as error:
        raise CheckpointError(
            f"file {target}",
            expected="a place to write to",
            got=str(error),
            hint="Choose another path, or make room.",
        ) from error


def _checksum(
    version: int, kind: str, document: str, arrays: Mapping[str, Array]
) -> str:
    """Return the checksum of a file's content in the given version of the format."""
    value = (
        0
        if version < 2
        else zlib.crc32(f"{kind}\n{document}\n".encode("utf-8", "surrogatepass"))
    )
    for name in sorted(arrays):
        array = arrays[name]
        described = name if version < 2 else f"{name} {array.dtype.str} {array.shape}\n"
        value = zlib.crc32(described.encode("utf-8", "surrogatepass"), value)
        value = zlib.crc32(
            np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, value
        )
    return f"{value:08x}"


def write(
    path: str | Path,
    kind: str,
    arrays: Mapping[str, Array],
    document: Mapping[str, Any],
) -> None:
    """Write arrays and a JSON document to one file, atomically.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/a.dr", "model", {"w": np.ones(2)}, {"note": "ones"})
    ...     found = read(f"{folder}/a.dr", "model")
    >>> found.arrays["w"].tolist(), found.document
    ([1.0, 1.0], {'note': 'ones'})
    """
    plain = {name: np.array(array, order="C") for name, array in arrays.items()}
    text = json.dumps(document)
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "kind": kind,
        "document": text,
        "checksum": _checksum(VERSION, kind, text, plain),
    }
    write_atomically(path, save(plain, metadata=header))


def _contents(
    file: Path, kinds: tuple[str, ...]
) -> tuple[dict[str, str], dict[str, Array]]:
    where, wanted = f"file {file}", " or ".join(kinds)
    if not file.is_file():
        raise CheckpointError(
            where,
            expected=f"a {wanted} file",
            got="a folder" if file.is_dir() else "no such file",
            hint=f"Looked in {file.absolute().parent}. For a first run, leave resume out."
            if kinds == ("checkpoint",)
            else f"Looked in {file.absolute().parent}.",
        )
    try:
        with safe_open(file, framework="numpy") as stream:
            header = stream.metadata() or {}
            return header, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  # not a mapping
    except (
        SafetensorError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        MemoryError,
    ) as error:
        raise CheckpointError(
            where,
            expected="a whole safetensors file",
            got=f"damaged or foreign content ({error})",
            hint=_DAMAGED,
        ) from error


def read(path: str | Path, *kinds: str) -> Container:
    """Read a file of one of the given kinds.

    Raises:
        CheckpointError: If the file is missing, damaged, of another kind, or of a newer version.

    >>> read("missing.dr", "model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deltarule.errors.CheckpointError: file missing.dr: expected a model file, got no such file.
    ...
    """
    header, arrays = _contents(checked_path(path), kinds)
    where = f"file {path}"
    if header.get("format") != FORMAT:
        raise CheckpointError(
            where,
            expected="a file written by Deltarule",
            got="a safetensors file of another program",
            hint="Read its arrays with safetensors and hand them to model.load_state_dict.",
        )
    version = header.get("version", "")
    if not re.fullmatch("[1-9][0-9]{0,8}", version) or int(version) > VERSION:
        raise CheckpointError(
            where,
            expected=f"format version ≤ {VERSION}",
            got=repr(version),
            hint="Update deltarule: pip install --upgrade deltarule.",
        )
    kind, text = header.get("kind", ""), header.get("document", "")
    if kind not in kinds:
        raise CheckpointError(
            where, expected=f"a {' or '.join(kinds)} file", got=f"a {kind} file"
        )
    if header.get("checksum") != _checksum(int(version), kind, text, arrays):
        raise CheckpointError(
            where,
            expected="content as it was written",
            got="other bytes",
            hint=_DAMAGED,
        )
    with foreign(where, "a JSON document"):
        document = json.loads(text)
    if not isinstance(document, dict):
        raise CheckpointError(
            where,
            expected="a JSON object",
            got=f"a {type(document).__name__}",
            hint=_DAMAGED,
        )
    return Container(arrays, document, kind, int(version))


@contextlib.contextmanager
def foreign(where: str, expected: str) -> Iterator[None]:
    """Raise every exception that the content of a file causes as a CheckpointError.

    >>> with foreign("file run.dr", "two entries"):
    ...     {}["cursor"]
    Traceback (most recent call last):
    ...
    deltarule.errors.CheckpointError: file run.dr: expected two entries, got KeyError: 'cursor'.
    """
    try:
        yield
    except CheckpointError:
        raise
    except DeltaruleError as error:
        raise CheckpointError(
            where, expected=expected, got=f"{error.where}: {error.got}", hint=error.hint
        ) from error
    except Exception as error:  # RecursionError, MemoryError, OverflowError …: the content decides which
        raise CheckpointError(
            where, expected=expected, got=f"{type(error).__name__}: {error}"
        ) from error
