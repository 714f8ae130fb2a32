"""Checkpoints: one safetensors file whose metadata is JSON; written atomically; never pickle.

A reader that knows safetensors alone sees named arrays; the metadata says what they are.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deltarule.errors import CheckpointError

Array = npt.NDArray[Any]
FORMAT, VERSION = "deltarule", 1


@dataclass(frozen=True)
class Container:
    """Named arrays and a JSON document."""

    arrays: dict[str, Array]
    document: dict[str, Any]


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise CheckpointError(f"file {target}", expected="a place to write to", got=str(error)) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise CheckpointError(f"file {target}", expected="a place to write to", got=str(error)) from error


def write(path: str | Path, kind: str, arrays: Mapping[str, Array], document: Mapping[str, Any]) -> None:
    """Write arrays and a JSON document to one file."""
    header = {"format": FORMAT, "version": str(VERSION), "kind": kind, "document": json.dumps(document)}
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, save(plain, metadata=header))


def read(path: str | Path, kind: str) -> Container:
    """Read a file of this kind back; anything else is a CheckpointError that says what is wrong."""
    file = Path(path)
    where = f"file {file}"
    if not file.is_file():
        raise CheckpointError(where, expected=f"a {kind} file", got="no such file", hint=f"Looked in {Path.cwd()}.")
    try:
        with safe_open(file, framework="numpy") as stream:
            header = stream.metadata() or {}
            arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  # not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            where, expected="a whole safetensors file", got=f"damaged or foreign content ({error})",
            hint="Copy the file again, or train again from an older checkpoint.",
        ) from error  # fmt: skip
    if header.get("format") != FORMAT:
        raise CheckpointError(where, expected="a file written by Deltarule", got="another program's safetensors file")
    if int(header.get("version", "0")) > VERSION:
        raise CheckpointError(
            where, expected=f"format version ≤ {VERSION}", got=header["version"], hint="Update deltarule."
        )
    if header.get("kind") != kind:
        raise CheckpointError(where, expected=f"a {kind} file", got=f"a {header.get('kind')} file")
    return Container(arrays, json.loads(header["document"]))
