"""Batched steps: one step program that trains several models, each with its own rows, learning rate and end.

The state is the stacked state of the single steps and, for every model, its step count and whether it is still finite.
A batch holds one block of rows per model, and its last column is a mask of valid blocks: a model whose block is masked,
or whose loss is not finite, keeps its state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal, final

import numpy as np

from deltarule import dtypes
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.program import StepProgram
from deltarule.graph.stacking import Row, same_structure, stack_graphs
from deltarule.optim import Optimizer, Schedule
from deltarule.optim.wrappers import has_groups, with_rate
from deltarule.runtime.buffers import Array, known_values, leaf
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.steps.step import (
    Column,
    StepSpec,
    Task,
    constants_of,
    evaluation_step,
    learned,
    running,
    training_step,
)

MakeStep = Callable[[Task], StepSpec]  # the step of one task by itself
# names of the state that is added to that of the single steps
STEPS, FINITE, FACTORS = "steps", "is_finite", "learning_rate_factors"
MASK = Column("mask", (), dtypes.FLOAT32)
_RATE = leaf(np.zeros(()), "learning_rate")


@final
@dataclass(frozen=True)
class PerModelRate(Schedule):
    """A constant learning rate per model: a symbol in the step, an array of numbers in the batched state."""

    def rate(self, step: Tensor) -> Tensor:  # noqa: ARG002  # the same at every step
        """Return the symbol of the rate."""
        return Tensor(_RATE)


def _with_rate_input(task: Task) -> Task:
    """Return the task with a constant learning rate replaced by a symbol, so that all rates share one step."""
    recipe = task.optimizer
    if (
        recipe is None
        or has_groups(recipe)
        or isinstance(recipe.learning_rate, Schedule)
    ):
        return task
    return replace(task, optimizer=with_rate(recipe, PerModelRate(), "fit_many"))


def constant_rates(optimizers: Sequence[Optimizer]) -> Array:
    """Return the learning rates; NaN for schedules, whose steps do not read it.

    >>> from deltarule.optim import SGD
    >>> constant_rates([SGD(learning_rate=0.5), SGD(learning_rate=0.25)]).tolist()
    [0.5, 0.25]
    """
    rates = [recipe.learning_rate for recipe in optimizers]
    return np.array(
        [math.nan if isinstance(rate, Schedule) else float(rate) for rate in rates]
    )


@dataclass(frozen=True)
class DistinctSteps:
    """The distinct steps of several tasks, and the index of the step of each task."""

    steps: list[StepSpec]
    step_of_task: list[int]

    @property
    def graphs(self) -> list[list[Node]]:
        """The outputs of every step: the next state without constants, then the metrics."""
        n = len(self.steps[0].names.all)
        return [
            [*step.program.next_state[:n], *step.program.metrics] for step in self.steps
        ]

    def row(self, name: Literal["step", "seed"]) -> Row:
        """Return a counter (step or seed) of every step."""
        return tuple(getattr(step.program, name) for step in self.steps)


@dataclass(frozen=True)
class TaskSpec:
    """A task, and the properties that must be equal for tasks to share one step."""

    task: Task
    config: dict[str, Any] | None
    state: tuple[tuple[str, tuple[object, ...], dtypes.DType], ...]
    named: dict[str, Tensor]  # trainable parameters, then running state
    n_learned: int

    @staticmethod
    def of(task: Task) -> TaskSpec:
        """Return the specification of a task."""
        parameters, extra_state = learned(task.model), running(task.model)
        state = tuple(
            (name, tensor.shape, tensor.dtype)
            for name, tensor in (*parameters, *extra_state)
        )
        return TaskSpec(
            _with_rate_input(task),
            task.model.config(),
            state,
            dict((*parameters, *extra_state)),
            len(parameters),
        )

    def is_compatible_with(self, other: TaskSpec) -> bool:
        """Return whether two tasks differ only in the values of parameters, state and learning rate."""
        same_form = (
            self.config is not None
            and self.config == other.config
            and self.state == other.state
        )
        return same_form and replace(self.task, model=other.task.model) == other.task


def _has_no_constants(step: StepSpec) -> bool:
    """Return whether a step has no constants that depend on its model (frozen parameters)."""
    return all(node is _RATE for node in step.program.state[len(step.names.all) :])


def distinct_steps(specs: Sequence[TaskSpec], make_step: MakeStep) -> DistinctSteps:
    """Return the steps of tasks; compatible tasks share one."""
    steps: list[StepSpec] = []
    owners: list[TaskSpec] = []
    step_of_task: list[int] = []
    for spec in specs:
        same = (
            i
            for i, owner in enumerate(owners)
            if _has_no_constants(steps[i]) and owner.is_compatible_with(spec)
        )
        index = next(same, None)
        if index is None:
            index = len(steps)
            steps.append(make_step(spec.task))
            owners.append(spec)
        step_of_task.append(index)
    return DistinctSteps(steps, step_of_task)


def group_compatible(specs: Sequence[TaskSpec], make_step: MakeStep) -> list[list[int]]:
    """Group tasks whose steps have equal graphs, which can run as one batched step; return their indices."""
    distinct = distinct_steps(specs, make_step)
    found: list[list[int]] = []
    form_of: list[int] = []
    for graph in distinct.graphs:
        same = (
            form
            for form, runs in enumerate(found)
            if _have_equal_form(distinct, runs[0], graph)
        )
        form = next(same, len(found))
        if form == len(found):
            found.append([len(form_of)])
        form_of.append(form)
    groups: list[list[int]] = [[] for _ in found]
    for index, step in enumerate(distinct.step_of_task):
        groups[form_of[step]].append(index)
    return groups


def _have_equal_form(
    distinct: DistinctSteps, first: int, graph: Sequence[Node]
) -> bool:
    other = distinct.graphs[first]
    return len(other) == len(graph) and same_structure(other, graph)


@dataclass(frozen=True)
class BatchedStep:
    """A step of ``width`` lanes, and the values that each task adds to those of its model, one row per task.

    Attributes:
        step: The step specification.
        initial_slots: Initial values of the optimiser slots, by their names in the state.
        constants: Values that do not change (seeds, rates, leaves with a value), which may depend on the batch size;
            they follow the state and precede the step's own constants.
    """

    step: StepSpec
    initial_slots: dict[str, Array]
    constants: tuple[Array, ...]


def batched_training_step(
    specs: Sequence[TaskSpec],
    columns: Sequence[Column],
    size: int,
    seeds: Sequence[int],
    rates: Array,
    width: int,
) -> BatchedStep:
    """Return the training step of ``width`` tasks with equal graphs, for blocks of ``size`` rows.

    Every model has the step count and seed of a single run, and so the same random numbers. The metrics are arrays
    (width,), one for each metric of a single step. A model whose loss is not finite keeps the state before that step.
    """
    distinct = distinct_steps(specs, lambda task: training_step(task, columns, size))
    builder = _BatchedStepBuilder(distinct, [*columns, MASK], size, width)
    n_losses = 1 + distinct.steps[0].has_penalty
    shape = (width,)
    steps = build.input_node(STEPS, shape, dtypes.INT64)
    is_finite = build.input_node(FINITE, shape, dtypes.BOOL)
    factors = build.input_node(FACTORS, shape, dtypes.FLOAT64)
    scalars = {
        row: factors
        for row in zip(*(step.program.scalars for step in distinct.steps), strict=True)
    }
    counters = {
        distinct.row("step"): steps,
        distinct.row("seed"): builder.per_model("seed", np.array(seeds, np.int64)),
    }
    rate_inputs = {
        (_RATE,) * len(distinct.steps): builder.per_model("learning_rate", rates)
    }
    next_values, metrics = builder.stacked({**counters, **scalars, **rate_inputs})
    mask = build.slice_axes(builder.blocks[-1], (0, 0), (width, 1))
    has_block = build.less(0.0, build.reshape(mask, shape))
    losses_finite = [
        build.less(build.absolute(value), math.inf) for value in metrics[:n_losses]
    ]
    loss_is_finite = reduce(build.logical_and, losses_finite)
    is_updated = build.logical_and(
        build.logical_and(has_block, is_finite), loss_is_finite
    )
    next_state = [
        _select(is_updated, new, old)
        for new, old in zip(next_values, builder.state, strict=True)
    ]
    counted = build.where(is_updated, build.add(steps, 1), steps)
    stays_finite = build.logical_and(
        is_finite, build.logical_or(build.logical_not(has_block), loss_is_finite)
    )
    extra_state = [
        (STEPS, steps, counted),
        (FINITE, is_finite, stays_finite),
        *((FACTORS, factors, factors) for _ in scalars),
    ]
    return builder.build(next_state, metrics, extra_state)


def batched_evaluation_step(
    specs: Sequence[TaskSpec], columns: Sequence[Column], size: int, width: int
) -> BatchedStep:
    """Return the evaluation step of ``width`` tasks: loss and metrics (width,), the state unchanged.

    Penalties are left out, as in ``evaluate``.
    """
    distinct = distinct_steps(
        specs,
        lambda task: evaluation_step(replace(task, regularizers=()), columns, size),
    )
    builder = _BatchedStepBuilder(distinct, columns, size, width)
    _, metrics = builder.stacked({})
    return builder.build(builder.state, metrics, [])


def _select(is_updated: Node, new: Node, old: Node) -> Node:
    """Return the new values of the updated models, and the old values of the others."""
    along = build.reshape(is_updated, (*is_updated.shape, *(1,) * (new.rank - 1)))
    return build.where(along, new, old)


class _BatchedStepBuilder:
    """Builds a batched step: its leaves, then its program."""

    def __init__(
        self, distinct: DistinctSteps, columns: Sequence[Column], size: int, width: int
    ) -> None:
        self._distinct, self._width = distinct, width
        self._names = distinct.steps[0].names
        names = self._names.all
        leaves = zip(names, distinct.steps[0].program.state[: len(names)], strict=True)
        self.state = [
            build.input_node(name, (width, *node.shape), node.dtype)
            for name, node in leaves
        ]
        self._batch = [column.symbol(width * size).node for column in columns]
        self.blocks = [
            build.reshape(node, (width, size, *node.shape[1:])) for node in self._batch
        ]
        slots = zip(*(step.slots for step in distinct.steps), strict=True)
        self._initial_slots: dict[str, Array] = {
            name: np.stack([row[index].numpy() for index in distinct.step_of_task])
            for name, row in zip(self._names.slots, slots, strict=False)
        }
        self._constants: list[tuple[Node, Array]] = []

    def per_model(self, name: str, values: Array) -> Node:
        """Return the leaf of a constant with one value per task, (tasks, …)."""
        node = build.input_node(
            name, (self._width, *values.shape[1:]), dtypes.DTYPES[values.dtype.name]
        )
        self._constants.append((node, values))
        return node

    def stacked(self, known: Mapping[Row, Node]) -> tuple[list[Node], list[Node]]:
        """Return the next state and the metrics of all models, each (width, …)."""
        distinct, n = self._distinct, len(self.state)
        states = zip(*(step.program.state for step in distinct.steps), strict=True)
        batches = zip(*(step.program.batch for step in distinct.steps), strict=True)
        leaves = {
            **dict(zip(states, self.state, strict=False)),
            **dict(zip(batches, self.blocks, strict=False)),
        }
        found = stack_graphs(distinct.graphs, {**leaves, **known}, self._width)
        for node, numbers in found.constants.items():
            values = np.array(
                [numbers[index] for index in distinct.step_of_task], node.dtype.name
            )
            self._constants.append((node, values))
        for node, row in found.leaves.items():
            leaf_values = known_values(row)
            stacked = [leaf_values[row[index]] for index in distinct.step_of_task]
            self._constants.append((node, np.stack(stacked)))
        return found.outputs[:n], found.outputs[n:]

    def build(
        self,
        next_values: Sequence[Node],
        metrics: Sequence[Node],
        extra_state: Sequence[tuple[str, Node, Node]],
    ) -> BatchedStep:
        """Simplify, collect shared constants, and assemble the program; ``extra_state`` is (name, old, new)."""
        constants = [node for node, _ in self._constants]
        state = [*self.state, *(old for _, old, _ in extra_state), *constants]
        outputs = simplify(
            [*next_values, *(new for _, _, new in extra_state), *constants, *metrics]
        )
        step, seed = (
            build.input_node(name, (), dtypes.INT64) for name in ("step", "seed")
        )
        shared, values = constants_of(outputs, [*state, *self._batch])
        n = len(state)
        program = StepProgram(
            state=(*state, *shared),
            batch=tuple(self._batch),
            step=step,
            seed=seed,
            scalars=(),
            next_state=(*outputs[:n], *shared),
            metrics=tuple(outputs[n:]),
        )
        first = self._distinct.steps[0]
        names = replace(
            self._names,
            running=(*self._names.running, *(name for name, _, _ in extra_state)),
        )
        step_spec = StepSpec(
            program, names, tuple(values), first.has_penalty, first.widths, first.counts
        )
        return BatchedStep(
            step_spec,
            self._initial_slots,
            tuple(values for _, values in self._constants),
        )
