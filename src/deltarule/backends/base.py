"""The interface of backends: compilation of programs to executables, and of step programs to runners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deltarule.graph.program import Program, StepProgram

Array = npt.NDArray[Any]


class Executable(Protocol):
    """A compiled program.

    >>> from deltarule.backends.reference import ReferenceBackend
    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (2,))
    >>> run = ReferenceBackend().compile(Program((x,), (exp(x),)))
    >>> run(np.zeros(2, "float32"))[0].tolist()
    [1.0, 1.0]
    """

    def __call__(self, *arrays: Array) -> list[Array]:
        """Return the values of the outputs; they do not share memory with the inputs."""
        ...


class StepRunner(Protocol):
    """A compiled training step that owns its state and runs many steps in one call.

    Other threads may read ``steps_done`` (progress) and call ``stop`` (interrupt) during ``run``.

    >>> from deltarule.backends.reference import ReferenceBackend
    >>> from deltarule.dtypes import INT64
    >>> from deltarule.graph.build import input_node, subtract, sum_over
    >>> w, x = input_node("w", ()), input_node("x", (2,))
    >>> step, seed = input_node("step", (), INT64), input_node("seed", (), INT64)
    >>> program = StepProgram((w,), (x,), step, seed, (), (subtract(w, sum_over(x)),), ())
    >>> runner = ReferenceBackend().compile_step(program)
    >>> runner.load([np.float32(8.0).reshape(())])
    >>> metrics = runner.run([np.ones(4, np.float32)], np.arange(4), first_step=0, seed=0)
    >>> runner.steps_done, runner.read()[0].item()
    (2, 4.0)
    """

    @property
    def steps_done(self) -> int:
        """Number of finished steps of the current or last run."""
        ...

    def load(self, state: Sequence[Array]) -> None:
        """Copy the state arrays to the runner."""
        ...

    def read(
        self, part: slice = slice(None), out: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return copies of the current state, or of a slice of its arrays; ``out``: arrays to copy to."""
        ...

    def state_views(self) -> list[Array]:
        """Return views of the current state, in any shape; they are valid until the next run."""
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

        The run ends after the step during which ``stop`` is called.

        Args:
            data: One data set for each batch input; step k reads the rows ``order[k·B : (k+1)·B]`` of each.
            order: Row numbers.
            first_step: Number of the first step.
            seed: Seed of the random numbers.
            scalars: Values of the scalars of the step program.
        """
        ...

    def clone(self) -> StepRunner:
        """Return a runner of the same compiled step with a separate state, to be loaded; both may run concurrently."""
        ...

    def stop(self) -> None:
        """Request the current run to end after its current step."""
        ...


class Backend(Protocol):
    """A compiler of programs for one kind of device.

    >>> from deltarule.backends.reference import ReferenceBackend
    >>> from deltarule.graph.build import exp, input_node
    >>> x = input_node("x", (2,))
    >>> callable(ReferenceBackend().compile(Program((x,), (exp(x),))))
    True
    """

    name: str

    def compile(self, program: Program, threads: int | None = None) -> Executable:
        """Compile a program of static shapes; with ``threads`` None the backend chooses their number."""
        ...

    def compile_step(
        self, program: StepProgram, threads: int | None = None
    ) -> StepRunner:
        """Compile a training step; with ``threads`` None the backend chooses their number."""
        ...
