"""A log of the steps since a snapshot of the state, so that steps can be replayed to locate a NaN or infinity."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deltarule.errors import DataError, DivergenceError
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram
from deltarule.runtime.buffers import Array
from deltarule.train.steps.divergence import first_non_finite, is_finite
from deltarule.train.steps.engine import Engine, Rows

_SNAPSHOT_SECONDS = 5.0  # upper bound of the training that a replay repeats
_KEPT = "The model keeps the weights from before this step."


@dataclass(frozen=True)
class Chunk:
    """Consecutive steps of one batch size that ran in one call."""

    rows: Rows
    size: int
    first_step: int
    scalars: tuple[float, ...]


class NonFiniteWeightsError(Exception):
    """A weight became NaN or infinite in an earlier step: the error to raise, and the number of valid steps."""

    def __init__(self, error: DivergenceError, steps: int) -> None:
        super().__init__(str(error))
        self.error, self.steps = error, steps


class ReplayLog:
    """Runs chunks of steps on an engine and logs them since the last snapshot of the state.

    Steps are pure and deterministic, so replaying them from the snapshot restores the state before any later step.
    """

    def __init__(
        self, engine: Engine, arrays: Sequence[Array], seed: int, steps_per_epoch: int
    ) -> None:
        self._engine = engine
        self._arrays = arrays
        self._seed = seed
        self._steps_per_epoch = steps_per_epoch
        self._snapshot: list[Array] | None = None
        self._copies: list[Array] | None = None  # arrays of snapshots, used again
        self._taken = 0.0
        self._chunks: list[Chunk] = []

    def clear(self) -> None:
        """Clear the log; the next chunk begins with a snapshot."""
        self._snapshot, self._chunks = None, []

    def set_data(self, arrays: Sequence[Array]) -> None:
        """Continue with other arrays; the log of steps on the previous ones is cleared."""
        if arrays is not self._arrays:
            self._arrays = arrays
            self.clear()

    def run(
        self, rows: Rows, size: int, first_step: int, scalars: tuple[float, ...]
    ) -> npt.NDArray[np.float64]:
        """Run a chunk and return its metrics."""
        now = time.perf_counter()
        if self._snapshot is None or now - self._taken > _SNAPSHOT_SECONDS:
            if self._chunks and (found := self.check()) is not None:
                raise NonFiniteWeightsError(*found)
            self._take_snapshot(now)
        self._chunks.append(Chunk(rows, size, first_step, scalars))
        try:
            metrics = self._rerun(self._chunks[-1])
        except (
            DataError
        ):  # raised in the middle of an update: restore the state before the chunk
            self._rewind(0)
            raise
        done = len(metrics) * size
        if done < len(rows):  # stopped
            self._chunks[-1] = replace(self._chunks[-1], rows=rows[:done])
        return metrics

    def _take_snapshot(self, now: float) -> None:
        state = self._engine.loaded
        if state is None:
            state = self._copies = self._engine.read(out=self._copies)
        self._snapshot, self._taken, self._chunks = state, now, []

    def _rerun(self, chunk: Chunk) -> npt.NDArray[np.float64]:
        rows = chunk.rows
        return self._engine.run(
            self._arrays, rows, chunk.size, chunk.first_step, self._seed, chunk.scalars
        )

    def restore(self) -> int | None:
        """Restore the last snapshot without waiting for a running chunk; return its step."""
        if self._snapshot is None:
            return None
        self._engine.stop()
        self._engine.load(self._snapshot)
        return self._chunks[0].first_step

    def _rewind(self, steps: int) -> Chunk:
        """Restore the state before step ``steps`` of the last chunk (−1: the last step of the previous chunk)."""
        *before, last = self._chunks
        if steps < 0:
            last = before.pop()
            steps = len(last.rows) // last.size - 1
        self._engine.load(self._snapshot or [])
        for chunk in before:
            self._rerun(chunk)
        if steps:
            self._rerun(
                Chunk(
                    last.rows[: steps * last.size],
                    last.size,
                    last.first_step,
                    last.scalars,
                )
            )
        rows = last.rows[steps * last.size : (steps + 1) * last.size]
        return Chunk(rows, last.size, last.first_step + steps, last.scalars)

    def _values(self, chunk: Chunk) -> tuple[StepProgram, dict[Node, Array]]:
        """Return the program of a step and the values of its inputs."""
        step = self._engine.step(chunk.size)
        batch = [array[chunk.rows] for array in self._arrays]
        counters = (chunk.first_step, self._seed, *chunk.scalars)
        given = (*self._engine.read(), *step.constants, *batch, *counters)
        inputs = step.program.as_program().inputs
        return step.program, {
            node: np.asarray(value, node.dtype.name)
            for node, value in zip(inputs, given, strict=True)
        }

    def loss_error(self, step: int, loss: float) -> tuple[DivergenceError, int]:
        """Return the error for a NaN or infinite loss in a step of the last chunk, and the number of valid steps.

        The state is restored to that before the failing step: the step of this loss, or the first step whose update
        produced a weight that is not finite.
        """
        chunk = self._rewind(step)
        program, values = self._values(chunk)
        if (
            self._non_finite(self._engine.read()) is not None
            and (found := self.weights_error()) is not None
        ):
            return found
        what, advice = first_non_finite(program.metrics, values)
        return self._error(
            chunk, "a finite loss", f"{loss}: {what}", advice
        ), chunk.first_step

    def weights_error(self) -> tuple[DivergenceError, int] | None:
        """Return the error for the first update that gave a NaN or infinite weight, and the number of valid steps.

        The state is restored to that before the step, which is valid: its loss was finite. None if the snapshot itself
        has weights that are not finite.
        """
        if self._snapshot is None or self._non_finite(self._snapshot) is not None:
            return None
        self._engine.load(self._snapshot)
        state = self._snapshot
        for chunk in self._chunks:
            self._rerun(chunk)
            after = self._engine.read()
            if self._non_finite(after) is not None:
                return self._bisect(chunk, state)
            state = after
        return None

    def _bisect(self, chunk: Chunk, state: list[Array]) -> tuple[DivergenceError, int]:
        """Find the step of a chunk that produces such a weight by bisection, and restore the state before it."""
        while len(chunk.rows) > chunk.size:
            n = len(chunk.rows) // chunk.size // 2
            first = replace(chunk, rows=chunk.rows[: n * chunk.size])
            self._engine.load(state)
            self._rerun(first)
            middle = self._engine.read()
            if self._non_finite(middle) is not None:
                chunk = first
            else:
                state = middle
                chunk = replace(
                    chunk,
                    rows=chunk.rows[n * chunk.size :],
                    first_step=chunk.first_step + n,
                )
        self._engine.load(state)
        self._rerun(chunk)
        name = self._non_finite(self._engine.read()) or ""
        self._engine.load(state)
        return self._update_error(chunk, name), chunk.first_step + 1

    def _non_finite(self, state: Sequence[Array]) -> str | None:
        """Return the name of a parameter or running state with a value that is not finite."""
        names = self._engine.names()
        kept = [*names.parameters, *(None for _ in names.slots), *names.running]
        return next(
            (
                n
                for n, value in zip(kept, state, strict=True)
                if n is not None and not is_finite(value)
            ),
            None,
        )

    def check(self) -> tuple[DivergenceError, int] | None:
        """Return the error and the number of valid steps if a weight is not finite."""
        return (
            self.weights_error()
            if self._non_finite(self._engine.view()) is not None
            else None
        )

    def _update_error(self, chunk: Chunk, name: str) -> DivergenceError:
        program, values = self._values(chunk)
        what, advice = first_non_finite(program.next_state, values)
        return self._error(
            chunk,
            "finite weights",
            f"an update that makes {name} NaN or infinite: {what}",
            advice,
        )

    def _error(
        self, chunk: Chunk, expected: str, got: str, advice: str
    ) -> DivergenceError:
        where = f"fit, step {chunk.first_step + 1} (epoch {chunk.first_step // self._steps_per_epoch + 1})"
        return DivergenceError(
            where, expected=expected, got=got, hint=f"{advice}\n  {_KEPT}"
        )
