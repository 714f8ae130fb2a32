"""The native backend: programs as machine code."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltarule.backends.base import Array, Executable, StepRunner
from deltarule.backends.given import check_arrays
from deltarule.backends.native import abi
from deltarule.backends.native.llvm.machine import Machine, host
from deltarule.backends.native.program.codegen import generate
from deltarule.backends.native.program.compiled_program import compiled
from deltarule.backends.native.program.memory import LINE, aligned, raise_reported
from deltarule.backends.native.program.runner import NativeRunner
from deltarule.backends.native.program.threads import Entry, Team
from deltarule.graph.program import Program, StepProgram

_first_byte: Any = (
    ctypes.c_char.from_buffer
)  # NumPy's arrays are buffers, which their types do not say


class NativeBackend:
    """Compile programs for ``machine`` (this one, unless a test names another)."""

    name = "cpu"

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or host()

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Compile a program of static shapes."""
        return NativeExecutable(program, self.machine, threads)

    def compile_step(
        self, program: StepProgram, threads: int | None = None
    ) -> StepRunner:
        """Compile a training step; ``threads`` None lets a cost model choose."""
        return NativeRunner(program, self.machine, threads)

    def compile_measured(
        self, program: StepProgram, threads: int | None = None
    ) -> NativeRunner:
        """Compile a training step that counts the cycles of its statements."""
        return NativeRunner(program, self.machine, threads, measured=True)


class NativeExecutable:
    """A compiled program; several threads may call it at once."""

    def __init__(
        self, program: Program, machine: Machine, threads: int | None = None
    ) -> None:
        self._program = program
        self.image, self._library = compiled(
            program.signature(),
            machine,
            threads,
            lambda: generate(program, machine, threads),
        )
        self._entry = self._library.address("run")
        self._direct = Entry(self._entry)
        self._team = Team(self.image.threads)
        self._spare: list[_Call] = []
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
        for word, array in zip(self.image.arrays, (*given, *outputs), strict=True):
            if word is not None:
                call.hand_over(word, array)
        if self.image.threads == 1:
            self._direct(call.address, 0, 1)
        else:
            self._team.run(self._entry, call.address)
        fault = (
            call.context[: abi.TABLE].copy() if call.context[abi.ERROR_FLAG] else None
        )
        self._spare.append(call)  # from here on another thread may have it
        if fault is not None:
            raise_reported(fault, self.image.messages)
        return outputs

    def _given(self, arrays: Sequence[Array]) -> list[Array]:
        """Return contiguous arrays of the right types."""
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
        """Return memory for one call; calls at the same time have their own."""
        try:
            call = self._spare.pop()
        except IndexError:
            call = _Call(self.image.arena_bytes, self.image.n_words, self._team.barrier)
        call.context[abi.ERROR_FLAG] = 0
        return call


class _Call:
    """The memory of one call at a time: arena and context. Addresses of arrays that come again are remembered."""

    def __init__(self, arena_bytes: int, n_words: int, barrier: int) -> None:
        self._arena = aligned(arena_bytes)
        self._empty = aligned(LINE)
        self._known: dict[int, weakref.ref[Array]] = {}
        self.context = np.zeros(n_words, np.int64)
        self.context[abi.ARENA], self.context[abi.BARRIER] = (
            _address(self._arena),
            barrier,
        )
        self.address = _address(self.context)

    def hand_over(self, word: int, array: Array) -> None:
        """Write the address of an array to a word, unless it is there from the call before."""
        known = self._known.get(word)
        if known is None or known() is not array:
            self._known[word] = weakref.ref(array)
            self.context[word] = _address(array if array.size else self._empty)


def _address(array: Array) -> int:
    """Return where the elements of an array begin that is not empty; the longer way takes what can't be written to."""
    try:
        return ctypes.addressof(_first_byte(array))
    except (TypeError, BufferError):
        address: int = array.__array_interface__["data"][0]
        return address
