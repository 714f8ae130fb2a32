"""What a model's programs look like: loop nests, C, and the plan of their memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deltarule import dtypes
from deltarule.backends.native.c.source import c_source
from deltarule.errors import ArgumentError, DTypeError
from deltarule.graph.program import Program
from deltarule.losses import get as get_loss
from deltarule.lower.cost import Cost, cost
from deltarule.lower.lower import lower, lower_step
from deltarule.lower.memory import MemoryPlan
from deltarule.lower.show import show_program
from deltarule.optim import get as get_optimizer
from deltarule.runtime.buffers import Array
from deltarule.shapes import Shape
from deltarule.train.protocol import Trainable
from deltarule.train.steps.prepare import model_dtype
from deltarule.train.steps.step import Column, Task, prediction_program, training_step

Form = Literal["c", "loops"]


def prediction_source(
    model: Trainable, input_shape: Sequence[int], batch_size: int = 1, form: Form = "c"
) -> str:
    """Return the model's prediction as one C file with its weights, or as the loop nests that the engine compiles."""
    if form not in {"c", "loops"}:
        raise ArgumentError("source form", expected="'c' or 'loops'", got=repr(form))
    program, values = _prediction(model, tuple(input_shape), batch_size)
    if form == "loops":
        return show_program(lower(program).program)
    return c_source(program, "predict", dict(zip(program.inputs, values, strict=False)))


def _prediction(
    model: Trainable, shape: Shape, batch_size: int
) -> tuple[Program, list[Array]]:
    """Return the program of a prediction; its inputs are whole numbers where the model takes no others."""
    try:
        return prediction_program(
            model, Column("inputs", shape, model_dtype(model)), batch_size
        )
    except DTypeError:
        return prediction_program(
            model, Column("inputs", shape, dtypes.INT64), batch_size
        )


@dataclass(frozen=True)
class StepPlan:
    """What a training step takes: where everything lies, how many kernels run, what they compute and move."""

    memory: MemoryPlan
    cost: Cost


def training_plan(
    model: Trainable,
    input_shape: Sequence[int],
    target_shape: Sequence[int],
    loss: str,
    optimizer: str,
    batch_size: int,
) -> StepPlan:
    """Return where a training step keeps parameters, slots and intermediate values, and what it costs."""
    kind = model_dtype(model)
    target = (
        dtypes.INT64 if get_loss(loss).link == "softmax" and not target_shape else kind
    )
    columns = (
        Column("inputs", tuple(input_shape), kind),
        Column("targets", tuple(target_shape), target),
    )
    task = Task(model, get_loss(loss), (), get_optimizer(optimizer))
    lowered = lower_step(training_step(task, columns, batch_size).program)
    return StepPlan(lowered.memory, cost(lowered.program))
