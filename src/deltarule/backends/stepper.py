"""A step runner for any backend that compiles programs, with the loop over the steps in Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import Array, Executable
from deltarule.backends.validation import check_data
from deltarule.graph.program import StepProgram


class LoopRunner:
    """A ``StepRunner`` that calls an executable once per step.

    >>> from deltarule.backends.reference import ReferenceBackend
    >>> from deltarule.dtypes import INT64
    >>> from deltarule.graph.build import add, input_node, sum_over
    >>> w, x = input_node("w", ()), input_node("x", (2,))
    >>> step, seed = input_node("step", (), INT64), input_node("seed", (), INT64)
    >>> program = StepProgram((w,), (x,), step, seed, (), (add(w, sum_over(x)),), ())
    >>> runner = ReferenceBackend().compile_step(program)
    >>> runner.load([np.float32(0.0).reshape(())])
    >>> metrics = runner.run([np.arange(4.0, dtype=np.float32)], np.arange(4), first_step=0, seed=0)
    >>> runner.read()[0].item()
    6.0
    """

    def __init__(self, program: StepProgram, step: Executable) -> None:
        self._program = program
        self._step = step
        self._state: list[Array] = []
        self._stop = False
        self.steps_done = 0

    def load(self, state: Sequence[Array]) -> None:
        """Copy the state arrays to the runner."""
        nodes = self._program.state
        self._state = [
            np.array(array, node.dtype.name)
            for array, node in zip(state, nodes, strict=True)
        ]

    def read(
        self, part: slice = slice(None), out: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return copies of the current state; ``out``: arrays to copy to."""
        if out is None:
            return [array.copy() for array in self._state[part]]
        for copy, array in zip(out, self._state[part], strict=True):
            copy[...] = array
        return list(out)

    def state_views(self) -> list[Array]:
        """Return the arrays of the current state, without copies."""
        return list(self._state)

    def clone(self) -> LoopRunner:
        """Return a runner of the same step with a separate state."""
        return LoopRunner(self._program, self._step)

    def stop(self) -> None:
        """Request the current run to end after its current step."""
        self._stop = True

    def run(
        self,
        data: Sequence[Array],
        order: npt.NDArray[np.int64],
        first_step: int,
        seed: int,
        scalars: Sequence[float] = (),
    ) -> npt.NDArray[np.float64]:
        """Run the steps and return their metrics, (steps done, n_metrics)."""
        size = self._program.batch_size
        n_state = len(self._program.state)
        extra = [np.float64(value) for value in scalars]
        data = check_data(
            self._program.batch, data, np.asarray(order[: len(order) // size * size])
        )
        metrics: list[list[float]] = []
        self._stop, self.steps_done = False, 0
        for step in range(len(order) // size):
            rows = order[step * size : (step + 1) * size]
            batch = [np.take(array, rows, axis=0) for array in data]
            counters = (np.int64(first_step + step), np.int64(seed))
            outputs = self._step(
                *self._state, *batch, *map(np.asarray, (*counters, *extra))
            )
            self._state = outputs[:n_state]
            metrics.append(
                [float(value) for output in outputs[n_state:] for value in output.flat]
            )
            self.steps_done = step + 1
            if self._stop:
                break
        return np.array(metrics, np.float64).reshape(
            len(metrics), self._program.metrics_width
        )
