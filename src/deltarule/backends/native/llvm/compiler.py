"""Compilation of LLVM IR text to machine code through llvmlite, with an object cache on disk.

No optimisation passes run: the emitters write optimised IR, so that compilation is parsing and code generation only.
Objects are cached by the text, the target, the versions of llvmlite and LLVM, and the code generation level.
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

if hasattr(os, "register_at_fork"):  # Windows has no fork
    # A fork acquires llvmlite's lock, so that it is free in the child and LLVM's global context is consistent. Code
    # that runs without the lock (``_unlocked``) has its own LLVM context, which the child does not use.
    _lock = ffi.lib._lock
    os.register_at_fork(
        before=_lock.__enter__,
        after_in_parent=_lock.__exit__,
        after_in_child=_lock.__exit__,
    )


class Library:
    """Loaded machine code; its addresses are valid during the lifetime of this object."""

    def __init__(self, objects: Sequence[bytes], machine: Machine) -> None:
        target = _target_machine(machine, CODE_GENERATION_LEVEL)
        # The module is in the global context: an engine must not outlive the context of its module, and the garbage
        # collector would free both in any order.
        module = llvm.parse_assembly(f'target triple = "{machine.triple}"\n{_EMPTY}')
        self._engine = llvm.create_mcjit_compiler(module, target)
        for code in objects:
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return the address of an exported function or constant; raise GraphError if there is none."""
        found: int = self._engine.get_function_address(name)
        if not found:
            raise GraphError(
                "native library", expected="a compiled function", got=repr(name)
            )
        return found

    def function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        """Return a ctypes function, which releases the interpreter lock and keeps this library alive."""
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
    """Compile modules in parallel and link them.

    Args:
        texts: LLVM IR of the modules, which may call each other's functions.
        machine: The compilation target.
        cache: Folder of the object cache; by default that of the user.
        level: Code generation level, 0 to 3.

    Raises:
        GraphError: LLVM rejects a text.
    """
    return Library(compile_objects(texts, machine, cache=cache, level=level), machine)


def compile_objects(
    texts: Sequence[str],
    machine: Machine,
    *,
    cache: str | Path | None = None,
    level: int = CODE_GENERATION_LEVEL,
) -> list[bytes]:
    """Return the object code of each module, from the cache or compiled; arguments are those of ``compile_modules``."""
    folder = cache_folder(cache)

    def load_or_generate(text: str) -> bytes:
        path = folder / object_name(text, machine, level) if folder else None
        known = read(path) if path else None
        if known is not None:
            return known
        code = _generate(text, machine, level)
        if path:
            write(path, code)
        return code

    if len(texts) < 2:
        return [load_or_generate(text) for text in texts]
    with ThreadPoolExecutor(min(len(texts), machine.cores)) as pool:
        return list(pool.map(load_or_generate, texts))


def assembly(text: str, machine: Machine, level: int = CODE_GENERATION_LEVEL) -> str:
    """Return the assembly code of a module."""
    module = _parse(text, llvm.create_context())
    listing: str = _target_machine(machine, level).emit_assembly(module)
    return listing


def object_name(text: str, machine: Machine, level: int = CODE_GENERATION_LEVEL) -> str:
    """Return the file name of a module in the object cache."""
    versions = f"{llvmlite.__version__}|{llvm.llvm_version_info}"
    parts = "\0".join((versions, machine.key(), str(level), text))
    return hashlib.sha256(parts.encode()).hexdigest() + ".object"


def _target_machine(machine: Machine, level: int) -> Any:
    if not 0 <= level <= 3:
        raise ArgumentError("code generation level", expected="0 to 3", got=str(level))
    target = llvm.Target.from_triple(machine.triple)
    # the large code model: the loader may place code and constants of an object more than 2 GiB apart
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
        raise _rejected(str(error)) from error


def _rejected(message: str) -> GraphError:
    return GraphError("native compiler", expected="valid LLVM IR", got=message.strip())


def _generate(text: str, machine: Machine, level: int) -> bytes:
    """Return object code, with a separate LLVM context and target machine, so that threads run in parallel."""
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
            raise _rejected(str(message))
    with module, ffi.OutputString() as message:
        buffer = emit(target, module, 1, message)
        if not buffer:
            raise _rejected(str(message))
    try:
        start = ffi.lib.LLVMPY_GetBufferStart(buffer)
        return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@functools.cache
def _unlocked(name: str) -> Any:
    """Return a function of libllvmlite without llvmlite's global lock.

    LLVM needs no lock between contexts; with the lock, modules would compile sequentially.
    """
    wrapped = getattr(ffi.lib, name)
    function = getattr(ctypes.CDLL(ffi.lib._name), name)
    function.argtypes, function.restype = wrapped.argtypes, wrapped.restype
    return function
