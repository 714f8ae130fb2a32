"""From a model, a loss and an optimiser to step programs: the whole training step as one pure expression.

The state of a step is, in this order: the learned parameters, the optimiser's slots, the model's running state;
then the constants of the program (frozen parameters, class weights …), which every step hands on unchanged.
Programs for different batch sizes share the first three parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deltarule import dtypes
from deltarule.dtypes import DType
from deltarule.errors import ArgumentError, GraphError, ShapeError
from deltarule.grad.reverse import gradients
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program, StepProgram
from deltarule.graph.rewrite import substitute
from deltarule.graph.walk import topological
from deltarule.losses import Loss, Parameters
from deltarule.optim import Clock, Optimizer, ParameterNames
from deltarule.runtime.buffers import Array, value_of
from deltarule.simplify import simplify
from deltarule.tensor.tensor import Tensor
from deltarule.train.monitoring.metrics import Metric
from deltarule.train.protocol import HasFrozen, HasMatrices, Mode, Trainable

Named = list[tuple[str, Tensor]]
Regularizer = Callable[[Sequence[tuple[str, Tensor]]], Tensor]


@dataclass(frozen=True)
class Column:
    """One input of a batch: its name, the shape of one example, its element type."""

    name: str
    shape: tuple[int, ...]
    dtype: DType

    def symbol(self, batch_size: int) -> Tensor:
        """Return the symbol of a batch."""
        return Tensor(
            build.input_node(self.name, (batch_size, *self.shape), self.dtype),
            name=self.name,
        )


def columns(arrays: Sequence[Array]) -> tuple[Column, ...]:
    """Return the columns of inputs, targets and (if there are three arrays) sample weights."""
    names = ("inputs", "targets", "sample_weight")
    return tuple(
        Column(name, array.shape[1:], dtypes.DTYPES[array.dtype.name])
        for name, array in zip(names, arrays, strict=False)
    )


@dataclass(frozen=True)
class Task:
    """What is trained or evaluated, and how: the static facts that programs are made of."""

    model: Trainable
    loss: Loss
    metrics: tuple[Metric, ...] = ()
    optimizer: Optimizer | None = None
    regularizers: tuple[Regularizer, ...] = ()
    adjustable_rate: bool = False  # whether the host has a factor on the learning rate


@dataclass(frozen=True)
class StateNames:
    """Names of the state that lives from step to step."""

    parameters: tuple[str, ...]
    slots: tuple[str, ...]
    running: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Return all names in the order of the state."""
        return (*self.parameters, *self.slots, *self.running)


@dataclass(frozen=True)
class StepSpec:
    """A step program for one batch size, with the names of its state and the values of its constants.

    ``slots`` are the first values of the optimiser's slots. The program's metrics are the loss, the penalty if
    there is one, then the totals of each metric: ``widths`` says how many each has; last, if ``counts``, how many
    examples count in the loss.
    """

    program: StepProgram
    names: StateNames
    constants: tuple[Array, ...]
    has_penalty: bool
    widths: tuple[int, ...]
    counts: bool = False
    slots: tuple[Tensor, ...] = ()


def learned(model: Trainable) -> Named:
    """Return the model's parameters, each once."""
    return _once(model.named_parameters())


def frozen(model: Trainable) -> Named:
    """Return the parameters that are kept as they are, each once."""
    return _once(model.named_frozen()) if isinstance(model, HasFrozen) else []


def running(model: Trainable) -> Named:
    """Return what changes in the model without being learned, each once."""
    return _once(model.named_state())


def _once(named: Named) -> Named:
    return list(
        {id(tensor): (name, tensor) for name, tensor in reversed(named)}.values()
    )[::-1]


def _scalar(name: str, dtype: DType) -> Tensor:
    return Tensor(build.input_node(name, (), dtype), name=name)


@dataclass(frozen=True)
class _Forward:
    """The value of the objective on a batch, as expressions."""

    loss: Tensor
    penalty: Tensor | None
    totals: list[list[Tensor]]
    state: dict[str, Tensor]
    counted: Tensor | None = (
        None  # how many examples count in a mean loss, where not all do
    )

    @property
    def metrics(self) -> list[Tensor]:
        penalty = [] if self.penalty is None else [self.penalty]
        counted = [] if self.counted is None else [self.counted]
        return [
            self.loss,
            *penalty,
            *(scalar for totals in self.totals for scalar in totals),
            *counted,
        ]


