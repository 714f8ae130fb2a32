"""When a loss becomes NaN or infinite: find the step, the first operation, and say what helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule.backends import reference
from deltarule.errors import DivergenceError
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram
from deltarule.graph.rewrite import expand_calls
from deltarule.graph.walk import topological

Array = npt.NDArray[Any]


def first_fault(program: StepProgram, values: dict[Node, Array]) -> str:
    """Replay one step on the reference backend; name the first node that is not finite though its operands are."""
    roots = expand_calls([*program.metrics, *program.next_state])
    known = dict(values)
    for node in topological(roots):
        if node not in known:
            (known[node],) = reference.evaluate([node], {s: known[s] for s in node.sources} if node.sources else {})
        array = known[node]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            operands = " and ".join(build.describe(source) for source in node.sources)
            return f"{node.op.name.lower()} of {operands}" if operands else build.describe(node)
    return "no single operation"


def diverged(program: StepProgram, state: Sequence[Array], batch: Sequence[Array], step: int, seed: int,
             scalars: Sequence[float], epoch: int, loss: float) -> DivergenceError:  # fmt: skip
    """Return the error for a step whose loss is not finite, from the state before it."""
    counters = (np.int64(step), np.int64(seed), *map(np.float64, scalars))
    inputs = program.as_program().inputs
    values = {node: np.asarray(value, node.dtype.name)
              for node, value in zip(inputs, (*state, *batch, *counters), strict=True)}  # fmt: skip
    return DivergenceError(
        f"fit, step {step + 1} (epoch {epoch + 1})",
        expected="a finite loss",
        got=f"{loss}; the first value that is not finite comes from {first_fault(program, values)}",
        hint="Lower the learning rate, clip gradients (clip_norm=1.0), or scale the inputs. "
        "The model keeps the weights from before this step.",
    )
