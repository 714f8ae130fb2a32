"""The native backend: compilation of programs to machine code."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltarule.backends.base import Array, Executable, StepRunner
from deltarule.backends.native import abi
from deltarule.backends.native.llvm.machine import Machine, host
from deltarule.backends.native.program.codegen import generate
from deltarule.backends.native.program.compiled_program import load_or_compile
from deltarule.backends.native.program.memory import (
    CACHE_LINE,
    aligned,
    raise_reported_error,
)
from deltarule.backends.native.program.runner import NativeRunner
from deltarule.backends.native.program.threads import Entry, Team
from deltarule.backends.validation import check_arrays
from deltarule.graph.program import Program, StepProgram

_first_byte: Any = (
    ctypes.c_char.from_buffer
)  # arrays implement the buffer protocol, which NumPy's stubs do not declare


class NativeBackend:
    """The backend that compiles programs for ``machine``, by default the host.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (2,))
    >>> run = NativeBackend().compile(Program((x,), (exp(x),)))
    >>> run(np.zeros(2, "float32"))[0].tolist()
    [1.0, 1.0]
    """

    name = "cpu"

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or host()

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Compile a program of static shapes."""
        return NativeExecutable(program, self.machine, threads)

    def compile_step(
        self, program: StepProgram, threads: int | None = None
    ) -> StepRunner:
        """Compile a training step; with ``threads`` None a cost model chooses their number."""
        return NativeRunner(program, self.machine, threads)

    def compile_measured(
        self, program: StepProgram, threads: int | None = None
    ) -> NativeRunner:
        """Compile a training step that counts the cycles of its statements."""
        return NativeRunner(program, self.machine, threads, measured=True)


class NativeExecutable:
    """A compiled program; calls are thread-safe.

    Args:
        program: The program.
        machine: The compilation target.
        threads: Number of threads; None lets a cost model choose.

    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (2,))
    >>> NativeExecutable(Program((x,), (exp(x),)), host(), threads=1)(np.zeros(2, "float32"))[0].tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, program: Program, machine: Machine, threads: int | None = None
    ) -> None:
        self._program = program
        self.compiled, self._library = load_or_compile(
            program.signature(),
            machine,
            threads,
            lambda: generate(program, machine, threads),
        )
        self._entry = self._library.address("run")
        self._direct = Entry(self._entry)
        self._team = Team(self.compiled.threads)
        self._free_calls: list[_Call] = []
        self._shapes = [
            (node.shape, np.dtype(node.dtype.name)) for node in program.inputs
        ]
        self._results = [
            (node.shape, np.dtype(node.dtype.name)) for node in program.outputs
        ]

    def __call__(self, *arrays: Array) -> list[Array]:
        """Return the values of the outputs."""
        given = self._given(arrays)
        outputs = [np.empty(shape, dtype) for shape, dtype in self._results]
        call = self._call()
        for word, array in zip(self.compiled.arrays, (*given, *outputs), strict=True):
            if word is not None:
                call.set_array(word, array)
        if self.compiled.threads == 1:
            self._direct(call.address, 0, 1)
        else:
            self._team.run(self._entry, call.address)
        fault = (
            call.context[: abi.TABLE].copy() if call.context[abi.ERROR_FLAG] else None
        )
        self._free_calls.append(call)  # may be reused by another thread from here on
        if fault is not None:
            raise_reported_error(fault, self.compiled.messages)
        return outputs

    def _given(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the inputs as contiguous arrays of the program's element types."""
        if len(arrays) != len(self._shapes):
            check_arrays(self._program.inputs, arrays)
        given = []
        for (shape, dtype), array in zip(self._shapes, arrays, strict=True):
            if (
                type(array) is np.ndarray
                and array.shape == shape
                and array.dtype is dtype
                and array.flags.c_contiguous
            ):
                given.append(array)
                continue
            if np.shape(array) != shape:
                check_arrays(self._program.inputs, arrays)
            given.append(np.array(array, dtype, order="C"))
        return given

    def _call(self) -> _Call:
        """Return the memory of a call; concurrent calls have separate memory."""
        try:
            call = self._free_calls.pop()
        except IndexError:
            call = _Call(
                self.compiled.arena_bytes, self.compiled.n_words, self._team.barrier
            )
        call.context[abi.ERROR_FLAG] = 0
        return call


class _Call:
    """The memory of a call, arena and context; the addresses of arrays passed repeatedly are cached."""

    def __init__(self, arena_bytes: int, n_words: int, barrier: int) -> None:
        self._arena = aligned(arena_bytes)
        self._empty = aligned(CACHE_LINE)
        self._cached: dict[int, weakref.ref[Array]] = {}
        self.context = np.zeros(n_words, np.int64)
        self.context[abi.ARENA], self.context[abi.BARRIER] = (
            _address(self._arena),
            barrier,
        )
        self.address = _address(self.context)

    def set_array(self, word: int, array: Array) -> None:
        """Store the address of an array in a word of the context, unless it is there from the previous call."""
        cached = self._cached.get(word)
        if cached is None or cached() is not array:
            self._cached[word] = weakref.ref(array)
            self.context[word] = _address(array if array.size else self._empty)


def _address(array: Array) -> int:
    """Return the address of a non-empty array; read-only arrays need the slower array interface."""
    try:
        return ctypes.addressof(_first_byte(array))
    except (TypeError, BufferError):
        address: int = array.__array_interface__["data"][0]
        return address
