"""Programs of predictions, kept with the model that they are of: by shape, type, batch size, device and loss.

A kept program takes the current values of the model's tensors at every call, so new weights need no new program.
All else that ``forward`` depends on is watched (see ``snapshot``): when it changes, the programs are built again. A
model that can't be watched, or that assigns tensors while it predicts, is built at every call. The machine code is in
the hands of ``runtime.devices``, which holds a bounded number of programs.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter, is_
from typing import Any

from deltarule.backends.base import Executable
from deltarule.dtypes import DType
from deltarule.graph import build
from deltarule.graph.node import Node
from deltarule.graph.op import Op
from deltarule.graph.program import Program
from deltarule.graph.rewrite import substitute
from deltarule.losses import Loss
from deltarule.runtime.buffers import Array, value_of
from deltarule.runtime.devices import compiled
from deltarule.tensor import tracing
from deltarule.tensor.tensor import Tensor
from deltarule.train.prediction.dependencies import Snapshot
from deltarule.train.protocol import Trainable
from deltarule.train.steps.prepare import model_dtype
from deltarule.train.steps.step import Column, columns, prediction_program

_MAX_PROGRAMS = 32  # of one model, the oldest goes first
_PAUSE = 50  # calls of a model of which nothing could be kept, before it is tried again
_node_of = attrgetter("_node")


class Predictions:
    """The kept programs of one model. A copy or a pickle begins without any."""

    def __init__(self) -> None:
        self._state: ModelCache | None = None
        self._pause = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Predictions:
        return Predictions()

    def __reduce__(self) -> tuple[type[Predictions], tuple[()]]:
        return Predictions, ()

    def state(self, model: Trainable) -> ModelCache | None:
        """Return what is known of the model as it is now; None if nothing may be kept."""
        state = self._state
        if state is not None and state.model() is model and state.snapshot.is_valid():
            return state
        if self._pause > 0:
            self._pause -= 1
            return None
        kind = model_dtype(model)  # draws parameters that have no values yet
        snapshot = Snapshot.of(model)
        state = self._state = (
            None if snapshot is None else ModelCache(model, snapshot, kind)
        )
        if state is None:
            self.pause()
        return state

    def pause(self) -> None:
        """Try nothing for a while: the model can't be watched, or changes itself."""
        self._state, self._pause = None, _PAUSE


def cache_of(model: Trainable) -> ModelCache | None:
    """Return what is kept of a model as it is now; None for one that has no place for it or can't be watched."""
    place = getattr(model, "kept_predictions", None)
    return (
        place.state(model)
        if isinstance(place, Predictions) and not tracing.active()
        else None
    )


class ModelCache:
    """A model as it was found, its element type, and programs by what they were asked for."""

    def __init__(self, model: Trainable, snapshot: Snapshot, kind: DType) -> None:
        self.model = weakref.ref(
            model
        )  # a shallow copy shares the place where this is kept
        self.snapshot, self._kind = snapshot, kind
        self._tensors = list(snapshot.tensors.values())
        self._kinds = [tensor.dtype for tensor in self._tensors]
        self._programs: dict[Hashable, CachedProgram] = {}
        self.evaluations: dict[
            Hashable, Any
        ] = {}  # those of ``inference.evaluate``, which knows what they are

    def kind(self, model: Trainable) -> DType:
        """Return the model's element type."""
        kinds = [tensor.dtype for tensor in self._tensors]
        if kinds != self._kinds:
            self._kind, self._kinds = model_dtype(model), kinds
        return self._kind

    def get(self, key: Hashable) -> tuple[CachedProgram, list[Array]] | None:
        """Return a program that fits the model as it is now, and the values of its leaves."""
        found = self._programs.get(key)
        values = None if found is None else found.values()
        return None if found is None or values is None else (found, values)

    def keep(self, key: Hashable, made: CachedProgram) -> None:
        """Keep a program."""
        self._programs.pop(key, None)
        while len(self._programs) >= _MAX_PROGRAMS:
            self._programs.pop(next(iter(self._programs)), None)
        self._programs[key] = made


