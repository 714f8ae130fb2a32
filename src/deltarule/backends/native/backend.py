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
from deltarule.backends.native.threads import Team
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
        self._team = Team(assembly.threads)
        self._spare: list[npt.NDArray[np.uint8]] = []
        self._lock = Lock()
        self._places = {buffer: place for place, buffer in enumerate(assembly.table)}

    def __call__(self, *arrays: Array) -> list[Array]:
        """Return the values of the outputs."""
        outputs = [np.empty(node.shape, node.dtype.name) for node in self._program.outputs]
        given = self._given(arrays)
        context = np.zeros(words.TABLE + len(self.assembly.table), np.int64)
        arena = self._arena()
        context[words.ARENA] = arena.ctypes.data
        context[words.BARRIER] = self._team.barrier
        pairs = (*zip(self._lowered.inputs, given, strict=True), *zip(self._lowered.outputs, outputs, strict=True))
        kept: list[Any] = []
        for buffer, array in pairs:
            if buffer in self._places:
                memory = array if array.size else aligned(LINE)
                kept.append(memory)
                context[words.TABLE + self._places[buffer]] = memory.ctypes.data
        self._team.run(self._entry, context.ctypes.data)
        self._spare.append(arena)
        raise_reported(context)
        return outputs

    def _given(self, arrays: Sequence[Array]) -> list[Array]:
        if len(arrays) != len(self._program.inputs):
            raise DataError("call", expected=f"{len(self._program.inputs)} arrays", got=str(len(arrays)))
        given = []
        for node, array in zip(self._program.inputs, arrays, strict=True):
            value = np.ascontiguousarray(array, node.dtype.name)
            if np.shape(array) != node.shape:
                raise ShapeError(
                    f"input {node.attributes.get('name', '')}", expected=show(node.shape), got=show(np.shape(array))
                )
            given.append(value)
        return given

    def _arena(self) -> npt.NDArray[np.uint8]:
        """Return memory for one call; calls at the same time have their own."""
        with self._lock:
            if self._spare:
                return self._spare.pop()
        return aligned(self.assembly.arena_bytes)
