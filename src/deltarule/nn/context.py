"""The course of one call of a model: mode, random counters, state updates, and the path of shapes.

It travels in a context variable, so that a person writes ``forward(self, x)`` and mode is never an attribute
that somebody forgot to set back. The outermost call enters it; calls of submodules find it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deltarule.errors import ArgumentError, DeltaruleError
from deltarule.graph.walk import inputs
from deltarule.runtime.buffers import value_of
from deltarule.shapes import Shape, is_static
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor
from deltarule.train.protocol import Mode

if TYPE_CHECKING:
    from deltarule.nn.module.module import Module

FIRST_STREAM = (
    1 << 16
)  # random streams of layers lie above those that a training loop may use


@dataclass(frozen=True)
class LayerCall:
    """One layer that was called: its name in the model, what went in, what came out."""

    layer: Module
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
    """Return the shape without the batch axis."""
    return x.shape[1:] if batched else x.shape


@dataclass
class Record:
    """What happens in the course of one call of the outermost module."""

    names: dict[int, str]
    seed: Tensor | int | None = None
    step: Tensor | int | None = None
    trail: list[LayerCall] = field(default_factory=list)
    updates: dict[int, tuple[Tensor, Tensor]] = field(
        default_factory=dict
    )  # old value, new value, by identity
    penalties: list[Tensor] = field(default_factory=list)
    fault: DeltaruleError | None = None
    streams: int = 0

    def settle(self) -> None:
        """Give state tensors their new values, where these are known or will be (under ``dr.jit``)."""
        for old, new in self.updates.values():
            if tracing.active() or _has_value(new):
                old.assign(new.detach())


@dataclass(frozen=True)
class ForwardContext:
    """The mode, and whether the input is a batch (None: not known), beside the record of the whole call."""

    record: Record
    mode: Mode = "inference"
    batched: bool | None = None

    def current(self, state: Tensor) -> Tensor:
        """Return a state tensor as this call has changed it so far."""
        return self.record.updates.get(id(state), (state, state))[1]

    def update(self, state: Tensor, value: Tensor) -> None:
        """Note a state tensor's next value."""
        self.record.updates[id(state)] = (state, value)

    def draw(self, where: str) -> tuple[Tensor | int, Tensor | int, int]:
        """Return (seed, step, stream) for one random draw; every draw of a call has its own stream."""
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
    """Return the context of the call that is at work, if any."""
    return _current.get()


def require(where: str) -> ForwardContext:
    """Return the context of the call that is at work."""
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
def entered(context: ForwardContext) -> Iterator[ForwardContext]:
    """Make a context the current one."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def add_penalty(value: Tensor) -> None:
    """Ask that a scalar be added to the training loss, from within ``forward`` (activity regularisation)."""
    require("add_penalty").record.penalties.append(value)


def _has_value(tensor: Tensor) -> bool:
    if not is_static(tensor.shape):
        return False
    return all(value_of(leaf) is not None for leaf in inputs([tensor.node]))
