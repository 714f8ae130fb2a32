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
from deltarule.optim.wrappers import has_groups, with_rate
from deltarule.runtime.buffers import Array, known_below, leaf
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.steps.step import (
    Column,
    Step,
    Task,
    constants_of,
    evaluation_step,
    learned,
    running,
    training_step,
)

Draft = Callable[[Task], Step]  # the step of one task by itself
STEPS, SOUND, FACTORS = (
    "steps",
    "sound",
    "learning_rate_factors",
)  # names of what joins the state
REAL = Column("real", (), dtypes.FLOAT32)
_RATE = leaf(np.zeros(()), "learning_rate")


@final
@dataclass(frozen=True)
class OwnRate(Schedule):
    """A constant learning rate that every model has of its own: a symbol in the step, a number in the joint state."""

    def rate(self, step: Tensor) -> Tensor:  # noqa: ARG002  # the same at every step
        """Return the symbol."""
        return Tensor(_RATE)


def _with_own_rate(task: Task) -> Task:
    """Return the task with a symbol for a constant learning rate, so that one step serves for all rates."""
    recipe = task.optimizer
    if (
        recipe is None
        or has_groups(recipe)
        or isinstance(recipe.learning_rate, Schedule)
    ):
        return task
    return replace(task, optimizer=with_rate(recipe, OwnRate(), "fit_many"))


def constant_rates(optimizers: Sequence[Optimizer]) -> Array:
    """Return the learning rates, NaN for those with a schedule, which no step reads."""
    rates = [recipe.learning_rate for recipe in optimizers]
    return np.array(
        [math.nan if isinstance(rate, Schedule) else float(rate) for rate in rates]
    )


@dataclass(frozen=True)
class Drafts:
    """The steps of single tasks, each built once, and which of them is that of each task."""

    steps: list[Step]
    which: list[int]

    @property
    def graphs(self) -> list[list[Node]]:
        """The outputs of every step: next state without constants, then metrics."""
        n = len(self.steps[0].names.all)
        return [
            [*step.program.next_state[:n], *step.program.metrics] for step in self.steps
        ]

    def row(self, name: Literal["step", "seed"]) -> Row:
        """Return a counter of every step."""
        return tuple(getattr(step.program, name) for step in self.steps)


@dataclass(frozen=True)
class Kind:
    """A task, and what must be equal for its step to serve another task too."""

    task: Task
    config: dict[str, Any] | None
    state: tuple[tuple[str, tuple[object, ...], dtypes.DType], ...]
    named: dict[str, Tensor]  # the model's parameters, then its running state
    n_learned: int

    @staticmethod
    def of(task: Task) -> Kind:
        """Describe a task once."""
        parameters, kept = learned(task.model), running(task.model)
        state = tuple(
            (name, tensor.shape, tensor.dtype) for name, tensor in (*parameters, *kept)
        )
        return Kind(
            _with_own_rate(task),
            task.model.config(),
            state,
            dict((*parameters, *kept)),
            len(parameters),
        )

    def like(self, other: Kind) -> bool:
        """Return whether two tasks differ in the values of parameters, state and learning rate only."""
        same_form = (
            self.config is not None
            and self.config == other.config
            and self.state == other.state
        )
        return same_form and replace(self.task, model=other.task.model) == other.task


def _is_free(step: Step) -> bool:
    """Return whether a step has no constants of its model's own (frozen parameters)."""
    return all(node is _RATE for node in step.program.state[len(step.names.all) :])


def drafted(kinds: Sequence[Kind], draft: Draft) -> Drafts:
    """Return the steps of tasks; tasks that differ in the values of their state and in their rate only share one."""
    steps: list[Step] = []
    owners: list[Kind] = []
    which: list[int] = []
    for kind in kinds:
        same = (
            i
            for i, owner in enumerate(owners)
            if _is_free(steps[i]) and owner.like(kind)
        )
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
        same = (
            form
            for form, members in enumerate(found)
            if _fit(drafts, members[0], graph)
        )
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


@dataclass(frozen=True)
class Joint:
    """The step of ``width`` slots, and what every task brings to its slot beside its model's values.

    Both have one row a task. ``own`` are first values of the optimiser's slots by the name that they have in the
    state, ``constants`` numbers that stay (seeds, rates, leaves with a value, which may depend on the batch size): they
    come after the state and before the step's own constants.
    """

    step: Step
    own: dict[str, Array]
    constants: tuple[Array, ...]