def _forward(
    task: Task,
    batch: Sequence[Tensor],
    mode: Mode,
    seed: Tensor | None,
    step: Tensor | None,
) -> _Forward:
    """Apply model, loss, penalties and metrics to a batch."""
    applied = task.model.apply(batch[0], mode=mode, seed=seed, step=step)
    loss = task.loss.of_checked(applied.output, batch[1], *batch[2:])
    if loss.shape != ():
        raise ShapeError(
            f"loss {task.loss.name}",
            expected="one number for a batch",
            got=build.describe(loss.node),
            hint='Train with reduction="mean" or "sum"; "none" is for looking at single examples.',
        )
    penalties = list(applied.penalties) if mode == "training" else []
    penalties += [
        regularizer(_penalised(task.model, regularizer))
        for regularizer in task.regularizers
    ]
    penalty = _sum(penalties) if penalties else None
    totals = [metric.totals(applied.output, batch[1]) for metric in task.metrics]
    counted = (
        task.loss.counted(applied.output, batch[1])
        if task.loss.reduction == "mean"
        else None
    )
    return _Forward(
        loss, penalty, totals, applied.state, None if counted is None else counted.sum()
    )


def _penalised(model: Trainable, regularizer: Regularizer) -> Parameters:
    """Return what a regulariser is given: parameters, or matrices with their zeros where it asks for matrices."""
    named = learned(model)
    if getattr(regularizer, "of_matrices", False) and isinstance(model, HasMatrices):
        matrices = dict(model.named_matrices())
        named = [(name, matrices.get(name, tensor)) for name, tensor in named]
    return Parameters(named, frozen(model))


def _sum(scalars: Sequence[Tensor]) -> Tensor:
    total = scalars[0]
    for scalar in scalars[1:]:
        total = total + scalar
    return total


def constants_of(
    outputs: Sequence[Node], known: Sequence[Node]
) -> tuple[list[Node], list[Array]]:
    """Return the leaves with a value that the outputs need beside the known inputs, and these values.

    They come in the order of the expressions, which a new value of a parameter does not change.
    """
    given = set(known)
    nodes = [
        node
        for node in topological(outputs)
        if node.op is Op.INPUT and node not in given
    ]
    values = []
    for node in nodes:
        value = value_of(node)
        if value is None:
            raise GraphError(
                "training step",
                expected="a model whose output depends on its input, parameters and state",
                got=f"the symbol {build.describe(node)}, which has no value",
                hint="Use dr.tensor or dr.parameter for what the model keeps.",
            )
        values.append(value)
    return nodes, values


def _leaves(named: Named) -> list[Node]:
    for name, tensor in named:
        if tensor.node.op is not Op.INPUT:
            raise GraphError(
                f"parameter {name!r}",
                expected="a leaf of the graph",
                got=build.describe(tensor.node),
                hint="Keep dr.parameter(array) in the model, and compute from it in forward.",
            )
    return [tensor.node for _, tensor in named]


def _gradients(
    objective: Tensor, parameters: Named, points: Sequence[Tensor] | None
) -> list[Tensor]:
    """Return ∂objective/∂parameters, taken at ``points`` where an optimiser looks ahead."""
    nodes = [tensor.node for _, tensor in parameters]
    slopes = gradients(objective.node, nodes)
    if points is not None:
        slopes = substitute(
            slopes, dict(zip(nodes, (point.node for point in points), strict=True))
        )
    return [Tensor(node) for node in slopes]


