"""A compiled program without the program: its machine code, and the numbers that are needed to call it.

Images are kept beside the objects, by what the program computes (its signature), the machine, the threads asked for
and the source of the compiler. A program that has an image is neither lowered nor written again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deltarule.backends.given import Message
from deltarule.backends.native.llvm import object_cache
from deltarule.backends.native.llvm.compiler import (
    Library,
    compile_objects,
    object_name,
)
from deltarule.backends.native.llvm.machine import Machine


@dataclass(frozen=True)
class Region:
    """Elements in the arena; those of an array whose ``axis`` lies in panels of ``width`` (see ``lower.layout``)."""

    offset: int
    size: int
    dtype: str
    axis: int = 0
    width: int = 0


@dataclass(frozen=True)
class CompiledProgram:
    """What a caller of compiled code has to know."""

    threads: int
    arena_bytes: int
    n_words: int  # of the context
    arrays: tuple[
        int | None, ...
    ]  # word with the address of each array of the caller; None where nobody reads it
    regions: tuple[Region, ...] = ()  # what lies in the arena from call to call
    messages: tuple[Message, ...] = ()  # of the checks
    labels: tuple[
        str, ...
    ] = ()  # of the statements whose cycles are counted, in the last words


Generated = tuple[CompiledProgram, list[str]]  # an image, and the texts of its modules


def compiled(
    signature: Hashable,
    machine: Machine,
    threads: int | None,
    generate: Callable[[], Generated],
) -> tuple[CompiledProgram, Library]:
    """Return the image and the code of a program, from the cache where they are there; ``generate`` makes them."""
    folder = object_cache.cache_folder()
    path = (
        folder / name
        if folder and (name := _file_name(signature, machine, threads))
        else None
    )
    known = _found(path) if path else None
    if known is None:
        image, texts = generate()
        known = image, compile_objects(texts, machine)
        if path:
            names = [object_name(text, machine) for text in texts]
            object_cache.write(
                path, json.dumps({"image": asdict(image), "objects": names}).encode()
            )
    return known[0], Library(known[1], machine)


def _file_name(signature: Hashable, machine: Machine, threads: int | None) -> str:
    """Return a name by all that code depends on; "" where that has no text of its own (an object's address)."""
    digest = object_cache.compiler_digest()
    text = repr((digest, object_name("", machine), machine, threads, signature))
    stable = digest and " at 0x" not in text
    return hashlib.sha256(text.encode()).hexdigest() + ".image" if stable else ""


def _found(path: Path) -> tuple[CompiledProgram, Sequence[bytes]] | None:
    content = object_cache.read(path)
    if content is None:
        return None
    kept = json.loads(content)
    objects = [object_cache.read(path.parent / name) for name in kept["objects"]]
    found = [code for code in objects if code is not None]
    if len(found) < len(objects):
        return None
    parts = kept["image"]
    regions = tuple(Region(**region) for region in parts.pop("regions"))
    lists = {
        key: tuple(value) for key, value in parts.items() if isinstance(value, list)
    }
    return CompiledProgram(**{**parts, **lists}, regions=regions), found
