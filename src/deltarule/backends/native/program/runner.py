"""Execution of a compiled training step: a whole epoch in one native call."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.backends.native import abi
from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.program.codegen import generate_step
from deltarule.backends.native.program.compiled_program import (
    ArenaArray,
    load_or_compile,
)
from deltarule.backends.native.program.memory import (
    aligned,
    copy_array,
    is_broadcast_scalar,
    raise_reported_error,
)
from deltarule.backends.native.program.threads import Team
from deltarule.backends.validation import check_data
from deltarule.errors import ShapeError
from deltarule.graph.program import StepProgram
from deltarule.lower.lower import lower_step
from deltarule.lower.memory import MemoryPlan
from deltarule.shapes import show


class NativeRunner:
    """A ``StepRunner`` of native code.

    Args:
        program: The step program.
        machine: The compilation target.
        threads: Number of threads; None lets a cost model choose.
        measured: Whether to count the cycles of each statement.
    """

    def __init__(
        self,
        program: StepProgram,
        machine: Machine,
        threads: int | None = None,
        measured: bool = False,
    ) -> None:
        self._program = program
        signature = ("step", measured, program.signature())
        self.compiled, self._library = load_or_compile(
            signature,
            machine,
            threads,
            lambda: generate_step(program, machine, threads, measured),
        )
        self._entry = self._library.address("run")
        self._allocate()

    def _allocate(self) -> None:
        """Create the threads, the arena and the context of this runner."""
        self._team = Team(self.compiled.threads)
        self._arena = aligned(self.compiled.arena_bytes)
        self._context = np.zeros(self.compiled.n_words, np.int64)
        views = [self._view(place) for place in self.compiled.arena_arrays]
        states = zip(
            views, self.compiled.arena_arrays, self._program.state, strict=False
        )
        self._state_views = [
            _shaped_view(elements, place, node.shape)
            for elements, place, node in states
        ]
        self._state_elements = views[: len(self._state_views)]
        self._is_zeroed = True  # the arena has not been written
        self._seed, *self._scalars = views[len(self._state_views) :]

    @property
    def threads(self) -> int:
        """Return the number of threads that run a step."""
        return self.compiled.threads

    @property
    def plan(self) -> MemoryPlan:
        """Return the memory plan: the offsets of state, batch and temporaries in the arena."""
        return lower_step(self._program).memory

    @property
    def steps_done(self) -> int:
        """Return the number of finished steps of the current or last run."""
        return int(self._context[abi.DONE])

    @property
    def cycles(self) -> list[tuple[str, int]]:
        """Return the minimum cycles of thread 0 in each statement, of a runner compiled with ``measured``."""
        labels = self.compiled.labels
        counts = self._context[len(self._context) - len(labels) :]
        return [(label, int(n)) for label, n in zip(labels, counts, strict=True)]

    def clone(self) -> NativeRunner:
        """Return a runner of the same machine code with its own memory and threads."""
        other = copy.copy(self)
        other._allocate()
        return other

    def stop(self) -> None:
        """Request the current run to end after its current step."""
        self._context[abi.STOP] = 1

    def load(self, state: Sequence[Array]) -> None:
        """Copy the state arrays to the arena; zeros are not written to a new arena, which is zeroed."""
        for node, target, elements, given in zip(
            self._program.state,
            self._state_views,
            self._state_elements,
            state,
            strict=True,
        ):
            array = np.asarray(given, target.dtype)
            if array.shape != node.shape:
                raise ShapeError(
                    f"state {node.attributes.get('name', '')}",
                    expected=show(node.shape),
                    got=show(array.shape),
                )
            if not is_broadcast_scalar(array):
                copy_array(target, array.reshape(target.shape))
            elif not self._is_zeroed or any(array.flat[0].tobytes()):
                elements.fill(array.flat[0])
        self._is_zeroed = False

    def read(
        self, part: slice = slice(None), out: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return copies of the current state; ``out``: C-contiguous arrays to copy to."""
        nodes, targets = self._program.state[part], self._state_views[part]
        copies = (
            [
                np.empty(node.shape, target.dtype)
                for node, target in zip(nodes, targets, strict=True)
            ]
            if out is None
            else list(out)
        )
        for array, target in zip(copies, targets, strict=True):
            copy_array(array.reshape(target.shape), target)
        return copies

    def state_views(self) -> list[Array]:
        """Return views of the current state in the arena."""
        return list(self._state_views)

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
        arrays = check_data(self._program.batch, data, rows[: steps * size])
        metrics = np.zeros((steps, self._program.metrics_width), np.float64)
        context = self._context
        context[: abi.TABLE] = 0
        context[abi.ARENA], context[abi.BARRIER] = (
            self._arena.ctypes.data,
            self._team.barrier,
        )
        context[abi.STEPS], context[abi.FIRST_STEP] = steps, first_step
        context[abi.ORDER], context[abi.METRICS] = (
            rows.ctypes.data,
            metrics.ctypes.data,
        )
        for word, array in zip(self.compiled.arrays, arrays, strict=True):
            context[word] = array.ctypes.data
        self._seed[0] = seed
        for number, value in zip(self._scalars, scalars, strict=True):
            number[0] = value
        self._is_zeroed = False
        self._team.run(self._entry, context.ctypes.data, self.stop)
        raise_reported_error(context, self.compiled.messages)
        return metrics[: self.steps_done]

    def _view(self, place: ArenaArray) -> Array:
        """Return a view of the elements of a region, in memory order."""
        kind = np.dtype(place.dtype)
        return self._arena[
            place.offset : place.offset + place.size * kind.itemsize
        ].view(kind)


def _shaped_view(elements: Array, place: ArenaArray, shape: Sequence[int]) -> Array:
    """Return a view of a state array in its shape, with an axis that is stored in panels split in two."""
    if not place.width:
        return elements.reshape(shape)
    axis, rank = place.axis, len(shape)
    others = [size for place, size in enumerate(shape) if place != axis]
    stored = elements.reshape(-1, *others, place.width)
    return stored.transpose(*range(1, axis + 1), 0, rank, *range(axis + 1, rank))
