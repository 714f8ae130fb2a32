"""Steps of many models as one step: the models' programs side by side, each with its own rows, rate and end.

The joint state is that of the single steps, stacked, and for every model its number of steps and whether it is
still sound. A step takes one block of rows for every model, one after the other, and a last column of the batch says
which blocks are real: a model whose block is not, or whose loss is no longer finite, keeps its state as it is.
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
from deltarule.graph.stacking import Row, alike, stack_graphs
from deltarule.optim import Optimizer, Schedule
from deltarule.runtime.buffers import Array, bind, known_below, leaf
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.program import (
    Column,
    Layout,
    Step,
    Task,
    constants_of,
    evaluation_step,
    learned,
    running,
    training_step,
)

Draft = Callable[[Task], Step]  # the step of one task by itself
STEPS, SOUND, FACTORS = "steps", "sound", "learning_rate_factors"  # names of what joins the state
REAL = Column("real", (), dtypes.FLOAT32)
_RATE = leaf(np.zeros(()), "learning_rate")


@final
class OwnRate(Schedule):
    """A constant learning rate that every model has of its own: a symbol in the step, a number in the joint state."""

    def rate(self, step: Tensor) -> Tensor:  # noqa: ARG002  # the same at every step
        """Return the symbol."""
        return Tensor(_RATE)


def _with_own_rate(task: Task) -> Task:
    """Return the task with a symbol for a constant learning rate, so that one step serves for all rates."""
    recipe = task.optimizer
    if recipe is None or isinstance(recipe.learning_rate, Schedule):
        return task
    return replace(task, optimizer=replace(recipe, learning_rate=OwnRate()))


def constant_rates(optimizers: Sequence[Optimizer]) -> Array:
    """Return the learning rates, NaN for those with a schedule, which no step reads."""
    rates = [recipe.learning_rate for recipe in optimizers]
    return np.array([math.nan if isinstance(rate, Schedule) else float(rate) for rate in rates])


@dataclass(frozen=True)
class Drafts:
    """The steps of single tasks, each built once, and which of them is that of each task."""

    steps: list[Step]
    which: list[int]

    @property
    def graphs(self) -> list[list[Node]]:
        """The outputs of every step: next state without constants, then metrics."""
        n = len(self.steps[0].layout.names)
        return [[*step.program.next_state[:n], *step.program.metrics] for step in self.steps]

    def row(self, name: Literal["step", "seed"]) -> Row:
        """Return a counter of every step."""
        return tuple(getattr(step.program, name) for step in self.steps)


@dataclass(frozen=True)
class Kind:
    """A task, and what must be equal for its step to serve another task too."""

    task: Task
    config: dict[str, Any] | None
    state: tuple[tuple[str, tuple[object, ...], dtypes.DType], ...]

    @staticmethod
    def of(task: Task) -> Kind:
        """Describe a task once."""
        named = (*learned(task.model), *running(task.model))
        state = tuple((name, tensor.shape, tensor.dtype) for name, tensor in named)
        return Kind(_with_own_rate(task), task.model.config(), state)

    def like(self, other: Kind) -> bool:
        """Return whether two tasks differ in the values of parameters, state and learning rate only."""
        same_form = self.config is not None and self.config == other.config and self.state == other.state
        return same_form and replace(self.task, model=other.task.model) == other.task


def _is_free(step: Step) -> bool:
    """Return whether a step has no constants of its model's own (frozen parameters)."""
    return all(node is _RATE for node in step.program.state[len(step.layout.names) :])


def drafted(kinds: Sequence[Kind], draft: Draft) -> Drafts:
    """Return the steps of tasks; tasks that differ in the values of their state and in their rate only share one."""
    steps: list[Step] = []
    owners: list[Kind] = []
    which: list[int] = []
    for kind in kinds:
        same = (i for i, owner in enumerate(owners) if _is_free(steps[i]) and owner.like(kind))
        place = next(same, None)
        if place is None:
            place = len(steps)
            steps.append(draft(kind.task))
            owners.append(kind)
        which.append(place)
    return Drafts(steps, which)


def forms(kinds: Sequence[Kind], draft: Draft) -> list[list[int]]:
    """Return the places of the tasks whose steps have one form, and so can run as one, form by form."""
    drafts = drafted(kinds, draft)
    found: list[list[int]] = []
    form_of: list[int] = []
    for graph in drafts.graphs:
        same = (form for form, members in enumerate(found) if _fit(drafts, members[0], graph))
        form = next(same, len(found))
        if form == len(found):
            found.append([len(form_of)])
        form_of.append(form)
    groups: list[list[int]] = [[] for _ in found]
    for place, step in enumerate(drafts.which):
        groups[form_of[step]].append(place)
    return groups


def _fit(drafts: Drafts, first: int, graph: Sequence[Node]) -> bool:
    other = drafts.graphs[first]
    return len(other) == len(graph) and alike(other, graph)


