"""A cache of prediction programs per model, by shape, type, batch size, device and loss.

A cached program reads the current values of the model's tensors at every call, so new weights need no new program. All
other dependencies of ``forward`` are tracked (see ``dependencies``): if one changes, the programs are rebuilt. For a
model that can't be tracked, or that assigns tensors during prediction, they are built at every call. Machine code is
cached by ``runtime.devices``, which keeps a bounded number of programs.
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

_MAX_PROGRAMS = 32  # per model; the oldest is dropped
_PAUSE = 50  # calls of a model that could not be cached, before caching is tried again
_node_of = attrgetter("_node")


class Predictions:
    """The cached programs of one model. Copies and pickles start with an empty cache.

    >>> from deltarule import nn
    >>> model = nn.Linear(1, 1)
    >>> model.kept_predictions.state(model) is not None
    True
    """

    def __init__(self) -> None:
        self._state: ModelCache | None = None
        self._pause = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Predictions:
        return Predictions()

    def __reduce__(self) -> tuple[type[Predictions], tuple[()]]:
        return Predictions, ()

    def state(self, model: Trainable) -> ModelCache | None:
        """Return the cache of the model in its current form; None if it can't be cached."""
        state = self._state
        if state is not None and state.model() is model and state.snapshot.is_valid():
            return state
        if self._pause > 0:
            self._pause -= 1
            return None
        kind = model_dtype(model)  # initializes lazy parameters
        snapshot = Snapshot.of(model)
        state = self._state = (
            None if snapshot is None else ModelCache(model, snapshot, kind)
        )
        if state is None:
            self.pause()
        return state

    def pause(self) -> None:
        """Do not cache for a number of calls: the model can't be tracked, or modifies itself."""
        self._state, self._pause = None, _PAUSE


def cache_of(model: Trainable) -> ModelCache | None:
    """Return the cache of a model in its current form; None if it has none or can't be tracked."""
    place = getattr(model, "kept_predictions", None)
    return (
        place.state(model)
        if isinstance(place, Predictions) and not tracing.active()
        else None
    )


class ModelCache:
    """The snapshot of a model, its element type, and its programs by cache key."""

    def __init__(self, model: Trainable, snapshot: Snapshot, kind: DType) -> None:
        self.model = weakref.ref(model)  # a shallow copy of the model shares the cache
        self.snapshot, self._kind = snapshot, kind
        self._tensors = list(snapshot.tensors.values())
        self._kinds = [tensor.dtype for tensor in self._tensors]
        self._programs: dict[Hashable, CachedProgram] = {}
        self.evaluations: dict[Hashable, Any] = {}  # of ``inference.evaluate``

    def kind(self, model: Trainable) -> DType:
        """Return the model's element type."""
        kinds = [tensor.dtype for tensor in self._tensors]
        if kinds != self._kinds:
            self._kind, self._kinds = model_dtype(model), kinds
        return self._kind

    def get(self, key: Hashable) -> tuple[CachedProgram, list[Array]] | None:
        """Return the valid program of a key, and the current values of its leaves; None if there is none."""
        found = self._programs.get(key)
        values = None if found is None else found.values()
        return None if found is None or values is None else (found, values)

    def keep(self, key: Hashable, made: CachedProgram) -> None:
        """Cache a program."""
        self._programs.pop(key, None)
        while len(self._programs) >= _MAX_PROGRAMS:
            self._programs.pop(next(iter(self._programs)), None)
        self._programs[key] = made


class UnchangedTensors:
    """Checks whether tensors still have the values that they had at construction.

    >>> from deltarule.tensor.tensor import parameter
    >>> w = parameter([1.0])
    >>> unchanged = UnchangedTensors([w])
    >>> w.assign([2.0])
    >>> unchanged.is_valid()
    False
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._tensors = list(tensors)
        self._nodes = [weakref.ref(tensor._node) for tensor in self._tensors]

    def is_valid(self) -> bool:
        """Return whether no tensor was assigned a new value."""
        return all(
            map(is_, map(_node_of, self._tensors), [ref() for ref in self._nodes])
        )


@dataclass
class _Current:
    """The nodes and values of tensors at the last call; the nodes own the values."""

    nodes: list[weakref.ref[Node]]
    values: list[weakref.ref[Array]]


class CachedProgram:
    """One program: its inputs are leaves, whose values are those of the model's tensors, then the batch.

    Tensors whose values were read while the program was built, and those that are not leaves, must not change.
    """

    def __init__(
        self,
        program: Program,
        values: Sequence[Array],
        record: tracing.Trace[Tensor],
        watched: Sequence[Snapshot],
    ) -> None:
        known = [tensor for snapshot in watched for tensor in snapshot.tensors.values()]
        tensor_of: dict[Node, Tensor] = {}
        for tensor in known:
            if id(tensor) not in record.read:
                tensor_of.setdefault(tensor._node, tensor)
        leaves = program.inputs[:-1]
        self._leaf_tensors = [tensor_of[node] for node in leaves if node in tensor_of]
        self._leaf_indices = [
            place for place, node in enumerate(leaves) if node in tensor_of
        ]
        self._values = [
            None if node in tensor_of else value
            for node, value in zip(leaves, values, strict=True)
        ]
        self._shapes = [(tensor.shape, tensor.dtype) for tensor in self._leaf_tensors]
        variable = set(map(id, self._leaf_tensors))
        self._unchanged = UnchangedTensors(
            tensor for tensor in known if id(tensor) not in variable
        )
        self._watched = watched[1:]  # the first is checked by the caller
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
        """Return the current values of the leaves; None if the program is no longer valid."""
        if not self._unchanged.is_valid() or not all(
            snapshot.is_valid() for snapshot in self._watched
        ):
            return None
        found = self._tensor_values()
        filled = list(self._values)
        for place, value in zip(self._leaf_indices, found, strict=False):
            filled[place] = value
        complete = [value for value in filled if value is not None]
        return complete if len(complete) == len(filled) else None

    def _tensor_values(self) -> Sequence[Array | None]:
        """Return the values of leaves that are tensors of the model; empty if a shape or type has changed."""
        nodes, current = list(map(_node_of, self._leaf_tensors)), self._current
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
        """Return the compiled program."""
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
    """Return the compiled program for batches of ``count`` and the values of its leaves, cached if possible."""
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
    """Return a program to cache; None if it has untracked dependencies, or can't be built."""
    watched = [state.snapshot]
    if loss is not None:
        snapshot = Snapshot.of(loss)
        if snapshot is None:
            return None
        watched.append(snapshot)
    with tracing.record_trace() as record:
        try:
            program, values = prediction_program(
                model, column, count, None if loss is None else loss.predict
            )
        except Exception:  # raised again when the caller builds it, untraced
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
    """Return the cache key of a program; None for an unhashable loss."""
    key = (x.shape[1:], x.dtype, count, type(loss), loss, device, threads)
    try:
        hash(key)
    except TypeError:
        return None
    return key
