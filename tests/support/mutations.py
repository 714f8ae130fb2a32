"""Damaged and hostile variants of a checkpoint file: bytes, header, document; also with a checksum that fits again."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from deltarule.train import checkpoint

Path_ = tuple[Any, ...]
DEEP = 5000


class Deep(str):
    """Text that stands in a document as it is: an array nested deeper than any reader follows."""


ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    3.5,
    -0.0,
    float("nan"),
    float("inf"),
    10**9,
    2**63,
    10**400,
    1e308,
    "",
    "0",
    "²",
    "9" * 5000,
    "x" * 200_000,
    "../../etc/passwd",
    "\x1b[2J",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"class": "Linear"},
    {"": {}},
    [1, 2, 3],
    list(range(100)),
    Deep("[" * DEEP + "]" * DEEP),
)


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every entry of a document."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def _holder(document: Any, path: Path_) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def changed_document(document: Any, random: np.random.Generator) -> str:
    """Return a document as JSON text with one to three entries replaced, removed, repeated or renamed."""
    document = copy.deepcopy(document)
    for _ in range(int(random.integers(1, 4))):
        every = list(places(document))
        if not every:
            break
        path = every[int(random.integers(len(every)))]
        holder, kind = _holder(document, path), int(random.integers(5))
        if kind <= 1:
            holder[path[-1]] = ODD[int(random.integers(len(ODD)))]
        elif kind == 2 and isinstance(holder[path[-1]], (int, float)):
            holder[path[-1]] = holder[path[-1]] * (
                10 ** int(random.integers(1, 12))
            ) + int(random.integers(-3, 4))
        elif kind == 3:
            del holder[path[-1]]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[f"{path[-1]}?"] = holder.pop(path[-1])
    text = json.dumps(document)
    return text.replace(
        json.dumps(Deep("[" * DEEP + "]" * DEEP)), "[" * DEEP + "]" * DEEP
    )


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return header and arrays of a file."""
    with safe_open(path, framework="numpy") as stream:
        names = stream.keys()
        return dict(stream.metadata()), {
            name: stream.get_tensor(name) for name in names
        }


def whole(
    header: dict[str, str], arrays: dict[str, np.ndarray], *, sealed: bool
) -> bytes:
    """Return a file; ``sealed`` gives it the checksum of what it holds now."""
    if sealed:
        digest = checkpoint._checksum(
            checkpoint.VERSION, header["kind"], header["document"], arrays
        )
        header = {**header, "checksum": digest}
    return save(arrays, metadata=header)


def mutated(path: Path, random: np.random.Generator) -> bytes:
    """Return one variant of a file."""
    content = path.read_bytes()
    kind = int(random.integers(10))
    if kind == 0:
        return content[: int(random.integers(len(content)))]
    if kind == 1:
        spot, size = int(random.integers(len(content))), int(random.integers(1, 9))
        return content[:spot] + random.bytes(size) + content[spot + size :]
    if kind == 2:
        spot = int(random.integers(8 + struct.unpack("<Q", content[:8])[0]))
        return (
            content[:spot]
            + bytes([content[spot] ^ (1 << int(random.integers(8)))])
            + content[spot + 1 :]
        )
    header, arrays = read(path)
    if kind == 3:
        name = list(header)[int(random.integers(len(header)))]
        header[name] = (
            str(ODD[int(random.integers(len(ODD) - 1))])
            .encode("utf-8", "replace")
            .decode()
        )
        return whole(header, arrays, sealed=False)
    if kind == 4:
        name = list(arrays)[int(random.integers(len(arrays)))]
        array = arrays.pop(name)
        choices = (
            array[:0] if array.ndim else array[None],
            np.repeat(array[None], 2, 0),
            array.astype("float16"),
            array.reshape(-1),
            np.zeros((2, 2), "int8"),
            np.full(array.shape, np.nan),
        )
        chosen = int(random.integers(len(choices) + 2))
        if chosen < len(choices):
            arrays[name] = np.ascontiguousarray(choices[chosen])
        elif chosen == len(choices):
            arrays[name + "?"] = array
        return whole(header, arrays, sealed=True)
    header["document"] = changed_document(json.loads(header["document"]), random)
    return whole(header, arrays, sealed=True)
