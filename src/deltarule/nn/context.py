"""The context of one call of a model: mode, random streams, state updates and the layers called so far.

It is kept in a context variable, so that users write ``forward(self, x)`` and the mode
is never an attribute that has to be reset. The outermost call activates it; calls of
submodules find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from deltarule.arguments import check_calls
from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.graph.walk import inputs
from deltarule.nn.layer import Layer
from deltarule.runtime.buffers import value_of
from deltarule.shapes import Shape, is_static
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor
from deltarule.train.protocol import Mode

# random streams of layers; the streams below are reserved for training loops
FIRST_STREAM = 1 << 16

__all__ = [
    "ForwardContext",
    "LayerCall",
    "Record",
    "add_penalty",
    "current",
    "require",
]


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer: its name in the model, its inputs and its output.

    >>> from deltarule import nn
    >>> from deltarule.tensor.tensor import tensor
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> record = model.record()
    >>> _ = model.run(record, (tensor([1.0, 2.0]),), "inference", batched=False)
    >>> [(call.name, call.output_shape) for call in record.trail]
    [('0', (3,)), ('1', (3,))]
    """

    layer: Layer
    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    batched: bool

    @property
    def input_shape(self) -> Shape:
        """Shape of the (first) input for one example."""
        return example_shape(self.inputs[0], self.batched) if self.inputs else ()

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one example."""
        return example_shape(self.output, self.batched)


def example_shape(x: Tensor, batched: bool) -> Shape:
    """Return the shape of one example: without the batch axis if there is one.

    >>> from deltarule.tensor.functional import ones
    >>> example_shape(ones((8, 2)), True), example_shape(ones((2,)), False)
    ((2,), (2,))
    """
    return x.shape[1:] if batched else x.shape


@dataclass
class Record:
    """What one call of the outermost module collects: layer calls, state updates, penalties and the error, if any.

    >>> from deltarule import nn
    >>> from deltarule.tensor.functional import ones
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> record = model.record()
    >>> _ = model.run(record, (ones((5, 2)),), "inference", batched=True)
    >>> [call.output.shape for call in record.trail]
    [(5, 3), (5, 3)]
    """

    names: dict[int, str]
    seed: Tensor | int | None = None
    step: Tensor | int | None = None
    trail: list[LayerCall] = field(default_factory=list)
    # (old value, new value) by the identity of the state tensor
    updates: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    penalties: list[Tensor] = field(default_factory=list)
    error: DeltaruleError | None = None
    streams: int = 0

    def commit_state(self) -> None:
        """Assign the new values of state tensors, if they are known or will be (under ``dr.jit``)."""
        for old, new in self.updates.values():
            if tracing.active() or _has_value(new):
                old.assign(new.detach())


@dataclass(frozen=True)
class ForwardContext:
    """The mode and whether the input is a batch (None: unknown), together with the record of the whole call.

    >>> from deltarule import nn
    >>> class Doubled(nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x if require("Doubled").mode == "training" else x
    >>> Doubled()([1.0]).tolist(), Doubled()([1.0], mode="training").tolist()
    ([1.0], [2.0])
    """

    record: Record
    mode: Mode = "inference"
    batched: bool | None = None

    def current(self, state: Tensor) -> Tensor:
        """Return the value of a state tensor with the updates of this call so far."""
        return self.record.updates.get(id(state), (state, state))[1]

    def update(self, state: Tensor, value: Tensor) -> None:
        """Record the next value of a state tensor."""
        self.record.updates[id(state)] = (state, value)

    def draw(self, where: str) -> tuple[Tensor | int, Tensor | int, int]:
        """Return (seed, step, stream) for one random draw; every draw of a call has a stream of its own."""
        seed, step = self.record.seed, self.record.step
        if seed is None:
            raise ArgumentError(
                f"random numbers of {where}",
                expected="a seed, so that the numbers can be drawn again",
                got="none",
                hint='Call model(x, mode="training", seed=…, step=…), with another step each time.',
            )
        self.record.streams += 1
        return seed, 0 if step is None else step, FIRST_STREAM + self.record.streams - 1


_current: ContextVar[ForwardContext | None] = ContextVar("forward", default=None)


def current() -> ForwardContext | None:
    """Return the context of the active call, or None outside a call.

    >>> current() is None
    True
    """
    return _current.get()


def require(where: str) -> ForwardContext:
    """Return the context of the active call; raises ArgumentError outside a call.

    >>> require("dropout")
    Traceback (most recent call last):
    deltarule.errors.ArgumentError: dropout: expected a call of the module, got a direct call of forward.
      Write layer(x), not layer.forward(x): the call knows the mode.
    """
    context = _current.get()
    if context is None:
        raise ArgumentError(
            where,
            expected="a call of the module",
            got="a direct call of forward",
            hint="Write layer(x), not layer.forward(x): the call knows the mode.",
        )
    return context


@contextmanager
def activated(context: ForwardContext) -> Iterator[ForwardContext]:
    """Make a context the active one."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def add_penalty(value: Tensor) -> None:
    """Add a scalar to the training loss from within ``forward`` (activity regularisation).

    >>> from deltarule import nn
    >>> class Sparse(nn.Module):
    ...     def forward(self, x):
    ...         nn.add_penalty(abs(x).mean())
    ...         return x
    >>> [penalty.item() for penalty in Sparse().apply([[1.0, -3.0]]).penalties]
    [2.0]
    """
    require("add_penalty").record.penalties.append(value)


def _has_value(tensor: Tensor) -> bool:
    if not is_static(tensor.shape):
        return False
    return all(value_of(leaf) is not None for leaf in inputs([tensor.node]))


check_calls(__name__)
