"""Compiled programs: machine code with its calling information, and their cache on disk.

Cache files are named by a hash of what the program computes (its signature), the machine, the number of threads and
the source of the compiler. A program that is found in the cache is neither lowered nor generated again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deltarule.backends.native.llvm import object_cache
from deltarule.backends.native.llvm.compiler import (
    Library,
    compile_objects,
    object_name,
)
from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.validation import CheckMessage


@dataclass(frozen=True)
class ArenaArray:
    """An array in the arena; if ``width`` is not 0, its ``axis`` is stored in panels (see ``lower.memory_layout``).

    >>> ArenaArray(offset=0, size=6, dtype="float32").size
    6
    """

    offset: int
    size: int
    dtype: str
    axis: int = 0
    width: int = 0


@dataclass(frozen=True)
class CompiledProgram:
    """The calling information of compiled code.

    Attributes:
        threads: Number of threads.
        arena_bytes: Size of the arena.
        n_words: Size of the context in int64 words.
        arrays: Word of the context for the address of each array of the caller; None for arrays that are not used.
        arena_arrays: Arrays of the arena that persist between calls.
        messages: Messages of the checks.
        labels: Labels of the statements whose cycles are counted in the last words of the context.

    >>> CompiledProgram(threads=1, arena_bytes=64, n_words=8, arrays=(6, 7)).labels
    ()
    """

    threads: int
    arena_bytes: int
    n_words: int
    arrays: tuple[int | None, ...]
    arena_arrays: tuple[ArenaArray, ...] = ()
    messages: tuple[CheckMessage, ...] = ()
    labels: tuple[str, ...] = ()


Generated = tuple[CompiledProgram, list[str]]  # with the LLVM IR of its modules


def load_or_compile(
    signature: Hashable,
    machine: Machine,
    threads: int | None,
    generate: Callable[[], Generated],
) -> tuple[CompiledProgram, Library]:
    """Return a compiled program and its loaded code, from the cache or by compiling.

    Args:
        signature: What the program computes.
        machine: The compilation target.
        threads: Number of threads requested.
        generate: Function that generates the program if it is not in the cache.
    """
    folder = object_cache.cache_folder()
    path = (
        folder / name
        if folder and (name := _file_name(signature, machine, threads))
        else None
    )
    loaded = _load(path) if path else None
    if loaded is None:
        program, texts = generate()
        loaded = program, compile_objects(texts, machine)
        if path:
            names = [object_name(text, machine) for text in texts]
            object_cache.write(
                path,
                json.dumps({"program": asdict(program), "objects": names}).encode(),
            )
    return loaded[0], Library(loaded[1], machine)


def _file_name(signature: Hashable, machine: Machine, threads: int | None) -> str:
    """Return the name of the cache file; "" if the signature has no stable text (it contains an object's address)."""
    digest = object_cache.compiler_digest()
    text = repr((digest, object_name("", machine), machine, threads, signature))
    stable = digest and " at 0x" not in text
    return hashlib.sha256(text.encode()).hexdigest() + ".program" if stable else ""


def _load(path: Path) -> tuple[CompiledProgram, Sequence[bytes]] | None:
    """Return a compiled program and its object code from a cache file; None if any part is missing."""
    content = object_cache.read(path)
    if content is None:
        return None
    stored = json.loads(content)
    objects = [object_cache.read(path.parent / name) for name in stored["objects"]]
    found = [code for code in objects if code is not None]
    if len(found) < len(objects):
        return None
    parts = stored["program"]
    arena_arrays = tuple(ArenaArray(**array) for array in parts.pop("arena_arrays"))
    lists = {
        key: tuple(value) for key, value in parts.items() if isinstance(value, list)
    }
    return CompiledProgram(**{**parts, **lists}, arena_arrays=arena_arrays), found
