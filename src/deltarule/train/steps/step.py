"""Build step programs from a model, a loss and an optimiser: a whole training step as one pure expression.

The state of a step consists of the trainable parameters, the optimiser state (slots) and the model's running state,
then the constants of the program (frozen parameters, class weights …), which every step passes on unchanged. Programs
for different batch sizes share the first three parts.
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
    """An input of a training step: its name, the shape of one example, and its element type.

    >>> Column("inputs", (28, 28, 1), dtypes.FLOAT32).symbol(32).shape
    (32, 28, 28, 1)
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType

    def symbol(self, batch_size: int) -> Tensor:
        """Return a symbolic tensor for a batch."""
        return Tensor(
            build.input_node(self.name, (batch_size, *self.shape), self.dtype),
            name=self.name,
        )


def columns(arrays: Sequence[Array]) -> tuple[Column, ...]:
    """Return the columns of inputs, targets and, for three arrays, sample weights.

    >>> import numpy as np
    >>> [column.name for column in columns([np.zeros((5, 2)), np.zeros(5)])]
    ['inputs', 'targets']
    """
    names = ("inputs", "targets", "sample_weight")
    return tuple(
        Column(name, array.shape[1:], dtypes.DTYPES[array.dtype.name])
        for name, array in zip(names, arrays, strict=False)
    )


@dataclass(frozen=True)
class Task:
    """The static description of training or evaluation, from which programs are built.

    Attributes:
        model: The model.
        loss: The loss.
        metrics: The metrics.
        optimizer: The optimiser; None for evaluation.
        regularizers: Penalties added to the loss.
        adjustable_rate: Whether the step takes a factor on the learning rate as an input.

    >>> from deltarule import losses, nn
    >>> Task(nn.Linear(2, 1), losses.get("mean_squared_error")).loss.name
    'mean_squared_error'
    """

    model: Trainable
    loss: Loss
    metrics: tuple[Metric, ...] = ()
    optimizer: Optimizer | None = None
    regularizers: tuple[Regularizer, ...] = ()
    adjustable_rate: bool = False


@dataclass(frozen=True)
class StateNames:
    """Names of the state: trainable parameters, optimiser slots, running state.

    >>> StateNames(("weight",), ("000",), ()).all
    ('weight', '000')
    """

    parameters: tuple[str, ...]
    slots: tuple[str, ...]
    running: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """All names in the order of the state."""
        return (*self.parameters, *self.slots, *self.running)


@dataclass(frozen=True)
class StepSpec:
    """The specification of a training or evaluation step for one batch size.

    The program's metrics are the loss, the penalty if there is one, the totals of each metric, and last, if ``counts``,
    the number of examples that count in the loss.

    Attributes:
        program: The step program.
        names: The names of its state.
        constants: The values of its constants.
        has_penalty: Whether the second metric is the penalty.
        widths: Number of totals of each metric.
        counts: Whether the last metric is the number of examples that count.
        slots: Initial values of the optimiser slots.
    """

    program: StepProgram
    names: StateNames
    constants: tuple[Array, ...]
    has_penalty: bool
    widths: tuple[int, ...]
    counts: bool = False
    slots: tuple[Tensor, ...] = ()


def learned(model: Trainable) -> Named:
    """Return the model's trainable parameters, each once.

    >>> from deltarule import nn
    >>> [name for name, _ in learned(nn.Linear(2, 1))]
    ['weight', 'bias']
    """
    return _unique(model.named_parameters())


def frozen(model: Trainable) -> Named:
    """Return the model's frozen parameters, each once.

    >>> from deltarule import nn
    >>> frozen(nn.Linear(2, 1))
    []
    """
    return _unique(model.named_frozen()) if isinstance(model, HasFrozen) else []


def running(model: Trainable) -> Named:
    """Return the model's running state, each tensor once.

    >>> from deltarule import nn
    >>> [name for name, _ in running(nn.BatchNorm(2))]
    ['running_mean', 'running_variance']
    """
    return _unique(model.named_state())


def _unique(named: Named) -> Named:
    return list(
        {id(tensor): (name, tensor) for name, tensor in reversed(named)}.values()
    )[::-1]


def _scalar(name: str, dtype: DType) -> Tensor:
    return Tensor(build.input_node(name, (), dtype), name=name)


