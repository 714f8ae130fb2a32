"""Source code and memory plans of a model's compiled programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deltarule import dtypes
from deltarule.backends.native.c.codegen import c_source
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
    """Return the source code of the model's prediction.

    Args:
        model: The model.
        input_shape: Shape of one example.
        batch_size: Examples per call of the generated function.
        form: "c" for one C99 file that contains the weights, "loops" for the loop nests that the engine compiles.

    >>> from deltarule import nn
    >>> "int predict(" in prediction_source(nn.Linear(2, 1), (2,))
    True
    """
    if form not in {"c", "loops"}:
        raise ArgumentError("source form", expected="'c' or 'loops'", got=repr(form))
    program, values = _prediction(model, tuple(input_shape), batch_size)
    if form == "loops":
        return show_program(lower(program).program)
    return c_source(program, "predict", dict(zip(program.inputs, values, strict=False)))


def _prediction(
    model: Trainable, shape: Shape, batch_size: int
) -> tuple[Program, list[Array]]:
    """Return the program of a prediction; the inputs are int64 where the model accepts only integers."""
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
    """The resources of a training step.

    Attributes:
        memory: The memory plan of parameters, optimiser state and intermediate values.
        cost: The number of kernels, their floating-point operations and memory traffic.

    >>> from deltarule import nn
    >>> plan = training_plan(nn.Linear(3, 1), (3,), (1,), "mean_squared_error", "sgd", batch_size=8)
    >>> plan.cost.statements > 0
    True
    """

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
    """Return the memory plan and the cost of one training step.

    Args:
        model: The model.
        input_shape: Shape of one example.
        target_shape: Shape of one target; () for class labels.
        loss: Name of the loss.
        optimizer: Name of the optimiser.
        batch_size: Examples per step.

    >>> from deltarule import nn
    >>> plan = training_plan(nn.Linear(3, 1), (3,), (1,), "mean_squared_error", "sgd", batch_size=8)
    >>> plan.memory.nbytes > 0 and plan.cost.flops > 0
    True
    """
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
