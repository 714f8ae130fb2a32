"""From LLVM IR text to callable machine code, through llvmlite, with an object cache on disk.

No optimisation passes run: the emitters write what they mean, so parsing and code generation are the whole cost.
Objects are cached by the text, the target, the versions of llvmlite and LLVM, and the level of code generation.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi

from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.llvm.object_cache import cache_folder, read, write
from deltarule.errors import ArgumentError, GraphError

CODE_GENERATION_LEVEL = (
    1  # higher levels take longer and gain nothing on tiles (benchmarks/kernels.py)
)
_EMPTY = 'source_filename = "empty"\n'

if hasattr(os, "register_at_fork"):  # not on Windows, which knows no fork
    # A fork waits until no other thread is inside llvmlite's lock, so that the child finds it free and LLVM's shared
    # context whole. What runs without the lock (``_unlocked``) has a context of its own that the child never touches.
    _lock = ffi.lib._lock
    os.register_at_fork(
        before=_lock.__enter__,
        after_in_parent=_lock.__exit__,
        after_in_child=_lock.__exit__,
    )


class Library:
    """Loaded machine code; the addresses stay valid as long as this object lives."""

    def __init__(self, objects: Sequence[bytes], machine: Machine) -> None:
        target = _target_machine(machine, CODE_GENERATION_LEVEL)
        # In the context that lives as long as the process: an engine must not outlive the context of its module,
        # and the collector frees both in any order.
        module = llvm.parse_assembly(f'target triple = "{machine.triple}"\n{_EMPTY}')
        self._engine = llvm.create_mcjit_compiler(module, target)
        for code in objects:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return the address of an exported function or constant; GraphError if there is none."""
        found: int = self._engine.get_function_address(name)
        if not found:
            raise GraphError(
                "native library", expected="a compiled function", got=repr(name)
            )
        return found

    def function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        """Return a ctypes function (which releases the interpreter lock) that keeps this library alive."""
        function: Any = ctypes.CFUNCTYPE(result, *arguments)(self.address(name))
        function.library = self
        called: Callable[..., Any] = function
        return called


def compile_modules(
    texts: Sequence[str],
    machine: Machine,
    *,
    cache: str | Path | None = None,
    level: int = CODE_GENERATION_LEVEL,
) -> Library:
    """Compile modules (in parallel) and load them together; they may refer to each other's functions.

    Raises GraphError if LLVM refuses a text.
    """
    return Library(compile_objects(texts, machine, cache=cache, level=level), machine)


def compile_objects(
    texts: Sequence[str],
    machine: Machine,
    *,
    cache: str | Path | None = None,
    level: int = CODE_GENERATION_LEVEL,
) -> list[bytes]:
    """Return the object code of each module, from the cache where it is there."""
    folder = cache_folder(cache)

    def obtain(text: str) -> bytes:
        path = folder / object_name(text, machine, level) if folder else None
        known = read(path) if path else None
        if known is not None:
            return known
        code = _generate(text, machine, level)
        if path:
            write(path, code)
        return code

    if len(texts) < 2:
        return [obtain(text) for text in texts]
    with ThreadPoolExecutor(min(len(texts), machine.cores)) as pool:
        return list(pool.map(obtain, texts))


def assembly(text: str, machine: Machine, level: int = CODE_GENERATION_LEVEL) -> str:
    """Return the assembly language of a module, for people and for tests."""
    module = _parse(text, llvm.create_context())
    listing: str = _target_machine(machine, level).emit_assembly(module)
    return listing


def object_name(text: str, machine: Machine, level: int = CODE_GENERATION_LEVEL) -> str:
    """Return the name of a module's file in the cache."""
    versions = f"{llvmlite.__version__}|{llvm.llvm_version_info}"
    parts = "\0".join((versions, machine.key(), str(level), text))
    return hashlib.sha256(parts.encode()).hexdigest() + ".object"


def _target_machine(machine: Machine, level: int) -> Any:
    if not 0 <= level <= 3:
        raise ArgumentError(
            "level of code generation", expected="0 to 3", got=str(level)
        )
    target = llvm.Target.from_triple(machine.triple)
    # addresses of 64 bits everywhere: the loader may put code and constants of one object far apart
    return target.create_target_machine(
        cpu=machine.cpu,
        features=machine.features,
        opt=level,
        codemodel="large",
        jit=True,
    )


def _parse(text: str, context: Any) -> Any:
    try:
        return llvm.parse_assembly(text, context)
    except RuntimeError as error:
        raise _refused(str(error)) from error


def _refused(message: str) -> GraphError:
    return GraphError("native compiler", expected="legal LLVM IR", got=message.strip())


def _generate(text: str, machine: Machine, level: int) -> bytes:
    """Return object code: in a context and a target machine of its own, so that threads work side by side."""
    context = llvm.create_context()
    target = _target_machine(machine, level)
    parse, emit = (
        _unlocked("LLVMPY_ParseAssembly"),
        _unlocked("LLVMPY_TargetMachineEmitToMemory"),
    )
    with ffi.OutputString() as message:
        module = llvm.ModuleRef(parse(context, text.encode(), message), context)
        if message:
            module.detach()
            raise _refused(str(message))
    with module, ffi.OutputString() as message:
        buffer = emit(target, module, 1, message)
        if not buffer:
            raise _refused(str(message))
    try:
        start = ffi.lib.LLVMPY_GetBufferStart(buffer)
        return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@functools.cache
def _unlocked(name: str) -> Any:
    """Return a function of libllvmlite without llvmlite's process-wide lock.

    LLVM itself needs no lock between contexts; with the lock, modules would compile one after another.
    """
    wrapped = getattr(ffi.lib, name)
    function = getattr(ctypes.CDLL(ffi.lib._name), name)
    function.argtypes, function.restype = wrapped.argtypes, wrapped.restype
    return function