@dataclass(frozen=True)
class _Forward:
    """Loss, penalty, metric totals and next running state of a batch, as expressions."""

    loss: Tensor
    penalty: Tensor | None
    totals: list[list[Tensor]]
    state: dict[str, Tensor]
    counted: Tensor | None = None  # number of examples in a mean loss, if not all count

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
            hint='Train with reduction="mean" or "sum"; "none" gives the losses of single examples.',
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
    """Return the parameters for a regulariser; dense matrices for sparse weights if it asks for matrices."""
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
    """Return the leaves with a value that the outputs need besides the known inputs, and these values.

    Their order depends on the expressions only, not on the values of parameters.
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
                hint="Use dr.tensor or dr.parameter for values that the model stores.",
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
    """Return ∂objective/∂parameters, evaluated at ``points`` if the optimiser looks ahead."""
    nodes = [tensor.node for _, tensor in parameters]
    found = gradients(objective.node, nodes)
    if points is not None:
        found = substitute(
            found, dict(zip(nodes, (point.node for point in points), strict=True))
        )
    return [Tensor(node) for node in found]


def training_step(
    task: Task, batch_columns: Sequence[Column], batch_size: int
) -> StepSpec:
    """Return the training step: (parameters, slots, running state, batch, step, seed) → (next state, metrics).

    >>> from deltarule import losses, nn, optim
    >>> task = Task(nn.Linear(2, 1), losses.get("mean_squared_error"), (), optim.get("sgd"))
    >>> batch = Column("inputs", (2,), dtypes.FLOAT32), Column("targets", (1,), dtypes.FLOAT32)
    >>> training_step(task, batch, batch_size=8).names.parameters
    ('weight', 'bias')
    """
    if task.optimizer is None:
        raise GraphError("training step", expected="an optimiser", got="none")
    parameters, state_tensors = learned(task.model), running(task.model)
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
        *(forward.state.get(name, t).astype(t.dtype) for name, t in state_tensors),
    ]
    state = [
        *_leaves(parameters),
        *(slot.node for slot in slots),
        *_leaves(state_tensors),
    ]
    names = StateNames(
        tuple(name for name, _ in parameters),
        tuple(f"{i:03d}" for i in range(len(slots))),
        tuple(name for name, _ in state_tensors),
    )
    scalars = [] if factor is None else [factor.node]
    step_spec = _assembled(
        forward,
        names,
        state,
        [t.node for t in next_state],
        batch,
        (step, seed),
        scalars,
    )
    return replace(step_spec, slots=first)


def evaluation_step(
    task: Task, batch_columns: Sequence[Column], batch_size: int
) -> StepSpec:
    """Return the evaluation step: it computes loss and metrics in inference mode and leaves the state unchanged."""
    parameters, state_tensors = learned(task.model), running(task.model)
    batch = [column.symbol(batch_size) for column in batch_columns]
    counters = (_scalar("step", dtypes.INT64), _scalar("seed", dtypes.INT64))
    forward = _forward(task, batch, "inference", None, None)
    names = StateNames(
        tuple(name for name, _ in parameters),
        (),
        tuple(name for name, _ in state_tensors),
    )
    state = [*_leaves(parameters), *_leaves(state_tensors)]
    return _assembled(forward, names, state, state, batch, counters, [])


def _assembled(
    forward: _Forward,
    names: StateNames,
    state: Sequence[Node],
    next_state: Sequence[Node],
    batch: Sequence[Tensor],
    counters: tuple[Tensor, Tensor],
    scalars: Sequence[Node],
) -> StepSpec:
    """Simplify the outputs, collect the constants, and assemble the program."""
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
    """Return the model's output for a batch, in inference mode, as an expression.

    Raises:
        ArgumentError: If ``forward`` does not return one tensor.

    >>> from deltarule import nn
    >>> output_of(nn.Linear(2, 1), Column("inputs", (2,), dtypes.FLOAT32).symbol(4)).shape
    (4, 1)
    """
    output: object = model.apply(batch, mode="inference", seed=None, step=None).output
    if isinstance(output, Tensor):
        return output
    raise ArgumentError(
        f"forward of {type(model).__name__}",
        expected="one tensor",
        got=f"a {type(output).__name__}",
        hint="End forward with return."
        if output is None
        else "Return one tensor from forward.",
    )


def prediction_program(
    model: Trainable,
    column: Column,
    batch_size: int,
    link: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Program, list[Array]]:
    """Return the program of the model's output for a batch, and the values of its leaves.

    The inputs of the program are the leaves, then the batch.

    Args:
        model: The model.
        column: Shape and type of an example.
        batch_size: Examples per call.
        link: Applied to the output if given (softmax, sigmoid).

    >>> from deltarule import nn
    >>> program, values = prediction_program(nn.Linear(2, 1), Column("inputs", (2,), dtypes.FLOAT32), 4)
    >>> program.outputs[0].shape, len(values)
    ((4, 1), 2)
    """
    batch = column.symbol(batch_size)
    output = output_of(model, batch)
    outputs = simplify([(output if link is None else link(output)).node])
    leaves, values = constants_of(outputs, [batch.node])
    return Program((*leaves, batch.node), tuple(outputs)), values
