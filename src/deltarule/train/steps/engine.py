"""Compiled steps of one task, one per batch size, which share one state."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from deltarule.backends.base import StepRunner
from deltarule.runtime.buffers import Array
from deltarule.runtime.devices import backend, checked_threads
from deltarule.train.steps.step import StateNames, StepSpec

Rows = npt.NDArray[np.int64]
Result = TypeVar("Result")
_POLL_SECONDS = 0.05  # between two checks for progress and Ctrl-C


class Engine:
    """Builds and compiles steps on first use of their batch size, and owns the state.

    The state of this interface excludes the constants of the programs, so it is the same for all batch sizes: the
    constants of the step and, before them, the result of ``extra_constants`` for the batch size are added on loading.
    """

    def __init__(
        self,
        make: Callable[[int], StepSpec],
        device: str,
        threads: int | None,
        extra_constants: Callable[[int], Sequence[Array]] = lambda size: (),
    ) -> None:
        self._make, self.extra_constants = make, extra_constants
        self._backend = backend(device)
        self._threads = checked_threads(threads)
        self._steps: dict[int, StepSpec] = {}
        self._runners: dict[int, StepRunner] = {}
        self._holder: int | None = None  # the batch size whose runner has the state
        self._state: list[Array] | None = None
        self.compile_seconds = 0.0

    def clone(self) -> Engine:
        """Return an engine with the same machine code and a separate state; both may run concurrently."""
        other = Engine(self._make, self._backend.name, self._threads)
        other._steps = dict(self._steps)
        other._runners = {
            size: runner.clone() for size, runner in self._runners.items()
        }
        return other

    @property
    def name(self) -> str:
        """The backend's name."""
        return self._backend.name

    def step(self, size: int) -> StepSpec:
        """Return the step for a batch size."""
        if size not in self._steps:
            start = time.perf_counter()
            self._steps[size] = self._make(size)
            self.compile_seconds += time.perf_counter() - start
        return self._steps[size]

    def names(self) -> StateNames:
        """Return the names of the state."""
        return next(iter(self._steps.values())).names

    def prepare(self, size: int) -> StepRunner:
        """Return the compiled runner for a batch size."""
        step = self.step(size)
        if size not in self._runners:
            start = time.perf_counter()
            self._runners[size] = self._backend.compile_step(
                step.program, self._threads
            )
            self.compile_seconds += time.perf_counter() - start
        return self._runners[size]

    @property
    def has_state(self) -> bool:
        """Whether a state has been loaded."""
        return self._holder is not None or self._state is not None

    def load(self, state: Sequence[Array]) -> None:
        """Load a state; its arrays must not be modified afterwards."""
        self._state, self._holder = list(state), None

    def read(
        self, part: slice = slice(None), out: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return copies of the state, or of a slice of its arrays; ``out``: arrays of a former call to copy to."""
        if self._holder is None:
            return [array.copy() for array in (self._state or [])[part]]
        own = range(len(self.step(self._holder).names.all))[part]
        return self._runners[self._holder].read(slice(own.start, own.stop), out)

    def view(self) -> list[Array]:
        """Return the arrays of the state without copying, in any shape, valid until the next run."""
        if self._holder is None:
            return list(self._state or ())
        return self._runners[self._holder].state_views()[
            : len(self.step(self._holder).names.all)
        ]

    @property
    def loaded(self) -> list[Array] | None:
        """The state that was loaded, if no step has run since; its arrays must not be modified."""
        return None if self._state is None else list(self._state)

    def run(
        self,
        data: Sequence[Array],
        rows: Rows,
        size: int,
        first_step: int = 0,
        seed: int = 0,
        scalars: Sequence[float] = (),
    ) -> npt.NDArray[np.float64]:
        """Run len(rows)/size steps and return their metrics, (steps, metrics)."""
        runner = self.prepare(size)
        if self._holder != size:
            state = self.read() if self._state is None else self._state
            runner.load(
                [*state, *self.extra_constants(size), *self.step(size).constants]
            )
            self._holder, self._state = size, None
        return runner.run(data, rows, first_step, seed, scalars)

    @property
    def steps_done(self) -> int:
        """Number of steps that the current run has finished."""
        runner = self._runners.get(self._holder or 0)
        return runner.steps_done if runner is not None else 0

    def stop(self) -> None:
        """Ask the current run to end after the current step."""
        runner = self._runners.get(self._holder or 0)
        if runner is not None:
            runner.stop()


def in_background(work: Callable[[], Result], watch: Callable[[], None]) -> Result:
    """Run ``work`` in a thread while this thread calls ``watch`` periodically; return its result or raise its error.

    >>> in_background(lambda: 2 + 2, watch=lambda: None)
    4
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)

    worker = threading.Thread(target=guarded, name="deltarule-steps", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_POLL_SECONDS)
        watch()
    if errors:
        raise errors[0]
    return results[0]