class UnchangedTensors:
    """Tensors that still have the values which they had at the time of construction."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = list(tensors)
        self._nodes = [weakref.ref(tensor._node) for tensor in self._tensors]

    def is_valid(self) -> bool:
        """Return whether none was given another value."""
        return all(
            map(is_, map(_node_of, self._tensors), [ref() for ref in self._nodes])
        )


@dataclass
class _Current:
    """The nodes that tensors had at the last call and their values, which the nodes keep alive."""

    nodes: list[weakref.ref[Node]]
    values: list[weakref.ref[Array]]


class CachedProgram:
    """One program: its batch is the last input, before it the leaves, whose values the model's tensors have.

    A tensor whose numbers were looked at while the program was built, and any that is no leaf of it, has to stay.
    """

    def __init__(
        self,
        program: Program,
        values: Sequence[Array],
        record: tracing.Trace[Tensor],
        watched: Sequence[Snapshot],
    ) -> None:
        known = [tensor for snapshot in watched for tensor in snapshot.tensors.values()]
        owners: dict[Node, Tensor] = {}
        for tensor in known:
            if id(tensor) not in record.read:
                owners.setdefault(tensor._node, tensor)
        leaves = program.inputs[:-1]
        self._owners = [owners[node] for node in leaves if node in owners]
        self._places = [place for place, node in enumerate(leaves) if node in owners]
        self._values = [
            None if node in owners else value
            for node, value in zip(leaves, values, strict=True)
        ]
        self._shapes = [(tensor.shape, tensor.dtype) for tensor in self._owners]
        swapped = set(map(id, self._owners))
        self._same = UnchangedTensors(
            tensor for tensor in known if id(tensor) not in swapped
        )
        self._watched = watched[1:]  # the first is looked at by the caller
        placeholders = {
            node: build.input_node("", node.shape, node.dtype)
            for node in program.inputs
        }  # without values
        self._program = Program(
            tuple(placeholders.values()),
            tuple(substitute(program.outputs, placeholders)),
        )
        self._run: weakref.ref[Executable] | None = None
        self._current = _Current([], [])

    def values(self) -> list[Array] | None:
        """Return the values of the leaves now; None if the program does not fit the tensors as they are now."""
        if not self._same.is_valid() or not all(
            snapshot.is_valid() for snapshot in self._watched
        ):
            return None
        found = self._tensor_values()
        filled = list(self._values)
        for place, value in zip(self._places, found, strict=False):
            filled[place] = value
        complete = [value for value in filled if value is not None]
        return complete if len(complete) == len(filled) else None

    def _tensor_values(self) -> Sequence[Array | None]:
        """Return the values of the leaves that are tensors of the model; none where one has another shape or type."""
        nodes, current = list(map(_node_of, self._owners)), self._current
        if len(current.nodes) == len(nodes) and all(
            map(is_, [ref() for ref in current.nodes], nodes)
        ):
            return [ref() for ref in current.values]
        if [(node.shape, node.dtype) for node in nodes] != self._shapes:
            return ()
        found = [value_of(node) if node.op is Op.INPUT else None for node in nodes]
        kept = [weakref.ref(value) for value in found if value is not None]
        if len(kept) == len(found):
            self._current = _Current(list(map(weakref.ref, nodes)), kept)
        return found

    def run(self, device: str, threads: int | None) -> Executable:
        """Return the program compiled."""
        known = None if self._run is None else self._run()
        if known is None:
            known = compiled(self._program, device, threads)
            self._run = weakref.ref(known)
        return known


def prediction(
    model: Trainable,
    x: Array,
    count: int,
    loss: Loss | None,
    device: str,
    threads: int | None,
    state: ModelCache | None,
) -> tuple[Executable, list[Array]]:
    """Return the compiled program of a batch of ``count`` and the values of its leaves, kept if that may be."""
    key = _key(x, count, loss, device, threads)
    cache = state if key is not None else None
    if cache is not None and (found := cache.get(key)) is not None:
        return found[0].run(device, threads), found[1]
    (column,) = columns([x])
    if (
        cache is not None
        and (made := _traced_program(model, column, count, loss, cache)) is not None
    ):
        cache.keep(key, made)
        if (found := cache.get(key)) is not None:
            return found[0].run(device, threads), found[1]
    program, values = prediction_program(
        model, column, count, None if loss is None else loss.predict
    )
    return compiled(program, device, threads), values


def _traced_program(
    model: Trainable, column: Column, count: int, loss: Loss | None, state: ModelCache
) -> CachedProgram | None:
    """Return a program to keep; None where it depends on more than what is watched, or can't be built."""
    watched = [state.snapshot]
    if loss is not None:
        snapshot = Snapshot.of(loss)
        if snapshot is None:
            return None
        watched.append(snapshot)
    with tracing.trace() as record:
        try:
            program, values = prediction_program(
                model, column, count, None if loss is None else loss.predict
            )
        except Exception:  # the caller builds it again, untraced, and tells
            return None
    if record.assigned or not all(snapshot.is_valid() for snapshot in watched):
        place = getattr(model, "kept_predictions", None)
        if isinstance(place, Predictions):
            place.pause()
        return None
    return CachedProgram(program, values, record, watched)


def _key(
    x: Array, count: int, loss: Loss | None, device: str, threads: int | None
) -> Hashable | None:
    """Return what a program is kept by; None for a loss that has no hash."""
    key = (x.shape[1:], x.dtype, count, type(loss), loss, device, threads)
    try:
        hash(key)
    except TypeError:
        return None
    return key
