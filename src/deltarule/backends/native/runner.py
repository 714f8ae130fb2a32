"""Whole epochs of a training step in one native call."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.backends.native import context as words
from deltarule.backends.native.compiler import compile_modules
from deltarule.backends.native.machine import Machine
from deltarule.backends.native.memory import aligned, raise_reported
from deltarule.backends.native.program import Assembler, StepParts
from deltarule.backends.native.threads import Team
from deltarule.errors import DataError, ShapeError
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram
from deltarule.lower.layout import Panels
from deltarule.lower.loops import Buffer
from deltarule.lower.lower import lower_step
from deltarule.lower.memory import MemoryPlan
from deltarule.shapes import show


class NativeRunner:
    """A compiled training step that owns its state; see ``StepRunner`` for the contract."""

    def __init__(
        self, program: StepProgram, machine: Machine, threads: int | None = None, measured: bool = False
    ) -> None:
        self._program = program
        self._lowered = lower_step(program)
        inputs = self._lowered.inputs
        n_state, n_batch = len(program.state), len(program.batch)
        self._states = inputs[:n_state]
        batch = inputs[n_state : n_state + n_batch]
        self._step, self._seed = inputs[n_state + n_batch], inputs[n_state + n_batch + 1]
        self._scalars = inputs[n_state + n_batch + 2 :]
        parts = StepParts(batch, self._step, self._lowered.outputs)
        self.assembly = Assembler(self._lowered, machine, threads, parts, measured).assemble()
        self._data = [self.assembly.table.index(buffer) for buffer in parts.data]
        self._library = compile_modules(self.assembly.texts, machine)
        self._entry = self._library.address("run")
        self._equip()

    def _equip(self) -> None:
        """Make what each runner has of its own: threads, memory, context."""
        self._team = Team(self.assembly.threads)
        self._arena = aligned(self.assembly.arena_bytes)
        self._context = np.zeros(words.TABLE + len(self.assembly.table) + self.assembly.kernels, np.int64)
        nodes = self._program.state
        self._windows = [self._window(*pair) for pair in zip(self._states, nodes, strict=True)]

    @property
    def threads(self) -> int:
        """Return how many threads run a step."""
        return self.assembly.threads

    @property
    def plan(self) -> MemoryPlan:
        """Return the memory plan: where state, batch and temporaries lie."""
        return self._lowered.memory

    @property
    def steps_done(self) -> int:
        """Return the steps finished in the run that is at work, or in the last one."""
        return int(self._context[words.DONE])

    @property
    def cycles(self) -> list[tuple[str, int]]:
        """Return the least cycles that the first thread spent in each statement (if asked to measure)."""
        counts = self._context[words.TABLE + len(self.assembly.table) :]
        return [(s.label, int(n)) for s, n in zip(self._lowered.program.statements, counts, strict=True)]

    def twin(self) -> NativeRunner:
        """Return a runner of the same machine code with memory and threads of its own."""
        other = copy.copy(self)
        other._equip()
        return other

    def stop(self) -> None:
        """Ask the run that is at work to end after its current step."""
        self._context[words.STOP] = 1

    def load(self, state: Sequence[Array]) -> None:
        """Take over copies of the state arrays."""
        for node, window, array in zip(self._program.state, self._windows, state, strict=True):
            if np.shape(array) != node.shape:
                raise ShapeError(
                    f"state {node.attributes.get('name', '')}", expected=show(node.shape), got=show(np.shape(array))
                )
            window[...] = np.asarray(array, window.dtype).reshape(window.shape)

    def read(self) -> list[Array]:
        """Return copies of the current state."""
        found = []
        for node, window in zip(self._program.state, self._windows, strict=True):
            array = np.empty(node.shape, window.dtype)
            array.reshape(window.shape)[...] = window
            found.append(array)
        return found

    def run(
        self,
        data: Sequence[Array],
        order: npt.NDArray[np.int64],
        first_step: int,
        seed: int,
        scalars: Sequence[float] = (),
    ) -> npt.NDArray[np.float64]:
        """Run ``len(order) // batch_size`` steps; return their metrics, (steps done, n_metrics)."""
        size = self._program.batch_size
        rows = np.ascontiguousarray(order, np.int64)
        steps = len(rows) // size if size else 0
        arrays = self._checked(data, rows[: steps * size])
        metrics = np.zeros((steps, self._program.metrics_width), np.float64)
        context = self._context
        context[: words.TABLE] = 0
        context[words.ARENA], context[words.BARRIER] = self._arena.ctypes.data, self._team.barrier
        context[words.STEPS], context[words.FIRST_STEP] = steps, first_step
        context[words.ORDER], context[words.METRICS] = rows.ctypes.data, metrics.ctypes.data
        for place, array in zip(self._data, arrays, strict=True):
            context[words.TABLE + place] = array.ctypes.data
        self._view(self._seed)[0] = seed
        for buffer, value in zip(self._scalars, scalars, strict=True):
            self._view(buffer)[0] = value
        self._team.run(self._entry, context.ctypes.data, self.stop)
        raise_reported(context)
        return metrics[: self.steps_done]

    def _checked(self, data: Sequence[Array], rows: npt.NDArray[np.int64]) -> list[Array]:
        """Return contiguous data sets of the right types; every row of the order is inside each."""
        arrays: list[Array] = []
        for node, array in zip(self._program.batch, data, strict=True):
            given = np.ascontiguousarray(array, node.dtype.name)
            if given.shape[1:] != node.shape[1:] or given.ndim != len(node.shape):
                expected = show(("rows", *node.shape[1:]))
                raise ShapeError(
                    f"data for {node.attributes.get('name', 'a batch')}", expected=expected, got=show(given.shape)
                )
            if rows.size and (rows.min() < 0 or rows.max() >= len(given)):
                bad = rows.min() if rows.min() < 0 else rows.max()
                raise DataError("order", expected=f"rows in [0, {len(given)})", got=str(int(bad)))
            arrays.append(given)
        return arrays

    def _view(self, buffer: Buffer) -> npt.NDArray[Any]:
        offset = self._lowered.memory.places[buffer].offset
        return self._arena[offset : offset + buffer.nbytes].view(buffer.dtype.name)

    def _window(self, buffer: Buffer, node: Node) -> Array:
        """Return a state in the arena in its own shape; an axis that lies in panels is cut in two there."""
        flat, layout = self._view(buffer), self._lowered.layouts.get(buffer)
        if not isinstance(layout, Panels):
            return flat.reshape(node.shape)
        axis, rank = layout.axis, node.rank
        others = [size for place, size in enumerate(node.shape) if place != axis]
        stored = flat.reshape(-1, *others, layout.width)
        return stored.transpose(*range(1, axis + 1), 0, rank, *range(axis + 1, rank))
