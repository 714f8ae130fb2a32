"""Profiling for ``deltarule bench``: the CPU cycles of every statement of a training step."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from deltarule.cli.workloads import Workload, build_step
from deltarule.errors import DependencyError
from deltarule.runtime.devices import backend

_LEAST_SHARE = 0.01
_STEPS = 20  # per call


def statement_cycles(
    workload: Workload, threads: int | None, least_seconds: float
) -> list[dict[str, Any]]:
    """Return the statements of a step with the cycles that the first thread spends in each, the minimum over steps.

    Statements below 1 % of the total are one row, "others". Counting takes about 50 cycles per statement.
    """
    measured = getattr(backend("cpu"), "compile_measured", None)
    if measured is None:
        hint = "pip install llvmlite"
        raise DependencyError(
            "bench --statements", expected="the native engine", got="none", hint=hint
        )
    arrays = workload.arrays()
    step, state = build_step(workload, arrays)
    runner = measured(step.program, threads)
    runner.load(state)
    order = np.arange(
        min(len(arrays[0]) // workload.batch_size, _STEPS) * workload.batch_size
    )
    start, first = time.perf_counter(), 0
    while first < 2 * _STEPS or time.perf_counter() - start < least_seconds:
        first += len(runner.run(arrays, order, first, 0))
    total = sum(cycles for _, cycles in runner.cycles)
    rows = [
        (label, cycles)
        for label, cycles in runner.cycles
        if cycles >= _LEAST_SHARE * total
    ]
    rows.append(("others", total - sum(cycles for _, cycles in rows)))
    return [
        {
            "workload": workload.name,
            "statement": label,
            "cycles": cycles,
            "share": cycles / max(1, total),
        }
        for label, cycles in rows
    ]