def joint_training_step(
    kinds: Sequence[Kind], columns: Sequence[Column], size: int, seeds: Sequence[int], rates: Array
) -> Step:
    """Return the step of all tasks for blocks of ``size`` rows; the tasks are of one form.

    A model's step has the number and the seed that it would have by itself, so its random numbers are the same.
    The metrics are arrays (n,), one for each metric of a single step.
    """
    drafts = drafted(kinds, lambda task: training_step(task, columns, size))
    joint = _Joint(drafts, [*columns, REAL], size)
    n, shape = len(kinds), (len(kinds),)
    steps, sound = (build.input_node(STEPS, shape, dtypes.INT64), build.input_node(SOUND, shape, dtypes.BOOL))
    factors = build.input_node(FACTORS, shape, dtypes.FLOAT64)
    counters = {drafts.row("step"): steps, drafts.row("seed"): leaf(np.array(seeds, np.int64), "seeds")}
    first = drafts.steps[0]
    scalars = {row: factors for row in zip(*(step.program.scalars for step in drafts.steps), strict=True)}
    own_rates = {(_RATE,) * len(drafts.steps): leaf(rates.copy(), "learning_rates")}
    following, metrics = joint.stacked({**counters, **scalars, **own_rates})
    objectives = metrics[: 1 + first.has_penalty]
    real = build.less(0.0, build.reshape(build.slice_axes(joint.blocks[-1], (0, 0), (n, 1)), shape))
    finite = [build.less(build.absolute(value), math.inf) for value in objectives]
    well = reduce(build.logical_and, finite)
    takes = build.logical_and(build.logical_and(real, sound), well)
    kept = [(steps, build.where(takes, build.add(steps, 1), steps)),
            (sound, build.logical_and(sound, build.logical_or(build.logical_not(real), well))),
            *((factors, factors) for _ in scalars)]  # fmt: skip
    state = [*joint.state, *(old for old, _ in kept)]
    news = [_if(takes, new, old) for new, old in zip(following, joint.state, strict=True)]
    names = (*first.layout.running, STEPS, SOUND, *(FACTORS for _ in scalars))
    made = joint.step(state, [*news, *(new for _, new in kept)], metrics, replace(first.layout, running=names))
    slots = (
        np.stack([drafts.steps[place].slots[i].numpy() for place in drafts.which]) for i in range(len(first.slots))
    )
    return replace(made, slots=tuple(Tensor(leaf(values, f"slot {i}")) for i, values in enumerate(slots)))


def joint_evaluation_step(kinds: Sequence[Kind], columns: Sequence[Column], size: int) -> Step:
    """Return the step that leaves all states as they are and gives loss and metrics (n,) in inference mode."""
    drafts = drafted(kinds, lambda task: evaluation_step(task, columns, size))
    joint = _Joint(drafts, columns, size)
    _, metrics = joint.stacked({})
    return joint.step(joint.state, joint.state, metrics, drafts.steps[0].layout)


def _if(takes: Node, new: Node, old: Node) -> Node:
    """Return the new values of those models that take the step, the old ones of the others."""
    along = build.reshape(takes, (*takes.shape, *(1,) * (new.rank - 1)))
    return build.where(along, new, old)


class _Joint:
    """Leaves of a joint step, and the program made of them."""

    def __init__(self, drafts: Drafts, columns: Sequence[Column], size: int) -> None:
        self._drafts, self._size = drafts, size
        n, first = len(drafts.which), drafts.steps[0]
        names = first.layout.names
        own = zip(names, first.program.state[: len(names)], strict=True)
        self.state = [build.input_node(name, (n, *node.shape), node.dtype) for name, node in own]
        self._batch = [column.symbol(n * size).node for column in columns]
        self.blocks = [build.reshape(node, (n, size, *node.shape[1:])) for node in self._batch]

    def stacked(self, known: Mapping[Row, Node]) -> tuple[list[Node], list[Node]]:
        """Return the next state and the metrics of all models, (n, …) each."""
        drafts = self._drafts
        states = zip(*(step.program.state for step in drafts.steps), strict=True)
        batches = zip(*(step.program.batch for step in drafts.steps), strict=True)
        leaves = {
            **dict(zip(states, self.state, strict=False)),
            **dict(zip(batches, self.blocks, strict=False)),
            **known,
        }
        found = stack_graphs(drafts.graphs, leaves, len(drafts.which))
        for node, numbers in found.constants.items():
            bind(node, np.array([numbers[place] for place in drafts.which], node.dtype.name))
        for node, row in found.leaves.items():
            values = known_below(row)
            bind(node, np.stack([values[row[place]] for place in drafts.which]))
        return found.outputs[: len(self.state)], found.outputs[len(self.state) :]

    def step(self, state: Sequence[Node], following: Sequence[Node], metrics: Sequence[Node], layout: Layout) -> Step:
        """Simplify, find the constants, and put the program together."""
        first = self._drafts.steps[0]
        outputs = simplify([*following, *metrics])
        step, seed = (build.input_node(name, (), dtypes.INT64) for name in ("step", "seed"))
        extra, values = constants_of(outputs, [*state, *self._batch])
        n = len(following)
        program = StepProgram(
            state=(*state, *extra), batch=tuple(self._batch), step=step, seed=seed, scalars=(),
            next_state=(*outputs[:n], *extra), metrics=tuple(outputs[n:]),
        )  # fmt: skip
        return Step(program, layout, tuple(values), first.has_penalty, first.widths)
