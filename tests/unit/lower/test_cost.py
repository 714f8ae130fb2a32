"""Kernels, operations and bytes of every workload: what the compiler makes of a training step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deltarule import dtypes
from deltarule.cli.commands.bench import build_step
from deltarule.cli.workloads import WORKLOADS, Workload
from deltarule.graph import build, functions
from deltarule.graph.program import Program
from deltarule.lower.cost import Cost, cost
from deltarule.lower.lower import Lowered, lower, lower_step

# Contractions do the operations of the textbook; images are padded for the input gradient of their convolutions,
# and one column of W5's last layer is a product of vectors, which is no contraction.
EXCESS = {"W5": 0.996, "W6": 1.148, "W12": 1.253}


def _lowered(workload: Workload) -> Lowered:
    arrays = workload.data(workload.batch_size, np.random.default_rng(0))
    return lower_step(build_step(workload, arrays)[0].program)


def _row(workload: Workload) -> tuple[str, Cost]:
    lowered = _lowered(workload)
    found = cost(lowered.program)
    text = f"{workload.name:<4} {found}; arena {lowered.memory.nbytes:,}"
    return text, found


def test_costs_of_the_workloads(golden: Callable[[str, str], None]) -> None:
    rows = {name: _row(workload) for name, workload in WORKLOADS.items()}
    golden("workload_costs", "\n".join(text for text, _ in rows.values()))
    for name, (_, found) in rows.items():
        workload = WORKLOADS[name]
        expected = workload.flops * workload.batch_size
        assert found.flops == pytest.approx(
            expected * EXCESS.get(name, 1.0), rel=1e-3
        ), name


def test_a_dense_layer_reads_and_writes_each_element_once() -> None:
    x, w = (
        build.input_node("x", (8, 32), dtypes.FLOAT32),
        build.input_node("w", (16, 32), dtypes.FLOAT32),
    )
    y = functions.relu(build.matmul(x, build.matrix_transpose(w)))
    found = cost(lower(Program((x, w), (y,))).program)
    assert (found.statements, found.flops, found.points) == (1, 2 * 8 * 32 * 16, 0)
    assert (found.read, found.written) == (4 * (8 * 32 + 16 * 32), 4 * 8 * 16)
    assert found.intensity == pytest.approx(8192 / (found.read + found.written))
