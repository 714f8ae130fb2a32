"""What every backend offers: compile a program, compile a step program to a runner of whole epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deltarule.graph.program import Program, StepProgram

Array = npt.NDArray[Any]


class Executable(Protocol):
    """A compiled program."""

    def __call__(self, *arrays: Array) -> list[Array]:
        """Return the values of the outputs for these values of the inputs (never views of the inputs)."""
        ...


class StepRunner(Protocol):
    """A compiled training step that owns its state and runs many steps in one call.

    Another thread may read ``steps_done`` (progress) and call ``stop`` (interrupt) while ``run`` is at work.
    """

    @property
    def steps_done(self) -> int:
        """Steps finished in the run that is at work, or in the last one."""
        ...

    def load(self, state: Sequence[Array]) -> None:
        """Take over copies of the state arrays."""
        ...

    def read(
        self, part: slice = slice(None), out: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return copies of the current state, or of a part of its arrays; ``out``: arrays to copy to."""
        ...

    def look(self) -> list[Array]:
        """Return the numbers of the current state where they lie, in any shape: to be read before the next run."""
        ...

    def run(
        self,
        data: Sequence[Array],
        order: npt.NDArray[np.int64],
        first_step: int,
        seed: int,
        scalars: Sequence[float] = (),
    ) -> npt.NDArray[np.float64]:
        """Run ``len(order) // batch_size`` steps; return their metrics, (steps done, n_metrics).

        ``data`` are whole data sets, one for each batch input; step k takes the rows
        ``order[k·B : (k+1)·B]`` of each. Ends after the step in which ``stop`` was called.
        """
        ...

    def twin(self) -> StepRunner:
        """Return a runner of the same compiled step, without a state yet; both may run at once."""
        ...

    def stop(self) -> None:
        """Ask the run that is at work to end after its current step."""
        ...


class Backend(Protocol):
    """A way to run programs."""

    name: str

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Prepare a program of static shapes; ``threads`` None lets the backend choose."""
        ...

    def compile_step(
        self, program: StepProgram, threads: int | None = None
    ) -> StepRunner:
        """Prepare a training step; ``threads`` None lets the backend choose."""
        ...
