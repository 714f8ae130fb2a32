"""Workloads in float64: step programs whose rounding cannot tip a rectifier, with their data and first state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.cli.commands.bench import build_step
from deltarule.cli.workloads import WORKLOADS, Workload
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram
from deltarule.graph.rewrite import in_float64

Array = npt.NDArray[Any]
SMALLER = {"W4": 16, "W7": 8}  # batches of the workloads whose steps take NumPy seconds


def doubled(program: StepProgram) -> StepProgram:
    """Return the step computed in float64."""

    def twin(node: Node) -> Node:
        if node.dtype is not dtypes.FLOAT32:
            return node
        return build.input_node(
            str(node.attributes["name"]), node.shape, dtypes.FLOAT64
        )

    state, batch = tuple(map(twin, program.state)), tuple(map(twin, program.batch))
    same = {node: node for node in (program.step, program.seed, *program.scalars)}
    twins = (
        dict(zip((*program.state, *program.batch), (*state, *batch), strict=True))
        | same
    )
    outputs = in_float64([*program.next_state, *program.metrics], twins)
    n = len(state)
    return replace(
        program,
        state=state,
        batch=batch,
        next_state=tuple(outputs[:n]),
        metrics=tuple(outputs[n:]),
    )


def prepared(
    name: str, steps: int
) -> tuple[Workload, StepProgram, list[Array], list[Array]]:
    """Return a workload, its step in float64, its first state, and the data of some steps."""
    workload = replace(
        WORKLOADS[name], batch_size=SMALLER.get(name, WORKLOADS[name].batch_size)
    )
    arrays = workload.data(
        min(workload.examples, steps * workload.batch_size), np.random.default_rng(0)
    )
    step, state = build_step(workload, arrays)
    return (
        workload,
        doubled(step.program),
        [_wide(a) for a in state],
        [_wide(a) for a in arrays],
    )


def orders(workload: Workload, rows: int, steps: int) -> npt.NDArray[np.int64]:
    """Return the examples of every step: the data in order, again and again."""
    size = workload.batch_size
    return np.arange(steps * size, dtype=np.int64) % (rows // size * size)


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array
