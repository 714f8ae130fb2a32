"""The native backend: programs as machine code."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array, Executable, StepRunner
from deltarule.backends.native import context as words
from deltarule.backends.native.compiler import compile_modules
from deltarule.backends.native.machine import Machine, host
from deltarule.backends.native.memory import LINE, aligned, raise_reported
from deltarule.backends.native.program import Assembler, Assembly
from deltarule.backends.native.runner import NativeRunner
from deltarule.backends.native.threads import Entry, Team
from deltarule.errors import DataError, ShapeError
from deltarule.graph.program import Program, StepProgram
from deltarule.lower.lower import Lowered, lower
from deltarule.shapes import show


class NativeBackend:
    """Compile programs for ``machine`` (this one, unless a test names another)."""

    name = "cpu"

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or host()

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Compile a program of static shapes."""
        lowered = lower(program)
        assembly = Assembler(lowered, self.machine, threads, None).assemble()
        return NativeExecutable(program, lowered, assembly, self.machine)

    def compile_step(self, program: StepProgram, threads: int | None = None) -> StepRunner:
        """Compile a training step; ``threads`` None lets a cost model choose."""
        return NativeRunner(program, self.machine, threads)


class NativeExecutable:
    """A compiled program; several threads may call it at once."""

    def __init__(self, program: Program, lowered: Lowered, assembly: Assembly, machine: Machine) -> None:
        self._program, self._lowered, self.assembly = program, lowered, assembly
        self._library = compile_modules(assembly.texts, machine)
        self._entry = self._library.address("run")
        self._direct = Entry(self._entry)
        self._team = Team(assembly.threads)
        self._spare: list[npt.NDArray[np.uint8]] = []
        self._lock = Lock()
        places = {buffer: words.TABLE + place for place, buffer in enumerate(assembly.table)}
        self._words = [places.get(buffer) for buffer in (*lowered.inputs, *lowered.outputs)]
        self._n_words = words.TABLE + len(assembly.table)
        self._shapes = [(node.shape, np.dtype(node.dtype.name)) for node in program.inputs]
        self._results = [(node.shape, np.dtype(node.dtype.name)) for node in program.outputs]

    def __call__(self, *arrays: Array) -> list[Array]:
        """Return the values of the outputs."""
        given = self._given(arrays)
        outputs = [np.empty(shape, dtype) for shape, dtype in self._results]
        values = [0] * self._n_words
        arena = self._arena()
        values[words.ARENA], values[words.BARRIER] = arena.ctypes.data, self._team.barrier
        kept: list[Any] = []
        for word, array in zip(self._words, (*given, *outputs), strict=True):
            if word is not None:
                memory = array if array.size else aligned(LINE)
                kept.append(memory)
                values[word] = memory.ctypes.data
        context = np.array(values, np.int64)
        if self.assembly.threads == 1:
            self._direct(context.ctypes.data, 0, 1)
        else:
            self._team.run(self._entry, context.ctypes.data)
        self._spare.append(arena)
        if context[words.ERROR_FLAG]:
            raise_reported(context)
        return outputs

    def _given(self, arrays: Sequence[Array]) -> list[Array]:
        """Return contiguous arrays of the right types."""
        if len(arrays) != len(self._shapes):
            raise DataError("call", expected=f"{len(self._shapes)} arrays", got=str(len(arrays)))
        given = []
        for place, ((shape, dtype), array) in enumerate(zip(self._shapes, arrays, strict=True)):
            if np.shape(array) != shape:
                name = self._program.inputs[place].attributes.get("name", "")
                raise ShapeError(f"input {name}", expected=show(shape), got=show(np.shape(array)))
            ready = isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous
            given.append(array if ready else np.array(array, dtype, order="C"))
        return given

    def _arena(self) -> npt.NDArray[np.uint8]:
        """Return memory for one call; calls at the same time have their own."""
        with self._lock:
            if self._spare:
                return self._spare.pop()
        return aligned(self.assembly.arena_bytes)