def training_step(
    task: Task, batch_columns: Sequence[Column], batch_size: int
) -> StepSpec:
    """Return the step (parameters, slots, running state, batch, step, seed) → (their next values, metrics)."""
    if task.optimizer is None:
        raise GraphError("training step", expected="an optimiser", got="none")
    parameters, kept = learned(task.model), running(task.model)
    batch = [column.symbol(batch_size) for column in batch_columns]
    step, seed = _scalar("step", dtypes.INT64), _scalar("seed", dtypes.INT64)
    factor = (
        _scalar("learning_rate_factor", dtypes.FLOAT64)
        if task.adjustable_rate
        else None
    )
    clock = Clock(step, factor)
    forward = _forward(task, batch, "training", seed, step)
    objective = (
        forward.loss if forward.penalty is None else forward.loss + forward.penalty
    )

    known = ParameterNames(
        [name for name, _ in parameters], [name for name, _ in frozen(task.model)]
    )
    transform = task.optimizer.transform(known)
    tensors = [tensor for _, tensor in parameters]
    first = transform.init(tensors)
    slots = tuple(
        Tensor(build.input_node(f"slot {i}", t.shape, t.dtype))
        for i, t in enumerate(first)
    )
    points = None if transform.point is None else transform.point(tensors, slots, clock)
    updates, next_slots = transform.update(
        _gradients(objective, parameters, points), slots, tensors, clock
    )
    next_state = [
        *((t + u).astype(t.dtype) for t, u in zip(tensors, updates, strict=True)),
        *(new.astype(old.dtype) for new, old in zip(next_slots, slots, strict=True)),
        *(forward.state.get(name, t).astype(t.dtype) for name, t in kept),
    ]
    state = [*_leaves(parameters), *(slot.node for slot in slots), *_leaves(kept)]
    names = StateNames(
        tuple(name for name, _ in parameters),
        tuple(f"{i:03d}" for i in range(len(slots))),
        tuple(name for name, _ in kept),
    )
    scalars = [] if factor is None else [factor.node]
    made = _finished(
        forward,
        names,
        state,
        [t.node for t in next_state],
        batch,
        (step, seed),
        scalars,
    )
    return replace(made, slots=first)


def evaluation_step(
    task: Task, batch_columns: Sequence[Column], batch_size: int
) -> StepSpec:
    """Return the step that leaves the state as it is and gives loss and metrics in inference mode."""
    parameters, kept = learned(task.model), running(task.model)
    batch = [column.symbol(batch_size) for column in batch_columns]
    counters = (_scalar("step", dtypes.INT64), _scalar("seed", dtypes.INT64))
    forward = _forward(task, batch, "inference", None, None)
    names = StateNames(
        tuple(name for name, _ in parameters), (), tuple(name for name, _ in kept)
    )
    state = [*_leaves(parameters), *_leaves(kept)]
    return _finished(forward, names, state, state, batch, counters, [])


def _finished(
    forward: _Forward,
    names: StateNames,
    state: Sequence[Node],
    next_state: Sequence[Node],
    batch: Sequence[Tensor],
    counters: tuple[Tensor, Tensor],
    scalars: Sequence[Node],
) -> StepSpec:
    """Simplify, find the constants, and put the program together."""
    outputs = simplify([*next_state, *(t.node for t in forward.metrics)])
    step, seed = (t.node for t in counters)
    batch_nodes = [t.node for t in batch]
    extra, values = constants_of(outputs, [*state, *batch_nodes, step, seed, *scalars])
    n = len(next_state)
    program = StepProgram(
        state=(*state, *extra),
        batch=tuple(batch_nodes),
        step=step,
        seed=seed,
        scalars=tuple(scalars),
        next_state=(*outputs[:n], *extra),
        metrics=tuple(outputs[n:]),
    )
    widths = tuple(map(len, forward.totals))
    return StepSpec(
        program,
        names,
        tuple(values),
        forward.penalty is not None,
        widths,
        forward.counted is not None,
    )


def output_of(model: Trainable, batch: Tensor) -> Tensor:
    """Return the model's output for a batch as an expression; it has to be one tensor."""
    output: object = model.apply(batch, mode="inference", seed=None, step=None).output
    if isinstance(output, Tensor):
        return output
    raise ArgumentError(
        f"forward of {type(model).__name__}",
        expected="one tensor",
        got=f"a {type(output).__name__}",
        hint="End forward with return."
        if output is None
        else "Let forward return one tensor of the graph.",
    )


def prediction_program(
    model: Trainable,
    column: Column,
    batch_size: int,
    link: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Program, list[Array]]:
    """Return the program of the model's output for a batch (through ``link`` if given), and its leaves' values.

    The leaves come first among the inputs, the batch last.
    """
    batch = column.symbol(batch_size)
    output = output_of(model, batch)
    outputs = simplify([(output if link is None else link(output)).node])
    leaves, values = constants_of(outputs, [batch.node])
    return Program((*leaves, batch.node), tuple(outputs)), values