def joint_training_step(
    kinds: Sequence[Kind],
    columns: Sequence[Column],
    size: int,
    seeds: Sequence[int],
    rates: Array,
    width: int,
) -> Joint:
    """Return the step of ``width`` tasks of one form for blocks of ``size`` rows.

    A model's step has the number and the seed that it would have by itself, so its random numbers are the same.
    The metrics are arrays (width,), one for each metric of a single step. A model whose loss is not finite keeps the
    state before that step.
    """
    drafts = drafted(kinds, lambda task: training_step(task, columns, size))
    joint, first = _Joining(drafts, [*columns, REAL], size, width), drafts.steps[0]
    shape = (width,)
    steps, sound = (
        build.input_node(STEPS, shape, dtypes.INT64),
        build.input_node(SOUND, shape, dtypes.BOOL),
    )
    factors = build.input_node(FACTORS, shape, dtypes.FLOAT64)
    scalars = {
        row: factors
        for row in zip(*(step.program.scalars for step in drafts.steps), strict=True)
    }
    counters = {
        drafts.row("step"): steps,
        drafts.row("seed"): joint.owned("seed", np.array(seeds, np.int64)),
    }
    own_rates = {(_RATE,) * len(drafts.steps): joint.owned("learning_rate", rates)}
    following, metrics = joint.stacked({**counters, **scalars, **own_rates})
    real = build.less(
        0.0,
        build.reshape(build.slice_axes(joint.blocks[-1], (0, 0), (width, 1)), shape),
    )
    finite = [
        build.less(build.absolute(value), math.inf)
        for value in metrics[: 1 + first.has_penalty]
    ]
    well = reduce(build.logical_and, finite)
    takes = build.logical_and(build.logical_and(real, sound), well)
    news = [
        _if(takes, new, old) for new, old in zip(following, joint.state, strict=True)
    ]
    counted = build.where(takes, build.add(steps, 1), steps)
    still = build.logical_and(sound, build.logical_or(build.logical_not(real), well))
    kept = [
        (STEPS, steps, counted),
        (SOUND, sound, still),
        *((FACTORS, factors, factors) for _ in scalars),
    ]
    return joint.finished(news, metrics, kept)


def joint_evaluation_step(
    kinds: Sequence[Kind], columns: Sequence[Column], size: int, width: int
) -> Joint:
    """Return the step that leaves all states as they are and gives loss and metrics (width,) in inference mode.

    Penalties are left out, as in ``evaluate``.
    """
    drafts = drafted(
        kinds,
        lambda task: evaluation_step(replace(task, regularizers=()), columns, size),
    )
    joint = _Joining(drafts, columns, size, width)
    _, metrics = joint.stacked({})
    return joint.finished(joint.state, metrics, [])


def _if(takes: Node, new: Node, old: Node) -> Node:
    """Return the new values of those models that take the step, the old ones of the others."""
    along = build.reshape(takes, (*takes.shape, *(1,) * (new.rank - 1)))
    return build.where(along, new, old)


class _Joining:
    """The leaves of a joint step, and the program made of them."""

    def __init__(
        self, drafts: Drafts, columns: Sequence[Column], size: int, width: int
    ) -> None:
        self._drafts, self._width = drafts, width
        self._names = drafts.steps[0].names
        names = self._names.all
        leaves = zip(names, drafts.steps[0].program.state[: len(names)], strict=True)
        self.state = [
            build.input_node(name, (width, *node.shape), node.dtype)
            for name, node in leaves
        ]
        self._batch = [column.symbol(width * size).node for column in columns]
        self.blocks = [
            build.reshape(node, (width, size, *node.shape[1:])) for node in self._batch
        ]
        slots = zip(*(step.slots for step in drafts.steps), strict=True)
        self._own: dict[str, Array] = {
            name: np.stack([row[place].numpy() for place in drafts.which])
            for name, row in zip(self._names.slots, slots, strict=False)
        }
        self._constants: list[tuple[Node, Array]] = []

    def owned(self, name: str, values: Array) -> Node:
        """Return the leaf for numbers of which every task has its own, (tasks, …); they stay as they are."""
        node = build.input_node(
            name, (self._width, *values.shape[1:]), dtypes.DTYPES[values.dtype.name]
        )
        self._constants.append((node, values))
        return node

    def stacked(self, known: Mapping[Row, Node]) -> tuple[list[Node], list[Node]]:
        """Return the next state and the metrics of all models, (width, …) each."""
        drafts, n = self._drafts, len(self.state)
        states = zip(*(step.program.state for step in drafts.steps), strict=True)
        batches = zip(*(step.program.batch for step in drafts.steps), strict=True)
        leaves = {
            **dict(zip(states, self.state, strict=False)),
            **dict(zip(batches, self.blocks, strict=False)),
        }
        found = stack_graphs(drafts.graphs, {**leaves, **known}, self._width)
        for node, numbers in found.constants.items():
            values = np.array(
                [numbers[place] for place in drafts.which], node.dtype.name
            )
            self._constants.append((node, values))
        for node, row in found.leaves.items():
            kept = known_below(row)
            self._constants.append(
                (node, np.stack([kept[row[place]] for place in drafts.which]))
            )
        return found.outputs[:n], found.outputs[n:]

    def finished(
        self,
        following: Sequence[Node],
        metrics: Sequence[Node],
        more: Sequence[tuple[str, Node, Node]],
    ) -> Joint:
        """Simplify, find what all models share, and put the program together; ``more`` state is (name, old, new)."""
        constants = [node for node, _ in self._constants]
        state = [*self.state, *(old for _, old, _ in more), *constants]
        outputs = simplify(
            [*following, *(new for _, _, new in more), *constants, *metrics]
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
        first = self._drafts.steps[0]
        names = replace(
            self._names, running=(*self._names.running, *(name for name, _, _ in more))
        )
        made = Step(
            program, names, tuple(values), first.has_penalty, first.widths, first.counts
        )
        return Joint(made, self._own, tuple(values for _, values in self._constants))
