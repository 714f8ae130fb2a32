"""The training step of a model as a pure program, and its inference programs.

Parameters are leaves of the graph already: they are the program's state, together with the optimiser's slots,
running statistics, and every other leaf that the model reads (frozen parameters: state that does not change).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltarule import dtypes
from deltarule.errors import GraphError
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program, StepProgram
from deltarule.graph.rewrite import substitute
from deltarule.graph.walk import inputs
from deltarule.losses import Loss, warn_if_normalized
from deltarule.optim import Clock, Optimizer, Transform, chain, clip_by_global_norm, clip_by_value
from deltarule.runtime.buffers import value_of
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.metrics import Metric
from deltarule.train.protocol import Trainable

Array = npt.NDArray[Any]
Regularizer = Callable[[Sequence[tuple[str, Tensor]]], Tensor]


@dataclass(frozen=True)
class Spec:
    """Shape of one example and element type of an array of a data set."""

    shape: tuple[int, ...]
    dtype: dtypes.DType

    @staticmethod
    def of(array: Array) -> Spec:
        """Describe an array whose first axis counts examples."""
        return Spec(tuple(array.shape[1:]), dtypes.DTYPES[array.dtype.name])

    def batch(self, name: str, size: int) -> Tensor:
        """Return a symbol for a batch."""
        return Tensor(build.input_node(name, (size, *self.shape), self.dtype), name=name)


@dataclass(frozen=True)
class Objective:
    """What is minimised and what is reported."""

    loss: Loss
    metrics: tuple[Metric, ...] = ()
    regularizers: tuple[Regularizer, ...] = ()
    weighted: bool = False  # a third array of a data set holds one weight an example


def full_transform(optimizer: Optimizer) -> Transform:
    """Return the optimiser's transform with its clipping in front."""
    front = []
    if optimizer.clip_value is not None:
        front.append(clip_by_value(optimizer.clip_value))
    if optimizer.clip_norm is not None:
        front.append(clip_by_global_norm(optimizer.clip_norm))
    return chain(*front, optimizer.transform())


@dataclass(frozen=True)
class TrainingProgram:
    """A step program and the meaning of its state: parameters, slots, running state, constants, in this order."""

    step: StepProgram
    parameters: list[tuple[str, Tensor]]
    slots: list[Tensor]  # the optimiser's first state
    running: list[tuple[str, Tensor]]
    constants: list[Node]
    metric_names: list[str]

    def initial_state(self) -> list[Array]:
        """Return the values that the tensors have now, slots at zero."""
        values = [tensor.numpy() for _, tensor in self.parameters]
        slots = [tensor.numpy() for tensor in self.slots]
        running = [tensor.numpy() for _, tensor in self.running]
        return [*values, *slots, *running, *(np.array(value_of(node)) for node in self.constants)]

    def write_back(self, state: Sequence[Array]) -> None:
        """Give the model's tensors the values of a state."""
        n, m = len(self.parameters), len(self.slots)
        for (_, tensor), value in zip(self.parameters, state[:n], strict=True):
            tensor.assign(value)
        for (_, tensor), value in zip(self.running, state[n + m :], strict=False):
            tensor.assign(value)


def _leaf(name: str, tensor: Tensor) -> Node:
    if tensor.node.op is not Op.INPUT:
        raise GraphError(f"parameter {name!r}", expected="a leaf of the graph", got=build.describe(tensor.node))
    return tensor.node


def training_program(
    model: Trainable, objective: Objective, optimizer: Optimizer, specs: Sequence[Spec], batch_size: int
) -> TrainingProgram:
    """Build one step: batch → loss → gradients → updates, and the new running state."""
    batch = [spec.batch(name, batch_size) for name, spec in zip(("x", "y", "weight"), specs, strict=False)]
    step, seed = (Tensor(build.input_node(name, (), dtypes.INT64)) for name in ("step", "seed"))
    factor = Tensor(build.input_node("learning_rate_factor", (), dtypes.FLOAT64))
    parameters, running = model.named_parameters(), model.named_state()
    nodes = [_leaf(name, tensor) for name, tensor in parameters]
    applied = model.apply(batch[0], mode="training", seed=seed, step=step)
    values = per_example_loss(objective, applied.output, batch)
    total = values.sum() if objective.loss.reduction == "sum" else values.mean()
    for regularizer in objective.regularizers:
        total = total + regularizer(parameters).astype(total.dtype)
    for penalty in applied.penalties:
        total = total + penalty.astype(total.dtype)
    transform = full_transform(optimizer)
    tensors = [tensor for _, tensor in parameters]
    first = transform.init(tensors)
    slots = tuple(Tensor(build.input_node(f"slot {k}", t.shape, t.dtype)) for k, t in enumerate(first))
    slopes = gradients(total.node, nodes)
    if transform.point is not None:  # the gradient is taken elsewhere, as in Nesterov's look-ahead form
        points = [point.node for point in transform.point(tensors, slots, Clock(step, factor))]
        slopes = substitute(slopes, dict(zip(nodes, points, strict=True)))
    updates, after = transform.update([Tensor(node) for node in slopes], slots, tensors, Clock(step, factor))
    new_parameters = [(tensor + update).node for tensor, update in zip(tensors, updates, strict=True)]
    new_running = [applied.state.get(name, tensor).node for name, tensor in running]
    reported = [total, *(m.per_example(applied.output, batch[1], objective.loss).mean() for m in objective.metrics)]
    results = simplify([*new_parameters, *(t.node for t in after), *new_running, *(t.node for t in reported)])
    known = {
        *nodes,
        *(t.node for t in slots),
        *(t.node for _, t in running),
        *(t.node for t in (*batch, step, seed, factor)),
    }
    constants = [node for node in inputs(results) if node not in known]
    state = (*nodes, *(t.node for t in slots), *(t.node for _, t in running), *constants)
    n_state = len(state) - len(constants)
    program = StepProgram(
        state, tuple(t.node for t in batch), step.node, seed.node, (factor.node,),
        (*results[:n_state], *constants), tuple(results[n_state:]),
    )  # fmt: skip
    names = ["loss", *(metric.name for metric in objective.metrics)]
    return TrainingProgram(program, parameters, list(first), running, constants, names)


def per_example_loss(objective: Objective, output: Tensor, batch: Sequence[Tensor]) -> Tensor:
    """Check the output against the targets and return the (weighted) loss of every example."""
    objective.loss.check(output.shape, batch[1].shape, batch[1].dtype)
    warn_if_normalized(objective.loss, output)
    values = objective.loss.per_example(output, batch[1])
    return values * batch[2].astype(values.dtype) if objective.weighted else values


@dataclass(frozen=True)
class InferenceProgram:
    """Model outputs (and the values of an objective per example) for a batch of one size."""

    program: Program
    constants: list[Array]


def inference_program(
    model: Trainable,
    specs: Sequence[Spec],
    batch_size: int,
    outputs: Callable[[Tensor, Sequence[Tensor]], list[Tensor]],
) -> InferenceProgram:
    """Build a program in inference mode; ``outputs`` says what to compute of (model output, batch)."""
    batch = [spec.batch(name, batch_size) for name, spec in zip(("x", "y", "weight"), specs, strict=False)]
    applied = model.apply(batch[0], mode="inference", seed=None, step=None)
    results = simplify([t.node for t in outputs(applied.output, batch)])
    given = tuple(t.node for t in batch)
    leaves = [node for node in inputs(results) if node not in given]
    values = [np.array(value_of(node)) for node in leaves]
    return InferenceProgram(Program((*given, *leaves), tuple(results)), values)
