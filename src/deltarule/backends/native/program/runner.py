"""Whole epochs of a training step in one native call."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array
from deltarule.backends.given import checked_data
from deltarule.backends.native import abi
from deltarule.backends.native.llvm.machine import Machine
from deltarule.backends.native.program.codegen import generate_step
from deltarule.backends.native.program.compiled_program import Region, compiled
from deltarule.backends.native.program.memory import (
    aligned,
    is_one_number,
    put,
    raise_reported,
)
from deltarule.backends.native.program.threads import Team
from deltarule.errors import ShapeError
from deltarule.graph.program import StepProgram
from deltarule.lower.lower import lower_step
from deltarule.lower.memory import MemoryPlan
from deltarule.shapes import show


class NativeRunner:
    """A compiled training step that owns its state; see ``StepRunner`` for the contract."""

    def __init__(
        self,
        program: StepProgram,
        machine: Machine,
        threads: int | None = None,
        measured: bool = False,
    ) -> None:
        self._program = program
        signature = ("step", measured, program.signature())
        self.image, self._library = compiled(
            signature,
            machine,
            threads,
            lambda: generate_step(program, machine, threads, measured),
        )
        self._entry = self._library.address("run")
        self._equip()

    def _equip(self) -> None:
        """Make what each runner has of its own: threads, memory, context."""
        self._team = Team(self.image.threads)
        self._arena = aligned(self.image.arena_bytes)
        self._context = np.zeros(self.image.n_words, np.int64)
        views = [self._view(region) for region in self.image.regions]
        states = zip(views, self.image.regions, self._program.state, strict=False)
        self._windows = [
            _window(view, region, node.shape) for view, region, node in states
        ]
        self._views = views[: len(self._windows)]
        self._is_blank = True  # nothing but zeros in its memory
        self._seed, *self._scalars = views[len(self._windows) :]

    @property
    def threads(self) -> int:
        """Return how many threads run a step."""
        return self.image.threads

    @property
    def plan(self) -> MemoryPlan:
        """Return the memory plan: where state, batch and temporaries lie."""
        return lower_step(self._program).memory

    @property
    def steps_done(self) -> int:
        """Return the steps finished in the run that is at work, or in the last one."""
        return int(self._context[abi.DONE])

    @property
    def cycles(self) -> list[tuple[str, int]]:
        """Return the least cycles that the first thread spent in each statement (if asked to measure)."""
        labels = self.image.labels
        counts = self._context[len(self._context) - len(labels) :]
        return [(label, int(n)) for label, n in zip(labels, counts, strict=True)]

    def twin(self) -> NativeRunner:
        """Return a runner of the same machine code with memory and threads of its own."""
        other = copy.copy(self)
        other._equip()
        return other

    def stop(self) -> None:
        """Ask the run that is at work to end after its current step."""
        self._context[abi.STOP] = 1

    def load(self, state: Sequence[Array]) -> None:
        """Take over copies of the state arrays; zeros are in new memory without being written."""
        for node, window, view, given in zip(
            self._program.state, self._windows, self._views, state, strict=True
        ):
            array = np.asarray(given, window.dtype)
            if array.shape != node.shape:
                raise ShapeError(
                    f"state {node.attributes.get('name', '')}",
                    expected=show(node.shape),
                    got=show(array.shape),
                )
            if not is_one_number(array):
                put(window, array.reshape(window.shape))
            elif not self._is_blank or any(array.flat[0].tobytes()):
                view.fill(array.flat[0])
        self._is_blank = False

    def read(
        self, part: slice = slice(None), out: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return copies of the current state; ``out``: C-contiguous arrays to copy to."""
        nodes, windows = self._program.state[part], self._windows[part]
        copies = (
            [
                np.empty(node.shape, window.dtype)
                for node, window in zip(nodes, windows, strict=True)
            ]
            if out is None
            else list(out)
        )
        for array, window in zip(copies, windows, strict=True):
            put(array.reshape(window.shape), window)
        return copies

    def look(self) -> list[Array]:
        """Return the current state where it lies."""
        return list(self._windows)

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
        arrays = checked_data(self._program.batch, data, rows[: steps * size])
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
        for word, array in zip(self.image.arrays, arrays, strict=True):
            context[word] = array.ctypes.data
        self._seed[0] = seed
        for number, value in zip(self._scalars, scalars, strict=True):
            number[0] = value
        self._is_blank = False
        self._team.run(self._entry, context.ctypes.data, self.stop)
        raise_reported(context, self.image.messages)
        return metrics[: self.steps_done]

    def _view(self, region: Region) -> Array:
        kind = np.dtype(region.dtype)
        return self._arena[
            region.offset : region.offset + region.size * kind.itemsize
        ].view(kind)


def _window(elements: Array, region: Region, shape: Sequence[int]) -> Array:
    """Return a state in the arena in its own shape; an axis that lies in panels is cut in two there."""
    if not region.width:
        return elements.reshape(shape)
    axis, rank = region.axis, len(shape)
    others = [size for place, size in enumerate(shape) if place != axis]
    stored = elements.reshape(-1, *others, region.width)
    return stored.transpose(*range(1, axis + 1), 0, rank, *range(axis + 1, rank))
