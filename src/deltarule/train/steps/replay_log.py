"""A record of the steps that were run, so that a step can be done again: to go back before one that went wrong."""

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
from deltarule.train.steps.divergence import first_fault, is_finite
from deltarule.train.steps.engine import Engine, Rows

_SNAPSHOT_SECONDS = 5.0  # how much training a replay may have to repeat
_KEPT = "The model keeps the weights from before this step."


@dataclass(frozen=True)
class Piece:
    """Steps that ran in one call."""

    rows: Rows
    size: int
    first_step: int
    scalars: tuple[float, ...]


class BrokenWeightsError(Exception):
    """A weight became NaN or infinite some steps ago: the error to raise, and how many steps count."""

    def __init__(self, error: DivergenceError, steps: int) -> None:
        super().__init__(str(error))
        self.error, self.steps = error, steps


class ReplayLog:
    """Runs pieces on an engine and remembers them since the last snapshot of the state, so that steps can be redone.

    Steps are pure and exact, so running them again from the snapshot gives the state before any later step.
    """

    def __init__(
        self, engine: Engine, arrays: Sequence[Array], seed: int, steps_per_epoch: int
    ) -> None:
        self._engine, self._arrays, self._seed, self._steps_per_epoch = (
            engine,
            arrays,
            seed,
            steps_per_epoch,
        )
        self._snapshot: list[Array] | None = None
        self._taken = 0.0
        self._pieces: list[Piece] = []

    def clear(self) -> None:
        """Forget what was run; the next piece begins with a snapshot."""
        self._snapshot, self._pieces = None, []

    def feed(self, arrays: Sequence[Array]) -> None:
        """Go on with other data; what was run on those before can't be run again."""
        if arrays is not self._arrays:
            self._arrays = arrays
            self.clear()

    def run(
        self, rows: Rows, size: int, first_step: int, scalars: tuple[float, ...]
    ) -> npt.NDArray[np.float64]:
        """Run a piece and return its metrics."""
        now = time.perf_counter()
        if self._snapshot is None or now - self._taken > _SNAPSHOT_SECONDS:
            state = self._engine.snapshot()
            if (
                self._pieces
                and self._broken(state) is not None
                and (found := self.overflow()) is not None
            ):
                raise BrokenWeightsError(*found)
            self._snapshot, self._taken, self._pieces = state, now, []
        self._pieces.append(Piece(rows, size, first_step, scalars))
        try:
            metrics = self._again(self._pieces[-1])
        except (
            DataError
        ):  # found on the way, in the middle of an update: back to before the piece
            self._rewind(0)
            raise
        done = len(metrics) * size
        if done < len(rows):  # it was stopped
            self._pieces[-1] = replace(self._pieces[-1], rows=rows[:done])
        return metrics

    def _again(self, piece: Piece) -> npt.NDArray[np.float64]:
        rows = piece.rows
        return self._engine.run(
            self._arrays, rows, piece.size, piece.first_step, self._seed, piece.scalars
        )

    def restore(self) -> int | None:
        """Go back to the last snapshot without waiting for a piece that may be at work; return the step it is from."""
        if self._snapshot is None:
            return None
        self._engine.stop()
        self._engine.load(self._snapshot)
        return self._pieces[0].first_step

    def _rewind(self, steps: int) -> Piece:
        """Put the engine before step ``steps`` of the last piece, or before the last step of the piece before."""
        *before, last = self._pieces
        if steps < 0:
            last = before.pop()
            steps = len(last.rows) // last.size - 1
        self._engine.load(self._snapshot or [])
        for piece in before:
            self._again(piece)
        if steps:
            self._again(
                Piece(
                    last.rows[: steps * last.size],
                    last.size,
                    last.first_step,
                    last.scalars,
                )
            )
        rows = last.rows[steps * last.size : (steps + 1) * last.size]
        return Piece(rows, last.size, last.first_step + steps, last.scalars)

    def _values(self, piece: Piece) -> tuple[StepProgram, dict[Node, Array]]:
        """Return the program of a step and the values of its inputs."""
        step = self._engine.step(piece.size)
        batch = [array[piece.rows] for array in self._arrays]
        counters = (piece.first_step, self._seed, *piece.scalars)
        given = (*self._engine.read(), *step.constants, *batch, *counters)
        inputs = step.program.as_program().inputs
        return step.program, {
            node: np.asarray(value, node.dtype.name)
            for node, value in zip(inputs, given, strict=True)
        }

    def fault(self, step: int, loss: float) -> tuple[DivergenceError, int]:
        """Return the error for a loss that is not finite, ``step`` steps into the last piece, and how many steps count.

        The engine is back before the step that went wrong: the one whose loss it is, or the first one that left a
        weight that is not finite.
        """
        piece = self._rewind(step)
        program, values = self._values(piece)
        if (
            self._broken(self._engine.read()) is not None
            and (found := self.overflow()) is not None
        ):
            return found
        what, advice = first_fault(program.metrics, values)
        return self._error(
            piece, "a finite loss", f"{loss}: {what}", advice
        ), piece.first_step

    def overflow(self) -> tuple[DivergenceError, int] | None:
        """Return the error for the first step that left a weight that is not finite; None if it was so before all.

        The engine is back before that step, which counts: its loss was finite.
        """
        if self._snapshot is None or self._broken(self._snapshot) is not None:
            return None
        self._engine.load(self._snapshot)
        state = self._snapshot
        for piece in self._pieces:
            self._again(piece)
            after = self._engine.read()
            if self._broken(after) is not None:
                return self._narrowed(piece, state)
            state = after
        return None

    def _narrowed(
        self, piece: Piece, state: list[Array]
    ) -> tuple[DivergenceError, int]:
        """Find, by halves, the step of a piece that breaks a weight, and go back before it."""
        while len(piece.rows) > piece.size:
            n = len(piece.rows) // piece.size // 2
            first = replace(piece, rows=piece.rows[: n * piece.size])
            self._engine.load(state)
            self._again(first)
            middle = self._engine.read()
            if self._broken(middle) is not None:
                piece = first
            else:
                state = middle
                piece = replace(
                    piece,
                    rows=piece.rows[n * piece.size :],
                    first_step=piece.first_step + n,
                )
        self._engine.load(state)
        self._again(piece)
        name = self._broken(self._engine.read()) or ""
        self._engine.load(state)
        return self._update_fault(piece, name), piece.first_step + 1

    def _broken(self, state: Sequence[Array]) -> str | None:
        """Return the name of a parameter or of running state that is not finite."""
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
        """Return the error and the steps that count where an update has left a weight that is not finite."""
        return (
            self.overflow() if self._broken(self._engine.look()) is not None else None
        )

    def _update_fault(self, piece: Piece, name: str) -> DivergenceError:
        program, values = self._values(piece)
        what, advice = first_fault(program.next_state, values)
        return self._error(
            piece, "finite weights", f"an update that breaks {name}: {what}", advice
        )

    def _error(
        self, piece: Piece, expected: str, got: str, advice: str
    ) -> DivergenceError:
        where = f"fit, step {piece.first_step + 1} (epoch {piece.first_step // self._steps_per_epoch + 1})"
        return DivergenceError(
            where, expected=expected, got=got, hint=f"{advice}\n  {_KEPT}"
        )
